"""What must hold for every workflow and action file, whoever edits them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.actions_runner.definitions import (
    Job,
    Step,
    Workflow,
    load_action,
    load_workflow,
    load_yaml,
)
from tests.actions_runner.expressions import expressions_in

GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: load_workflow(path) for path in sorted(GITHUB.glob("workflows/*.yml"))}
ACTIONS = {path.parent.name: load_action(path.parent) for path in GITHUB.glob("actions/*/*.yml")}
FILES = sorted(GITHUB.rglob("*.yml"))

# Read from the actions' own repositories. Whoever raises a pin checks the commit and writes it
# here too: a bot's pull request alone does not get through.
PINS = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "astral-sh/setup-uv": ("20cfd1bf945f4377ade1205e4dbc17946fc9a30d", "v10.0.1"),
    "aws-actions/configure-aws-credentials": (
        "e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3",
    ),
    "hashicorp/setup-terraform": ("dfe3c3f87815947d99a8997f908cb6525fc44e9e", "v4.0.1"),
    "opentofu/setup-opentofu": ("a1320f892987e89d278cc92dc5adc984fb93aca4", "v2.0.2"),
    "pulumi/actions": ("8e5e406f4007fca908480587cb9893c07090f58d", "v7.0.0"),
}  # fmt: skip
# Permissions beyond reading the code and asking for a token, and who may have them.
WRITES = {
    ("drift.yml", "image"): {"contents", "issues", "pull-requests"},
    ("drift.yml", "issue"): {"issues"},
    ("infra-plan.yml", "comment"): {"pull-requests"},
    ("train.yml", "promote"): {"actions"},
}
# What a job may pass on to the workflow that it calls.
PASSES = {
    ("drift-infra.yml", "drift"): {"contents", "issues", "pull-requests"},
    ("monitor.yml", "retrain"): {"actions"},
}
READY = "contains(fromJSON(vars.ENVIRONMENTS || '[]'), "


def jobs() -> Iterator[tuple[Workflow, Job]]:
    for workflow in WORKFLOWS.values():
        for job in workflow.jobs.values():
            yield workflow, job


def steps() -> Iterator[Step]:
    for _, job in jobs():
        yield from job.steps
    for action in ACTIONS.values():
        yield from action.steps


EVERY_JOB = [pytest.param(*pair, id=f"{pair[0].file}:{pair[1].id}") for pair in jobs()]
EVERY_STEP = [pytest.param(step, id=step.place) for step in steps()]


def test_there_is_something_to_check() -> None:
    assert len(WORKFLOWS) >= 10
    assert len(EVERY_JOB) >= 15
    assert len(ACTIONS) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_reads_a_secret(path: Path) -> None:
    # Not even GITHUB_TOKEN, which is github.token.
    assert not re.search(r"\bsecrets\b", path.read_text(), re.IGNORECASE)


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=list(WORKFLOWS))
def test_every_workflow_starts_with_no_permission(workflow: Workflow) -> None:
    assert workflow.permissions == {}


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_every_job_names_the_least_permissions(workflow: Workflow, job: Job) -> None:
    assert job.permissions is not None
    allowed: dict[str, str] = {"contents": "read", "id-token": "write"}
    if writes := WRITES.get((workflow.file, job.id)):
        allowed = dict.fromkeys(writes, "write")
    if passed := PASSES.get((workflow.file, job.id)):
        assert job.uses is not None
        allowed |= dict.fromkeys(passed, "write")
    assert dict(job.permissions).items() <= allowed.items()


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_only_jobs_that_assume_a_role_may_ask_for_a_token(workflow: Workflow, job: Job) -> None:
    assert job.permissions is not None
    wants = job.permissions.get("id-token") == "write"
    calls = job.uses is not None and not job.uses.endswith("/not-set-up.yml")
    assert wants == (calls or any(map(_assumes, job.steps)))


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_no_role_is_asked_for_before_the_environment_is_set_up(
    workflow: Workflow, job: Job
) -> None:
    """A job that names an environment which is not there creates it, open to everybody."""
    assert job.permissions is not None
    if job.permissions.get("id-token") != "write" or set(workflow.on) == {"workflow_call"}:
        return
    if "pull_request" in workflow.on:
        assert job.environment is None
        assert "vars.ENVIRONMENTS" in str(job.condition)
        return
    # Itself, or the job that it waits for.
    asked = [job, *(workflow.jobs[name] for name in job.needs)]
    assert any(READY in str(one.condition) for one in asked)


def test_whoever_starts_a_workflow_for_an_environment_that_is_not_set_up_is_reported() -> None:
    for workflow in WORKFLOWS.values():
        if "environment" in workflow.on.get("workflow_dispatch", {}).get("inputs", {}):
            stop = workflow.jobs["not-set-up"]
            assert stop.uses == "$/.github/workflows/not-set-up.yml"
            assert "!contains(fromJSON(vars.ENVIRONMENTS" in str(stop.condition)


def test_no_run_that_waits_for_reviewers_holds_up_another_workflow() -> None:
    """A run holds its concurrency group while it waits; its reviewers may never answer."""
    waiting = {
        group
        for workflow, job in jobs()
        if job.id in ("promote", "rollback") and job.uses is not None
        for group in (str(workflow.concurrency["group"]),)
    }
    groups = {
        name: str(workflow.concurrency["group"])
        for name, workflow in WORKFLOWS.items()
        if workflow.concurrency is not None
    }
    assert len(set(groups.values())) == len(groups)
    assert waiting == {groups["promote.yml"], groups["rollback.yml"]}
    [step] = WORKFLOWS["step.yml"].jobs.values()
    # One step of one model at a time; models, which settings tell apart, do not wait for another.
    wanted = "step-${{ inputs.environment }}-${{ inputs.step }}-${{ inputs.settings }}"
    assert step.concurrency["group"] == wanted
    # No other workflow calls the one that waits.
    calls = {job.uses for _, job in jobs() if job.uses is not None}
    assert "$/.github/workflows/promote.yml" not in calls


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_one_job_assumes_at_most_one_role(workflow: Workflow, job: Job) -> None:
    assert sum(map(_assumes, job.steps)) <= 1


def _assumes(step: Step) -> bool:
    uses = step.uses or ""
    if uses.startswith("$/.github/actions/"):
        return any(map(_assumes, ACTIONS[uses.rpartition("/")[2]].steps))
    return uses.startswith("aws-actions/configure-aws-credentials@")


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_every_job_ends_in_time(workflow: Workflow, job: Job) -> None:
    if job.uses is None:
        assert isinstance(job.timeout_minutes, int)
        assert job.timeout_minutes <= 60


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=list(WORKFLOWS))
def test_every_workflow_or_each_of_its_jobs_has_a_concurrency_group(workflow: Workflow) -> None:
    rules = [workflow.concurrency]
    if workflow.concurrency is None:
        rules = [job.concurrency for job in workflow.jobs.values()]
    for rule in rules:
        assert set(rule) == {"group", "cancel-in-progress"}


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_what_holds_a_role_that_writes_is_never_cancelled_by_a_newer_run(
    workflow: Workflow, job: Job
) -> None:
    rule = job.concurrency or workflow.concurrency
    if workflow.file not in ("ci.yml", "infra-plan.yml"):
        assert rule["cancel-in-progress"] is False


@pytest.mark.parametrize(("workflow", "job"), EVERY_JOB)
def test_runners_are_githubs_own_and_of_one_version(workflow: Workflow, job: Job) -> None:
    assert job.runs_on in (None, "ubuntu-24.04")


@pytest.mark.parametrize("step", EVERY_STEP)
def test_no_expression_is_pasted_into_a_shell(step: Step) -> None:
    assert list(expressions_in(step.run)) == []


@pytest.mark.parametrize("step", EVERY_STEP)
def test_a_checkout_leaves_no_token_behind(step: Step) -> None:
    if (step.uses or "").startswith("actions/checkout@"):
        assert step.inputs.get("persist-credentials") is False
        assert set(step.inputs) == {"persist-credentials"}


@pytest.mark.parametrize("step", EVERY_STEP)
def test_sessions_are_short_and_of_the_one_account(step: Step) -> None:
    if (step.uses or "").startswith("aws-actions/configure-aws-credentials@"):
        assert step.inputs["role-duration-seconds"] <= 3600
        account = step.inputs["allowed-account-ids"]
        assert account in ("${{ vars.AWS_ACCOUNT_ID }}", "${{ inputs.account-id }}")
        assert f"arn:aws:iam::{account}:role/keyless-" in step.inputs["role-to-assume"]
        assert "output-credentials" not in step.inputs


@pytest.mark.parametrize("step", EVERY_STEP)
def test_nothing_is_restored_from_a_cache(step: Step) -> None:
    uses = step.uses or ""
    assert not uses.startswith("actions/cache")
    if uses.startswith("astral-sh/setup-uv@"):
        assert step.inputs["enable-cache"] is False


def test_a_job_that_is_run_again_may_keep_its_artifact() -> None:
    """GitHub runs it in the same run, where an artifact's name is taken by the first attempt.

    https://github.com/actions/upload-artifact#overwriting-an-artifact
    """
    kept = [step for step in steps() if (step.uses or "").startswith("actions/upload-artifact@")]
    assert len(kept) == 3
    assert [step.place for step in kept if step.inputs.get("overwrite") is not True] == []


def _uses(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("uses"), str):
            yield value["uses"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _uses(inner)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_to_the_commit_of_its_release(path: Path) -> None:
    text = path.read_text()
    for uses in _uses(load_yaml(path)):
        if uses.startswith("$/"):
            continue
        name, _, commit = uses.partition("@")
        assert (commit, f"{uses} # {PINS[name][1]}\n" in text) == (PINS[name][0], True)
        assert re.fullmatch("[0-9a-f]{40}", commit)


def test_every_pin_is_used() -> None:
    used = {uses.partition("@")[0] for path in FILES for uses in _uses(load_yaml(path))}
    assert {name for name in used if not name.startswith("$/")} == set(PINS)


def test_only_pull_requests_that_cannot_hold_a_token_of_ours_come_from_outside() -> None:
    known = {"push", "pull_request", "schedule", "workflow_call", "workflow_dispatch"}
    for workflow in WORKFLOWS.values():
        assert set(workflow.on) <= known
        if "push" in workflow.on:
            assert workflow.on["push"]["branches"] == ["main"]


def test_whatever_assumes_a_role_outside_a_pull_request_names_its_environment() -> None:
    bare = [
        (workflow.file, job.id)
        for workflow, job in jobs()
        if any(map(_assumes, job.steps)) and job.environment is None
    ]
    assert bare == [("infra-plan.yml", "plan"), ("pulumi-preview.yml", "preview")]


def test_an_environment_chosen_by_hand_is_one_of_two() -> None:
    for workflow in WORKFLOWS.values():
        rules = workflow.on.get("workflow_dispatch", {}).get("inputs", {}).get("environment")
        if rules is not None:
            assert (rules["type"], rules["options"]) == ("choice", ["dev", "prod"])


def test_a_bot_keeps_the_pins_fresh_but_waits_before_it_does() -> None:
    updates = load_yaml(GITHUB / "dependabot.yml")["updates"]
    ecosystems = {update["package-ecosystem"]: update for update in updates}
    assert {"github-actions", "terraform"} <= set(ecosystems)
    assert set(ecosystems["github-actions"]["directories"]) == {"/", "/.github/actions/*"}
    assert all(update["cooldown"]["default-days"] >= 7 for update in updates)
