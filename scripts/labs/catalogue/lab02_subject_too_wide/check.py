"""What must fail and what must work in lab 2."""

from __future__ import annotations

from collections.abc import Callable

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


def _with(token: Callable[[LabRun], str]) -> Callable[[LabRun], str]:
    def trial(run: LabRun) -> str:
        return common.read(run, run.assume(common.role(run), token(run)), KEY)

    return trial


def _job(run: LabRun) -> str:
    session = run.job_session(common.role(run), REPOSITORY)
    common.write(run, session, "models/new.txt")
    return common.read(run, session, KEY)


ATTACKS = [
    Trial(
        "another repository of acme, to which the student may push",
        _with(lambda run: run.github.token_for_student("acme/website")),
    ),
    Trial(
        "a repository that was registered again as acme/pipeline",
        _with(lambda run: run.github.mint_for(run.github.stranger(REPOSITORY))),
    ),
    Trial(
        "a name that only begins like acme/pipeline",
        _with(lambda run: run.github.token_for_student("acme-x/pipeline-x")),
    ),
    Trial(
        "a branch of acme/pipeline that nobody reviews",
        _with(lambda run: run.github.mint(REPOSITORY, ref="refs/heads/try")),
    ),
    Trial(
        "a pull request of acme/pipeline",
        _with(
            lambda run: run.github.mint(
                REPOSITORY, event_name="pull_request", ref="refs/pull/7/merge"
            )
        ),
    ),
    common.trusts(REPOSITORY, {"lab-deploy": {}}),
]
NEEDS = [Trial("a job of acme/pipeline on main reads and writes models/", _job)]
