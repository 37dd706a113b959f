"""One local run for the whole module tree: poisoned surroundings, no network but loopback."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from scripts.aws.sealed import client
from scripts.local_run import leftovers
from scripts.local_run.actors import Actors
from scripts.localcloud import home as localhome
from scripts.server.sessions import open_session
from tests import ROOT

PROJECT = ROOT
POISON = "poisoned-by-the-test"


# What uses one cloud stays in one process, in order; the longest come first, so that the
# processes end at about one time. What is not named here shares the run of `home`.
GROUPS = ("test_environments", "test_rollouts", "home", "test_workflows")


def group_of(module: str) -> str:
    """The group of a test module, by its name."""
    return module if module in GROUPS else "home"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, with the files of one cloud taken for one file."""
    if config.getvalue("dist") != "loadfile":
        return None
    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = lambda nodeid: group_of(Path(nodeid.split("::")[0]).stem)
    return scheduler


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the groups, and put what takes the shared run apart at its end."""

    def place(item: pytest.Item) -> tuple[int, bool]:
        last = item.get_closest_marker("last") is not None
        return GROUPS.index(group_of(item.path.stem)), last

    mine = [item for item in items if item.path.parent == PROJECT / "tests" / "e2e"]
    items[:] = [*sorted(mine, key=place), *(item for item in items if item not in mine)]


@pytest.fixture(scope="session")
def network_cut() -> bool:
    """Take this process, and so all it starts, into a network with loopback alone (Linux, root).

    Elsewhere the run is sealed by its settings only, and the test of the cut itself says so.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    new_network_namespace = 0x40000000
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(new_network_namespace) != 0:
        return False
    up_and_running, set_flags = 0x1 | 0x40, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", up_and_running)
        fcntl.ioctl(any_socket, set_flags, request)
    return True


def busy_seconds() -> float:
    """Processor time that the machine has spent, on all of its processors, since it started."""
    times = psutil.cpu_times()
    return float(sum(times[:8]) - times.idle - getattr(times, "iowait", 0.0))


@dataclass
class Home:
    """A state directory, and the `keyless` command used on it as a person would."""

    path: Path
    user: Path
    results: list[dict[str, Any]] = field(default_factory=list)
    first_decisions: int = 0
    shares_of_others: list[float] = field(default_factory=list)
    """Of the processors' time during each `up`: what processes took that it did not start."""
    own_seconds: list[float] = field(default_factory=list)
    """Processor time of each `up`, with what it started."""

    def environment(self) -> dict[str, str]:
        """The caller's environment, with everything in it that must never be read."""
        (self.user / ".aws").mkdir(parents=True, exist_ok=True)
        for name in ("config", "credentials"):
            # Not even parsable: whoever reads it fails.
            (self.user / ".aws" / name).write_text(f"[{POISON}\n")
        poison = {
            "AWS_ACCESS_KEY_ID": POISON,
            "AWS_SECRET_ACCESS_KEY": POISON,
            "AWS_SESSION_TOKEN": POISON,
            "AWS_PROFILE": POISON,
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
            "AWS_CA_BUNDLE": f"/{POISON}",
            "AWS_REGION": POISON,
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
            "PGHOST": POISON,
            "PGPASSWORD": POISON,
            "TF_VAR_environment": POISON,
            "HOME": str(self.user),
        }
        return {**os.environ, **poison}

    def command(self, *arguments: str) -> list[str]:
        """The command line of `keyless ARGUMENTS` on this home."""
        return [sys.executable, "-m", "scripts.cli", "--home", str(self.path), *arguments]

    def keyless(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run `keyless ARGUMENTS` to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=PROJECT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> dict[str, Any]:
        """Run `keyless up`; returns its JSON result, having seen it succeed."""
        started, busy, own = time.monotonic(), busy_seconds(), self._own_seconds()
        done = self.keyless("up", "--json")
        self.own_seconds.append(self._own_seconds() - own)
        others = (busy_seconds() - busy) - self.own_seconds[-1]
        whole = (time.monotonic() - started) * (os.cpu_count() or 1)
        self.shares_of_others.append(max(0.0, others / whole))
        assert done.returncode == 0, f"{done.stderr[-6000:]}\n{self.log_tail()}"
        result: dict[str, Any] = json.loads(done.stdout)
        self.results.append(result)
        return result

    def _own_seconds(self) -> float:
        """Processor time of what this home's commands ran to its end, and of what still runs."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = ended.ru_utime + ended.ru_stime
        for process in leftovers.find(self.path):
            with suppress(psutil.NoSuchProcess):
                seconds += sum(process.cpu_times()[:4])  # its own and that of its children
        return seconds

    def start_up(self) -> subprocess.Popen[str]:
        """Start `keyless up` and return at once."""
        return subprocess.Popen(
            self.command("up", "--json"),
            cwd=PROJECT,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def cloud(self) -> localhome.Cloud:
        """The running cloud."""
        return localhome.load(self.path)

    @property
    def actors(self) -> Actors:
        """The roles of the run."""
        return Actors(self.cloud, "dev", PROJECT)

    @property
    def platform(self) -> dict[str, Any]:
        """The contract as `up` kept it."""
        contract: dict[str, Any] = json.loads((self.path / "platform.json").read_text())
        return contract

    @contextmanager
    def session(self, role: str, document: str) -> Iterator[str]:
        """The address of MLflow through a session document, opened by a role or administrator."""
        credentials = (
            localhome.administrator(self.path)
            if role == "administrator"
            else self.actors.credentials(role)
        )
        with open_session(
            lambda service: client(self.cloud, credentials, service),
            self.platform["sessions"]["documents"][document],
            self.platform["mlflow"]["instance_tags"],
        ) as opened:
            yield f"http://{opened.host}:{opened.port}"

    def step(self, role: str, step: str, *options: str, **extra: str) -> dict[str, Any]:
        """Run a step of the pipeline as `role`, having seen it succeed; returns its result."""
        result = self.path / f"{step}-again.json"
        variables = {"KEYLESS_PLATFORM": str(self.path / "platform.json"), **extra}
        done = subprocess.run(
            [sys.executable, "-m", f"pipeline.{step}", "--result", str(result), *options],
            cwd=PROJECT,
            env=self.actors.process_environment(role, variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        values: dict[str, Any] = json.loads(result.read_text())
        return values

    def decisions(self) -> list[dict[str, Any]]:
        """The decision log so far."""
        lines = (self.path / "decisions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def log_tail(self) -> str:
        """The end of the cloud's own log, for a failure's message."""
        log = self.path / "cloud.log"
        return log.read_text()[-3000:] if log.exists() else "no cloud.log"


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = 60, pause: float = 0.1
) -> None:
    """Await a condition; fail naming it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(pause)


@pytest.fixture(scope="session")
def fresh_home(
    tmp_path_factory: pytest.TempPathFactory, network_cut: bool
) -> Iterator[Callable[[], Home]]:
    """Make homes; whatever still runs of them at the end is ended."""
    made: list[Home] = []

    def make() -> Home:
        folder = tmp_path_factory.mktemp("run")
        made.append(Home(folder / "home", folder / "user"))
        return made[-1]

    yield make
    for home in made:
        if home.path.exists():
            leftovers.end_all(home.path, grace_seconds=5)


@pytest.fixture(scope="session")
def home(fresh_home: Callable[[], Home]) -> Home:
    """A home in which `keyless up` has run once."""
    shared = fresh_home()
    shared.up()
    shared.first_decisions = len(shared.decisions())
    return shared
