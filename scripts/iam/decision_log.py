"""Reads a decision log: one JSON object a line, as the local cloud writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
FIELDS = ("request_id", "principal", "role", "action", "resource", "keys", "allowed", "reason",
          "policy", "statement", "via", "operation", "time")  # fmt: skip


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
        records.append(_record(line, f"{path}, line {number}"))
    if not records:
        raise LogError(
            f"{path}: no decision in it; a log has one JSON object a line" if content
            else f"{path}: the log is empty"
        )  # fmt: skip
    return records


def _record(line: bytes, place: str) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{place}: not a decision: {error}") from None
    if not isinstance(record, dict):
        raise LogError(f"{place}: not a decision; write a JSON object")
    missing = [name for name in FIELDS if name not in record]
    if missing:
        raise LogError(f"{place}: not a decision: without {', '.join(missing)}")
    if not isinstance(record["keys"], dict) or ":" not in str(record["action"]):
        raise LogError(
            f"{place}: not a decision: keys must be an object, and action service:Action, "
            f"not {record['action']!r}"
        )
    return record
