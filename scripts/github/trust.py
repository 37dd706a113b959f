"""Does this token satisfy this trust policy? The one judge: got and wanted of each condition."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.github.issuers import AUDIENCE, audience_of, condition_keys, issuer_of, provider_of
from scripts.iam.engine import PolicyError, PolicySet, Principal, Request, explain, parse_policy
from scripts.iam.engine.documents import Policy, Statement
from scripts.iam.engine.explanation import Considered, Explanation

WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
ROLE = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/(?:.*/)?(?P<name>[\w+=,.@-]+)")


@dataclass(frozen=True)
class Checked:
    """One condition of the trust policy on one token. `key` is without the provider's prefix."""

    operator: str
    key: str
    got: tuple[str, ...]
    wanted: tuple[str, ...]
    holds: bool


@dataclass(frozen=True)
class Judged:
    """The role's answer; `conditions` are those of `statement`, the one that decided or came
    closest. `remark` says what no condition shows: another provider, a Deny, an odd token."""

    allowed: bool
    statement: str | None = None
    conditions: tuple[Checked, ...] = ()
    remark: str = ""

    @property
    def failed(self) -> tuple[Checked, ...]:
        """The conditions that do not hold."""
        return tuple(one for one in self.conditions if not one.holds)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the role refuses, a line for each condition that does not hold; () if it does not."""
        if self.allowed:
            return ()
        lines = tuple(
            f"{one.key}: got {' or '.join(one.got) or 'nothing'}, "
            f"wanted {one.operator} {' or '.join(one.wanted)}"
            for one in self.failed
        )
        return lines or (self.remark,)


def request_of(role_arn: str, claims: Mapping[str, Any]) -> Request:
    """The request that a token makes of a role, once STS has verified the token.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
    """
    account = role_arn.split(":")[4]
    provider = provider_of(claims)
    arn = f"{role_arn.partition(':iam::')[0]}:iam::{account}:oidc-provider/{provider}"
    principal = Principal(arn, account, "federated", federated_provider=arn)
    return Request(principal, WEB_IDENTITY, role_arn, condition_keys(provider, claims))


def judge(role_arn: str, trust: Policy, claims: Mapping[str, Any]) -> Judged:
    """Try a token on a role's trust policy, as STS does once it has verified the token."""
    request = request_of(role_arn, claims)
    found = explain(request, PolicySet(resource=(trust,)))
    allowed = found.decision is not None and found.decision.allowed
    remarks = [found.unsupported or "", *([_about_audience(claims)] if allowed else [])]
    if not any(one.effect == "Allow" for one in found.considered):
        return Judged(False, remark="the trust policy allows nobody")
    shown = _shown(found, allowed)
    statement = _statement(trust, shown.statement)
    conditions = _conditions(statement, shown, request, provider_of(claims))
    if not allowed:
        remarks += _beyond_conditions(found, shown)
    return Judged(allowed, shown.statement, conditions, "; ".join(filter(None, remarks)))


def _shown(found: Explanation, allowed: bool) -> Considered:
    """The statement that let the token in, else the one that came closest."""
    allows = [one for one in found.considered if one.effect == "Allow"]
    if allowed:
        return next(one for one in allows if one.matched)
    # Another provider or action is further away than any number of conditions.
    return min(allows, key=lambda one: (_strange(one), len(one.failures)))


def _strange(one: Considered) -> bool:
    return any(failure.key is None for failure in one.failures)


def _statement(trust: Policy, label: str) -> Statement:
    return next(one for one in trust.statements if one.label == label)


def _conditions(
    statement: Statement, shown: Considered, request: Request, provider: str
) -> tuple[Checked, ...]:
    failed = {(one.operator, one.key) for one in shown.failures if one.key}
    got = {key.lower(): values for key, values in request.context.items()}
    return tuple(
        Checked(
            condition.operator,
            _without_provider(condition.key, provider),
            got.get(condition.key.lower(), ()),
            condition.values,
            holds=(condition.operator, condition.key) not in failed,
        )
        for condition in statement.conditions
    )


def _without_provider(key: str, provider: str) -> str:
    prefix = f"{provider}:"
    return key[len(prefix) :].lower() if key.lower().startswith(prefix.lower()) else key


