"""Secrets, keys, logs, metrics, topics, budgets, schedules, rules, trails, load balancers."""

from __future__ import annotations

from typing import Any

import pytest

from .support import ACCOUNT, KEY, REGION, FakeAccount, needed, only, pairs_of

SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:kaggle-AbCdEf"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/scheduler"
TAGS = [{"Key": "Environment", "Value": "dev"}]
STORED = FakeAccount(
    secrets={"kaggle": SECRET, SECRET: SECRET},
    secret_keys={SECRET: KEY},
    resources={SECRET: {"Environment": "dev"}},
)


# secrets


@pytest.mark.parametrize("name", ["kaggle", SECRET])
def test_a_secret_is_checked_under_its_whole_arn_with_tags_and_key(name: str) -> None:
    found = needed("secretsmanager", "GetSecretValue", STORED, SecretId=name)
    need = only(found, "secretsmanager:GetSecretValue", SECRET)
    assert need.context["secretsmanager:ResourceTag/Environment"] == ("dev",)
    assert need.context["secretsmanager:VersionStage"] == ("AWSCURRENT",)
    key = only(found, "kms:Decrypt", KEY)
    assert key.context["kms:EncryptionContext:SecretARN"] == (SECRET,)


def test_a_secret_under_the_services_own_key_needs_no_key() -> None:
    account = FakeAccount(secrets={"kaggle": SECRET})
    found = needed("secretsmanager", "GetSecretValue", account, SecretId="kaggle")
    assert pairs_of(found) == [("secretsmanager:GetSecretValue", SECRET)]


def test_a_secret_that_does_not_exist_is_checked_with_an_open_suffix() -> None:
    [need] = needed("secretsmanager", "DescribeSecret", SecretId="kaggle")
    assert need.resource == SECRET.replace("AbCdEf", "??????")


def test_a_batch_reads_each_secret() -> None:
    found = needed("secretsmanager", "BatchGetSecretValue", STORED, SecretIdList=["kaggle"])
    only(found, "secretsmanager:BatchGetSecretValue", "*")
    only(found, "secretsmanager:GetSecretValue", SECRET)


def test_a_batch_chosen_by_filter_is_refused() -> None:
    filters = [{"Key": "name", "Values": ["k"]}]
    with pytest.raises(ValueError, match="SecretIdList"):
        needed("secretsmanager", "BatchGetSecretValue", Filters=filters)


def test_a_new_secret_carries_name_tags_and_key() -> None:
    found = needed(
        "secretsmanager",
        "CreateSecret",
        FakeAccount(keys={"alias/k": KEY}),
        Name="kaggle",
        SecretString="not-a-secret",
        KmsKeyId="alias/k",
        Tags=TAGS,
    )
    need = only(found, "secretsmanager:CreateSecret")
    assert need.context["secretsmanager:Name"] == ("kaggle",)
    assert need.context["secretsmanager:KmsKeyArn"] == (KEY,)
    only(found, "secretsmanager:TagResource")
    only(found, "kms:GenerateDataKey", KEY)


# keys


def test_a_key_is_found_by_alias_and_the_alias_is_reported() -> None:
    account = FakeAccount(keys={"alias/k": KEY}, resources={KEY: {"Environment": "dev"}})
    [need] = needed(
        "kms", "Encrypt", account, KeyId="alias/k", Plaintext=b"a", EncryptionContext={"a": "b"}
    )
    assert need.resource == KEY
    assert need.context["kms:RequestAlias"] == ("alias/k",)
    assert need.context["kms:EncryptionContext:a"] == ("b",)
    assert need.context["kms:EncryptionContextKeys"] == ("a",)
    assert need.context["aws:ResourceTag/Environment"] == ("dev",)


def test_a_decryption_is_checked_on_the_key_that_encrypted() -> None:
    ciphertext = f"arn:aws:kms:{REGION}:{ACCOUNT}:ciphertext/YWJj"
    account = FakeAccount(facts={ciphertext: {"key": KEY}})
    [need] = needed("kms", "Decrypt", account, CiphertextBlob=b"abc")
    assert need.resource == KEY


