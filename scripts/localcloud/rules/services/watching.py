"""What watches an account can: a trail writes somewhere, a rule of EventBridge matches or has a
time. Moto keeps those that never could."""

from __future__ import annotations

import re
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.services.values import is_time, parsed

_MOST_SELECTORS = 5
_LONGEST_PREFIX = 200
# Of which basic selectors log data events; the advanced ones know more.
_DATA = frozenset({"AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::S3::Object"})
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
_TIMES = re.compile(
    r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)|cron\(\S+( \S+){5}\)",
    re.ASCII,
)
_TARGET = re.compile(r"[.\-_A-Za-z0-9]+")
_INPUTS = ("Input", "InputPath", "InputTransformer")


def trail(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_UpdateTrail.html"""
    given, region = reading.parameters, reading.request.region
    name = given["Name"].rpartition(":trail/")[2]
    known = backends("cloudtrail", region).trails.get(name)

    def now(parameter: str, kept: str) -> Any:
        return given.get(parameter, getattr(known, kept, None))

    bucket = given.get("S3BucketName")
    if bucket and bucket not in backends("s3").buckets:
        raise AwsError("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!")
    if len(given.get("S3KeyPrefix") or "") > _LONGEST_PREFIX:
        raise AwsError("InvalidS3PrefixException", f"S3 prefix is longer than {_LONGEST_PREFIX}")
    if now("IsMultiRegionTrail", "is_multi_region") and (
        now("IncludeGlobalServiceEvents", "include_global_service_events") is False
    ):
        raise AwsError(
            "InvalidParameterCombinationException",
            "Multi-Region trail must include global service events.",
        )
    topic = (given.get("SnsTopicName") or "").rpartition(":")[2]
    topics = {arn.rpartition(":")[2] for arn in backends("sns", region).topics}
    if topic and topic not in topics:
        raise AwsError("InvalidSnsTopicNameException", f"SNS Topic {topic} does not exist")
    group = now("CloudWatchLogsLogGroupArn", "cw_log_group_arn") or ""
    role = now("CloudWatchLogsRoleArn", "cw_role_arn")
    there = group.partition(":log-group:")[2].removesuffix(":*")
    missing = group and there not in backends("logs", region).groups
    if missing or (role and not group):
        raise AwsError(
            "InvalidCloudWatchLogsLogGroupArnException", "CloudTrail cannot validate the log group"
        )
    if group and not role:
        raise AwsError(
            "InvalidCloudWatchLogsRoleArnException", "A log group needs a role to write to it"
        )


def selectors(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html"""
    given = reading.parameters
    basic, advanced = given.get("EventSelectors") or (), given.get("AdvancedEventSelectors") or ()
    kinds = {one.get("Type") for each in basic for one in each.get("DataResources") or ()}
    fields = [{one.get("Field") for one in each.get("FieldSelectors") or ()} for each in advanced]
    wrong = (
        bool(basic) == bool(advanced)
        or len(basic) > _MOST_SELECTORS
        or kinds - _DATA
        or not all("eventCategory" in names for names in fields)
    )
    if wrong:
        raise AwsError(
            "InvalidEventSelectorsException",
            "A trail has one to five basic selectors, for data of S3, Lambda or DynamoDB, or "
            "advanced ones, each with an eventCategory.",
        )


def rule(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
    given = reading.parameters
    times, pattern = given.get("ScheduleExpression"), given.get("EventPattern")
    if times and not (_TIMES.fullmatch(times) and is_time(times)):
        raise AwsError("ValidationException", "Parameter ScheduleExpression is not valid.")
    if pattern and not isinstance(parsed(pattern), dict):
        raise AwsError(
            "InvalidEventPatternException", "Event pattern is not valid. Reason: it is no object"
        )


def targets(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html"""
    for one in reading.parameters["Targets"]:
        if not _TARGET.fullmatch(one["Id"]):
            raise AwsError("ValidationException", f"{one['Id']} is not a valid Id of a target.")
        if len([name for name in _INPUTS if one.get(name)]) > 1:
            raise AwsError(
                "ValidationException",
                f"Only one of Input, InputPath, or InputTransformer must be provided for target "
                f"{one['Id']}.",
            )
        if one.get("Input") and parsed(one["Input"]) is None and one["Input"].strip() != "null":
            raise AwsError("ValidationException", f"JSON syntax error in input for {one['Id']}")
