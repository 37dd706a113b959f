"""What a call puts together is of one network, and there: moto takes subnets and security groups of
any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.iam.requests import Need, Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.facts import ec2_resource
from scripts.localcloud.emulator.services import canonical
from scripts.localcloud.rules.lesser import PROTOCOL, TYPED, WITH_PORTS, is_network, is_type

_TOGETHER = {
    **dict.fromkeys(
        ("AssociateRouteTable", "CreateNetworkInterface", "CreateVpcEndpoint",
         "ModifyInstanceAttribute", "ModifyVpcEndpoint", "ReplaceRouteTableAssociation",
         "RunInstances"),
        "InvalidParameter",
    ),
    "CreateAutoScalingGroup": "ValidationError",
    "UpdateAutoScalingGroup": "ValidationError",
}  # fmt: skip
LEAST_ZONES = 2
_LARGEST_PORT = 65535


def check(needs: Iterable[Need], reading: Reading) -> None:
    """Raise AwsError if EC2 would put together what is of several networks.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html (SecurityGroupId)
    """
    code = _TOGETHER.get(reading.operation)
    if code is None or reading.request.service not in ("autoscaling", "ec2"):
        return
    found: dict[str, str] = {}
    for need in needs:
        network = need.context.get("ec2:Vpc", ("",))[0]
        if need.resource.rpartition("/")[0].endswith(":vpc"):
            network = need.resource
        name = need.resource.rpartition("/")[2]
        if network and name != "*":
            found.setdefault(network, name)
    if len(found) > 1:
        names = " and ".join(list(found.values())[:2])
        raise AwsError(code, f"{names} belong to different networks.")


def subnet_group(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html"""
    names = reading.parameters.get("SubnetIds") or ()
    subnets = _known(reading, backends, "subnet", names)
    if len(subnets) < len(set(names)):
        return  # moto's to refuse
    if len({one.vpc_id for one in subnets}) > 1:
        raise AwsError(
            "InvalidSubnet",
            "The requested subnet is invalid, or multiple subnets were requested that are not all "
            "in a common VPC.",
        )
    known = backends("rds", reading.request.region).subnet_groups.get(
        reading.parameters["DBSubnetGroupName"]
    )
    if known and subnets and known.vpc_id != subnets[0].vpc_id:
        raise AwsError(
            "InvalidParameterValue",
            "The new Subnets are not in the same Vpc as the existing subnet group",
        )
    zones = {one.availability_zone for one in subnets}
    if subnets and len(zones) < LEAST_ZONES:
        raise AwsError(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current "
            f"AZ coverage: {', '.join(zones)}. Add subnets to cover at least {LEAST_ZONES} AZs.",
        )


def database(reading: Reading, backends: Backends) -> None:
    """A database's security groups are there, and of its network.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.RDSSecurityGroups.html
    """
    given = reading.parameters
    names = given.get("VpcSecurityGroupIds") or ()
    groups = _known(reading, backends, "security-group", names)
    if missing := set(names) - {one.id for one in groups}:
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid security group , groupId= {min(missing)}, groupName=.",
        )
    region = reading.request.region
    rds, default = backends("rds", region), backends("ec2", region).get_default_vpc()
    known = rds.databases.get(given.get("DBInstanceIdentifier", ""))
    name, placed = given.get("DBSubnetGroupName"), getattr(known, "db_subnet_group", None)
    if name:
        placed = rds.subnet_groups.get(name)
    if name and known and placed and placed.vpc_id == known.db_subnet_group.vpc_id:
        raise AwsError(
            "InvalidVPCNetworkStateFault",
            f"The DB instance is in the VPC of {name} already. Choose a DB subnet group in a "
            "different VPC than the DB instance and try again.",
        )
    network = placed.vpc_id if placed else default.id if default and not name else None
    for group in groups:
        if network and group.vpc_id != network:
            raise AwsError(
                "InvalidParameterCombination",
                "The DB instance and EC2 security group are in different VPCs. The DB instance is "
                f"in {network} and the EC2 security group is in {group.vpc_id}",
            )