def test_a_decryption_of_unknown_origin_is_refused() -> None:
    with pytest.raises(ValueError, match="send KeyId"):
        needed("kms", "Decrypt", CiphertextBlob=b"abc")


def test_an_alias_is_checked_on_itself_and_its_keys_old_and_new() -> None:
    other = KEY.replace("1111", "9999")
    account = FakeAccount(keys={"alias/k": KEY, other: other})
    found = needed("kms", "UpdateAlias", account, AliasName="alias/k", TargetKeyId=other)
    alias = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/k"
    assert [need.resource for need in found] == [alias, other, KEY]


def test_a_grant_tells_who_may_do_what() -> None:
    [need] = needed(
        "kms", "CreateGrant", KeyId=KEY, GranteePrincipal=ROLE, Operations=["Decrypt", "Encrypt"]
    )
    assert need.context["kms:GranteePrincipal"] == (ROLE,)
    assert need.context["kms:GrantOperations"] == ("Decrypt", "Encrypt")
    assert need.context["kms:GrantIsForAWSResource"] == ("false",)


# logs


def test_a_group_is_checked_with_the_suffix_that_aws_compares() -> None:
    found = needed("logs", "CreateLogGroup", logGroupName="/keyless/dev", tags={"a": "b"})
    assert pairs_of(found) == [
        ("logs:CreateLogGroup", f"{LOGS}/keyless/dev:log-stream:"),
        ("logs:TagResource", f"{LOGS}/keyless/dev"),
    ]


@pytest.mark.parametrize("suffix", ["", ":*"])
def test_tagging_a_group_is_checked_on_the_group_itself(suffix: str) -> None:
    [need] = needed("logs", "ListTagsForResource", resourceArn=f"{LOGS}a{suffix}")
    assert need.resource == f"{LOGS}a"


def test_events_are_checked_on_their_stream() -> None:
    [need] = needed(
        "logs",
        "PutLogEvents",
        logGroupName="a",
        logStreamName="i-0a/log",
        logEvents=[{"timestamp": 0, "message": "m"}],
    )
    assert need.resource == f"{LOGS}a:log-stream:i-0a/log"


def test_listing_groups_is_checked_on_all_whatever_the_prefix() -> None:
    [need] = needed("logs", "DescribeLogGroups", logGroupNamePrefix="/keyless")
    assert need.resource == f"{LOGS}:log-stream:"


# metrics, topics


def test_an_alarm_tells_its_actions_and_needs_the_right_to_tag() -> None:
    found = needed(
        "cloudwatch",
        "PutMetricAlarm",
        AlarmName="storage",
        EvaluationPeriods=1,
        ComparisonOperator="LessThanThreshold",
        AlarmActions=[TOPIC],
        Tags=TAGS,
    )
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:storage"
    assert pairs_of(found) == [
        ("cloudwatch:PutMetricAlarm", alarm),
        ("cloudwatch:TagResource", alarm),
    ]
    assert found[0].context["cloudwatch:AlarmActions"] == (TOPIC,)


def test_describing_alarms_is_checked_on_those_that_are_named() -> None:
    alarms = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
    named = needed("cloudwatch", "DescribeAlarms", AlarmNames=["a", "b"])
    assert [need.resource for need in named] == [f"{alarms}a", f"{alarms}b"]
    assert needed("cloudwatch", "DescribeAlarms")[0].resource == f"{alarms}*"


def test_a_dashboard_has_no_region() -> None:
    [need] = needed("cloudwatch", "GetDashboard", DashboardName="keyless")
    assert need.resource == f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/keyless"


def test_a_subscription_is_checked_on_its_topic() -> None:
    [need] = needed("sns", "Unsubscribe", SubscriptionArn=f"{TOPIC}:0123")
    assert need.resource == TOPIC


def test_subscribing_tells_where_to() -> None:
    [need] = needed("sns", "Subscribe", TopicArn=TOPIC, Protocol="email", Endpoint="a@example.org")
    assert need.context["sns:Endpoint"] == ("a@example.org",)
    assert need.context["sns:Protocol"] == ("email",)


