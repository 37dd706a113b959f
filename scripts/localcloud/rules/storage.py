"""S3: the owner that a client expects; and what is kept neither there nor in Secrets Manager."""

from __future__ import annotations

import re

from scripts.iam.requests import Reading
from scripts.localcloud.access import public_access
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends


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


def customer_key(reading: Reading, _: Backends) -> None:
    """Moto keeps no object under a customer's key: whoever has none could read it."""
    for name in reading.parameters:
        if "SSECustomer" in name:
            raise AwsError("LocalCloudNotImplemented", f"The local cloud does not model {name}")


def replicas(reading: Reading, _: Backends) -> None:
    """Moto's replicas have no key: whoever may not decrypt the secret could read them."""
    if reading.parameters.get("AddReplicaRegions"):
        raise AwsError("LocalCloudNotImplemented", "The local cloud keeps no replicas of secrets")


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


def locked_upload(reading: Reading, _: Backends) -> None:
    """Moto forgets the lock with which an upload in parts is begun."""
    for name in reading.parameters:
        if name.startswith("ObjectLock"):
            raise AwsError(
                "LocalCloudNotImplemented",
                f"The local cloud does not model {name} of an upload in parts",
            )


# What moto heeds of the conditions of a request.
_HEEDED = {"GetObject", "HeadObject", "PutObject", "DeleteObject"}


def conditions(reading: Reading, _: Backends) -> None:
    """Conditions that nothing here would look at: whoever sets one relies on it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
    """
    given = reading.parameters
    objects = (given.get("Delete") or {}).get("Objects") or ()
    batch = {name for one in objects for name in one} & {"ETag", "LastModifiedTime", "Size"}
    named = {name for name in given if re.match("(CopySource)?If[A-Z]", name)}
    if reading.operation in _HEEDED:
        named -= {"IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince"}
        if reading.operation == "PutObject" and given.get("IfNoneMatch", "*") != "*":
            named.add("IfNoneMatch")
    for name in sorted(batch | named):
        raise AwsError("NotImplemented", f"The local cloud does not look at {name} here", 501)