def balancer(reading: Reading, backends: Backends) -> None:
    """A load balancer's subnets and security groups.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
    """
    given = reading.parameters
    known = backends("elbv2", reading.request.region).load_balancers.get(
        given.get("LoadBalancerArn")
    )
    mapped = [one.get("SubnetId") for one in given.get("SubnetMappings") or ()]
    asked = given.get("Subnets") or mapped
    subnets = _known(reading, backends, "subnet", asked)
    if len(subnets) < len(set(asked)):
        return  # moto's to refuse
    zones = [one.availability_zone for one in subnets]
    kind = known.type if known else given.get("Type", "application")
    if subnets and kind == "application" and len(set(zones)) < LEAST_ZONES:
        raise AwsError(
            "ValidationError",
            "At least two subnets in two different Availability Zones must be specified",
        )
    names = given.get("SecurityGroups") or ()
    groups = _known(reading, backends, "security-group", names)
    networks = {one.vpc_id for one in (*subnets, *groups)} | ({known.vpc_id} if known else set())
    if len(zones) > len(set(zones)) or len(networks) > 1 or len(groups) < len(set(names)):
        raise AwsError(
            "InvalidConfigurationRequest",
            "A load balancer has one subnet in each Availability Zone, and security groups that "
            "are there, all of one VPC",
        )


# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListener.html
_PROTOCOLS = {
    "application": ("HTTP", "HTTPS"),
    "network": ("TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC"),
}
_CONTENT = {
    "fixed-response": ("FixedResponseConfig",),
    "forward": ("ForwardConfig", "TargetGroupArn"),
    "redirect": ("RedirectConfig",),
}
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html
_SAME_ADDRESS = {
    "Host": "#{host}", "Path": "/#{path}", "Port": "#{port}", "Protocol": "#{protocol}"
}  # fmt: skip
_PLAIN = frozenset({"HTTP", "TCP", "TCP_UDP", "UDP"})


def listener(reading: Reading, backends: Backends) -> None:
    """A listener's target groups are of its load balancer's network; TLS needs a certificate.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
    """
    given = reading.parameters
    new = reading.operation == "CreateListener"
    if new and given.get("Protocol") in ("HTTPS", "TLS") and not given.get("Certificates"):
        raise AwsError(
            "ValidationError", f"A certificate must be specified for {given['Protocol']} listeners"
        )
    for name, what in (("Certificates", "A certificate"), ("SslPolicy", "An SSL policy")):
        if given.get(name) and given.get("Protocol") in _PLAIN:
            raise AwsError(
                "ValidationError", f"{what} cannot be specified for {given['Protocol']} listeners"
            )
    elb = backends("elbv2", reading.request.region)
    arn = given.get("LoadBalancerArn") or given["ListenerArn"].replace(
        ":listener/", ":loadbalancer/"
    )
    balancer = elb.load_balancers.get(arn) or elb.load_balancers.get(arn.rpartition("/")[0])
    protocols = _PROTOCOLS.get(getattr(balancer, "type", None) or "application", ())
    if balancer and protocols and given.get("Protocol") not in (None, *protocols):
        raise AwsError(
            "ValidationError",
            f"Listener protocol '{given['Protocol']}' must be one of '{', '.join(protocols)}'",
        )
    if new and len(given.get("DefaultActions") or ()) != 1:
        raise AwsError("ValidationError", "A listener has one default action")
    for action in given.get("DefaultActions") or ():
        _action(action)
        forward = (action.get("ForwardConfig") or {}).get("TargetGroups") or ()
        for arn in (action.get("TargetGroupArn"), *(one.get("TargetGroupArn") for one in forward)):
            group = elb.target_groups.get(arn)
            if group and balancer and group.vpc_id not in (None, balancer.vpc_id):
                raise AwsError("ValidationError", f"{arn} is in another VPC than the load balancer")


# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html
_REDIRECTED = {
    "Path": re.compile(r"/.*"),
    "Port": re.compile(r"#\{port\}|[1-9]\d{0,4}"),
    "Protocol": re.compile(r"HTTPS?|#\{protocol\}"),
    "Query": re.compile(r"(?!\?).*"),
}
_MOST_GROUPS = 5
_LONGEST_STICKINESS = 604_800


