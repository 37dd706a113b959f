"""RDS: a database with a managed master password, its groups and roles, restores."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.requests import Need

from .support import ACCOUNT, KEY, REGION, FakeAccount, needed, only, pairs_of

RDS = f"arn:aws:rds:{REGION}:{ACCOUNT}:"
DATABASE = f"{RDS}db:keyless-dev"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-*"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/monitoring"
ASKED: dict[str, Any] = {
    "DBInstanceIdentifier": "Keyless-dev",
    "DBInstanceClass": "db.t4g.micro",
    "Engine": "postgres",
    "EngineVersion": "17.4",
}


def created(**more: Any) -> list[Need]:
    return needed("rds", "CreateDBInstance", **ASKED, **more)


def on(found: list[Need], action: str) -> list[str]:
    return [need.resource for need in found if need.action == action]


def test_a_database_is_checked_with_its_default_groups() -> None:
    assert on(created(), "rds:CreateDBInstance") == [
        DATABASE,
        f"{RDS}og:default:postgres-17",
        f"{RDS}pg:default.postgres17",
        f"{RDS}subgrp:default",
    ]


def test_a_database_is_checked_with_the_groups_that_it_names() -> None:
    found = created(DBParameterGroupName="ours", DBSubnetGroupName="ours")
    assert on(found, "rds:CreateDBInstance")[2:] == [f"{RDS}pg:ours", f"{RDS}subgrp:ours"]


def test_a_managed_password_is_a_secret_made_with_the_callers_rights() -> None:
    found = created(ManageMasterUserPassword=True)
    for action in ("secretsmanager:CreateSecret", "secretsmanager:TagResource"):
        context = only(found, action, SECRET).context
        assert context["aws:RequestTag/aws:rds:primaryDBInstanceArn"] == (DATABASE,)
        assert context["aws:ViaAWSService"] == ("true",)
    database = only(found, "rds:CreateDBInstance", DATABASE).context
    assert database["rds:ManageMasterUserPassword"] == ("true",)


def test_a_password_of_ones_own_makes_no_secret() -> None:
    found = created(MasterUserPassword="not-a-secret")
    assert not any(need.action.startswith("secretsmanager:") for need in found)


def test_a_secret_under_a_customers_key_needs_that_key() -> None:
    found = created(ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=KEY)
    need = only(found, "kms:GenerateDataKey", KEY)
    assert need.context["kms:ViaService"] == ("secretsmanager.us-east-1.amazonaws.com",)


def test_storage_under_a_customers_key_needs_a_grant_for_the_service() -> None:
    need = only(created(StorageEncrypted=True, KmsKeyId=KEY), "kms:CreateGrant", KEY)
    assert need.context["kms:GrantIsForAWSResource"] == ("true",)
    assert need.context["kms:ViaService"] == ("rds.us-east-1.amazonaws.com",)


def test_enhanced_monitoring_passes_its_role() -> None:
    passed = only(created(MonitoringRoleArn=ROLE), "iam:PassRole", ROLE)
    assert passed.context == {"iam:PassedToService": ("monitoring.rds.amazonaws.com",)}


def test_tags_need_their_own_permission() -> None:
    found = created(Tags=[{"Key": "Environment", "Value": "dev"}])
    need = only(found, "rds:AddTagsToResource", DATABASE)
    assert need.context["rds:req-tag/Environment"] == ("dev",)
    assert need.context["aws:RequestTag/Environment"] == ("dev",)


def test_what_a_database_is_asked_to_be_is_conditions() -> None:
    context = only(created(MultiAZ=True), "rds:CreateDBInstance", DATABASE).context
    assert context["rds:DatabaseClass"] == ("db.t4g.micro",)
    assert context["rds:DatabaseEngine"] == ("postgres",)
    assert context["rds:MultiAz"] == ("true",)
    assert "rds:PubliclyAccessible" not in context  # its network says it


def test_the_services_own_role_is_made_once() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS"
    only(created(), "iam:CreateServiceLinkedRole", arn)
    made = FakeAccount(facts={arn: {"arn": arn}})
    second = needed("rds", "CreateDBInstance", made, **ASKED)
    assert on(second, "iam:CreateServiceLinkedRole") == []


def test_describing_all_databases_is_asked_for_on_all() -> None:
    assert pairs_of(needed("rds", "DescribeDBInstances")) == [
        ("rds:DescribeDBInstances", f"{RDS}db:*")
    ]


def test_describing_one_database_is_asked_for_on_that_one() -> None:
    [need] = needed("rds", "DescribeDBInstances", DBInstanceIdentifier="keyless-dev")
    assert need.resource == DATABASE


def test_an_existing_database_carries_its_tags() -> None:
    account = FakeAccount(resources={DATABASE: {"Environment": "dev"}})
    [need] = needed("rds", "StopDBInstance", account, DBInstanceIdentifier="keyless-dev")
    assert need.context["aws:ResourceTag/Environment"] == ("dev",)
    assert need.context["rds:db-tag/Environment"] == ("dev",)


def test_rotating_the_managed_password_asks_for_the_rotation() -> None:
    found = needed(
        "rds",
        "ModifyDBInstance",
        DBInstanceIdentifier="keyless-dev",
        RotateMasterUserPassword=True,
    )
    only(found, "secretsmanager:RotateSecret", SECRET)


def test_a_restore_reads_its_source_and_makes_its_target() -> None:
    account = FakeAccount(facts={DATABASE: {"engine": "postgres", "engine_version": "17.4"}})
    found = needed(
        "rds",
        "RestoreDBInstanceToPointInTime",
        account,
        SourceDBInstanceIdentifier="keyless-dev",
        TargetDBInstanceIdentifier="keyless-new",
        DBSubnetGroupName="ours",
    )
    assert on(found, "rds:RestoreDBInstanceToPointInTime") == [
        f"{RDS}db:keyless-new",
        DATABASE,
        f"{RDS}og:default:postgres-17",
        f"{RDS}pg:default.postgres17",
        f"{RDS}subgrp:ours",
    ]


def test_a_final_snapshot_needs_the_right_to_make_one() -> None:
    found = needed(
        "rds",
        "DeleteDBInstance",
        DBInstanceIdentifier="keyless-dev",
        FinalDBSnapshotIdentifier="last",
    )
    only(found, "rds:CreateDBSnapshot", f"{RDS}snapshot:last")


def test_tags_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match="not the ARN of such a rds"):
        needed("rds", "ListTagsForResource", ResourceName="arn:aws:s3:::some-bucket")
