"""What must fail and what must work in lab 4."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from scripts.console import UserError
from scripts.labs import common
from scripts.labs.pull_requests import PullRequest, run_workflows
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused, Trial, end_of

REPOSITORY, FORK = "acme/pipeline", "mallory/pipeline"
STATE = "terraform.tfstate"
SECRET = "lab/database"  # noqa: S105 - its name
READ_SECRET = f"keyless aws secretsmanager get-secret-value --secret-id {SECRET}"
READ_STATE = f'keyless aws s3api get-object --bucket "lab-state-$ACCOUNT" --key {STATE} taken'
WRITE_STATE = (
    'echo "{}" > put; keyless aws s3api put-object --bucket "lab-state-$ACCOUNT" '
    f"--key {STATE} --body put"
)


def prepare(run: LabRun) -> None:
    """Put the flag into the secret, and a state with a lineage of its own into the bucket."""
    value = run.new_flag()
    run.administrator("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=value)
    run.record.kept["lineage"] = lineage = secrets.token_hex(8)
    run.save()
    common.put(run, STATE, f'{{"lineage": "{lineage}"}}\n'.encode())


def leak(run: LabRun) -> None:
    """Nothing leaked: the repository is public."""


def _scripts(run: LabRun, command: str, marker: Path) -> Mapping[str, bytes]:
    """Every script of the repository, replaced; the workflow may run any of them.

    A log may be hidden, so the end is seen by a file that the script leaves outside of the job.
    """
    text = f"#!/usr/bin/env bash\nset -e\n{command}\ntouch {shlex.quote(str(marker))}\n".encode()
    found = [path for path in run.folder.rglob("*.sh") if path.name != "env.sh"]
    if not found:
        raise UserError(f"There is no script in {run.folder}", why="the plan runs plan.sh")
    return {path.relative_to(run.folder).as_posix(): text for path in found}


def _attack(run: LabRun, command: str, fork: str | None) -> str:
    marker = run.home / f"executed-{secrets.token_hex(6)}"
    files = _scripts(run, command, marker)
    jobs = run_workflows(run, PullRequest(REPOSITORY, files, fork, approved=fork is None))
    log = "\n".join(f"{job.name}: {job.status}: {job.log}" for job in jobs)
    if marker.exists():
        marker.unlink()
        return log
    raise Refused(end_of(log) or "the pull request starts no job")


def _fork_reads_secret(run: LabRun) -> str:
    return _attack(run, READ_SECRET, FORK)


def _fork_reads(run: LabRun) -> str:
    return _attack(run, READ_STATE, FORK)


def _fork_writes(run: LabRun) -> str:
    return _attack(run, WRITE_STATE, FORK)


def _colleague_reads_secret(run: LabRun) -> str:
    return _attack(run, READ_SECRET, None)


def _colleague_writes(run: LabRun) -> str:
    return _attack(run, WRITE_STATE, None)


def _planned(run: LabRun) -> str:
    """The state is printed, and the pull request's own files are what is planned."""
    nonce = secrets.token_hex(8)
    scripts = [path for path in run.folder.rglob("*.sh") if path.name != "env.sh"]
    files = {
        path.relative_to(run.folder).as_posix(): path.read_bytes() + f"\necho {nonce}\n".encode()
        for path in scripts
    }
    jobs = run_workflows(run, PullRequest(REPOSITORY, files, approved=True))
    log = "\n".join(f"{job.name}: {job.status}: {job.log}" for job in jobs)
    good = [job.log for job in jobs if job.status == "success"]
    if not any(run.record.kept["lineage"] in text for text in good):
        raise UserError("No job printed the state", why=end_of(log) or "none ran")
    if not any(nonce in text for text in good):
        raise UserError("No job ran the pull request's own plan.sh", why="it planned main")
    return "planned"


ATTACKS = [
    Trial("a fork's pull request reads the secret with any of the scripts", _fork_reads_secret),
    Trial("a fork's pull request reads the state", _fork_reads),
    Trial("a colleague's pull request reads the secret", _colleague_reads_secret),
    Trial("a fork's pull request overwrites the state", _fork_writes),
    Trial("a colleague's pull request overwrites the state", _colleague_writes),
]
NEEDS = [Trial("a colleague's pull request is planned against the state", _planned)]
