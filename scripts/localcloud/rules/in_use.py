"""What something else uses is neither deleted nor taken away from it: moto lets both happen."""

from __future__ import annotations

from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.services import canonical

# The error of IAM for something that others need.
_CONFLICT = "DeleteConflict"
_LAST_RULE = 32_766


def policy(reading: Reading, backends: Backends) -> None:
    """A managed policy that is attached.

    Deleted and made again under its name, it would be another one for all who have it.
    """
    iam, arn = backends("iam"), reading.parameters.get("PolicyArn")
    identities = [*iam.roles.values(), *iam.users.values(), *iam.groups.values()]
    for one in identities:
        if arn in one.managed_policies:
            raise AwsError(_CONFLICT, "Cannot delete a policy attached to entities.", 409)
    found = iam.managed_policies.get(arn)
    if found is not None and len(found.versions) > 1:
        raise AwsError(
            _CONFLICT, "This policy has more than one version. Delete the others first.", 409
        )


def group(reading: Reading, backends: Backends) -> None:
    """A group with members or policies: they would lose what the group denies them.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroup.html
    """
    found = backends("iam").groups.get(reading.parameters.get("GroupName"))
    if found and (found.users or found.policies or found.managed_policies):
        raise AwsError(
            _CONFLICT, "Cannot delete entity, must remove users from group and policies first.", 409
        )


def user(reading: Reading, backends: Backends) -> None:
    """A user with keys, a password or groups.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
    """
    iam, name = backends("iam"), reading.parameters.get("UserName")
    found = iam.users.get(name)
    if found and (found.access_keys or found.password or iam.get_groups_for_user(name)):
        raise AwsError(
            _CONFLICT, "Cannot delete entity, must delete its keys and leave its groups first.", 409
        )


def subnet(reading: Reading, backends: Backends) -> None:
    """A subnet that has a route table is not associated with another one."""
    name, wanted = (reading.parameters.get(which) for which in ("SubnetId", "RouteTableId"))
    tables = list(backends("ec2", reading.request.region).route_tables.values())
    for table in tables if name else ():
        if table.id != wanted and name in table._associations.values():
            raise AwsError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {wanted} conflicts with an existing "
                "association",
            )


def network(reading: Reading, backends: Backends) -> None:
    """A security group, subnet or network that something else needs.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    kind = reading.operation.removeprefix("Delete")
    name = reading.parameters.get({"SecurityGroup": "GroupId"}.get(kind, f"{kind}Id"))
    region = reading.request.region
    group = next((g[name] for g in backends("ec2", region).groups.values() if name in g), None)
    if group is not None and group.name == "default":
        raise AwsError(
            "CannotDelete",
            f'the specified group: "{name}" name: "default" cannot be deleted by a user',
        )
    if name in _needed(backends, region, apart_from=str(name)):
        raise AwsError(
            "DependencyViolation", f"The resource '{name}' has dependencies and cannot be deleted."
        )


def _needed(backends: Backends, region: str, apart_from: str) -> set[str]:
    """The ids of the groups, subnets and networks that moto's state has a use of."""
    ec2, rds = backends("ec2", region), backends("rds", region)
    found: set[str] = set()
    for interface in list(ec2.enis.values()):
        found |= {interface.subnet.id, *(group.id for group in interface.group_set)}
    for balancer in list(backends("elasticloadbalancing", region).load_balancers.values()):
        found |= {*balancer.security_groups, *(subnet.id for subnet in balancer.subnets)}
    for database in list(rds.databases.values()):
        found |= set(database.vpc_security_group_ids)
        if subnets := getattr(database, "db_subnet_group", None):
            found |= {_subnet_of(one) for one in subnets.subnets}
    found |= {gateway.vpc.id for gateway in ec2.internet_gateways.values() if gateway.vpc}
    for endpoint in list(ec2.vpc_end_points.values()):
        if endpoint.state == "available":
            found |= {endpoint.vpc_id, *(endpoint.subnet_ids or ())}
            found |= set(endpoint.security_group_ids or ())
    for vpc, groups in ec2.groups.items():
        if vpc is not None and any(group.name != "default" for group in groups.values()):
            found.add(vpc)
        for group in groups.values():
            if group.id != apart_from:
                rules = (*group.ingress_rules, *group.egress_rules)
                found |= {str((rule.source_group or {}).get("GroupId")) for rule in rules}
    return found


def _subnet_of(shown: Any) -> str:
    """The id of a subnet of a database's group, which moto keeps as RDS shows it."""
    return str(shown["SubnetIdentifier"] if isinstance(shown, dict) else shown.id)


def route_table(reading: Reading, backends: Backends) -> None:
    """The main route table of a network.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteRouteTable.html
    """
    name = reading.parameters.get("RouteTableId")
    found = backends("ec2", reading.request.region).route_tables.get(name)
    if found is not None and found.main_association_id:
        message = f"The routeTable '{name}' has dependencies and cannot be deleted."
        raise AwsError("DependencyViolation", message)


def scaling_group(reading: Reading, backends: Backends) -> None:
    """A group that has instances.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteAutoScalingGroup.html
    """
    name = reading.parameters.get("AutoScalingGroupName")
    groups = backends("autoscaling", reading.request.region).autoscaling_groups
    found = groups.get(name)
    if found and found.instance_states and not reading.parameters.get("ForceDelete"):
        raise AwsError(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot "
            "instance request(s) still in the group.",
        )


def interface(reading: Reading, backends: Backends) -> None:
    """An interface that is attached.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNetworkInterface.html
    """
    name = reading.parameters.get("NetworkInterfaceId")
    found = backends("ec2", reading.request.region).enis.get(name)
    if found is not None and (found.attachment_id or found.instance):
        raise AwsError("InvalidParameterValue", f"Network interface '{name}' is currently in use.")


