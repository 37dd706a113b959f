"""Workflow and action files as typed definitions; what the runner does not know is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

Needs = tuple[str, ...]


class DefinitionError(Exception):
    """A file that GitHub would refuse, or that uses what the runner does not know."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, as GitHub reads them: `on` is a word."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


for _word in ("true", "True", "TRUE", "false", "False", "FALSE"):
    _Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(f"^{_word}$"), [_word[0]])


@dataclass(frozen=True)
class Step:
    """One step: exactly one of `run` and `uses`."""

    place: str
    id: str | None
    name: str
    condition: Any
    run: str | None
    uses: str | None
    inputs: Mapping[str, Any]
    env: Mapping[str, Any]
    shell: str | None
    working_directory: str | None
    continue_on_error: Any
    timeout_minutes: Any


@dataclass(frozen=True)
class Job:
    """One job: either `steps` or the reusable workflow `uses`."""

    id: str
    name: str
    needs: Needs
    condition: Any
    permissions: Mapping[str, str] | None
    environment: Any
    concurrency: Any
    outputs: Mapping[str, Any]
    env: Mapping[str, Any]
    defaults: Mapping[str, Any]
    strategy: Mapping[str, Any]
    continue_on_error: Any
    timeout_minutes: Any
    runs_on: Any
    steps: tuple[Step, ...]
    uses: str | None
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Workflow:
    """A workflow file; `file` is its name below `.github/workflows`."""

    file: str
    name: str
    on: Mapping[str, Mapping[str, Any]]
    permissions: Mapping[str, str] | None
    env: Mapping[str, Any]
    defaults: Mapping[str, Any]
    concurrency: Any
    jobs: Mapping[str, Job]


@dataclass(frozen=True)
class Action:
    """A composite action."""

    name: str
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Any]
    steps: tuple[Step, ...] = field(default=())


def load_yaml(path: Path) -> Any:
    """Read a file as GitHub does. Raises DefinitionError."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - is safe
    except (OSError, yaml.YAMLError) as error:
        raise DefinitionError(f"{path.name}: {error}") from None


def load_workflow(path: Path) -> Workflow:
    """Read a workflow. Raises DefinitionError."""
    raw = _mapping(load_yaml(path), path.name)
    _only(
        raw, path.name, "name", "on", "permissions", "env", "defaults", "concurrency", "jobs",
    )  # fmt: skip
    jobs = {
        name: _job(name, _mapping(value, f"{path.name}: {name}"), f"{path.name}: {name}")
        for name, value in _mapping(raw.get("jobs"), f"{path.name}: jobs").items()
    }
    for job in jobs.values():
        for needed in job.needs:
            if needed not in jobs:
                raise DefinitionError(f"{path.name}: {job.id} needs {needed!r}, which is no job")
    return Workflow(
        file=path.name,
        name=str(raw.get("name", f".github/workflows/{path.name}")),
        on=_triggers(raw.get("on"), path.name),
        permissions=_permissions(raw, path.name),
        env=_mapping(raw.get("env", {}), f"{path.name}: env"),
        defaults=_run_defaults(raw, path.name),
        concurrency=raw.get("concurrency"),
        jobs=jobs,
    )


def load_action(folder: Path) -> Action:
    """Read a composite action's folder. Raises DefinitionError."""
    path = folder / "action.yml"
    raw = _mapping(load_yaml(path), str(path))
    _only(raw, folder.name, "name", "description", "inputs", "outputs", "runs")
    runs = _mapping(raw.get("runs"), folder.name)
    _only(runs, folder.name, "using", "steps")
    if runs.get("using") != "composite":
        raise DefinitionError(f"{folder.name} is no composite action")
    steps = _steps(runs.get("steps"), folder.name)
    for step in steps:
        if step.run is not None and step.shell is None:
            raise DefinitionError(f"{step.place}: a composite action's run step needs a shell")
    return Action(str(raw["name"]), raw.get("inputs") or {}, raw.get("outputs") or {}, steps)


