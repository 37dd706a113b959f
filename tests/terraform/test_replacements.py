"""Which variables replace the database or a bucket: those of docs/terraform.md, and no other."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from tests.terraform.conftest import CERTIFICATE, PROJECT, Plan, Terraform

pytestmark = pytest.mark.terraform

DATABASE = "module.metadata_store.aws_db_instance.database"
BUCKETS = (
    "module.artifact_store.aws_s3_bucket.artifacts",
    "module.artifact_store.aws_s3_bucket.access_logs[0]",
)

# Each variable of the platform but `environment` and `customer_managed_key`, far from what dev and
# prod have.
CHANGED = """
artifact_access = "proxied"
egress          = "nat"
park            = true
teardown        = true
tags            = { Team = "ml" }
artifact_store = {
  force_destroy        = FORCE_DESTROY
  lifecycle_rules      = { expire_old_versions_days = 30 }
  version_deleter_arns = ["arn:aws:iam::123456789012:role/administrator"]
}
database = {
  apply_immediately   = false
  backup              = { retention_days = 35, window = "05:00-06:00", final_snapshot = true }
  deletion_protection = true
  engine_version      = "17.6"
  instance_class      = "db.m7g.large"
  log_retention_days  = 90
  maintenance_window  = "mon:07:00-mon:08:00"
  monitoring          = { interval_seconds = 30, performance_insights = true }
  parameters          = { log_min_duration_statement = { value = "500" } }
  storage             = { allocated_gib = 50, maximum_gib = 500 }
}
github = {
  owner          = "someone-else"
  owner_id       = "3003"
  repository     = "other"
  repository_id  = "4004"
  subject_format = "names"
}
image             = { id = "ami-0123456789abcdef0", region = "us-east-1" }
job_workflow_refs = { train = "o/r/.github/workflows/train.yml@refs/heads/main" }
model_server = {
  model           = "breast-cancer"
  certificate_arn = "CERTIFICATE"
}
network           = { cidr_block = "10.99.0.0/16", flow_logs = { enabled = false } }
observability     = { alert_emails = ["ml-team@example.com"], dashboard_enabled = false }
server = {
  cpu_credits   = "unlimited"
  instance_type = "t4g.large"
  port          = 5001
  workers       = 4
}
working_hours     = { start = "08:00" }
"""
KEPT = {"environment", "customer_managed_key"}


@dataclass(frozen=True)
class Existing:
    """An environment whose database and buckets are there, to be taken over by a plan."""

    name: str
    terraform: Terraform

    def planned(self, *arguments: str) -> Plan:
        variables = f"-var-file=environments/{self.name}.tfvars"
        return self.terraform.planned("platform", variables, *arguments)


@pytest.fixture(scope="module", params=["dev", "prod"])
def existing(
    request: pytest.FixtureRequest, terraform: Terraform, account: str
) -> Iterator[Existing]:
    """A database and buckets, for prod encrypted with the key that bootstrap made."""
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    number = session.client("sts", endpoint_url=account).get_caller_identity()["Account"]
    prefix = f"keyless-{request.param}"
    names = [f"{prefix}-{kind}-{number}-us-east-1" for kind in ("artifacts", "access-logs")]
    for name in names:
        session.client("s3", endpoint_url=account).create_bucket(Bucket=name)
    ids = dict(zip(BUCKETS, names, strict=True)) | {DATABASE: prefix}
    encryption: dict[str, Any] = {}
    if request.param == "prod":
        kms = session.client("kms", endpoint_url=account)
        key = kms.describe_key(KeyId="alias/keyless-prod")["KeyMetadata"]["Arn"]
        encryption = {"KmsKeyId": key, "MasterUserSecretKmsKeyId": key}
    session.client("rds", endpoint_url=account).create_db_instance(
        DBInstanceIdentifier=prefix,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        EngineVersion="17",
        AllocatedStorage=20,
        StorageType="gp3",
        StorageEncrypted=True,
        MasterUsername="keyless_master",
        ManageMasterUserPassword=True,
        **encryption,
    )
    imports = terraform.folder / "platform" / "imports.tf"
    imports.write_text(
        "".join(f'import {{\n  to = {to}\n  id = "{found}"\n}}\n' for to, found in ids.items())
    )
    yield Existing(request.param, terraform)
    imports.unlink()


def replaced(plan: Plan) -> set[str]:
    """What a plan deletes, among the database and the buckets, all of which it must know."""
    kept = {
        change["address"]: change["change"]["actions"]
        for change in plan.content["resource_changes"]
        if change["address"] in (DATABASE, *BUCKETS)
    }
    assert set(kept) == {DATABASE, *BUCKETS}
    assert all(
        "importing" in change["change"]
        for change in plan.content["resource_changes"]
        if change["address"] in kept
    )
    return {address for address, actions in kept.items() if "delete" in actions}


def test_every_variable_is_changed() -> None:
    from scripts.stack.docs import inputs

    names = {each.name for each in inputs(PROJECT / "terraform" / "platform")}
    assert {
        line.split(" ")[0] for line in CHANGED.splitlines() if line[:1].isalpha()
    } == names - KEPT


def test_no_other_variable_replaces_the_database_or_a_bucket(existing: Existing) -> None:
    other = "false" if existing.name == "dev" else "true"
    changed = existing.terraform.folder / "platform" / "changed.tfvars"
    changed.write_text(CHANGED.replace("FORCE_DESTROY", other).replace("CERTIFICATE", CERTIFICATE))
    assert replaced(existing.planned("-var-file=changed.tfvars")) == set()


def test_a_key_of_ones_own_replaces_the_database_alone(existing: Existing) -> None:
    if existing.name == "dev":
        assert replaced(existing.planned("-var", "customer_managed_key=true")) == {DATABASE}
        return
    # Nothing would be replaced, but what is new would get another key.
    refused = existing.terraform.plan(
        "platform", "-var-file=environments/prod.tfvars", "-var", "customer_managed_key=false"
    )
    assert refused.code == 1
    assert "prod must keep customer_managed_key = true" in refused.text


def test_a_state_from_when_this_root_made_the_key_lets_go_of_it(
    terraform: Terraform, account: str
) -> None:
    kms = boto3.Session("testing", "testing", region_name="us-east-1").client(
        "kms", endpoint_url=account
    )
    key = kms.describe_key(KeyId="alias/keyless-prod")["KeyMetadata"]
    provider = 'provider["registry.terraform.io/hashicorp/aws"]'
    attributes = {"id": key["KeyId"], "arn": key["Arn"], "key_id": key["KeyId"]}
    state = {
        "version": 4,
        "serial": 1,
        "lineage": "8c1f3a52-0000-4000-8000-000000000000",
        "resources": [
            {
                "mode": "managed",
                "type": "aws_kms_key",
                "name": "environment",
                "provider": provider,
                "instances": [{"index_key": 0, "schema_version": 0, "attributes": attributes}],
            }
        ],
    }
    kept = terraform.folder / "platform" / "terraform.tfstate"
    kept.write_text(json.dumps(state))
    try:
        plan = terraform.planned("platform", "-var-file=environments/prod.tfvars")
    finally:
        kept.unlink()
    [change] = [one for one in plan.content["resource_changes"] if one["type"] == "aws_kms_key"]
    assert change["change"]["actions"] == ["forget"]
