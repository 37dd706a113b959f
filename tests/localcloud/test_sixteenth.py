"""A sixteenth attack: what is put again, what a change leaves as it is, and neighbours of former
fixes in calls that do the same by another name.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
`test_read_back.py` has the sweep that found the first of these.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.logs.metric_filters import MetricFilters
from moto.secretsmanager.models import SecretsManagerBackend

from scripts.localcloud.emulator.services import puts
from scripts.localcloud.rules import lesser
from tests.localcloud.clients import Account, statement
from tests.localcloud.test_eleventh import told
from tests.localcloud.test_fourteenth import TAGS, networks, policy

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

__all__ = ["networks"]  # the fixture
METRIC = [{"metricName": "m", "metricNamespace": "n", "metricValue": "1"}]
DATABASE = {"DBInstanceClass": "db.t3.micro", "Engine": "mysql", "AllocatedStorage": 20,
            "MasterUsername": "adm"}  # fmt: skip


def filters(account: Account, group: str) -> list[str]:
    """The patterns of a log group's metric filters, after its one was put twice and deleted."""
    logs = account.client("logs")
    logs.create_log_group(logGroupName=group)
    named = {"logGroupName": group, "filterName": "f"}
    for pattern in ("denied", "allowed"):
        logs.put_metric_filter(**named, filterPattern=pattern, metricTransformations=METRIC)
    shown = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    logs.delete_metric_filter(**named)
    left = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    return [one["filterPattern"] for one in shown] + [one["filterPattern"] for one in left]


def test_a_metric_filter_that_is_put_again_is_one(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html"""
    assert filters(account, "once") == ["allowed"]
    moved = MetricFilters.add_filter
    monkeypatch.setattr(MetricFilters, "add_filter", moved.__wrapped__)  # type: ignore[attr-defined]
    assert filters(account, "twice") == ["denied", "allowed", "allowed"]


def test_selectors_of_a_trail_are_those_that_were_put_last(account: Account) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html"""
    trail, named = account.client("cloudtrail"), {"TrailName": "t16"}
    account.client("s3").create_bucket(Bucket="of-the-trail-16")
    trail.create_trail(Name="t16", S3BucketName="of-the-trail-16")
    for kind in ("ApiCallRateInsight", "ApiErrorRateInsight"):
        trail.put_insight_selectors(**named, InsightSelectors=[{"InsightType": kind}])
    shown = trail.get_insight_selectors(**named)["InsightSelectors"]
    assert shown == [{"InsightType": "ApiErrorRateInsight"}]
    assert trail.get_trail(Name="t16")["Trail"]["HasInsightSelectors"]
    trail.put_insight_selectors(**named, InsightSelectors=[])
    assert not trail.get_trail(Name="t16")["Trail"]["HasInsightSelectors"]
    field = {"Field": "eventCategory", "Equals": ["Management"]}
    trail.put_event_selectors(**named, AdvancedEventSelectors=[{"FieldSelectors": [field]}])
    assert trail.get_trail(Name="t16")["Trail"]["HasCustomEventSelectors"]
    trail.put_event_selectors(**named, EventSelectors=[{"ReadWriteType": "WriteOnly"}])
    shown = trail.get_event_selectors(**named)
    assert shown["EventSelectors"] and not shown.get("AdvancedEventSelectors")


def test_a_change_of_a_login_leaves_its_password(account: Account) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateLoginProfile.html"""
    iam, named = account.client("iam"), {"UserName": "logs-in"}
    iam.create_user(**named)
    iam.create_login_profile(**named, Password="Abcdef12!3456")
    iam.update_login_profile(**named, PasswordResetRequired=False)
    assert iam.get_login_profile(**named)["LoginProfile"]["UserName"] == "logs-in"


def test_the_current_version_of_a_secret_is_the_labelled_one(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html"""
    secrets = account.client("secretsmanager")

    def back(name: str) -> str:
        """The value that is read after the label went back from a second to the first."""
        old = secrets.create_secret(Name=name, SecretString="old")["VersionId"]
        new = secrets.put_secret_value(SecretId=name, SecretString="new")["VersionId"]
        secrets.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=old, RemoveFromVersionId=new
        )
        return str(secrets.get_secret_value(SecretId=name)["SecretString"])

    assert back("rolled-back") == "old"
    secrets.put_secret_value(SecretId="rolled-back", SecretString="newer")
    shown = secrets.list_secret_version_ids(SecretId="rolled-back", IncludeDeprecated=True)
    stages = [stage for one in shown["Versions"] for stage in one.get("VersionStages") or ()]
    assert sorted(stages) == ["AWSCURRENT", "AWSPREVIOUS"]
    first, second = (one["VersionId"] for one in shown["Versions"] if one.get("VersionStages"))
    label = {"SecretId": "rolled-back", "VersionStage": "mine"}
    move = secrets.update_secret_version_stage
    move(**label, MoveToVersionId=first)
    assert told(move, **label, MoveToVersionId=second) == "InvalidParameterException"
    move(**label, MoveToVersionId=second, RemoveFromVersionId=first)
    as_moto = SecretsManagerBackend.update_secret_version_stage.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(SecretsManagerBackend, "update_secret_version_stage", as_moto)
    assert back("stays") == "new"


