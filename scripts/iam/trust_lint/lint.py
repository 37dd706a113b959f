"""Lints one trust policy: who is trusted at all, and every rule on each statement of GitHub's."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scripts.iam.engine.documents import Policy, PolicyError, Statement, parse_policy
from scripts.iam.engine.patterns import glob, tokens
from scripts.iam.trust_lint.automata import TooComplex
from scripts.iam.trust_lint.claims import CLAIM_CHECKS, names_with_ids
from scripts.iam.trust_lint.findings import Finding
from scripts.iam.trust_lint.rules import ANYBODY, SUBJECT_CHECKS, Setting, finding
from scripts.iam.trust_lint.statement import Trusting, trusting
from scripts.names import GITHUB_HOST

# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
STS_ACTIONS = (
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetCallerIdentity",
    "GetFederationToken",
    "GetServiceBearerToken",
    "GetSessionToken",
    "GetWebIdentityToken",
    "SetContext",
    "SetSourceIdentity",
    "TagGetWebIdentityToken",
    "TagSession",
)
_WEB_IDENTITY = "sts:assumerolewithwebidentity"
_LIMITS = ("aws:principalorgid", "aws:principalarn", "aws:principalaccount", "aws:sourceaccount",
           "aws:principalorgpaths")  # fmt: skip


def lint(document: str | bytes | Mapping[str, Any], setting: Setting) -> list[Finding]:
    """Find every weakness of a trust policy.

    Raises PolicyError where the document is not a trust policy that IAM would take; NotPrincipal,
    which IAM refuses as well, is a finding because it is found in the wild.
    """
    rest, refused = _without_not_principal(document, setting)
    if rest is None:
        return refused
    policy = parse_policy(rest, name=setting.origin, kind="trust")
    for statement in policy.statements:
        _known_actions(statement, setting.origin)
    return [*refused, *lint_policy(policy, setting)]


def lint_policy(policy: Policy, setting: Setting) -> list[Finding]:
    """Find every weakness of a parsed trust policy."""
    found: list[Finding] = []
    for statement in policy.statements:
        if statement.effect == "Allow":
            found += _principals(statement, setting)
    for one in trusting(policy):
        if one.host.partition("/")[0] == GITHUB_HOST:
            found += _actions(one, setting)
            found += _statement(one, setting)
    return found


def _statement(one: Trusting, setting: Setting) -> list[Finding]:
    try:
        return [item for check in (*SUBJECT_CHECKS, *CLAIM_CHECKS) for item in check(one, setting)]
    except TooComplex as error:
        return [
            finding(
                "undecided", one, setting, str(error), "nobody can tell", "write fewer patterns"
            )
        ]


def _without_not_principal(
    document: str | bytes | Mapping[str, Any], setting: Setting
) -> tuple[Mapping[str, Any] | str | bytes | None, list[Finding]]:
    """Take statements with NotPrincipal out; None for a document that has no other ones."""
    if not isinstance(document, Mapping):
        try:
            decoded = json.loads(document)
        except (ValueError, RecursionError):
            return document, []  # parse_policy says what is wrong with it
        if not isinstance(decoded, dict) or b"NotPrincipal" not in _bytes(document):
            return document, []
        return _without_not_principal(decoded, setting)
    written = document.get("Statement")
    statements = [written] if isinstance(written, Mapping) else written
    if not isinstance(statements, list):
        return document, []
    odd = [
        index
        for index, item in enumerate(statements)
        if isinstance(item, Mapping) and "NotPrincipal" in item
    ]
    if not odd:
        return document, []
    found = []
    for index in odd:
        label = str(statements[index].get("Sid") or f"#{index}")
        found.append(
            Finding(
                "not-principal",
                setting.origin,
                label,
                "NotPrincipal trusts everybody but those it names",
                "everybody on AWS who is not named",
                "write Principal with the one provider or role that is meant",
            )
        )
    kept = [item for index, item in enumerate(statements) if index not in odd]
    if not kept:
        return None, found
    rest = dict(copy.copy(document))
    rest["Statement"] = kept
    return rest, found


def _bytes(document: str | bytes) -> bytes:
    return document.encode() if isinstance(document, str) else document


def _known_actions(statement: Statement, origin: str) -> None:
    for action in statement.actions or ():
        name = action.partition(":")[2]
        test = glob(tuple(
            token for token in tokens(name.lower(), variables=False)
            if not hasattr(token, "default")
        ))  # fmt: skip
        if not any(test(known.lower()) for known in STS_ACTIONS):
            raise PolicyError(
                f"policy {origin!r}: statement {statement.label!r}: Action: {action!r} is not an "
                "action of STS; write sts:AssumeRoleWithWebIdentity for a web identity"
            )


def _actions(one: Trusting, setting: Setting) -> list[Finding]:
    broad = [action for action in one.statement.actions or () if "*" in action or "?" in action]
    if not broad:
        return []
    return [
        finding(
            "broad-action",
            one,
            setting,
            f"{', '.join(broad)} stands for more than a web identity needs",
            "whoever the statement names, by every other way into the role as well",
            "write sts:AssumeRoleWithWebIdentity",
        )
    ]


def _principals(statement: Statement, setting: Setting) -> list[Finding]:
    found = []
    one = Trusting(statement, GITHUB_HOST)
    principals = statement.principals or {}
    if "*" in principals or "*" in principals.get("AWS", ()):
        limited = [
            condition.key
            for condition in statement.conditions
            if condition.key.lower() in _LIMITS
            and "Not" not in condition.operator
            and not condition.operator.endswith("IfExists")
            and not condition.operator.startswith("ForAllValues")
            and "*" not in condition.values
        ]
        if not limited:
            found.append(
                finding(
                    "any-principal",
                    one,
                    setting,
                    '"Principal": "*" trusts every AWS account',
                    "everybody with an AWS account",
                    "name the provider, role or service that is meant",
                )
            )
    return [*found, *_providers(statement, one, setting)]


def _providers(statement: Statement, one: Trusting, setting: Setting) -> list[Finding]:
    federated = (statement.principals or {}).get("Federated", ())
    speaks = any("githubusercontent" in condition.key.lower() for condition in statement.conditions)
    web = any(
        action.lower() == _WEB_IDENTITY or "*" in action for action in statement.actions or ()
    )
    if not web:
        return []
    found = []
    for provider in federated:
        host = provider.partition(":oidc-provider/")[2] or provider
        known = host.partition("/")[0] == GITHUB_HOST and ":oidc-provider/" in provider
        if known or not (speaks or "github" in host.lower()):
            continue
        found.append(
            finding(
                "other-provider",
                one,
                setting,
                f"the provider is {provider}, not GitHub's"
                + (", and its tokens never set GitHub's keys" if speaks else ""),
                ANYBODY if not speaks else "whoever that provider gives tokens to",
                f"write Federated: arn:aws:iam::ACCOUNT:oidc-provider/{GITHUB_HOST}",
            )
        )
    return found


def lint_all(documents: Sequence[tuple[Mapping[str, Any] | str, Setting]]) -> list[Finding]:
    """Lint several policies that belong together, such as an account's.

    A repository whose ids stand in one policy's subject has them available in every other one.
    """
    known = names_with_ids(
        subject for document, _ in documents for subject in _all_subjects(_decoded(document))
    )
    return [
        item
        for document, setting in documents
        for item in lint(document, replace(setting, with_ids=setting.with_ids | known))
    ]


def _decoded(document: Mapping[str, Any] | str) -> Any:
    if isinstance(document, Mapping):
        return document
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None  # parse_policy says what is wrong with it


def _all_subjects(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [found for inner in value.values() for found in _all_subjects(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in _all_subjects(inner)]
    return []
