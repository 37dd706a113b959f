"""Taking a run apart, also when the attempt before was interrupted or failed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.console import Phases, UserError
from scripts.local_run import teardown
from scripts.local_run.flow import RUN_FILE
from scripts.localcloud import home as localhome


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was brought to its end, on a cloud that answers."""
    made = tmp_path / "home"
    made.mkdir()
    (made / RUN_FILE).write_text(json.dumps({"cloud": 1.0, "stage": "done"}))
    monkeypatch.setattr(localhome, "load", lambda _: SimpleNamespace(pid=os.getpid(), started=1.0))
    return made


def attempt(home: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException | None) -> bool:
    """Take the run apart with a destroy that ends so; whether a destroy was begun."""
    begun = []

    def destroy(*_: object) -> int:
        begun.append(True)
        if end is not None:
            raise end
        return 7

    monkeypatch.setattr(teardown, "_destroy", destroy)
    with Phases() as phases:
        if end is None:
            teardown.tear_down(home, phases, destroy=True)
        else:
            with pytest.raises(type(end)):
                teardown.tear_down(home, phases, destroy=True)
    return bool(begun)


def test_after_an_interrupted_destroy_the_next_down_removes_the_rest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state stays locked by a process that is gone, so no destroy could go on."""
    assert attempt(home, monkeypatch, KeyboardInterrupt())
    assert not attempt(home, monkeypatch, None)
    assert not home.exists()


def test_after_a_failed_destroy_the_next_down_tries_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempt(home, monkeypatch, UserError("a bucket holds data"))
    assert attempt(home, monkeypatch, None)
    assert not home.exists()


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EACCES])
def test_the_mount_point_of_a_volume_stays_and_is_empty(
    code: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path) -> None:
        raise OSError(code, "refused", str(self))

    monkeypatch.setattr(teardown, "_destroy", lambda *_: 7)
    monkeypatch.setattr(Path, "rmdir", refused)
    with Phases() as phases:
        if code == errno.EBUSY:
            teardown.tear_down(home, phases, destroy=True)
        else:
            with pytest.raises(OSError, match="refused"):
                teardown.tear_down(home, phases, destroy=True)
    assert list(home.iterdir()) == []