def test_a_secret_that_waits_for_its_deletion_is_not_tagged_or_opened(account: Account) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html"""
    secrets, named = account.client("secretsmanager"), {"SecretId": "waits-16"}
    secrets.create_secret(Name="waits-16", SecretString="x")
    secrets.delete_secret(**named, RecoveryWindowInDays=7)
    text = policy(statement("secretsmanager:*", Principal={"AWS": account.cloud.account_id}))
    wrong = "InvalidRequestException"
    assert told(secrets.tag_resource, **named, Tags=TAGS) == wrong
    assert told(secrets.untag_resource, **named, TagKeys=["owner"]) == wrong
    assert told(secrets.put_resource_policy, **named, ResourcePolicy=text) == wrong
    assert told(secrets.delete_resource_policy, **named) == wrong
    secrets.restore_secret(**named)
    secrets.tag_resource(**named, Tags=TAGS)


def test_tags_of_what_is_put_again_are_passed_over(account: Account) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
    events, watch = account.client("events"), account.client("cloudwatch")
    rule = {"Name": "r16", "ScheduleExpression": "rate(1 hour)"}
    alarm: dict[str, Any] = {
        "AlarmName": "a16", "MetricName": "m", "Namespace": "n", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    other = [{"Key": "owner", "Value": "other"}]
    for tags in (TAGS, other):
        arn = events.put_rule(**rule, Tags=tags)["RuleArn"]
        watch.put_metric_alarm(**alarm, Tags=tags)
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == TAGS
    [found] = watch.describe_alarms(AlarmNames=["a16"])["MetricAlarms"]
    assert watch.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"] == TAGS


def test_a_rule_has_five_targets(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""
    events, ours = account.client("events"), account.cloud.account_id
    events.put_rule(Name="five", ScheduleExpression="rate(1 hour)")
    arn = f"arn:aws:sns:{account.cloud.region}:{ours}:t"
    targets = [{"Id": str(number), "Arn": arn} for number in range(6)]
    events.put_targets(Rule="five", Targets=targets[:5])
    events.put_targets(Rule="five", Targets=targets[:1])
    code = told(events.put_targets, Rule="five", Targets=targets[5:])
    assert code == "LimitExceededException"
    monkeypatch.setattr(lesser, "_MOST_TARGETS", 6)
    events.put_targets(Rule="five", Targets=targets[5:])


def test_an_alias_stays_with_keys_of_its_kind(account: Account) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_UpdateAlias.html"""
    kms = account.client("kms")
    first, second = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    other = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    kms.create_alias(AliasName="alias/kind", TargetKeyId=first)
    move = kms.update_alias
    assert told(move, AliasName="alias/kind", TargetKeyId=other["KeyId"]) == "ValidationException"
    move(AliasName="alias/kind", TargetKeyId=second)


