"""Calls on what is not there are answered with AWS's codes, not with a failure of moto's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

import pytest

from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.emulator.emulator import Emulator
from scripts.localcloud.rules import belonging
from scripts.localcloud.rules.table import checks
from tests.localcloud.emulator.test_one_reading import ROWS, call, understood

pytestmark = pytest.mark.slow
_TAGS = re.compile(r"(Add|CreateOrUpdate|Create|Delete|Remove)Tags|Tag|Untag")

# Moto fails on these for another reason than a name that nothing has.
UNTOLD = {
    ("autoscaling", "SetInstanceHealth"),
    ("autoscaling", "TerminateInstanceInAutoScalingGroup"),
    ("ec2", "ModifySecurityGroupRules"),
    ("elasticloadbalancing", "ModifyLoadBalancerAttributes"),  # an attribute without a value
    ("elasticloadbalancing", "ModifyTargetGroupAttributes"),
    ("kms", "GenerateRandom"),
    ("rds", "DescribeDBLogFiles"),
    ("rds", "DescribeOptionGroups"),
    ("s3", "CreateMultipartUpload"),
    ("s3", "PutBucketAcl"),
    ("ssm", "CreateDocument"),
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    made = Emulator("123456789012", "us-east-1", "127.0.0.1:1")
    made.start()
    yield made
    made.stop()


def refusal(emulator: Emulator, service: str, operation: str, every: bool) -> AwsError | None:
    reading = understood(call(service, operation, every))
    assert reading is not None
    try:
        answer = emulator.call(reading, "AKIA")
    except AwsError as error:
        return error
    return None if answer.status < HTTPStatus.MULTIPLE_CHOICES else AwsError("", "", answer.status)


@pytest.mark.parametrize(
    ("service", "operation", "every", "code", "status"),
    [
        ("autoscaling", "SetDesiredCapacity", False, "ValidationError", 400),
        ("autoscaling", "DescribeWarmPool", False, "ValidationError", 400),
        ("autoscaling", "DescribeAutoScalingGroups", True, "InvalidNextToken", 400),
        ("budgets", "TagResource", False, "NotFoundException", 400),
        ("ec2", "DescribeImageAttribute", False, "InvalidAMIID.NotFound", 400),
        ("iam", "ListRoles", True, "ValidationError", 400),
        ("kms", "CreateGrant", False, "NotFoundException", 400),
        ("logs", "GetQueryResults", False, "ResourceNotFoundException", 400),
        ("rds", "PromoteReadReplica", False, "DBInstanceNotFound", 404),
        ("s3", "PutBucketLifecycleConfiguration", False, "MalformedXML", 400),
        ("scheduler", "CreateSchedule", True, "ResourceNotFoundException", 404),
        ("secretsmanager", "ListSecretVersionIds", False, "ResourceNotFoundException", 400),
        ("ssm", "DescribeParameters", True, "InvalidNextToken", 400),
    ],
)
def test_the_services_own_code_is_answered(
    emulator: Emulator, service: str, operation: str, every: bool, code: str, status: int
) -> None:
    found = refusal(emulator, service, operation, every)
    assert found is not None
    assert (found.code, found.status) == (code, status)


@pytest.mark.filterwarnings("ignore:Exception.* does not match an error shape:UserWarning")
def test_moto_fails_on_no_other_operation_and_tags_nothing_else_that_is_not_there(
    emulator: Emulator,
) -> None:
    """What these calls tag, nobody has made: whoever makes it later would get the tags with it."""
    found = [
        (row, refusal(emulator, *row, every))
        for row in ROWS
        for every in (False, True)
        if understood(call(*row, every)) is not None
    ]
    failed = {row for row, error in found if error and error.code == "LocalCloudEmulatorFailed"}
    assert failed == UNTOLD
    tagged = {row for row, error in found if error is None and _TAGS.match(row[1])}
    assert ("logs", "TagResource") in tagged
    assert tagged <= belonging.ABOUT.keys()


def test_no_rule_of_our_own_fails_on_a_call_with_little_or_with_everything(
    emulator: Emulator,
) -> None:
    """A rule answers or refuses; an optional parameter that is left out ends neither."""
    rules = checks(emulator.backend)
    tried = 0
    for service, operation in ROWS:
        mine = [rules[service, name] for name in ("*", operation) if (service, name) in rules]
        for every in (False, True):
            reading = understood(call(service, operation, every))
            if reading is None:
                continue
            for check in mine:
                tried += 1
                with suppress(AwsError):
                    check(reading)
    assert tried > 200
