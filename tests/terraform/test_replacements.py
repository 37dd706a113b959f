"""Which variables replace the database or a bucket: those of docs/terraform.md, and no other."""

from collections.abc import Iterator

import boto3
import pytest

from tests.terraform.conftest import Plan, Terraform

pytestmark = pytest.mark.terraform

DATABASE = "module.metadata_store.aws_db_instance.database"
BUCKETS = (
    "module.artifact_store.aws_s3_bucket.artifacts",
    "module.artifact_store.aws_s3_bucket.access_logs[0]",
)
DEV = "-var-file=environments/dev.tfvars"

# Each variable of the platform but `environment` and `customer_managed_key`, far from dev's value.
CHANGED = """
artifact_access = "proxied"
egress          = "endpoints"
park            = true
teardown        = true
tags            = { Team = "ml" }
artifact_store = {
  force_destroy        = false
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
  monitoring          = { interval_seconds = 60, performance_insights = true }
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
job_workflow_refs = { train = "o/r/.github/workflows/train.yml@refs/heads/main" }
network           = { cidr_block = "10.99.0.0/16", flow_logs = { enabled = false } }
observability     = { alert_emails = ["ml-team@example.com"], dashboard_enabled = false }
server            = { instance_type = "t4g.large", port = 5001, workers = 4 }
working_hours     = { start = "08:00" }
"""
KEPT = {"environment", "customer_managed_key"}


@pytest.fixture(scope="module")
def existing(terraform: Terraform, account: str) -> Iterator[Terraform]:
    """A database and buckets that are already there, which the plans take over."""
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    number = session.client("sts", endpoint_url=account).get_caller_identity()["Account"]
    names = [f"keyless-dev-{kind}-{number}-us-east-1" for kind in ("artifacts", "access-logs")]
    for name in names:
        session.client("s3", endpoint_url=account).create_bucket(Bucket=name)
    session.client("rds", endpoint_url=account).create_db_instance(
        DBInstanceIdentifier="keyless-dev",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        EngineVersion="17",
        AllocatedStorage=20,
        StorageType="gp3",
        StorageEncrypted=True,
        MasterUsername="keyless_master",
        ManageMasterUserPassword=True,
    )
    ids = dict(zip((DATABASE, *BUCKETS), ("keyless-dev", *names), strict=True))
    imports = terraform.folder / "platform" / "imports.tf"
    imports.write_text(
        "".join(f'import {{\n  to = {to}\n  id = "{found}"\n}}\n' for to, found in ids.items())
    )
    yield terraform
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


def test_every_variable_is_changed(existing: Terraform) -> None:
    from scripts.terraform_docs import inputs

    names = {each.name for each in inputs(existing.folder / "platform")}
    assert {
        line.split(" ")[0] for line in CHANGED.splitlines() if line[:1].isalpha()
    } == names - KEPT


def test_no_other_variable_replaces_the_database_or_a_bucket(existing: Terraform) -> None:
    (existing.folder / "platform" / "changed.tfvars").write_text(CHANGED)
    assert replaced(existing.planned("platform", DEV, "-var-file=changed.tfvars")) == set()


def test_a_key_of_ones_own_replaces_the_database_alone(existing: Terraform) -> None:
    plan = existing.planned("platform", DEV, "-var", "customer_managed_key=true")
    assert replaced(plan) == {DATABASE}
