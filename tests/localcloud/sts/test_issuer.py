"""GitHub's issuer: subjects, claims, and how a job on a runner asks for its token."""

import time
from typing import Any

import jwt
import pytest
import requests

from scripts.github.issuers import GITHUB_CLAIMS
from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.sts.issuer import Job, claims, subject
from scripts.names import GITHUB_ISSUER


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (Job(), "repo:octo-org@1001/keyless-mlops@2002:ref:refs/heads/main"),
        (Job(subject_format="names"), "repo:octo-org/keyless-mlops:ref:refs/heads/main"),
        (Job(ref="refs/tags/v1"), "repo:octo-org@1001/keyless-mlops@2002:ref:refs/tags/v1"),
        (
            Job(event_name="pull_request", ref="refs/pull/7/merge"),
            "repo:octo-org@1001/keyless-mlops@2002:pull_request",
        ),
        (
            Job(environment="dev", ref="refs/heads/side"),
            "repo:octo-org@1001/keyless-mlops@2002:environment:dev",
        ),
        (
            Job(environment="dev", event_name="pull_request", ref="refs/pull/7/merge"),
            "repo:octo-org@1001/keyless-mlops@2002:environment:dev",
        ),
        (
            Job(environment="a:b"),
            "repo:octo-org@1001/keyless-mlops@2002:environment:a%3Ab",
        ),
    ],
)
def test_the_subject_is_githubs(job: Job, expected: str) -> None:
    assert subject(job) == expected


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (
            Job(subject_template=("ref", "repo", "repository_owner"), environment="dev"),
            "ref:refs/heads/main:repo:octo-org@1001/keyless-mlops@2002:repository_owner:octo-org",
        ),
        (
            Job(subject_template=("repo_property_tier",), properties={"tier": "gold"}),
            "repo_property_tier:gold",
        ),
        # A server never sends ids.
        (
            Job(issuer="https://github.example.internal/_services/token"),
            "repo:octo-org/keyless-mlops:ref:refs/heads/main",
        ),
    ],
)
def test_a_customised_subject_has_the_claims_in_their_order(job: Job, expected: str) -> None:
    assert subject(job) == expected


def test_an_enterprises_issuer_names_the_enterprise() -> None:
    found = claims(Job(issuer=f"{GITHUB_ISSUER}/octo"), "aud", 1000)
    assert (found["iss"], found["enterprise"]) == (f"{GITHUB_ISSUER}/octo", "octo")


def test_an_environment_hides_the_ref_from_the_subject_and_not_from_the_claims() -> None:
    found = claims(Job(environment="dev", ref="refs/heads/side"), "aud", 1000)
    assert "side" not in found["sub"]
    assert (found["ref"], found["environment"]) == ("refs/heads/side", "dev")


def test_every_claim_that_aws_exposes_is_there_for_a_full_job() -> None:
    found = claims(Job(environment="dev", enterprise="octo", enterprise_id="7"), "aud", 1000)
    assert set(GITHUB_CLAIMS) <= set(found)


def test_a_token_lives_five_minutes() -> None:
    found = claims(Job(), "aud", 1000)
    assert (found["iat"], found["nbf"], found["exp"]) == (1000, 400, 1300)


@pytest.mark.parametrize(
    "wrong",
    [
        {"repository": "no-owner"},
        {"ref": "main"},
        {"subject_format": "old"},
        {"typo": 1},
        {"issuer": "https://example.org"},
        {"subject_template": ["repo", "repo"]},
        {"subject_template": ["environment"]},
    ],
)
def test_a_job_that_cannot_be_is_refused_in_words(cloud: LocalCloud, wrong: dict[str, Any]) -> None:
    answer = post_job(cloud, wrong)
    assert answer.status_code == 422
    said = {"issuer": "is no issuer of GitHub's", "subject_template": "subject_template names a"}
    if wrong == {"subject_template": ["environment"]}:
        said = {"subject_template": "the token has no claim environment"}
    field = next(iter(wrong))
    assert said.get(field, field) in answer.json()["message"]


def post_job(cloud: LocalCloud, job: dict[str, Any], key: str | None = None) -> requests.Response:
    return requests.post(
        f"{cloud.endpoint}/_github/jobs",
        json=job,
        headers={"Authorization": f"Bearer {cloud.issuer.key if key is None else key}"},
        verify=str(cloud.ca_bundle),
        timeout=10,
    )


def ask(cloud: LocalCloud, url: str, bearer: str) -> requests.Response:
    return requests.get(
        url, headers={"Authorization": f"bearer {bearer}"}, verify=str(cloud.ca_bundle), timeout=10
    )


def test_a_job_gets_its_token_as_on_a_runner(cloud: LocalCloud) -> None:
    runner = post_job(cloud, {"environment": "dev"}).json()
    url, bearer = runner["request_url"], runner["request_token"]
    answer = ask(cloud, f"{url}&audience=sts.amazonaws.com", bearer)
    discovery = ask(cloud, f"{cloud.endpoint}/_github/.well-known/openid-configuration", "").json()
    keys = jwt.PyJWKSet.from_dict(ask(cloud, discovery["jwks_uri"], "").json())
    token = answer.json()["value"]
    content = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["RS256"],
        audience="sts.amazonaws.com",
        issuer=GITHUB_ISSUER,
    )
    assert discovery["issuer"] == GITHUB_ISSUER
    assert content["sub"].endswith(":environment:dev")
    assert 0 < content["exp"] - time.time() <= 300


def test_without_an_audience_the_token_is_for_the_owner(cloud: LocalCloud) -> None:
    runner = post_job(cloud, {}).json()
    token = ask(cloud, runner["request_url"], runner["request_token"]).json()["value"]
    content = jwt.decode(token, options={"verify_signature": False})
    assert content["aud"] == "https://github.com/octo-org"


@pytest.mark.parametrize("bearer", ["", "wrong", "of another job"])
def test_a_token_is_given_to_its_own_job_alone(cloud: LocalCloud, bearer: str) -> None:
    runner = post_job(cloud, {}).json()
    if bearer == "of another job":
        bearer = post_job(cloud, {}).json()["request_token"]
    assert ask(cloud, runner["request_url"], bearer).status_code == 401


def test_only_who_holds_the_key_starts_jobs(cloud: LocalCloud) -> None:
    assert post_job(cloud, {}, key="wrong").status_code == 401
    assert post_job(cloud, {}, key="").status_code == 401


def test_a_pull_request_from_a_fork_gets_no_token(cloud: LocalCloud) -> None:
    pull = {"event_name": "pull_request", "ref": "refs/pull/7/merge"}
    own = {**pull, "head_repository": "octo-org/keyless-mlops"}
    refused = post_job(cloud, {**pull, "head_repository": "stranger/keyless-mlops"})
    assert (refused.status_code, "fork" in refused.json()["message"]) == (403, True)
    assert post_job(cloud, own).status_code == 201


def test_what_the_issuer_does_not_know_is_not_found(cloud: LocalCloud) -> None:
    assert ask(cloud, f"{cloud.endpoint}/_github/other", "").status_code == 404
