"""The flow on which least privilege is measured: from an empty account to a destroyed platform."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from scripts import leftovers
from scripts.actors import Actors
from scripts.console import Phase, Phases, UserError
from scripts.flow import PROJECT, STEP_ENVIRONMENT, Flow
from scripts.iam.decision_log import Record, read_log
from scripts.iam.escalation import Estate
from scripts.iam.escalation.live import read_estate
from scripts.iam.requests._services import SERVICES
from scripts.localcloud.home import Cloud, administrator, load
from scripts.roots import platform_stack
from scripts.sealed import client
from scripts.stack import Event, Stack, find_binary, messages

_Handler = Callable[[int, FrameType | None], None] | signal.Handlers
# A second run of a step reads what the first one left, and the contract from its parameter.
STEPS_AGAIN = ("ingest", "predict", "monitor")


@dataclass(frozen=True)
class Evidence:
    """The account while the platform stood, and the decisions of the flow; `whole` from its
    beginning to the destruction of the platform."""

    account: str
    region: str
    estate: Estate
    records: Sequence[Record]
    whole: bool = True


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
    for step in STEPS_AGAIN:
        with phases.phase(f"{step} again", step) as phase:
            _step(actors, step, phase)
    binary = find_binary(home)
    for role in ("plan", "plan-main"):
        with phases.phase(f"plan platform, {role}", role) as phase:
            _plan(platform_stack(actors, binary, role), home, phase)
    with phases.phase("read the account", "administrator"):
        estate = estate_of(cloud, environment)
    with phases.phase("destroy platform", "apply") as phase:
        _destroy(platform_stack(actors, binary), phase)
    return Evidence(cloud.account_id, cloud.region, estate, read_log(cloud.decisions))


def estate_of(cloud: Cloud, environment: str) -> Estate:
    """The running local account as the escalation search wants it."""
    key = administrator(cloud.home)
    bucket = f"keyless-state-{cloud.account_id}-{cloud.region}"
    return read_estate(
        lambda service: client(cloud, key, service),
        cloud.account_id,
        cloud.region,
        [f"arn:aws:s3:::{bucket}/{environment}/platform.tfstate"],
        without={"lambda"} - SERVICES.keys(),
    )


def _step(actors: Actors, step: str, phase: Phase) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", f"pipeline.{step}"],
        cwd=PROJECT,
        env=actors.process_environment(step, STEP_ENVIRONMENT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    with process.stdout:
        for line in process.stdout:
            lines.append(line.rstrip())
            phase.event(line)
    if process.wait() != 0:
        raise UserError(
            f"{step} failed at its second run (exit code {process.returncode})",
            why="\n".join(lines[-15:]) or "it said nothing",
        )


def _listener(phase: Phase) -> Callable[[Event], None]:
    def hear(event: Event) -> None:
        for line in messages(event):
            phase.event(line)

    return hear


def _plan(stack: Stack, home: Path, phase: Phase) -> None:
    """Plan as a job does, into a file that is gone at once: it holds what the state holds."""
    stack.init()
    path = home / "measured.tfplan"
    stack.save_plan(path, _listener(phase), lock=False)
    path.unlink()


def _destroy(stack: Stack, phase: Phase) -> None:
    stack.init()
    stack.destroy(_listener(phase))
    left = [address for address in stack.resources() if not address.startswith("data.")]
    if left:
        raise UserError("destroy of the platform left resources", why="\n".join(left))


@contextlib.contextmanager
def home_of_its_own() -> Iterator[Path]:
    """A home that is gone afterwards with every process of it, after a failure or a signal too."""
    path = Path(tempfile.mkdtemp(prefix="keyless-measured-"))
    try:
        with _terminated_as_interrupted():
            yield path
    finally:
        with _undisturbed():
            leftovers.wipe(path)
            path.rmdir()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does; by default it would end us on the spot."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt, signal.SIGTERM):
        yield


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore signals while processes are ended; a second Ctrl-C would leave them."""
    with _handling(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM):
        yield


@contextlib.contextmanager
def _handling(handler: _Handler, *numbers: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it gets signals
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