def _beyond_conditions(found: Explanation, shown: Considered) -> Iterator[str]:
    """What else stands in the way: another provider or action, a Deny and why it applies."""
    for failure in shown.failures:
        if failure.element == "Principal":
            yield (
                f"the token is from {_provider(failure.actual[0])}, the role trusts "
                + " and ".join(map(_provider, failure.wanted))
            )
        elif failure.key is None:
            got, wanted = ", ".join(failure.actual), " or ".join(failure.wanted)
            yield f"{failure.element}: got {got}, wanted {wanted}"
    for one in found.considered:
        if one.effect == "Deny" and one.matched:
            yield f"statement {one.statement} denies it: all its conditions hold"


def _provider(arn: str) -> str:
    return (
        arn if ":oidc-provider/" not in arn else f"{arn} (https://{arn.split('provider/', 1)[1]})"
    )


def _about_audience(claims: Mapping[str, Any]) -> str:
    """STS compares the audience before any policy does."""
    audience = audience_of(claims)
    if audience == AUDIENCE:
        return ""
    return (
        f"the token's audience is {audience or 'missing'}: before the trust policy is read, STS "
        "refuses it (InvalidIdentityToken) unless the provider's client ids have it"
    )


def trusted_providers(trust: Policy) -> tuple[str, ...]:
    """The OIDC providers (as their ARNs end) that a trust policy lets in by a web identity."""
    return tuple(
        dict.fromkeys(
            arn.partition(":oidc-provider/")[2]
            for statement in trust.statements
            if statement.effect == "Allow"
            for arn in (statement.principals or {}).get("Federated", ())
            if ":oidc-provider/" in arn
        )
    )


def read_claims(path: Path) -> dict[str, Any]:
    """Claims from a file: JSON, or a token as it is. Raises UserError (exit code 2)."""
    text = _text(path).strip()
    if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]*", text):
        return decode(text)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("sub"), str):
        raise UserError(
            f"{path} holds no claims",
            why="it is neither a token nor a JSON object with sub",
            fix="keyless doctor --github   (in the job: prints them)",
            exit_code=2,
        )
    return found


def decode(token: str) -> dict[str, Any]:
    """The claims of a token, unverified: they are to be read, not trusted."""
    import jwt

    try:
        found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise UserError("The token cannot be read", why=str(error), exit_code=2) from None
    return found


def read_trust(path: Path, name: str) -> Policy:
    """A role's trust policy from a file: the policy, the answer of `aws iam get-role`, or a plan.

    A plan or state is what `terraform show -json` prints. Raises UserError (exit code 2).
    """
    try:
        document = json.loads(_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON", why=str(error), exit_code=2) from None
    found = next(_documents(document, name), None)
    if found is None:
        raise UserError(
            f"{path} holds no trust policy of {name}",
            why="it is none itself, no answer of `aws iam get-role`, and no plan with that role",
            fix=f"aws iam get-role --role-name {name} > {path.name}",
            exit_code=2,
        )
    return trust_policy(found, name)


def trust_policy(document: Any, name: str) -> Policy:
    """Parse a trust policy. Raises UserError (exit code 2) for what is none."""
    try:
        return parse_policy(document, name=name, kind="trust")
    except PolicyError as error:
        raise UserError(
            f"The trust policy of {name} cannot be read", why=str(error), exit_code=2
        ) from None


def _documents(value: Any, name: str) -> Iterator[Any]:
    """Trust policies in any of the three shapes."""
    if isinstance(value, dict):
        if "Statement" in value:
            yield value
        elif "AssumeRolePolicyDocument" in value:
            if value.get("RoleName", name) == name:
                yield value["AssumeRolePolicyDocument"]
        elif value.get("assume_role_policy"):
            if value.get("name") == name:
                yield value["assume_role_policy"]
        else:
            for inner in value.values():
                yield from _documents(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _documents(inner, name)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read", why=str(error), exit_code=2) from None


def remark_on(claims: Mapping[str, Any]) -> str:
    """What is odd about the token itself, beside any role; empty if nothing is."""
    if claims.get("iss") is None:
        return "the claims name no issuer: taken for a token of github.com"
    if issuer_of(provider_of(claims)) is None:
        return f"its issuer {claims['iss']} is none of GitHub's"
    return ""
