"""Two trainings of the same thing: the second waits, and follows one that is gone."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import train
from pipeline.errors import StepFailed
from pipeline.ingest import main as ingest
from pipeline.step import Workspace
from pipeline.storage import FolderStore
from pipeline.tracking import lease, runs
from pipeline.tracking.lease import TAG, Lease, acquire
from tests import ROOT
from tests.pipeline.conftest import Run


class _Server:
    """As much of MLflow's client as a lease needs, with one run."""

    def __init__(self) -> None:
        self.run = SimpleNamespace(
            info=SimpleNamespace(run_id="run", status="RUNNING"), data=SimpleNamespace(tags={})
        )

    def get_run(self, run_id: str) -> Any:
        return self.run

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self.run.data.tags[name] = value


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BEAT_SECONDS": 0.02,
        "STALE_SECONDS": 0.5,
        "UNNAMED_SECONDS": 0.2,
        "POLL_SECONDS": 0.01,
    }.items():
        monkeypatch.setattr(lease, name, value)


@pytest.fixture
def server() -> Any:
    return _Server()


def _acquire(server: Any, folder: Path, *, run: bool = True) -> Lease:
    return acquire(server, FolderStore(folder), "leases", lambda: server.run if run else None)


@pytest.mark.slow
def test_whoever_comes_second_waits_until_the_first_is_done(server: Any, tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with _acquire(server, tmp_path):
            order.append("second")

    with _acquire(server, tmp_path) as first:
        first.name("run")
        thread = threading.Thread(target=second)
        thread.start()
        # Longer than anyone waits for a holder that gives no sign of life.
        thread.join(timeout=2 * lease.STALE_SECONDS)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.slow
def test_a_holder_that_was_killed_is_followed(server: Any, tmp_path: Path) -> None:
    _acquire(server, tmp_path)
    server.set_tag("run", TAG, "1 17")
    assert _acquire(server, tmp_path).number == 2


def test_a_holder_that_was_killed_before_its_run_is_followed(server: Any, tmp_path: Path) -> None:
    _acquire(server, tmp_path, run=False)
    assert _acquire(server, tmp_path, run=False).number == 2


def test_a_lease_that_was_given_back_is_taken_at_once(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "STALE_SECONDS", 1e9)
    monkeypatch.setattr(lease, "UNNAMED_SECONDS", 1e9)
    with pytest.raises(KeyboardInterrupt), _acquire(server, tmp_path) as first:
        first.name("run")
        raise KeyboardInterrupt
    assert _acquire(server, tmp_path).number == 2


def test_a_finished_run_is_free_and_gets_no_release(server: Any, tmp_path: Path) -> None:
    """To the train role a finished run is history: the server refuses to change it."""
    held = _acquire(server, tmp_path)
    with held:
        held.name("run")
        held.quiet()
        server.run.info.status = "FINISHED"
        shown = dict(server.run.data.tags)
        held.over = True
    assert server.run.data.tags == shown
    assert _acquire(server, tmp_path).number == 2


def test_a_holder_that_stood_still_too_long_learns_that_it_was_followed(
    server: Any, tmp_path: Path
) -> None:
    with _acquire(server, tmp_path) as first:
        first.name("run")
        server.set_tag("run", TAG, "2 0")
        first._thread.join(timeout=10)  # type: ignore[union-attr]
        with pytest.raises(StepFailed, match="took over"):
            first.check()
    assert server.run.data.tags[TAG] == "2 0"


@pytest.mark.slow
def test_two_trainings_at_once_lose_and_repeat_no_trial(
    run_local: Run, workspace: Workspace, mlflow_uri: str, tmp_path: Path
) -> None:
    """Two processes, started together; the one that waits finds the work done."""
    run_local(ingest)
    results = [tmp_path / f"result-{number}.json" for number in range(2)]
    fixed = ["--local", str(workspace.folder), "--settings", str(workspace.settings_file)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.train", *fixed, "--result", str(result)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for result in results
    ]
    messages = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], messages
    values = [json.loads(result.read_text()) for result in results]
    assert sorted(value["reused"] for value in values) == [False, True]
    assert values[0]["run_id"] == values[1]["run_id"]
    assert _names(mlflow_uri) == ["small", "trial-000", "trial-001"]
    assert len(_client(mlflow_uri).search_model_versions("name = 'small'")) == 1


@pytest.mark.slow
def test_without_the_lease_a_second_training_repeats_every_trial(
    run_local: Run, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control absent: the second begins while the first has run its trials, not logged them."""
    run_local(ingest)
    monkeypatch.setattr(runs, "acquire", lambda client, *_: Lease(client, 1))
    log = runs.log_trials
    begun: list[bool] = []

    def meanwhile(*arguments: Any) -> None:
        if not begun:
            begun.append(True)
            run_local(train.main)
        log(*arguments)

    monkeypatch.setattr(runs, "log_trials", meanwhile)
    run_local(train.main)
    assert _names(mlflow_uri) == ["small", *["trial-000"] * 2, *["trial-001"] * 2]


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _names(uri: str) -> list[str]:
    """The runs of the small problem, the parent's without its digest."""
    client = _client(uri)
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    names = [str(run.info.run_name) for run in runs]
    return sorted("small" if name.startswith("small-") else name for name in names)
