"""The reviewed tables: what AWS documents beyond a local run, wide patterns, needed conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from scripts.iam.engine.conditions import parse_operator
from scripts.iam.engine.documents import Condition
from scripts.iam.ledger.grants import Grant
from scripts.names import prefix

FILE = Path(__file__).with_name("reviewed.yaml")


@dataclass(frozen=True)
class Documented:
    """Rights that AWS's documentation asks for and a local run does not exercise.

    `elsewhere`: the test in which a role exercises them, in an environment with other settings.
    """

    roles: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str
    page: str
    elsewhere: str = ""

    def covers(self, grant: Grant) -> bool:
        """Whether the entry documents this grant."""
        return (
            any(fnmatchcase(grant.role, role) for role in self.roles)
            and grant.action in self.actions
            and any(fnmatchcase(grant.resource, one) for one in self.resources)
        )


@dataclass(frozen=True)
class Wide:
    """Resource patterns with a wildcard that are as narrow as AWS lets them be.

    `keys`: one of these condition keys must limit the statement; none needed if empty.
    """

    patterns: tuple[str, ...]
    actions: tuple[str, ...]
    keys: tuple[str, ...]
    why: str
    page: str

    def covers(self, grant: Grant) -> bool:
        """Whether the entry excuses this grant's pattern."""
        if grant.resource not in self.patterns:
            return False
        if not any(fnmatchcase(grant.action, action) for action in self.actions):
            return False
        return not self.keys or any(limits(grant.conditions, key) for key in self.keys)


@dataclass(frozen=True)
class Needed:
    """Condition keys without which an action is too strong, on resources like `resources`."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    roles: tuple[str, ...]
    keys: tuple[str, ...]
    why: str
    page: str

    def missing(self, grant: Grant) -> tuple[str, ...]:
        """The keys that are not there, () if the rule is not about the grant."""
        if not (
            any(fnmatchcase(grant.action, action) for action in self.actions)
            and any(fnmatchcase(grant.resource, one) for one in self.resources)
            and any(fnmatchcase(grant.role, role) for role in self.roles)
        ):
            return ()
        return tuple(
            key
            for key in self.keys
            if not any(limits(grant.conditions, either) for either in key.split("|"))
        )


@dataclass(frozen=True)
class Reviewed:
    """All tables, with the account's names filled in."""

    documented: tuple[Documented, ...] = ()
    wide: tuple[Wide, ...] = ()
    needed: tuple[Needed, ...] = ()
    ours: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def foreign(self, grant: Grant) -> bool:
        """Whether a resource that is named is not this environment's."""
        return not any(fnmatchcase(grant.resource, name) for name in self.ours)


def read_reviewed(account: str, region: str, environment: str, file: Path = FILE) -> Reviewed:
    """Read the tables; {account}, {region}, {environment} and {prefix} stand for the account's."""
    names = {
        "account": account,
        "region": region,
        "environment": environment,
        "prefix": prefix(environment),
    }
    text = file.read_text()
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    tables = yaml.safe_load(text)
    return Reviewed(
        tuple(_documented(item) for item in tables["documented"]),
        tuple(_wide(item) for item in tables["wide"]),
        tuple(_needed(item) for item in tables["needed"]),
        tuple(tables["ours"]),
        names,
    )


def _documented(item: Mapping[str, Any]) -> Documented:
    resources = _many(item.get("resources", ["*"]))
    roles, actions = _many(item["roles"]), _many(item["actions"])
    why, elsewhere = item["why"], item.get("elsewhere", "")
    return Documented(roles, actions, resources, why, item["page"], elsewhere)


def _wide(item: Mapping[str, Any]) -> Wide:
    patterns, actions = _many(item["patterns"]), _many(item["actions"])
    return Wide(patterns, actions, _many(item.get("keys", [])), item["why"], item["page"])


def _needed(item: Mapping[str, Any]) -> Needed:
    return Needed(
        _many(item["actions"]),
        _many(item.get("resources", ["*"])),
        _many(item.get("roles", ["*"])),
        _many(item["keys"]),
        item["why"],
        item["page"],
    )


def _many(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


# Optional by design: AWS sets the first only where a document is named, and the second is false in
# every call of one's own.
_CHECKED_IF_THERE = ("ssm:sessiondocumentaccesscheck", "aws:viaawsservice")


def limits(conditions: Sequence[Condition], key: str) -> bool:
    """Whether a condition on the key really limits: it must be there and be what is named."""
    lower = key.lower()
    for condition in conditions:
        if condition.key.lower() != lower:
            continue
        operator = parse_operator(condition.operator)
        if operator.if_exists and lower not in _CHECKED_IF_THERE:
            continue
        if operator.base == "Null":
            if condition.values[0].lower() == "true":
                return True
            continue
        if lower == "aws:tagkeys" and operator.sets == "ForAllValues":
            return True
        if "Not" in operator.base or operator.sets == "ForAllValues":
            continue
        if "*" not in condition.values:
            return True
    return False
