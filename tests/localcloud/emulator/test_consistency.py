"""Eventual consistency: what was just made counts later, and is refused with AWS's errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.emulator.consistency import Consistency, Lags
from tests.localcloud.clients import Account, statement

pytestmark = pytest.mark.slow

LAGS = Lags(identities=8, tags=4, tags_of_keys=12)
TAGS = [{"Key": "Environment", "Value": "dev"}]
BY_TAG = {"StringEquals": {"aws:ResourceTag/Environment": "dev"}}


@pytest.fixture(scope="module")
def slow() -> Iterator[Account]:
    with LocalCloud(lags=LAGS) as cloud:
        cloud.backend("iam").create_open_id_connect_provider(
            f"https://{'token.actions.githubusercontent.com'}",
            ["a" * 40],
            ["sts.amazonaws.com"],
            [],
        )
        yield Account(cloud)


def code(call: Callable[..., Any], **parameters: Any) -> str:
    """The code of the error, "" if there is none."""
    try:
        call(**parameters)
    except ClientError as failure:
        return str(failure.response["Error"]["Code"])
    return ""


def pass_requests(account: Account, count: int) -> None:
    for _ in range(count):
        account.client("sts").get_caller_identity()


def trust(service: str) -> dict[str, Any]:
    allow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [allow]}


def settled(account: Account, name: str, *statements: Any) -> Credentials:
    """A session of a role that everybody knows."""
    arn = account.job_role(name)
    if statements:
        account.allow(name, *statements)
    pass_requests(account, LAGS.identities)
    return account.assume(arn)


def test_a_new_role_cannot_be_assumed_at_once(slow: Account) -> None:
    arn = slow.job_role("new")
    with pytest.raises(ClientError, match="AccessDenied"):
        slow.assume(arn)
    pass_requests(slow, LAGS.identities)
    slow.assume(arn)


def test_a_new_policy_allows_nothing_at_once_and_a_changed_one_what_it_did(slow: Account) -> None:
    who = settled(slow, "reader")
    ec2 = slow.client("ec2", who)
    slow.allow("reader", statement("ec2:DescribeVpcs"))
    assert code(ec2.describe_vpcs) == "UnauthorizedOperation"
    pass_requests(slow, LAGS.identities)
    assert code(ec2.describe_vpcs) == ""
    slow.allow("reader", statement("ec2:DescribeSubnets"))
    assert code(ec2.describe_vpcs) == ""
    assert code(ec2.describe_subnets) == "UnauthorizedOperation"
    pass_requests(slow, LAGS.identities)
    assert code(ec2.describe_vpcs) == "UnauthorizedOperation"
    assert code(ec2.describe_subnets) == ""


def test_a_policy_that_is_attached_or_gets_a_version_counts_later(slow: Account) -> None:
    iam, who = slow.client("iam"), settled(slow, "managed")
    ec2 = slow.client("ec2", who)
    document = {"Version": "2012-10-17", "Statement": [statement("ec2:DescribeVpcs")]}
    arn = iam.create_policy(PolicyName="managed", PolicyDocument=json.dumps(document))["Policy"]
    iam.attach_role_policy(RoleName="managed", PolicyArn=arn["Arn"])
    assert code(ec2.describe_vpcs) == "UnauthorizedOperation"
    pass_requests(slow, LAGS.identities)
    assert code(ec2.describe_vpcs) == ""
    wider = {"Version": "2012-10-17", "Statement": [statement("ec2:DescribeSubnets")]}
    iam.create_policy_version(
        PolicyArn=arn["Arn"], PolicyDocument=json.dumps(wider), SetAsDefault=True
    )
    assert code(ec2.describe_subnets) == "UnauthorizedOperation"
    pass_requests(slow, LAGS.identities)
    assert code(ec2.describe_subnets) == ""


def test_tags_count_later_and_until_then_those_before(slow: Account) -> None:
    who = settled(slow, "tagged", statement("ec2:DeleteVpc", Condition=BY_TAG))
    ec2, mine = slow.client("ec2"), slow.client("ec2", who)
    specification = [{"ResourceType": "vpc", "Tags": TAGS}]
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=specification)["Vpc"]["VpcId"]
    assert code(mine.delete_vpc, VpcId=vpc) == "UnauthorizedOperation"
    pass_requests(slow, LAGS.tags)
    assert code(mine.delete_vpc, VpcId=vpc) == ""


def test_a_keys_tags_count_so_late_that_nothing_may_hang_on_them(slow: Account) -> None:
    """The fault: apply made a key and changed it by a right that hung on the key's own tag."""
    who = settled(slow, "keys", statement("kms:PutKeyPolicy", Condition=BY_TAG))
    tags = [{"TagKey": "Environment", "TagValue": "dev"}]
    key = slow.client("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    delegates = slow.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    put = slow.client("kms", who).put_key_policy
    given = {"KeyId": key, "PolicyName": "default", "Policy": delegates}
    assert code(put, **given) == "AccessDeniedException"
    pass_requests(slow, LAGS.tags_of_keys)
    assert code(put, **given) == ""


def test_an_instance_profile_is_refused_until_it_has_arrived(slow: Account) -> None:
    iam, ec2 = slow.client("iam"), slow.client("ec2")
    slow.role("box", trust("ec2.amazonaws.com"))
    pass_requests(slow, LAGS.identities)
    iam.create_instance_profile(InstanceProfileName="box")
    iam.add_role_to_instance_profile(InstanceProfileName="box", RoleName="box")
    image = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    ami = slow.client("ssm").get_parameter(Name=image)["Parameter"]["Value"]
    launch = {
        "ImageId": ami,
        "InstanceType": "t4g.small",
        "MinCount": 1,
        "MaxCount": 1,
        "IamInstanceProfile": {"Name": "box"},
    }
    assert code(ec2.run_instances, **launch) == "InvalidParameterValue"
    pass_requests(slow, LAGS.identities)
    assert code(ec2.run_instances, **launch) == ""


def test_a_role_is_refused_by_the_service_that_gets_it_until_it_has_arrived(slow: Account) -> None:
    scheduler = slow.client("scheduler")
    role = slow.role("parking", trust("scheduler.amazonaws.com"))
    schedule = {
        "Name": "night",
        "ScheduleExpression": "cron(0 20 * * ? *)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:rds:stopDBInstance", "RoleArn": role},
    }
    assert code(scheduler.create_schedule, **schedule) == "ValidationException"
    pass_requests(slow, LAGS.identities)
    assert code(scheduler.create_schedule, **schedule) == ""


