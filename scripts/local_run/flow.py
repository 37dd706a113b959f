"""The main job: from nothing to a promoted model, in order, with what can hide behind a wait."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.tracking.results import read_result
from scripts.aws.data_channel import open_data_channel
from scripts.console import Phase, Phases, UserError
from scripts.files import private_folder, write_private
from scripts.local_run import leftovers
from scripts.local_run.actors import Actors
from scripts.local_run.attempts import try_forbidden
from scripts.local_run.cloud import PROJECT, start_cloud
from scripts.local_run.roots import bootstrap_stack, platform_stack
from scripts.local_run.summary import Summary
from scripts.local_run.warm import WarmProcess
from scripts.localcloud import home as localhome
from scripts.localcloud.home import Cloud, CloudDown
from scripts.names import job_role, opener, stages
from scripts.server.sessions import CONNECT_SECONDS, find_instance, open_session
from scripts.stack.binary import find_binary
from scripts.stack.stack import Applied, Event, Stack, messages

RUN_FILE = "run.json"
TIMINGS_FILE = "timings.json"
SERVER_START_SECONDS = 180
# Threads of OpenMP that spin while they wait starve each other on a busy machine.
STEP_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"}
DATABASE_ROLE = 'role["database"]'


_LIGHT = ("boto3", "pandas", "pyarrow.parquet")
_TRACKED = ("pipeline.model.preload",)
# Beside _LIGHT, for steps without MLflow's client; imports made ahead of time shorten a run.
_ALSO = {
    "ingest": ("sklearn.datasets", "skops.io"),
    "predict": ("skops.io", "sklearn.ensemble", "sklearn.pipeline"),
    "monitor": ("scipy.stats",),
}


@dataclass(frozen=True)
class Step:
    """One step of the pipeline, run by the role of its name.

    `tracked` if it works in a session to the MLflow server; `imports` are made ahead of time.
    """

    name: str
    tracked: bool

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules that the step's process imports while Terraform still works."""
        light = self.name in _ALSO or not self.tracked
        return (*_LIGHT, *_ALSO.get(self.name, ())) if light else _TRACKED


def steps() -> tuple[Step, ...]:
    """The steps of the main flow, in order, from the list of roles."""
    return tuple(Step(role.name, tracked=role.session is not None) for role in stages())


