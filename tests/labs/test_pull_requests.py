"""What the lab's GitHub runs for a pull request, and what it says about what it does not know."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.console import UserError
from scripts.labs import pull_requests
from scripts.labs.github import GitHub
from scripts.labs.lab import find
from scripts.labs.pull_requests import JobRun, PullRequest, files_of, fork_of, run_workflows

BASE, FORK = "acme/pipeline", "mallory/pipeline"
TARGET = """
on: pull_request_target
jobs:
  plan:
    {more}
    steps:
      - uses: actions/checkout@v4
        with: {{ref: {ref}}}
      - run: bash plan.sh
"""
HEAD = '"${{ github.event.pull_request.head.sha }}"'


def workflows(folder: Path, **texts: str) -> Any:
    """A lab whose folder has a script and workflows."""
    where = folder / pull_requests.WORKFLOWS
    where.mkdir(parents=True)
    for name, text in texts.items():
        (where / f"{name}.yml").write_text(text)
    (folder / "plan.sh").write_text("echo of main\n")
    (folder / "given").mkdir()
    github = GitHub(find("4"), SimpleNamespace(), {}, lambda: None)  # type: ignore[arg-type]
    return SimpleNamespace(folder=folder, github=github, account_id="1", cloud=None)


@pytest.fixture(autouse=True)
def no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.labs.connection.environment", lambda _: {"PATH": "/usr/bin:/bin"})


def opened(**more: Any) -> PullRequest:
    return PullRequest(BASE, {"plan.sh": b"echo of the fork\n"}, FORK, **more)


BASE_SHA = '"${{ github.event.pull_request.base.sha }}"'


@pytest.mark.parametrize(
    ("ref", "said"), [(HEAD, "of the fork"), ("main", "of main"), (BASE_SHA, "of main")]
)
def test_whose_code_runs_is_the_checkouts_choice(tmp_path: Path, ref: str, said: str) -> None:
    (done,) = run_workflows(workflows(tmp_path, plan=TARGET.format(more="", ref=ref)), opened())
    assert done.status == "success"
    assert done.log.endswith(f"{said}\n")


def test_nothing_that_the_lab_gave_is_in_the_repository(tmp_path: Path) -> None:
    run = workflows(tmp_path, plan=TARGET.format(more="", ref=HEAD))
    (done,) = run_workflows(run, PullRequest(BASE, {"plan.sh": b"ls -a\n"}, FORK))
    assert "plan.sh" in done.log
    assert "given" not in done.log


def test_a_pull_request_changes_its_own_workflow_but_not_that_of_main(tmp_path: Path) -> None:
    text = TARGET.format(more="", ref=HEAD)
    run = workflows(tmp_path, plan=text)
    changed = text.replace("bash plan.sh", "echo changed")
    there = PullRequest(BASE, {".github/workflows/plan.yml": changed.encode()}, FORK)
    (done,) = run_workflows(run, there)
    assert "changed" not in done.log
    (tmp_path / ".github/workflows/plan.yml").write_text(text.replace("_target", ""))
    there = PullRequest(
        BASE, {".github/workflows/plan.yml": changed.replace("_target", "").encode()}, FORK
    )
    (done,) = run_workflows(run, there)
    assert "changed" in done.log


def test_a_protected_environment_waits_for_its_reviewer(tmp_path: Path) -> None:
    run = workflows(tmp_path, plan=TARGET.format(more="environment: plan", ref=HEAD))
    assert [job.status for job in run_workflows(run, opened())] == ["waiting"]
    assert [job.status for job in run_workflows(run, opened(approved=True))] == ["success"]


@pytest.mark.parametrize(
    "condition",
    [
        "github.event.pull_request.head.repo.full_name == github.repository",
        "${{ github.event.pull_request.head.repo.fork == false }}",
        '"!github.event.pull_request.head.repo.fork"',
    ],
)
def test_a_job_for_branches_alone_skips_a_fork(tmp_path: Path, condition: str) -> None:
    run = workflows(tmp_path, plan=TARGET.format(more=f"if: {condition}", ref=HEAD))
    assert [job.status for job in run_workflows(run, opened())] == ["skipped"]
    there = PullRequest(BASE, {})
    assert [job.status for job in run_workflows(run, there)] == ["success"]


def test_a_step_that_fails_ends_the_job(tmp_path: Path) -> None:
    run = workflows(tmp_path, plan=TARGET.format(more="", ref=HEAD))
    (done,) = run_workflows(run, PullRequest(BASE, {"plan.sh": b"echo before; exit 3\n"}, FORK))
    assert done == JobRun("plan/plan", "failure", "checked out the pull request\nbefore\n")


@pytest.mark.parametrize(
    "text",
    [
        TARGET.format(more="if: always()", ref=HEAD),
        TARGET.format(more="", ref="some-branch"),
        TARGET.format(more="", ref=HEAD).replace("actions/checkout", "other/action"),
        TARGET.format(more="", ref=HEAD).replace("bash plan.sh", "echo ${{ github.actor }}"),
    ],
)
def test_what_is_not_known_is_named_and_nothing_is_judged(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="does not know") as raised:
        run_workflows(workflows(tmp_path, plan=text), opened())
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("text", ["jobs: [", "name: plan", "- a", "jobs: [plan]"])
def test_a_broken_workflow_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"is not YAML|is no workflow"):
        run_workflows(workflows(tmp_path, plan=text), opened())


def test_a_lab_without_a_fork_says_so(tmp_path: Path) -> None:
    assert fork_of(find("4")) == (BASE, FORK)
    home, changes = str(tmp_path / "home"), tmp_path / "changes"
    changes.mkdir()
    done = CliRunner().invoke(keyless, ["--home", home, "lab", "pull-request", "1", str(changes)])
    assert done.exit_code == 2
    assert "no fork in lab 1" in done.stderr


def test_a_pull_request_without_a_file_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no file"):
        files_of(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("c")
    assert files_of(tmp_path) == {"a/b": b"c"}
