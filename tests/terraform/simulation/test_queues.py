"""GitHub's concurrency groups, on workflows made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.actions_runner.definitions import Workflow
from tests.terraform.simulation.workflows import JOB_MINUTES, Leaf, Queues, Run, workflows

REVIEWED = {"environment": "${{ inputs.environment }}-promote"}


def defined(folder: Path, **concurrency: str | None) -> dict[str, Workflow]:
    """Workflows of one job each, by name with or without a group; `promote` asks reviewers."""
    for name, group in concurrency.items():
        job = {"runs-on": "ubuntu-latest", "steps": [{"run": "true"}]}
        job |= REVIEWED if name == "promote" else {}
        content = {"name": name, "on": {"workflow_dispatch": {}}, "jobs": {"only": job}}
        if group:
            content["concurrency"] = {"group": group, "cancel-in-progress": False}
        (folder / f"{name}.yml").write_text(yaml.safe_dump(content))
    return workflows(folder)


def never(run: Run, leaf: Leaf, minute: int) -> None:
    return None


def passed(queues: Queues, minutes: int) -> None:
    for _ in range(minutes):
        queues.minute()


def test_runs_of_one_group_follow_each_other(tmp_path: Path) -> None:
    queues = Queues(defined(tmp_path, train="g"), never)
    first, second = (queues.dispatch("train.yml", "push", "dev") for _ in range(2))
    passed(queues, 3 * JOB_MINUTES)
    assert (first.ended, second.ended) == (JOB_MINUTES, 2 * JOB_MINUTES)


def test_a_third_cancels_the_one_that_waits(tmp_path: Path) -> None:
    queues = Queues(defined(tmp_path, train="g"), never)
    runs = [queues.dispatch("train.yml", "push", "dev") for _ in range(3)]
    passed(queues, 3 * JOB_MINUTES)
    assert [run.cancelled for run in runs] == [None, 0, None]


@pytest.mark.parametrize(("group", "blocked"), [("g", True), ("other", False)])
def test_a_run_that_waits_for_reviewers_holds_its_group(
    tmp_path: Path, group: str, blocked: bool
) -> None:
    """The fault: a rollback queued behind a promotion that nobody approved."""
    queues = Queues(defined(tmp_path, promote="g", rollback=group), never)
    queues.dispatch("promote.yml", "workflow_dispatch", "dev")
    rollback = queues.dispatch("rollback.yml", "workflow_dispatch", "dev")
    passed(queues, 7 * 1440)
    assert (rollback.ended is None) == blocked
