"""EventBridge Scheduler: schedules, their groups, and the role that a target is called with.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridgescheduler.html
"""

from __future__ import annotations

from collections.abc import Iterator

from . import _kms
from ._model import Keys, Need
from ._table import (
    Call,
    Row,
    Table,
    Target,
    anywhere,
    checked,
    onto,
    pairs,
    pass_role,
    request_tags,
    resource_tags,
    same,
    tag_keys,
    when,
)


def _schedule(call: Call) -> Iterator[Target]:
    """A schedule; its tags are those of its group."""
    group = call.get("GroupName") or "default"
    arn = call.arn("scheduler", f"schedule/{group}/{call.text('Name')}")
    yield Target(arn, resource_tags(call, call.arn("scheduler", f"schedule-group/{group}")))


def _group(call: Call) -> Iterator[Target]:
    arn = call.arn("scheduler", f"schedule-group/{call.text('Name')}")
    yield Target(arn, resource_tags(call, arn))


def _new_group(call: Call) -> Iterator[Target]:
    yield Target(call.arn("scheduler", f"schedule-group/{call.text('Name')}"), {})


def _by_arn(call: Call) -> Iterator[Target]:
    arn = call.text("ResourceArn")
    yield Target(arn, resource_tags(call, arn))


def _passes_target_role(call: Call) -> Iterator[Need]:
    role = (call.get("Target") or {}).get("RoleArn")
    yield pass_role(checked(role, "Target.RoleArn"), "scheduler.amazonaws.com")


def _key(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html"""
    for target in _schedule(call):
        actions = ("kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt")
        context = {"aws:scheduler:schedule:arn": target.arn}
        yield from _kms.behind(call, "scheduler", call.get("KmsKeyArn"), actions, context)


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
    **same("GetScheduleGroup DeleteScheduleGroup", Row(_group)),
    "ListTagsForResource": Row(_by_arn),
    "TagResource": Row(_by_arn, keys=_tags),
    "UntagResource": Row(_by_arn, keys=lambda call: tag_keys(call.texts("TagKeys"))),
}
