"""EC2: networks, addresses, security groups, endpoints, images, instances' lifecycle and tags.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    Also,
    Call,
    Row,
    Table,
    Target,
    Targets,
    both,
    checked,
    everything,
    keys_from,
    pairs,
    pass_role,
    passes,
    request_tags,
    same,
)
from scripts.iam.requests.services.ec2_launch import (
    RUN_INSTANCES,
    instance_profile,
    launch_template,
)
from scripts.iam.requests.services.ec2_resources import (
    created,
    existing,
    named,
    region_key,
    tag_on_create,
)

# The prefix of an id tells the resource type that CreateTags and DeleteTags are checked on.
_KIND_OF_PREFIX = {
    "ami": "image",
    "acl": "network-acl",
    "dopt": "dhcp-options",
    "eipalloc": "elastic-ip",
    "eigw": "egress-only-internet-gateway",
    "eni": "network-interface",
    "fl": "vpc-flow-log",
    "i": "instance",
    "igw": "internet-gateway",
    "key": "key-pair",
    "lt": "launch-template",
    "nat": "natgateway",
    "pl": "prefix-list",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "sir": "spot-instances-request",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
    "pcx": "vpc-peering-connection",
}


def _by_prefix(call: Call) -> Iterator[Target]:
    for name in call.texts("Resources"):
        kind = _KIND_OF_PREFIX.get(name.partition("-")[0])
        if kind is None:
            raise ValueError(f"{name!r} is no id of a resource that can carry tags here")
        yield existing(call, kind, name)


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _create(kind: str, *others: Targets, keys: Callable[[Call], Keys] | None = None) -> Row:
    """A row for a call that makes a `kind`, possibly with tags, next to existing resources."""
    return Row(both(created(kind, keys), *others), keys=region_key, also=(tag_on_create(kind),))


def _on(*targets: Targets, also: tuple[Also, ...] = ()) -> Row:
    return Row(both(*targets), keys=region_key, also=also)


def _attribute(*targets: Targets) -> Row:
    """A row for Modify*Attribute: ec2:Attribute names what is changed."""
    ids = {"VpcId", "SubnetId", "InstanceId", "NetworkInterfaceId", "DryRun"}

    def keys(call: Call) -> Keys:
        changed = tuple(name for name in call.parameters if name not in ids)
        values = {
            f"ec2:Attribute/{name}": (_plain(call.get(name)),)
            for name in changed
            if _plain(call.get(name))
        }
        return {**region_key(call), "ec2:Attribute": changed, **values}

    return Row(both(*targets), keys=keys)


def _plain(value: Any) -> str:
    value = value.get("Value") if isinstance(value, dict) else value
    return str(value).lower() if isinstance(value, str | bool | int) else ""


def _route_table_of_association(call: Call) -> Iterator[Target]:
    association = call.text("AssociationId")
    facts = call.facts(call.arn("ec2", f"route-table-association/{association}"))
    if facts.get("route_table"):
        yield existing(call, "route-table", facts["route_table"])
    else:  # an association that does not exist: AWS still asks before it says so
        yield Target(call.arn("ec2", "route-table/*"), {})
    if facts.get("subnet"):
        yield existing(call, "subnet", facts["subnet"])


def _address(call: Call) -> Iterator[Target]:
    """The address that a call names by allocation, association or public IP."""
    if call.get("AllocationId"):
        yield existing(call, "elastic-ip", call.text("AllocationId"))
        return
    name = call.get("AssociationId") or call.get("PublicIp")
    facts = call.facts(call.arn("ec2", f"address-association/{checked(name, 'AllocationId')}"))
    if facts.get("allocation"):
        yield existing(call, "elastic-ip", facts["allocation"])
    else:
        yield Target(call.arn("ec2", "elastic-ip/*"), {})


def _security_group(call: Call) -> Iterator[Target]:
    yield existing(call, "security-group", call.text("GroupId"))


def _rules_with_tags(call: Call) -> Iterator[Target]:
    if call.get("TagSpecifications"):
        yield from created("security-group-rule")(call)


def _updated_rules(call: Call) -> Iterator[Target]:
    for rule in call.get("SecurityGroupRules") or []:
        yield existing(
            call, "security-group-rule", checked(rule.get("SecurityGroupRuleId"), "rule id")
        )


def _endpoint(call: Call) -> Keys:
    return {
        "ec2:VpceServiceName": (call.text("ServiceName"),),
        "ec2:VpceServiceOwner": (
            "amazon"
            if call.text("ServiceName").startswith("com.amazonaws.")
            else "aws-marketplace",
        ),
    }


_FLOW_LOG_KINDS = {
    "VPC": "vpc",
    "Subnet": "subnet",
    "NetworkInterface": "network-interface",
}


def _flow_log_sources(call: Call) -> Iterator[Target]:
    kind = _FLOW_LOG_KINDS.get(call.get("ResourceType") or "")
    if kind is None:
        raise ValueError(f"ResourceType must be one of {', '.join(_FLOW_LOG_KINDS)}")
    for name in call.texts("ResourceIds"):
        yield existing(call, kind, name)


def _log_delivery(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html"""
    if call.get("LogDestinationType") in {"s3", "kinesis-data-firehose"}:
        yield Need("logs:CreateLogDelivery", "*")


