"""Whole flows in process: without AWS, and on a platform with moto; MLflow on a database file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from pipeline import audit, evaluate, ingest, monitor, predict, promote, register, rollback, train
from pipeline.evaluation import holdout
from pipeline.settings import DEFAULT_FILE
from pipeline.tracking import runs
from pipeline.tracking.results import EvaluateResult, read_result
from tests.pipeline.conftest import BUCKET, SMALL, Run

pytestmark = pytest.mark.slow

Step = Callable[..., dict[str, Any]]
PARAMETER = "/keyless/dev/champion/small"


def _stepper(run: Run, tmp_path: Path) -> Step:
    def step(module: Any, *options: str, code: int = 0) -> dict[str, Any]:
        file = tmp_path / "result.json"
        file.unlink(missing_ok=True)
        result = run(module.main, *options, "--result", str(file), code=code)
        values: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        if values:
            reported = read_result(file)
            # Summaries and workflows read models: what a step reports stands in its model.
            assert isinstance(reported, EvaluateResult) or not reported.model_extra
        return values | {"output": result.output}

    return step


@pytest.fixture
def local(run_local: Run, mlflow_uri: str, tmp_path: Path) -> Step:
    return _stepper(run_local, tmp_path)


@pytest.fixture
def cloud(run_aws: Run, mlflow_uri: str, tmp_path: Path) -> Step:
    return _stepper(run_aws, tmp_path)


def _change_settings(settings_file: Path, before: str, after: str) -> None:
    text = settings_file.read_text()
    assert before in text
    settings_file.write_text(text.replace(before, after))


def _record() -> dict[str, Any]:
    value = boto3.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    record: dict[str, Any] = json.loads(value)
    return record


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_without_aws_a_model_is_trained_promoted_used_and_watched(
    local: Step, folder: Path
) -> None:
    ingested = local(ingest)
    assert local(train)["model_version"] == "1"
    promoted = local(promote)
    assert promoted["verdict"] == "promote"
    assert promoted["holdout_value"] > 0.95
    predicted = local(predict)
    assert predicted["predicted"] == ingested["rows"]["batch"]
    assert (folder / predicted["predictions"]).is_file()
    watched = local(monitor)
    assert watched["model_version"] == "1"
    assert "<table>" in (folder / watched["report"]).read_text()


def test_on_a_platform_a_model_is_trained_promoted_used_and_watched(cloud: Step) -> None:
    cloud(ingest)
    cloud(train)
    cloud(promote)
    predicted = cloud(predict)
    cloud(monitor)
    record = _record()
    assert record["model_version"] == predicted["model_version"] == "1"
    assert record["files"]["model.skops"]["key"].startswith("mlflow/small/")
    assert all(pin["version"] for pin in record["files"].values())
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="predictions/small/date=")
    assert [entry["Key"] for entry in found["Contents"]] == [predicted["predictions"]]
    names = {entry["MetricName"] for entry in boto3.client("cloudwatch").list_metrics()["Metrics"]}
    assert {"RowsPredicted", "RowsRejected", "DriftedFraction", "RetrainNeeded"} <= names


def test_a_second_data_set_needs_its_settings_alone(
    mlflow_uri: str, tmp_path: Path, folder: Path
) -> None:
    """Regression with missing values and categories, by pipeline.example-regression.toml."""
    settings = DEFAULT_FILE.with_name("pipeline.example-regression.toml")
    results: dict[str, Any] = {}
    for module in (ingest, train, promote, predict):
        file = tmp_path / "result.json"
        arguments = ["--local", str(folder), "--settings", str(settings), "--result", str(file)]
        result = CliRunner().invoke(module.main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        results[module.__name__] = json.loads(file.read_text())
    assert results["pipeline.promote"]["verdict"] == "promote"
    assert results["pipeline.promote"]["holdout_value"] < 400
    assert results["pipeline.predict"]["rejected"] == 0
    found = pd.read_parquet(folder / results["pipeline.predict"]["predictions"])
    assert len(found) == results["pipeline.ingest"]["rows"]["batch"] > 0
    assert found["prediction"].between(2500, 6500).all()
    contract = json.loads((folder / "data/contracts/penguin-mass/contract.json").read_text())
    kinds = {column["kind"] for column in contract["features"].values()}
    assert kinds == {"number", "category"}
    assert any(column["null_rate"] > 0 for column in contract["features"].values())


def test_the_same_data_and_settings_give_the_same_holdout_metric_to_the_last_digit(
    local: Step, folder: Path, settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines that share nothing: another folder, another tracking server."""
    values = []
    for number in range(2):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow-{number}.db")
        (tmp_path / f"mlflow-{number}.db").write_bytes((tmp_path / "mlflow.db").read_bytes())
        for module in (ingest, train, promote):
            arguments = ["--local", str(tmp_path / f"work-{number}")]
            arguments += ["--settings", str(settings_file)]
            arguments += ["--result", str(tmp_path / "result.json")]
            result = CliRunner().invoke(module.main, arguments, catch_exceptions=False)
            assert result.exit_code == 0, result.output
        values.append(json.loads((tmp_path / "result.json").read_text())["evaluation"])
    assert values[0]["metrics"] == values[1]["metrics"]
    assert values[0]["comparison"] == values[1]["comparison"]