def test_a_bucket_policy_names_nobody_who_has_not_arrived(slow: Account) -> None:
    s3 = slow.client("s3")
    s3.create_bucket(Bucket="early")
    role = slow.role("early", trust("ec2.amazonaws.com"))
    allow = statement("s3:GetObject", "arn:aws:s3:::early/*") | {"Principal": {"AWS": role}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    assert code(s3.put_bucket_policy, Bucket="early", Policy=policy) == "MalformedPolicy"
    pass_requests(slow, LAGS.identities)
    assert code(s3.put_bucket_policy, Bucket="early", Policy=policy) == ""


def test_policies_of_secrets_and_topics_name_nobody_who_has_not_arrived(slow: Account) -> None:
    secrets, sns = slow.client("secretsmanager"), slow.client("sns")
    secret = secrets.create_secret(Name="early", SecretString="s")["ARN"]
    topic = sns.create_topic(Name="early")["TopicArn"]
    role = slow.role("early-15", trust("ec2.amazonaws.com"))

    def text(action: str, resource: str) -> str:
        allow = statement(action, resource) | {"Principal": {"AWS": role}}
        return json.dumps({"Version": "2012-10-17", "Statement": [allow]})

    shared = text("secretsmanager:GetSecretValue", "*")
    put = {"SecretId": secret, "ResourcePolicy": shared}
    given = {"TopicArn": topic, "AttributeName": "Policy",
             "AttributeValue": text("sns:Publish", topic)}  # fmt: skip
    assert code(secrets.put_resource_policy, **put) == "MalformedPolicyDocumentException"
    assert code(sns.set_topic_attributes, **given) == "InvalidParameter"
    pass_requests(slow, LAGS.identities)
    assert code(secrets.put_resource_policy, **put) == ""
    assert code(sns.set_topic_attributes, **given) == ""


def test_without_the_mode_everything_counts_at_once() -> None:
    now = Consistency()
    now.changed(("role", "any"), None, 100)
    assert now.settled(("role", "any"))