def _action(action: Mapping[str, Any]) -> None:
    """What a listener does; moto keeps what it could not do.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html
    """
    if not any(action.get(name) for name in _CONTENT.get(action.get("Type", ""), ("Type",))):
        raise AwsError(
            "ValidationError", f"An action of type '{action.get('Type')}' has no content"
        )
    redirect, forward = action.get("RedirectConfig") or {}, action.get("ForwardConfig") or {}
    for name, pattern in _REDIRECTED.items():
        text = redirect.get(name, _SAME_ADDRESS.get(name, ""))
        beyond = name == "Port" and text.isdecimal() and int(text) > _LARGEST_PORT
        if beyond or not pattern.fullmatch(text):
            raise AwsError("ValidationError", f"The redirect's {name} '{text}' is not valid")
    same = all(redirect.get(name, kept) == kept for name, kept in _SAME_ADDRESS.items())
    if action.get("Type") == "redirect" and same:
        raise AwsError(
            "InvalidLoadBalancerAction",
            "The redirect configuration is not valid because it creates a loop.",
        )
    groups = [one.get("TargetGroupArn") for one in forward.get("TargetGroups") or ()]
    if len(groups) > _MOST_GROUPS:
        raise AwsError("TooManyTargetGroups", f"An action has at most {_MOST_GROUPS} target groups")
    if len(set(groups)) < len(groups):
        raise AwsError("ValidationError", "Target groups of an action are unique")
    if groups and action.get("TargetGroupArn") and groups != [action["TargetGroupArn"]]:
        raise AwsError(
            "ValidationError",
            "You can only specify both TargetGroupArn and ForwardConfig with the same target group",
        )
    sticky = forward.get("TargetGroupStickinessConfig") or {}
    lasts = sticky.get("DurationSeconds")
    if (sticky.get("Enabled") and lasts is None) or not 1 <= (lasts or 1) <= _LONGEST_STICKINESS:
        raise AwsError("ValidationError", "Stickiness lasts from 1 to 604800 seconds")


def health_check(reading: Reading, backends: Backends) -> None:
    """A target group's health check has a port and a path, and ends before the next begins.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyTargetGroup.html
    """
    given = reading.parameters
    groups = backends("elbv2", reading.request.region).target_groups
    known = groups.get(given.get("TargetGroupArn"))
    port, path = given.get("HealthCheckPort", "1"), given.get("HealthCheckPath", "/")
    right = port == "traffic-port" or (port.isdecimal() and 0 < int(port) <= _LARGEST_PORT)
    if not right:
        raise AwsError("ValidationError", f"Health check port '{port}' is not valid")
    if not path.startswith("/"):
        raise AwsError("ValidationError", f"Health check path '{path}' must begin with '/'")
    kind = getattr(known, "target_type", None) or given.get("TargetType") or "instance"
    if given.get("HealthCheckEnabled") is False and kind != "lambda":
        raise AwsError(
            "ValidationError", f"Health check enabled must be true for target type '{kind}'"
        )
    every = given.get("HealthCheckIntervalSeconds") or getattr(
        known, "health_check_interval_seconds", None
    )
    limit = given.get("HealthCheckTimeoutSeconds") or getattr(
        known, "health_check_timeout_seconds", None
    )
    protocol = given.get("HealthCheckProtocol") or getattr(known, "health_check_protocol", None)
    if every and limit and str(protocol).startswith("HTTP") and int(limit) >= int(every):
        raise AwsError(
            "ValidationError",
            f"Health check interval must be greater than the timeout ({limit} seconds)",
        )


def scaling_group(reading: Reading, backends: Backends) -> None:
    """A scaling group's subnets and target groups are of one network.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/attach-load-balancer-asg.html
    """
    given, region = reading.parameters, reading.request.region
    groups = backends("autoscaling", region).autoscaling_groups
    known = groups.get(given["AutoScalingGroupName"])
    zones = given.get("VPCZoneIdentifier") or getattr(known, "vpc_zone_identifier", None) or ""
    subnets = _known(reading, backends, "subnet", zones.split(","))
    named = given.get("TargetGroupARNs") or getattr(known, "target_group_arns", None) or ()
    targets = [backends("elbv2", region).target_groups.get(arn) for arn in named]
    networks = {one.vpc_id for one in (*subnets, *filter(None, targets)) if one.vpc_id}
    if subnets and len(networks) > 1:
        raise AwsError(
            "ValidationError", "The subnets and target groups are not all in one VPC: "
            + ", ".join(sorted(networks)),
        )  # fmt: skip


