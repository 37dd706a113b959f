"""What must fail and what must work in lab 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.labs import common
from scripts.labs.running import LabRun
from scripts.labs.trial import Trial

REPOSITORY = "acme/pipeline"
KEY = "models/secret.txt"


def prepare(run: LabRun) -> None:
    """Put the flag where the deploying role reads."""
    common.put_flag(run, KEY, "{flag}\n")


def leak(run: LabRun) -> None:
    """Nothing leaked: the trust policy is enough."""


def _as(**job: Any) -> Callable[[LabRun], str]:
    def trial(run: LabRun) -> str:
        return common.read(run, run.job_session(common.role(run), REPOSITORY, **job), KEY)

    return trial


def _stranger(run: LabRun) -> str:
    token = run.github.mint_for(run.github.stranger(REPOSITORY), environment="prod")
    return common.read(run, run.assume(common.role(run), token), KEY)


def _job(run: LabRun) -> str:
    session = run.job_session(common.role(run), REPOSITORY, environment="prod")
    common.write(run, session, "models/new.txt")
    return common.read(run, session, KEY)


ATTACKS = [
    Trial("a job on main without an environment", _as()),
    Trial("a job in another environment", _as(environment="staging")),
    Trial("a job in an environment whose name begins with prod", _as(environment="production")),
    Trial("a pull request", _as(event_name="pull_request", ref="refs/pull/7/merge")),
    Trial("another owner's repository of that name, in its own prod", _stranger),
    common.trusts(REPOSITORY, {"lab-deploy": {"environment": "prod"}}),
]
NEEDS = [Trial("an approved job in prod reads and writes models/", _job)]
