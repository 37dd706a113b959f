"""Elastic Load Balancing (v2): load balancers, listeners and target groups.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
Rules other than a listener's default action are not mapped: the platform makes none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
    Call,
    Row,
    Table,
    Target,
    Targets,
    anywhere,
    arn_of_type,
    checked,
    name_of,
    pairs,
    request_tags,
    resource_tags,
    same,
    service_linked_role,
    service_linked_role_arn,
    tag_keys,
)

_ID = r"[0-9a-f]+"
_NAME = r"[A-Za-z0-9-]+"
_BALANCER = rf"loadbalancer/(?:app|net|gwy)/{_NAME}/{_ID}"
_LISTENER = rf"listener/(?:app|net|gwy)/{_NAME}/{_ID}/{_ID}"
_GROUP = rf"targetgroup/{_NAME}/{_ID}"
_SERVICE = "elasticloadbalancing.amazonaws.com"
_LOOKED_AT = (
    "AccountAttributes",
    "Addresses",
    "InternetGateways",
    "SecurityGroups",
    "Subnets",
    "Vpcs",
)
_KINDS = {"application": "app", "network": "net", "gateway": "gwy"}


def _existing(parameter: str, pattern: str) -> Targets:
    def found(call: Call) -> Iterator[Target]:
        arn = arn_of_type(call.get(parameter), parameter, "elasticloadbalancing", pattern)
        yield Target(arn, resource_tags(call, arn, "elasticloadbalancing:ResourceTag/"))

    return found


def _new_balancer(call: Call) -> Iterator[Target]:
    """Its ARN ends in an id that AWS chooses."""
    kind = _KINDS.get(str(call.get("Type") or "application"))
    if kind is None:
        raise ValueError(f"Type {call.get('Type')!r} is no kind of load balancer")
    name = name_of(call.get("Name"), "Name", _NAME)
    yield Target(call.arn("elasticloadbalancing", f"loadbalancer/{kind}/{name}/*"), {})


def _new_group(call: Call) -> Iterator[Target]:
    name = name_of(call.get("Name"), "Name", _NAME)
    yield Target(call.arn("elasticloadbalancing", f"targetgroup/{name}/*"), {})


def _new_listener(call: Call) -> Iterator[Target]:
    """A listener's ARN is its load balancer's, with an id more."""
    (balancer,) = _existing("LoadBalancerArn", _BALANCER)(call)
    yield Target(balancer.arn.replace(":loadbalancer/", ":listener/") + "/*", {})


def _tagged(call: Call) -> Iterator[Target]:
    arns = call.texts("ResourceArns")
    if not arns:
        raise ValueError("ResourceArns is missing: name what is tagged")
    for arn in arns:
        pattern = f"{_BALANCER}|{_LISTENER}|{_GROUP}"
        found = arn_of_type(arn, "ResourceArns", "elasticloadbalancing", pattern)
        yield Target(found, resource_tags(call, found, "elasticloadbalancing:ResourceTag/"))


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _many(**keys: str) -> Callable[[Call], Keys]:
    """Condition keys with every value of a list parameter."""

    def found(call: Call) -> Keys:
        return {
            key: tuple(checked(value, parameter) for value in call.get(parameter) or ())
            for parameter, key in keys.items()
            if call.get(parameter)
        }

    return found


def _of_subnets(call: Call) -> Keys:
    """The subnets, named alone or each with its addresses."""
    mapped = [checked(one.get("SubnetId"), "SubnetId") for one in call.get("SubnetMappings") or ()]
    found = (*call.texts("Subnets"), *mapped)
    return {"elasticloadbalancing:Subnet": found} if found else {}


_of_groups = _many(SecurityGroups="elasticloadbalancing:SecurityGroup")


def _balancer_keys(call: Call) -> Keys:
    scheme = str(call.get("Scheme") or "internet-facing")
    return {
        **_tags(call),
        **_of_subnets(call),
        **_of_groups(call),
        "elasticloadbalancing:Scheme": (scheme,),
    }


def _listener_keys(call: Call) -> Keys:
    names = {
        "Protocol": "elasticloadbalancing:ListenerProtocol",
        "SslPolicy": "elasticloadbalancing:SecurityPolicy",
    }
    return {key: (str(call.get(name)),) for name, key in names.items() if call.get(name)}


def _tag_new(targets: Targets) -> Callable[[Call], Iterator[Need]]:
    """What is made with tags needs AddTags too, which sees what it is made by.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/tagging-resources-during-creation.html
    """

    def found(call: Call) -> Iterator[Need]:
        if not call.get("Tags"):
            return
        by = {"elasticloadbalancing:CreateAction": (call.operation,)}
        for target in targets(call):
            keys = {**target.keys, **_tags(call), **by}
            yield Need("elasticloadbalancing:AddTags", target.arn, keys)

    return found


def _first_look(call: Call) -> Iterator[Need]:
    """Until the service has a role of its own, it looks at the network with the caller's rights.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html
    https://github.com/kubernetes/cloud-provider-aws/pull/59
    """
    if call.account.describe(service_linked_role_arn(call, _SERVICE)) is None:
        for what in _LOOKED_AT:
            yield Need(f"ec2:Describe{what}", "*", VIA_SERVICE)


_balancer = Row(_existing("LoadBalancerArn", _BALANCER))
_listener = Row(_existing("ListenerArn", _LISTENER))
_group = Row(_existing("TargetGroupArn", _GROUP))

TABLE: Table = {
    **anywhere(
        "DescribeAccountLimits DescribeCapacityReservation DescribeListenerAttributes "
        "DescribeListenerCertificates DescribeListeners DescribeLoadBalancerAttributes "
        "DescribeLoadBalancers DescribeRules DescribeTags DescribeTargetGroupAttributes "
        "DescribeTargetGroups DescribeTargetHealth"
    ),
    "CreateLoadBalancer": Row(
        _new_balancer,
        keys=_balancer_keys,
        also=(
            _tag_new(_new_balancer),
            service_linked_role(_SERVICE),
            _first_look,
        ),
    ),
    "CreateTargetGroup": Row(_new_group, keys=_tags, also=(_tag_new(_new_group),)),
    "CreateListener": Row(
        _existing("LoadBalancerArn", _BALANCER),
        keys=lambda call: {**_tags(call), **_listener_keys(call)},
        also=(_tag_new(_new_listener),),
    ),
    **same("DeleteLoadBalancer ModifyLoadBalancerAttributes", _balancer),
    "SetSecurityGroups": Row(_existing("LoadBalancerArn", _BALANCER), keys=_of_groups),
    "SetSubnets": Row(_existing("LoadBalancerArn", _BALANCER), keys=_of_subnets),
    **same("DeleteTargetGroup ModifyTargetGroup ModifyTargetGroupAttributes", _group),
    **same("DeleteListener ModifyListenerAttributes", _listener),
    "ModifyListener": Row(_existing("ListenerArn", _LISTENER), keys=_listener_keys),
    "AddTags": Row(_tagged, keys=_tags),
    "RemoveTags": Row(_tagged, keys=lambda call: tag_keys(call.texts("TagKeys"))),
}
