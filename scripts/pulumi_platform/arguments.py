"""What the components take. The keys are the Terraform modules' variables, and so are the defaults.

Nothing here has a default of its own: what is left out is what the module says. Values that decide
which resources there are must be known while the program runs; the others may be outputs.
"""

from typing import TYPE_CHECKING, Required, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pulumi import Input


class AccessLogs(TypedDict, total=False):
    """S3 server access logs into a bucket of their own."""

    enabled: bool
    retention_days: int


class LifecycleRules(TypedDict, total=False):
    """Days until something happens to an object, 0 for never."""

    abort_uploads_after_days: int
    infrequent_access_days: int
    expire_old_versions_days: int
    kept_old_versions_per_file: int | None


class ArtifactStoreArgs(TypedDict, total=False):
    """Arguments of ArtifactStore; terraform/modules/artifact_store/README.md says what each is."""

    name: Required[str]
    access_logs: AccessLogs
    force_destroy: bool
    kms_key_arn: "Input[str] | None"
    lifecycle_rules: LifecycleRules
    tags: "Mapping[str, Input[str]]"
    version_deleter_arns: "Sequence[Input[str]]"
