"""One job on its runner: steps in order, with the environment, files and contexts GitHub gives."""

import hashlib
import json
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from scripts.aws.credentials import Credentials
from tests.actions_runner import process
from tests.actions_runner.definitions import Action, DefinitionError, Job, Step, load_action
from tests.actions_runner.expressions import Scope, Status, condition, interpolate
from tests.actions_runner.origin import Origin
from tests.actions_runner.values import to_string, truthy

Result = Literal["success", "failure", "cancelled", "skipped"]
# https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#context-availability
IN_STEPS = ("github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets",
            "steps", "inputs")  # fmt: skip
IN_COMPOSITE = ("github", "strategy", "matrix", "job", "runner", "env", "steps", "inputs")
_SHELLS = {
    None: ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
}


class StepFailed(Exception):
    """A step ended badly; the message goes to its log."""


class Cloud(Protocol):
    """Who mints a job's tokens and turns them into a role's session."""

    def start_job(self, job: Mapping[str, Any]) -> Mapping[str, str]:
        """The runner's two ACTIONS_ID_TOKEN_REQUEST_* variables."""

    def token(self, environment: Mapping[str, str], audience: str) -> str:
        """Ask for a token as a step does."""

    def assume_role(
        self, role_arn: str, token: str, session_name: str, duration: int
    ) -> Credentials:
        """AssumeRoleWithWebIdentity. Raises `scripts.aws.web_identity.AssumeRoleDenied`."""

    def account(self, credentials: Credentials) -> str:
        """GetCallerIdentity's account."""


@dataclass(frozen=True)
class Machine:
    """What a hosted runner has: programs on PATH, further variables, how long it waits to kill."""

    path: str = "/usr/local/bin:/usr/bin:/bin"
    environment: Mapping[str, str] = field(default_factory=dict)
    after_checkout: Callable[[Path], None] = lambda _: None
    grace: Mapping[signal.Signals, float] = field(default_factory=lambda: process.GRACE_SECONDS)


@dataclass
class StepResult:
    """How a step ended: `outcome` before continue-on-error, `conclusion` after it."""

    name: str
    outcome: Result
    conclusion: Result
    outputs: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


@dataclass
class JobResult:
    """What a job did, and under which name it could have asked for a token."""

    key: str
    result: Result
    outputs: dict[str, str] = field(default_factory=dict)
    steps: list[StepResult] = field(default_factory=list)
    permissions: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None
    claims: Mapping[str, Any] | None = None
    summary: str = ""
    message: str = ""
    annotations: list[tuple[str, str]] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        """Every line of every step."""
        return "\n".join(line for step in self.steps for line in step.log)


