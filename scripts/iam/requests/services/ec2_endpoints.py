"""EC2: VPC endpoints, and what EC2 does with private DNS names in the caller's name.

A private DNS name is a hosted zone that EC2 associates with the VPC. Route 53 authorises that on
the zone and on the VPC. Neither the zone's id nor the account that holds it is known to the caller.
https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import VIA_SERVICE, Call, Table
from scripts.iam.requests.services.ec2_resources import (
    arn_of,
    create_row,
    named,
    on_row,
    region_key,
)

ZONES = "arn:aws:route53:::hostedzone/*"


def _service(call: Call) -> Keys:
    name = call.text("ServiceName")
    owner = "amazon" if name.startswith("com.amazonaws.") else "aws-marketplace"
    return {"ec2:VpceServiceName": (name,), "ec2:VpceServiceOwner": (owner,)}


def _private_dns(call: Call, action: str, vpc: str) -> Iterator[Need]:
    region = call.request.region
    keys = {"route53:VPCs": (f"VPCId={vpc},VPCRegion={region}",), **VIA_SERVICE}
    for resource in (ZONES, arn_of(call, "vpc", vpc)):
        yield Need(f"route53:{action}", resource, keys)
    if action.startswith("Associate"):
        yield Need("ec2:DescribeVpcs", "*", {**region_key(call), **VIA_SERVICE})


def _new_names(call: Call) -> Iterator[Need]:
    # EC2 gives an interface endpoint its private DNS names unless it is told not to.
    interface = call.get("VpcEndpointType") == "Interface"
    asked = call.get("PrivateDnsEnabled")
    if call.flag("PrivateDnsEnabled") or (interface and asked is None):
        yield from _private_dns(call, "AssociateVPCWithHostedZone", call.text("VpcId"))


def _looks_up(call: Call) -> Iterator[Need]:
    """What EC2 reads of the network that an endpoint is put into."""
    keys = {**region_key(call), **VIA_SERVICE}
    yield Need("ec2:DescribeVpcs", "*", keys)
    for parameter, action in (
        ("SubnetIds", "ec2:DescribeSubnets"),
        ("SecurityGroupIds", "ec2:DescribeSecurityGroups"),
    ):
        if call.get(parameter):
            yield Need(action, "*", keys)


def _changed_names(call: Call) -> Iterator[Need]:
    wanted = call.get("PrivateDnsEnabled")
    facts = _facts(call, call.text("VpcEndpointId"))
    if wanted is None or not facts.get("vpc"):
        return
    if call.flag("PrivateDnsEnabled"):
        yield from _private_dns(call, "AssociateVPCWithHostedZone", facts["vpc"])
    else:
        yield from _private_dns(call, "DisassociateVPCFromHostedZone", facts["vpc"])


def _removed_names(call: Call) -> Iterator[Need]:
    for name in call.texts("VpcEndpointIds"):
        facts = _facts(call, name)
        if facts.get("private_dns"):
            yield from _private_dns(call, "DisassociateVPCFromHostedZone", facts["vpc"])


def _facts(call: Call, endpoint: str) -> Mapping[str, Any]:
    return call.facts(arn_of(call, "vpc-endpoint", endpoint))


TABLE: Table = {
    "CreateVpcEndpoint": create_row(
        "vpc-endpoint",
        named("vpc", "VpcId"),
        named("route-table", "RouteTableIds"),
        named("subnet", "SubnetIds"),
        named("security-group", "SecurityGroupIds"),
        keys=_service,
        also=(_looks_up, _new_names),
    ),
    "ModifyVpcEndpoint": on_row(
        named("vpc-endpoint", "VpcEndpointId"),
        named("route-table", "AddRouteTableIds"),
        named("route-table", "RemoveRouteTableIds"),
        named("subnet", "AddSubnetIds"),
        named("subnet", "RemoveSubnetIds"),
        named("security-group", "AddSecurityGroupIds"),
        named("security-group", "RemoveSecurityGroupIds"),
        also=(_changed_names,),
    ),
    "DeleteVpcEndpoints": on_row(named("vpc-endpoint", "VpcEndpointIds"), also=(_removed_names,)),
}
