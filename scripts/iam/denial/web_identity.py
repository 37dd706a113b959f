"""Why a role's trust policy can refuse every token of an identity provider.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from scripts.iam.engine.documents import Condition, Policy, Statement, parse_policy
from scripts.names import GITHUB_HOST

_ACTION = "sts:assumerolewithwebidentity"
# Providers whose tokens are known by a short name, which their keys begin with.
_SHORT = ("accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com",
          "www.amazon.com")  # fmt: skip
_ACCOUNT = "system:serviceaccount:"


def findings(document: Mapping[str, Any], name: str) -> list[str]:
    """What in the policy no token fulfils, and what a token needs otherwise.

    Raises PolicyError if it is no trust policy.
    """
    policy = parse_policy(document, name=name, kind="trust")
    mine = [one for one in policy.statements if _is_for_tokens(one)]
    if not mine:
        return [
            f"no statement of {name} allows sts:AssumeRoleWithWebIdentity: a token needs one, with "
            "its provider as the Principal (Federated); sts:AssumeRole is another action"
        ]
    faults = [fault for one in mine for fault in _faults(one, policy)]
    return [*faults, *(needed for one in mine for needed in _needs(one, policy))]


def _is_for_tokens(statement: Statement) -> bool:
    patterns = [one.lower() for one in statement.actions or ()]
    return statement.effect == "Allow" and any(fnmatchcase(_ACTION, one) for one in patterns)


def _providers(statement: Statement) -> list[str]:
    named = (statement.principals or {}).get("Federated", ())
    return [one.partition(":oidc-provider/")[2] or one for one in named]


def _faults(statement: Statement, policy: Policy) -> Iterator[str]:
    where = f"statement {statement.label} of {policy.name}"
    providers = _providers(statement)
    if not providers:
        yield (
            f"{where} names no identity provider: its Principal has to be Federated, with the ARN "
            "of the token's provider"
        )
        return
    for condition in statement.conditions:
        if fault := _of_key(condition, providers) or _of_values(condition):
            yield f"{where}: {fault}"


def _of_key(condition: Condition, providers: list[str]) -> str:
    key = condition.key
    provider, _, claim = key.rpartition(":")
    if key.lower().startswith(("aws:", "sts:")) or claim == "" or not providers:
        return ""
    plain = provider.partition(":oidc-provider/")[2] or provider
    plain = plain.removeprefix("https://").rstrip("/")
    known = [one for one in providers if one.lower() == plain.lower()]
    if known and plain != provider:
        return f"no token has the key {key}: it is named {known[0]}:{claim}, with nothing before it"
    if not known and plain not in _SHORT:
        return (
            f"the key {key} is another provider's: a token of {' or '.join(providers)} has "
            f"{providers[0]}:{claim}"
        )
    return ""


def _of_values(condition: Condition) -> str:
    key, values = condition.key, condition.values
    operator = condition.operator.rpartition(":")[2].removesuffix("IfExists")
    claim = key.rpartition(":")[2].lower()
    if operator in ("StringEquals", "StringEqualsIgnoreCase") and any(
        "*" in one or "?" in one for one in values
    ):
        return (
            f"{operator} takes the star of {key} {' or '.join(values)} for a letter, which no "
            "token has: write StringLike, or the whole value"
        )
    if "Not" in operator:
        return ""
    if claim == "aud" and values and all(one.startswith((_ACCOUNT, "repo:")) for one in values):
        return f"{key} is the audience, and {values[0]} a subject: the key is {key[:-3]}sub"
    if claim == "sub" and values and all(one == "sts.amazonaws.com" for one in values):
        return f"{key} is the subject, and {values[0]} an audience: the key is {key[:-3]}aud"
    if claim == "sub" and "oidc.eks." in key and values:
        wrong = [one for one in values if not one.startswith(_ACCOUNT) and "*" not in one]
        if len(wrong) == len(values):
            return f"the subject of a token of EKS is {_ACCOUNT}NAMESPACE:NAME, and not {wrong[0]}"
    return ""


def _needs(statement: Statement, policy: Policy) -> Iterator[str]:
    providers = _providers(statement)
    if not providers:
        return
    wanted = "".join(
        f", {one.key.rpartition(':')[2]} {one.operator} {' or '.join(one.values)}"
        for one in statement.conditions
    )
    ours = "; keyless lint-trust reads such a policy" * (GITHUB_HOST in providers)
    yield (
        f"statement {statement.label} of {policy.name} wants a token of https://{providers[0]}"
        f"{wanted}: compare it with the token's iss, aud and sub. The provider has to be in the "
        f"role's account, under this very address and with the token's audience{ours}"
    )