def test_training_the_same_again_trains_nothing_and_registers_nothing(
    local: Step, mlflow_uri: str
) -> None:
    local(ingest)
    first, second = local(train), local(train)
    assert second["reused"]
    assert (first["model_version"], first["run_id"]) == (second["model_version"], second["run_id"])
    assert len(_client(mlflow_uri).search_model_versions("name = 'small'")) == 1


def test_a_run_tells_where_it_comes_from(
    cloud: Step, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "octo-org/keyless-mlops")
    monkeypatch.setenv("GITHUB_RUN_ID", "42")
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    monkeypatch.setenv("KEYLESS_OIDC_SUBJECT", "repo:octo-org@1001/keyless-mlops@2002:x")
    cloud(ingest)
    run = _client(mlflow_uri).get_run(cloud(train)["run_id"])
    tags = {name.removeprefix("keyless."): value for name, value in run.data.tags.items()}
    assert tags["oidc_subject"] == "repo:octo-org@1001/keyless-mlops@2002:x"
    assert tags["workflow_run"] == "https://github.com/octo-org/keyless-mlops/actions/runs/42"
    assert tags["actor"] == "octocat"
    assert len(tags["git_commit"]) == 40
    assert tags["git_dirty"] in ("true", "false")
    assert json.loads(tags["libraries"])["scikit-learn"]
    for name in ("data", "raw", "settings", "code", "lock", "contract"):
        assert len(tags[f"{name}_sha256"]) == 64
    assert ":123456789012:" in tags["role_arn"]
    assert run.inputs.dataset_inputs[0].dataset.name == "small"
    assert run.data.metrics["cv_roc_auc_mean"] > 0.9


@pytest.mark.parametrize(
    "stop_at",
    [
        "log_batch",
        "create_logged_model",
        "log_artifacts",
        "log_model_artifacts",
        "finalize_logged_model",
        "create_model_version",
        "set_registered_model_alias",
    ],
)
def test_training_interrupted_anywhere_is_taken_up_and_registers_one_version(
    local: Step, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch, stop_at: str
) -> None:
    from mlflow import MlflowClient

    local(ingest)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, stop_at, interrupted)
        with pytest.raises(AssertionError):
            local(train)
    client = _client(mlflow_uri)
    for version in client.search_model_versions("name = 'small'"):
        assert runs.registered_files(version)["model.skops"]
    done = local(train)
    versions = client.search_model_versions("name = 'small'")
    assert [str(version.version) for version in versions] == [done["model_version"]]
    found = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    names = sorted(run.info.run_name for run in found)
    assert names[-2:] == ["trial-000", "trial-001"]
    assert len(names) == 3
    assert local(promote)["verdict"] == "promote"


def test_a_challenger_that_ties_is_a_recorded_decision_and_no_failure(
    local: Step, folder: Path, settings_file: Path, mlflow_uri: str
) -> None:
    local(ingest)
    local(train)
    local(promote)
    # Another training, of the same model: the two trials are the families' defaults.
    _change_settings(settings_file, "max_iter = [10, 11]", "max_iter = [10, 12]")
    assert local(train)["model_version"] == "2"
    kept = local(promote)
    assert kept["verdict"] == "keep"
    assert kept["champion_version"] == "1"
    decision = json.loads((folder / kept["decision_key"]).read_text())
    assert decision["evaluation"]["comparison"]["improvement"]["value"] == 0
    assert "does not exceed" in decision["sentence"]
    found = _client(mlflow_uri).get_model_version_by_alias("small", "champion")
    assert str(found.version) == "1"


