"""S3: the owner that a client expects, public policies, the versions of a locked bucket, the
conditions of copies and of writes, and access control lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from moto.s3.models import OWNER

from scripts.iam.requests import Reading
from scripts.iam.requests.services.s3_route import S3Request
from scripts.localcloud.access import public_access
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

MOST_PARTS = 10_000
ENFORCED = "BucketOwnerEnforced"
_LONGEST_LOCK = {"Days": 36_500, "Years": 100}
OWN = "bucket-owner-full-control"
_PUBLIC = frozenset({"public-read", "public-read-write", "authenticated-read"})
_EVERYBODY = ("/groups/global/AllUsers", "/groups/global/AuthenticatedUsers")


def expected_owner(reading: Reading, backends: Backends) -> None:
    """A client may say whose bucket it means."""
    own = backends("iam").account_id
    for name in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
        if reading.parameters.get(name, own) != own:
            raise AwsError("AccessDenied", "Access Denied", 403)


def public_policy(reading: Reading, backends: Backends) -> None:
    """A public policy is refused where the bucket blocks public policies.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    bucket = backends("s3").buckets.get(reading.parameters["Bucket"])
    block = bucket.public_access_block if bucket else None
    blocks = block is not None and block.block_public_policy
    if blocks and public_access.stored_is_public(str(reading.parameters.get("Policy"))):
        raise AwsError(
            "AccessDenied",
            f"s3:PutBucketPolicy on arn:aws:s3:::{bucket.name} is refused because public policies "
            "are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
            403,
        )


def suspension(reading: Reading, backends: Backends) -> None:
    """A bucket with Object Lock keeps its versions.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
    """
    bucket = backends("s3").buckets.get(reading.parameters["Bucket"])
    status = (reading.parameters.get("VersioningConfiguration") or {}).get("Status")
    if bucket is not None and bucket.object_lock_enabled and status != "Enabled":
        raise AwsError(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state "
            "cannot be changed.",
            409,
        )


def source(reading: Reading, backends: Backends) -> None:
    """Clients that copy large objects name the source's ETag with each part; a condition on an ETag
    counts before one on a time that says the opposite.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
    """
    named = cast("S3Request", reading).source
    found = _object(backends, named.bucket, named.key, named.version) if named else None
    if found is None:
        return  # moto's to refuse
    given, etag = reading.parameters, _plain(found.etag)
    changed = found.last_modified.replace(microsecond=0, tzinfo=UTC)
    match, other = given.get("CopySourceIfMatch"), given.get("CopySourceIfNoneMatch")
    since = given.get("CopySourceIfModifiedSince")
    until = given.get("CopySourceIfUnmodifiedSince")
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", given.get("CopySourceRange", ""))
    if asked and not int(asked[1]) <= int(asked[2]) < found.size:
        raise AwsError(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {found.size}",
        )
    if given.get("PartNumber", 1) not in range(1, MOST_PARTS + 1):
        raise AwsError(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive",
        )
    if match is not None and _plain(match) != etag:
        raise _failed("x-amz-copy-source-If-Match")
    if match is None and isinstance(until, datetime) and changed > until:
        raise _failed("x-amz-copy-source-If-Unmodified-Since")
    if other is not None and _plain(other) == etag:
        raise _failed("x-amz-copy-source-If-None-Match")
    if other is None and isinstance(since, datetime) and changed <= since:
        raise _failed("x-amz-copy-source-If-Modified-Since")


def part_order(reading: Reading, _: Backends) -> None:
    """Moto joins parts in any order, and one as often as it is named.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    parts = (reading.parameters.get("MultipartUpload") or {}).get("Parts") or ()
    numbers = [one.get("PartNumber") for one in parts]
    if None not in numbers and numbers != sorted(set(numbers)):
        raise AwsError(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        )


def default_lock(reading: Reading, _: Backends) -> None:
    """A lock that ends before it begins locks nothing, nor does one that has no end.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
    """
    given = (reading.parameters.get("ObjectLockConfiguration") or {}).get("Rule") or {}
    retention = given.get("DefaultRetention")
    if retention is None:
        return
    periods = _LONGEST_LOCK.keys() & retention.keys()
    if len(periods) != 1 or not retention.get("Mode"):
        raise AwsError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published "
            "schema",
        )
    for unit in periods:
        if not 1 <= retention[unit] <= _LONGEST_LOCK[unit]:
            raise AwsError(
                "InvalidRetentionPeriod",
                "Default retention period must be a positive integer value of at most "
                f"{_LONGEST_LOCK[unit]:,} {unit.lower()}.",
            )


def one_rule(reading: Reading, _: Backends) -> None:
    """Moto fails on two, and keeps a key for an algorithm that has none.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html
    """
    given = reading.parameters
    named = given.get("ServerSideEncryptionConfiguration") or given.get("OwnershipControls") or {}
    rules = named.get("Rules") or ()
    if len(rules) > 1:
        raise AwsError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published "
            "schema",
        )
    for one in rules:
        applied = one.get("ApplyServerSideEncryptionByDefault") or {}
        if applied.get("SSEAlgorithm") == "AES256" and applied.get("KMSMasterKeyID"):
            raise AwsError(
                "InvalidArgument",
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms",
            )


def destination(reading: Reading, backends: Backends) -> None:
    """A copy or a joined upload goes over no object, or over the one with this ETag.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    given = reading.parameters
    match, other = given.get("IfMatch"), given.get("IfNoneMatch")
    if other is not None and other != "*":
        raise AwsError(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            501,
        )
    found = _object(backends, given["Bucket"], given["Key"], None)
    if other is not None and found is not None:
        raise _failed("If-None-Match")
    if match is None:
        return
    if found is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    if _plain(match) not in {"*", _plain(found.etag)}:
        raise _failed("If-Match")


def _object(backends: Backends, bucket: str, key: str, version: str | None) -> Any:
    """An object, or one version of it; None for what is not there or is a delete marker."""
    known = backends("s3").buckets.get(bucket)
    versions = (known.keys.getlist(key) if known else None) or []
    found = [one for one in versions if version in (None, getattr(one, "version_id", None))]
    return found[-1] if found and hasattr(found[-1], "etag") else None


def _plain(etag: str) -> str:
    return etag.removeprefix('"').removesuffix('"')


def _failed(condition: str) -> AwsError:
    return AwsError(
        "PreconditionFailed",
        f"At least one of the pre-conditions you specified did not hold: {condition}",
        412,
    )


def listed(reading: Reading, backends: Backends) -> None:
    """What a call may give to somebody by a word for an access control list.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    acl, bucket = reading.parameters.get("ACL"), reading.parameters["Bucket"]
    if acl is not None:
        _judge(backends("s3").buckets.get(bucket), reading.operation, acl == OWN, acl in _PUBLIC)


def written_list(reading: Reading, backends: Backends) -> None:
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
    """Whether all that a list gives is the control of the account, which owns every bucket here."""
    grants = given.get("Grants") or ()
    named = [given.get("Owner"), *(grant.get("Grantee") for grant in grants)]
    return (
        bool(grants)
        and {(one or {}).get("ID") for one in named} == {OWNER}
        and all(grant.get("Permission") == "FULL_CONTROL" for grant in grants)
    )
