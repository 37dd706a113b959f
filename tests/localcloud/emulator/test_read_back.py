"""What a call changes is what it names: each thing is made, one parameter of it changed, and it is
read again. The new value must be there, and nothing else may have changed.

A case names the call, what stays the same, the parameter and its new value; `with_it` are other
names that AWS changes along with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from scripts.iam.requests.mapping import SERVICES
from tests.localcloud.clients import Account
from tests.localcloud.unread.sweep import plain

Leaves = dict[tuple[str, ...], Any]
# When something was changed, and the mark of its state.
_WHEN = re.compile(
    r"lastmodified.*|.*updated.*timestamp|lastchangeddate|lastupdated.*|latestrestorabletime"
)
_IDENTITIES = ("AttributeName", "Key", "Name", "key")


class Read(NamedTuple):
    method: str
    given: dict[str, Any]


class Case(NamedTuple):
    method: str
    given: dict[str, Any]
    name: str
    value: Any
    with_it: tuple[str, ...] = ()


Things = Callable[[Account], tuple[list[Read], list[Case]]]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every text, number and word of an answer, by where it stands; tags and attributes by name."""
    match value:
        case {"Key": str(key), "Value": inner}:
            yield (*path, key), inner
        case dict():
            for name, inner in value.items():
                if name != "ResponseMetadata":
                    yield from leaves(inner, (*path, str(name)))
        case list():
            for number, inner in enumerate(value):
                names = [inner[one] for one in _IDENTITIES if isinstance(inner, dict) and
                         isinstance(inner.get(one), str)]  # fmt: skip
                yield from leaves(inner, (*path, names[0] if names else str(number)))
        case _:
            yield path, value


def asked(name: str, value: Any) -> set[str]:
    """The names under which a new value may show."""
    found = {plain(name), plain(re.sub("^(New|Default)|(IDs?|List|s)$", "", name))}
    found |= {plain(part) for path, _ in leaves(value) for part in path}
    return found | ({plain(value)} if isinstance(value, str) else set())


def changed(before: Leaves, after: Leaves) -> list[tuple[str, ...]]:
    return [path for path in {**before, **after} if before.get(path) != after.get(path)]


def _autoscaling(account: Account) -> tuple[list[Read], list[Case]]:
    ec2, scaling = account.client("ec2"), account.client("autoscaling")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    zones = [f"{account.cloud.region}{letter}" for letter in "ab"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.77.{n}.0/24", AvailabilityZone=zone)["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate(zones)
    ]
    for name in ("read-1", "read-2"):
        data = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro"}
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    named = {"AutoScalingGroupName": "read"}
    scaling.create_auto_scaling_group(
        **named, MinSize=0, MaxSize=4, LaunchTemplate={"LaunchTemplateName": "read-1"},
        VPCZoneIdentifier=subnets[0], HealthCheckGracePeriod=100,
    )  # fmt: skip
    update = "update_auto_scaling_group"
    policy = {**named, "PolicyName": "p", "AdjustmentType": "ChangeInCapacity"}
    scaling.put_scaling_policy(**policy, ScalingAdjustment=1, Cooldown=10)
    action = {**named, "ScheduledActionName": "s", "Recurrence": "0 1 * * *"}
    scaling.put_scheduled_update_group_action(**action, MinSize=1)
    tag = {"ResourceId": "read", "ResourceType": "auto-scaling-group", "Key": "a", "Value": "b",
           "PropagateAtLaunch": True}  # fmt: skip
    return [
        Read("describe_auto_scaling_groups", {"AutoScalingGroupNames": ["read"]}),
        Read("describe_policies", {}),
        Read("describe_scheduled_actions", {}),
    ], [
        Case(update, named, "MaxSize", 5),
        Case(update, named, "HealthCheckGracePeriod", 55),
        Case(update, named, "HealthCheckType", "ELB"),
        Case(update, named, "NewInstancesProtectedFromScaleIn", True),
        Case(update, named, "VPCZoneIdentifier", ",".join(subnets), ("AvailabilityZones",)),
        Case(update, named, "LaunchTemplate", {"LaunchTemplateName": "read-2"},
             ("LaunchTemplateId",)),
        Case("put_scaling_policy", {**policy, "ScalingAdjustment": 1}, "Cooldown", 20),
        Case("put_scaling_policy", {**policy, "Cooldown": 20}, "ScalingAdjustment", 2),
        Case("put_scheduled_update_group_action", action, "MinSize", 2),
        Case("create_or_update_tags", {}, "Tags", [tag]),
    ]  # fmt: skip


