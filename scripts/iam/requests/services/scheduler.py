"""EventBridge Scheduler: schedules, their groups, and the role that a target is called with.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridgescheduler.html
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import Keys, Need
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
    pairs,
    pass_role,
    request_tags,
    resource_tags,
    same,
    tag_keys,
    when,
)
from scripts.iam.requests.services import kms

_NAME = r"[\w.-]+"


def _schedule(call: Call) -> Iterator[Target]:
    """A schedule; its tags are those of its group."""
    group = name_of(call.get("GroupName") or "default", "GroupName", _NAME)
    arn = call.arn("scheduler", f"schedule/{group}/{name_of(call.get('Name'), 'Name', _NAME)}")
    yield Target(arn, resource_tags(call, call.arn("scheduler", f"schedule-group/{group}")))


def _group(call: Call) -> Iterator[Target]:
    [target] = _new_group(call)
    yield Target(target.arn, resource_tags(call, target.arn))


def _members(call: Call) -> Iterator[Target]:
    """The schedules that go with their group."""
    for target in _group(call):
        arn = target.arn.replace(":schedule-group/", ":schedule/")
        yield Target(f"{arn}/*", target.keys)


def _new_group(call: Call) -> Iterator[Target]:
    name = name_of(call.get("Name"), "Name", _NAME)
    yield Target(call.arn("scheduler", f"schedule-group/{name}"), {})


def _by_arn(call: Call) -> Iterator[Target]:
    pattern = f"schedule-group/{_NAME}"
    arn = arn_of_type(call.get("ResourceArn"), "ResourceArn", "scheduler", pattern)
    yield Target(arn, resource_tags(call, arn))


def _passes_target_role(call: Call) -> Iterator[Need]:
    role = (call.get("Target") or {}).get("RoleArn")
    yield pass_role(checked(role, "Target.RoleArn"), "scheduler.amazonaws.com")


def _key(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html"""
    for target in _schedule(call):
        actions = ("kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt")
        context = {"aws:scheduler:schedule:arn": target.arn}
        yield from kms.behind(call, "scheduler", call.get("KmsKeyArn"), actions, context)


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


TABLE: Table = {
    **anywhere("ListSchedules ListScheduleGroups"),
    **same("CreateSchedule UpdateSchedule", Row(_schedule, also=(_passes_target_role, _key))),
    **same("GetSchedule DeleteSchedule", Row(_schedule)),
    "CreateScheduleGroup": Row(
        _new_group,
        keys=_tags,
        also=(when("Tags", onto("scheduler:TagResource", _new_group, _tags)),),
    ),
    "GetScheduleGroup": Row(_group),
    "DeleteScheduleGroup": Row(_group, also=(onto("scheduler:DeleteSchedule", _members),)),
    "ListTagsForResource": Row(_by_arn),
    "TagResource": Row(_by_arn, keys=_tags),
    "UntagResource": Row(_by_arn, keys=lambda call: tag_keys(call.texts("TagKeys"))),
}
