"""The bucket that holds data, models, decisions and predictions, and the one of its access logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import s3

from scripts.pulumi_platform.basics import (
    KEY_ARN,
    Account,
    allow,
    both,
    check,
    deny,
    equals,
    every,
    fits,
)
from scripts.pulumi_platform.buckets import Bucket, denials, deny_without_tls, make_bucket

ROLE = (
    r"arn:[a-z-]+:iam::[0-9]{12}:role/"
    r"(?:aws-reserved/sso\.amazonaws\.com/\*|[A-Za-z0-9+=,.@_/-]+)"
)


@dataclass
class AccessLogs:
    """S3 server access logs into a bucket of their own, and for how many days they are kept."""

    enabled: bool = True
    retention_days: float = 90


@dataclass
class LifecycleRules:
    """Days until something happens to an object, 0 for never."""

    abort_uploads_after_days: float = 7
    infrequent_access_days: float = 90
    expire_old_versions_days: float = 365
    kept_old_versions_per_file: int | None = None


@dataclass
class ArtifactStoreArgs:
    """Arguments of ArtifactStore; terraform/modules/artifact_store/README.md says what each is."""

    name: str
    access_logs: AccessLogs = field(default_factory=AccessLogs)
    force_destroy: bool = False
    kms_key_arn: str | None = None
    lifecycle_rules: LifecycleRules = field(default_factory=LifecycleRules)
    tags: Mapping[str, str] = field(default_factory=dict)
    version_deleter_arns: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raise ArgumentError for what S3 would refuse, or what would lose data."""
        days, rules = self.access_logs.retention_days, self.lifecycle_rules
        kept = rules.kept_old_versions_per_file
        check(
            days >= 1 and days == int(days),
            "access_logs.retention_days must be a whole number of days, at least 1.",
        )
        check(
            fits(KEY_ARN, self.kms_key_arn),
            "kms_key_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an "
            "alias: an alias can be moved to another key.",
        )
        check(
            rules.infrequent_access_days == 0 or rules.infrequent_access_days >= 30,
            "lifecycle_rules.infrequent_access_days must be at least 30 (S3 refuses less), or 0 to "
            "switch it off.",
        )
        whole = (rules.abort_uploads_after_days, rules.expire_old_versions_days)
        check(
            every(lambda days: days >= 0 and days == int(days), whole),
            "lifecycle_rules takes whole days, 0 to switch a rule off.",
        )
        check(
            kept is None or 1 <= kept <= 100,
            "lifecycle_rules.kept_old_versions_per_file must be 1 to 100 (S3's limits), or null to "
            "go by age alone.",
        )
        check(
            fits(r"[a-z0-9][a-z0-9-]*[a-z0-9]", self.name),
            "name must be lower-case letters, digits and hyphens, for example "
            '"keyless-dev": S3 allows nothing else.',
        )
        check(
            3 <= len(self.name) <= 23,
            'name must be 3 to 23 characters: with "-access-logs-ACCOUNT-REGION" behind it, S3 '
            "allows 63. Choose a shorter prefix.",
        )
        check(
            every(lambda arn: fits(ROLE, arn), self.version_deleter_arns),
            "version_deleter_arns must be role ARNs (arn:aws:iam::ACCOUNT:role/NAME) without "
            "wildcards, but for role/aws-reserved/sso.amazonaws.com/*.",
        )


