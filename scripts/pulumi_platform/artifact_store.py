"""The bucket that holds data, models, decisions and predictions, and the one of its access logs.

Names, policies, rules and days are the module's. Here is which resources there are, what refers to
what, and what is switched on.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_aws import s3

from scripts.pulumi_platform.arguments import ArtifactStoreArgs
from scripts.pulumi_platform.component import ModuleComponent, nested


class ArtifactStore(ModuleComponent):
    """Follows terraform/modules/artifact_store; attributes are the module's outputs.

    >>> store = ArtifactStore("artifacts", {"name": "my-team"})
    >>> pulumi.export("bucket", store.bucket_name)
    """

    module = "artifact_store"

    access_log_bucket_name: pulumi.Output[str | None]
    bucket_arn: pulumi.Output[str]
    bucket_name: pulumi.Output[str]
    bucket_policy: pulumi.Output[str]
    kms_key_arn: pulumi.Output[str | None]

    def __init__(
        self, name: str, args: ArtifactStoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the buckets. Raises ArgumentError for what the module refuses."""
        super().__init__(name, args, opts)
        bucket = self._artifacts()
        logs = self._access_logs(bucket) if self.made("aws_s3_bucket.access_logs") else None
        outputs = {
            "access_log_bucket_name": logs and logs.id,
            "bucket_arn": self.value(lambda module: module.local("bucket_arn")),
            "bucket_name": self.value(lambda module: module.local("bucket_name")),
            "bucket_policy": self.value(lambda module: module.policy("artifacts")),
            "kms_key_arn": self.value(lambda module: module.variable("kms_key_arn")),
        }
        for output, value in outputs.items():
            setattr(self, output, pulumi.Output.from_input(value))
        self.register_outputs(outputs)

    def _artifacts(self) -> s3.BucketV2:
        bucket = self._bucket("artifacts", "bucket_name")
        versioning, _ = self._secure("artifacts", bucket)
        if self.made("aws_s3_bucket_lifecycle_configuration.artifacts"):
            self._lifecycle("artifacts", bucket, versioning)
        return bucket

    def _access_logs(self, artifacts: s3.BucketV2) -> s3.BucketV2:
        bucket = self._bucket("access_logs", "log_bucket_name")
        versioning, policy = self._secure("access_logs", bucket)
        self._lifecycle("access_logs", bucket, versioning)
        s3.BucketLoggingV2(
            self.called("artifacts"),
            bucket=artifacts.id,
            target_bucket=bucket.id,
            target_prefix=self.value(
                lambda module: module.argument("aws_s3_bucket_logging.artifacts", "target_prefix")
            ),
            opts=self.child(policy),
        )
        return bucket

    def _bucket(self, suffix: str, name: str) -> s3.BucketV2:
        return s3.BucketV2(
            self.called(suffix),
            bucket=self.value(lambda module: module.local(name)),
            force_destroy=self.value(lambda module: module.variable("force_destroy")),
            tags=self.value(lambda module: module.variable("tags")),
            opts=self.child(),
        )

    def _secure(
        self, suffix: str, bucket: s3.BucketV2
    ) -> tuple[s3.BucketVersioningV2, s3.BucketPolicy]:
        """Private, encrypted, versioned, without access lists, and under its policy."""
        block = s3.BucketPublicAccessBlock(
            self.called(suffix),
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        policy = s3.BucketPolicy(
            self.called(suffix),
            bucket=bucket.id,
            policy=self.value(lambda module: module.policy(suffix)),
            opts=self.child(block),
        )
        s3.BucketOwnershipControls(
            self.called(suffix),
            bucket=bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self.child(),
        )
        s3.BucketServerSideEncryptionConfigurationV2(
            self.called(suffix),
            bucket=bucket.id,
            rules=self._rules(f"aws_s3_bucket_server_side_encryption_configuration.{suffix}"),
            opts=self.child(),
        )
        versioning = s3.BucketVersioningV2(
            self.called(suffix),
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=self.child(),
        )
        return versioning, policy

    def _lifecycle(
        self, suffix: str, bucket: s3.BucketV2, versioning: s3.BucketVersioningV2
    ) -> None:
        """Versioning first: rules on versions make no sense without."""
        s3.BucketLifecycleConfigurationV2(
            self.called(suffix),
            bucket=bucket.id,
            rules=self._rules(f"aws_s3_bucket_lifecycle_configuration.{suffix}"),
            opts=self.child(versioning),
        )

    def _rules(self, resource: str) -> pulumi.Output[list[dict[str, Any]]]:
        return self.value(
            lambda module: nested(
                module.blocks(resource, "rule"), repeated={"transition": "transitions"}
            )
        )
