"""EventBridge: rules and their targets, events.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
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
    passes,
    request_tags,
    resource_tags,
    same,
    tag_keys,
    when,
)

_NAME = r"[\w./-]+"


def _bus_name(value: object) -> str:
    """A bus's name from its name or ARN; nothing means the default bus."""
    name = checked(value or "default", "EventBusName")
    if name.startswith("arn:"):
        arn_of_type(name, "EventBusName", "events", f"event-bus/{_NAME}")
        return name.rpartition("event-bus/")[2]
    return name_of(name, "EventBusName", _NAME)


def _bus_arn(call: Call, value: object) -> str:
    name = _bus_name(value)
    own = call.arn("events", f"event-bus/{name}")
    return value if isinstance(value, str) and value.startswith("arn:") else own


def _rule_arn(call: Call) -> str:
    bus = _bus_name(call.get("EventBusName"))
    name = call.get("Name") or call.get("Rule")
    prefix = "" if bus == "default" else f"{bus}/"
    return call.arn("events", f"rule/{prefix}" + name_of(name, "Name", r"[\w.-]+"))


def _rule(call: Call) -> Iterator[Target]:
    arn = _rule_arn(call)
    yield Target(arn, resource_tags(call, arn))


def _bus(call: Call) -> Iterator[Target]:
    arn = _bus_arn(call, call.get("Name"))
    yield Target(arn, resource_tags(call, arn))


def _target_arns(call: Call) -> Keys:
    found = [checked(t.get("Arn"), "Targets.Arn") for t in call.get("Targets") or []]
    return {"events:TargetArn": tuple(found)} if found else {}


def _target_roles(call: Call) -> Iterator[Need]:
    roles = [t["RoleArn"] for t in call.get("Targets") or [] if t.get("RoleArn")]
    for role in dict.fromkeys(roles):
        yield pass_role(role, "events.amazonaws.com")


def _by_arn(call: Call) -> Iterator[Target]:
    pattern = f"(?:rule|event-bus)/{_NAME}"
    arn = arn_of_type(call.get("ResourceARN"), "ResourceARN", "events", pattern)
    yield Target(arn, resource_tags(call, arn))


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


TABLE: Table = {
    **anywhere("ListRules ListRuleNamesByTarget ListEventBuses TestEventPattern"),
    "PutRule": Row(
        _rule,  # which may be there already, and is then changed
        keys=_tags,
        also=(
            when("Tags", onto("events:TagResource", _rule, _tags)),
            passes("RoleArn", "events.amazonaws.com"),
        ),
    ),
    **same("DeleteRule DescribeRule DisableRule EnableRule ListTargetsByRule", Row(_rule)),
    "RemoveTargets": Row(_rule),
    "PutTargets": Row(_rule, keys=_target_arns, also=(_target_roles,)),
    "DescribeEventBus": Row(_bus),
    "ListTagsForResource": Row(_by_arn),
    "TagResource": Row(_by_arn, keys=_tags),
    "UntagResource": Row(_by_arn, keys=lambda call: tag_keys(call.texts("TagKeys"))),
}