class ArtifactStore(pulumi.ComponentResource):
    """The artifact bucket.

    >>> store = ArtifactStore("artifact-store", ArtifactStoreArgs(name="my-team"))
    >>> pulumi.export("bucket", store.bucket_name)
    """

    def __init__(
        self, name: str, args: ArtifactStoreArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make the buckets. Raises ArgumentError for a key of another region."""
        super().__init__("keyless:platform:ArtifactStore", name, None, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        where = f"{self._account.id}-{self._account.region}"
        # Known before the bucket is, so that policies elsewhere need not wait for it.
        self.bucket_name = f"{args.name}-artifacts-{where}"
        self.bucket_arn = self._account.bucket(self.bucket_name)
        self.access_log_bucket_name: pulumi.Output[str] | None = None
        check(
            len(self.bucket_name) <= 63,
            f"Bucket name {self.bucket_name} is longer than S3's 63 characters; choose a shorter "
            f'name than "{args.name}".',
        )
        check(
            args.kms_key_arn is None or args.kms_key_arn.split(":")[3] == self._account.region,
            f"kms_key_arn must be a key of the bucket's region, {self._account.region}.",
        )
        artifacts = self._artifacts()
        if args.access_logs.enabled:
            self._access_logs(artifacts, f"{args.name}-access-logs-{where}")
        self.register_outputs(
            {
                "access_log_bucket_name": self.access_log_bucket_name,
                "bucket_arn": self.bucket_arn,
                "bucket_name": self.bucket_name,
                "kms_key_arn": args.kms_key_arn,
            }
        )

    def _artifacts(self) -> Bucket:
        args, deleters = self._args, self._args.version_deleter_arns
        made = make_bucket(
            self,
            f"{self._name}-artifacts",
            self.bucket_name,
            [
                *denials(self.bucket_arn, args.kms_key_arn),
                deny(
                    "DenyDeletingVersions",
                    ["s3:DeleteObjectVersion"],
                    [f"{self.bucket_arn}/*"],
                    principal="*",
                    when={"ArnNotLike": {"aws:PrincipalArn": list(deleters)}} if deleters else None,
                ),
            ],
            kms_key_arn=args.kms_key_arn,
            bucket_key=args.kms_key_arn is not None,
            force_destroy=args.force_destroy,
            tags=args.tags,
        )
        rules = self._rules()
        if rules:  # S3 refuses an empty set
            s3.BucketLifecycleConfigurationV2(
                f"{self._name}-artifacts",
                bucket=made.bucket.id,
                rules=rules,
                # Versioning first: rules on versions make no sense without.
                opts=ResourceOptions(parent=self, depends_on=[made.versioning]),
            )
        return made

    def _rules(self) -> list[Any]:
        days = self._args.lifecycle_rules
        rules: dict[str, dict[str, Any]] = {
            "drop-unfinished-uploads": {
                "abort_incomplete_multipart_upload": {
                    "days_after_initiation": days.abort_uploads_after_days
                }
            },
            "expire-replaced-versions": {
                "noncurrent_version_expiration": {
                    "noncurrent_days": days.expire_old_versions_days,
                    "newer_noncurrent_versions": days.kept_old_versions_per_file,
                }
            },
            "move-to-infrequent-access": {
                "transitions": [
                    {"days": days.infrequent_access_days, "storage_class": "STANDARD_IA"}
                ]
            },
        }
        on = {
            "drop-unfinished-uploads": days.abort_uploads_after_days,
            "expire-replaced-versions": days.expire_old_versions_days,
            "move-to-infrequent-access": days.infrequent_access_days,
        }
        return [
            {"id": name, "status": "Enabled", "filter": {}, **rule}
            for name, rule in rules.items()
            if on[name] > 0
        ]

    def _access_logs(self, artifacts: Bucket, bucket_name: str) -> None:
        name, account, arn = self._name, self._account, self._account.bucket(bucket_name)
        made = make_bucket(
            self,
            f"{name}-access-logs",
            bucket_name,
            [
                allow(
                    "LogDeliveryOfOurBucket",
                    ["s3:PutObject"],
                    [f"{arn}/*"],
                    principal={"Service": ["logging.s3.amazonaws.com"]},
                    when=both(
                        {"ArnEquals": {"aws:SourceArn": self.bucket_arn}},
                        equals("aws:SourceAccount", account.id),
                    ),
                ),
                deny_without_tls(arn),
            ],
            force_destroy=self._args.force_destroy,
            tags=self._args.tags,
        )
        s3.BucketLifecycleConfigurationV2(
            f"{name}-access-logs",
            bucket=made.bucket.id,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {},
                    "expiration": {"days": int(self._args.access_logs.retention_days)},
                    "noncurrent_version_expiration": {"noncurrent_days": 1},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=ResourceOptions(parent=self, depends_on=[made.versioning]),
        )
        s3.BucketLoggingV2(
            f"{name}-artifacts",
            bucket=artifacts.bucket.id,
            target_bucket=made.bucket.id,
            target_prefix="artifacts/",
            opts=ResourceOptions(parent=self, depends_on=[made.policy]),
        )
        self.access_log_bucket_name = made.bucket.id
