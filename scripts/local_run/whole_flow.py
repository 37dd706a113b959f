"""The flow on which least privilege is measured: from an empty account to a destroyed platform."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.aws.sealed import client
from scripts.console import Phase, Phases
from scripts.iam.account.decision_log import Record, read_log
from scripts.iam.escalation import Inventory
from scripts.iam.escalation.live import read_estate
from scripts.iam.ledger import Span
from scripts.iam.requests.mapping import SERVICES
from scripts.local_run import leftovers
from scripts.local_run.actors import Actors
from scripts.local_run.cloud import PROJECT
from scripts.local_run.flow import STEP_ENVIRONMENT, Flow, follow, steps
from scripts.local_run.roots import platform_stack
from scripts.local_run.teardown import destroy_stack
from scripts.localcloud.home import Cloud, administrator, load
from scripts.names import job_roles, state_bucket, state_key
from scripts.signals import handled, terminated_as_interrupted
from scripts.stack.binary import find_binary
from scripts.stack.stack import Stack, reporting


@dataclass(frozen=True)
class Evidence:
    """The account while the platform stood, and the decisions over `span`."""

    account: str
    region: str
    inventory: Inventory
    records: Sequence[Record]
    span: Span = "whole flow"


def run(home: Path, phases: Phases, environment: str = "dev") -> Evidence:
    """Do the whole flow in a home that is empty. Raises UserError."""
    Flow(home, phases, environment).run()
    return complete(home, phases, environment)


def complete(home: Path, phases: Phases, environment: str = "dev") -> Evidence:
    """Do what `keyless up` leaves out: steps once more, the plans, and the platform's destruction.

    The cloud goes on, with an account from which the platform is gone. Raises UserError.
    """
    cloud = load(home)
    actors = Actors(cloud, environment, PROJECT)
    # A second run of a step reads what the first one left, and the contract from its parameter.
    for step in [step.name for step in steps() if not step.tracked]:
        with phases.phase(f"{step} again", step) as phase:
            _step(actors, step, home, phase)
    binary = find_binary(home)
    for role in [role.name for role in job_roles() if role.policies == ("read",)]:
        with phases.phase(f"plan platform, {role}", role) as phase:
            _plan(platform_stack(actors, binary, role), home, phase)
    with phases.phase("read the account", "administrator"):
        inventory = inventory_of(cloud, environment)
    with phases.phase("destroy platform", "apply") as phase:
        destroy_stack(platform_stack(actors, binary), phase.event)
    return Evidence(cloud.account_id, cloud.region, inventory, read_log(cloud.decisions))


def inventory_of(cloud: Cloud, environment: str) -> Inventory:
    """The running local account as the escalation search wants it."""
    key = administrator(cloud.home)
    bucket = state_bucket(cloud.account_id, cloud.region)
    return read_estate(
        lambda service: client(cloud, key, service),
        cloud.account_id,
        cloud.region,
        [f"arn:aws:s3:::{bucket}/{state_key(environment)}"],
        without={"lambda"} - SERVICES.keys(),
    )


def _step(actors: Actors, step: str, home: Path, phase: Phase) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", f"pipeline.{step}"],
        cwd=PROJECT,
        env=actors.process_environment(step, STEP_ENVIRONMENT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    follow(process, f"{step} again", phase, home / "logs")


def _plan(stack: Stack, home: Path, phase: Phase) -> None:
    """Plan as a job does, into a file that is gone at once: it holds what the state holds."""
    stack.init()
    path = home / "measured.tfplan"
    stack.save_plan(path, reporting(phase.event), lock=False)
    path.unlink()


@contextlib.contextmanager
def home_of_its_own() -> Iterator[Path]:
    """A home that is gone afterwards with every process of it, after a failure or a signal too."""
    path = Path(tempfile.mkdtemp(prefix="keyless-measured-"))
    try:
        with terminated_as_interrupted():
            yield path
    finally:
        # A second Ctrl-C while processes are ended would leave some.
        with handled(dict.fromkeys((signal.SIGINT, signal.SIGTERM), signal.SIG_IGN)):
            leftovers.wipe(path)
            path.rmdir()