@dataclass
class RunningJob:
    """The state of one job while its steps run. `contexts` holds all but steps, env and job."""

    definition: Job
    contexts: Mapping[str, Any]
    folder: Path
    sources: Path
    origin: Origin
    commit: str
    machine: Machine
    cloud: Cloud | None
    token_environment: Mapping[str, str]
    artifacts: Path
    base_environment: Mapping[str, str]
    env: Mapping[str, Any]
    run_defaults: Mapping[str, Any]
    cancel: threading.Event
    dynamic: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    commands: process.Commands = field(default_factory=process.Commands)
    summary: str = ""
    _count: int = 0

    @property
    def workspace(self) -> Path:
        return Path(self.base_environment["GITHUB_WORKSPACE"])

    @property
    def mark(self) -> str:
        return self.base_environment[process.MARK]

    def run(self) -> tuple[Result, dict[str, str], list[StepResult]]:
        """Run every step; returns the result, the job's outputs and the steps."""
        self.workspace.mkdir(parents=True)
        level = Level(self, self.contexts, dict(self.env), IN_STEPS)
        timeout = float(self._job_value(self.definition.timeout_minutes)) * 60
        result = level.run(self.definition.steps, timeout)
        outputs = {
            name: to_string(interpolate(value, level.scope()))
            for name, value in self.definition.outputs.items()
        }
        return result, outputs, level.results

    def _job_value(self, value: Any) -> Any:
        names = ("github", "needs", "strategy", "matrix", "inputs", "vars")
        return interpolate(value, Scope({name: self.contexts[name] for name in names}))

    def files(self) -> process.Files:
        """A fresh set of the files through which a step talks."""
        self._count += 1
        return process.Files(self.folder / "steps" / str(self._count))

    def take(self, files: process.Files) -> dict[str, str]:
        """Read what a step wrote. Raises CommandError."""
        self.summary += files.summary()
        self.dynamic |= files.variables()
        self.path = files.path()[::-1] + self.path
        return files.outputs()

    def environment(self, env: Mapping[str, Any]) -> dict[str, str]:
        """The whole environment of a step's process."""
        return {
            **self.machine.environment,
            **self.base_environment,
            **self.token_environment,
            "PATH": ":".join([*self.path, self.machine.path]),
            **{name: to_string(value) for name, value in env.items()},
        }

    def hash_files(self, patterns: tuple[str, ...]) -> str:
        """hashFiles(): one digest over the digests of the files in the workspace; '' if none."""
        names = sorted({path for pattern in patterns for path in self.workspace.glob(pattern)})
        files = [path for path in names if path.is_file() and ".git" not in path.parts]
        digest = hashlib.sha256()
        for path in files:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest() if files else ""


