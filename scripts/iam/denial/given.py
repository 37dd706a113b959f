"""Policies that were given as files, in place of an account's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.iam.account.identities import Identities, Identity
from scripts.iam.denial.changes import by_trust
from scripts.iam.denial.denials import Denial
from scripts.iam.denial.messages import Refusal
from scripts.iam.engine.documents import Policy, PolicyError, PolicyKind, parse_policy

# What AWS calls a layer, and the option that gives it.
_OPTIONS = {
    "permissions boundary": "--boundary",
    "resource-based policy": "--resource-policy",
    "role trust policy": "--resource-policy",
}
# https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
_OF_SSO = "aws-reserved/sso.amazonaws.com/"
_ACCOUNT = re.compile(r"(?<=:)\d{12}(?=:)")


@dataclass(frozen=True)
class GivenPolicy:
    """The policy of what was asked for, as a file gave it; None where none did."""

    policy: Policy | None

    def __call__(self, _arn: str) -> Policy | None:
        """The policy, of whatever was asked for."""
        return self.policy

    def unknown(self, _arn: str) -> str:
        """Why nothing is known of it, if so."""
        return "" if self.policy else "it was not given (--resource-policy FILE)"


@dataclass(frozen=True)
class Given:
    """What was given for a message, by the names of the files: the caller's own policies, its
    boundary, and the policy of what it asked for, which of a role is the trust policy."""

    identity: Mapping[str, Mapping[str, Any]]
    boundary: Mapping[str, Mapping[str, Any]]
    resource: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        if len(self.boundary) > 1 or len(self.resource) > 1:
            raise PolicyError("a caller has one boundary, and a resource one policy")
        self._own()  # what is no policy is refused here
        self._bound()

    @property
    def account(self) -> str:
        """The one account that the policies name, or ""."""
        written = json.dumps([*self.identity.values(), *self.boundary.values(),
                              *self.resource.values()])  # fmt: skip
        found = set(_ACCOUNT.findall(written))
        return found.pop() if len(found) == 1 else ""

    def lacks(self, refusal: Refusal) -> str:
        """What has to be given, too, before anything is decided; "" if nothing has."""
        option = _OPTIONS.get(refusal.layer, "")
        given = {"--boundary": self.boundary, "--resource-policy": self.resource}
        if option and not given[option]:
            return f"AWS names the {refusal.layer}, which was not given: {option} FILE"
        if (refusal.role or ":user/" in refusal.principal) and not self.identity:
            return "the caller's own policies decide, too, and were not given: --policy FILE"
        return ""

    def members(self, refusal: Refusal) -> Identities:
        """The caller and, where a role is asked for, that role, with what was given."""
        members = {}
        partition = [*refusal.principal.split(":"), "aws"][1]
        arn = refusal.principal
        if refusal.role:
            path = _OF_SSO if refusal.role.startswith("AWSReservedSSO_") else ""
            arn = f"arn:{partition}:iam::{refusal.account}:role/{path}{refusal.role}"
        if refusal.role or ":user/" in arn:
            name = arn.rpartition("/")[2]
            trust: Mapping[str, Any] | None = {} if refusal.role else None
            boundary = self._bound() if self.boundary else None
            members[arn] = Identity(arn, name, self._own(), boundary, trust_document=trust)
        target = refusal.arn or ""
        if by_trust(refusal.action, target) and ":role/" in target:
            own = members.get(target, Identity(target, target.rpartition("/")[2]))
            trust_document = next(iter(self.resource.values()), {})
            members[target] = Identity(target, own.name, own.identity, own.boundary,
                                       trust_document=trust_document)  # fmt: skip
        return Identities(members)

    def policy(self, refusal: Refusal) -> GivenPolicy:
        """The policy of what it asked for. Raises PolicyError if it is of another kind."""
        kind: PolicyKind = "trust" if by_trust(refusal.action, refusal.arn or "*") else "resource"
        for name, written in self.resource.items():
            found = parse_policy(_attached(written, refusal), name=name, kind=kind)
            actions = [one for statement in found.statements for one in statement.actions or ()]
            if kind == "resource" and actions and all(one.startswith("sts:") for one in actions):
                raise PolicyError(
                    f"policy {name!r}: it is a role's trust policy, and {refusal.action} is "
                    f"decided by the policy of {refusal.resource or 'its resource'}"
                )
            return GivenPolicy(found)
        return GivenPolicy(None)

    def _own(self) -> tuple[Policy, ...]:
        return tuple(parse_policy(written, name=name, kind="identity")
                     for name, written in self.identity.items())  # fmt: skip

    def _bound(self) -> tuple[Policy, ...]:
        return tuple(parse_policy(written, name=name, kind="boundary")
                     for name, written in self.boundary.items())  # fmt: skip


def _attached(written: Mapping[str, Any], refusal: Refusal) -> str:
    """The policy with whole ARNs, where an API's leaves out what it is attached to.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-examples.html
    """
    api = (refusal.arn or "").partition("/")[0]
    whole = api if ":execute-api:" in api else "arn:aws:execute-api:*:*:*"
    return json.dumps(written).replace('"execute-api:/', f'"{whole}/')


def of_its_path(refusal: Refusal, found: Denial) -> str:
    """What a change that names the caller's role leaves open: a session does not tell its path."""
    named = [one for one in found.changes if one.kind in ("resource", "trust")]
    if not refusal.role or f"/{refusal.role}" not in json.dumps([one.statement for one in named]):
        return ""
    region = ", behind which the region stands unless it is us-east-1" * (
        refusal.role.startswith("AWSReservedSSO_")
    )
    return (
        f"a session's ARN leaves out the path of its role{region}: the principal has to be the "
        f"whole ARN that `aws iam get-role --role-name {refusal.role}` prints"
    )


def document(text: str, name: str) -> Mapping[str, Any]:
    """The policy in a file: a document, or what the CLI printed around it (get-role-policy,
    get-policy-version, get-bucket-policy, get-key-policy, get-role, ...).

    Raises PolicyError if it holds none, or several.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"policy {name!r}: not JSON: {error}") from None
    found = _documents(content)
    if len(found) != 1:
        raise PolicyError(f"policy {name!r}: {len(found) or 'no'} policies in it; give one a file")
    return found[0]


def _documents(content: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(content, str) and content.lstrip().startswith("{"):
        try:
            content = json.loads(content)
        except ValueError:
            return []
    if isinstance(content, dict):
        if "Statement" in content:
            return [content]
        return [one for value in content.values() for one in _documents(value)]
    if isinstance(content, list):
        return [one for value in content for one in _documents(value)]
    return []
