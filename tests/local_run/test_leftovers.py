"""Processes of a run are found by their mark, and only they are ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from scripts.local_run import leftovers
from scripts.localcloud import home as localhome

STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(600)"
)


@pytest.fixture
def spawn() -> Iterator[object]:
    started: list[subprocess.Popen[str]] = []

    def start(environment: dict[str, str], code: str = STUBBORN) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_that_ignores_the_request_is_killed(spawn: object, tmp_path: Path) -> None:
    process = spawn(leftovers.mark(tmp_path))  # type: ignore[operator]
    assert [found.pid for found in leftovers.find(tmp_path)] == [process.pid]
    assert leftovers.end_all(tmp_path, grace_seconds=0.2) == 1
    assert not psutil.pid_exists(process.pid)
    assert leftovers.find(tmp_path) == []


def test_a_cloud_that_was_started_by_hand_is_ended_too(
    spawn: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m scripts.localcloud --home …`: its process has no mark, cloud.json names it."""
    process = spawn({})  # type: ignore[operator]

    def load(_: Path) -> SimpleNamespace:
        return SimpleNamespace(pid=process.pid)

    monkeypatch.setattr(localhome, "load", load)
    assert [found.pid for found in leftovers.find(tmp_path)] == [process.pid]
    assert leftovers.end_all(tmp_path, grace_seconds=0.2) == 1
    assert not psutil.pid_exists(process.pid)


def test_a_cloud_in_our_own_process_is_not_ended(
    spawn: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn({})  # type: ignore[operator]
    monkeypatch.setattr(localhome, "load", lambda _: SimpleNamespace(pid=os.getpid()))
    assert leftovers.find(tmp_path) == []


def test_another_homes_process_is_left_alone(spawn: object, tmp_path: Path) -> None:
    other = spawn(leftovers.mark(tmp_path / "other"))  # type: ignore[operator]
    assert leftovers.end_all(tmp_path, grace_seconds=0.2) == 0
    assert other.poll() is None


def test_a_shell_that_only_names_the_home_is_not_a_leftover(spawn: object, tmp_path: Path) -> None:
    shell = spawn({"KEYLESS_HOME": str(tmp_path)})  # type: ignore[operator]
    assert leftovers.end_all(tmp_path, grace_seconds=0.2) == 0
    assert shell.poll() is None
