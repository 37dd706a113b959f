"""Workflow jobs against the local cloud's own issuer and STS: real tokens, real refusals."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from scripts.localcloud.cloud import LocalCloud
from scripts.names import GITHUB_HOST
from tests.actions_runner.clouds import LocalCloudAdapter
from tests.actions_runner.github import (
    Event,
    Protection,
    Repository,
    dispatch,
    pull_request,
    push,
    tag,
)
from tests.actions_runner.job import Machine
from tests.actions_runner.origin import Origin
from tests.actions_runner.runner import Run, Runner
from tests.actions_runner.tests.conftest import job
from tests.workflows import trusts

pytestmark = pytest.mark.slow

# Without branch rules, so that the trust policy alone has to refuse.
REPOSITORY = Repository(environments={"dev-train": Protection(branches=None)})
WHO = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
ON = "\n  push:\n  pull_request:\n  workflow_dispatch:"


@dataclass(frozen=True)
class Address:
    """What the adapter needs of the cloud in this process."""

    endpoint: str
    ca_bundle: Path
    issuer_key: str


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """An account with GitHub's provider and the training role."""
    with LocalCloud() as cloud:
        keys = cloud.administrator
        iam = boto3.client(
            "iam",
            endpoint_url=cloud.endpoint,
            verify=str(cloud.ca_bundle),
            region_name=cloud.region,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token,
        )
        iam.create_open_id_connect_provider(
            Url=f"https://{GITHUB_HOST}", ClientIDList=["sts.amazonaws.com"]
        )
        document = json.dumps(trusts.trust_document(REPOSITORY, "dev", "train"))
        iam.create_role(
            RoleName="keyless-dev-train",
            AssumeRolePolicyDocument=document.replace(trusts.ACCOUNT, cloud.account_id),
        )
        yield cloud


@pytest.fixture
def on_cloud(cloud: LocalCloud, runner: Runner) -> Runner:
    """The runner, its jobs pointed at the local cloud."""
    address = Address(cloud.endpoint, Path(cloud.ca_bundle), cloud.issuer.key)
    runner.cloud = LocalCloudAdapter(address)
    runner.repository = REPOSITORY
    runner.machine = Machine(
        environment={
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "AWS_CA_BUNDLE": str(cloud.ca_bundle),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    )
    return runner


def run(runner: Runner, origin: Origin, cloud: LocalCloud, event: Any, **changes: Any) -> Run:
    text = job(
        f"""
        - uses: aws-actions/configure-aws-credentials@v6
          with:
            role-to-assume: arn:aws:iam::{cloud.account_id}:role/keyless-dev-train
            role-session-name: train-1
            aws-region: {cloud.region}
            allowed-account-ids: "{cloud.account_id}"
        - run: {sys.executable} -c "{WHO}"
        """,
        head="permissions: {id-token: write}\nenvironment: dev-train",
    ).replace("on: push", f"on: {ON}")
    commit = origin.commit({".github/workflows/train.yml": text})
    started: Event = event(commit)
    runner.repository = replace(runner.repository, **changes)
    return runner.run("train.yml", started)


def test_a_job_on_main_becomes_its_role(
    on_cloud: Runner, origin: Origin, cloud: LocalCloud
) -> None:
    done = run(on_cloud, origin, cloud, push)
    assert done.result == "success", done["main"].log
    arn = f"arn:aws:sts::{cloud.account_id}:assumed-role/keyless-dev-train/train-1"
    assert done["main"].steps[1].log == [arn]


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        pytest.param(
            lambda sha: dispatch(sha, branch="side"), {}, id="dispatch from a side branch"
        ),
        pytest.param(lambda sha: push(sha, branch="side"), {}, id="push to a side branch"),
        pytest.param(tag, {}, id="tag"),
        pytest.param(lambda sha: pull_request(sha, repository=REPOSITORY), {}, id="pull request"),
        pytest.param(push, {"name": "octo-org/renamed"}, id="renamed repository"),
        pytest.param(push, {"id": "9999", "owner_id": "9998"}, id="registered again"),
        pytest.param(push, {"subject_format": "names"}, id="other subject format"),
    ],
)
def test_any_other_context_is_refused_by_sts(
    on_cloud: Runner, origin: Origin, cloud: LocalCloud, event: Any, changes: dict[str, Any]
) -> None:
    done = run(on_cloud, origin, cloud, event, **changes)
    assert done.result == "failure"
    assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in done["main"].log
    assert done["main"].steps[1].outcome == "skipped"


def test_a_forks_pull_request_never_reaches_sts(
    on_cloud: Runner, origin: Origin, cloud: LocalCloud
) -> None:
    done = run(
        on_cloud,
        origin,
        cloud,
        lambda sha: pull_request(sha, repository=REPOSITORY, fork="stranger/fork"),
    )
    assert "no OIDC token" in done["main"].log
