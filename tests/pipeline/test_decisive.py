"""A change of champion is decided by one write; what MLflow has lost since blocks nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import audit, ingest, monitor, predict, promote, rollback, train
from pipeline.tracking import decisions
from tests.pipeline.conftest import SMALL, Run

pytestmark = pytest.mark.slow

Step = Callable[..., dict[str, Any]]
QUICK = SMALL.replace('"linear", "histogram_gradient_boosting"', '"linear"').replace(
    "trials = 2", "trials = 1"
)
BETTER = QUICK.replace("resamples = 100", "resamples = 101").replace(
    "space = { histogram", "space = { linear = { strength = [1.0, 1.1] }, histogram"
)


@pytest.fixture
def local(run_local: Run, mlflow_uri: str, tmp_path: Path, settings_file: Path) -> Step:
    settings_file.write_text(QUICK)

    def step(module: Any, *options: str, code: int = 0) -> dict[str, Any]:
        file = tmp_path / "result.json"
        file.unlink(missing_ok=True)
        result = run_local(module.main, *options, "--result", str(file), code=code)
        values: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return values | {"output": result.output}

    return step


@pytest.fixture
def two(local: Step, settings_file: Path) -> Step:
    """Two champions, one after the other."""
    local(ingest)
    local(train)
    local(promote)
    settings_file.write_text(BETTER)
    local(train)
    promoted = local(promote, "--floors-only")
    assert promoted["champion_version"] == "2"
    assert "in place of version 1 without a comparison, with" in promoted["sentence"]
    return local


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_a_version_that_was_rolled_back_stays_out_until_someone_says_otherwise(two: Step) -> None:
    two(rollback, "--reason", "complaints")
    assert two(train)["reused"]
    kept = two(promote)
    assert kept["champion_version"] == "1"
    assert "version 2 was rolled back (complaints) and stays out" in kept["sentence"]
    assert two(promote, "--floors-only")["champion_version"] == "1"
    again = two(promote, "--floors-only", "--reinstate")
    assert (again["verdict"], again["champion_version"]) == ("promote", "2")
    assert two(rollback, "--reason", "again")["champion_version"] == "1"


def test_promotion_and_rollback_succeed_when_the_record_is_written(
    local: Step, folder: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local(ingest)
    local(train)

    def dead(*_: Any) -> None:
        raise ConnectionError("the server went away")

    with monkeypatch.context() as patch:
        patch.setattr(decisions, "set_aliases", dead)
        promoted = local(promote)
    assert promoted["champion_version"] == "1"
    assert "the aliases in MLflow could not be set (the server went away)" in promoted["output"]
    assert local(predict)["model_version"] == "1"
    client = _client(mlflow_uri)
    assert set(client.get_registered_model("small").aliases) == {"challenger"}
    local(promote)
    assert set(client.get_registered_model("small").aliases) == {"challenger", "champion"}


def test_what_somebody_deleted_in_mlflow_is_named_and_blocks_nothing(
    two: Step, mlflow_uri: str
) -> None:
    client = _client(mlflow_uri)
    client.delete_model_version("small", "2")
    deleted = two(promote, "--challenger", "1")
    assert "version 2, the champion of record, was deleted in MLflow" in deleted["output"]
    assert two(predict)["model_version"] == "2"
    assert "deleted in MLflow; it predicts as before" in two(audit, "small", code=2)["output"]
    named = "version 2, the champion of record of small, was deleted in MLflow"
    assert named in two(audit, "small@champion", code=2)["output"]
    assert two(rollback, "--reason", "gone")["champion_version"] == "1"
    client.delete_run(client.get_model_version("small", "1").run_id)
    assert "was deleted in MLflow" in two(audit, "small@1")["output"]
    assert two(predict)["model_version"] == "1"
    again = two(train)
    assert again["model_version"] == "3"


def test_a_deleted_run_is_trained_again_and_that_is_said(local: Step, mlflow_uri: str) -> None:
    local(ingest)
    first = local(train)
    _client(mlflow_uri).delete_run(first["run_id"])
    again = local(train)
    assert again["model_version"] == "2"
    assert f"run {first['run_id']} of the same data and settings was deleted" in again["output"]
    assert "waiting" not in again["output"]


def test_a_deleted_experiment_is_named_with_the_way_back(local: Step, mlflow_uri: str) -> None:
    local(ingest)
    local(train)
    local(promote)
    client = _client(mlflow_uri)
    number = client.get_experiment_by_name("small").experiment_id
    client.delete_experiment(number)
    output = local(train, code=1)["output"]
    assert f"mlflow experiments restore --experiment-id {number}" in output
    local(predict)
    local(monitor)
    client.restore_experiment(number)
    assert local(train)["reused"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://127.0.0.1:9/"])
def test_a_dead_server_is_told_soon(
    local: Step, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    import time

    local(ingest)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    started = time.monotonic()
    output = local(train, code=1)["output"]
    assert "no server answers at http://127.0.0.1:9" in output
    assert time.monotonic() - started < 30


def test_nothing_is_left_in_the_current_folder(
    run_local: Run, settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    settings_file.write_text(QUICK)
    for module in (ingest, train, promote, predict):
        run_local(module.main)
    assert list(elsewhere.iterdir()) == []


def test_metrics_that_a_deleted_run_does_not_take_are_named(local: Step, mlflow_uri: str) -> None:
    local(ingest)
    client, run = _client(mlflow_uri), local(train)["run_id"]
    client.delete_run(run)
    promoted = local(promote)
    assert promoted["verdict"] == "promote"
    assert "MLflow did not take the metrics of the holdout" in promoted["output"]
    assert "the decision keeps them" in promoted["output"]
