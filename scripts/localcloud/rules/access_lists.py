"""S3's access control lists, which a new bucket does not take, and public ones, which it blocks.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

ENFORCED = "BucketOwnerEnforced"
OWN = "bucket-owner-full-control"
_PUBLIC = frozenset({"public-read", "public-read-write", "authenticated-read"})
_EVERYBODY = ("/groups/global/AllUsers", "/groups/global/AuthenticatedUsers")


def word(reading: Reading, backends: Backends) -> None:
    """What a call may give to somebody by a word for a list."""
    acl, bucket = reading.parameters.get("ACL"), reading.parameters["Bucket"]
    if acl is not None:
        _judge(backends("s3").buckets.get(bucket), reading.operation, acl == OWN, acl in _PUBLIC)


def document(reading: Reading, backends: Backends) -> None:
    """The same of a list that is written out, at a bucket."""
    given = reading.parameters.get("AccessControlPolicy")
    if given is not None:
        public = any(group in str(given) for group in _EVERYBODY)
        bucket = backends("s3").buckets.get(reading.parameters["Bucket"])
        _judge(bucket, reading.operation, _of_the_owner(given), public)


def new_bucket(reading: Reading, _: Backends) -> None:
    """A new bucket is its owner's alone, and blocks what is public, unless the call says."""
    given = reading.parameters
    acl = given.get("ACL", "private")
    if given.get("ObjectOwnership", ENFORCED) == ENFORCED and acl != "private":
        raise _contradiction()
    if acl in _PUBLIC:
        raise AwsError(
            "InvalidBucketAclWithBlockPublicAccessError",
            "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
        )


def ownership(reading: Reading, backends: Backends) -> None:
    """A bucket whose list grants something to others does not become its owner's alone.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html
    """
    bucket = backends("s3").buckets.get(reading.parameters["Bucket"])
    wanted = reading.parameters.get("OwnershipControls") or {}
    enforced = any(rule.get("ObjectOwnership") == ENFORCED for rule in wanted.get("Rules") or ())
    grants = bucket.acl.grants if bucket is not None and bucket.acl else ()
    if enforced and any(grantee.uri for grant in grants for grantee in grant.grantees):
        raise _contradiction()


def _contradiction() -> AwsError:
    return AwsError(
        "InvalidBucketAclWithObjectOwnership",
        f"Bucket cannot have ACLs set with ObjectOwnership's {ENFORCED} setting",
    )


def _judge(bucket: Any, operation: str, own: bool, public: bool) -> None:
    if bucket is None:
        return
    if bucket.ownership_rule == ENFORCED and not own:
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")
    block = bucket.public_access_block
    if block is not None and block.block_public_acls and public:
        raise AwsError(
            "AccessDenied",
            f"s3:{operation} on {bucket.name} is refused because public ACLs are prevented by the "
            "BlockPublicAcls setting in S3 Block Public Access.",
            403,
        )


def _of_the_owner(given: Mapping[str, Any]) -> bool:
    """Whether all that a list gives is the owner's own control."""
    owner = (given.get("Owner") or {}).get("ID")
    grants = given.get("Grants") or ()
    return bool(grants) and all(
        (grant.get("Grantee") or {}).get("ID") == owner is not None
        and grant.get("Permission") == "FULL_CONTROL"
        for grant in grants
    )
