"""What a call puts together is of one network, and there: moto takes subnets and security groups of
any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scripts.iam.requests import Need, Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.facts import ec2_resource

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
    known = rds.databases.get(given.get("DBInstanceIdentifier"))
    name, placed = given.get("DBSubnetGroupName"), getattr(known, "db_subnet_group", None)
    if name:
        placed = rds.subnet_groups.get(name)
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


def listener(reading: Reading, backends: Backends) -> None:
    """A listener's target groups are of its load balancer's network; TLS needs a certificate.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
    """
    given = reading.parameters
    if given.get("Protocol") in ("HTTPS", "TLS") and not given.get("Certificates"):
        raise AwsError(
            "ValidationError", f"A certificate must be specified for {given['Protocol']} listeners"
        )
    elb = backends("elbv2", reading.request.region)
    balancer = elb.load_balancers.get(given["LoadBalancerArn"])
    for action in given.get("DefaultActions") or ():
        forward = (action.get("ForwardConfig") or {}).get("TargetGroups") or ()
        for arn in (action.get("TargetGroupArn"), *(one.get("TargetGroupArn") for one in forward)):
            group = elb.target_groups.get(arn)
            if group and balancer and group.vpc_id not in (None, balancer.vpc_id):
                raise AwsError("ValidationError", f"{arn} is in another VPC than the load balancer")


def _known(
    reading: Reading, backends: Backends, kind: str, names: Iterable[str | None] | None
) -> list[Any]:
    """Those of EC2's resources that are there."""
    ec2 = backends("ec2", reading.request.region)
    found = (ec2_resource(ec2, kind, name) for name in names or () if name)
    return [one for one in found if one is not None]