@dataclass
class Level:
    """Steps that see the same contexts: those of a job, or of one composite action in it."""

    job: RunningJob
    contexts: Mapping[str, Any]
    env: Mapping[str, Any]
    visible: tuple[str, ...]
    extra: Mapping[str, str] = field(default_factory=dict)
    results: list[StepResult] = field(default_factory=list)
    outcomes: dict[str, Any] = field(default_factory=dict)
    failed: bool = False

    def run(self, steps: tuple[Step, ...], timeout: float) -> Result:
        """Run steps in order; after a failure only those whose condition asks for it."""
        for step in steps:
            self._one(step, timeout)
        if self.job.cancel.is_set():
            return "cancelled"
        return "failure" if self.failed else "success"

    def scope(self, env: Mapping[str, Any] | None = None) -> Scope:
        """What expressions see here, with the environment as it is now."""
        env = {**self.env, **self.job.dynamic} if env is None else env
        state = "cancelled" if self.job.cancel.is_set() else "failure" if self.failed else "success"
        own = {"steps": self.outcomes, "env": env, "job": {"status": state}}
        known = {**self.contexts, **own}
        return Scope(
            {name: known[name] for name in self.visible},
            Status(not self.failed, self.failed, self.job.cancel.is_set()),
            self.job.hash_files,
        )

    def _one(self, step: Step, timeout: float) -> None:
        result = StepResult(step.name, "skipped", "skipped")
        self.results.append(result)
        if condition(step.condition, self.scope()):
            self._execute(step, timeout, result)
            tolerant = truthy(interpolate(step.continue_on_error, self.scope()))
            failed = result.outcome == "failure"
            result.conclusion = "success" if failed and tolerant else result.outcome
            self.failed = self.failed or result.conclusion == "failure"
        if step.id:
            self.outcomes[step.id] = {
                "outputs": result.outputs,
                "outcome": result.outcome,
                "conclusion": result.conclusion,
            }

    def _execute(self, step: Step, timeout: float, result: StepResult) -> None:
        scope = self.scope()
        env = {**self.env, **self.job.dynamic, **interpolate(step.env, scope)}
        if step.timeout_minutes is not None:
            timeout = min(timeout, 60 * float(interpolate(step.timeout_minutes, scope)))
        files = self.job.files()
        try:
            try:
                if step.run is not None:
                    self._process(step, env, timeout, files, result)
                else:
                    self._uses(step, env, timeout, result)
            finally:
                # Also what a failed step wrote counts.
                result.outputs |= self.job.take(files)
            result.outcome = "success"
        except (StepFailed, process.CommandError) as error:
            result.log.append(f"Error: {self.job.commands.hide(str(error))}")
            result.outcome = "cancelled" if self.job.cancel.is_set() else "failure"

    def _process(
        self,
        step: Step,
        env: Mapping[str, Any],
        timeout: float,
        files: process.Files,
        result: StepResult,
    ) -> None:
        scope = self.scope(env)
        shell = step.shell or self.job.run_defaults.get("shell")
        if shell not in _SHELLS:
            raise DefinitionError(f"{step.place}: the runner does not know the shell {shell!r}")
        script = files.folder / "script.sh"
        script.write_text(to_string(interpolate(step.run, scope)))
        place = step.working_directory or self.job.run_defaults.get("working-directory") or "."
        ended = process.run(
            [*_SHELLS[shell], str(script)],
            folder=self.job.workspace / to_string(interpolate(place, scope)),
            log=files.folder / "log",
            environment={**self.job.environment(env), **files.environment(), **self.extra},
            timeout=timeout,
            # What runs because of the cancellation is not stopped by it.
            cancel=threading.Event() if self.job.cancel.is_set() else self.job.cancel,
            commands=self.job.commands,
            grace=self.job.machine.grace,
        )
        result.log += ended.log
        if ended.timed_out:
            raise StepFailed(f"the step took longer than {timeout / 60:g} minutes")
        if ended.code != 0:
            raise StepFailed(f"exit code {ended.code}")

    def _uses(self, step: Step, env: Mapping[str, Any], timeout: float, result: StepResult) -> None:
        from tests.actions_runner.actions import Call, equivalent

        assert step.uses is not None
        inputs = interpolate(step.inputs, self.scope(env))
        folder = local_action(step.uses, self.job.sources, self.job.workspace)
        if folder is not None:
            self._composite(load_action(folder), folder, inputs, env, timeout, result)
            return
        given = {name: to_string(value) for name, value in inputs.items()}
        call = Call(self.job, given, self.job.environment(env), result)
        equivalent(step.uses)(call)

    def _composite(
        self,
        action: Action,
        folder: Path,
        given: Mapping[str, Any],
        env: Mapping[str, Any],
        timeout: float,
        result: StepResult,
    ) -> None:
        unknown = sorted(set(given) - set(action.inputs))
        missing = sorted(
            name
            for name, rules in action.inputs.items()
            if rules.get("required") and name not in given
        )
        if unknown or missing:
            raise DefinitionError(
                f"{action.name}: unknown inputs {unknown}, missing inputs {missing}"
            )
        defaults = {name: rules.get("default", "") for name, rules in action.inputs.items()}
        # Everything that goes into an action is text.
        inputs = {name: to_string(value) for name, value in {**defaults, **given}.items()}
        level = Level(
            self.job,
            {**self.contexts, "inputs": inputs},
            env,
            IN_COMPOSITE,
            {"GITHUB_ACTION_PATH": str(folder)},
        )
        outcome = level.run(action.steps, timeout)
        for inner in level.results:
            result.log += [f"[{inner.name}]", *inner.log]
        for name, rules in action.outputs.items():
            result.outputs[name] = to_string(interpolate(rules["value"], level.scope()))
        if outcome != "success":
            raise StepFailed(f"the action {action.name} ended with {outcome}")


def local_action(uses: str, sources: Path, workspace: Path) -> Path | None:
    """The folder of an action of the repository: `$/…` at the run's commit, `./…` as checked out.

    https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do
    """
    if uses.startswith("$/"):
        return sources / uses.removeprefix("$/")
    return workspace / uses if uses.startswith("./") else None


def event_file(folder: Path, payload: Mapping[str, Any]) -> Path:
    """Write the event as a job finds it in GITHUB_EVENT_PATH."""
    path = folder / "event.json"
    path.write_text(json.dumps(payload))
    return path
