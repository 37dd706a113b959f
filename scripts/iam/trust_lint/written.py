"""What IAM refuses when a trust policy is written, by the identity provider that it trusts.

The providers and their keys: IAM User Guide, "Identity-provider controls for shared OIDC
providers" (id_roles_providers_oidc_secure-by-default). How IAM reads them was recorded from IAM's
own answers in September 2026 (docs/lint-trust.md says which).
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.github.trust import WEB_IDENTITY
from scripts.iam.engine.conditions import parse_operator
from scripts.iam.engine.documents import Policy, Statement
from scripts.names import GITHUB_HOST

# Provider -> the claim that a trust policy must compare.
_SHARED = {
    **dict.fromkeys(
        (
            "agent.buildkite.com",
            "app.terraform.io",
            "gitlab.com",
            "oidc-configuration.audit-log.githubusercontent.com",
            "oidc.codefresh.io",
            "oidc.op1.openshiftapps.com/2c51blsaqa9gkjt0o9rt11mle8mmropu",
            "oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb",
            "proidc.upbound.io",
            "rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7",
            "rh-oidc.s3.us-east-1.amazonaws.com/23e3sd27sju1hoou6ohfs68vbno607tr",
            "rh-oidc.s3.us-east-1.amazonaws.com/23ne21h005qjl3n33d8dui5dlrmv2tmg",
            "rh-oidc.s3.us-east-1.amazonaws.com/24jrf12m5dj7ljlfb4ta2frhrcoadm26",
            "scalr.io",
            "studio.datachain.ai/api",
            "tokens.cloud.shisho.dev",
            "vstoken.actions.githubusercontent.com",
        ),
        "sub",
    ),
    **dict.fromkeys(
        ("api.pulumi.com/oidc", "cognito-identity.amazonaws.com", "oidc.vercel.com",
         "sandboxes.cloud"),
        "aud",
    ),
}  # fmt: skip
_OTHER_KEYS = {
    "sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d": "sts:RoleSessionName",
}
_COUNTS = ("StringEquals", "StringLike", "StringEqualsIgnoreCase")


def refusals(trust: Policy) -> Iterator[tuple[Statement, str]]:
    """The statements for which IAM refuses to store a trust policy, with its message.

    Only what these controls refuse: the document is taken as grammatical.
    """
    for statement in trust.statements:
        if any(not _may_be_in_a_trust(action) for action in statement.actions or ()):
            yield statement, "AssumeRole policy may only specify STS AssumeRole actions."
    for statement in trust.statements:
        if statement.effect == "Allow" and WEB_IDENTITY in (statement.actions or ()):
            for provider in (statement.principals or {}).get("Federated", ()):
                if message := _uncontrolled(statement, provider):
                    yield statement, message


def _may_be_in_a_trust(action: str) -> bool:
    """IAM refuses `sts:*`, and the right action in another case."""
    service, _, name = action.partition(":")
    return service == "sts" and name[:1].isupper()


def _uncontrolled(statement: Statement, provider: str) -> str | None:
    host = provider.partition(":oidc-provider/")[2] or provider
    # The rule of GitHub is applied to every issuer that begins with its host.
    github = host.startswith(GITHUB_HOST)
    if github:
        keys = [f"{host}:sub", f"{host}:job_workflow_ref"]
    elif host in _SHARED:
        keys = [f"{host}:{_SHARED[host]}"]
    elif host in _OTHER_KEYS:
        keys = [_OTHER_KEYS[host]]
    else:
        return None
    if _evaluated(statement, keys, github):
        return None
    return (
        f"Trust policy with trusted principal {provider} must evaluate, using StringEquals, "
        f"StringLike or StringEqualsIgnoreCase, {' or '.join(keys)} which is not scoped to all."
    )


def _evaluated(statement: Statement, keys: list[str], github: bool) -> bool:
    """Whether one operator compares one of the keys, and none of its values with everything."""
    known = {key.lower() for key in keys}
    by_operator: dict[str, list[str]] = {}
    for condition in statement.conditions:
        operator = parse_operator(condition.operator)
        if condition.key.lower() in known and operator.base in _COUNTS and not operator.if_exists:
            by_operator.setdefault(condition.operator, []).extend(condition.values)
    return any(
        not any(_means_all(value, github) for value in values) for values in by_operator.values()
    )


def _means_all(value: str, github: bool) -> bool:
    if github:
        # IAM took `?*` in September 2026, and was seen to refuse it elsewhere. It is refused here:
        # whoever relies on the refusal is not let down, whoever writes it lets everybody in.
        only_wildcards = "*" in value and not value.strip("*?")
        return value.startswith("*") or only_wildcards or not value.strip()
    return value == "*"
