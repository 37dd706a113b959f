"""Reading an account for the search, against moto: what carries roles, and what keys allow."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.iam.escalation import Inventory, paths
from scripts.iam.escalation.live import read_estate

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
STATE = "arn:aws:s3:::states/prod.tfstate"
ROOT = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*", "Resource": "*"}  # fmt: skip


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


@cache
def client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def role(name: str, service: str, *allow: Mapping[str, Any]) -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
    if allow:
        statements = [{"Effect": "Allow", "Resource": "*", **one} for one in allow]
        client("iam").put_role_policy(
            RoleName=name, PolicyName="inline", PolicyDocument=document(*statements)
        )
    return str(made["Role"]["Arn"])


def function(carried: str) -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", "def handler(event, context): pass\n")
    made = client("lambda").create_function(
        FunctionName="nightly",
        Runtime="python3.12",
        Handler="main.handler",
        Role=carried,
        Code={"ZipFile": code.getvalue()},
        Tags={"Environment": "dev"},
    )
    return str(made["FunctionArn"])


def read(**options: Any) -> Inventory:
    return read_estate(client, ACCOUNT, "us-east-1", [STATE], **options)


def ways(inventory: Inventory, start: str) -> dict[str, list[str]]:
    found = paths(inventory, inventory.members.members[start])
    return {path.end: [step.rule for step in path.steps] for path in found}


def test_a_functions_role_is_reached_by_changing_its_code() -> None:
    strong = role("strong", "lambda.amazonaws.com")
    weak = role("weak", "ec2.amazonaws.com", {"Action": "lambda:UpdateFunctionCode"})
    assert ways(read(), weak) == {}
    arn = function(strong)
    inventory = read()
    assert [(one.arn, one.role_arn, one.tags) for one in inventory.functions] == [
        (arn, strong, {"Environment": "dev"})
    ]
    assert ways(inventory, weak) == {strong: ["change-function-code"]}


def test_a_key_opens_to_whoever_may_edit_its_policy_or_grant_it() -> None:
    editor = role("editor", "ec2.amazonaws.com", {"Action": "kms:PutKeyPolicy"})
    granter = role("granter", "ec2.amazonaws.com", {"Action": "kms:CreateGrant"})
    named = role("named", "ec2.amazonaws.com")
    own = {"Effect": "Allow", "Principal": {"AWS": named}, "Action": "kms:PutKeyPolicy",
           "Resource": "*"}  # fmt: skip
    key = client("kms").create_key(
        Policy=document(ROOT, own), Tags=[{"TagKey": "Environment", "TagValue": "dev"}]
    )["KeyMetadata"]["Arn"]
    inventory = read()
    assert [(one.arn, one.tags) for one in inventory.keys] == [(key, {"Environment": "dev"})]
    for start in (editor, granter, named):
        assert ways(inventory, start) == {f"opens {key}": ["open-key"]}


def test_a_key_whose_policy_does_not_trust_iam_stays_closed_to_iam_policies() -> None:
    editor = role("editor", "ec2.amazonaws.com", {"Action": "kms:PutKeyPolicy"})
    keeper = {"AWS": role("keeper", "ec2.amazonaws.com")}
    client("kms").create_key(
        Policy=document({"Effect": "Allow", "Principal": keeper, "Action": "kms:*",
                         "Resource": "*"})
    )  # fmt: skip
    assert ways(read(), editor) == {}


def test_schedules_and_rules_hand_a_role_on_to_whoever_may_pass_it() -> None:
    parking = role("parking", "scheduler.amazonaws.com")
    sender = role("sender", "events.amazonaws.com")
    client("scheduler").create_schedule(
        Name="stop",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:scheduler:::aws-sdk:rds:stopDBInstance", "RoleArn": parking},
    )
    without = role("without", "ec2.amazonaws.com", {"Action": "scheduler:UpdateSchedule"})
    weak = role(
        "weak", "ec2.amazonaws.com",
        {"Action": ["scheduler:UpdateSchedule", "events:PutTargets", "iam:PassRole"]},
    )  # fmt: skip
    inventory = read()
    assert ways(inventory, without) == {}
    assert ways(inventory, weak) == {parking: ["pass-to-schedule"], sender: ["pass-to-rule"]}


def test_policies_of_secrets_and_buckets_are_read() -> None:
    named = role("named", "ec2.amazonaws.com")
    secret = client("secretsmanager").create_secret(Name="key", SecretString="x")["ARN"]
    client("s3").create_bucket(Bucket="states")
    assert ways(read(), named) == {}
    allow = {"Effect": "Allow", "Principal": {"AWS": named}}
    client("secretsmanager").put_resource_policy(
        SecretId=secret,
        ResourcePolicy=document(
            {**allow, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
        ),
    )
    client("s3").put_bucket_policy(
        Bucket="states",
        Policy=document({**allow, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::states/*"}),
    )
    assert ways(read(), named) == {
        f"reads {secret}": ["read-secret"],
        f"reads {STATE}": ["read-state"],
    }


def test_what_an_account_does_not_serve_is_said() -> None:
    assert read().unread == ()
    assert read(without={"lambda"}).unread == (
        "functions: this account serves no Lambda, so it has none",
    )
