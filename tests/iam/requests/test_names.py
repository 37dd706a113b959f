"""A name that could be checked as one resource and served as another is refused."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.requests import HttpRequest, needs, read, rebuilt
from scripts.iam.requests.wire.rebuild import Rebuilt

from .support import ACCOUNT, REGION, FakeAccount, needed, sent

HERE = f"{REGION}:{ACCOUNT}"


def as_sent(made: Rebuilt) -> HttpRequest:
    return HttpRequest(
        made.method, made.path, made.query, made.headers, made.body, "s3", REGION, ACCOUNT
    )


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("rds", "StopDBInstance", {"DBInstanceIdentifier": "keyless-dev:keyless-prod"}),
        ("rds", "StopDBInstance", {"DBInstanceIdentifier": f"arn:aws:rds:{HERE}:db:a:b"}),
        ("rds", "StopDBInstance", {"DBInstanceIdentifier": f"arn:aws:rds:{HERE}:pg:a"}),
        ("rds", "DescribeDBInstances", {"DBInstanceIdentifier": "keyless-*"}),
        ("iam", "DeleteRole", {"RoleName": "a/b"}),
        ("iam", "DeleteRole", {"RoleName": "a:b"}),
        ("iam", "DeleteRole", {"RoleName": "a\n"}),
        ("iam", "DeletePolicy", {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:role/a"}),
        ("iam", "DeletePolicy", {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/*"}),
        ("ssm", "GetParameter", {"Name": "/a:1:2"}),
        ("ssm", "GetParameter", {"Name": "/a/*"}),
        ("ssm", "GetParameter", {"Name": f"arn:aws:ssm:{HERE}:document/a"}),
        ("ssm", "StartSession", {"Target": "i-0a", "DocumentName": "ours/AWS-StartSSHSession"}),
        ("ssm", "StartSession", {"Target": "i-0a:i-0b"}),
        ("ssm", "TerminateSession", {"SessionId": "a:b"}),
        ("secretsmanager", "GetSecretValue", {"SecretId": "a:b"}),
        ("secretsmanager", "GetSecretValue", {"SecretId": f"arn:aws:secretsmanager:{HERE}:a:b:c"}),
        ("secretsmanager", "CreateSecret", {"Name": "a*"}),
        ("logs", "DeleteLogGroup", {"logGroupName": "a:b"}),
        ("logs", "DeleteLogStream", {"logGroupName": "a", "logStreamName": "b:c"}),
        (
            "logs",
            "TagResource",
            {"resourceArn": f"arn:aws:logs:{HERE}:log-group:*", "tags": {"a": "b"}},
        ),
        ("kms", "DisableKey", {"KeyId": "a/b"}),
        ("kms", "DisableKey", {"KeyId": f"arn:aws:kms:{HERE}:key/*"}),
        ("kms", "DeleteAlias", {"AliasName": "k"}),
        ("sns", "DeleteTopic", {"TopicArn": f"arn:aws:sns:{HERE}:a:b:c"}),
        ("sns", "CreateTopic", {"Name": "a:b"}),
        ("events", "DeleteRule", {"Name": "a/b"}),
        ("cloudtrail", "DeleteTrail", {"Name": "a/b"}),
        ("budgets", "DescribeBudget", {"AccountId": ACCOUNT, "BudgetName": "a/b"}),
        ("autoscaling", "DeleteAutoScalingGroup", {"AutoScalingGroupName": "a:b"}),
        ("ec2", "TerminateInstances", {"InstanceIds": ["i-0a,i-0b"]}),
        ("ec2", "TerminateInstances", {"InstanceIds": ["*"]}),
    ],
)
def test_a_doubtful_name_is_refused(
    service: str, operation: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"not the ARN|not a name|no id|neither|holds char|found"):
        needed(service, operation, **parameters)


@pytest.mark.parametrize("key", ["aws:rds:primaryDBInstanceArn", "AWS:autoscaling:groupName"])
def test_tags_that_only_aws_sets_are_refused(key: str) -> None:
    tags = [{"Key": key, "Value": "a"}]
    with pytest.raises(ValueError, match="AWS's own"):
        needed("secretsmanager", "TagResource", SecretId="a", Tags=tags)


def test_tags_of_a_resource_that_differ_in_case_only_are_both_told() -> None:
    """Conditions ignore case: the engine decides nothing by a key that has two values."""
    vpc = f"arn:aws:ec2:{HERE}:vpc/vpc-0a"
    account = FakeAccount(resources={vpc: {"Environment": "dev", "environment": "prod"}})
    [need] = needs(sent("ec2", "DeleteVpc", {"VpcId": "vpc-0a"}), account)
    assert need.context["aws:ResourceTag/Environment"] == ("dev",)
    assert need.context["aws:ResourceTag/environment"] == ("prod",)


@pytest.mark.parametrize("key", [" a", "a\n", "a\r", "\u00a0", "<a>&amp;", "..", "a%20b", "a+b"])
def test_a_batch_deletes_the_very_keys_that_it_names(key: str) -> None:
    batch = sent(
        "s3", "DeleteObjects", {"Bucket": "some-bucket", "Delete": {"Objects": [{"Key": key}]}}
    )
    assert [need.resource for need in needs(batch, FakeAccount())] == [
        f"arn:aws:s3:::some-bucket/{key}"
    ]
    again = read(as_sent(rebuilt(read(batch))))
    assert again.parameters["Delete"]["Objects"] == [{"Key": key}]
