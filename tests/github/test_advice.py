"""Advice about a refused token: tried before it is given, and never in a stranger's favour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from scripts.github.advice import Answer, advise, others
from scripts.github.issuers import AUDIENCE
from scripts.github.trust import judge
from scripts.iam.engine.documents import Condition, Policy, parse_policy
from scripts.localcloud.sts.issuer import Job, claims
from scripts.names import GITHUB_HOST, GITHUB_ISSUER

ROLE = "arn:aws:iam::111122223333:role/deploy"
QUEUE = "refs/heads/gh-readonly-queue/main/pr-7-" + "a" * 40
SHARED = "octo-org/flows/.github/workflows/deploy.yml@" + "8f4b7f84" * 5


def policy(
    sub: str | list[str], *, like: bool = False, provider: str = GITHUB_HOST, key: str = "",
    **exact: str,
) -> Policy:  # fmt: skip
    """A role for the subject(s); `key` is the keys' provider where it is another one."""
    prefix = key or provider
    condition: dict[str, dict[str, Any]] = {
        "StringEquals": {f"{prefix}:{name}": value for name, value in exact.items()}
    }
    condition["StringEquals"].setdefault(f"{prefix}:aud", AUDIENCE)
    condition.setdefault("StringLike" if like else "StringEquals", {})[f"{prefix}:sub"] = sub
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{provider}"},
        "Condition": condition,
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return parse_policy(document, name="deploy", kind="trust")


def token(**job: Any) -> dict[str, Any]:
    """A job of octo-org/app, whose subject carries ids unless it says otherwise."""
    audience = job.pop("audience", AUDIENCE)
    return claims(Job(**{"repository": "octo-org/app", **job}), audience, 0)


def answer(trust: Policy, found: Mapping[str, Any]) -> Answer:
    judged = judge(ROLE, trust, found)
    assert not judged.allowed
    return advise(ROLE, trust, found, judged)