def route(reading: Reading, backends: Backends) -> None:
    """A route leads to what is there, and in the network of its table.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
    """
    given = reading.parameters
    _one_way(given)
    tables = _known(reading, backends, "route-table", [given.get("RouteTableId")])
    for parameter, kind, code in (
        ("GatewayId", "internet-gateway", "InvalidInternetGatewayID.NotFound"),
        ("NatGatewayId", "natgateway", "InvalidNatGatewayID.NotFound"),
        ("NetworkInterfaceId", "network-interface", "InvalidNetworkInterfaceID.NotFound"),
        ("InstanceId", "instance", "InvalidInstanceID.NotFound"),
    ):
        name = given.get(parameter)
        if kind == "internet-gateway" and name and not name.startswith(("igw-", "vgw-")):
            raise AwsError("InvalidGatewayID.NotFound", f"The gateway ID '{name}' does not exist")
        if not name or not tables or name.startswith("vgw-"):
            continue
        found = _known(reading, backends, kind, [name])
        if not found or getattr(found[0], "state", "") == "deleted":
            raise AwsError(code, f"The ID '{name}' does not exist")
        if _network(found[0]) != tables[0].vpc_id:
            raise AwsError(
                "InvalidParameterValue",
                f"route table {tables[0].id} and {kind.replace('internet', 'network')} {name} "
                "belong to different networks",
            )


# The parameters of a route that are no target of it.
_DESTINATIONS = {"DestinationCidrBlock": 4, "DestinationIpv6CidrBlock": 6,
                 "DestinationPrefixListId": None}  # fmt: skip
_OF_NO_ROUTE = frozenset({"DryRun", "RouteTableId"})


def _one_way(given: Mapping[str, Any]) -> None:
    """A route has one destination and one target; moto takes none, and several."""
    targets = given.keys() - _DESTINATIONS.keys() - _OF_NO_ROUTE
    for what, names in (("destination", _DESTINATIONS.keys()), ("target", targets)):
        said = [name for name in names if given.get(name)]
        if len(said) != 1:
            raise AwsError(
                "InvalidParameterCombination" if said else "MissingParameter",
                f"The request must contain exactly one {what}",
            )
    for name, version in _DESTINATIONS.items():
        text = given.get(name)
        if text and version and not is_network(text, version):
            raise AwsError(
                "InvalidParameterValue",
                f"Value ({text}) for parameter {name[0].lower()}{name[1:]} is invalid. This is not "
                "a valid CIDR block.",
            )


def _network(thing: Any) -> str | None:
    """The network that something is in; a gateway may be in none."""
    attached = getattr(thing, "vpc", None)
    if attached is not None:
        return str(attached.id)
    subnet = getattr(thing, "subnet", None)
    if subnet is not None:
        return str(subnet.vpc_id)
    return getattr(thing, "vpc_id", None)


def sources(reading: Reading, backends: Backends) -> None:
    """A rule of a security group names groups of its own network, and prefix lists that are there.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
    """
    given = reading.parameters
    changed = [one.get("SecurityGroupRule") or {} for one in given.get("SecurityGroupRules") or ()]
    asked = given.get("IpPermissions") or ()
    pairs = [pair for one in asked for pair in one.get("UserIdGroupPairs") or ()]
    lists = [entry.get("PrefixListId") for one in asked for entry in one.get("PrefixListIds") or ()]
    names = [pair.get("GroupId") for pair in pairs]
    names += [one.get("ReferencedGroupId") for one in changed]
    lists += [one.get("PrefixListId") for one in changed]
    wanted = set(filter(None, lists))
    if len(_known(reading, backends, "prefix-list", wanted)) < len(wanted):
        raise AwsError("InvalidPrefixListID.NotFound", "The prefix list ID does not exist")
    own = _known(reading, backends, "security-group", [given.get("GroupId")])
    groups = _known(reading, backends, "security-group", names)
    if len(groups) < len([one for one in names if one]):
        raise AwsError("InvalidGroup.NotFound", "The security group does not exist")
    if len({one.vpc_id for one in (*own, *groups)}) > 1:
        raise AwsError(
            "InvalidGroup.NotFound",
            "You have specified two resources that belong to different networks.",
        )


def pair_names(reading: Reading, backends: Backends) -> None:
    """The group that a rule names, by its id and its name: moto goes by the name alone.

    Only a group of the default network is named without its id.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UserIdGroupPair.html
    """
    given, account = reading.parameters, reading.request.account
    own = _known(reading, backends, "security-group", [given.get("GroupId")])
    default = backends("ec2", reading.request.region).get_default_vpc()
    asked = given.get("IpPermissions") or ()
    pairs = [pair for one in asked for pair in one.get("UserIdGroupPairs") or ()]
    for pair in pairs:
        name, group = pair.get("GroupName"), pair.get("GroupId")
        named = _known(reading, backends, "security-group", [group])
        by_name_alone = name and not group and own and own[0].vpc_id != getattr(default, "id", None)
        another = name and named and named[0].name != name
        if by_name_alone or another or (pair.get("UserId") or account) != account:
            raise AwsError(
                "InvalidGroup.NotFound", f"The security group '{group or name}' does not exist"
            )


