"""Would the token of each role's job be let in? Decided before anything is merged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scripts.aws.web_identity import AUDIENCE
from scripts.github.repository import Facts, subject_prefix
from scripts.github.setup import MAIN
from scripts.github.trust import judge
from scripts.iam.engine import parse_policy
from scripts.iam.engine.documents import Policy
from scripts.localcloud.sts.issuer import Job, claims
from scripts.names import Role, job_roles, role_arn, role_name

TrustOf = Callable[[str], Mapping[str, Any] | None]
"""Reads a role's trust policy by the role's name; None if there is no such role."""


@dataclass(frozen=True)
class Verdict:
    """Whether a role lets its own job in; `reasons` says for each condition what did not fit."""

    environment: str
    role: str
    subject: str
    state: Literal["matches", "refused", "absent"]
    reasons: tuple[str, ...] = ()


def verify(
    facts: Facts, environments: Sequence[str], account: str, trust_of: TrustOf
) -> list[Verdict]:
    """Try the token of every role's job on the role's trust policy.

    The roles of a part that is off by default count where they are there.
    """
    return [
        _verdict(facts, environment, role, account, trust_of)
        for environment in environments
        for role in job_roles("model_server")
        if role.needs is None or trust_of(role_name(environment, role.name)) is not None
    ]


def _verdict(
    facts: Facts, environment: str, role: Role, account: str, trust_of: TrustOf
) -> Verdict:
    token = job_claims(facts, environment, role)
    name = role_name(environment, role.name)
    document = trust_of(name)
    if document is None:
        return Verdict(environment, role.name, token["sub"], "absent")
    trust = parse_policy(document, name=name, kind="trust")
    reasons = mismatches(role_arn(account, environment, role.name), trust, token)
    state: Literal["matches", "refused"] = "refused" if reasons else "matches"
    return Verdict(environment, role.name, token["sub"], state, tuple(reasons))


def job_claims(facts: Facts, environment: str, role: Role) -> dict[str, Any]:
    """The claims that the role's own job will have."""
    pull_request = role.context == "pull_request"
    ref = "refs/pull/1/merge" if pull_request else f"refs/heads/{MAIN}"
    job = Job(
        repository=facts.name,
        repository_id=facts.id,
        repository_owner_id=facts.owner_id,
        ref=ref,
        event_name="pull_request" if pull_request else "push",
        environment=role.github_environment(environment),
        job_workflow_ref=f"{facts.name}/.github/workflows/{role.workflow}@{ref}",
        subject_format="immutable" if facts.subject_format == "immutable" else "names",
    )
    found = claims(job, AUDIENCE, int(time.time()))
    if not str(found["sub"]).startswith(subject_prefix(facts) + ":"):
        raise AssertionError("the issuer and GitHub disagree on the subject's beginning")
    return found


def mismatches(role_arn: str, trust: Policy, token: Mapping[str, Any]) -> list[str]:
    """Why a token may not assume a role: got and wanted of each condition. Empty if it may."""
    return list(judge(role_arn, trust, token).reasons)