def test_an_updated_document_is_of_its_type(account: Account) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html"""
    ssm = account.client("ssm")

    def text(version: str, description: str) -> str:
        return json.dumps({"schemaVersion": version, "description": description,
                           "sessionType": "Standard_Stream"})  # fmt: skip

    ssm.create_document(Name="session16", Content=text("1.0", "a"), DocumentType="Session")
    update, named = ssm.update_document, {"Name": "session16", "DocumentVersion": "$LATEST"}
    assert told(update, **named, Content=text("2.2", "b")) == "InvalidDocumentSchemaVersion"
    update(**named, Content=text("1.0", "c"))


def test_objects_are_locked_where_their_versions_are_kept(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html"""
    s3, named = account.client("s3"), {"Bucket": "suspended-16"}
    s3.create_bucket(**named)
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(**named, VersioningConfiguration={"Status": status})
    lock = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    assert told(s3.put_object_lock_configuration, **named, **lock) == "InvalidBucketState"
    assert s3.get_bucket_versioning(**named)["Status"] == "Suspended"
    s3.put_bucket_versioning(**named, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**named, **lock)


def test_a_restored_database_is_of_one_network(account: Account, networks: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceToPointInTime.html"""
    rds = account.client("rds")
    rds.create_db_instance(DBInstanceIdentifier="source-16", **DATABASE, BackupRetentionPeriod=1,
                           MasterUserPassword="Abcdef123456")  # fmt: skip
    restored = {"SourceDBInstanceIdentifier": "source-16", "UseLatestRestorableTime": True,
                "TargetDBInstanceIdentifier": "later-16"}  # fmt: skip
    foreign = {"VpcSecurityGroupIds": [networks["group"]]}
    code = told(rds.restore_db_instance_to_point_in_time, **restored, **foreign)
    assert code == "InvalidParameterCombination"


def test_an_instance_keeps_a_security_group(account: Account, networks: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html"""
    ec2, group = account.client("ec2"), networks["group"]
    [made] = ec2.run_instances(
        ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, SubnetId=networks["theirs"][0],
        SecurityGroupIds=[group],
    )["Instances"]  # fmt: skip
    change, named = ec2.modify_instance_attribute, {"InstanceId": made["InstanceId"]}
    assert told(change, **named, Groups=["sg-0123456789abcdef0"]) == "InvalidGroup.NotFound"
    assert (
        told(change, **named) == told(change, **named, Groups=[]) == "InvalidParameterCombination"
    )
    [found] = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0][
        "Instances"
    ]
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [group]
    change(**named, Groups=[group])
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_attributes_of_load_balancing_are_such(account: Account, networks: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html"""
    elb = account.client("elbv2")
    group = elb.create_target_group(Name="of-16", Protocol="HTTP", Port=80,
                                    VpcId=networks["other"])["TargetGroups"][0]  # fmt: skip
    balancer = elb.create_load_balancer(Name="b16", Subnets=networks["ours"])["LoadBalancers"][0]

    def put(name: str, value: str) -> str:
        given = {"Attributes": [{"Key": name, "Value": value}]}
        if name.startswith("deletion"):
            arn = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
            return told(elb.modify_load_balancer_attributes, **arn, **given)
        arn = {"TargetGroupArn": group["TargetGroupArn"]}
        return told(elb.modify_target_group_attributes, **arn, **given)

    wrong = "InvalidConfigurationRequest"
    assert put("deletion_protection.enabled", "True") == wrong
    assert put("stickiness.enabled", "maybe") == put("nonsense", "x") == wrong
    assert put("deletion_protection.enabled", "true") == put("stickiness.enabled", "true") == ""
    assert put("deletion_protection.enabled", "false") == ""
    assert put("load_balancing.cross_zone.enabled", "use_load_balancer_configuration") == ""


def test_a_managed_password_is_given_up_for_another_and_rotated(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html"""
    rds, secrets = account.client("rds"), account.client("secretsmanager")

    def secret(name: str) -> str:
        [shown] = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        return str(shown["MasterUserSecret"]["SecretArn"])

    def change(name: str, **given: Any) -> str:
        given |= {"DBInstanceIdentifier": name, "ApplyImmediately": True}
        return told(rds.modify_db_instance, **given)

    rds.create_db_instance(DBInstanceIdentifier="managed-16", **DATABASE,
                           ManageMasterUserPassword=True)  # fmt: skip
    arn = secret("managed-16")
    before = secrets.get_secret_value(SecretId=arn)["SecretString"]
    assert change("managed-16", ManageMasterUserPassword=True) == ""
    assert secret("managed-16") == arn
    assert change("managed-16", RotateMasterUserPassword=True) == ""
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] != before
    wrong = "InvalidParameterCombination"
    assert change("managed-16", ManageMasterUserPassword=False) == wrong
    given = {"ManageMasterUserPassword": False, "MasterUserPassword": "Abcdef123456"}
    assert change("managed-16", **given) == ""
    assert change("managed-16", RotateMasterUserPassword=True) == wrong
    for kind in ("DisableLogTypes", "EnableLogTypes", "EnableLogTypes"):
        assert change("managed-16", CloudwatchLogsExportConfiguration={kind: ["error"]}) == ""
    [shown] = rds.describe_db_instances(DBInstanceIdentifier="managed-16")["DBInstances"]
    assert shown["EnabledCloudwatchLogsExports"] == ["error"]


