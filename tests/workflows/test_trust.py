"""Every workflow by every role: each role opens to exactly one context, and to nothing else."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.engine.documents import Policy, parse_policy
from scripts.localcloud.sts.issuer import Job as IssuedJob
from scripts.localcloud.sts.issuer import claims
from scripts.names import GITHUB_HOST
from tests import ROOT
from tests.actions_runner import github
from tests.actions_runner.clouds import may_assume
from tests.actions_runner.definitions import Job, Workflow, load_workflow
from tests.actions_runner.expressions import Scope, interpolate
from tests.actions_runner.github import Event, Repository
from tests.actions_runner.values import to_string
from tests.workflows.project import REPOSITORY
from tests.workflows.trusts import MAIN, ROLES, role_arn, trust_document, trusts

pytestmark = pytest.mark.slow

AUDIENCE = "sts.amazonaws.com"
NAMES = ("dev", "prod")
WORKFLOWS = {
    path.name: load_workflow(path) for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
}
# The file that runs each role's job, where a trust policy can name one: a pull request's is of its
# own branch.
FILES = {
    name: role.workflow
    for name, role in ROLES.items()
    if role.workflow is not None and role.context != "pull_request"
}
# Which role each job that may ask for a token is meant for, by file and job, as it is called.
MEANT = {
    ("infra-plan.yml", "plan"): "plan",
    ("infra-apply.yml", "plan / plan"): "plan-main",
    ("infra-apply.yml", "apply / apply"): "apply",
    ("destroy.yml", "destroy / apply"): "apply",
    ("drift-infra.yml", "drift / plan / plan"): "plan-main",
    ("database.yml", "database / step"): "database",
    ("train.yml", "ingest / step"): "ingest",
    ("train.yml", "train / step"): "train",
    ("promote.yml", "promote / step"): "promote",
    ("promote.yml", "predict / predict / step"): "predict",
    ("predict.yml", "predict / step"): "predict",
    ("monitor.yml", "monitor / step"): "monitor",
    ("monitor.yml", "retrain / ingest / step"): "ingest",
    ("monitor.yml", "retrain / train / step"): "train",
    ("rollback.yml", "rollback / step"): "promote",
    ("rollout.yml", "rollout"): "rollout",
    ("pulumi-preview.yml", "preview"): "plan",
    ("pulumi-up.yml", "preview"): "plan-main",
    ("pulumi-up.yml", "up"): "apply",
}
# Who pins the files of Terraform's workflows shuts Pulumi's out; a pull request's is never pinned.
UNPINNED = ("pulumi-up.yml",)


def event_for(workflow: Workflow, environment: str, repository: Repository) -> Event:
    """An event on main that starts a workflow for an environment."""
    if "pull_request" in workflow.on:
        return github.pull_request("0" * 40, repository=repository)
    return github.dispatch("0" * 40, environment=environment)


def tokens(
    workflow: Workflow,
    event: Event,
    repository: Repository = REPOSITORY,
    environment: str = "dev",
) -> dict[str, dict[str, Any]]:
    """Claims of every job of a workflow that may ask for a token, by the job's whole name."""
    contexts = {
        "github": {"event": dict(event.payload), "repository": repository.name},
        "vars": dict(repository.variables),
        "inputs": {"environment": environment},
        "matrix": {"environment": environment},
        "needs": {"plan": {"outputs": {"digest": ""}}},
    }
    found = _jobs(workflow, workflow, event, contexts, "")
    return {
        name: claims(
            IssuedJob.model_validate(
                github.job_claims(
                    repository, event, workflow=workflow, file=file.file, environment=context
                )
            ),
            AUDIENCE,
            0,
        )
        for name, file, context in found
    }


def _jobs(
    top: Workflow, workflow: Workflow, event: Event, contexts: dict[str, Any], prefix: str
) -> Iterator[tuple[str, Workflow, str | None]]:
    for job in workflow.jobs.values():
        if job.uses is not None:
            called = WORKFLOWS[job.uses.rpartition("/")[2]]
            inputs = interpolate(job.inputs, Scope(contexts))
            inner = {**contexts, "inputs": inputs}
            yield from _jobs(top, called, event, inner, f"{prefix}{job.id} / ")
        elif _may_ask(workflow, job, event):
            name = interpolate(job.environment, Scope(contexts))
            yield f"{prefix}{job.id}", workflow, None if name is None else to_string(name)