def _profile_association(call: Call) -> Iterator[Target]:
    association = call.text("AssociationId")
    facts = call.facts(call.arn("ec2", f"iam-instance-profile-association/{association}"))
    name = facts.get("instance")
    yield existing(call, "instance", name) if name else Target(call.arn("ec2", "instance/*"), {})


def _passes_profile(call: Call) -> Iterator[Need]:
    profile = call.get("IamInstanceProfile") or {}
    name = profile.get("Arn") or profile.get("Name")
    if name:
        yield pass_role(instance_profile(call, name), "ec2.amazonaws.com")


_vpc = named("vpc", "VpcId")
_subnet = named("subnet", "SubnetId")
_route_table = named("route-table", "RouteTableId")
_instance = named("instance", "InstanceId")
_instances = named("instance", "InstanceIds")
_interface = named("network-interface", "NetworkInterfaceId")
_volume = named("volume", "VolumeId")
_rules = Row(
    both(_security_group, _rules_with_tags),
    keys=region_key,
    also=(tag_on_create("security-group-rule"),),
)

_READS = """
DescribeAccountAttributes DescribeAddresses DescribeAddressesAttribute DescribeAvailabilityZones
DescribeDhcpOptions DescribeEgressOnlyInternetGateways DescribeFlowLogs
DescribeIamInstanceProfileAssociations DescribeImages DescribeInstanceCreditSpecifications
DescribeInstanceStatus DescribeInstanceTypeOfferings DescribeInstanceTypes DescribeInstances
DescribeInternetGateways DescribeKeyPairs DescribeLaunchTemplateVersions DescribeLaunchTemplates
DescribeManagedPrefixLists DescribeNatGateways DescribeNetworkAcls DescribeNetworkInterfaces
DescribePlacementGroups DescribePrefixLists DescribeRegions DescribeRouteTables
DescribeSecurityGroupRules DescribeSecurityGroups DescribeSecurityGroupVpcAssociations
DescribeSnapshots DescribeSpotInstanceRequests DescribeSubnets DescribeTags DescribeVolumes
DescribeVolumesModifications DescribeVpcClassicLink DescribeVpcClassicLinkDnsSupport
DescribeVpcEndpointServices DescribeVpcEndpoints DescribeVpcPeeringConnections DescribeVpcs
GetEbsDefaultKmsKeyId GetEbsEncryptionByDefault GetInstanceMetadataDefaults
"""

