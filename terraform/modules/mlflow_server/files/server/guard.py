"""What a request may do in MLflow, which follows from the port that it came in on.

Each port belongs to one permission set of permissions.toml, and IAM decides who may open a session
to which port. MLflow itself routes and parses a request before it is judged here, so what is
judged is what is executed. A request that carries no set, and an operation that permissions.toml
does not name, are refused.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PERMISSIONS = Path(__file__).with_name("permissions.toml")
LONGEST = 200  # characters of one value in a refusal or in the record
AHEAD_SECONDS = 300  # as far as a client's clock may be ahead for AWS to take its signature


@dataclass(frozen=True)
class PermissionSet:
    """The limits of one port's requests. None and "any": there are none."""

    name: str
    roles: tuple[str, ...] = ()
    aliases: tuple[str, ...] | None = None
    names: str = "any"
    runs: str = "any"

    @property
    def unlimited(self) -> bool:
        """Whether only the list of operations limits this set."""
        return self.names == self.runs == "any" and self.aliases is None


@dataclass
class Call:
    """The request that is being served: its set, and what was found out about it so far."""

    set: PermissionSet
    operation: str = ""
    changes: bool = False
    described: dict[str, Any] = field(default_factory=dict)
    # "run" or "model": no write is committed before one was loaded that is not finished.
    unfinished: str = ""
    loaded: bool = False
    written: bool = False  # whether something was committed
    searched: int = 0  # conditions of its filters and orders


CALL: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def serving(permission_set: PermissionSet) -> Iterator[Call]:
    """Everything inside is one request of this set, in this thread or task."""
    call = Call(permission_set)
    token = CALL.set(call)
    try:
        yield call
    finally:
        CALL.reset(token)


class Refused(Exception):
    """Not allowed; the text is for the person who asked."""


class Permissions:
    """permissions.toml, with the roles of the settings and the root where artifacts are kept."""

    def __init__(
        self, roles: Mapping[str, Iterable[str]], artifact_root: str = "", file: Path = PERMISSIONS
    ) -> None:
        given = tomllib.loads(file.read_text())
        self.sets = {
            name: PermissionSet(
                name,
                tuple(roles.get(name, ())),
                tuple(limits["aliases"]) if "aliases" in limits else None,
                limits.get("names", "any"),
                limits.get("runs", "any"),
            )
            for name, limits in given["sets"].items()
        }
        self.names = {kind: tuple(names) for kind, names in given["names"].items()}
        self.root = artifact_root.rstrip("/")
        groups = given["operations"]
        self.off = {name: why for why, names in groups.pop("off").items() for name in names.split()}
        listed = {name: frozenset(names.split()) for name, names in groups.items()}
        self.reads = listed["read"]
        # The last set may do whatever any set may do.
        last = list(self.sets)[-1]
        self.allowed = {
            operation: frozenset(
                name for name in self.sets if operation in self.reads | listed[name] or name == last
            )
            for operation in frozenset[str]().union(*listed.values())
        }

    def judge(self, asking: PermissionSet, operation: str, message: Any) -> None:
        """Raise Refused unless the set may do this to what MLflow's message names."""
        if operation in self.off:
            raise Refused(f"{operation} is off on every port: {self.off[operation]}.")
        if operation not in self.allowed:
            raise Refused(f"{operation} is an operation that permissions.toml does not name.")
        what = self.objection(asking, operation, message)
        if what:
            able = [
                one for one in self.sets.values() if not self.objection(one, operation, message)
            ]
            raise Refused(refusal(operation, what, asking, able))

    def objection(self, asking: PermissionSet, operation: str, message: Any) -> str:
        """What this set may not do about this request; empty if nothing."""
        if asking.name not in self.allowed[operation]:
            return "it is not one of that set's operations"
        rule = RULES.get(operation)
        return rule(self, asking, message) if rule else ""

    def finished(self, call: Call, what: str) -> Refused:
        """The refusal to change what is finished."""
        allowed = self.allowed[call.operation]
        able = [one for one in self.sets.values() if one.unlimited and one.name in allowed]
        return Refused(refusal(call.operation, what, call.set, able))


def refusal(operation: str, what: str, asking: PermissionSet, able: Iterable[PermissionSet]) -> str:
    """What was refused, which set allows it, and which roles may open a session to its port."""
    text = f"{operation} is refused for permission set {asking.name!r}: {what}."
    allowing = list(able)
    if not allowing:
        return f"{text} No permission set allows it."
    names = " or ".join(repr(one.name) for one in allowing)
    roles = list(dict.fromkeys(role for one in allowing for role in one.roles))
    who = f" A session to its port may be opened by {' or '.join(roles)}." if roles else ""
    return f"{text} Permission set {names} allows it.{who}"


# --- rules: what a name in the request decides -------------------------------------------------