def _job(name: str, raw: Mapping[str, Any], place: str) -> Job:
    reusable = "uses" in raw
    shared = ("name", "needs", "if", "permissions", "concurrency", "strategy")
    if reusable:
        _only(raw, place, *shared, "uses", "with")
    else:
        _only(
            raw, place, *shared, "runs-on", "environment", "outputs", "env", "defaults", "steps",
            "timeout-minutes", "continue-on-error",
        )  # fmt: skip
        if not raw.get("runs-on") or not raw.get("steps"):
            raise DefinitionError(f"{place}: a job needs runs-on and steps")
    needs = raw.get("needs", ())
    strategy = _mapping(raw.get("strategy", {}), place)
    _only(strategy, place, "matrix", "fail-fast", "max-parallel")
    return Job(
        id=name,
        name=str(raw.get("name", name)),
        needs=(needs,) if isinstance(needs, str) else tuple(needs),
        condition=raw.get("if"),
        permissions=_permissions(raw, place),
        environment=raw.get("environment"),
        concurrency=raw.get("concurrency"),
        outputs=_mapping(raw.get("outputs", {}), place),
        env=_mapping(raw.get("env", {}), place),
        defaults=_run_defaults(raw, place),
        strategy=strategy,
        continue_on_error=raw.get("continue-on-error", False),
        timeout_minutes=raw.get("timeout-minutes", 360),
        runs_on=raw.get("runs-on"),
        steps=() if reusable else _steps(raw["steps"], place),
        uses=raw.get("uses"),
        inputs=_mapping(raw.get("with", {}), place),
    )


def _steps(raw: Any, place: str) -> tuple[Step, ...]:
    if not isinstance(raw, list):
        raise DefinitionError(f"{place}: steps must be a list")
    steps = tuple(_step(_mapping(value, place), f"{place} #{n + 1}") for n, value in enumerate(raw))
    named = [step.id for step in steps if step.id]
    if len(set(named)) != len(named):
        raise DefinitionError(f"{place}: two steps have one id")
    return steps


def _step(raw: Mapping[str, Any], place: str) -> Step:
    _only(
        raw, place, "id", "name", "if", "run", "uses", "with", "env", "shell",
        "working-directory", "continue-on-error", "timeout-minutes",
    )  # fmt: skip
    run, uses = raw.get("run"), raw.get("uses")
    if (run is None) == (uses is None):
        raise DefinitionError(f"{place}: a step has either run or uses")
    if run is None and ("shell" in raw or "working-directory" in raw):
        raise DefinitionError(f"{place}: shell and working-directory are for run")
    if run is not None and "with" in raw:
        raise DefinitionError(f"{place}: with is for uses")
    return Step(
        place=place,
        id=raw.get("id"),
        name=str(raw.get("name", uses or str(run).strip().splitlines()[0])),
        condition=raw.get("if"),
        run=run,
        uses=uses,
        inputs=_mapping(raw.get("with", {}), place),
        env=_mapping(raw.get("env", {}), place),
        shell=raw.get("shell"),
        working_directory=raw.get("working-directory"),
        continue_on_error=raw.get("continue-on-error", False),
        timeout_minutes=raw.get("timeout-minutes"),
    )


def _triggers(raw: Any, place: str) -> Mapping[str, Mapping[str, Any]]:
    known = {"push", "pull_request", "schedule", "workflow_dispatch", "workflow_call"}
    if isinstance(raw, str):
        raw = {raw: None}
    elif isinstance(raw, list):
        raw = dict.fromkeys(raw)
    triggers = _mapping(raw, f"{place}: on")
    _only(triggers, f"{place}: on", *known)
    # schedule is a list of crons; the others are mappings or nothing.
    return {
        name: {"schedule": value} if name == "schedule" else _mapping(value or {}, place)
        for name, value in triggers.items()
    }


def _permissions(raw: Mapping[str, Any], place: str) -> Mapping[str, str] | None:
    if "permissions" not in raw:
        return None
    permissions = raw["permissions"]
    if isinstance(permissions, str):
        raise DefinitionError(f"{place}: name each permission instead of {permissions!r}")
    found = _mapping(permissions, place)
    levels: tuple[Literal["none", "read", "write"], ...] = ("none", "read", "write")
    for name, level in found.items():
        if level not in levels or (name == "id-token" and level == "read"):
            raise DefinitionError(f"{place}: {name} cannot be {level!r}")
    return found


def _run_defaults(raw: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    defaults = _mapping(raw.get("defaults", {}), place)
    _only(defaults, place, "run")
    run = _mapping(defaults.get("run", {}), place)
    _only(run, place, "shell", "working-directory")
    return run


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise DefinitionError(f"{place}: expected a mapping, found {value!r}")
    return value


def _only(raw: Mapping[str, Any], place: str, *known: str) -> None:
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise DefinitionError(f"{place}: the runner does not know {', '.join(unknown)}")