def _better_challenger(step: Step, settings_file: Path) -> None:
    """Make a poor champion, then train a challenger that is surely better."""
    step(ingest)
    poor = SMALL.replace('"linear", "histogram', '"histogram').replace("trials = 2", "trials = 1")
    poor = poor.replace("max_iter = [10, 11]", "max_iter = [1, 1], max_leaf_nodes = [2, 2]")
    settings_file.write_text(poor)
    step(train)
    step(promote)
    settings_file.write_text(SMALL)
    step(train)


def test_a_better_challenger_replaces_the_champion_and_rollback_restores_it(
    cloud: Step, settings_file: Path, mlflow_uri: str
) -> None:
    _better_challenger(cloud, settings_file)
    promoted = cloud(promote)
    assert promoted["verdict"] == "promote"
    assert "its lower bound exceeds" in promoted["sentence"]
    assert (_record()["model_version"], _record()["previous"]) == ("2", "1")
    assert " replaced as champion by version 2 at " in cloud(audit, "small@1")["output"]
    back = cloud(rollback, "--reason", "complaints")
    story = cloud(audit, "small@2")
    ended = story["replaced"]
    assert [(one["kind"], one["by_version"]) for one in ended] == [("rollback", "1")]
    assert f" rolled back as champion by version 1 at {ended[0]['at']} by " in story["output"]
    assert "version 1 restored: complaints" in story["output"]
    assert (back["champion_version"], back["replaced_version"]) == ("1", "2")
    assert _record()["sequence"] == 3
    client = _client(mlflow_uri)
    aliases = {
        name: client.get_model_version_by_alias("small", name) for name in ("champion", "previous")
    }
    assert {name: str(found.version) for name, found in aliases.items()} == {
        "champion": "1",
        "previous": "2",
    }
    assert cloud(predict)["model_version"] == "1"
    output = cloud(rollback, "--reason", "again", code=2)["output"]
    assert "there is no earlier one" in output


