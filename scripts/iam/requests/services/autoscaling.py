"""Auto Scaling: groups, refreshes, hooks, scheduled actions, and the launches behind them.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.requests.model import Keys, Malformed, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
    Call,
    Row,
    Table,
    Target,
    anywhere,
    as_text,
    checked,
    keys_from,
    name_of,
    onto,
    pairs,
    pass_role,
    passes,
    request_tags,
    resource_tags,
    same,
    service_linked_role,
)
from scripts.iam.requests.services.ec2_launch import Launch, overlaid, run_instances


def _plain_arn(call: Call, name: str) -> str:
    """A group's ARN also holds an id that no request names."""
    name = name_of(name, "AutoScalingGroupName", r"[^:*?]+")
    return call.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}")


def _existing(call: Call, name: str) -> Target:
    plain = _plain_arn(call, name)
    arn = str(call.facts(plain).get("arn") or plain)
    return Target(arn, resource_tags(call, arn, "autoscaling:ResourceTag/"))


def _group(call: Call) -> Iterator[Target]:
    yield _existing(call, call.text("AutoScalingGroupName"))


def _new_group(call: Call) -> Iterator[Target]:
    """A group that is being made: conditions on its resource tags see those of the request.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
    """
    tags = pairs(call.get("Tags"))
    prefixes = ("aws:ResourceTag/", "autoscaling:ResourceTag/")
    keys: Keys = {f"{p}{name}": (value,) for p in prefixes for name, value in tags.items()}
    yield Target(_plain_arn(call, call.text("AutoScalingGroupName")), keys)


def _group_of_instance(call: Call) -> Iterator[Target]:
    """SetInstanceHealth and its like name an instance; its own tag tells the group, whatever group
    the call names."""
    if call.get("InstanceIds"):
        raise Malformed("InstanceIds: name one instance by InstanceId", "ValidationError")
    tags = call.account.tags(call.arn("ec2", f"instance/{call.text('InstanceId')}")) or {}
    name = tags.get("aws:autoscaling:groupName")
    if not name:
        raise ValueError("InstanceId: the instance belongs to no Auto Scaling group")
    yield _existing(call, name)


def _groups_of_tags(call: Call) -> Iterator[Target]:
    names = {checked(tag.get("ResourceId"), "ResourceId"): None for tag in call.get("Tags") or []}
    if not names:
        raise ValueError("Tags is missing: name the group in each tag's ResourceId")
    for name in names:
        yield _existing(call, name)


def _tags(call: Call) -> Keys:
    """Tags by group; a call that gives groups different tags do not fit into one context."""
    by_group: dict[str, list[Mapping[str, Any]]] = {}
    for tag in call.get("Tags") or []:
        by_group.setdefault(str(tag.get("ResourceId")), []).append(tag)
    sets = [pairs(tags) for tags in by_group.values()]
    if any(tags != sets[0] for tags in sets):
        raise ValueError("tag one Auto Scaling group per call, or all of them alike")
    return request_tags(sets[0]) if sets else {}


def _asked(call: Call) -> Keys:
    """Keys of what a group is asked to be."""
    keys = {
        **keys_from(
            MinSize="autoscaling:MinSize",
            MaxSize="autoscaling:MaxSize",
            LaunchConfigurationName="autoscaling:LaunchConfigurationName",
        )(call),
    }
    template = _template(call)
    if template:
        version = template.get("Version")
        # true only for a number: $Latest and $Default may change after the check
        named = version is not None and str(version).isdigit()
        keys["autoscaling:LaunchTemplateVersionSpecified"] = (as_text(named),)
    if _subnets(call):
        keys["autoscaling:VPCZoneIdentifiers"] = _subnets(call)
    keys |= _behind_it(call)
    types = tuple(str(o["InstanceType"]) for o in _overrides(call) if o.get("InstanceType"))
    return keys | ({"autoscaling:InstanceTypes": types} if types else {})


def _behind_it(call: Call) -> Keys:
    """Keys of what sends a group its requests."""
    keys: Keys = {}
    for name in ("TargetGroupARNs", "LoadBalancerNames"):
        if call.get(name):
            keys[f"autoscaling:{name}"] = tuple(call.texts(name))
    if sources := call.get("TrafficSources"):
        names = tuple(checked(one.get("Identifier"), "TrafficSources") for one in sources)
        keys["autoscaling:TrafficSourceIdentifiers"] = names
    return keys


