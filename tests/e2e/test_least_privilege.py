"""What every role of the real run used of what it may: nothing unused, denied or too wide.

`keyless least-privilege` measures `keyless up`, the steps that it leaves out, and the destruction
of the platform. So do these, by the same functions on the shared run, after everything that needs
the run alive, and without what the tests in between did.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripts.commands import Project
from scripts.console import Phases
from scripts.iam.account.decision_log import read_log
from scripts.iam.account.identities import read_identities
from scripts.iam.account.resource_policies import ResourcePolicies
from scripts.iam.denial.denials import Denial, explain_denial
from scripts.iam.ledger import Review, as_text, read_reviewed
from scripts.iam.ledger.reviewed import Reviewed
from scripts.local_run import leftovers
from scripts.local_run.security_review import judge
from scripts.local_run.whole_flow import Evidence, complete
from scripts.names import job_roles
from tests.e2e.conftest import PROJECT, Home, wait_until
from tests.iam.ledger import snapshot

pytestmark = [pytest.mark.e2e, pytest.mark.terraform, pytest.mark.last]

# This run has none; tests/e2e/test_rollouts.py measures them.
OF_MODEL_SERVERS = {"keyless-*-serve", "keyless-*-rollout"}


@dataclass(frozen=True)
class Run:
    """What the whole flow left behind, and the verdict on it."""

    rendered: dict[str, Any]
    linted: subprocess.CompletedProcess[str]
    denials: list[Denial]
    evidence: Evidence
    review: Review

    @property
    def reviewed(self) -> Reviewed:
        return read_reviewed(self.evidence.account, self.evidence.region, "dev")


@pytest.fixture(scope="module")
def run(home: Home) -> Run:
    rendered = snapshot.read(home.path)
    linted = home.keyless("lint-trust", "--account", "--json")
    denials = explained_attempts(home)
    before = len(home.decisions())
    with Phases() as phases:
        evidence = complete(home.path, phases)
    # What the other tests did on the home in between is no part of the flow.
    records = [*evidence.records[: home.first_decisions], *evidence.records[before:]]
    evidence = replace(evidence, records=records)
    return Run(rendered, linted, denials, evidence, judge(evidence, "dev"))


def explained_attempts(home: Home) -> list[Denial]:
    """Every deliberate attempt of the run, explained as if work needed it, by the policies as they
    stand."""
    project, cloud = Project(PROJECT, home.path), home.cloud
    members = read_identities(project.administrator(cloud, "iam"))
    policies = ResourcePolicies(lambda service: project.administrator(cloud, service))
    return [
        explain_denial(
            replace(record, keys={k: v for k, v in record.keys.items() if k != "aws:UserAgent"}),
            members,
            policies,
        )
        for record in read_log(cloud.decisions)
        if record.probe and not record.allowed
    ]


def test_no_right_of_any_role_is_unused(run: Run) -> None:
    unused = [grant.key for ledger in run.review.measured.ledgers for grant in ledger.unused]
    assert unused == []


def test_nothing_was_denied_but_the_deliberate_attempts(run: Run) -> None:
    denied = [
        (ledger.role, one.action, one.resource)
        for ledger in run.review.measured.ledgers
        for one in ledger.denied
    ]
    assert denied == []
    assert sum(ledger.denied_probes for ledger in run.review.measured.ledgers) >= 6


def test_the_measured_flow_ends_with_the_destruction(run: Run) -> None:
    done = Counter(
        one.action
        for one in run.evidence.records
        if one.allowed and one.role == "keyless-dev-apply"
    )
    made, gone = (
        ("rds:CreateDBInstance", "iam:CreateRole"),
        ("rds:DeleteDBInstance", "iam:DeleteRole"),
    )
    assert all(done[action] for action in (*made, *gone))
    assert done["iam:CreateRole"] == done["iam:DeleteRole"]


def test_no_right_is_wider_than_it_must_be_or_outside_the_boundary(run: Run) -> None:
    ledgers = run.review.measured.ledgers
    wide = [(one.grant.key, one.why) for ledger in ledgers for one in ledger.weak]
    outside = [one for ledger in ledgers for one in ledger.outside]
    assert (wide, outside) == ([], [])


def test_every_role_of_the_platform_is_measured(run: Run) -> None:
    names = {ledger.role.removeprefix("keyless-dev-") for ledger in run.review.measured.ledgers}
    assert names >= {role.name for role in job_roles()} | {"server"}


def test_the_plan_roles_were_measured_at_work_themselves(run: Run) -> None:
    for ledger in run.review.measured.ledgers:
        if "-plan" in ledger.role:
            assert 0 < ledger.by_others < 0.5 * len(ledger.used), ledger.role
        else:
            assert ledger.by_others == 0, ledger.role


def test_every_path_to_more_rights_is_a_designed_one(run: Run) -> None:
    assert run.review.undesigned == []
    assert any(path.start.endswith("-apply") for path in run.review.designed)


def test_the_verdict_is_clean_and_shows_the_size_of_the_documented_set(run: Run) -> None:
    text = as_text(run.review)
    assert text.startswith("Least privilege, measured on the local cloud: clean\n")
    documented = sum(len(ledger.documented) for ledger in run.review.measured.ledgers)
    assert f"{documented} rights, for " in " ".join(text.split())
    assert run.review.diff == ""


def test_every_reviewed_reason_excuses_a_right_that_the_flow_did_not_use(run: Run) -> None:
    excused = {
        (entry, grant.action)
        for ledger in run.review.measured.ledgers
        for grant, entry in ledger.documented
    }
    stale = [
        (entry.why, action)
        for entry in run.reviewed.documented
        if not OF_MODEL_SERVERS.issuperset(entry.roles)
        for action in entry.actions
        if (entry, action) not in excused
    ]
    assert stale == []


def test_the_snapshot_of_the_policies_is_what_terraform_renders(run: Run) -> None:
    kept = json.loads(snapshot.FILE.read_text())
    assert run.rendered == kept, "keyless up && python -m tests.iam.ledger.snapshot .keyless"


def test_the_ledger_costs_under_a_tenth_of_the_flow(run: Run) -> None:
    review = run.review
    assert review.cost_seconds + review.analysis_seconds < 0.1 * review.measured.seconds


def test_lint_trust_finds_nothing_in_the_account(run: Run) -> None:
    assert run.linted.returncode == 0, run.linted.stdout
    linted = json.loads(run.linted.stdout)
    assert linted["findings"] == []
    assert linted["policies"] >= len(run.review.measured.ledgers)


def test_every_deliberate_attempt_is_explained_and_the_change_proved(run: Run) -> None:
    assert len(run.denials) >= 9
    for denial in run.denials:
        place = (denial.record.action, denial.record.resource)
        assert denial.explanation is not None, place
        if place[0] == "ssm:StartSession" and not denial.proved:
            # A shell without the document: what would allow it would allow more, and is not told.
            assert "no wider condition is proposed" in " ".join(denial.notes), place
            continue
        assert denial.proved, place
        assert all(change.edit for change in denial.changes), place


def test_the_last_deliberate_attempt_is_explained(home: Home) -> None:
    # Other files that share the run were denied more, and not on purpose.
    log = read_log(home.path / "decisions.jsonl")
    last = [one for one in log if not one.allowed and one.role and one.probe][-1]
    done = home.keyless("explain-denial", last.request_id, "--json")
    assert done.returncode == 0, done.stderr
    explained = json.loads(done.stdout)[0]
    assert explained["action"] == last.action
    assert explained["changes"] == []
    assert any("tried on purpose" in note for note in explained["notes"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_measurement_leaves_nothing(
    home: Home, tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        home.command("least-privilege"),
        cwd=PROJECT,
        env=home.environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell that starts this run in the background has SIGINT ignored, for children too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until(lambda: _bootstrap_began(tmp_path), "Terraform in a home of its own", 120)
        [own] = tmp_path.glob("keyless-measured-*")
        assert leftovers.find(own)
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=120)
        left = leftovers.find(own)
    finally:
        process.kill()
        process.communicate()
        for own in tmp_path.glob("keyless-measured-*"):
            leftovers.end_all(own)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert left == []
    assert list(tmp_path.glob("keyless-measured-*")) == []


def _bootstrap_began(folder: Path) -> bool:
    logs = folder.glob("keyless-measured-*/decisions.jsonl")
    return any("iam:CreateOpenIDConnectProvider" in log.read_text() for log in logs)
