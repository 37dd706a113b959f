"""Paths that the platform is meant to have, each with its reason; everything else is a finding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path as File

import yaml

from scripts.iam.escalation.search import Path

FILE = File(__file__).with_name("designed.yaml")
STEPS_FILE = File(__file__).with_name("steps.yaml")


@dataclass(frozen=True)
class Designed:
    """Steps that one role may take: rules, and globs of where they may lead."""

    start: str
    rules: tuple[str, ...]
    ends: tuple[str, ...]
    why: str

    def covers(self, path: Path) -> bool:
        """Whether every step of a path is among these."""
        return fnmatchcase(path.start.rpartition("/")[2], self.start) and all(
            step.rule in self.rules and any(fnmatchcase(step.end, end) for end in self.ends)
            for step in path.steps
        )


def read_designed(file: File = FILE) -> list[Designed]:
    """Read the reviewed list."""
    return [
        Designed(item["start"], tuple(item["rules"]), tuple(item["ends"]), item["why"])
        for item in yaml.safe_load(file.read_text())
    ]


def undesigned(found: Iterable[Path], designed: Iterable[Designed]) -> list[Path]:
    """The paths that no entry covers."""
    known = list(designed)
    return [path for path in found if not any(entry.covers(path) for entry in known)]


def modelled_steps() -> dict[str, dict[str, object]]:
    """The documented table of steps."""
    steps: dict[str, dict[str, object]] = yaml.safe_load(STEPS_FILE.read_text())
    return steps