def _subnets(call: Call) -> tuple[str, ...]:
    text = call.get("VPCZoneIdentifier") or ""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _template(call: Call) -> Mapping[str, Any] | None:
    mixed = (call.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    found = call.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification")
    return found if isinstance(found, Mapping) else None


def _overrides(call: Call) -> list[Mapping[str, Any]]:
    mixed = (call.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    return list(mixed.get("Overrides") or [])


def _launches(call: Call) -> Iterator[Need]:
    """A launch template may only be used by who could run it: AWS tries a launch, dry.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
    """
    template = _template(call)
    if template is None:
        return
    subnets = _subnets(call)
    if not subnets:
        facts = call.facts(_plain_arn(call, call.text("AutoScalingGroupName")))
        subnets = tuple(facts.get("subnets") or ())
    launches = []
    for override in _overrides(call) or [{}]:
        data, name = overlaid(call, override.get("LaunchTemplateSpecification") or template, {})
        launches.append((name, {**data, **_launch_words(override)}))
    seen: set[tuple[str, str, str]] = set()
    for name, asked in launches:
        for need in run_instances(call, Launch(asked, frozenset(), name, subnets, VIA_SERVICE)):
            identity = (need.action, need.resource, repr(need.context))
            if identity not in seen:
                seen.add(identity)
                yield need


def _launch_words(override: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in override.items() if k in {"InstanceType", "ImageId"}}


def _hook_roles(call: Call) -> Iterator[Need]:
    """The roles that lifecycle hooks notify with, which a new group may be made with."""
    for hook in call.get("LifecycleHookSpecificationList") or ():
        if hook.get("RoleARN"):
            yield pass_role(checked(hook["RoleARN"], "RoleARN"), "autoscaling.amazonaws.com")


def _refuse_an_instance_as_model(call: Call) -> Iterator[Need]:
    """AWS makes a launch configuration of it, which is a call of its own and not mapped here."""
    if call.get("InstanceId"):
        raise Malformed("InstanceId: name a launch template in its place", "ValidationError")
    return iter(())


def _refresh_template(call: Call) -> Iterator[Need]:
    desired = call.get("DesiredConfiguration")
    if desired:
        inner = Call(
            call.request,
            call.operation,
            {**desired, "AutoScalingGroupName": call.text("AutoScalingGroupName")},
            call.account,
        )
        yield from _launches(inner)


TABLE: Table = {
    **anywhere(
        "DescribeAccountLimits DescribeAdjustmentTypes DescribeAutoScalingGroups "
        "DescribeAutoScalingInstances DescribeInstanceRefreshes DescribeLaunchConfigurations "
        "DescribeLifecycleHooks DescribeLoadBalancers DescribeLoadBalancerTargetGroups "
        "DescribeNotificationConfigurations DescribePolicies DescribeScalingActivities "
        "DescribeScheduledActions DescribeTags DescribeTrafficSources DescribeWarmPool "
        "DescribeTerminationPolicyTypes DescribeMetricCollectionTypes"
    ),
    "CreateAutoScalingGroup": Row(
        _new_group,
        keys=lambda call: {**_asked(call), **_tags(call)},
        also=(
            lambda call: (
                onto("autoscaling:CreateOrUpdateTags", _new_group, _tags)(call)
                if call.get("Tags")
                else ()
            ),
            _launches,
            _hook_roles,
            _refuse_an_instance_as_model,
            passes("ServiceLinkedRoleARN", "autoscaling.amazonaws.com"),
            service_linked_role("autoscaling.amazonaws.com"),
        ),
    ),
    "UpdateAutoScalingGroup": Row(
        _group,
        keys=_asked,
        also=(_launches, passes("ServiceLinkedRoleARN", "autoscaling.amazonaws.com")),
    ),
    "DeleteAutoScalingGroup": Row(
        _group,
        keys=lambda call: {"autoscaling:ForceDelete": (as_text(call.flag("ForceDelete")),)},
    ),
    **same("CreateOrUpdateTags DeleteTags", Row(_groups_of_tags, keys=_tags)),
    "StartInstanceRefresh": Row(_group, also=(_refresh_template,)),
    "PutScheduledUpdateGroupAction": Row(
        _group, keys=keys_from(MinSize="autoscaling:MinSize", MaxSize="autoscaling:MaxSize")
    ),
    **same(
        "CancelInstanceRefresh SetDesiredCapacity EnableMetricsCollection "
        "DisableMetricsCollection DeleteScheduledAction PutScalingPolicy DeletePolicy",
        Row(_group),
    ),
    **same(
        "AttachLoadBalancerTargetGroups DetachLoadBalancerTargetGroups AttachTrafficSources "
        "DetachTrafficSources",
        Row(_group, keys=_behind_it),
    ),
    **same("SetInstanceHealth TerminateInstanceInAutoScalingGroup", Row(_group_of_instance)),
}