TABLE: Table = {
    **{name: Row(everything, keys=region_key) for name in _READS.split()},
    **same("CreateTags", Row(_by_prefix, keys=lambda c: {**region_key(c), **_tags(c)})),
    **same("DeleteTags", Row(_by_prefix, keys=lambda c: {**region_key(c), **_tags(c)})),
    # networks
    "CreateVpc": _create("vpc"),
    "DeleteVpc": _on(_vpc),
    "DescribeVpcAttribute": _on(_vpc),
    "ModifyVpcAttribute": _attribute(_vpc),
    "AssociateVpcCidrBlock": _on(_vpc),
    "GetSecurityGroupsForVpc": _on(_vpc),
    "CreateSubnet": _create("subnet", _vpc),
    "DeleteSubnet": _on(_subnet),
    "ModifySubnetAttribute": _attribute(_subnet),
    "AssociateSubnetCidrBlock": _on(_subnet),
    "CreateInternetGateway": _create("internet-gateway"),
    **same(
        "AttachInternetGateway DetachInternetGateway",
        _on(named("internet-gateway", "InternetGatewayId"), _vpc),
    ),
    "DeleteInternetGateway": _on(named("internet-gateway", "InternetGatewayId")),
    "CreateRouteTable": _create("route-table", _vpc),
    **same("CreateRoute DeleteRoute ReplaceRoute DeleteRouteTable", _on(_route_table)),
    "AssociateRouteTable": _on(_route_table, _subnet, named("internet-gateway", "GatewayId")),
    "DisassociateRouteTable": _on(_route_table_of_association),
    "ReplaceRouteTableAssociation": _on(_route_table, _route_table_of_association),
    "CreateNetworkAclEntry": _on(named("network-acl", "NetworkAclId")),
    "DeleteNetworkAclEntry": _on(named("network-acl", "NetworkAclId")),
    # addresses and NAT
    "AllocateAddress": _create("elastic-ip"),
    "ReleaseAddress": _on(_address),
    "DisassociateAddress": _on(_address),
    "AssociateAddress": _on(_address, _instance, _interface),
    "CreateNatGateway": _create("natgateway", _subnet, named("elastic-ip", "AllocationId")),
    "DeleteNatGateway": _on(named("natgateway", "NatGatewayId")),
    # security groups
    "CreateSecurityGroup": _create("security-group", _vpc),
    "DeleteSecurityGroup": _on(_security_group),
    **same("AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress", _rules),
    **same(
        "RevokeSecurityGroupEgress RevokeSecurityGroupIngress "
        "UpdateSecurityGroupRuleDescriptionsEgress UpdateSecurityGroupRuleDescriptionsIngress",
        _on(_security_group),
    ),
    "ModifySecurityGroupRules": _on(_security_group, _updated_rules),
    # endpoints and flow logs
    "CreateVpcEndpoint": _create(
        "vpc-endpoint",
        _vpc,
        named("route-table", "RouteTableIds"),
        named("subnet", "SubnetIds"),
        named("security-group", "SecurityGroupIds"),
        keys=_endpoint,
    ),
    "ModifyVpcEndpoint": _on(
        named("vpc-endpoint", "VpcEndpointId"),
        named("route-table", "AddRouteTableIds"),
        named("route-table", "RemoveRouteTableIds"),
        named("subnet", "AddSubnetIds"),
        named("subnet", "RemoveSubnetIds"),
        named("security-group", "AddSecurityGroupIds"),
        named("security-group", "RemoveSecurityGroupIds"),
    ),
    "DeleteVpcEndpoints": _on(named("vpc-endpoint", "VpcEndpointIds")),
    "CreateFlowLogs": Row(
        both(created("vpc-flow-log"), _flow_log_sources),
        keys=region_key,
        also=(
            tag_on_create("vpc-flow-log"),
            passes("DeliverLogsPermissionArn", "vpc-flow-logs.amazonaws.com"),
            _log_delivery,
        ),
    ),
    "DeleteFlowLogs": _on(named("vpc-flow-log", "FlowLogIds")),
    # network interfaces
    "CreateNetworkInterface": _create(
        "network-interface", _subnet, named("security-group", "Groups")
    ),
    "DeleteNetworkInterface": _on(_interface),
    "ModifyNetworkInterfaceAttribute": _attribute(_interface, named("security-group", "Groups")),
    # launch templates
    "CreateLaunchTemplate": _create("launch-template"),
    **same(
        "CreateLaunchTemplateVersion DeleteLaunchTemplate DeleteLaunchTemplateVersions "
        "ModifyLaunchTemplate",
        _on(launch_template),
    ),
    # instances
    "RunInstances": RUN_INSTANCES,
    **same(
        "StartInstances StopInstances RebootInstances TerminateInstances MonitorInstances "
        "UnmonitorInstances",
        _on(_instances),
    ),
    **same("DescribeInstanceAttribute GetConsoleOutput GetInstanceUefiData", _on(_instance)),
    **same("ModifyInstanceAttribute", _attribute(_instance, named("security-group", "Groups"))),
    **same("ModifyInstanceMetadataOptions ModifyInstanceMaintenanceOptions", _attribute(_instance)),
    "AssociateIamInstanceProfile": _on(_instance, also=(_passes_profile,)),
    "ReplaceIamInstanceProfileAssociation": _on(_profile_association, also=(_passes_profile,)),
    "DisassociateIamInstanceProfile": _on(_profile_association),
    # volumes, snapshots, images
    "CreateVolume": _create(
        "volume",
        named("snapshot", "SnapshotId"),
        keys=keys_from(
            AvailabilityZone="ec2:AvailabilityZone",
            Encrypted="ec2:Encrypted",
            Size="ec2:VolumeSize",
            VolumeType="ec2:VolumeType",
            Iops="ec2:VolumeIops",
            Throughput="ec2:VolumeThroughput",
        ),
    ),
    **same("DeleteVolume ModifyVolume", _on(_volume)),
    **same("AttachVolume DetachVolume", _on(_volume, _instance)),
    "CreateSnapshot": _create("snapshot", _volume),
    "DeleteSnapshot": _on(named("snapshot", "SnapshotId")),
    "CreateImage": Row(
        both(created("image"), created("snapshot"), _instance),
        keys=region_key,
        also=(tag_on_create("image", "snapshot"),),
    ),
    "DeregisterImage": _on(named("image", "ImageId")),
    "DescribeImageAttribute": _on(named("image", "ImageId")),
    "GetManagedPrefixListEntries": _on(named("prefix-list", "PrefixListId")),
}
