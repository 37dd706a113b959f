"""The decision log: one JSON object a line for every authorization, written by the local cloud."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

PROBE_AGENT = "keyless-probe"
"""Ends the user agent of a request that is sent to see the answer, not to get work done."""
Via = Literal["gateway", "sts", "rds", "session"]
_NEEDED = ("request_id", "principal", "role", "action", "resource", "keys", "allowed", "reason",
           "policy", "statement", "via", "operation", "time")  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One authorization. `time` is in epoch seconds; `statement` is a sid or `#index`.

    `reason` is the evaluation's, or `unmapped`, `unsupported` or the error code of a refusal that
    came before evaluation.
    """

    time: float
    request_id: str
    principal: str
    role: str | None
    service: str
    operation: str
    action: str
    resource: str
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allowed: bool = False
    reason: str = ""
    policy: str | None = None
    statement: str | None = None
    via: Via = "gateway"

    @property
    def probe(self) -> bool:
        """Whether the request was sent to see the answer: it shows no need of a right."""
        return any(PROBE_AGENT in agent for agent in self.keys.get("aws:UserAgent", ()))


class LogError(ValueError):
    """A file that is not a decision log. The message names the line and what is wrong."""


def read_log(path: Path, offset: int = 0) -> list[Record]:
    """Read every decision from byte `offset` on. Raises LogError.

    A last line without an end is being written just now and left out.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except OSError as error:
        raise LogError(f"{path}: {error.strerror}") from None
    records = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        records.append(parse_record(line, f"{path}, line {number}"))
    if not records:
        raise LogError(
            f"{path}: no decision in it; a log has one JSON object a line" if content
            else f"{path}: the log is empty"
        )  # fmt: skip
    return records


def parse_record(line: bytes, place: str) -> Record:
    """Read one line; `place` names it where it is no decision. Raises LogError."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{place}: not a decision: {error}") from None
    if not isinstance(record, dict):
        raise LogError(f"{place}: not a decision; write a JSON object")
    missing = [name for name in _NEEDED if name not in record]
    if missing:
        raise LogError(f"{place}: not a decision: without {', '.join(missing)}")
    wrong = [name for name, fits in _TYPES.items() if not fits(record[name])]
    if wrong:
        raise LogError(
            f"{place}: not a decision: {wrong[0]} must be {_FORMS[wrong[0]]}, "
            f"not {str(record[wrong[0]])[:60]!r}"
        )
    known = {one.name: record[one.name] for one in fields(Record) if one.name in record}
    keys = {key: tuple(values) for key, values in record["keys"].items()}
    return Record(**{"service": "", **known, "keys": keys})


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_keys(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(values, list) and all(map(_is_text, values)) for values in value.values()
    )


_TYPES: dict[str, Callable[[Any], bool]] = {
    "request_id": _is_text,
    "principal": _is_text,
    "role": lambda value: value is None or _is_text(value),
    "action": lambda value: _is_text(value) and ":" in value,
    "resource": _is_text,
    "keys": _is_keys,
    "allowed": lambda value: isinstance(value, bool),
    "reason": _is_text,
    "time": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
_FORMS = dict.fromkeys(_TYPES, "a string") | {
    "role": "a role's name or null",
    "action": "service:Action",
    "keys": "an object of lists of strings",
    "allowed": "true or false",
    "time": "seconds since 1970",
}