Rule = Callable[[Permissions, PermissionSet, Any], str]


def _alias(_: Permissions, asking: PermissionSet, message: Any) -> str:
    free = asking.aliases is None or message.alias in asking.aliases
    return "" if free else f"it may not touch the alias {message.alias[:LONGEST]!r}"


def _first(kind: str, keys: Iterable[str], unwanted: Callable[[str], bool]) -> str:
    found = next((key for key in keys if unwanted(key)), None)
    return "" if found is None else f"it may not write the {kind} {found[:LONGEST]!r}"


def _new(permissions: Permissions, asking: PermissionSet, message: Any) -> str:
    """Creation: any tag but a decision's, and artifacts only where the server keeps them."""
    location = getattr(message, "artifact_location", "") or getattr(message, "source", "")
    if location and not _inside(permissions.root, location):
        return f"{location[:LONGEST]!r} is not in {permissions.root}"
    if asking.names == "any":
        return ""
    decisions = permissions.names["decision_tags"]
    return _first("tag", (tag.key for tag in message.tags), lambda key: key.startswith(decisions))


def _inside(root: str, location: str) -> bool:
    # Models and runs are the server's own; the source of a prompt is a word without a file.
    if re.fullmatch(r"(models|runs):/[\w@. /+-]+|prompt-template|dummy-source", location):
        return ".." not in location.split("/")
    unusual = re.search(r"[?#%\\\s]|[^:]//|(^|/)\.\.?(/|$)", location)
    return not root or (not unusual and location.startswith(f"{root}/"))


def _model_tags(permissions: Permissions, asking: PermissionSet, message: Any) -> str:
    keys = [tag.key for tag in message.tags if tag.key not in permissions.names["client_tags"]]
    return _tags(permissions, asking, message, keys)


def _tags(
    permissions: Permissions,
    asking: PermissionSet,
    message: Any,
    keys: Iterable[str] | None = None,
) -> str:
    """Tags of what exists already: experiments, models, versions, traces."""
    keys = [message.key] if keys is None else keys
    if asking.names == "decision":
        return _undecided(permissions, "tag", keys)
    fixed = permissions.names["platform_tags"]
    return _first("tag", keys, lambda key: asking.names == "free" and key.startswith(fixed))


def _undecided(permissions: Permissions, kind: str, keys: Iterable[str]) -> str:
    allowed = permissions.names[f"decision_{kind}s"]
    return _first(kind, keys, lambda key: not key.startswith(allowed))


def _of_run(
    permissions: Permissions,
    asking: PermissionSet,
    tags: Iterable[str] = (),
    metrics: Iterable[str] = (),
    params: int = 0,
) -> str:
    if asking.names == "any":
        return ""
    tags, metrics = list(tags), list(metrics)
    if asking.names == "decision":
        undecided = _undecided(permissions, "tag", tags) or _undecided(
            permissions, "metric", metrics
        )
        return undecided or ("it may not write parameters" if params else "")
    if "mlflow.runName" in tags:
        return "it may not rename a run"
    decided = tuple(permissions.names[f"decision_{kind}s"] for kind in ("tag", "metric"))
    return _first("tag", tags, lambda key: key.startswith(decided[0])) or _first(
        "metric", metrics, lambda key: key.startswith(decided[1])
    )


def _batch(permissions: Permissions, asking: PermissionSet, message: Any) -> str:
    tags, metrics = ((one.key for one in kind) for kind in (message.tags, message.metrics))
    return _of_run(permissions, asking, tags, metrics, len(message.params))


def _metric(permissions: Permissions, asking: PermissionSet, message: Any) -> str:
    return _of_run(permissions, asking, metrics=[message.key])


def _run_tag(permissions: Permissions, asking: PermissionSet, message: Any) -> str:
    return _of_run(permissions, asking, tags=[message.key])


def _update(_: Permissions, asking: PermissionSet, message: Any) -> str:
    if message.run_name and asking.names != "any":
        return "it may not rename a run"
    # What is allowed for a while after a run's end would be at a time that its maker chose.
    ahead = asking.runs != "any" and message.end_time > (time.time() + AHEAD_SECONDS) * 1000
    return "it may not end a run in the future" if ahead else ""


RULES: Mapping[str, Rule] = {
    "set_registered_model_alias": _alias,
    "delete_registered_model_alias": _alias,
    "create_experiment": _new,
    "create_run": _new,
    "create_logged_model": _new,
    "create_registered_model": _new,
    "create_model_version": _new,
    "set_experiment_tag": _tags,
    "set_logged_model_tags": _model_tags,
    "set_model_version_tag": _tags,
    "set_registered_model_tag": _tags,
    "set_trace_tag": _tags,
    "set_trace_tag_v3": _tags,
    "log_batch": _batch,
    "log_metric": _metric,
    "set_tag": _run_tag,
    "update_run": _update,
}
