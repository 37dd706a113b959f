"""CloudWatch Logs: groups, streams, events, filters.

The ARN that is checked for a call on a group ends in `:log-stream:`, but for tagging calls it is
the group's own: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import Need
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    anywhere,
    arn_of_type,
    checked,
    name_of,
    onto,
    passes,
    resource_tags,
    same,
    tagged_with,
    untagged,
    when,
)

_NAME = r"[\w./#-]+"


def group_arn(call: Call, name: str) -> str:
    """A group's own ARN, from its name or any form of its ARN."""
    if name.startswith("arn:"):
        found = arn_of_type(name, "log group", "logs", rf"log-group:{_NAME}(?::\*)?")
        return found.removesuffix(":*")
    return call.arn("logs", f"log-group:{name_of(name, 'logGroupName', _NAME)}")


def _group_name(call: Call) -> str:
    return checked(call.get("logGroupName") or call.get("logGroupIdentifier"), "logGroupName")


def _on_group(call: Call, name: str) -> Target:
    arn = group_arn(call, name)
    return Target(f"{arn}:log-stream:", resource_tags(call, arn))


def _group(call: Call) -> Iterator[Target]:
    yield _on_group(call, _group_name(call))


def _new_group(call: Call) -> Iterator[Target]:
    yield Target(f"{group_arn(call, _group_name(call))}:log-stream:", {})


def _new_group_itself(call: Call) -> Iterator[Target]:
    yield Target(group_arn(call, _group_name(call)), {})


def _group_or_all(call: Call) -> Iterator[Target]:
    if call.get("logGroupName") or call.get("logGroupIdentifier"):
        yield from _group(call)
    else:
        yield Target(call.arn("logs", "log-group::log-stream:"), {})


def _groups(call: Call) -> Iterator[Target]:
    names = [*call.texts("logGroupNames"), *call.texts("logGroupIdentifiers")]
    for name in names or [_group_name(call)]:
        yield _on_group(call, name)


def _stream(call: Call) -> Iterator[Target]:
    arn = group_arn(call, _group_name(call))
    stream = name_of(call.get("logStreamName"), "logStreamName", "[^:*]+")
    yield Target(f"{arn}:log-stream:{stream}", resource_tags(call, arn))


def _by_arn(call: Call) -> Iterator[Target]:
    arn = group_arn(call, call.text("resourceArn"))
    yield Target(arn, resource_tags(call, arn))


def _group_itself(call: Call) -> Iterator[Target]:
    arn = group_arn(call, _group_name(call))
    yield Target(arn, resource_tags(call, arn))


def _unmasks(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/mask-sensitive-log-data.html"""
    if call.flag("unmask"):
        yield from onto("logs:Unmask", _group)(call)


_tags = tagged_with("tags")

TABLE: Table = {
    **anywhere(
        "DescribeDestinations DescribeExportTasks DescribeQueries DescribeQueryDefinitions "
        "DescribeResourcePolicies PutResourcePolicy DeleteResourcePolicy TestMetricFilter "
        "DescribeAccountPolicies "
        "DescribeIndexPolicies"
    ),
    "DescribeLogGroups": Row(_group_or_all),
    "CreateLogGroup": Row(
        _new_group,
        keys=_tags,
        also=(when("tags", onto("logs:TagResource", _new_group_itself, _tags)),),
    ),
    **same(
        "AssociateKmsKey DeleteLogGroup DeleteMetricFilter DeleteRetentionPolicy "
        "DeleteSubscriptionFilter DescribeLogStreams DescribeSubscriptionFilters "
        "DisassociateKmsKey GetDataProtectionPolicy GetLogGroupFields "
        "PutMetricFilter PutRetentionPolicy",
        Row(_group),
    ),
    "FilterLogEvents": Row(_group, also=(_unmasks,)),
    "DescribeMetricFilters": Row(_group_or_all),
    "PutSubscriptionFilter": Row(_group, also=(passes("roleArn", "logs.amazonaws.com"),)),
    "StartQuery": Row(_groups),
    "GetQueryResults": Row(lambda call: [Target(call.arn("logs", "log-group:*"), {})]),
    **same("CreateLogStream DeleteLogStream PutLogEvents", Row(_stream)),
    "GetLogEvents": Row(_stream, also=(_unmasks,)),
    "TagResource": Row(_by_arn, keys=_tags),
    "UntagResource": Row(_by_arn, keys=untagged("tagKeys")),
    "ListTagsForResource": Row(_by_arn),
    "TagLogGroup": Row(_group_itself, keys=_tags),
    "UntagLogGroup": Row(_group_itself, keys=untagged("tags")),
    "ListTagsLogGroup": Row(_group_itself),
}
