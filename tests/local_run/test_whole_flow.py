"""`keyless least-privilege` without a log: a home of its own, and nothing left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.console import Phases, UserError
from scripts.local_run import leftovers, whole_flow


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def worker(home: Path) -> subprocess.Popen[bytes]:
    """A process of the home's run, and a file that it left."""
    (home / "rds").mkdir()
    (home / "cloud.json").write_text("{}")
    started = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"],
        env=os.environ | leftovers.mark(home),
        stdout=subprocess.PIPE,
    )
    assert started.stdout is not None
    with started.stdout:
        started.stdout.readline()
    assert leftovers.find(home)
    return started


@pytest.mark.parametrize("failure", [None, UserError("broken"), KeyboardInterrupt()])
def test_nothing_of_the_home_is_left(failure: BaseException | None) -> None:
    def use() -> subprocess.Popen[bytes]:
        with whole_flow.home_of_its_own() as home:
            assert home.stat().st_mode & 0o777 == 0o700
            started.append(worker(home))
            if failure is not None:
                raise failure
        return started[0]

    started: list[subprocess.Popen[bytes]] = []
    if failure is None:
        use()
    else:
        with pytest.raises(type(failure)):
            use()
    started[0].wait(10)


def test_a_termination_cleans_up_and_the_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), whole_flow.home_of_its_own() as home:
        started = worker(home)
        os.kill(os.getpid(), signal.SIGTERM)
    started.wait(10)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_flow_that_fails_says_what_to_do_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    homes = []

    def fail(home: Path, phases: Phases, environment: str) -> None:
        homes.append(home)
        (home / "cloud.log").write_text("it began")
        raise UserError("train failed", why="no such column", fix=f"read {home}/logs/train.log")

    monkeypatch.setattr(whole_flow, "run", fail)
    done = CliRunner().invoke(keyless, ["least-privilege"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "train failed" in done.stderr
    assert "no such column" in done.stderr
    assert "keyless up" in done.stderr
    # A file that is gone is no advice.
    assert f"{homes[0]}/logs" not in done.stderr


def test_another_environment_than_the_local_one_is_refused() -> None:
    done = CliRunner().invoke(keyless, ["least-privilege", "--environment", "prod"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--so-far" in done.stderr
