"""EC2's resources: their ARNs, their condition keys, and tags set while they are created."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    Also,
    Call,
    Row,
    Target,
    Targets,
    as_text,
    both,
    checked,
    pairs,
    request_tags,
    resource_tags,
)

# Condition keys that repeat the id of a resource.
_ID_KEYS = {
    "elastic-ip": "ec2:AllocationId",
    "image": "ec2:ImageID",
    "instance": "ec2:InstanceID",
    "internet-gateway": "ec2:InternetGatewayID",
    "network-acl": "ec2:NetworkAclID",
    "network-interface": "ec2:NetworkInterfaceID",
    "route-table": "ec2:RouteTableID",
    "security-group": "ec2:SecurityGroupID",
    "snapshot": "ec2:SnapshotID",
    "subnet": "ec2:SubnetID",
    "volume": "ec2:VolumeID",
    "vpc": "ec2:VpcID",
}
_FACT_KEYS = {
    "availability_zone": "ec2:AvailabilityZone",
    "instance_profile": "ec2:InstanceProfile",
    "instance_type": "ec2:InstanceType",
}


def region_key(call: Call) -> Keys:
    """ec2:Region, which every action of EC2 has."""
    return {"ec2:Region": (call.request.region,)}


def arn_of(call: Call, kind: str, name: str) -> str:
    """ARN of an EC2 resource; images and snapshots may belong to anyone, so theirs name none."""
    if kind in {"image", "snapshot"}:
        return f"arn:aws:ec2:{call.request.region}::{kind}/{name}"
    return call.arn("ec2", f"{kind}/{name}")


def existing(call: Call, kind: str, name: str) -> Target:
    """A resource that exists, with its tags and the account's facts about it."""
    if not re.fullmatch(r"[\w-]+", name, re.ASCII):
        raise ValueError(f"{name!r} is no id of an EC2 {kind}")
    arn = arn_of(call, kind, name)
    facts = call.facts(arn)
    keys = resource_tags(call, arn, "ec2:ResourceTag/")
    if kind in _ID_KEYS:
        keys[_ID_KEYS[kind]] = (name,)
    for fact, key in _FACT_KEYS.items():
        if facts.get(fact):
            keys[key] = (str(facts[fact]),)
    if facts.get("vpc"):
        keys["ec2:Vpc"] = (arn_of(call, "vpc", facts["vpc"]),)
    return Target(arn, keys)


def named(kind: str, parameter: str) -> Targets:
    """The resources whose ids a parameter holds: one id, many, or none when it is not given."""

    def found(call: Call) -> Iterator[Target]:
        value = call.get(parameter)
        names = value if isinstance(value, list) else [value] if value is not None else []
        for name in names:
            yield existing(call, kind, checked(name, parameter))

    return found


def specified_tags(
    specifications: object, kinds: tuple[str, ...], kind_key: str = "ResourceType"
) -> dict[str, dict[str, str]]:
    """Tags by resource type; ValueError for a type that the call does not make."""
    found: dict[str, dict[str, str]] = {}
    rows: list[Mapping[str, Any]] = specifications if isinstance(specifications, list) else []
    for row in rows:
        kind = checked(row.get(kind_key), "ResourceType of a tag specification")
        if kind not in kinds:
            raise ValueError(f"this call makes no {kind!r} that could be tagged")
        if kind in found:
            raise ValueError(f"tags of {kind!r} are specified twice")
        found[kind] = pairs(row.get("Tags"))
    return found


def created(kind: str, keys: Callable[[Call], Keys] | None = None) -> Targets:
    """The resource that a call makes: it has no id yet, so `*` stands in its ARN."""

    def found(call: Call) -> Iterator[Target]:
        rows = call.get("TagSpecifications") or []
        tags = specified_tags([r for r in rows if r.get("ResourceType") == kind], (kind,))
        own = keys(call) if keys else {}
        yield Target(arn_of(call, kind, "*"), {**own, **request_tags(tags.get(kind, {}))})

    return found


def tag_on_create(*kinds: str) -> Also:
    """ec2:CreateTags on what a call makes with tags; ec2:CreateAction names the call.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
    """

    def found(call: Call) -> Iterator[Need]:
        yield from create_tags(
            call, specified_tags(call.get("TagSpecifications"), kinds), call.operation
        )

    return found


def create_tags(
    call: Call, tags: Mapping[str, Mapping[str, str]], action: str, extra: Keys | None = None
) -> Iterator[Need]:
    """ec2:CreateTags for tags by resource type, set by `action`."""
    for kind, own in tags.items():
        if own:
            keys = {
                **region_key(call),
                "ec2:CreateAction": (as_text(action),),
                **request_tags(own),
                **(extra or {}),
            }
            yield Need("ec2:CreateTags", arn_of(call, kind, "*"), keys)


def create_row(
    kind: str,
    *others: Targets,
    keys: Callable[[Call], Keys] | None = None,
    also: tuple[Also, ...] = (),
) -> Row:
    """A row for a call that makes a `kind`, possibly with tags, next to existing resources."""
    made = created(kind, keys)
    return Row(both(made, *others), keys=region_key, also=(tag_on_create(kind), *also))


def on_row(*targets: Targets, also: tuple[Also, ...] = ()) -> Row:
    """A row for a call on resources that exist."""
    return Row(both(*targets), keys=region_key, also=also)
