"""The decision log as it grows, and one decision of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.account.decision_log import Record
from scripts.watch import tail

ONE = Record(
    time=1.0,
    request_id="",
    principal="arn:aws:sts::111122223333:assumed-role/train/job",
    role="train",
    service="s3",
    operation="GetObject",
    action="s3:GetObject",
    resource="arn:aws:s3:::b/a",
    allowed=True,
    reason="allowed",
)


def record(number: int, **changes: Any) -> bytes:
    made = replace(ONE, request_id=f"request-{number}", **changes)
    return json.dumps(asdict(made)).encode() + b"\n"


def ids(found: tail.Lines) -> list[str]:
    return [line.record.request_id for line in found.lines]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(record(1) + record(2))
    return path


def add(log: Path, content: bytes) -> None:
    with log.open("ab") as file:
        file.write(content)


def test_only_what_came_since_is_read(log: Path) -> None:
    first = tail.read(log)
    assert (ids(first), first.fresh, first.left_out) == (["request-1", "request-2"], True, False)
    add(log, record(3))
    since = tail.read(log, first.log, first.end)
    assert (ids(since), since.fresh) == (["request-3"], False)
    assert ids(tail.read(log, since.log, since.end)) == []


def test_a_line_that_is_being_written_is_read_when_it_is_whole(log: Path) -> None:
    first = tail.read(log)
    whole = record(3)
    add(log, whole[:40])
    half = tail.read(log, first.log, first.end)
    assert (ids(half), half.unreadable, half.end) == ([], 0, first.end)
    add(log, whole[40:])
    assert ids(tail.read(log, half.log, half.end)) == ["request-3"]


def test_a_cloud_that_started_anew_has_another_log(log: Path) -> None:
    first = tail.read(log)
    log.write_bytes(record(7) + record(8) + record(9))
    found = tail.read(log, first.log, first.end)
    assert (ids(found), found.fresh) == (["request-7", "request-8", "request-9"], True)
    assert tail.at(log, first.log, 0) is None


def test_of_a_long_log_the_end_is_shown(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "FIRST_BYTES", len(record(2)) + 10)
    found = tail.read(log)
    assert (ids(found), found.left_out) == (["request-2"], True)


def test_a_long_log_is_read_step_by_step(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "STEP_BYTES", len(record(1)) + 10)
    first = tail.read(log)
    assert ids(first) == ["request-1"]
    assert ids(tail.read(log, first.log, first.end)) == ["request-2"]


def test_a_damaged_line_is_counted_and_the_others_are_shown(log: Path) -> None:
    add(log, b"{nonsense\n" + record(3))
    found = tail.read(log)
    assert (ids(found), found.unreadable) == (["request-1", "request-2", "request-3"], 1)


def test_a_decision_is_found_by_its_place_and_by_no_other(log: Path) -> None:
    found = tail.read(log)
    for line in found.lines:
        assert tail.at(log, found.log, line.at) == line.record
    for place in (-1, 1, found.end, found.end + 50):
        assert tail.at(log, found.log, place) is None
    assert tail.at(log, "another", 0) is None


def test_without_a_log_there_is_nothing_to_show(tmp_path: Path) -> None:
    assert tail.read(tmp_path / "none", "x", 5) == tail.Lines("", 0, (), fresh=True)
    (tmp_path / "empty").write_bytes(b"")
    assert tail.read(tmp_path / "empty").lines == ()
    assert tail.at(tmp_path / "none", "", 0) is None
