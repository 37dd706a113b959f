"""Why a job's token may not assume a role: each condition with got and wanted, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.iam.engine import PolicyError, PolicySet, Principal, Request, explain, parse_policy
from scripts.iam.engine.documents import Policy
from scripts.localcloud.sts.tokens import GITHUB_KEYS
from scripts.names import GITHUB_HOST, GITHUB_ISSUER

WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
ROLE = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/(?:.*/)?(?P<name>[\w+=,.@-]+)")
_SUBJECT = re.compile(
    r"repo:(?P<owner>[^:/@]+)(?:@(?P<owner_id>\d+))?/(?P<name>[^:/@]+)(?:@(?P<id>\d+))?:(?P<context>.+)"
)
_FORMAT = (
    "repositories made, renamed or moved after 15 July 2026 send ids. Put the repository's format "
    "into github.subject_format and apply, or switch the repository: keyless github-setup says how"
)
_AGAIN = "these are the ids of another repository of that name: put the new ids into github, apply"


@dataclass(frozen=True)
class Checked:
    """One condition of the trust policy on one token; `advice` is for one that does not hold."""

    key: str
    got: tuple[str, ...]
    wanted: tuple[str, ...]
    holds: bool
    advice: str = ""


@dataclass(frozen=True)
class Judged:
    """The role's answer; `conditions` are those of the statement that came closest."""

    allowed: bool
    conditions: tuple[Checked, ...]
    remark: str = ""


def judge(role_arn: str, trust: Policy, claims: Mapping[str, Any]) -> Judged:
    """Try a token on a role's trust policy, as STS does once it has verified the token.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
    """
    account = role_arn.split(":")[4]
    provider = f"{role_arn.partition(':iam::')[0]}:iam::{account}:oidc-provider/{GITHUB_HOST}"
    context = {
        f"{GITHUB_HOST}:{name}": (str(claims[name]),)
        for name in ("aud", "sub", *GITHUB_KEYS)
        if claims.get(name)
    }
    principal = Principal(provider, account, "federated", federated_provider=provider)
    request = Request(principal, WEB_IDENTITY, role_arn, context)
    found = explain(request, PolicySet(resource=(trust,)))
    allowed = found.decision is not None and found.decision.allowed
    # Of several statements the one that came closest teaches most.
    allows = [one for one in found.considered if one.effect == "Allow"]
    if not allows:
        return Judged(False, (), "the trust policy allows nobody")
    closest = min(allows, key=lambda one: len(one.failures))
    failed = {(one.operator, one.key) for one in closest.failures if one.key}
    statement = next(
        one for one in trust.statements if (one.sid or f"#{one.index}") == closest.statement
    )
    got = {key.lower(): values for key, values in context.items()}
    conditions = tuple(
        _checked(
            condition.key,
            got.get(condition.key.lower(), ()),
            condition.values,
            holds=(condition.operator, condition.key) not in failed,
        )
        for condition in statement.conditions
    )
    others = [
        f"{one.element}: got {', '.join(one.actual)}, wanted {' or '.join(one.wanted)}"
        for one in closest.failures
        if not one.key
    ]
    denied = "" if allowed or failed or others else "a statement of the trust policy denies it"
    return Judged(allowed, conditions, found.unsupported or "; ".join(others) or denied)


def _checked(key: str, got: tuple[str, ...], wanted: tuple[str, ...], *, holds: bool) -> Checked:
    name = key.removeprefix(f"{GITHUB_HOST}:")
    return Checked(name, got, wanted, holds, "" if holds else _advice(name, got, wanted))


def _advice(key: str, got: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    if not got:
        return f"the token has no {key}: the trust policy asks for what this job cannot show"
    advise = _ADVICE.get(key)
    return advise(got[0], wanted) if advise else "the job is another than the role is for"


def _about_subject(got: str, wanted: tuple[str, ...]) -> str:
    """Which part of the subject differs."""
    have = _SUBJECT.fullmatch(got)
    need = next((found for one in wanted if (found := _SUBJECT.fullmatch(one))), None)
    if have is None or need is None:
        return "a customised subject: the trust policies expect GitHub's default"
    if (have["id"] is None) != (need["id"] is None):
        return _FORMAT
    names = (have["owner"], have["name"]), (need["owner"], need["name"])
    if names[0] != names[1]:
        return (
            f"the repository is {'/'.join(names[0])}, the role is for {'/'.join(names[1])}: after "
            "a renaming put the new name into github, and apply"
        )
    if (have["owner_id"], have["id"]) != (need["owner_id"], need["id"]):
        return _AGAIN
    return _about_context(have["context"], need["context"])


def _about_context(have: str, need: str) -> str:
    kind, _, name = need.partition(":")
    if kind == "environment":
        if have.startswith("environment:"):
            return f"the job names another environment: write environment: {name}"
        return f"the job names no environment: write environment: {name}"
    if need == "pull_request":
        return "the role is for pull requests without an environment"
    return f"the role is for {need}"


_ADVICE: Mapping[str, Callable[[str, tuple[str, ...]], str]] = {
    "aud": lambda _, __: "ask for the token with the audience sts.amazonaws.com, the default",
    "environment": lambda _, wanted: f"write environment: {wanted[0]}",
    "job_workflow_ref": lambda _, wanted: (
        f"the role is for jobs of the file {wanted[0].partition('@')[0]}: call that one, or change "
        "job_workflow_refs"
    ),
    "ref": lambda _, wanted: f"run the workflow on {wanted[0]}: no other branch or tag gets in",
    "repository": lambda _, __: "after a renaming put the new name into github, and apply",
    "repository_id": lambda _, __: _AGAIN,
    "sub": _about_subject,
}


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
            mend="keyless doctor --github   (in the job: prints them)",
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
            mend=f"aws iam get-role --role-name {name} > {path.name}",
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
    if claims.get("iss") not in (None, GITHUB_ISSUER):
        return f"its issuer is {claims['iss']}, not {GITHUB_ISSUER}"
    return ""