class Flow:
    """One run of the main job in `home`; `phases` shows its progress.

    `model_servers` has servers made that answer with the model; None leaves it as it was.
    """

    def __init__(
        self,
        home: Path,
        phases: Phases,
        environment: str = "dev",
        *,
        model_servers: bool | None = None,
    ) -> None:
        self.home = private_folder(home)
        self._model_servers = model_servers
        self.phases = phases
        self.environment = environment
        self.summary = Summary()
        self._stacks: list[Stack] = []
        self._database_role = threading.Event()
        self._failed = threading.Event()
        self._beside: list[subprocess.Popen[str]] = []  # processes that run beside Terraform

    def run(self) -> Summary:
        """Do it all. Raises UserError with the command that fixes it."""
        cloud = self._cloud()
        offset = cloud.decisions.stat().st_size if cloud.decisions.exists() else 0
        self.actors = Actors(cloud, self.environment, PROJECT)
        watcher = threading.Thread(target=self._watch, args=(cloud,), daemon=True)
        watcher.start()
        binary = find_binary(self.home)
        for notice in binary.notices:
            self.phases.event(notice)
        with ThreadPoolExecutor(max_workers=2) as pool, self._warm_processes() as warm:
            serving = self._with_model_servers()
            self._apply_bootstrap(bootstrap_stack(self.actors, binary, model_servers=serving))
            self._database_role.clear()
            database = pool.submit(self._create_database)
            try:
                self._apply_platform(platform_stack(self.actors, binary, model_servers=serving))
            except BaseException:
                self._abort()
                raise
            after = time.monotonic()
            self._run_steps(database, warm)
        with self.phases.phase("forbidden attempts") as phase:
            self.summary.attempts = try_forbidden(self.actors, self.platform, phase.event)
        self._leave_open()
        self._note(stage="done")
        self.summary.after_apply_seconds = time.monotonic() - after
        self.summary.count_decisions(cloud.decisions, offset)
        return self.summary

    # the local cloud

    def _cloud(self) -> Cloud:
        with self.phases.phase("local cloud") as phase:
            try:
                cloud = localhome.load(self.home)
            except CloudDown as down:
                if (self.home / RUN_FILE).exists() or leftovers.find(self.home):
                    phase.event(f"{down}; building a new one")
                    leftovers.wipe(self.home, spare=leftovers.LABS)
                return self._start_cloud()
            if self._interrupted(cloud):
                phase.event("the last apply was broken off; building a new cloud")
                leftovers.wipe(self.home, spare=leftovers.LABS)
                return self._start_cloud()
            phase.event(f"found running at {cloud.endpoint}")
            return cloud

    def goes_on(self) -> bool:
        """Whether the next `up` goes on with this cloud; else it builds a new one."""
        try:
            return not self._interrupted(localhome.load(self.home))
        except CloudDown:
            return False

    def _interrupted(self, cloud: Cloud) -> bool:
        """Whether the first `up` ended in an apply, or a later one died in it: all is in doubt."""
        try:
            run = json.loads((self.home / RUN_FILE).read_text())
        except (OSError, ValueError):
            return True  # a cloud without a run record: `up` died in between
        return run.get("cloud") != cloud.started or run.get("stage") in ("bootstrap", "platform")

    def _start_cloud(self) -> Cloud:
        cloud = start_cloud(self.home)
        self._note(stage="bootstrap", cloud=cloud.started)
        return cloud

    def _watch(self, cloud: Cloud) -> None:
        """Stop Terraform when the cloud dies, or it would retry for minutes."""
        while localhome.alive(cloud.pid, cloud.started, cloud.home):
            time.sleep(0.5)
        self._abort()
        for stack in self._stacks:
            stack.kill()

    def _abort(self) -> None:
        """End what runs beside Terraform: it waits for resources that will not come."""
        self._failed.set()
        for process in self._beside:
            if process.poll() is None:
                process.terminate()

    # Terraform

    def _apply_bootstrap(self, stack: Stack) -> None:
        with self.phases.phase("apply bootstrap", "administrator") as phase:
            self.summary.bootstrap = self._apply(stack, phase)

    def _apply_platform(self, stack: Stack) -> None:
        with self.phases.phase("apply platform", "apply") as phase:
            self.summary.platform = self._apply(stack, phase)
            self.platform = stack.outputs()["platform"]
        write_private(self.home / "platform.json", json.dumps(self.platform, indent=2).encode())
        self._note(stage="steps")

    def _apply(self, stack: Stack, phase: Phase) -> Applied:
        started = time.monotonic()
        self._stacks.append(stack)
        phase.event("terraform init")
        stack.init()
        before = self._noted().get("stage")
        self._note(stage=stack.name)  # from here on, an end in between leaves state in doubt
        try:
            done = stack.apply(self._listener(phase))
        finally:
            if stack.ended_by_itself:  # it wrote its state, after an interrupt and an error too
                self._note(stage=before)
            self._stacks.remove(stack)
            self.summary.applies_seconds += time.monotonic() - started
        return done

    def _listener(self, phase: Phase) -> Callable[[Event], None]:
        """Show what Terraform does, and notice when the database role is complete."""
        missing: set[str] = set()

        def hear(event: Event) -> None:
            for line in messages(event):
                phase.event(line)
            kind = event.get("type")
            if kind == "planned_change":
                address = event["change"]["resource"]["addr"]
                if DATABASE_ROLE in address:
                    missing.add(address)
            elif kind == "apply_complete" and event["hook"]["action"] != "read":
                address = event["hook"]["resource"]["addr"]
                missing.discard(address)
                if DATABASE_ROLE in address and not missing:
                    self._database_role.set()
            elif kind == "change_summary" and event["changes"]["operation"] == "apply":
                self._database_role.set()  # nothing to change in the role, or all of it changed

        return hear

    # what hides behind the wait for the database

    def _create_database(self) -> None:
        while not self._database_role.wait(0.2):
            if self._failed.is_set():
                return
        with self.phases.phase("database and schema", "database") as phase:
            command = [sys.executable, "-m", "scripts.cli", "--home", str(self.home), "database"]
            process = subprocess.Popen(
                [*command, "--environment", self.environment],
                cwd=PROJECT,
                env=self.actors.marked_environment(None, {"PYTHONUNBUFFERED": "1"}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self._beside.append(process)
            if self._failed.is_set():  # since we last looked: whoever set it did not see this one
                process.terminate()
            follow(process, "database", phase, self.home / "logs")

    @contextmanager
    def _warm_processes(self) -> Iterator[dict[str, WarmProcess]]:
        environment = self.actors.marked_environment(None, STEP_ENVIRONMENT)
        warm = {
            step.name: WarmProcess(
                f"pipeline.{step.name}", step.imports, folder=PROJECT, environment=environment
            )
            for step in steps()
        }
        try:
            yield warm
        finally:
            for process in warm.values():
                process.end()

    # the steps

    def _run_steps(self, database: Future[None], warm: Mapping[str, WarmProcess]) -> None:
        for step in steps():
            if step.tracked:
                database.result()
            with self.phases.phase(step.name, step.name) as phase:
                if not step.tracked:
                    self._step(step, warm[step.name], phase, {})
                    continue
                with self._session(step.name) as address:
                    self._await_server(address, phase)
                    self._step(step, warm[step.name], phase, {"MLFLOW_TRACKING_URI": address})

    def _step(self, step: Step, warm: WarmProcess, phase: Phase, extra: Mapping[str, str]) -> None:
        result = self.home / "results" / f"{step.name}.json"
        result.parent.mkdir(exist_ok=True)
        result.unlink(missing_ok=True)
        environment = self.actors.process_environment(
            step.name,
            {
                **STEP_ENVIRONMENT,
                **extra,
            },
        )
        process = warm.start(["--result", str(result)], environment)
        follow(process, step.name, phase, self.home / "logs")
        self.summary.results[step.name] = read_result(result)

    @contextmanager
    def _session(self, role: str) -> Iterator[str]:
        document = self.platform["sessions"]["documents"][job_role(role).session or ""]
        tags = self.platform["mlflow"]["instance_tags"]
        with open_session(
            lambda name: self.actors.client(role, name),
            document,
            tags,
            wait_seconds=CONNECT_SECONDS,
        ) as session:
            yield f"http://{session.host}:{session.port}"

    def _await_server(self, address: str, phase: Phase) -> None:
        deadline = time.monotonic() + SERVER_START_SECONDS
        while time.monotonic() < deadline and not self._failed.is_set():
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                phase.event("waiting for the MLflow server")
                time.sleep(0.1)
        raise UserError(
            "the MLflow server did not answer",
            why=f"no healthy answer within {SERVER_START_SECONDS} s",
            fix=f"read the logs in {self.home}/instances, then keyless up again",
        )

    # bookkeeping

    def _note(self, **facts: Any) -> None:
        write_private(self.home / RUN_FILE, json.dumps(self._noted() | facts).encode())

    def _noted(self) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads((self.home / RUN_FILE).read_text())
        except (OSError, ValueError):
            known = {}
        return known

    def _with_model_servers(self) -> bool:
        """As asked for now, else as at the last time."""
        if self._model_servers is not None:
            self._note(model_servers=self._model_servers)
        return bool(self._noted().get("model_servers"))

    def _leave_open(self) -> None:
        """Open a session that stays, so that the printed address of the UI works."""
        role = opener("read").name
        ssm, ec2 = self.actors.client(role, "ssm"), self.actors.client(role, "ec2")
        target = find_instance(ec2, self.platform["mlflow"]["instance_tags"])
        document = self.platform["sessions"]["documents"]["read"]
        session = ssm.start_session(Target=target, DocumentName=document)
        host, port = open_data_channel(ssm, session)
        self.summary.tracking_uri = f"http://{host}:{port}"


def follow(process: subprocess.Popen[str], name: str, phase: Phase, logs: Path) -> None:
    """Show every line of a process, keep them in `logs`, and judge how it ended.

    Raises UserError with its last lines.
    """
    assert process.stdout is not None
    logs.mkdir(exist_ok=True)
    lines: list[str] = []
    with (logs / f"{name}.log").open("w") as log, process.stdout:
        for line in process.stdout:
            log.write(line)
            lines.append(line.rstrip())
            phase.event(line)
    if process.wait() != 0:
        raise UserError(
            f"{name} failed (exit code {process.returncode})",
            why="\n".join(lines[-15:]) or "it said nothing",
            fix=f"read {logs / name}.log, then keyless up again: it goes on where it can",
        )


def busy(home: Path) -> bool:
    """Whether an `up` or `down` holds the home at this moment."""
    if not home.is_dir():
        return False
    try:
        with exclusive(home):
            return False
    except UserError:
        return True


@contextmanager
def exclusive(home: Path, what: str = "`keyless up` or `keyless down`") -> Iterator[None]:
    """Hold the home for one `up` or `down` at a time; the lock dies with its process."""
    descriptor = os.open(private_folder(home), os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another {what} works in {home}",
                why="two at a time would undo each other's work",
                fix="wait for it, or stop it with Ctrl-C in its terminal",
            ) from None
        yield
    finally:
        os.close(descriptor)


def save_timings(home: Path, phases: Phases, summary: Summary) -> None:
    """Keep where the time went, for `scripts/maintenance/benchmarks/up.py`; after a failure too."""
    text = json.dumps(summary.as_dict(phases), indent=2)
    write_private(home / TIMINGS_FILE, text.encode())
