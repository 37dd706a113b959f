"""What IAM answers when a trust policy is written, as it was recorded from IAM itself.

Recorded with UpdateAssumeRolePolicy in us-east-1 in September 2026; the providers and their keys
are those of the IAM User Guide (id_roles_providers_oidc_secure-by-default).
"""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.engine.documents import parse_policy
from scripts.iam.trust_lint.written import refusals

GITHUB = "token.actions.githubusercontent.com"
GITLAB = "gitlab.com"


def answers(
    condition: dict[str, Any],
    provider: str = GITHUB,
    *,
    effect: str = "Allow",
    action: str | list[str] = "sts:AssumeRoleWithWebIdentity",
    more: tuple[dict[str, Any], ...] = (),
) -> list[str]:
    """IAM's messages about a policy; a key without a colon is a claim of the provider."""
    statement = {
        "Effect": effect,
        "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{provider}"},
        "Action": action,
        "Condition": {
            operator: {
                key if ":" in key else f"{provider}:{key}": value for key, value in keys.items()
            }
            for operator, keys in condition.items()
        },
    }
    document = {"Version": "2012-10-17", "Statement": [statement, *more]}
    return [message for _, message in refusals(parse_policy(document, name="x", kind="trust"))]


OPERATORS = ["StringEquals", "StringLike", "StringEqualsIgnoreCase", "ForAnyValue:StringLike",
             "ForAllValues:StringEquals", "ForAllValues:StringLike"]  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("claim", ["sub", "job_workflow_ref"])
def test_a_subject_or_a_workflow_will_do_under_these_operators(operator: str, claim: str) -> None:
    assert answers({operator: {claim: "own-value"}}) == []


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"StringEquals": {"aud": "sts.amazonaws.com"}},
        {"StringEquals": {"repository_id": "2002"}},
        {"StringEquals": {"repository": "o/a", "ref": "refs/heads/main", "environment": "p"}},
        {"StringEqualsIfExists": {"sub": "own-value"}},
        {"StringNotEquals": {"sub": "own-value"}},
        {"StringNotLike": {"sub": "own-value"}},
        {"Null": {"sub": "false"}},
    ],
)
def test_anything_else_is_no_control(condition: dict[str, Any]) -> None:
    [message] = answers(condition)
    assert message == (
        "Trust policy with trusted principal "
        f"arn:aws:iam::111122223333:oidc-provider/{GITHUB} must evaluate, "
        "using StringEquals, StringLike or StringEqualsIgnoreCase, "
        f"{GITHUB}:sub or {GITHUB}:job_workflow_ref which is not scoped to all."
    )


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike"])
@pytest.mark.parametrize(
    "value",
    ["*", "**", "*?", "*??", "?*", "??*", "?*?", "*own", "*?own", "", " ", ["*", "own-value"]],
)
def test_what_begins_with_a_star_or_is_empty_means_all(operator: str, value: Any) -> None:
    assert answers({operator: {"sub": value}})


@pytest.mark.parametrize(
    "value",
    ["?", "??", "?own", "?own*", "own*", "repo:*", "repo:*/*", "${aws:username}", []],
)
def test_these_are_taken_although_they_may_mean_all(value: Any) -> None:
    assert answers({"StringLike": {"sub": value}}) == []


def test_in_one_operator_both_keys_must_pass_and_a_second_operator_may_be_wide() -> None:
    assert answers({"StringEquals": {"sub": "*", "job_workflow_ref": "own-value"}})
    assert answers({"StringEquals": {"sub": "own-value", "job_workflow_ref": "*"}})
    assert answers({"StringEquals": {"sub": "own-value"}, "StringLike": {"sub": "*"}}) == []


def test_keys_are_not_case_sensitive() -> None:
    assert answers({"StringEquals": {f"{GITHUB.upper()}:SUB": "own-value"}}) == []


@pytest.mark.parametrize("suffix", ["/private", ".example.test", "other"])
def test_every_issuer_that_begins_like_githubs_is_held_to_its_own_key(suffix: str) -> None:
    issuer = f"{GITHUB}{suffix}"
    [message] = answers({"StringEquals": {f"{GITHUB}:sub": "own-value"}}, issuer)
    assert f"{issuer}:sub or {issuer}:job_workflow_ref" in message
    assert answers({"StringEquals": {"sub": "own-value"}}, issuer) == []


@pytest.mark.parametrize(
    "provider", ["token.actions.octocorp.ghe.com", "github.example.internal/_services/token",
                 "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"],
)  # fmt: skip
def test_a_provider_of_one_customer_is_not_controlled(provider: str) -> None:
    assert answers({}, provider) == []


def test_other_shared_providers_refuse_the_bare_star_alone() -> None:
    assert answers({}, GITLAB)
    assert answers({"StringLike": {"sub": "*"}}, GITLAB)
    values: tuple[Any, ...] = ("**", "?", "", [])
    for value in values:
        assert answers({"StringLike": {"sub": value}}, GITLAB) == []
    assert answers({"StringEquals": {"sub": "own"}}, "api.pulumi.com/oidc")
    assert answers({"StringEquals": {"aud": "own"}}, "api.pulumi.com/oidc") == []


def test_each_allow_is_held_to_it_alone_and_a_deny_is_not() -> None:
    bad = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{GITHUB}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
    }
    assert len(answers({"StringEquals": {"sub": "own"}}, more=(bad,))) == 1
    assert answers({}, effect="Deny") == []
    assert answers({}, action="sts:TagSession") == []


@pytest.mark.parametrize("action", ["sts:*", "STS:assumerolewithwebidentity"])
def test_an_action_that_is_no_way_to_assume_a_role_is_refused(action: str) -> None:
    assert answers({"StringEquals": {"sub": "own"}}, action=action) == [
        "AssumeRole policy may only specify STS AssumeRole actions."
    ]
