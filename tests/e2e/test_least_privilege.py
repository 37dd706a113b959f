"""What every role of the real run used of what it may: nothing unused, denied or too wide.

The measured flow is `keyless up`, the steps that it leaves out, a plan, and the destruction of the
platform; so this comes after everything that needs the run alive.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from scripts.commands import Project
from scripts.commands.least_privilege import cost_seconds
from scripts.iam.decision_log import read_log
from scripts.iam.escalation import Estate, read_designed, search, undesigned
from scripts.iam.escalation.live import read_estate
from scripts.iam.ledger import Measured, in_scope, measure, read_reviewed
from scripts.roots import platform_stack
from scripts.stack import find_binary
from tests.e2e.conftest import PROJECT, Home

pytestmark = [pytest.mark.e2e, pytest.mark.terraform, pytest.mark.last]

# A second run of a step reads what the first one left, and the contract from its parameter.
STEPS_AGAIN = ("ingest", "predict", "monitor")


@dataclass(frozen=True)
class Run:
    """The account while the platform stood, and what the whole flow used of it."""

    estate: Estate
    measured: Measured
    cost_seconds: float
    analysis_seconds: float


@pytest.fixture(scope="module")
def run(home: Home) -> Run:
    cloud, project = home.cloud, Project(PROJECT, home.path)
    for step in STEPS_AGAIN:
        done = subprocess.run(
            [sys.executable, "-m", f"pipeline.{step}"],
            cwd=PROJECT,
            env=home.actors.process_environment(step),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    estate = read_estate(
        lambda service: project.administrator(cloud, service),
        cloud.account_id,
        cloud.region,
        [f"arn:aws:s3:::keyless-state-{cloud.account_id}-{cloud.region}/dev/platform.tfstate"],
    )
    stack = platform_stack(home.actors, find_binary(home.path))
    stack.init()
    stack.destroy()
    records = read_log(cloud.decisions)
    started = time.perf_counter()
    measured = measure(
        records,
        in_scope(estate.members, "dev"),
        read_reviewed(cloud.account_id, cloud.region, "dev"),
    )
    return Run(estate, measured, cost_seconds(records), time.perf_counter() - started)


def test_no_right_of_any_role_is_unused(run: Run) -> None:
    unused = [grant.key for ledger in run.measured.ledgers for grant in ledger.unused]
    assert unused == []


def test_nothing_was_denied_but_the_deliberate_attempts(run: Run) -> None:
    denied = [
        (ledger.role, one["action"], one["resource"])
        for ledger in run.measured.ledgers
        for one in ledger.denied
    ]
    assert denied == []
    assert sum(ledger.attempts for ledger in run.measured.ledgers) >= 6


def test_no_right_is_wider_than_it_must_be_or_outside_the_boundary(run: Run) -> None:
    wide = [(one.grant.key, one.why) for ledger in run.measured.ledgers for one in ledger.weak]
    outside = [one for ledger in run.measured.ledgers for one in ledger.outside]
    assert (wide, outside) == ([], [])


def test_every_role_of_the_platform_is_measured(run: Run) -> None:
    names = {ledger.role.removeprefix("keyless-dev-") for ledger in run.measured.ledgers}
    assert names >= {"apply", "plan", "plan-main", "database", "ingest", "train", "promote",
                     "predict", "monitor", "server"}  # fmt: skip


def test_every_path_to_more_rights_is_a_designed_one(run: Run) -> None:
    found = search(run.estate)
    assert undesigned(found, read_designed()) == []
    assert any(path.start.endswith("-apply") for path in found)


def test_the_ledger_costs_under_a_tenth_of_the_flow(run: Run) -> None:
    assert run.cost_seconds + run.analysis_seconds < 0.1 * run.measured.seconds


def test_lint_trust_finds_nothing_in_the_account(home: Home) -> None:
    done = home.keyless("lint-trust", "--account", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["findings"] == []


def test_the_last_deliberate_attempt_is_explained(home: Home) -> None:
    denied = [one for one in home.decisions() if not one["allowed"] and one["role"]]
    done = home.keyless("explain-denial", denied[-1]["request_id"], "--json")
    assert done.returncode == 0, done.stderr
    explained = json.loads(done.stdout)[0]
    assert explained["action"] == denied[-1]["action"]
