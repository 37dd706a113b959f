"""Runs a workflow as GitHub would: which jobs, in which order, with whose approval and identity."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.actions_runner import github, process
from tests.actions_runner.definitions import DefinitionError, Job, Workflow, load_workflow
from tests.actions_runner.expressions import Scope, Status, condition, interpolate
from tests.actions_runner.github import Event, Protection, Repository, RunRefused
from tests.actions_runner.job import Cloud, JobResult, Machine, Result, RunningJob, event_file
from tests.actions_runner.order import ancestors_of, combinations, ordered
from tests.actions_runner.origin import Origin
from tests.actions_runner.values import to_string, truthy

DEEPEST = 10  # reusable workflows, the caller among them
IN_JOB = ("github", "needs", "strategy", "matrix", "inputs", "vars")
IN_JOB_IF = ("github", "needs", "inputs", "vars")


@dataclass(frozen=True)
class Approval:
    """What a reviewer sees: the job that waits, its environment, and the run so far."""

    job: str
    environment: str
    run: "Run"


@dataclass
class Run:
    """One run of a workflow, and of those that it calls."""

    workflow: Workflow
    event: Event
    id: str
    folder: Path
    result: Result = "success"
    jobs: dict[str, JobResult] = field(default_factory=dict)
    concurrency: list[tuple[str, bool]] = field(default_factory=list)
    created_environments: list[str] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def summary(self) -> str:
        """The summaries of all jobs, in the order in which they ran."""
        return "".join(job.summary for job in self.jobs.values())

    def __getitem__(self, key: str) -> JobResult:
        return self.jobs[key]


@dataclass(frozen=True)
class _Call:
    """A reusable workflow's place below its caller."""

    prefix: str = ""
    depth: int = 1
    permissions: Mapping[str, str] | None = None


