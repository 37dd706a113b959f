"""Two weeks of an environment: schedules, parking, approvals, alarms, watchdog, a lost database.

What happens in them: the first training registers a model, the later ones rightly reuse it. On the
second day somebody pushes to the pipeline. The promotion of the second week waits for its reviewers
for five days, and in that time there is a rollback. The database is away for a whole day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.terraform.conftest import Plan, Terraform
from tests.terraform.simulation.alarms import Metric, Series, planned
from tests.terraform.simulation.schedules import cron
from tests.terraform.simulation.workflows import JOB_MINUTES, Leaf, Queues, Run, workflows
from tests.terraform.simulation.world import DAY, World

pytestmark = pytest.mark.terraform

HOUR = 60
DAYS = 14
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
AWAY = range(9 * DAY + 8 * HOUR, 10 * DAY + 8 * HOUR)
PUSH, ROLLBACK = 1 * DAY + 10 * HOUR, 8 * DAY + 10 * HOUR
SLOW_REVIEW_FROM, SLOW_REVIEW_UNTIL = 7 * DAY, 12 * DAY + 9 * HOUR
WATCHDOG = {"region": "us-east-1", "permission_sets": {"read": {"port": 5000}},
            "watchdog": {"grace_seconds": 900, "interval_seconds": 30, "failures": 5}}  # fmt: skip


@dataclass
class Weeks:
    """What came of them."""

    world: World
    queues: Queues
    rollback: Run
    alarms: list[tuple[int, str, str]] = field(default_factory=list)

    def runs(self, workflow: str, event: str) -> list[Run]:
        return [one for one in self.queues.runs if (one.name, one.event) == (workflow, event)]


def approve(run: Run, leaf: Leaf, minute: int) -> int:
    """Reviewers take an hour; one promotion they leave for five days."""
    assert leaf.role is not None
    if leaf.role.name == "promote" and SLOW_REVIEW_FROM <= minute < SLOW_REVIEW_UNTIL:
        return minute + 30 if run.name == "rollback.yml" else SLOW_REVIEW_UNTIL
    return minute + HOUR


def lived(plan: Plan, folder: Path, environment: str) -> Weeks:
    world = World(plan.after, START, DAYS, AWAY)
    world.live(WATCHDOG, folder)
    definitions = workflows()
    queues = Queues(definitions, approve)
    timed = [
        (name, cron(one["cron"]))
        for name, definition in definitions.items()
        for one in definition.on.get("schedule", {}).get("schedule", ())
    ]
    rollback = None
    for minute in range(world.minutes):
        moment = world.moment(minute)
        for name, schedule in timed:
            if schedule.fires(moment):
                queues.dispatch(name, "schedule", environment)
        if minute == PUSH:
            queues.dispatch("train.yml", "push", environment)
        if minute == ROLLBACK:
            rollback = queues.dispatch("rollback.yml", "workflow_dispatch", environment)
        queues.minute()
    assert rollback is not None
    weeks = Weeks(world, queues, rollback)
    published = metrics(weeks)
    for alarm in planned(arguments(plan)):
        for minute, state in alarm.states(lambda one: published_of(published, one), world.minutes):
            if state == "ALARM" or (state == "INSUFFICIENT_DATA" and alarm.tells_missing):
                weeks.alarms.append((minute, alarm.name, state))
    return weeks


def arguments(plan: Plan) -> dict[str, dict[str, object]]:
    """Address -> planned arguments; what is known only after the apply has a word for it."""
    return {
        change["address"]: {
            name: "known after apply"
            for name, unknown in change["change"]["after_unknown"].items()
            if unknown is True
        }
        | (change["change"]["after"] or {})
        for change in plan.changes
    }


# What is published, by metric


def metrics(weeks: Weeks) -> dict[str, dict[int, list[float]]]:
    world = weeks.world
    alive = [minute for minute in range(world.minutes) if world.database[minute]]
    started = [(minute, leaf.name) for minute, _, leaf in weeks.queues.started]
    done = {
        name: [minute + JOB_MINUTES for minute, job in started if job == name]
        for name in ("train", "predict", "monitor")
    }
    return {
        "GroupInServiceInstances": {
            minute: [float(world.in_service(minute))] for minute in range(world.minutes)
        },
        "CPUUtilization": {minute: [20.0] for minute in alive},
        "DatabaseConnections": {minute: [12.0] for minute in alive},
        # The watchdog's line in the log, while MLflow answers.
        "ServerHeartbeat": {
            minute: [1.0] for minute in range(world.minutes) if world.answers(minute)
        },
        "IncomingLogEvents": {minute: [3.0] for minute in range(world.minutes)},
        "FreeStorageSpace": {minute: [15.0 * 1024**3] for minute in alive},
        "TrainingsDone": {minute: [1.0] for minute in done["train"]},
        # The first training registers a version; the data and code of the later ones are the same.
        "ModelVersionsRegistered": {minute: [1.0] for minute in done["train"][:1]},
        "RowsPredicted": {minute: [1000.0] for minute in done["predict"]},
        "RowsRejected": {minute: [1.0] for minute in done["predict"]},
        "RetrainNeeded": {minute: [0.0] for minute in done["monitor"]},
    }


def published_of(published: Mapping[str, Series], metric: Metric) -> Series:
    assert metric.name in published, f"the simulation does not know what publishes {metric.key}"
    return published[metric.name]


# Three environments


@pytest.fixture(scope="module")
def parked(terraform: Terraform) -> Plan:
    """dev, off at night and at the weekend."""
    return terraform.planned("platform", "-var-file=environments/dev.tfvars", "-var", "park=true")


@pytest.fixture(scope="module", params=["dev", "prod", "parked"])
def weeks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Weeks]:
    plan: Plan = request.getfixturevalue(request.param)
    environment = "prod" if request.param == "prod" else "dev"
    yield lived(plan, tmp_path_factory.mktemp("weeks"), environment)


def test_no_alarm_is_on_but_for_the_lost_database(weeks: Weeks) -> None:
    false = [
        (minute // DAY, name, state)
        for minute, name, state in weeks.alarms
        if not ("database" in name and minute in AWAY)
    ]
    assert false == []


def test_no_server_is_replaced(weeks: Weeks) -> None:
    """Not even one that boots while its database is away for hours."""
    assert [life for life in weeks.world.lives if life.replaced] == []


def test_without_the_launchers_word_a_server_that_boots_without_its_database_is_replaced_for_ever(
    parked: Plan, tmp_path: Path
) -> None:
    world = World(parked.after, START, DAYS, AWAY, tells=False)
    world.live(WATCHDOG, tmp_path)
    replaced = [life for life in world.lives if life.replaced]
    assert replaced and all(life.born in AWAY for life in replaced)


def test_no_job_begins_where_there_is_no_server(weeks: Weeks) -> None:
    idle = [
        (weeks.world.moment(minute).strftime("%a %H:%M"), run.name, leaf.name)
        for minute, run, leaf in weeks.queues.started
        if leaf.needs_server and minute not in AWAY and not weeks.world.answers(minute)
    ]
    assert idle == []


def test_a_training_neither_waits_for_a_promotion_nor_is_cancelled(weeks: Weeks) -> None:
    trainings = [*weeks.runs("train.yml", "schedule"), *weeks.runs("train.yml", "push")]
    assert len(trainings) > 2
    for run in trainings:
        assert run.cancelled is None
        assert run.began["train"] - run.created < 2 * HOUR


def test_a_rollback_does_not_queue_behind_a_promotion_that_nobody_approved(weeks: Weeks) -> None:
    assert weeks.rollback.ended is not None
    assert weeks.rollback.ended - weeks.rollback.created < 2 * HOUR


def test_every_scheduled_run_comes_to_its_end(weeks: Weeks) -> None:
    left = [
        (run.name, weeks.world.moment(run.created).strftime("%a %H:%M"))
        for run in weeks.queues.runs
        if run.event == "schedule" and (run.cancelled is not None or run.ended is None)
        and run.created < weeks.world.minutes - DAY
    ]  # fmt: skip
    assert left == []