def test_an_instance_of_a_group_is_of_the_template_it_started_with(
    account: Account, networks: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html"""
    scaling, ec2 = account.client("autoscaling"), account.client("ec2")
    image = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro"}
    for name in ("before", "after"):
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=image)
    named = {"AutoScalingGroupName": "of-templates"}
    scaling.create_auto_scaling_group(
        **named, MinSize=1, MaxSize=2, VPCZoneIdentifier=networks["ours"][0],
        LaunchTemplate={"LaunchTemplateName": "before"},
    )  # fmt: skip
    scaling.update_auto_scaling_group(**named, LaunchTemplate={"LaunchTemplateName": "after"})
    scaling.set_desired_capacity(**named, DesiredCapacity=2)
    [group] = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["of-templates"])[
        "AutoScalingGroups"
    ]
    shown = sorted(one["LaunchTemplate"]["LaunchTemplateName"] for one in group["Instances"])
    assert shown == ["after", "before"]
    scaling.delete_auto_scaling_group(**named, ForceDelete=True)


def test_values_of_topics_subscriptions_and_parameters(account: Account) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html"""
    sns, ssm = account.client("sns"), account.client("ssm")
    topic = sns.create_topic(Name="t16")["TopicArn"]
    fifo = {"AttributeName": "FifoTopic", "AttributeValue": "true"}
    assert told(sns.set_topic_attributes, TopicArn=topic, **fifo) == "InvalidParameter"
    arn = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com",
                        ReturnSubscriptionArn=True)["SubscriptionArn"]  # fmt: skip

    def put(name: str, value: str) -> str:
        given = {"AttributeName": name, "AttributeValue": value}
        return told(sns.set_subscription_attributes, SubscriptionArn=arn, **given)

    wrong = "InvalidParameter"
    assert put("FilterPolicy", "garbage") == put("FilterPolicyScope", "x") == wrong
    assert put("RawMessageDelivery", "maybe") == put("RedrivePolicy", "x") == wrong
    assert put("FilterPolicy", '{"a": ["b"]}') == put("RawMessageDelivery", "true") == ""
    kept = {"Name": "/tier16", "Value": "x", "Overwrite": True}
    ssm.put_parameter(Name="/tier16", Value="x", Type="String", Tier="Advanced")
    assert told(ssm.put_parameter, **kept, Tier="Standard") == "ValidationException"
    assert told(ssm.put_parameter, **kept, Type="SecureString") == "LocalCloudNotImplemented"
    ssm.put_parameter(**kept, Tier="Advanced")


def test_keys_of_a_renamed_user_are_its_own(account: Account) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html"""
    iam = account.client("iam")
    iam.create_user(UserName="named-16")
    iam.create_access_key(UserName="named-16")
    iam.update_user(UserName="named-16", NewUserName="renamed-16")
    [key] = iam.list_access_keys(UserName="renamed-16")["AccessKeyMetadata"]
    assert key["UserName"] == "renamed-16"


def test_what_is_patched_is_put_back() -> None:
    before = MetricFilters.add_filter
    with puts.in_place():
        assert MetricFilters.add_filter is not before
    assert MetricFilters.add_filter is before