def _cloudtrail(account: Account) -> tuple[list[Read], list[Case]]:
    trail, named = account.client("cloudtrail"), {"Name": "read"}
    for bucket in ("read-trail-1", "read-trail-2"):
        account.client("s3").create_bucket(Bucket=bucket)
    trail.create_trail(**named, S3BucketName="read-trail-1", S3KeyPrefix="p")
    of_trail = {"TrailName": "read"}
    insights = [[{"InsightType": kind}] for kind in ("ApiCallRateInsight", "ApiErrorRateInsight")]
    custom, has = "HasCustomEventSelectors", "HasInsightSelectors"
    field = {"Field": "eventCategory", "Equals": ["Management"]}
    return [
        Read("get_trail", named),
        Read("get_event_selectors", of_trail),
        Read("get_insight_selectors", of_trail),
    ], [
        Case("update_trail", named, "S3BucketName", "read-trail-2"),
        Case("update_trail", named, "S3KeyPrefix", "q"),
        Case("update_trail", named, "EnableLogFileValidation", True, ("LogFileValidationEnabled",)),
        Case("update_trail", named, "IsMultiRegionTrail", True),
        Case("put_event_selectors", of_trail, "EventSelectors", [{"ReadWriteType": "WriteOnly"}],
             (custom, "DataResources", "IncludeManagementEvents")),
        Case("put_event_selectors", of_trail, "AdvancedEventSelectors",
             [{"FieldSelectors": [field]}], ("EventSelectors",)),  # a trail has one kind
        *(Case("put_insight_selectors", of_trail, "InsightSelectors", one, (has,))
          for one in (*insights, [])),
    ]  # fmt: skip


