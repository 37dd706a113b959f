"""The Pulumi program: one stack for each environment, so far with the artifact store alone."""

import sys
from pathlib import Path

# Pulumi runs this file by its path, not as part of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pulumi

from scripts.pulumi_platform.artifact_store import ArtifactStore

config = pulumi.Config()
store = ArtifactStore("artifacts", config.require_object("artifact_store"))

pulumi.export(
    "artifact_store",
    {
        "access_log_bucket_name": store.access_log_bucket_name,
        "bucket_arn": store.bucket_arn,
        "bucket_name": store.bucket_name,
        "kms_key_arn": store.kms_key_arn,
    },
)
