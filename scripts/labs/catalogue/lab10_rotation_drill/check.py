"""What must fail and what must work in lab 10."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.labs import common
from scripts.labs.catalogue.lab10_rotation_drill import drill
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial, first_that_works, refusal_of


def tidy(run: LabRun) -> None:
    """Take back revocations of before: with their policy, IAM lets nobody delete the role."""
    drill.tidy(run)


def prepare(run: LabRun) -> None:
    """Put the export into the bucket."""
    common.put_flag(run, drill.KEY, "customer,card\nada,{flag}\n")


def leak(run: LabRun) -> None:
    """What the public log showed, and the same key as a secret of each repository.

    A consumer's file that the student wrote stays as it is.
    """
    key, secret = str(run.outputs["access_key_id"]), str(run.outputs["secret_access_key"])
    run.give_profile("leaked", Credentials(key, secret))
    text = f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n"
    run.give("leaked.txt", text)
    mine = run.workspace.changed(run.lab)
    for name in drill.CONSUMERS:
        path = Path("consumers", f"{name}.env")
        if path not in mine:
            run.workspace.write(run.lab, path, text.encode(), private=True)


def _a_day_later(run: LabRun) -> str:
    held = {name: drill.credentials(run, name) for name in drill.CONSUMERS}
    run.later(24)
    refusals = []
    for name, leaked in held.items():
        try:
            return f"{name}: {common.read(run, leaked, drill.KEY)}"
        except Exception as failure:
            if (refusal := refusal_of(failure)) is None:
                raise
            refusals.append(refusal)
    raise Refused(refusals[0])


def _after_the_revocation(run: LabRun) -> str:
    leaked = drill.credentials(run, drill.LEAKY)
    drill.revoke(run, leaked)
    return common.read(run, leaked, drill.KEY)


def _others(run: LabRun) -> str:
    """A job that is no consumer's takes a consumer's role."""

    def attempt(name: str) -> str:
        role = drill.settings(run, name).get("ROLE", "").rpartition("/")[2]
        if not role:
            raise UserError(f"consumers/{name}.env names no role")
        return common.taken(run, role, f"acme/{name}")

    return first_that_works(partial(attempt, name) for name in drill.CONSUMERS)


def _beyond(run: LabRun) -> str:
    return first_that_works(
        partial(common.beyond, run, drill.credentials(run, name)) for name in drill.CONSUMERS
    )


def _work(run: LabRun) -> str:
    drill.tidy(run)
    for name in drill.CONSUMERS:
        drill.work(run, name)
    return "all three work"


def _recovery(run: LabRun) -> str:
    drill.revoke(run, drill.credentials(run, drill.LEAKY))
    return f"{drill.recover(run, drill.RECOVERY_SECONDS):.1f} s"


ATTACKS = [
    Trial("what each consumer uses, a day after it leaked", _a_day_later),
    Trial("what the reports use, after it was revoked", _after_the_revocation),
    Trial("another repository, a branch and a pull request take a consumer's role", _others),
    Trial("a consumer's role beyond exports/", _beyond),
]
NEEDS = [
    Trial("the pipeline, the reports and the dashboard write and read exports/", _work),
    Trial("all three work again after a revocation, with nobody's help", _recovery),
]
