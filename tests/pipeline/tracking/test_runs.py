"""The tracking server as steps reach it."""

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pipeline.step import Workspace
from pipeline.tracking import runs


def test_one_process_at_a_time_makes_the_tables_of_a_new_database(
    mlflow_imported: None, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow makes them as soon as it makes a client; two at once undo each other's migrations."""
    assert workspace.folder is not None
    lock, held = workspace.folder / ".mlflow.db.lock", []

    def client() -> Any:
        with lock.open("w") as again:
            try:
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(True)
            else:
                held.append(False)
        return mock.Mock()

    named = _without_mlflow(monkeypatch, client)
    runs.connect(workspace)
    assert held == [True, True]
    assert named[-1].endswith("/mlflow.db")


def test_tables_that_were_made_halfway_are_never_used(
    mlflow_imported: None, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or the end of the process, in the middle of MLflow's migrations."""
    assert workspace.folder is not None
    database = workspace.folder / "mlflow.db"

    def full() -> Any:
        Path(named[-1].removeprefix("sqlite:///")).with_name(".part-mlflow.db-journal").touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    named = _without_mlflow(monkeypatch, full)
    with pytest.raises(OSError, match="No space left"):
        runs.connect(workspace)
    assert not database.exists()
    _without_mlflow(monkeypatch, mock.Mock)
    runs.connect(workspace)
    assert database.exists()
    assert not list(workspace.folder.glob(".part-*"))


def _without_mlflow(monkeypatch: pytest.MonkeyPatch, client: Callable[[], Any]) -> list[str]:
    """Have a client made by `client`; the answer grows with the addresses that are set."""
    named: list[str] = []

    def made() -> Any:
        found = client()
        Path(named[-1].removeprefix("sqlite:///")).touch()
        return found

    monkeypatch.setattr("mlflow.MlflowClient", made)
    monkeypatch.setattr("mlflow.set_tracking_uri", named.append)
    monkeypatch.setattr("mlflow.set_registry_uri", lambda _: None)
    monkeypatch.setattr(runs, "_PREPARED", {})
    return named
