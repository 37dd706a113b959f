"""An account's identities as IAM lists them: roles and users with every policy that applies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from scripts.iam.engine.documents import Policy, PolicyKind, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal

# A group's own policies are told apart from those of its members by their names.
_OF_GROUP = "group "


@dataclass(frozen=True)
class Identity:
    """A role or user. `trust` is None for a user, `boundary` None where there is none.

    `trust_document` is the trust policy as IAM keeps it. `profiles` are the ARNs of the instance
    profiles that carry the role.
    """

    arn: str
    name: str
    identity: tuple[Policy, ...] = ()
    boundary: tuple[Policy, ...] | None = None
    boundary_arn: str | None = None
    trust_document: Mapping[str, Any] | None = field(default=None, hash=False)
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    profiles: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()

    @cached_property
    def trust(self) -> Policy | None:
        """The trust policy; None for a user. One that is not known ({}) trusts nobody."""
        if self.trust_document is None:
            return None
        if not self.trust_document:
            return Policy(self.name, "trust", "2012-10-17", ())
        return parse_policy(self.trust_document, name=self.name, kind="trust")

    @property
    def account(self) -> str:
        """The account's id."""
        return self.arn.split(":")[4]

    @property
    def is_role(self) -> bool:
        """Whether it is a role, not a user."""
        return self.trust_document is not None

    @property
    def policies(self) -> PolicySet:
        """What decides its requests, but for the resource's own policy."""
        return PolicySet(identity=self.identity, boundary=self.boundary)

    @property
    def principal(self) -> Principal:
        """A caller with this identity."""
        if not self.is_role:
            return Principal(self.arn, self.account, "user")
        session = f"arn:aws:sts::{self.account}:assumed-role/{self.name}/session"
        return Principal(session, self.account, "assumed-role", role_arn=self.arn)


@dataclass(frozen=True)
class Identities:
    """Every role and user of an account, by ARN, and its managed policies' documents by ARN."""

    members: Mapping[str, Identity]
    managed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def roles(self) -> list[Identity]:
        """The roles alone."""
        return [found for found in self.members.values() if found.is_role]

    def role(self, name: str) -> Identity | None:
        """The role of that name, if there is one."""
        return next((found for found in self.roles if found.name == name), None)


def read_identities(iam: Any) -> Identities:
    """Ask IAM for all of it; needs iam:GetAccountAuthorizationDetails alone.

    `iam` is a boto3 client.
    """
    return identities(authorization_details(iam))


def authorization_details(iam: Any) -> dict[str, list[Any]]:
    """The whole answer of `aws iam get-account-authorization-details`."""
    merged: dict[str, list[Any]] = {}
    for page in iam.get_paginator("get_account_authorization_details").paginate():
        for name in ("RoleDetailList", "UserDetailList", "GroupDetailList", "Policies"):
            merged.setdefault(name, []).extend(page.get(name, ()))
    return merged


def identities(details: Mapping[str, Any]) -> Identities:
    """Read the answer of `aws iam get-account-authorization-details`.

    Raises PolicyError for a document that the policy engine does not take, KeyError for an answer
    of another kind.
    """
    managed = {
        policy["Arn"]: version["Document"]
        for policy in details.get("Policies", ())
        for version in policy.get("PolicyVersionList", ())
        if version["IsDefaultVersion"]
    }
    groups = {group["GroupName"]: group for group in details.get("GroupDetailList", ())}
    members = [_role(role, managed) for role in details["RoleDetailList"]]
    members += [_user(user, groups, managed) for user in details.get("UserDetailList", ())]
    return Identities({member.arn: member for member in members}, managed)


def _role(role: Mapping[str, Any], managed: Mapping[str, Mapping[str, Any]]) -> Identity:
    return Identity(
        arn=role["Arn"],
        name=role["RoleName"],
        identity=(
            *_inline(role.get("RolePolicyList", ())),
            *_attached(role.get("AttachedManagedPolicies", ()), managed),
        ),
        trust_document=role["AssumeRolePolicyDocument"],
        tags={tag["Key"]: tag["Value"] for tag in role.get("Tags", ())},
        profiles=tuple(profile["Arn"] for profile in role.get("InstanceProfileList", ())),
        attached=tuple(a["PolicyArn"] for a in role.get("AttachedManagedPolicies", ())),
        **_boundary(role, managed),
    )


def _user(
    user: Mapping[str, Any],
    groups: Mapping[str, Mapping[str, Any]],
    managed: Mapping[str, Mapping[str, Any]],
) -> Identity:
    own = [groups[name] for name in user.get("GroupList", ()) if name in groups]
    return Identity(
        arn=user["Arn"],
        name=user["UserName"],
        identity=(
            *_inline(user.get("UserPolicyList", ())),
            *_attached(user.get("AttachedManagedPolicies", ()), managed),
            *(
                replace(policy, name=f"{_OF_GROUP}{group['GroupName']}/{policy.name}")
                for group in own
                for policy in _inline(group.get("GroupPolicyList", ()))
            ),
            *(
                policy
                for group in own
                for policy in _attached(group.get("AttachedManagedPolicies", ()), managed)
            ),
        ),
        tags={tag["Key"]: tag["Value"] for tag in user.get("Tags", ())},
        **_boundary(user, managed),
    )


def is_shared(policy: str) -> bool:
    """Whether a policy of that name may be of several identities: a managed or a group's own."""
    return ":policy/" in policy or policy.startswith(_OF_GROUP)


def _inline(policies: Iterable[Mapping[str, Any]]) -> list[Policy]:
    return [
        parse_policy(policy["PolicyDocument"], name=policy["PolicyName"], kind="identity")
        for policy in policies
    ]


def _attached(
    attached: Iterable[Mapping[str, Any]],
    managed: Mapping[str, Mapping[str, Any]],
    kind: PolicyKind = "identity",
) -> list[Policy]:
    return [
        parse_policy(managed[policy["PolicyArn"]], name=policy["PolicyArn"], kind=kind)
        for policy in attached
        if policy["PolicyArn"] in managed
    ]


def _boundary(owner: Mapping[str, Any], managed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    arn = (owner.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    if arn is None:
        return {}
    # A boundary that cannot be found allows nothing.
    policies = tuple(_attached([{"PolicyArn": arn}], managed, "boundary"))
    return {"boundary": policies, "boundary_arn": arn}
