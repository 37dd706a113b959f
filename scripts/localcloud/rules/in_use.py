"""What something else uses is neither deleted nor taken away from it: moto lets both happen."""

from __future__ import annotations

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

# The error of IAM for something that others need.
_CONFLICT = "DeleteConflict"


def policy(reading: Reading, backends: Backends) -> None:
    """A managed policy that is attached.

    Deleted and made again under its name, it would be another one for all who have it.
    """
    iam, arn = backends("iam"), reading.parameters.get("PolicyArn")
    identities = [*iam.roles.values(), *iam.users.values(), *iam.groups.values()]
    for one in identities:
        if arn in one.managed_policies:
            raise AwsError(_CONFLICT, "Cannot delete a policy attached to entities.", 409)


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
