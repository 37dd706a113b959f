"""What AWS asks for beside an action, by its reference, and what of that nobody has to grant.

`dependents.json` is made by `scripts.maintenance.dependent_actions`; `dependents.yaml` is reviewed
by people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("dependents.json")
REVIEWED = Path(__file__).with_name("dependents.yaml")


@dataclass(frozen=True)
class Excuse:
    """Dependent actions that need not be demanded or granted: why, and AWS's page.

    `roles` are the names of roles that it is for.
    """

    actions: tuple[str, ...]
    dependents: tuple[str, ...]
    why: str
    page: str
    roles: tuple[str, ...] = ("*",)

    def covers(self, action: str, dependent: str, role: str = "*") -> bool:
        """Whether it is about this pair, for this role."""
        return (
            any(fnmatchcase(action, one) for one in self.actions)
            and any(fnmatchcase(dependent, one) for one in self.dependents)
            and (role == "*" or any(fnmatchcase(role, one) for one in self.roles))
        )


@cache
def _content() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(FILE.read_text())
    return content


def services() -> frozenset[str]:
    """The services whose actions the table knows: one that it does not list has no dependents."""
    return frozenset(_content()["services"])


def table() -> Mapping[str, tuple[str, ...]]:
    """Action -> its dependent actions."""
    return {action: tuple(others) for action, others in _content()["actions"].items()}


def passes_role(action: str) -> bool:
    """Whether AWS's reference has iam:PassRole beside the action, of whatever service."""
    service, _, name = action.partition(":")
    return name in _content()["passes_role"].get(service, "").split()


def excuses(kind: str) -> list[Excuse]:
    """The reviewed list `never_demanded` or `never_sent`."""
    return [
        Excuse(
            tuple(item["actions"]),
            tuple(item["dependents"]),
            item["why"],
            item["page"],
            tuple(item.get("roles", ["*"])),
        )
        for item in yaml.safe_load(REVIEWED.read_text())[kind]
    ]
