"""An eighteenth attack: names that a change leaves empty, what a restore takes over, and calls that
fail after their first half."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.clients import Account
from tests.localcloud.test_eleventh import told

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

DATABASE: dict[str, Any] = {
    "DBInstanceClass": "db.t3.micro", "Engine": "mysql", "AllocatedStorage": 20,
    "MasterUsername": "adm", "MasterUserPassword": "Abcdef123456",
}  # fmt: skip


def test_a_database_is_not_renamed_to_nothing_nor_later(account: Account) -> None:
    """A name has 1 to 63 letters, numbers or hyphens.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    rds = account.client("rds")
    for name in ("first", "second"):
        rds.create_db_instance(DBInstanceIdentifier=name, **DATABASE)
        change = {"DBInstanceIdentifier": name, "NewDBInstanceIdentifier": ""}
        code = told(rds.modify_db_instance, **change, ApplyImmediately=True)
        assert code == "InvalidParameterValue"
    # "will occur during the next maintenance window if you disable ApplyImmediately"
    for waits in ({}, {"ApplyImmediately": False}):
        later: dict[str, Any] = {
            "DBInstanceIdentifier": "first",
            "NewDBInstanceIdentifier": "third",
            **waits,
        }
        assert told(rds.modify_db_instance, **later) == "LocalCloudNotImplemented"
    found = rds.describe_db_instances()["DBInstances"]
    assert {"first", "second"} <= {one["DBInstanceIdentifier"] for one in found}
    change = {"DBInstanceIdentifier": "first", "NewDBInstanceIdentifier": "third"}
    assert told(rds.modify_db_instance, **change, ApplyImmediately=True) == ""


def test_a_user_is_not_renamed_to_nothing(account: Account) -> None:
    """A new name and a new path have at least one character.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html
    """
    iam = account.client("iam", parameter_validation=False)
    iam.create_user(UserName="named")
    for parameter in ("NewUserName", "NewPath"):
        assert told(iam.update_user, UserName="named", **{parameter: ""}) == "ValidationError"


def test_a_restore_takes_no_switch_over_and_heeds_each_that_is_off(account: Account) -> None:
    """IAM's mapping and deletion protection are off unless asked for, the instance is in one zone,
    and the parameter group is the default one.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceToPointInTime.html
    """
    rds = account.client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName="of-source", DBParameterGroupFamily="mysql8.0", Description="d"
    )
    off = dict.fromkeys(
        ("AutoMinorVersionUpgrade", "DeletionProtection", "EnableIAMDatabaseAuthentication",
         "MultiAZ", "PubliclyAccessible"), False
    )  # fmt: skip
    rds.create_db_instance(
        DBInstanceIdentifier="source", DBParameterGroupName="of-source", EngineVersion="8.0.35",
        **DATABASE, **dict.fromkeys(off, True),
    )  # fmt: skip
    rds.create_db_snapshot(DBSnapshotIdentifier="kept", DBInstanceIdentifier="source")

    def restored(name: str, **more: Any) -> list[dict[str, Any]]:
        of_snapshot = rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=f"{name}-snapshot", DBSnapshotIdentifier="kept", **more
        )
        of_time = rds.restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier="source", TargetDBInstanceIdentifier=f"{name}-time",
            UseLatestRestorableTime=True, **more,
        )  # fmt: skip
        return [of_snapshot["DBInstance"], of_time["DBInstance"]]

    shown = [name.replace("EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled")
             for name in off]  # fmt: skip
    by_default = {"DeletionProtection", "IAMDatabaseAuthenticationEnabled", "MultiAZ"}
    for one in restored("plain"):
        assert not any(one[name] for name in by_default)
        groups = [group["DBParameterGroupName"] for group in one["DBParameterGroups"]]
        assert groups == ["default.mysql8.0"]
    for one in restored("off", **off):
        assert not any(one[name] for name in shown)
    for one in restored("on", **dict.fromkeys(off, True)):
        assert all(one[name] for name in shown)


def test_tags_of_several_things_are_set_on_all_or_none(account: Account) -> None:
    """One target group that is not there fails the call.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddTags.html
    """
    elb = account.client("elbv2")
    vpc = account.client("ec2").create_vpc(CidrBlock="10.18.0.0/16")["Vpc"]["VpcId"]
    made = elb.create_target_group(Name="tagged-18", Protocol="HTTP", Port=80, VpcId=vpc)
    group = made["TargetGroups"][0]["TargetGroupArn"]
    kept = [{"Key": "kept", "Value": "x"}]
    elb.add_tags(ResourceArns=[group], Tags=kept)
    both = [group, f"{group[:-3]}000"]
    code = told(elb.add_tags, ResourceArns=both, Tags=[{"Key": "Environment", "Value": "prod"}])
    assert code == "TargetGroupNotFound"
    assert told(elb.remove_tags, ResourceArns=both, TagKeys=["kept"]) == "TargetGroupNotFound"
    assert elb.describe_tags(ResourceArns=[group])["TagDescriptions"][0]["Tags"] == kept


def test_a_buckets_lock_has_one_period_that_there_is(account: Account) -> None:
    """Settings "require both a mode and a period", of 36,500 days or 100 years at most.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
    """
    s3 = account.client("s3")
    s3.create_bucket(Bucket="locked-18", ObjectLockEnabledForBucket=True)
    mode = {"Mode": "GOVERNANCE"}
    for retention, code in (
        (mode, "MalformedXML"),
        ({"Days": 1}, "MalformedXML"),
        ({**mode, "Days": 1, "Years": 1}, "MalformedXML"),
        ({**mode, "Days": 36_501}, "InvalidRetentionPeriod"),
        ({**mode, "Years": 101}, "InvalidRetentionPeriod"),
        ({**mode, "Days": 36_500}, ""),
        ({**mode, "Years": 100}, ""),
    ):
        given = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
        assert code == told(
            s3.put_object_lock_configuration, Bucket="locked-18", ObjectLockConfiguration=given
        )