def test_two_promotions_at_once_end_with_one_champion(
    cloud: Step, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one promotion evaluates, another one finishes; the first must compare anew."""
    _better_challenger(cloud, settings_file)
    evaluated: list[Any] = []
    original = holdout.evaluate

    def meanwhile(workspace: Any, found: Any, champion: Any, rows: Any) -> Any:
        evaluated.append(champion.model_version if champion else None)
        if len(evaluated) == 1:
            cloud(promote)
        return original(workspace, found, champion, rows)

    monkeypatch.setattr(promote, "evaluate", meanwhile)
    last = cloud(promote)
    assert last["sentence"] == "version 2 is the champion of record already"
    assert evaluated == ["1", "1"]
    history = boto3.client("ssm").get_parameter_history(Name=PARAMETER)["Parameters"]
    assert [json.loads(entry["Value"])["sequence"] for entry in history][-1] == 2
    assert _record()["model_version"] == "2"


@pytest.mark.parametrize(
    "stop_at", ["pipeline.model.champion._publish", "pipeline.tracking.decisions.set_aliases"]
)
def test_a_promotion_that_is_interrupted_is_finished_by_the_next(
    local: Step, folder: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch, stop_at: str
) -> None:
    local(ingest)
    local(train)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stop_at, interrupted)
        with pytest.raises(AssertionError):
            local(promote)
    assert local(promote)["champion_version"] == "1"
    assert [path.name for path in (folder / "decisions/small/changes").iterdir()] == ["000001.json"]
    records = [json.loads(path.read_text()) for path in (folder / "champion/small").iterdir()]
    assert {record["sequence"] for record in records} == {1}
    alias = _client(mlflow_uri).get_model_version_by_alias("small", "champion")
    assert str(alias.version) == "1"
    assert local(predict)["model_version"] == "1"


def test_train_can_set_any_alias_and_overwrite_artifacts_but_predictions_do_not_change(
    cloud: Step, settings_file: Path, mlflow_uri: str
) -> None:
    _better_challenger(cloud, settings_file)
    before = cloud(predict, "--date", "2026-01-01")
    record, client = _record(), boto3.client("s3")
    for pin in record["files"].values():
        client.put_object(Bucket=BUCKET, Key=pin["key"], Body=b"malicious")
    _client(mlflow_uri).set_registered_model_alias("small", "champion", "2")
    after = cloud(predict, "--date", "2026-01-02")
    bodies = [
        client.get_object(Bucket=BUCKET, Key=found["predictions"])["Body"].read()
        for found in (before, after)
    ]
    assert bodies[0] == bodies[1]
    assert "the alias champion names version 2" in after["alias_disagreement"]
    assert "predictions come from version 1" in after["output"]


def test_without_pinned_versions_the_overwritten_artifact_would_be_loaded(cloud: Step) -> None:
    """The control absent: what lies under the key now is what the attacker put there."""
    cloud(ingest)
    cloud(train)
    cloud(promote)
    pin, client = _record()["files"]["model.skops"], boto3.client("s3")
    client.put_object(Bucket=BUCKET, Key=pin["key"], Body=b"malicious")
    assert client.get_object(Bucket=BUCKET, Key=pin["key"])["Body"].read() == b"malicious"
    record = _record()
    for entry in record["files"].values():
        entry["version"] = None
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value=json.dumps(record), Overwrite=True)
    output = cloud(predict, code=1)["output"]
    assert "is not what was recorded" in output


def test_a_challenger_that_was_altered_after_registration_is_not_promoted(cloud: Step) -> None:
    cloud(ingest)
    cloud(train)
    client = boto3.client("s3")
    keys = [
        entry["Key"]
        for entry in client.list_objects_v2(Bucket=BUCKET, Prefix="mlflow/")["Contents"]
        if entry["Key"].endswith("model.skops")
    ]
    client.put_object(Bucket=BUCKET, Key=keys[0], Body=b"malicious")
    output = cloud(promote, code=1)["output"]
    assert "is not what was registered" in output
    with pytest.raises(boto3.client("ssm").exceptions.ParameterNotFound):
        _record()


def test_no_model_is_ever_scored_on_rows_that_it_was_trained_on(
    local: Step, folder: Path, settings_file: Path
) -> None:
    """A new holdout holds rows that the champion learnt; the comparison leaves them out."""
    local(ingest)
    local(train)
    local(promote)
    _change_settings(settings_file, "seed = 1", 'seed = 2\nname = "second"')
    ingested = local(ingest)
    local(train)
    kept = local(promote)
    assert "were among the training rows of one of the models" in kept["output"]
    rows = kept["evaluation"]["rows"]
    assert 0 < rows < ingested["rows"]["holdout"] / 2
    _change_settings(settings_file, "resamples = 100", "resamples = 100\nmin_rows = 140")
    assert "fewer than promotion.min_rows = 140" in local(promote, code=2)["output"]
    assert local(promote, "--floors-only")["evaluation"]["rows"] == ingested["rows"]["holdout"]


def test_without_the_hashes_of_its_rows_a_model_is_not_compared(
    local: Step, folder: Path, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control absent: a model that says nothing of its rows would be scored on them."""
    local(ingest)
    local(train)
    monkeypatch.setattr(holdout, "trained_rows", lambda *_: np.zeros(0, dtype="uint64"))
    _change_settings(settings_file, "seed = 1", 'seed = 2\nname = "second"')
    ingested = local(ingest)
    assert local(promote)["evaluation"]["rows"] == ingested["rows"]["holdout"]
    monkeypatch.undo()


def test_predicting_again_gives_the_same_keys_and_doubles_nothing(cloud: Step) -> None:
    cloud(ingest)
    cloud(train)
    cloud(promote)
    first, second = cloud(predict), cloud(predict)
    assert first["predictions"] == second["predictions"]
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="predictions/")
    assert found["KeyCount"] == 2  # the rows and their manifest


