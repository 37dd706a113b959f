"""A bucket as every one of the platform is: private, encrypted, versioned, under its policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import s3

from scripts.pulumi_platform.basics import Statement, both, deny, document


@dataclass(frozen=True)
class Bucket:
    """A bucket and what others must wait for."""

    bucket: s3.BucketV2
    versioning: s3.BucketVersioningV2
    policy: s3.BucketPolicy


def make_bucket(
    parent: pulumi.Resource,
    name: str,
    bucket_name: str,
    statements: Sequence[Statement | None],
    *,
    kms_key_arn: str | None = None,
    bucket_key: bool | None = None,
    force_destroy: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Bucket:
    """Make a bucket; `bucket_key` saves calls of KMS."""
    bucket = s3.BucketV2(
        name,
        bucket=bucket_name,
        force_destroy=force_destroy,
        tags=tags,
        opts=ResourceOptions(parent=parent),
    )
    versioning = s3.BucketVersioningV2(
        name,
        bucket=bucket.id,
        versioning_configuration={"status": "Enabled"},
        opts=ResourceOptions(parent=parent),
    )
    encryption: dict[str, Any] = {
        "apply_server_side_encryption_by_default": {
            "sse_algorithm": "aws:kms" if kms_key_arn else "AES256",
            "kms_master_key_id": kms_key_arn,
        }
    }
    if bucket_key is not None:
        encryption["bucket_key_enabled"] = bucket_key
    s3.BucketServerSideEncryptionConfigurationV2(
        name, bucket=bucket.id, rules=[encryption], opts=ResourceOptions(parent=parent)
    )
    block = s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=ResourceOptions(parent=parent),
    )
    s3.BucketOwnershipControls(
        name,
        bucket=bucket.id,
        rule={"object_ownership": "BucketOwnerEnforced"},
        opts=ResourceOptions(parent=parent),
    )
    policy = s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=document(*statements),
        opts=ResourceOptions(parent=parent, depends_on=[block]),
    )
    return Bucket(bucket, versioning, policy)


def deny_without_tls(arn: str) -> Statement:
    """Nobody talks to the bucket in the clear."""
    return deny(
        "DenyWithoutTls",
        ["s3:*"],  # a deny: nothing is granted
        [arn, f"{arn}/*"],
        principal="*",
        when={"Bool": {"aws:SecureTransport": "false"}},
    )


def denials(arn: str, kms_key_arn: str | None) -> list[Statement | None]:
    """What nobody may do with a bucket, whatever their own policies say.

    Without the header the bucket's default applies, so only a header that asks for something else
    can go wrong. Negated operators also hold for an absent key, hence the Null conditions.
    """
    header = "s3:x-amz-server-side-encryption"
    key = f"{header}-aws-kms-key-id"

    def deny_put(sid: str, when: Any) -> Statement:
        return deny(sid, ["s3:PutObject"], [f"{arn}/*"], principal="*", when=when)

    return [
        deny_without_tls(arn),
        deny(
            "DenyOldTls",
            ["s3:*"],
            [arn, f"{arn}/*"],
            principal="*",
            when={"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ),
        deny_put(
            "DenyOtherEncryption",
            {
                "Null": {header: "false"},
                "StringNotEquals": {header: "aws:kms" if kms_key_arn else "AES256"},
            },
        ),
        deny_put("DenyKeysOfTheCaller", {"Null": {f"{header}-customer-algorithm": "false"}}),
        # Without a key of our own no key may be named at all.
        deny_put(
            "DenyForeignKeys",
            both(
                {"Null": {key: "false"}},
                {"StringNotEquals": {key: kms_key_arn}} if kms_key_arn else {},
            ),
        ),
        # The header aws:kms without a key means AWS's own key for S3, not the bucket's.
        deny_put("DenyAwsOwnKey", {"StringEquals": {header: "aws:kms"}, "Null": {key: "true"}})
        if kms_key_arn
        else None,
    ]