def test_publishing_to_an_encrypted_topic_needs_its_key() -> None:
    account = FakeAccount(facts={TOPIC: {"kms_key": KEY}})
    found = needed("sns", "Publish", account, TopicArn=TOPIC, Message="a")
    only(found, "kms:GenerateDataKey", KEY)


# budgets, schedules, rules, trails


@pytest.mark.parametrize(
    ("operation", "parameters", "action"),
    [
        (
            "CreateBudget",
            {"Budget": {"BudgetName": "b", "TimeUnit": "MONTHLY", "BudgetType": "COST"}},
            "budgets:ModifyBudget",
        ),
        ("DescribeBudget", {"BudgetName": "b"}, "budgets:ViewBudget"),
        ("DeleteBudget", {"BudgetName": "b"}, "budgets:ModifyBudget"),
        ("DescribeNotificationsForBudget", {"BudgetName": "b"}, "budgets:ViewBudget"),
    ],
)
def test_budgets_have_two_permissions(
    operation: str, parameters: dict[str, Any], action: str
) -> None:
    found = needed("budgets", operation, AccountId=ACCOUNT, **parameters)
    budget = (action, f"arn:aws:budgets::{ACCOUNT}:budget/b")
    assert [one for one in pairs_of(found) if one[0].startswith("budgets:")] == [budget]


def test_a_budget_of_another_account_is_refused() -> None:
    with pytest.raises(ValueError, match="own account"):
        needed("budgets", "DescribeBudget", AccountId="999999999999", BudgetName="b")


@pytest.mark.parametrize("operation", ["CreateSchedule", "UpdateSchedule"])
def test_a_schedule_passes_the_role_of_its_target(operation: str) -> None:
    found = needed(
        "scheduler",
        operation,
        Name="park",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:scheduler:::aws-sdk:rds:stopDBInstance", "RoleArn": ROLE},
    )
    only(
        found,
        f"scheduler:{operation}",
        f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/park",
    )
    assert only(found, "iam:PassRole", ROLE).context == {
        "iam:PassedToService": ("scheduler.amazonaws.com",)
    }


def test_a_rules_target_passes_its_role() -> None:
    targets = [{"Id": "1", "Arn": TOPIC, "RoleArn": ROLE}]
    found = needed("events", "PutTargets", Rule="drift", Targets=targets)
    need = only(found, "events:PutTargets", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/drift")
    assert need.context["events:TargetArn"] == (TOPIC,)
    only(found, "iam:PassRole", ROLE)


def test_a_trail_with_logs_passes_its_role() -> None:
    found = needed(
        "cloudtrail",
        "CreateTrail",
        Name="keyless",
        S3BucketName="some-bucket",
        CloudWatchLogsRoleArn=ROLE,
        TagsList=TAGS,
    )
    trail = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/keyless"
    assert pairs_of(found) == [
        ("cloudtrail:CreateTrail", trail),
        ("cloudtrail:AddTags", trail),
        ("iam:PassRole", ROLE),
    ]


def test_an_accounts_first_load_balancer_looks_at_the_network_with_the_callers_rights() -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html"""
    asked: dict[str, Any] = {"Name": "serve", "Subnets": ["subnet-1"]}
    found = needed("elbv2", "CreateLoadBalancer", **asked)
    assert only(found, "ec2:DescribeAccountAttributes", "*").context["aws:ViaAWSService"]
    only(found, "ec2:DescribeInternetGateways", "*")
    service = "elasticloadbalancing.amazonaws.com"
    name = f"{service}/AWSServiceRoleForElasticLoadBalancing"
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{name}"
    only(found, "iam:CreateServiceLinkedRole", arn)
    made = FakeAccount(facts={arn: {"arn": arn}})
    second = needed("elbv2", "CreateLoadBalancer", made, **asked)
    assert [need.action for need in second] == ["elasticloadbalancing:CreateLoadBalancer"]