def instance_groups(reading: Reading, backends: Backends) -> None:
    """An instance has a security group, and those that it gets are there; moto leaves it without.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
    """
    names = reading.parameters.get("Groups") or ()
    groups = {one.id for one in _known(reading, backends, "security-group", names)}
    if missing := set(names) - groups:
        raise AwsError(
            "InvalidGroup.NotFound", f"The security group '{min(missing)}' does not exist"
        )


# What an endpoint of a type has not.
_OF_OTHER_ENDPOINTS = {
    "Gateway": ("AddSecurityGroupIds", "AddSubnetIds", "SecurityGroupIds", "SubnetIds"),
    "Interface": ("AddRouteTableIds", "RouteTableIds"),
}


def endpoint(reading: Reading, backends: Backends) -> None:
    """An endpoint's security groups are there, and it has what is of its type.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcEndpoint.html
    """
    given = reading.parameters
    known = backends("ec2", reading.request.region).vpc_end_points
    there = known.get(given.get("VpcEndpointId"))
    kind = there.vpc_endpoint_type if there else given.get("VpcEndpointType")
    kind = kind or "Gateway"
    for name in _OF_OTHER_ENDPOINTS.get(kind, ()):
        if given.get(name):
            raise AwsError("InvalidParameter", f"{kind} endpoints do not support {name}")
    names = {*(given.get("SecurityGroupIds") or ()), *(given.get("AddSecurityGroupIds") or ())}
    groups = {one.id for one in _known(reading, backends, "security-group", names)}
    if missing := names - groups:
        raise AwsError(
            "InvalidGroup.NotFound", f"The security group '{min(missing)}' does not exist"
        )


def acl_entry(reading: Reading, backends: Backends) -> None:
    """Moto keeps entries for no network and no port, and fails on those that are not there.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html
    """
    given = reading.parameters
    if reading.operation == "DeleteNetworkAclEntry":
        acl = backends("ec2", reading.request.region).network_acls.get(given["NetworkAclId"])
        entries = {(one.egress, one.rule_number) for one in acl.network_acl_entries} if acl else ()
        if acl and (given["Egress"], given["RuleNumber"]) not in entries:
            raise AwsError(
                "InvalidNetworkAclEntry.NotFound",
                f"The network acl entry identified by {given['RuleNumber']} does not exist.",
            )
        return
    networks = [given.get(name) for name in ("CidrBlock", "Ipv6CidrBlock")]
    if networks.count(None) != 1:
        raise AwsError("MissingParameter", "The request must contain CidrBlock or Ipv6CidrBlock")
    for version, network in zip((4, 6), networks, strict=True):
        if network is not None and not is_network(network, version):
            raise AwsError("InvalidParameterValue", f"CIDR block {network} is malformed")
    protocol = str(given.get("Protocol")).lower()
    if not PROTOCOL.fullmatch(protocol):
        raise AwsError("InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol.")
    protocol, icmp = canonical.protocol(protocol), given.get("IcmpTypeCode") or {}
    if protocol in TYPED and not {"Type", "Code"} <= icmp.keys():
        raise AwsError("MissingParameter", "The request must contain the ICMP type and code")
    if protocol in TYPED and not is_type(icmp["Type"], icmp["Code"]):
        raise AwsError("InvalidParameterValue", "Invalid ICMP type and code")
    ports = given.get("PortRange") or {}
    first, last = ports.get("From", -1), ports.get("To", -1)
    if protocol in WITH_PORTS and not 0 <= first <= last <= _LARGEST_PORT:
        raise AwsError("InvalidParameterValue", "Invalid TCP/UDP port range")


def address(reading: Reading, _: Backends) -> None:
    """A NAT gateway has an address if it is public, and else has none.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNatGateway.html
    """
    given = reading.parameters
    private = given.get("ConnectivityType") == "private"
    if private and given.get("AllocationId"):
        raise AwsError("InvalidParameter", "A private NAT gateway has no AllocationId.")
    if not private and not given.get("AllocationId"):
        raise AwsError(
            "MissingParameter",
            "The request must include the AllocationId parameter. Add the required parameter and "
            "retry the request.",
        )


def _known(
    reading: Reading, backends: Backends, kind: str, names: Iterable[str | None] | None
) -> list[Any]:
    """Those of EC2's resources that are there."""
    ec2 = backends("ec2", reading.request.region)
    found = (ec2_resource(ec2, kind, name) for name in names or () if name)
    return [one for one in found if one is not None]
