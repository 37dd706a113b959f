"""EC2: networks, addresses, security groups, endpoints, images, instances' lifecycle and tags.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.iam.requests.model import Keys, Malformed, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
    Call,
    Row,
    Table,
    Target,
    Targets,
    both,
    checked,
    everything,
    join_keys,
    keys_from,
    pairs,
    pass_role,
    passes,
    request_tags,
    same,
)
from scripts.iam.requests.services import ec2_endpoints, kms
from scripts.iam.requests.services.ec2_launch import (
    RUN_INSTANCES,
    instance_profile,
    launch_template,
    resolved_images,
    template_image,
    volume_key,
    volume_keys,
)
from scripts.iam.requests.services.ec2_resources import (
    create_row,
    created,
    existing,
    named,
    on_row,
    region_key,
    tag_on_create,
)

# The prefix of an id tells the resource type that CreateTags and DeleteTags are checked on.
KIND_OF_PREFIX = {
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
        kind = KIND_OF_PREFIX.get(name.partition("-")[0])
        if kind is None:
            raise ValueError(f"{name!r} is no id of a resource that can carry tags here")
        yield existing(call, kind, name)


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _named_tags(call: Call) -> Iterator[Target]:
    if call.get("Tags"):
        yield from _by_prefix(call)


def _all_tags(call: Call) -> Iterator[Need]:
    """Without tags the call takes all of the user's away; which keys AWS then sets is not told.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
    """
    for target in () if call.get("Tags") else _by_prefix(call):
        keys = {**region_key(call), **target.keys}
        yield Need("ec2:DeleteTags", target.arn, keys, ("aws:RequestTag/", "aws:TagKeys"))


def _attribute(*targets: Targets) -> Row:
    """A row for Modify*Attribute: ec2:Attribute names what is changed."""
    ids = {"VpcId", "SubnetId", "InstanceId", "NetworkInterfaceId", "DryRun"}

    def keys(call: Call) -> Keys:
        if call.get("Attribute") is not None:  # a second way to name what is changed
            raise Malformed("Attribute: name what is changed by its own parameter",
                            "InvalidParameterCombination")  # fmt: skip
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
    if name := facts.get("subnet"):  # or the gateway that the table is associated with
        kind = "internet-gateway" if name.startswith("igw-") else "subnet"
        yield existing(call, kind, name)


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


def _interface_of_address(call: Call) -> Iterator[Target]:
    """The interface that loses its address."""
    name = call.get("AssociationId") or call.get("PublicIp")
    facts = call.facts(call.arn("ec2", f"address-association/{name}"))
    if facts.get("interface"):
        yield existing(call, "network-interface", facts["interface"])


def _mapped_volumes(call: Call) -> Iterator[Target]:
    """The volumes whose devices a call names."""
    facts = call.facts(call.arn("ec2", f"instance/{call.text('InstanceId')}"))
    volumes: dict[str, str] = facts.get("volumes") or {}
    for mapping in call.get("BlockDeviceMappings") or ():
        name = volumes.get(str(mapping.get("DeviceName")))
        yield existing(call, "volume", name) if name else Target(call.arn("ec2", "volume/*"), {})


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


def _container_fields(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html"""
    if "${ecs-" in str(call.get("LogFormat") or ""):
        keys = VIA_SERVICE
        for name in ("ListClusters", "ListServices", "ListTaskDefinitions"):
            yield Need(f"ecs:{name}", "*", keys)
        yield Need("ecs:ListContainerInstances", call.arn("ecs", "cluster/*"), keys)
        yield Need("ecs:ListTasks", call.arn("ecs", "container-instance/*"), keys)


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


def _vpc_or_default(call: Call) -> Iterator[Target]:
    """The network of a new group: without a name, the default one."""
    default = call.facts(call.arn("ec2", "vpc/default")).get("vpc")
    if name := call.get("VpcId") or default:
        yield existing(call, "vpc", checked(name, "VpcId"))


_vpc = named("vpc", "VpcId")
_subnet = named("subnet", "SubnetId")
_route_table = named("route-table", "RouteTableId")
_instance = named("instance", "InstanceId")
_instances = named("instance", "InstanceIds")
_interface = named("network-interface", "NetworkInterfaceId")
_volume = named("volume", "VolumeId")