def _may_ask(workflow: Workflow, job: Job, event: Event) -> bool:
    return github.permissions_of(workflow, job.permissions, event).get("id-token") == "write"


@functools.cache
def _trusts(
    name: str, number: str, owner_id: str, subject_format: str, pinned: bool
) -> dict[str, Policy]:
    repository = Repository(name, number, owner_id, subject_format=subject_format)
    return trusts(repository, NAMES, FILES if pinned else None)


def opened(token: dict[str, Any], repository: Repository = REPOSITORY, *, pinned: bool) -> set[str]:
    """Roles of dev and prod that a token may assume."""
    policies = _trusts(
        repository.name, repository.id, repository.owner_id, repository.subject_format, pinned
    )
    return {arn for arn, trust in policies.items() if may_assume(arn, trust, token)}


def every_token(repository: Repository = REPOSITORY) -> Iterator[tuple[str, str, str, Any]]:
    for file, workflow in WORKFLOWS.items():
        if "workflow_call" in workflow.on and "workflow_dispatch" not in workflow.on:
            continue  # only ever runs inside another
        for environment in ("dev",) if "pull_request" in workflow.on else NAMES:
            event = event_for(workflow, environment, repository)
            for job, token in tokens(workflow, event, repository, environment).items():
                yield file, job, environment, token


TOKENS = [pytest.param(*found, id="-".join(map(str, found[:3]))) for found in every_token()]


def test_every_job_that_may_ask_for_a_token_is_in_the_table() -> None:
    assert {(file, job) for file, job, _, _ in every_token()} == set(MEANT)
    assert set(MEANT.values()) == set(ROLES)


@pytest.mark.parametrize("pinned", [False, True], ids=["by-environment", "by-workflow-file"])
@pytest.mark.parametrize(("file", "job", "environment", "token"), TOKENS)
def test_a_job_may_assume_its_own_role_and_no_other(
    file: str, job: str, environment: str, token: dict[str, Any], pinned: bool
) -> None:
    expected = {role_arn(environment, MEANT[file, job])}
    if MEANT[file, job] == "plan":
        # A pull request names no environment: it may read all of them, and change none.
        expected = {role_arn(name, "plan") for name in NAMES}
    if pinned and file in UNPINNED:
        expected = set()
    assert opened(token, pinned=pinned) == expected


def test_each_role_is_opened_by_exactly_one_context() -> None:
    contexts: dict[str, set[tuple[str, str]]] = {}
    for _, _, _, token in every_token():
        for arn in opened(token, pinned=True):
            file = token["job_workflow_ref"].partition("@")[0].rpartition("/")[2]
            contexts.setdefault(arn, set()).add((token["sub"], file))
    # Of a pull request there are two: Terraform's plan and Pulumi's preview.
    assert {arn: len(found) for arn, found in contexts.items()} == {
        role_arn(name, role): 2 if role == "plan" else 1 for name in NAMES for role in ROLES
    }


def test_a_pinned_file_shuts_out_another_workflow_of_the_same_environment() -> None:
    rogue = replace(WORKFLOWS["database.yml"], file="rogue.yml")
    event = github.dispatch("0" * 40)
    facts = github.job_claims(
        REPOSITORY, event, workflow=rogue, file="rogue.yml", environment="dev-promote"
    )
    token = claims(IssuedJob.model_validate(facts), AUDIENCE, 0)
    assert opened(token, pinned=True) == set()
    # Without the pin the environment alone decides: the control is what stops it.
    assert opened(token, pinned=False) == {role_arn("dev", "promote")}


def _renamed(repository: Repository) -> Repository:
    return replace(repository, name="octo-org/renamed")


def _registered_again(repository: Repository) -> Repository:
    """The names are the same; a stranger owns them now."""
    return replace(repository, id="9999", owner_id="9998")


def _moved(repository: Repository) -> Repository:
    return replace(repository, name="other-org/keyless-mlops", owner_id="7777")


def _other_format(repository: Repository) -> Repository:
    other = "names" if repository.subject_format == "immutable" else "immutable"
    return replace(repository, subject_format=other)


@pytest.mark.slow
@pytest.mark.parametrize("subject_format", ["immutable", "names"])
@pytest.mark.parametrize("change", [_renamed, _registered_again, _moved, _other_format])
def test_another_repository_opens_nothing(change: Any, subject_format: str) -> None:
    ours = replace(REPOSITORY, subject_format=subject_format)
    theirs = change(ours)
    for _, _, _, token in every_token(theirs):
        assert opened(token, ours, pinned=False) == set()
    assert all(opened(token, theirs, pinned=False) for _, _, _, token in every_token(theirs))