PROD = "repo:octo-org@1001/app@2002:environment:prod"
MAIN = "repo:octo-org@1001/app@2002:ref:refs/heads/main"
NAMES = "repo:octo-org/app:ref:refs/heads/main"
PULLS = {"event_name": "pull_request", "ref": "refs/pull/7/merge", "base_ref": "main"}
HELPS = [
    pytest.param(policy(PROD), token(), "write environment: prod in the job", id="no environment"),
    pytest.param(
        policy(PROD, ref="refs/heads/main"),
        token(ref="refs/heads/side"),
        "write environment: prod in the job, and run the workflow on refs/heads/main",
        id="no environment, and another branch",
    ),
    pytest.param(
        policy(MAIN), token(ref="refs/tags/v1"), "run the workflow on refs/heads/main", id="a tag"
    ),
    pytest.param(
        policy([PROD, "repo:octo-org@1001/app@2002:pull_request"]),
        token(**PULLS, environment="preview"),
        "take environment: out of the job",
        id="a pull request that names an environment",
    ),
    pytest.param(
        policy(MAIN),
        token(environment="prod", ref="refs/heads/side"),
        "take environment: out of the job, and run the workflow on refs/heads/main",
        id="an environment on another branch, where the role wants its branch",
    ),
    pytest.param(
        policy(MAIN),
        token(environment="prod"),
        f"write StringEquals {GITHUB_HOST}:sub: {PROD} and {GITHUB_HOST}:ref: refs/heads/main in "
        f"place of {MAIN}",
        id="an environment where the role wants its branch",
    ),
    pytest.param(
        policy("repo:octo-org@1001/app@2002:environment:prod-*", like=True),
        token(),
        "write environment: prod-* in the job, with a name in place of each wildcard",
        id="no environment, and any of some is wanted",
    ),
    pytest.param(
        policy(MAIN),
        token(audience="https://github.com/octo-org"),
        f"ask for the token with the audience {AUDIENCE}",
        id="another audience",
    ),
    pytest.param(
        policy(MAIN, job_workflow_ref=SHARED),
        token(),
        f"call the workflow {SHARED} in the job (uses:)",
        id="another workflow",
    ),
    pytest.param(
        policy(MAIN),
        token(subject_format="names"),
        "-F use_immutable_subject=true",
        id="names where the role wants ids",
    ),
    pytest.param(
        policy(f"repo:octo-org@1001/app@2002:job_workflow_ref:{SHARED}"),
        token(job_workflow_ref=SHARED),
        "-f 'include_claim_keys[]=repo' -f 'include_claim_keys[]=job_workflow_ref'",
        id="a template that the role expects",
    ),
    pytest.param(
        policy(MAIN),
        token(subject_template=("repo", "context", "workflow")),
        "-F use_default=true",
        id="a template that the role does not expect",
    ),
    pytest.param(
        policy(NAMES, repository_id="2002"),
        token(),
        f"write {MAIN} in place of {NAMES}",
        id="ids where the role has names, and its id",
    ),
    pytest.param(
        policy(NAMES.replace("octo-org", "Octo-Org")),
        token(subject_format="names"),
        f"AWS compares the case of letters: {NAMES} in place of ",
        id="a name in other letters",
    ),
    pytest.param(
        policy(NAMES),
        token(),
        "the policy compares no id, so first compare them with gh api repos/octo-org/app",
        id="ids where the role has names alone",
    ),
    pytest.param(
        policy(MAIN),
        token(repository="octo-labs/app"),
        "the same repository (2002) has a new name, octo-labs/app",
        id="the owner was renamed",
    ),
    pytest.param(
        policy(MAIN, iss=GITHUB_ISSUER),
        token(),
        f"take {GITHUB_HOST}:iss out of the trust policy",
        id="a key that AWS never sets and the provider implies",
    ),
    pytest.param(
        policy(MAIN, repository_owner="octo-org"),
        token(),
        f"take {GITHUB_HOST}:repository_owner out of the trust policy",
        id="a key that AWS never sets and the subject implies",
    ),
    pytest.param(
        policy("repo:octo-org@1001/app@2002:pull_request", base_ref="main"),
        token(**PULLS),
        "repo:octo-org@1001/app@2002:pull_request:base_ref:main",
        id="a claim that the subject can show",
    ),
    pytest.param(
        policy("repo:octo-org@1001/app@2002:pull_request", ref="refs/heads/main"),
        token(**PULLS),
        "repo:octo-org@1001/app@2002:pull_request:base_ref:main",
        id="a pull request into a branch, taken for one on it",
    ),
    pytest.param(
        policy(MAIN),
        token(event_name="merge_group", ref=QUEUE),
        "repo:octo-org@1001/app@2002:environment:merge-queue",
        id="a merge queue",
    ),
    pytest.param(
        policy("repo:octo-org@1001/app@2002", repository_id="2002"),
        token(),
        f"write {MAIN} in place of repo:octo-org@1001/app@2002",
        id="a subject without context",
    ),
    pytest.param(
        policy("repo:octo-org/app:*", like=True),
        token(),
        "write repo:octo-org@1001/app@2002:* in place of repo:octo-org/app:*",
        id="ids where the role has a pattern of names",
    ),
    pytest.param(
        policy("repo:octo-org/*", like=True),
        token(),
        "write repo:octo-org@1001/* in place of repo:octo-org/*",
        id="ids where the role has a pattern of an owner's name",
    ),
    pytest.param(
        policy(MAIN, provider=f"{GITHUB_HOST}/octo", key=GITHUB_HOST),
        token(issuer=f"{GITHUB_ISSUER}/octo"),
        f"{GITHUB_HOST}/octo:sub",
        id="keys without the slug",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("trust", "found", "text"), HELPS)
def test_advice_says_what_was_tried_and_helps(
    trust: Policy, found: dict[str, Any], text: str
) -> None:
    given = answer(trust, found)
    assert any(text in one for one in given.advice), given
    assert given.differs


STRANGER = {"repository_id": "9", "repository_owner_id": "8"}
NOTHING = [
    pytest.param(policy(NAMES, repository_id="2002"),
                 token(subject_format="names", **STRANGER), "another repository: its id is 9",
                 id="a stranger with the freed name"),
    pytest.param(policy(MAIN), token(**STRANGER), "another repository: its id is 9",
                 id="the repository was made again"),
    pytest.param(policy(NAMES), token(repository="stranger/app", subject_format="names"),
                 "compares no id", id="other names and no id"),
    pytest.param(policy("repo:octo-org@1001/app@2002:pull_request", base_ref="main"),
                 token(**{**PULLS, "base_ref": "play"}), "this job's is play",
                 id="a pull request into another branch"),
    pytest.param(policy(PROD), token(**PULLS), "context is pull_request",
                 id="a pull request at the role of an environment"),
    pytest.param(policy("repo:octo-org@1001/app@2002:*", like=True, event_name="push"),
                 token(event_name="workflow_dispatch"), "this job's is workflow_dispatch",
                 id="a pattern behind a key that AWS never sets"),
    pytest.param(policy("repo:octo-org@1001/*"), token(), "letter for letter",
                 id="a wildcard under StringEquals"),
    pytest.param(policy(MAIN, provider=f"{GITHUB_HOST}/octo"), token(), "",
                 id="a token of another issuer"),
    pytest.param(policy("repo:octo-org@1001/app@2002:environment:*ref:refs/heads/main", like=True),
                 token(environment="prod"), "wants more than",
                 id="an environment and a branch in one pattern"),
    pytest.param(policy("repo:octo-org@1001/app@2002:*:event_name:push:ref:refs/heads/main:actor:*",
                        like=True),
                 token(subject_template=("repo", "context", "event_name", "ref", "actor"),
                       ref="refs/heads/side"),
                 "ref is refs/heads/side, the role is for refs/heads/main",
                 id="a template with the ref beside the context, and another branch"),
    pytest.param(policy("repo:octo-org@1001/lib-*:*", like=True), token(),
                 "repo is octo-org@1001/app@2002, which repo:octo-org@1001/lib-*:* does not take",
                 id="a pattern of other repositories"),
]  # fmt: skip


@pytest.mark.parametrize(("trust", "found", "text"), NOTHING)
def test_where_nothing_helps_it_says_what_differs_and_stops(
    trust: Policy, found: dict[str, Any], text: str
) -> None:
    given = answer(trust, found)
    assert given.advice == ()
    assert text in " ".join(given.differs)


def test_a_part_that_fits_its_pattern_does_not_differ() -> None:
    trust = policy("repo:octo-org@1001/*:ref:refs/heads/*", like=True)
    given = answer(trust, token(environment="prod"))
    assert given.differs == ("context is environment:prod, the role is for ref:refs/heads/*",)


def test_of_two_conditions_on_the_subject_the_one_that_fails_is_told() -> None:
    """terraform-aws-modules/terraform-aws-iam#633"""
    exact = policy(MAIN)
    [statement] = exact.statements
    for operator, value, told in (
        ("StringLike", "repo:octo-org@1001/lib-*:ref:refs/heads/*",
         "repo is octo-org@1001/app@2002, the role is for octo-org@1001/lib-*"),
        ("StringNotLike", "repo:*:ref:refs/heads/main", f"sub is {MAIN}, which the role refuses"),
    ):  # fmt: skip
        also = Condition(operator, f"{GITHUB_HOST}:sub", (value,))
        both = replace(statement, conditions=(*statement.conditions, also))
        assert answer(replace(exact, statements=(both,)), token()).differs == (told,)


def test_a_key_that_aws_never_sets_is_called_that_though_the_token_lacks_it_too() -> None:
    given = answer(policy(MAIN, enterprise="octo-inc"), token())
    assert given.differs == ("AWS never sets enterprise: no token can fulfil this condition",)


def test_a_server_shows_no_ref_so_its_branch_cannot_go_with_an_environment() -> None:
    server = "github.octo.example/_services/token"
    trust = policy("repo:octo-org/app:ref:refs/heads/main", provider=server)
    given = answer(
        trust, token(issuer=f"https://{server}", subject_format="names", environment="prod")
    )
    assert given.advice == ("take environment: out of the job",)


def test_no_advice_opens_a_pattern_that_a_dead_key_held_shut() -> None:
    trust = policy("repo:octo-org@1001/app@2002:*", like=True, ref_type="branch")
    given = answer(trust, token())
    assert not any(one.startswith("take") for one in given.advice)
    assert not any("*" in one for one in given.advice)


def test_no_template_is_advised_that_takes_every_job_of_the_repository() -> None:
    given = answer(policy("repo:octo-org@1001/app@2002"), token())
    assert not any("include_claim_keys" in one for one in given.advice)


def test_a_role_that_lets_in_others_too_says_whom() -> None:
    assert others(policy(MAIN, repository_id="2002")) == ""
    assert others(policy(NAMES)).startswith("whoever registered octo-org/app before")
    older = "any repository of octo-org that sends names without ids, as one made before 15 July"
    assert older in others(policy("repo:octo-org/*", like=True))
    assert "any repository of octo-org" in others(policy("repo:octo-org@1001/*", like=True))
    assert "names without ids" not in others(policy("repo:octo-org@1001/*", like=True))
    assert "any GitHub user" in others(policy("repo:*", like=True))


def test_another_audience_is_the_providers_to_take() -> None:
    """aws-actions/configure-aws-credentials#317: STS asks the provider before any policy."""
    trust = policy(MAIN, aud="https://github.com/octo-org")
    [advice, *_] = answer(trust, token(ref="refs/heads/main")).advice
    assert "if the provider lists it" in advice
    assert f"else compare {AUDIENCE} in the trust policy" in advice
