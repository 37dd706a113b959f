"""GitHub's side of a run: repository, event, which workflows start, permissions, token claims."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.actions_runner.definitions import DefinitionError, Workflow

LEVELS = ("none", "read", "write")
# What a job may do where no file says: the setting that `keyless github-setup` makes.
DEFAULT_PERMISSIONS = {"contents": "read", "packages": "read"}


class RunRefused(Exception):
    """GitHub would not start this run or job."""


@dataclass(frozen=True)
class Protection:
    """Rules of a GitHub environment; `branches` None lets every ref in."""

    reviewers: bool = False
    branches: tuple[str, ...] | None = ("main",)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Repository:
    """A repository and the settings that decide what its workflows get."""

    name: str = "octo-org/keyless-mlops"
    id: str = "2002"
    owner_id: str = "1001"
    visibility: str = "private"
    default_branch: str = "main"
    subject_format: str = "immutable"
    variables: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Protection] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Event:
    """What started a run. `ref` is whole; `payload` is `github.event`."""

    name: str
    ref: str
    sha: str = "0" * 40
    payload: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    actor: str = "octocat"
    actor_id: str = "3003"
    base_ref: str = ""
    head_ref: str = ""
    head_repository: str | None = None

    @property
    def from_fork(self) -> bool:
        return self.head_repository is not None


def push(sha: str, branch: str = "main") -> Event:
    return Event("push", f"refs/heads/{branch}", sha, {"ref": f"refs/heads/{branch}"})


def tag(sha: str, name: str = "v1") -> Event:
    return Event("push", f"refs/tags/{name}", sha, {"ref": f"refs/tags/{name}"})


def schedule(sha: str) -> Event:
    return Event("schedule", "refs/heads/main", sha)


def dispatch(sha: str, branch: str = "main", **inputs: Any) -> Event:
    return Event("workflow_dispatch", f"refs/heads/{branch}", sha, {"inputs": inputs}, inputs)


def pull_request(
    sha: str,
    *,
    repository: Repository,
    number: int = 7,
    branch: str = "change",
    fork: str | None = None,
) -> Event:
    """A pull request to main; `sha` is its merge commit and `fork` the repository it comes from."""
    head = {"ref": branch, "repo": {"full_name": fork or repository.name, "fork": fork is not None}}
    payload = {"number": number, "pull_request": {"number": number, "head": head}}
    return Event(
        "pull_request",
        f"refs/pull/{number}/merge",
        sha,
        payload,
        base_ref="main",
        head_ref=branch,
        head_repository=fork,
    )


def starts(workflow: Workflow, event: Event, changed: Sequence[str] = ()) -> bool:
    """Whether an event that changed these paths starts the workflow."""
    rules = workflow.on.get(event.name)
    if rules is None:
        return False
    unknown = set(rules) - {"branches", "paths", "inputs", "schedule", "types"}
    if unknown:
        raise DefinitionError(f"{workflow.file}: the runner does not know {sorted(unknown)} in on")
    if "types" in rules:
        raise DefinitionError(f"{workflow.file}: the runner does not know types in on")
    branch = event.base_ref if event.name == "pull_request" else event.ref
    if "branches" in rules:
        if event.ref.startswith("refs/tags/"):
            return False
        if not _any_match(rules["branches"], [branch.removeprefix("refs/heads/")]):
            return False
    return "paths" not in rules or _any_match(rules["paths"], changed)


def _any_match(patterns: Sequence[str], names: Sequence[str]) -> bool:
    if any(set(pattern) & set("!+?[") for pattern in patterns):
        raise DefinitionError(f"the runner knows only * and ** in {patterns}")
    compiled = [
        re.compile(
            "".join(
                {"**": ".*", "*": "[^/]*"}.get(part, re.escape(part))
                for part in re.split(r"(\*\*|\*)", pattern)
            )
        )
        for pattern in patterns
    ]
    return any(pattern.fullmatch(name) for pattern in compiled for name in names)


def dispatch_inputs(
    workflow: Workflow, trigger: str, given: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Inputs of a dispatch or a call with defaults and types. Raises RunRefused."""
    declared = (workflow.on.get(trigger) or {}).get("inputs") or {}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise RunRefused(f"{workflow.file} has no input {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, rules in declared.items():
        kind = rules.get("type", "string")
        value = given.get(name, rules.get("default", False if kind == "boolean" else ""))
        if rules.get("required") and name not in given:
            raise RunRefused(f"{workflow.file} needs the input {name}")
        if kind == "choice" and value not in rules["options"]:
            raise RunRefused(f"{name} of {workflow.file} cannot be {value!r}")
        if kind == "boolean" and not isinstance(value, bool):
            raise RunRefused(f"{name} of {workflow.file} must be true or false, not {value!r}")
        if kind in ("string", "choice") and not isinstance(value, str):
            raise RunRefused(f"{name} of {workflow.file} must be text, not {value!r}")
        if kind not in ("string", "choice", "boolean"):
            raise DefinitionError(
                f"{workflow.file}: the runner does not know inputs of type {kind}"
            )
        values[name] = value
    return values


def permissions_of(
    workflow: Workflow,
    job: Mapping[str, str] | None,
    event: Event,
    caller: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What a job's GITHUB_TOKEN may do, `id-token` among it.

    `caller` holds the permissions of the job that called this workflow. Raises RunRefused when
    the called workflow wants more than they give.
    """
    named = job if job is not None else workflow.permissions
    if caller is not None:
        granted = dict(caller if named is None else named)
        for name, level in granted.items():
            if LEVELS.index(level) > LEVELS.index(caller.get(name, "none")):
                raise RunRefused(
                    f"{workflow.file} asks for {name}: {level}, but its caller allows "
                    f"{name}: {caller.get(name, 'none')}"
                )
    else:
        granted = dict(DEFAULT_PERMISSIONS if named is None else named)
    if event.from_fork:
        # A fork's pull request reads at most, and gets no token of the issuer at all.
        granted = {name: "read" if level == "write" else level for name, level in granted.items()}
        granted.pop("id-token", None)
    return {name: level for name, level in granted.items() if level != "none"}


def check_branch(protection: Protection, event: Event, environment: str) -> None:
    """Raise RunRefused for a ref that the environment does not let in."""
    if protection.branches is None:
        return
    branch = event.ref.removeprefix("refs/heads/")
    if not event.ref.startswith("refs/heads/") or not any(
        fnmatch.fnmatchcase(branch, pattern) for pattern in protection.branches
    ):
        raise RunRefused(f"{event.ref} may not deploy to {environment}")


def workflow_ref(repository: Repository, event: Event, file: str) -> str:
    """The `workflow_ref` or `job_workflow_ref` of a file of the repository itself."""
    return f"{repository.name}/.github/workflows/{file}@{event.ref}"


def job_claims(
    repository: Repository,
    event: Event,
    *,
    workflow: Workflow,
    file: str,
    environment: str | None,
    run_id: str = "1",
) -> dict[str, Any]:
    """A job as `scripts.localcloud.sts.issuer.Job` describes it; `file` holds the job itself.

    https://docs.github.com/en/actions/reference/security/oidc
    """
    return {
        "repository": repository.name,
        "repository_id": repository.id,
        "repository_owner_id": repository.owner_id,
        "repository_visibility": repository.visibility,
        "subject_format": repository.subject_format,
        "ref": event.ref,
        "sha": event.sha,
        "environment": environment,
        "event_name": event.name,
        "base_ref": event.base_ref,
        "head_ref": event.head_ref,
        "head_repository": event.head_repository,
        "actor": event.actor,
        "actor_id": event.actor_id,
        "workflow": workflow.name,
        "workflow_ref": workflow_ref(repository, event, workflow.file),
        "workflow_sha": event.sha,
        "job_workflow_ref": workflow_ref(repository, event, file),
        "job_workflow_sha": event.sha,
        "run_id": run_id,
    }


def at(event: Event, **changes: Any) -> Event:
    """The same event with other facts (for tests)."""
    return replace(event, **changes)
