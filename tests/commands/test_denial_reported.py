"""`keyless explain-denial --message` and `--aws`: what is read where, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from moto import mock_aws

from scripts.cli import keyless
from scripts.commands import _denial_reported

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
SAID = (
    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/keyless-dev-train/run is not authorized to "
    "perform: s3:GetObject on resource: arn:aws:s3:::bucket/b/x because no identity-based policy "
    "allows the s3:GetObject action"
)
ENCODED = "Encoded authorization failure message: " + "aB3_" * 20


class Aws:
    """A real account as far as these verbs ask: moto's IAM, and a trail with these events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.asked: list[str] = []

    def __call__(self, service: str, **more: str) -> Any:
        region = more.get("region_name", "eu-central-1")
        if service == "cloudtrail":
            self.asked.append(region)
            pages = [{"Events": [{"CloudTrailEvent": json.dumps(one)} for one in self.events]}]
            return SimpleNamespace(
                get_paginator=lambda name: SimpleNamespace(paginate=lambda **given: iter(pages))
            )
        return boto3.client(service, region_name=region)  # type: ignore[call-overload]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
             "Action": "sts:AssumeRole"}  # fmt: skip
    allow = {"Sid": "ReadA", "Effect": "Allow", "Action": "s3:GetObject",
             "Resource": "arn:aws:s3:::bucket/a/*"}  # fmt: skip
    with mock_aws():
        iam = boto3.client("iam", region_name="us-east-1")
        policy = {"Version": "2012-10-17", "Statement": [trust]}
        name = "keyless-dev-train"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(policy))
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_role_policy(RoleName=name, PolicyName="storage", PolicyDocument=document)
        account = Aws()
        monkeypatch.setattr(_denial_reported, "_clients", lambda project, aws: (account, ACCOUNT))
        yield account


def run(*arguments: str, said: str = "") -> Result:
    return CliRunner().invoke(keyless, ["explain-denial", *arguments], input=said)


def test_a_message_is_explained_by_the_accounts_own_policies(aws: Aws) -> None:
    done = run("--aws", "--message", "-", "--json", said=f"2026-11-28T10:00:00.1Z {SAID}")
    assert done.exit_code == 0, done.output
    [denial] = json.loads(done.stdout)
    assert denial["proved"] is True
    assert "add arn:aws:s3:::bucket/b/x to its resources" in denial["changes"][0]["edit"]


def test_another_accounts_message_is_not_judged_by_this_ones_policies(aws: Aws) -> None:
    """The same role's name, in an account that these credentials do not reach."""
    done = run("--aws", "--message", "-", "--json", said=SAID.replace(ACCOUNT, "210987654321"))
    assert done.exit_code == 0, done.output
    [denial] = json.loads(done.stdout)
    assert denial["principal"].startswith("arn:aws:sts::210987654321:")
    assert denial["proved"] is False
    assert "--aws wants some of account 210987654321" in denial["notes"][0]


def test_a_masked_account_is_said_to_be_taken_for_this_one(aws: Aws) -> None:
    done = run("--aws", "--message", "-", "--json", said=SAID.replace(ACCOUNT, "***"))
    assert done.exit_code == 0, done.output
    [denial] = json.loads(done.stdout)
    assert denial["proved"] is True
    assert any(f"it is taken for {ACCOUNT}" in note for note in denial["notes"])


def test_the_trail_is_read_here_and_where_global_services_are(aws: Aws) -> None:
    event = {
        "eventTime": "2026-11-28T10:00:00Z", "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject", "awsRegion": "eu-central-1", "errorCode": "AccessDenied",
        "errorMessage": SAID, "requestID": "one",
        "userIdentity": {"arn": "arn:aws:sts::1:assumed-role/keyless-dev-train/run",
                         "sessionContext": {"sessionIssuer": {"userName": "keyless-dev-train"}}},
    }  # fmt: skip
    aws.events = [event]
    done = run("--aws")
    assert done.exit_code == 0, done.output
    assert aws.asked == ["eu-central-1", "us-east-1"]
    assert "one (GetObject)" in done.stdout
    other = run("--aws", "-e", "prod")
    assert other.exit_code == 2
    assert "no denial of this environment's roles" in " ".join(other.stderr.split())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("all is well", "There is no denial in the message"),
        ("api error AccessDenied: no", "No caller's whole ARN, or no action"),
        ("AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity",
         "for others compare the role's trust policy"),
        # turbot/steampipe-mod-aws-compliance#934
        ("AccessDeniedException: User is not authorized to perform: cloudtrail:DescribeTrails with "
         "an explicit deny in a service control policy", "it is the organization's"),
        (f"You are not authorized to perform this operation. {ENCODED}", "--aws"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_says_why_and_ends_with_2(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    def refused(**given: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Decode")

    monkeypatch.setattr(
        _denial_reported,
        "_clients",
        lambda project, aws: (
            lambda service: SimpleNamespace(decode_authorization_message=refused),
            ACCOUNT,
        ),
    )
    done = run("--aws", "--message", "-", said=said)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())


def test_a_request_id_is_for_the_local_log() -> None:
    assert run("--aws", "some-id").exit_code == 2