@dataclass
class Runner:
    """Runs the workflows of `origin`'s commits. `approve` plays the environments' reviewers.

    Without a `cloud` no job gets a token. `folder` keeps every run's files.
    """

    origin: Origin
    folder: Path
    repository: Repository = field(default_factory=Repository)
    cloud: Cloud | None = None
    machine: Machine = field(default_factory=Machine)
    approve: Callable[[Approval], bool] = lambda _: False
    on_start: Callable[[Run], None] = lambda _: None
    _runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def tree(self, commit: str) -> Path:
        """The files of a commit, checked out once."""
        folder = self.folder / "trees" / commit
        if not folder.exists():
            self.origin.checkout(commit, folder)
        return folder

    def workflow(self, file: str, commit: str) -> Workflow:
        """A workflow file as it is in a commit."""
        return load_workflow(self.tree(commit) / ".github/workflows" / file)

    def deliver(self, event: Event, changed: Sequence[str] = ()) -> list[Run]:
        """Start every workflow that an event starts, one after the other."""
        files = sorted((self.tree(event.sha) / ".github/workflows").glob("*.yml"))
        workflows = [load_workflow(file) for file in files]
        return [
            self.run(workflow.file, event)
            for workflow in workflows
            if github.starts(workflow, event, changed)
        ]

    def run(self, file: str, event: Event) -> Run:
        """Run one workflow. Raises RunRefused when the event cannot start it."""
        workflow = self.workflow(file, event.sha)
        if event.name not in workflow.on:
            raise RunRefused(f"{event.name} does not start {file}")
        inputs = github.dispatch_inputs(workflow, event.name, event.inputs)
        number = str(next(self._runs))
        run = Run(workflow, event, number, self.folder / "runs" / number)
        run.folder.mkdir(parents=True)
        self.on_start(run)
        run.result, _ = self._workflow(run, workflow, inputs, _Call())
        return run

    def _workflow(
        self, run: Run, workflow: Workflow, inputs: Mapping[str, Any], call: _Call
    ) -> tuple[Result, dict[str, str]]:
        top = {
            "github": self._github(run),
            "inputs": inputs,
            "vars": dict(self.repository.variables),
        }
        self._concurrency(run, workflow.concurrency, Scope(top))
        results: dict[str, JobResult] = {}
        for job in ordered(workflow):
            results[job.id] = self._job(run, workflow, job, top, results, call)
        outcomes = [result.result for result in results.values()]
        state: Result = "success"
        if "cancelled" in outcomes:
            state = "cancelled"
        if "failure" in outcomes:
            state = "failure"
        outputs = (workflow.on.get("workflow_call") or {}).get("outputs") or {}
        jobs = {
            name: {"result": result.result, "outputs": result.outputs}
            for name, result in results.items()
        }
        scope = Scope({**top, "jobs": jobs})
        return state, {
            name: to_string(interpolate(rules["value"], scope)) for name, rules in outputs.items()
        }

    def _github(self, run: Run) -> dict[str, Any]:
        event, repository = run.event, self.repository
        return {
            "actor": event.actor,
            "actor_id": event.actor_id,
            "api_url": "https://api.github.com",
            "base_ref": event.base_ref,
            "event": dict(event.payload),
            "event_name": event.name,
            "head_ref": event.head_ref,
            "ref": event.ref,
            "ref_name": event.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
            "ref_type": "tag" if event.ref.startswith("refs/tags/") else "branch",
            "repository": repository.name,
            "repository_id": repository.id,
            "repository_owner": repository.owner,
            "repository_owner_id": repository.owner_id,
            "run_attempt": "1",
            "run_id": run.id,
            "run_number": run.id,
            "server_url": "https://github.com",
            "sha": event.sha,
            "workflow": run.workflow.name,
            "workflow_ref": github.workflow_ref(repository, event, run.workflow.file),
            "workflow_sha": event.sha,
        }

    def _concurrency(self, run: Run, rule: Any, scope: Scope) -> None:
        if rule is None:
            return
        value = interpolate(rule, scope)
        group = value if isinstance(value, str) else value["group"]
        cancel = not isinstance(value, str) and truthy(value.get("cancel-in-progress", False))
        run.concurrency.append((to_string(group), cancel))

    def _job(
        self,
        run: Run,
        workflow: Workflow,
        job: Job,
        top: Mapping[str, Any],
        before: Mapping[str, JobResult],
        call: _Call,
    ) -> JobResult:
        needs = {
            name: {"result": before[name].result, "outputs": before[name].outputs}
            for name in job.needs
        }
        contexts = {**top, "needs": needs}
        ancestors = {name: before[name].result for name in ancestors_of(workflow, job)}
        status = Status(
            all(result == "success" for result in ancestors.values()),
            "failure" in ancestors.values(),
            run.cancel.is_set(),
        )
        scope = Scope({name: contexts[name] for name in IN_JOB_IF}, status)
        if not condition(job.condition, scope):
            skipped: Result = "cancelled" if run.cancel.is_set() else "skipped"
            return _keep(run, JobResult(f"{call.prefix}{job.id}", skipped))
        instances = combinations(interpolate(job.strategy, Scope(scope.contexts)))
        fail_fast = truthy(interpolate(job.strategy.get("fail-fast", True), Scope(scope.contexts)))
        merged = JobResult(job.id, "success")
        for number, matrix in enumerate(instances):
            strategy = {"job-index": number, "job-total": len(instances), "fail-fast": fail_fast}
            inner = {**contexts, "matrix": matrix, "strategy": strategy}
            label = f" ({', '.join(map(to_string, matrix.values()))})" if matrix else ""
            key = f"{call.prefix}{job.id}{label}"
            if merged.result == "failure" and fail_fast:
                _keep(run, JobResult(key, "cancelled"))
                continue
            result = self._instance(run, workflow, job, inner, key, call)
            merged.outputs |= {name: value for name, value in result.outputs.items() if value}
            if result.result != "success" and merged.result != "failure":
                merged.result = result.result
        return merged

    def _instance(
        self,
        run: Run,
        workflow: Workflow,
        job: Job,
        contexts: Mapping[str, Any],
        key: str,
        call: _Call,
    ) -> JobResult:
        scope = Scope({name: contexts[name] for name in IN_JOB})
        permissions = github.permissions_of(workflow, job.permissions, run.event, call.permissions)
        self._concurrency(run, job.concurrency, scope)
        if job.uses is not None:
            return self._called(run, job, scope, key, permissions, call.depth + 1)
        result = _keep(run, JobResult(key, "failure", permissions=permissions))
        environment = interpolate(job.environment, scope)
        name = environment["name"] if isinstance(environment, Mapping) else environment
        variables = dict(self.repository.variables)
        if name is not None:
            result.environment = name = to_string(name)
            try:
                variables |= self._admit(run, key, name).variables
            except RunRefused as refused:
                result.message = str(refused)
                return result
        claims = github.job_claims(
            self.repository,
            run.event,
            workflow=run.workflow,
            file=workflow.file,
            environment=name,
            run_id=run.id,
        )
        tokens: Mapping[str, str] = {}
        if permissions.get("id-token") == "write":
            result.claims = claims
            tokens = self.cloud.start_job(claims) if self.cloud is not None else {}
        contexts = {**contexts, "vars": variables}
        self._steps(run, workflow, job, contexts, result, tokens)
        if result.result == "failure" and truthy(interpolate(job.continue_on_error, scope)):
            run.jobs[key] = result
            return JobResult(key, "success", outputs=result.outputs)
        return result

    def _admit(self, run: Run, key: str, name: str) -> Protection:
        """Pass the environment's rules, its reviewers among them. Raises RunRefused."""
        protection = self.repository.environments.get(name)
        if protection is None:
            # GitHub makes an environment that a workflow names: without any rule.
            run.created_environments.append(name)
            return Protection(branches=None)
        github.check_branch(protection, run.event, name)
        if protection.reviewers and not self.approve(Approval(key, name, run)):
            raise RunRefused(f"the reviewers of {name} refused")
        return protection

    def _called(
        self,
        run: Run,
        job: Job,
        scope: Scope,
        key: str,
        permissions: Mapping[str, str],
        depth: int,
    ) -> JobResult:
        assert job.uses is not None
        for form in ("$/.github/workflows/", "./.github/workflows/"):
            if job.uses.startswith(form):
                workflow = self.workflow(job.uses.removeprefix(form), run.event.sha)
                break
        else:
            raise DefinitionError(f"the runner calls workflows of the repository only: {job.uses}")
        if depth > DEEPEST:
            raise RunRefused(f"{job.uses} is called too deep")
        if "workflow_call" not in workflow.on:
            raise RunRefused(f"{workflow.file} cannot be called")
        inputs = github.dispatch_inputs(workflow, "workflow_call", interpolate(job.inputs, scope))
        call = _Call(f"{key} / ", depth, permissions)
        result, outputs = self._workflow(run, workflow, inputs, call)
        return JobResult(key, result, outputs=outputs)

    def _steps(
        self,
        run: Run,
        workflow: Workflow,
        job: Job,
        contexts: Mapping[str, Any],
        result: JobResult,
        tokens: Mapping[str, str],
    ) -> None:
        folder = run.folder / f"job-{len(run.jobs)}"
        folder.mkdir()
        token = f"ghs_{uuid.uuid4().hex}"
        temporary = folder / "temp"
        temporary.mkdir()
        runner = {"os": "Linux", "arch": "X64", "name": "runner", "temp": str(temporary)}
        gh = {**contexts["github"], "job": job.id, "token": token}
        gh["workspace"] = str(folder / "work")
        contexts = {
            **contexts,
            "github": gh,
            "runner": runner,
            "secrets": {"GITHUB_TOKEN": token},
            "permissions": result.permissions,
        }
        env_scope = Scope({name: contexts[name] for name in (*IN_JOB, "secrets")})
        running = RunningJob(
            definition=job,
            contexts=contexts,
            folder=folder,
            sources=self.tree(run.event.sha),
            origin=self.origin,
            commit=run.event.sha,
            machine=self.machine,
            cloud=self.cloud,
            token_environment=tokens,
            artifacts=run.artifacts,
            base_environment=_environment(gh, runner, folder),
            env={**interpolate(workflow.env, env_scope), **interpolate(job.env, env_scope)},
            run_defaults={**workflow.defaults, **job.defaults},
            cancel=run.cancel,
        )
        event_file(folder, gh["event"])
        try:
            result.result, result.outputs, result.steps = running.run()
        finally:
            result.orphans = process.end_orphans(running.mark)
        result.summary = running.summary
        result.annotations = running.commands.annotations


def _keep(run: Run, result: JobResult) -> JobResult:
    run.jobs[result.key] = result
    return result


def _environment(gh: Mapping[str, Any], runner: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables that every step finds. GITHUB_TOKEN is none of them."""
    named = {
        f"GITHUB_{name.upper()}": to_string(value)
        for name, value in gh.items()
        if name not in ("event", "token")
    }
    home = folder / "home"
    home.mkdir()
    return {
        **named,
        **{f"RUNNER_{name.upper()}": value for name, value in runner.items()},
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        process.MARK: f"github_{uuid.uuid4()}",
    }
