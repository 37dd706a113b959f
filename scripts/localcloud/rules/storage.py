"""S3: the owner that a client expects, public policies, and the versions of a locked bucket."""

from __future__ import annotations

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
