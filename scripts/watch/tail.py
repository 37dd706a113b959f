"""The decision log as it grows: lines from a place on, each found again by its place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from scripts.iam.account.decision_log import LogError, Record, parse_record

FIRST_BYTES = 400_000
"""How much of a log that is there already is shown: about the last 500 requests."""
STEP_BYTES = 1_000_000
"""How much is read at once."""


@dataclass(frozen=True)
class Line:
    """One decision, and the byte of the log at which its line begins."""

    at: int
    record: Record


@dataclass(frozen=True)
class Lines:
    """What came since. `log` names the file's life: a cloud that starts anew begins another log.

    `fresh`: what was shown so far belongs to another log. `left_out`: earlier lines are not among
    these.
    """

    log: str
    end: int
    lines: tuple[Line, ...]
    fresh: bool = False
    left_out: bool = False
    unreadable: int = 0


def read(path: Path, log: str = "", after: int = 0) -> Lines:
    """The decisions after a place of the same log, or the last ones if it is another log."""
    try:
        with path.open("rb") as file:
            name = _name(file.readline())
            size = file.seek(0, 2)
            fresh = not name or name != log or after > size
            start = max(0, size - FIRST_BYTES) if fresh else after
            file.seek(start)
            content = file.read(STEP_BYTES)
    except OSError:
        return Lines("", 0, (), fresh=log != "")
    if fresh and start:
        cut = content.find(b"\n") + 1  # the first line is only the end of one
        start, content = start + cut, content[cut:]
    lines, unreadable, at = [], 0, start
    for text in content.split(b"\n")[:-1]:
        try:
            lines.append(Line(at, parse_record(text, f"byte {at}")))
        except LogError:
            unreadable += 1
        at += len(text) + 1
    return Lines(name, at, tuple(lines), fresh, fresh and start > 0, unreadable)


def at(path: Path, log: str, place: int) -> Record | None:
    """The decision whose line begins at a place of this log; None if there is none."""
    try:
        with path.open("rb") as file:
            if place < 0 or _name(file.readline()) != log:
                return None
            file.seek(max(0, place - 1))
            if place and file.read(1) != b"\n":
                return None
            return parse_record(file.readline().rstrip(b"\n"), f"byte {place}")
    except (OSError, LogError):
        return None


def _name(first: bytes) -> str:
    """The first line tells logs apart; none while it is being written."""
    return hashlib.sha256(first).hexdigest()[:16] if first.endswith(b"\n") else ""
