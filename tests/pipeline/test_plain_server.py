"""Three classes from the first row to late labels, on a plain `mlflow server`, nothing of AWS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_wine

from pipeline import ingest, monitor, predict, promote, train
from pipeline.tracking import runs
from scripts.maintenance.benchmarks.training import mlflow_server

pytestmark = pytest.mark.slow

SETTINGS = """
model = "wine"

[data]
source = "wine.csv"
target = "cultivar"
id_columns = ["bottle"]
batch_fraction = 0.3

[task]
type = "multiclass"
metric = "f1_macro"

[search]
families = ["linear", "random_forest"]
trials = 2
folds = 2
space = { random_forest = { n_estimators = [10, 10] } }

[evaluation]
importance_repeats = 1

[promotion]
resamples = 100
floors = { accuracy = 0.8 }
"""


@pytest.fixture(scope="module")
def server(mlflow_imported: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


class Flow:
    """The steps, run in process on one folder and one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        (folder / "pipeline.toml").write_text(SETTINGS)
        bunch = load_wine(as_frame=True)
        rows = bunch.data.assign(cultivar=[f"barrel {number}" for number in bunch.target])
        self.rows = rows.assign(bottle=[f"b{number:03}" for number in range(len(rows))])
        self.rows.to_csv(folder / "wine.csv", index=False)

    def run(self, module: Any, *options: str, code: int = 0) -> dict[str, Any]:
        result, settings = self.folder / "result.json", self.folder / "pipeline.toml"
        fixed = ["--local", str(self.work), "--settings", str(settings), "--result", str(result)]
        done = CliRunner().invoke(module.main, [*fixed, *options], catch_exceptions=False)
        assert done.exit_code == code, done.output
        values: dict[str, Any] = json.loads(result.read_text())
        return values

    def labels(self, name: str, rows: pd.DataFrame) -> str:
        path = self.folder / name
        rows[["bottle", "cultivar"]].to_csv(path, index=False)
        return str(path)


def test_three_classes_are_trained_promoted_predicted_and_judged_by_late_labels(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    flow = Flow(tmp_path)
    flow.run(ingest)
    trained = flow.run(train)
    assert flow.run(promote)["verdict"] == "promote"
    client = MlflowClient(server, server)
    plots = client.list_artifacts(trained["run_id"], "cross_validation")
    assert "cross_validation/confusion.png" in [plot.path for plot in plots]
    version = client.get_model_version_by_alias("wine", "champion")
    assert str(version.version) == trained["model_version"]
    assert runs.registered_files(version)["model.skops"]

    predicted = flow.run(predict)
    found = pd.read_parquet(flow.work / predicted["predictions"])
    scores = found[[f"probability_barrel {number}" for number in range(3)]]
    assert scores.sum(axis=1).tolist() == pytest.approx([1.0] * len(found))
    assert (scores.idxmax(axis=1) == "probability_" + found["prediction"]).all()

    # The truth comes back: for the rows of the batch, and for bottles that nobody asked about.
    true = flow.run(monitor, "--labels", flow.labels("late.csv", flow.rows))["performance"]
    assert true["metric"] == "f1_macro"
    assert true["labelled"] == predicted["predicted"]
    assert true["value"] > 0.9
    assert not true["degraded"]


def test_labels_that_contradict_the_predictions_call_for_retraining(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    flow = Flow(tmp_path)
    text = SETTINGS.replace('model = "wine"', 'model = "other-wine"')
    (tmp_path / "pipeline.toml").write_text(text)
    for step in (ingest, train, promote, predict):
        flow.run(step)
    wrong = flow.rows.assign(cultivar=flow.rows["cultivar"].sample(frac=1, random_state=0).values)
    options = ["--labels", flow.labels("wrong.csv", wrong), "--exit-code"]
    watched = flow.run(monitor, *options, code=monitor.DRIFT_EXIT_CODE)
    assert watched["performance"]["degraded"]
    assert watched["performance"]["value"] < 0.6
    assert watched["drift"]["drifted_fraction"] == 0
    assert watched["retrain"]
