"""Rules on who is trusted at all: everybody, and providers that pose as GitHub's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.github.issuers import issuer_of
from scripts.iam.engine.documents import Policy, Statement
from scripts.iam.trust_lint.decide.statement import Trusting
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.rules import Setting
from scripts.names import GITHUB_HOST

_WEB_IDENTITY = "sts:assumerolewithwebidentity"
_LIMITS = (
    "aws:federatedprovider",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
)
# Issuers that AWS knows and that are GitHub's, but not known to be of GitHub Actions.
NOT_ACTIONS = (
    "github.com/enterprises/",
    "oidc-configuration.audit-log.githubusercontent.com",
)


def principals(statement: Statement, setting: Setting) -> Iterator[Finding]:
    """Everybody, every session, or a provider in GitHub's place."""
    trusted = statement.principals or {}

    def found(rule: str, message: str, who: str, fix: str) -> Finding:
        return Finding(rule, setting.origin, statement.label, message, who, fix)

    if "*" in trusted or "*" in trusted.get("AWS", ()):
        limited = {
            condition.key.lower()
            for condition in statement.conditions
            if condition.key.lower() in _LIMITS
            and "Not" not in condition.operator
            and not condition.operator.endswith("IfExists")
            and not condition.operator.startswith("ForAllValues")
            and "*" not in condition.values
        }
        if not limited:
            yield found(
                "any-principal",
                '"Principal": "*" trusts every AWS account',
                "everybody with an AWS account",
                "name the provider, role or service that is meant",
            )
        elif limited == {"aws:federatedprovider"}:
            yield found(
                "any-session",
                "every session counts that came from any role that trusts the provider",
                "whoever gets into the weakest role that trusts the provider",
                "name the role whose sessions are meant",
            )
    yield from _providers(statement, setting)


def _providers(statement: Statement, setting: Setting) -> Iterator[Finding]:
    """Providers that pose as GitHub's, or are spoken to as if they were."""
    web = any(
        action.lower() == _WEB_IDENTITY or "*" in action for action in statement.actions or ()
    )
    if not web:
        return
    speaks = speaks_of_github(statement)
    federated = (statement.principals or {}).get("Federated", ())
    beside = any(
        ":oidc-provider/" in provider and issuer_of(provider.partition(":oidc-provider/")[2])
        for provider in federated
    )
    for provider in federated:
        host = provider.partition(":oidc-provider/")[2] or provider
        one = Trusting(statement, provider, Policy(setting.origin, "trust", "", (statement,)))
        if ":oidc-provider/" in provider and one.issuer is not None:
            continue
        poses = poses_as_github(host)
        if not (speaks or poses) or host.startswith(NOT_ACTIONS):
            continue
        # Nothing comes from an address of GitHub's that GitHub does not use.
        unused = _belongs_to_github(host)
        dead = unused or not poses
        what = "not GitHub's" + (", and its tokens never set GitHub's keys" if speaks else "")
        if unused:
            what = "an address that no token of GitHub Actions comes from"
        yield Finding(
            "other-provider",
            setting.origin,
            statement.label,
            f"the provider is {provider}, {what}",
            "whoever runs that issuer: it signs what tokens it likes"
            if not dead
            else "nobody"
            if beside
            else "nobody; the job that should get in is refused",
            f"take {provider} out: GitHub's provider stands beside it; another one needs a "
            "statement of its own, with its own keys"
            if beside
            else _right_provider(provider, host, statement),
            weight="note" if dead else None,
        )


def _right_provider(provider: str, host: str, statement: Statement) -> str:
    """What to write for a provider that no token comes from: GitHub's, and the keys that fit."""
    partition = provider.split(":")[1] if provider.startswith("arn:") else "aws"
    data = re.fullmatch(r"(?:.*\.)?([A-Za-z0-9-]+)\.ghe\.com", host.partition("/")[0])
    right = f"token.actions.{data[1]}.ghe.com" if data else GITHUB_HOST
    keys = [condition.key for condition in statement.conditions]
    fit = any(issuer_of(key.rpartition(":")[0]) and key.startswith(right) for key in keys)
    return (
        f"write Federated: arn:{partition}:iam::ACCOUNT:oidc-provider/{right}, with the "
        "enterprise's slug behind it if its tokens have an issuer of their own"
        + ("" if fit or not keys else "; begin the condition keys with the same address")
    )


def _belongs_to_github(host: str) -> bool:
    name = host.partition("/")[0].lower()
    return name.endswith((".githubusercontent.com", ".ghe.com")) or name == "github.com"


def poses_as_github(host: str) -> bool:
    """Whether an address looks like one of GitHub's."""
    return "github" in host.lower() or _belongs_to_github(host)


def speaks_of_github(statement: Statement) -> bool:
    """Whether a condition compares a claim of GitHub's."""
    return any("githubusercontent" in condition.key.lower() for condition in statement.conditions)