def test_a_prediction_that_is_interrupted_leaves_nothing_to_be_seen(
    cloud: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud(ingest)
    cloud(train)
    cloud(promote)
    monkeypatch.setattr(predict, "_publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(AssertionError):
        cloud(predict)
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="predictions/")
    assert found["KeyCount"] == 0


def test_any_version_or_alias_can_predict(local: Step, folder: Path) -> None:
    local(ingest)
    local(train)
    assert "has no champion yet" in local(predict, code=2)["output"]
    for selector in ("1", "challenger"):
        found = local(predict, "--model-version", selector)
        assert (found["model_version"], found["champion_sequence"]) == ("1", 0)
    assert (
        "no version or alias 'best'" in local(predict, "--model-version", "best", code=2)["output"]
    )


def test_a_batch_with_too_many_bad_rows_is_refused_and_nothing_is_stored(
    local: Step, folder: Path, tmp_path: Path
) -> None:
    local(ingest)
    local(train)
    local(promote)
    batch = pd.read_parquet(folder / "data/inputs/small/sample.parquet")
    bad = tmp_path / "bad.csv"
    batch.assign(**{"mean radius": 1e9}).to_csv(bad, index=False)
    assert "mean radius: outside" in local(predict, "--input", str(bad), code=1)["output"]
    assert not (folder / "predictions").exists()


def test_drift_ends_with_the_status_that_a_workflow_acts_on(
    local: Step, folder: Path, tmp_path: Path
) -> None:
    local(ingest)
    local(train)
    local(promote)
    batch = pd.read_parquet(folder / "data/holdout/small" / _only(folder / "data/holdout/small"))
    shifted = tmp_path / "shifted.parquet"
    numbers = batch.drop(columns="diagnosis").astype(float)
    inside = numbers.apply(lambda values: values * 0 + values.max())
    inside.to_parquet(shifted)
    local(predict, "--input", str(shifted))
    watched = local(monitor, "--exit-code", code=monitor.DRIFT_EXIT_CODE)
    assert watched["retrain"]
    assert watched["drift"]["drifted_fraction"] == 1.0
    assert local(monitor)["retrain"]


def _only(path: Path) -> str:
    return next(file.name for file in path.iterdir() if file.suffix == ".parquet")


def test_evaluate_alone_stores_its_numbers_and_a_model_card(
    local: Step, folder: Path, settings_file: Path
) -> None:
    _change_settings(settings_file, "plots = false", "plots = true")
    local(ingest)
    local(train)
    found = local(evaluate)
    stored = json.loads((folder / found["evaluation_key"]).read_text())
    numbers = stored["comparison"]["challenger"]
    assert numbers["low"] <= numbers["value"] <= numbers["high"]
    page = (folder / stored["card"]).read_text()
    assert "Permutation importance" in page
    assert "SHAP" not in page
    assert page.count("data:image/png") == 4


def test_a_model_card_shows_shap_values_where_the_settings_ask_for_them(
    local: Step, folder: Path, settings_file: Path
) -> None:
    _change_settings(settings_file, "plots = false", "shap = true\nplots = false")
    _change_settings(settings_file, ', "histogram_gradient_boosting"]', "]")
    local(ingest)
    local(train)
    assert "SHAP, mean absolute value" in (folder / local(evaluate)["card"]).read_text()


def test_register_gives_a_run_its_alias_back(local: Step, mlflow_uri: str) -> None:
    local(ingest)
    run_id = local(train)["run_id"]
    _client(mlflow_uri).delete_registered_model_alias("small", "challenger")
    assert "no version or alias 'challenger'" in local(promote, code=2)["output"]
    local(register, "--run-id", run_id)
    assert local(promote)["verdict"] == "promote"


def test_an_audit_tells_the_story_of_a_model(
    cloud: Step, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYLESS_OIDC_SUBJECT", "repo:octo-org/x:environment:dev-train")
    _better_challenger(cloud, settings_file)
    cloud(promote)
    cloud(predict)
    story = cloud(audit, "small@champion")
    assert story["champion_of_record"]
    assert story["trained"]["subject"] == "repo:octo-org/x:environment:dev-train"
    assert len(story["trained"]["commit"]) == 40
    assert [entry["kind"] for entry in story["decisions"]] == ["promote"]
    assert [entry["rows"] > 0 for entry in story["predictions"]] == [True]
    assert cloud(audit, "small@1")["predictions"] == []
    assert "no version or alias 'nobody'" in cloud(audit, "small@nobody", code=2)["output"]


def test_a_model_of_another_type_than_the_trusted_ones_is_not_loaded(
    local: Step, settings_file: Path
) -> None:
    local(ingest)
    settings_file.write_text(SMALL + '\n[serialization]\ntrusted_types = ["numpy.dtype"]\n')
    _change_settings(settings_file, '"linear", "histogram', '"histogram')
    output = local(train, code=2)["output"]
    assert "add to trusted_types under [serialization]: sklearn.ensemble" in output


def test_a_server_that_does_not_answer_is_named(
    run_local: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run_local(ingest.main)
    result: Result = run_local(train.main, code=1)
    assert "MLflow refused or was not reached" in result.output
