"""A name that is taken is not given again: moto puts the new thing in the place of the old one.

Nor is one that the service keeps for itself, or that could be another thing's id.
"""

from __future__ import annotations

import json
import re
from typing import Any

from moto.core.utils import camelcase_to_underscores

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.services import canonical

# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
_DATABASE = re.compile(r"(?=.{1,63}\Z)[a-z](?:-?[a-z0-9])*", re.ASCII)


def scaling_group(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html"""
    name = reading.parameters["AutoScalingGroupName"]
    if name in backends("autoscaling", reading.request.region).autoscaling_groups:
        raise AwsError(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} already "
            "exists",
        )


def subnet_group(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html"""
    name = reading.parameters["DBSubnetGroupName"]
    if name in backends("rds", reading.request.region).subnet_groups:
        raise AwsError(
            "DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists."
        )


def database(reading: Reading, backends: Backends) -> None:
    """A database is not renamed to another one's name, nor to none; moto renames at once.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    given = reading.parameters
    name, old = (given.get(f"{which}DBInstanceIdentifier") for which in ("New", ""))
    if name is None:
        return
    if not _DATABASE.fullmatch(name):
        raise AwsError("InvalidParameterValue", f"{name} is not a valid DB instance identifier.")
    if name == old:
        return
    if name in backends("rds", reading.request.region).databases:
        raise AwsError("DBInstanceAlreadyExists", "DB instance already exists")
    if not given.get("ApplyImmediately"):
        raise AwsError(
            "LocalCloudNotImplemented",
            "The local cloud does not model a new name that waits for the maintenance window",
        )


def schedule_group(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html"""
    name = reading.parameters["Name"]
    if name in backends("scheduler", reading.request.region).schedule_groups:
        raise AwsError("ConflictException", f"Schedule group {name} already exists.", 409)


def trail(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html"""
    name = reading.parameters["Name"]
    region, account = reading.request.region, reading.request.account
    if name in backends("cloudtrail", region).trails:
        raise AwsError(
            "TrailAlreadyExistsException",
            f"Trail {name} already exists for customer: {account}",
        )


def user(reading: Reading, backends: Backends) -> None:
    """A user is not renamed to another one's name, also not in other letters, nor to none."""
    for name in ("NewPath", "NewUserName"):
        if reading.parameters.get(name) == "":
            raise AwsError(
                "ValidationError",
                f"The specified value for {name} is invalid. It must have at least 1 character.",
            )
    new, old = reading.parameters.get("NewUserName"), reading.parameters["UserName"]
    others = {name.lower() for name in list(backends("iam").users) if name != old}
    if new and new.lower() in others:
        raise AwsError("EntityAlreadyExists", f"User with name {new} already exists.", 409)


def balancer(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html"""
    name = reading.parameters["Name"]
    known = backends("elasticloadbalancing", reading.request.region).load_balancers.values()
    if any(one.name == name for one in list(known)):
        raise AwsError(
            "DuplicateLoadBalancerName", f"A load balancer with the name {name} already exists."
        )


def listener(reading: Reading, backends: Backends) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html"""
    given = reading.parameters
    elb = backends("elasticloadbalancing", reading.request.region)
    arn = given.get("LoadBalancerArn")
    for owner in list(elb.load_balancers.values()):
        if arn is None and given["ListenerArn"] in owner.listeners:
            arn = owner.arn
    owner = elb.load_balancers.get(arn)
    others = [one for one in list(owner.listeners.values()) if one.arn != given.get("ListenerArn")
              ] if owner else []  # fmt: skip
    if str(given.get("Port")) in {str(one.port) for one in others}:
        raise AwsError(
            "DuplicateListener", "A listener already exists on this port for this load balancer"
        )


# Service and operation -> the parameter that names what is made, what AWS takes, and its error.
_NAMES = {
    ("elasticloadbalancing", "CreateLoadBalancer"): (
        "Name", r"(?!internal-)[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?", "ValidationError",
    ),
    ("cloudtrail", "CreateTrail"): (
        "Name", r"(?!\d+(\.\d+){3}\Z)[a-zA-Z0-9]+([._-][a-zA-Z0-9]+)*",
        "InvalidTrailNameException",
    ),
    ("ec2", "CreateSecurityGroup"): ("GroupName", r"(?!sg-).+", "InvalidParameterValue"),
    ("logs", "CreateLogGroup"): ("logGroupName", r"(?!aws/).+", "InvalidParameterException"),
    ("rds", "CreateDBParameterGroup"): (
        "DBParameterGroupName", r"[a-z](?:-?[a-z0-9])*", "InvalidParameterValue",
    ),
    ("rds", "CreateDBSubnetGroup"): (
        "DBSubnetGroupName", r"(?!default\Z)[\w. -]+", "InvalidParameterValue",
    ),
    ("secretsmanager", "CreateSecret"): ("Name", r"[\w/+=.@-]+", "ValidationException"),
}  # fmt: skip


def reserved(reading: Reading, _: Backends) -> None:
    """A name that AWS does not take: it is a default's, a service's, or looks like an id."""
    parameter, pattern, code = _NAMES[reading.request.service, reading.operation]
    name = str(reading.parameters[parameter])
    if not re.fullmatch(pattern, name, re.ASCII):
        raise AwsError(code, f"{name} is not a valid {parameter}.")


def route(reading: Reading, backends: Backends) -> None:
    """A destination has one route, and the network's own stays.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
    https://docs.aws.amazon.com/vpc/latest/userguide/replace-local-route-target.html
    """
    given = reading.parameters
    table = backends("ec2", reading.request.region).route_tables.get(given.get("RouteTableId"))
    for found in list(table.routes) if table else ():
        there = (
            found.destination_cidr_block,
            found.destination_ipv6_cidr_block,
            getattr(found.destination_prefix_list, "id", None),
        )
        named = (
            canonical.network(given.get("DestinationCidrBlock") or ""),
            canonical.network(given.get("DestinationIpv6CidrBlock") or ""),
            given.get("DestinationPrefixListId"),
        )
        if not any(one and one == other for one, other in zip(named, there, strict=True)):
            continue
        if reading.operation == "CreateRoute":
            raise AwsError(
                "RouteAlreadyExists",
                f"The route identified by {next(one for one in named if one)} already exists.",
            )
        if found.local and given.get("GatewayId"):
            raise AwsError(
                "InvalidParameterValue",
                "The target of a local route is a network interface, a NAT gateway or an endpoint",
            )


def parameter(reading: Reading, _: Backends) -> None:
    """A parameter of a hierarchy has its whole name, and one at each level; two names would be one
    ARN.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    """
    name = reading.parameters["Name"].rpartition(":parameter")[2]
    if "/" in name and not name.startswith("/"):
        raise AwsError(
            "ValidationException",
            f"Parameter name must be a fully qualified name: {name!r} does not begin with /",
        )
    if not all(name.removeprefix("/").split("/")):
        raise AwsError(
            "ValidationException",
            f"Parameter name: each sub-path of {name!r} must have letters, numbers or .-_",
        )


def whole_parameter(reading: Reading, _: Backends) -> None:
    """A version or label of a parameter is read, and nothing else; moto makes it another parameter.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
    """
    given = reading.parameters
    name = given.get("Name") or given.get("ResourceId") or ""
    of_parameter = given.get("ResourceType", "Parameter") == "Parameter"
    if of_parameter and ":" in name.rpartition(":parameter")[2]:
        code = "ValidationException" if "Name" in given else "InvalidResourceId"
        raise AwsError(code, f"{name} is not a valid name of a parameter.")


def topic(reading: Reading, backends: Backends) -> None:
    """A topic that is made again is the one that is there, if it is asked for as that one is.

    https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    """
    given, region = reading.parameters, reading.request.region
    arn = f"arn:aws:sns:{region}:{reading.request.account}:{given['Name']}"
    found = backends("sns", region).topics.get(arn)
    if found is None:
        return
    tags = {tag["Key"]: tag.get("Value") for tag in given.get("Tags") or ()}
    attributes = given.get("Attributes") or {}
    kept = {name: getattr(found, camelcase_to_underscores(name), "") for name in attributes}
    for what, asked, has in (("Attributes", attributes, kept), ("Tags", tags, found._tags)):
        if any(_alike(has.get(name)) != _alike(value) for name, value in asked.items()):
            raise AwsError(
                "InvalidParameter",
                f"Invalid parameter: {what} Reason: Topic already exists with different "
                f"{what.lower()}",
            )


def _alike(value: Any) -> Any:
    """Text that is JSON is compared by what it says."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
