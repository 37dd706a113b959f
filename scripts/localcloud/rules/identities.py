"""IAM's names, quotas, and roles that only AWS changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scripts.iam.requests import Reading
from scripts.iam.requests.row import LINKED
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.gaps import know_aws_policy
from scripts.localcloud.rules.documents import size

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE = {"role": 10_240, "user": 2_048, "group": 5_120}
MANAGED = 6_144
TRUST = 2_048
ATTACHED = 10
_KINDS = {"RoleName": "role", "UserName": "user", "GroupName": "group"}
_ONLY_AWS = ("/aws-reserved/", "/aws-service-role/")


def _limit(message: str) -> AwsError:
    return AwsError("LimitExceeded", message, 409)


def _owner(reading: Reading, backends: Backends) -> tuple[str, str, Any]:
    """Kind, name and moto's record of the role, user or group that a call is about."""
    iam = backends("iam")
    for parameter, kind in _KINDS.items():
        if name := reading.parameters.get(parameter):
            found: Iterable[Any] = getattr(iam, f"{kind}s").values()
            return kind, name, next((one for one in list(found) if one.name == name), None)
    return "role", "", None


def inline(reading: Reading, backends: Backends) -> None:
    """All inline policies of an identity together have a quota."""
    kind, name, owner = _owner(reading, backends)
    if owner is None:
        return
    kept = {
        policy: document
        for policy, document in owner.policies.items()
        if policy != reading.parameters.get("PolicyName")
    }
    whole = sum(map(size, kept.values())) + size(reading.parameters.get("PolicyDocument", ""))
    if whole > INLINE[kind]:
        raise _limit(f"Maximum policy size of {INLINE[kind]} bytes exceeded for {kind} {name}")


def managed(reading: Reading, _: Backends) -> None:
    """A managed policy has a quota of its own."""
    if size(reading.parameters.get("PolicyDocument", "")) > MANAGED:
        raise _limit(f"Cannot exceed quota for PolicySize: {MANAGED}")


def trust(reading: Reading, _: Backends) -> None:
    """A trust policy has a quota."""
    given = reading.parameters
    if size(given.get("AssumeRolePolicyDocument") or given.get("PolicyDocument") or "") > TRUST:
        raise _limit(f"Cannot exceed quota for ACLSizePerRole: {TRUST}")


def attached(reading: Reading, backends: Backends) -> None:
    """An identity has room for ten managed policies."""
    kind, _, owner = _owner(reading, backends)
    if owner is None:
        return
    arns = set(owner.managed_policies) | {reading.parameters.get("PolicyArn")}
    if len(arns) > ATTACHED:
        raise _limit(f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {ATTACHED}")


def new_name(reading: Reading, backends: Backends) -> None:
    """Names of one kind differ by more than upper and lower case."""
    kind, name, _ = _owner(reading, backends)
    iam = backends("iam")
    names = {
        "CreateRole": (r.name for r in list(iam.roles.values())),
        "CreateUser": (u.name for u in list(iam.users.values())),
        "CreateGroup": (g.name for g in list(iam.groups.values())),
        "CreatePolicy": (
            p.name for p in list(iam.managed_policies.values()) if "::aws:" not in p.arn
        ),
        "CreateInstanceProfile": (p.name for p in list(iam.instance_profiles.values())),
    }
    kind = reading.operation.removeprefix("Create")
    name = reading.parameters.get("PolicyName" if kind == "Policy" else f"{kind}Name", "")
    if name.lower() in {known.lower() for known in names[reading.operation]}:
        raise AwsError("EntityAlreadyExists", f"{kind} with name {name} already exists.", 409)


def protected(reading: Reading, backends: Backends) -> None:
    """Roles of Identity Center and of services are changed by AWS alone."""
    kind, name, owner = _owner(reading, backends)
    if kind == "role" and owner is not None and owner.path.startswith(_ONLY_AWS):
        raise AwsError(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{name}' - this role is only "
            "modifiable by AWS",
        )


def path(reading: Reading, _: Backends) -> None:
    """The paths of AWS's own roles are AWS's: nobody could change what is made there."""
    if str(reading.parameters.get("Path", "")).startswith(_ONLY_AWS):
        raise AwsError("InvalidInput", f"The path {reading.parameters['Path']} is AWS's own.")


def linked_role(reading: Reading, _: Backends) -> None:
    """Of other services AWS's name for the role is not known here, so no Deny by it is seen."""
    service = str(reading.parameters.get("AWSServiceName"))
    if service not in LINKED or reading.parameters.get("CustomSuffix"):
        raise AwsError(
            "LocalCloudNotImplemented",
            f"The local cloud does not know the name of the service-linked role of {service}",
        )


def linked_once(reading: Reading, backends: Backends) -> None:
    """Moto would make a second role of the same name.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html
    """
    name = LINKED[reading.parameters["AWSServiceName"]]
    if name.lower() in {role.name.lower() for role in list(backends("iam").roles.values())}:
        raise AwsError(
            "InvalidInput",
            f"Service role name {name} has been taken in this account, please try a different "
            "suffix.",
        )


def only_linked(reading: Reading, backends: Backends) -> None:
    """The right to take away service-linked roles takes no other role away.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServiceLinkedRole.html
    """
    _, name, owner = _owner(reading, backends)
    if owner is not None and not owner.path.startswith("/aws-service-role/"):
        raise AwsError("InvalidInput", f"{name} is not a service-linked role.")


def aws_policy(reading: Reading, _: Backends) -> None:
    """AWS's own managed policies are changed by AWS alone."""
    arn = str(reading.parameters.get("PolicyArn", ""))
    if arn.startswith("arn:aws:iam::aws:"):
        raise AwsError("AccessDenied", f"{arn} is a policy of AWS, which only AWS changes", 403)


def alias(reading: Reading, _: Backends) -> None:
    """Aliases that begin with alias/aws/ are AWS's own."""
    if str(reading.parameters.get("AliasName", "")).startswith("alias/aws/"):
        raise AwsError("NotAuthorizedException", "The alias is reserved for AWS managed keys.")


def boundary(reading: Reading, backends: Backends) -> None:
    """A permissions boundary exists: whoever made it later would say what it allows.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePermissionsBoundary.html
    """
    arn, iam = reading.parameters.get("PermissionsBoundary"), backends("iam")
    know_aws_policy(iam, arn)
    if arn is not None and arn not in iam.managed_policies:
        raise AwsError(
            "NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404
        )
