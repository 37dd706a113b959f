"""The tracking server as steps reach it."""

import fcntl
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

    monkeypatch.setattr("mlflow.MlflowClient", client)
    monkeypatch.setattr("mlflow.set_tracking_uri", lambda _: None)
    monkeypatch.setattr("mlflow.set_registry_uri", lambda _: None)
    runs.connect(workspace)
    assert held == [True]