@pytest.mark.parametrize(
    "ref", ["refs/tags/v1", "refs/heads/side", "refs/heads/main2", "refs/heads/Main",
            "refs/tags/main", "refs/heads/refs/heads/main"],
)  # fmt: skip
def test_another_ref_opens_nothing_even_with_the_right_environment(ref: str) -> None:
    for file, workflow in WORKFLOWS.items():
        if "workflow_dispatch" in workflow.on:
            event = github.at(github.dispatch("0" * 40), ref=ref)
            for token in tokens(workflow, event).values():
                assert opened(token, pinned=False) == set(), file


@pytest.mark.parametrize(
    "name",
    ["dev-Train", "dev-train-2", "DEV-train", "dev_train", "dev-train ", "dev-train:x", "train",
     "dev-train%3Ax", "environment:dev-train", None],
)  # fmt: skip
def test_a_changed_environment_name_opens_nothing(name: str | None) -> None:
    facts = github.job_claims(
        REPOSITORY,
        github.dispatch("0" * 40),
        workflow=WORKFLOWS["train.yml"],
        file="step.yml",
        environment=name,
    )
    token = claims(IssuedJob.model_validate(facts), AUDIENCE, 0)
    assert opened(token, pinned=False) == set()


def test_a_pull_request_that_names_an_environment_opens_nothing() -> None:
    event = github.pull_request("0" * 40, repository=REPOSITORY)
    names = {role.github_environment("dev") for role in ROLES.values()} - {None}
    assert len(names) == len(ROLES) - 1
    for name in names:
        facts = github.job_claims(
            REPOSITORY, event, workflow=WORKFLOWS["ci.yml"], file="ci.yml", environment=name
        )
        token = claims(IssuedJob.model_validate(facts), AUDIENCE, 0)
        # The subject is the environment's; refs/pull/7/merge is not main.
        assert opened(token, pinned=False) == set()


@pytest.mark.parametrize(
    ("control", "attacker", "ref"),
    [
        ("ref", REPOSITORY, "refs/heads/side"),
        ("repository_id", _registered_again(replace(REPOSITORY, subject_format="names")), MAIN),
        ("sub", _renamed(REPOSITORY), MAIN),
    ],
)
def test_without_the_control_the_attack_works(control: str, attacker: Repository, ref: str) -> None:
    event = github.at(github.dispatch("0" * 40), ref=ref)
    token = tokens(WORKFLOWS["database.yml"], event, attacker)["database / step"]
    ours = replace(REPOSITORY, subject_format=attacker.subject_format)
    arn = role_arn("dev", "database")
    document = trust_document(ours, "dev", "database")
    assert not may_assume(arn, parse_policy(document, name="whole", kind="trust"), token)
    del document["Statement"][0]["Condition"]["StringEquals"][f"{GITHUB_HOST}:{control}"]
    assert may_assume(arn, parse_policy(document, name="weakened", kind="trust"), token)


def test_a_forks_pull_request_may_not_ask_for_a_token() -> None:
    event = github.pull_request("0" * 40, repository=REPOSITORY, fork="stranger/keyless-mlops")
    assert tokens(WORKFLOWS["infra-plan.yml"], event) == {}


@pytest.mark.parametrize("audience", ["https://github.com/octo-org", "sts.amazonaws.com.evil", ""])
def test_another_audience_opens_nothing(audience: str) -> None:
    for _, _, _, token in every_token():
        assert opened({**token, "aud": audience}, pinned=False) == set()


@pytest.mark.parametrize("claim", ["sub", "aud", "repository_id"])
def test_a_missing_claim_opens_nothing(claim: str) -> None:
    for _, _, _, token in every_token():
        rest = {name: value for name, value in token.items() if name != claim}
        assert opened(rest, pinned=False) == set()


def test_the_issuer_refuses_a_forks_pull_request(tmp_path: Path) -> None:
    from tests.actions_runner.clouds import TrustCloud

    event = github.pull_request("0" * 40, repository=REPOSITORY, fork="stranger/keyless-mlops")
    facts = github.job_claims(
        REPOSITORY, event, workflow=WORKFLOWS["ci.yml"], file="ci.yml", environment=None
    )
    with pytest.raises(PermissionError, match="no token"):
        TrustCloud().start_job(facts)
