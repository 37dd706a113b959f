"""GitHub's queues: which run waits for which, who is cancelled, when a job really begins.

A concurrency group holds one running and one pending; a third cancels the pending one. A job that
waits for its environment's reviewers runs, as far as its groups are concerned.
https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scripts.names import Role, job_roles
from tests import ROOT
from tests.actions_runner.definitions import Job, Workflow, load_workflow
from tests.actions_runner.expressions import Scope, Status, condition, interpolate

# What jobs find in these weeks: no drift of the data or of the platform, a champion that wins.
OUTCOMES = {
    "monitor": {"retrain": "false"},
    "plan": {"changes": "0"},
    "promote": {"promoted": "true"},
}
FOLDER = ROOT / ".github" / "workflows"
JOB_MINUTES = 10


@dataclass(frozen=True)
class Leaf:
    """A job that runs: in which workflow, with which role, and whether it needs the server."""

    workflow: str
    job: str
    environment: str
    stage: str
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The role it works as, or else the job's name."""
        return self.role.name if self.role else f"{self.workflow}:{self.job}"

    @property
    def role(self) -> Role | None:
        """The role whose GitHub environment it names; None without one."""
        for role in job_roles():
            if role.github_environment(self.stage) == self.environment:
                return role
        return None

    @property
    def reviewed(self) -> bool:
        """Whether its environment asks reviewers."""
        return self.role is not None and self.role.reviewers

    @property
    def needs_server(self) -> bool:
        """Whether it opens a session to the server or its database."""
        return self.role is not None and self.role.session is not None


@dataclass
class Run:
    """One run of a workflow, and what became of it."""

    name: str
    event: str
    created: int
    began: dict[str, int] = field(default_factory=dict)
    ended: int | None = None
    cancelled: int | None = None


Step = tuple[str, Any]
Approval = Callable[[Run, Leaf, int], int | None]
"""When the reviewers approve a job that asked in this minute; None: never."""


def workflows(folder: Path = FOLDER) -> dict[str, Workflow]:
    """Every workflow by its file's name."""
    return {path.name: load_workflow(path) for path in sorted(folder.glob("*.yml"))}


class Queues:
    """Runs going through their groups, minute by minute."""

    def __init__(self, definitions: Mapping[str, Workflow], approve: Approval) -> None:
        self.runs: list[Run] = []
        self._definitions = definitions
        self._approve = approve
        self._steps: dict[int, Iterator[Step]] = {}
        self._waiting: dict[int, Step] = {}
        self._holders: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        self._held: dict[int, list[str]] = {}
        self.now = 0
        self.started: list[tuple[int, Run, Leaf]] = []

    def dispatch(self, name: str, event: str, environment: str) -> Run:
        """Begin a run of a workflow now."""
        run = Run(name, event, self.now)
        number = len(self.runs)
        self.runs.append(run)
        self._held[number] = []
        inputs = {} if event in ("schedule", "push") else {"environment": environment}
        self._steps[number] = self._workflow(run, name, inputs, environment)
        self._advance(number)
        return run

    def minute(self) -> None:
        """Let one minute pass."""
        self.now += 1
        for number in list(self._waiting):
            if number in self._waiting:
                self._try(number)

    def _advance(self, number: int) -> None:
        try:
            self._waiting[number] = next(self._steps[number])
        except StopIteration:
            self._waiting.pop(number, None)
            self.runs[number].ended = self.now
            return
        self._try(number)

    def _try(self, number: int) -> None:
        kind, value = self._waiting[number]
        if kind == "acquire":
            self._acquire(number, value)
        elif kind == "release":
            self._release(number, value)
            self._advance(number)
        elif value is not None and self.now >= value:
            self._advance(number)

    def _acquire(self, number: int, group: str) -> None:
        holder = self._holders.get(group)
        if holder is None:
            self._holders[group] = number
            self._held[number].append(group)
            if self._pending.get(group) == number:
                del self._pending[group]
            self._advance(number)
        elif holder == number:
            self._cancel(number)  # it would wait for itself
        elif self._pending.get(group) != number:
            if group in self._pending:
                self._cancel(self._pending[group])
            self._pending[group] = number

    def _release(self, number: int, group: str) -> None:
        del self._holders[group]
        self._held[number].remove(group)
        if group in self._pending:
            self._try(self._pending[group])

    def _cancel(self, number: int) -> None:
        self.runs[number].cancelled = self.now
        self._waiting.pop(number, None)
        for group, pending in list(self._pending.items()):
            if pending == number:
                del self._pending[group]
        for group in list(self._held[number]):
            self._release(number, group)

    def _workflow(
        self, run: Run, name: str, inputs: Mapping[str, Any], default: str
    ) -> Iterator[Step]:
        definition = self._definitions[name]
        scope = Scope(
            {
                "inputs": dict(inputs),
                "vars": {"ENVIRONMENT": default, "ENVIRONMENTS": f'["{default}"]'},
                "github": {
                    "ref": "refs/heads/main",
                    "event_name": run.event,
                    "run_id": str(id(run)),
                    "event": {"pull_request": {"number": 1}},
                    "repository": "octo-org/keyless-mlops",
                },
                "matrix": {"environment": default},
                "needs": {name: {"outputs": outputs} for name, outputs in OUTCOMES.items()},
            },
            Status(succeeded=True, failed=False, cancelled=False),
        )
        group = _group(definition.concurrency, scope)
        if group:
            yield "acquire", group
        for job_name in _ordered(definition):
            job = definition.jobs[job_name]
            if not condition(job.condition, scope):
                continue
            called = str(job.uses or "")
            if called:
                given = {key: interpolate(value, scope) for key, value in job.inputs.items()}
                yield from self._workflow(run, called.rpartition("/")[2], given, default)
                continue
            yield from self._job(run, Leaf(name, job_name, "", default, inputs), job, scope)
        if group:
            yield "release", group

    def _job(self, run: Run, leaf: Leaf, job: Job, scope: Scope) -> Iterator[Step]:
        environment = str(interpolate(_environment(job), scope) or "")
        leaf = replace(leaf, environment=environment)
        group = _group(job.concurrency, scope)
        if group:
            yield "acquire", group
        if leaf.reviewed:
            yield "wait", self._approve(run, leaf, self.now)
        run.began.setdefault(leaf.name, self.now)
        self.started.append((self.now, run, leaf))
        yield "wait", self.now + JOB_MINUTES
        if group:
            yield "release", group


def _group(concurrency: Any, scope: Scope) -> str:
    if not concurrency:
        return ""
    given = concurrency["group"] if isinstance(concurrency, Mapping) else concurrency
    return str(interpolate(given, scope))


def _environment(job: Job) -> Any:
    given = job.environment
    return given.get("name") if isinstance(given, Mapping) else given


def _ordered(definition: Workflow) -> list[str]:
    done: list[str] = []
    while len(done) < len(definition.jobs):
        done += [
            name
            for name, job in definition.jobs.items()
            if name not in done and set(job.needs) <= set(done)
        ]
    return done