def _opens_volumes(call: Call) -> Iterator[Need]:
    """EC2 gets a grant of the keys of an instance's volumes from whoever starts it.

    https://repost.aws/knowledge-center/kms-iam-ec2-permission
    """
    for instance in _instances(call):
        for name in (call.facts(instance.arn).get("volumes") or {}).values():
            key = call.facts(call.arn("ec2", f"volume/{name}")).get("kms_key")
            yield from kms.behind(call, "ec2", key, ("kms:CreateGrant",))


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
DescribeInternetGateways DescribeKeyPairs DescribeLaunchTemplates
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
    "DeleteTags": Row(_named_tags, keys=lambda c: {**region_key(c), **_tags(c)}, also=(_all_tags,)),
    # networks
    "CreateVpc": create_row("vpc"),
    "DeleteVpc": on_row(_vpc),
    "DescribeVpcAttribute": on_row(_vpc),
    "ModifyVpcAttribute": _attribute(_vpc),
    "GetSecurityGroupsForVpc": on_row(_vpc),
    "CreateSubnet": create_row("subnet", _vpc),
    "DeleteSubnet": on_row(_subnet),
    "ModifySubnetAttribute": _attribute(_subnet),
    "CreateInternetGateway": create_row("internet-gateway"),
    **same(
        "AttachInternetGateway DetachInternetGateway",
        on_row(named("internet-gateway", "InternetGatewayId"), _vpc),
    ),
    "DeleteInternetGateway": on_row(named("internet-gateway", "InternetGatewayId")),
    "CreateRouteTable": create_row("route-table", _vpc),
    **same("CreateRoute DeleteRoute ReplaceRoute DeleteRouteTable", on_row(_route_table)),
    "AssociateRouteTable": on_row(_route_table, _subnet, named("internet-gateway", "GatewayId")),
    "DisassociateRouteTable": on_row(_route_table_of_association),
    "ReplaceRouteTableAssociation": on_row(_route_table, _route_table_of_association),
    "CreateNetworkAclEntry": on_row(named("network-acl", "NetworkAclId")),
    "DeleteNetworkAclEntry": on_row(named("network-acl", "NetworkAclId")),
    # addresses and NAT
    "AllocateAddress": create_row("elastic-ip"),
    "ReleaseAddress": on_row(_address),
    "DisassociateAddress": on_row(_address, _interface_of_address),
    "AssociateAddress": on_row(_address, _instance, _interface),
    "CreateNatGateway": create_row(
        "natgateway", _subnet, _vpc, named("elastic-ip", "AllocationId")
    ),
    "DeleteNatGateway": on_row(named("natgateway", "NatGatewayId")),
    # security groups
    "CreateSecurityGroup": create_row("security-group", _vpc_or_default),
    "DeleteSecurityGroup": on_row(_security_group),
    **same("AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress", _rules),
    **same(
        "RevokeSecurityGroupEgress RevokeSecurityGroupIngress "
        "UpdateSecurityGroupRuleDescriptionsEgress UpdateSecurityGroupRuleDescriptionsIngress",
        on_row(_security_group),
    ),
    "ModifySecurityGroupRules": on_row(_security_group, _updated_rules),
    # endpoints and flow logs
    **ec2_endpoints.TABLE,
    "CreateFlowLogs": Row(
        both(created("vpc-flow-log"), _flow_log_sources),
        keys=region_key,
        also=(
            tag_on_create("vpc-flow-log"),
            passes("DeliverLogsPermissionArn", "vpc-flow-logs.amazonaws.com"),
            _log_delivery,
            _container_fields,
        ),
    ),
    "DeleteFlowLogs": on_row(named("vpc-flow-log", "FlowLogIds")),
    # network interfaces
    "CreateNetworkInterface": create_row(
        "network-interface", _subnet, named("security-group", "Groups")
    ),
    "DeleteNetworkInterface": on_row(_interface),
    # launch templates
    "CreateLaunchTemplate": create_row("launch-template", also=(template_image,)),
    "CreateLaunchTemplateVersion": on_row(launch_template, also=(template_image,)),
    **same(
        "DeleteLaunchTemplate DeleteLaunchTemplateVersions ModifyLaunchTemplate",
        on_row(launch_template),
    ),
    "DescribeLaunchTemplateVersions": Row(everything, keys=region_key, also=(resolved_images,)),
    # instances
    "RunInstances": RUN_INSTANCES,
    "StartInstances": on_row(_instances, also=(_opens_volumes,)),
    **same("StopInstances TerminateInstances", on_row(_instances)),
    **same("DescribeInstanceAttribute GetConsoleOutput GetInstanceUefiData", on_row(_instance)),
    "ModifyInstanceAttribute": _attribute(
        _instance, named("security-group", "Groups"), _mapped_volumes
    ),
    "ModifyInstanceMetadataOptions": _attribute(_instance),
    "AssociateIamInstanceProfile": on_row(_instance, also=(_passes_profile,)),
    "ReplaceIamInstanceProfileAssociation": on_row(_profile_association, also=(_passes_profile,)),
    "DisassociateIamInstanceProfile": on_row(_profile_association),
    # volumes, snapshots, images
    "CreateVolume": create_row(
        "volume",
        named("snapshot", "SnapshotId"),
        keys=join_keys(
            keys_from(AvailabilityZone="ec2:AvailabilityZone", Size="ec2:VolumeSize"),
            lambda call: volume_keys(call, call.parameters),
        ),
        also=(lambda call: volume_key(call, call.parameters),),
    ),
    "DeleteVolume": on_row(_volume),
    "CreateSnapshot": create_row("snapshot", _volume),
    "DeleteSnapshot": on_row(named("snapshot", "SnapshotId")),
    "CreateImage": Row(
        both(created("image"), created("snapshot"), _instance),
        keys=region_key,
        also=(tag_on_create("image", "snapshot"),),
    ),
    "DeregisterImage": on_row(named("image", "ImageId")),
    "DescribeImageAttribute": on_row(named("image", "ImageId")),
    "GetManagedPrefixListEntries": on_row(named("prefix-list", "PrefixListId")),
}