def address(reading: Reading, backends: Backends) -> None:
    """An address that is associated.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReleaseAddress.html
    """
    given = reading.parameters
    for one in list(backends("ec2", reading.request.region).addresses):
        named = one.allocation_id == given.get("AllocationId") or (
            given.get("AllocationId") is None and one.public_ip == given.get("PublicIp")
        )
        if named and one.association_id:
            raise AwsError("InvalidIPAddress.InUse", f"The address {one.public_ip} is in use.")


def parameter_group(reading: Reading, backends: Backends) -> None:
    """A parameter group that an instance has.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBParameterGroup.html
    """
    name = reading.parameters.get("DBParameterGroupName")
    for database in list(backends("rds", reading.request.region).databases.values()):
        if database.db_parameter_group_name == name:
            raise AwsError(
                "InvalidDBParameterGroupState",
                "One or more database instances are still members of this parameter group "
                f"{name}, so the group cannot be deleted",
            )


def subnet_group(reading: Reading, backends: Backends) -> None:
    """A subnet group that an instance is in.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBSubnetGroup.html
    """
    name = reading.parameters.get("DBSubnetGroupName")
    for database in list(backends("rds", reading.request.region).databases.values()):
        group = getattr(database, "db_subnet_group", None)
        if group is not None and group.name == name:
            raise AwsError(
                "InvalidDBSubnetGroupStateFault",
                f"Cannot delete the subnet group '{name}' because at least one database instance "
                f"is still using it: {database.db_instance_identifier}",
            )


def balancer(reading: Reading, backends: Backends) -> None:
    """A load balancer that is protected.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html
    """
    arn = reading.parameters.get("LoadBalancerArn")
    elb = backends("elasticloadbalancing", reading.request.region)
    found = elb.load_balancers.get(arn)
    if found is not None and found.attrs.get("deletion_protection.enabled") == "true":
        raise AwsError(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )


def managed_secret(reading: Reading, backends: Backends) -> None:
    """A secret that another service manages, which its name begins with.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/service-linked-secrets.html
    """
    name = reading.parameters["SecretId"]
    for one in list(dict.values(backends("secretsmanager", reading.request.region).secrets)):
        if name in (one.name, one.arn, one.arn[:-7]) and one.name.startswith("rds!"):
            raise AwsError(
                "InvalidRequestException",
                "The secret is managed by another service, and you must use that service to "
                "update it.",
            )


def secret(reading: Reading, backends: Backends) -> None:
    """A secret that waits for its deletion is not changed."""
    name = reading.parameters["SecretId"]
    for one in list(dict.values(backends("secretsmanager", reading.request.region).secrets)):
        if name in (one.name, one.arn, one.arn[:-7]) and one.is_deleted():
            raise AwsError(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for "
                "deletion.",
            )


def rotation(reading: Reading, backends: Backends) -> None:
    """Without a function nothing makes the new version, and the current one would be empty.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
    """
    name = reading.parameters["SecretId"]
    for one in list(dict.values(backends("secretsmanager", reading.request.region).secrets)):
        given = reading.parameters.get("RotationLambdaARN") or one.rotation_lambda_arn
        if name in (one.name, one.arn, one.arn[:-7]) and not given:
            if "!" in one.name:
                raise AwsError("LocalCloudNotImplemented",
                               "The local cloud rotates no other service's secret")  # fmt: skip
            raise AwsError(
                "InvalidRequestException",
                "No Lambda rotation function ARN is associated with this secret.",
            )


def default_schedules(reading: Reading, _: Backends) -> None:
    """The default group of schedules.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteScheduleGroup.html
    """
    if reading.parameters.get("Name") == "default":
        raise AwsError("ValidationException", "The default schedule group cannot be deleted.")


def local_route(reading: Reading, backends: Backends) -> None:
    """The route that a network has to itself.

    https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html
    """
    given = reading.parameters
    ec2 = backends("ec2", reading.request.region)
    table = ec2.route_tables.get(given.get("RouteTableId"))
    asked = given.get("DestinationCidrBlock") or given.get("DestinationIpv6CidrBlock") or ""
    wanted = canonical.network(asked)
    for route in list(table.routes) if table else ():
        own = route.destination_cidr_block or route.destination_ipv6_cidr_block
        if route.local and own == wanted:
            raise AwsError(
                "InvalidParameterValue", f"cannot remove local route {wanted} in route table"
            )


def last_entry(reading: Reading, _: Backends) -> None:
    """The last entry of a network ACL, which nobody made.

    https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
    """
    if not 0 < int(reading.parameters.get("RuleNumber") or 0) <= _LAST_RULE:
        raise AwsError("InvalidParameterValue", f"RuleNumber must be 1 to {_LAST_RULE}.")


def automated_snapshot(reading: Reading, _: Backends) -> None:
    """A snapshot that RDS made of itself.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteSnapshot.html
    """
    name = reading.parameters["DBSnapshotIdentifier"]
    if str(name).startswith("rds:"):
        raise AwsError("InvalidDBSnapshotState", f"Cannot delete the automated snapshot {name}.")


def shared_snapshot(reading: Reading, backends: Backends) -> None:
    """An encrypted snapshot is not shared with everybody.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html
    """
    given = reading.parameters
    snapshots = backends("rds", reading.request.region).database_snapshots
    found = snapshots.get(given["DBSnapshotIdentifier"])
    if found is not None and found.encrypted and "all" in (given.get("ValuesToAdd") or ()):
        raise AwsError("InvalidParameterValue", "An encrypted snapshot cannot be public.")
