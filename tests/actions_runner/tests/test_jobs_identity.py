"""Which job gets a token, whose claims it carries, and what it can turn them into."""

import json
from typing import Any

import pytest

from scripts.iam.engine.documents import parse_policy
from tests.actions_runner.clouds import TrustCloud
from tests.actions_runner.github import Protection, Repository, dispatch, pull_request, push
from tests.actions_runner.origin import Origin
from tests.actions_runner.runner import Approval, Run, Runner
from tests.actions_runner.tests.conftest import job, workflow
from tests.workflows.trusts import ACCOUNT, role_arn, trust_document

TRAIN = role_arn("dev", "train")
REPOSITORY = Repository(environments={"dev-train": Protection()})
ASSUME = f"""
- uses: aws-actions/configure-aws-credentials@v6
  with:
    role-to-assume: {TRAIN}
    aws-region: eu-west-1
    allowed-account-ids: "{ACCOUNT}"
- run: env
"""
ASKS = "permissions: {id-token: write}"


@pytest.fixture
def cloud(runner: Runner) -> TrustCloud:
    """One role, which the training job of main may assume."""
    document = trust_document(REPOSITORY, "dev", "train")
    found = TrustCloud({TRAIN: parse_policy(document, name="train", kind="trust")})
    runner.cloud = found
    runner.repository = REPOSITORY
    return found


def run(runner: Runner, origin: Origin, text: str, *others: str, **event: Any) -> Run:
    texts = {f".github/workflows/w{n}.yml": text for n, text in enumerate((text, *others))}
    commit = origin.commit(texts)
    if event:
        return runner.run("w0.yml", pull_request(commit, repository=REPOSITORY, **event))
    return runner.run("w0.yml", push(commit))


def test_a_job_that_may_ask_gets_its_environments_role(
    runner: Runner, origin: Origin, cloud: TrustCloud
) -> None:
    done = run(runner, origin, job(ASSUME, head=f"{ASKS}\nenvironment: dev-train"))
    assert done.result == "success", done["main"].log
    assert cloud.assumed == [TRAIN]
    log = done["main"].log
    assert "AWS_REGION=eu-west-1" in log
    assert "AWS_SESSION_TOKEN=***" in log
    assert "secret-key" not in log


@pytest.mark.parametrize("head", ["", "permissions: {}", "permissions: {contents: read}"])
def test_without_the_permission_there_is_no_way_to_ask(
    runner: Runner, origin: Origin, cloud: TrustCloud, head: str
) -> None:
    done = run(runner, origin, job("- run: env\n" + ASSUME, head=f"{head}\nenvironment: dev-train"))
    assert done["main"].claims is None
    assert "ACTIONS_ID_TOKEN_REQUEST" not in done["main"].log
    assert "did you set `permissions: id-token: write`?" in done["main"].log
    assert cloud.assumed == []


def test_a_forks_pull_request_gets_no_token_whatever_it_asks_for(
    runner: Runner, origin: Origin, cloud: TrustCloud
) -> None:
    asks = "permissions: {id-token: write, contents: write}"
    text = job("- run: env\n" + ASSUME, head=asks).replace("on: push", "on: pull_request")
    done = run(runner, origin, text, fork="stranger/fork")
    assert done["main"].permissions == {"contents": "read"}
    assert "ACTIONS_ID_TOKEN_REQUEST" not in done["main"].log
    assert cloud.assumed == []


def test_another_account_than_the_allowed_is_not_used(
    runner: Runner, origin: Origin, cloud: TrustCloud
) -> None:
    text = job(
        ASSUME.replace(f'"{ACCOUNT}"', '"999999999999"'), head=f"{ASKS}\nenvironment: dev-train"
    )
    done = run(runner, origin, text)
    assert f"account {ACCOUNT} is not one of 999999999999" in done["main"].log
    assert "AWS_ACCESS_KEY_ID" not in done["main"].log


def test_an_environment_lets_only_its_branches_in(
    runner: Runner, origin: Origin, cloud: TrustCloud
) -> None:
    text = job(ASSUME, head=f"{ASKS}\nenvironment: dev-train").replace(
        "on: push", "on: workflow_dispatch"
    )
    commit = origin.commit({".github/workflows/w.yml": text})
    done = runner.run("w.yml", dispatch(commit, branch="side"))
    assert done["main"].message == "refs/heads/side may not deploy to dev-train"
    assert done["main"].steps == []


@pytest.mark.parametrize("approved", [True, False])
def test_a_reviewed_environment_waits_for_its_reviewers(
    runner: Runner, origin: Origin, cloud: TrustCloud, approved: bool
) -> None:
    seen: list[tuple[str, str, str]] = []

    def review(approval: Approval) -> bool:
        seen.append((approval.job, approval.environment, approval.run.summary))
        return approved

    runner.repository = Repository(environments={"dev-train": Protection(reviewers=True)})
    runner.approve = review
    text = workflow(f"""
        first:
          runs-on: u
          steps: [{{run: 'echo the plan >> "$GITHUB_STEP_SUMMARY"'}}]
        second:
          needs: first
          runs-on: u
          permissions: {{id-token: write}}
          environment: {{name: dev-train}}
          steps: {json.dumps([{"run": "env"}])}
    """)
    done = run(runner, origin, text)
    assert seen == [("second", "dev-train", "the plan\n")]
    assert done["second"].result == ("success" if approved else "failure")
    assert bool(done["second"].steps) is approved
    assert (done["second"].claims is not None) is approved


def test_an_environment_that_nobody_made_has_no_rules(
    runner: Runner, origin: Origin, cloud: TrustCloud
) -> None:
    done = run(runner, origin, job("- run: 'true'", head=f"{ASKS}\nenvironment: dev-tr4in"))
    assert done.result == "success"
    assert done.created_environments == ["dev-tr4in"]


def test_a_called_workflows_job_carries_both_workflows(
    runner: Runner, origin: Origin, cloud: TrustCloud
) -> None:
    called = workflow(
        f"inner: {{runs-on: u, environment: dev-train, {ASKS}, steps: [{{run: 'true'}}]}}",
        on="workflow_call",
    )
    caller = workflow(f"call: {{uses: $/.github/workflows/w1.yml, {ASKS}}}", top="name: the caller")
    done = run(runner, origin, caller, called)
    claims = done["call / inner"].claims
    assert claims is not None
    here = "octo-org/keyless-mlops/.github/workflows"
    assert claims["workflow"] == "the caller"
    assert claims["workflow_ref"] == f"{here}/w0.yml@refs/heads/main"
    assert claims["job_workflow_ref"] == f"{here}/w1.yml@refs/heads/main"
    assert claims["environment"] == "dev-train"