def _cloudwatch(account: Account) -> tuple[list[Read], list[Case]]:
    topic = f"arn:aws:sns:{account.cloud.region}:{account.cloud.account_id}:t"
    alarm: dict[str, Any] = {
        "AlarmName": "read", "MetricName": "m", "Namespace": "n", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 2, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    watch, given = account.client("cloudwatch"), dict(alarm)
    watch.put_metric_alarm(**alarm)
    cases = []
    for name, value in {
        "AlarmDescription": "d", "ActionsEnabled": False, "OKActions": [topic],
        "AlarmActions": [topic], "MetricName": "m2", "Statistic": "Average",
        "Dimensions": [{"Name": "e", "Value": "v"}], "Period": 120, "Unit": "Bytes",
        "EvaluationPeriods": 3, "DatapointsToAlarm": 1, "Threshold": 2.0,
        "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching",
    }.items():  # fmt: skip
        cases.append(Case("put_metric_alarm", dict(given), name, value))
        given[name] = value
    cases.append(Case("enable_alarm_actions", {}, "AlarmNames", ["read"], ("ActionsEnabled",)))
    state = {"AlarmName": "read", "StateReason": "r"}
    with_it = ("StateReason", "StateReasonData")
    cases.append(Case("set_alarm_state", state, "StateValue", "ALARM", with_it))
    return [Read("describe_alarms", {"AlarmNames": ["read"]})], cases


def _events(account: Account) -> tuple[list[Read], list[Case]]:
    rule = {"Name": "read", "ScheduleExpression": "rate(1 hour)", "Description": "d"}
    account.client("events").put_rule(**rule)
    target = {"Id": "1", "Arn": f"arn:aws:sns:us-east-1:{account.cloud.account_id}:t"}
    account.client("events").put_targets(Rule="read", Targets=[target])
    arn = f"arn:aws:events:{account.cloud.region}:{account.cloud.account_id}:rule/read"
    return [
        Read("describe_rule", {"Name": "read"}),
        Read("list_targets_by_rule", {"Rule": "read"}),
        Read("list_tags_for_resource", {"ResourceARN": arn}),
    ], [
        Case("put_rule", rule, "Description", "e"),
        Case("put_rule", {**rule, "Description": "e"}, "ScheduleExpression", "rate(2 hours)"),
        Case("disable_rule", {}, "Name", "read", ("State",)),
        Case("enable_rule", {}, "Name", "read", ("State",)),
        Case("put_targets", {"Rule": "read"}, "Targets", [{**target, "Input": "{}"}]),
        Case("put_targets", {"Rule": "read"}, "Targets", [{**target, "InputPath": "$.a"}],
             ("Input",)),  # a target is put whole
        Case("tag_resource", {"ResourceARN": arn}, "Tags", [{"Key": "a", "Value": "b"}]),
    ]  # fmt: skip


def _iam(account: Account) -> tuple[list[Read], list[Case]]:
    iam = account.client("iam")
    role, user = {"RoleName": "read"}, {"UserName": "read"}
    iam.create_role(**role, AssumeRolePolicyDocument=json.dumps(_trust("ec2.amazonaws.com")))
    iam.create_user(**user)
    iam.create_login_profile(**user, Password="Abcdef12!3456")
    key = iam.create_access_key(**user)["AccessKey"]["AccessKeyId"]
    tags = [{"Key": "a", "Value": "b"}]
    return [
        Read("get_role", role), Read("get_user", user), Read("list_access_keys", user),
        Read("get_login_profile", user),
    ], [
        Case("update_role", role, "Description", "new"),
        Case("update_role", {**role, "Description": "new"}, "MaxSessionDuration", 7200),
        Case("update_role_description", role, "Description", "newer"),
        Case("update_assume_role_policy", role, "PolicyDocument",
             json.dumps(_trust("rds.amazonaws.com")), ("AssumeRolePolicyDocument",)),
        Case("tag_role", role, "Tags", tags), Case("tag_user", user, "Tags", tags),
        Case("update_access_key", {**user, "AccessKeyId": key}, "Status", "Inactive"),
        Case("update_login_profile", user, "PasswordResetRequired", True),
        Case("update_user", user, "NewPath", "/q/", ("Arn",)),
    ]  # fmt: skip


def _kms(account: Account) -> tuple[list[Read], list[Case]]:
    kms = account.client("kms")
    key, other = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    kms.create_alias(AliasName="alias/read", TargetKeyId=key)
    named = {"KeyId": key}
    state = ("KeyState", "Enabled")
    return [
        Read("describe_key", named), Read("get_key_rotation_status", named),
        Read("describe_key", {"KeyId": "alias/read"}), Read("list_resource_tags", named),
    ], [
        Case("update_key_description", named, "Description", "new"),
        Case("enable_key_rotation", {}, "KeyId", key,
             ("KeyRotationEnabled", "RotationPeriodInDays", "NextRotationDate")),
        Case("tag_resource", named, "Tags", [{"TagKey": "a", "TagValue": "b"}]),
        Case("disable_key", {}, "KeyId", key, state), Case("enable_key", {}, "KeyId", key, state),
        Case("update_alias", {"AliasName": "alias/read"}, "TargetKeyId", other,
             ("KeyId", "Arn", "CreationDate", "Description")),
        Case("schedule_key_deletion", named, "PendingWindowInDays", 9,
             (*state, "DeletionDate", "KeyRotationEnabled", "NextRotationDate")),
    ]  # fmt: skip


def _logs(account: Account) -> tuple[list[Read], list[Case]]:
    logs, named = account.client("logs"), {"logGroupName": "read"}
    logs.create_log_group(**named)
    metric = {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}
    put = {**named, "filterName": "f", "metricTransformations": [metric]}
    logs.put_metric_filter(**put, filterPattern="x")
    again = {**put, "filterPattern": "y"}
    return [
        Read("describe_log_groups", {"logGroupNamePrefix": "read"}),
        Read("describe_metric_filters", named),
        Read("list_tags_log_group", named),
    ], [
        Case("put_retention_policy", named, "retentionInDays", 7),
        Case("put_metric_filter", put, "filterPattern", "y"),
        Case("put_metric_filter", again, "metricTransformations", [{**metric, "unit": "Bytes"}]),
        Case("tag_log_group", named, "tags", {"a": "b"}),
    ]  # fmt: skip


def _rds(account: Account) -> tuple[list[Read], list[Case]]:
    rds, named = account.client("rds"), {"DBInstanceIdentifier": "read"}
    rds.create_db_instance(
        **named, DBInstanceClass="db.t3.micro", Engine="mysql", AllocatedStorage=20,
        MasterUsername="adm", MasterUserPassword="Abcdef123456",
    )  # fmt: skip
    change, now = "modify_db_instance", {**named, "ApplyImmediately": True}
    return [Read("describe_db_instances", named)], [
        Case(change, now, name, value, with_it)
        for name, value, with_it in (
            ("AllocatedStorage", 30, ()), ("DBInstanceClass", "db.t3.small", ()),
            ("MultiAZ", True, ()), ("BackupRetentionPeriod", 3, ("LatestRestorableTime",)),
            ("AutoMinorVersionUpgrade", True, ()), ("CopyTagsToSnapshot", True, ()),
            ("DeletionProtection", True, ()), ("PubliclyAccessible", True, ()),
            ("EnableIAMDatabaseAuthentication", True, ("IAMDatabaseAuthenticationEnabled",)),
            ("CloudwatchLogsExportConfiguration", {"EnableLogTypes": ["error"]},
             ("EnabledCloudwatchLogsExports",)),
        )
    ]  # fmt: skip


def _secretsmanager(account: Account) -> tuple[list[Read], list[Case]]:
    secrets, named = account.client("secretsmanager"), {"SecretId": "read"}
    secrets.create_secret(Name="read", SecretString="1", Description="d")
    key = account.client("kms").create_key()["KeyMetadata"]["KeyId"]
    version = ("VersionId", "VersionIdsToStages", "CreatedDate")
    return [Read("describe_secret", named), Read("get_secret_value", named)], [
        Case("update_secret", named, "Description", "e"),
        Case("update_secret", named, "KmsKeyId", key),
        Case("update_secret", named, "SecretString", "2", version),
        Case("put_secret_value", named, "SecretString", "3", version),
        Case("tag_resource", named, "Tags", [{"Key": "a", "Value": "b"}]),
    ]


def _ssm(account: Account) -> tuple[list[Read], list[Case]]:
    ssm = account.client("ssm")
    ssm.put_parameter(Name="/read", Value="v", Type="String", Description="d")
    put = {"Name": "/read", "Overwrite": True}
    return [
        Read("get_parameter", {"Name": "/read"}),
        Read("describe_parameters",
             {"ParameterFilters": [{"Key": "Name", "Values": ["/read"]}]}),
    ], [
        Case("put_parameter", put, "Value", "w", ("Version",)),
        Case("put_parameter", {**put, "Value": "w"}, "Description", "e", ("Version",)),
        Case("put_parameter", {**put, "Value": "w"}, "Tier", "Advanced", ("Version",)),
    ]  # fmt: skip


def _trust(service: str) -> dict[str, Any]:
    one = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": one}


THINGS: dict[str, Things] = {
    "autoscaling": _autoscaling, "cloudtrail": _cloudtrail, "cloudwatch": _cloudwatch,
    "events": _events, "iam": _iam, "kms": _kms, "logs": _logs, "rds": _rds,
    "secretsmanager": _secretsmanager, "ssm": _ssm,
}  # fmt: skip


def wrong(account: Account, service: str) -> Iterator[str]:
    """What a service's changes did beside what they were asked for."""
    client = account.client(service)
    reads, cases = THINGS[service](account)

    def read() -> Leaves:
        return {
            (str(number), *path): value
            for number, one in enumerate(reads)
            for path, value in leaves(getattr(client, one.method)(**one.given))
        }

    before = read()
    for case in cases:
        getattr(client, case.method)(**{**case.given, case.name: case.value})
        after = read()
        names = asked(case.name, case.value) | {plain(one) for one in case.with_it}
        paths = changed(before, after)
        if not paths:
            yield f"{case.method} {case.name}: nothing changed"
        for path in paths:
            parts = {plain(part) for part in path}
            if not parts & names and not any(_WHEN.fullmatch(part) for part in parts):
                where = ".".join(path)
                yield f"{case.method} {case.name}: {where} {before.get(path)!r} {after.get(path)!r}"
        before = after


@pytest.mark.parametrize("service", THINGS)
def test_a_change_is_the_one_that_was_asked_for(account: Account, service: str) -> None:
    assert not [*wrong(account, service)]


def test_the_changes_are_mapped_calls() -> None:
    models = {one.model: one.table for one in SERVICES.values()}
    assert all(name in models for name in THINGS)
