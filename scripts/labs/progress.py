"""What a student has reached: hints taken, flags found, fixes accepted, and the points for it."""

from __future__ import annotations

import getpass
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scripts.console import UserError
from scripts.files import locked, write_private
from scripts.labs.lab import ATTACK_POINTS, FIX_POINTS, Lab

FILE = "progress.json"


class Reached(BaseModel):
    """One lab. `shown`: the solution was shown, so what was missing then earns nothing."""

    model_config = ConfigDict(extra="forbid")

    hints: int = 0
    hint_points: int = 0
    checks: int = 0
    flag: bool = False
    fixed: bool = False
    shown: bool = False
    earned: int = 0
    started: datetime | None = None
    solved: datetime | None = None

    @property
    def points(self) -> int:
        """What counts: earned less the hints, never below zero."""
        return max(0, self.earned - self.hint_points)


class Progress(BaseModel):
    """Every lab of one student, by the lab's name."""

    model_config = ConfigDict(extra="forbid")

    student: str = Field(default_factory=lambda: _name())
    labs: dict[str, Reached] = Field(default_factory=dict)

    def of(self, lab: Lab) -> Reached:
        """The record of a lab, made on first use."""
        return self.labs.setdefault(lab.slug, Reached())

    @property
    def points(self) -> int:
        """All points together."""
        return sum(reached.points for reached in self.labs.values())

    @property
    def solved(self) -> int:
        """Labs with flag and fix."""
        return sum(reached.flag and reached.fixed for reached in self.labs.values())


def flag_found(reached: Reached) -> None:
    """Note that the flag is right; the first time counts."""
    if not reached.flag:
        reached.flag = True
        reached.earned += 0 if reached.shown else ATTACK_POINTS
        _note_solved(reached)


def fix_accepted(reached: Reached) -> None:
    """Note that the fix is right; the first time counts."""
    if not reached.fixed:
        reached.fixed = True
        reached.earned += 0 if reached.shown else FIX_POINTS
        _note_solved(reached)


def _note_solved(reached: Reached) -> None:
    if reached.flag and reached.fixed:
        reached.solved = datetime.now(UTC)


def load(path: Path) -> Progress:
    """Read a progress file; an empty one if there is none. Raises UserError (exit code 2)."""
    try:
        return Progress.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Progress()
    except (OSError, ValidationError) as error:
        aside = shlex.join(["mv", str(path), f"{path}.old"])
        raise UserError(
            f"{path} is not a progress file",
            why=str(error).partition("\n")[0],
            fix=f"{aside}   (the next command begins a new one)",
            exit_code=2,
        ) from None


@contextmanager
def changing(path: Path) -> Iterator[Progress]:
    """What the file says, to be changed and written back; another command waits meanwhile.

    Raises UserError for a damaged file, which stays as it is.
    """
    with locked(path.parent):
        found = load(path)
        yield found
        write_private(path, found.model_dump_json(indent=2))


def _name() -> str:
    try:
        return os.environ.get("KEYLESS_STUDENT") or getpass.getuser()
    except (OSError, KeyError):
        return "student"
