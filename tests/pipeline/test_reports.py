"""One model's life by files that are named by their day, and what its pages and history tell."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import ingest, models, monitor, predict, promote, rollback, train
from tests.pipeline.conftest import Run

pytestmark = pytest.mark.slow

SETTINGS = """
model = "voyage"

[data]
source = "train.csv"
target = "survived"
positive = "yes"
id_columns = ["passenger"]
subgroups = ["sex"]

[task]
type = "binary"
metric = "roc_auc"

[search]
families = ["linear"]
trials = 1
folds = 2

[evaluation]
plots = false
importance_repeats = 1

[promotion]
resamples = 100

[predict]
input = "batch-{date}.csv"

[monitor]
labels = "predictions/voyage/_labels/{date}.csv"
"""


def passengers(rows: int, first: int, older: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(first)
    sex = random.choice(["female", "male"], rows)
    age = random.normal(40 + older, 10, rows).round(1)
    survived = np.where(random.random(rows) < np.where(sex == "female", 0.8, 0.2), "yes", "no")
    ids = [f"{first + place:06}" for place in range(rows)]
    columns = {"passenger": ids, "sex": sex, "age": age, "survived": survived}
    return pd.DataFrame(columns)


def test_a_models_pages_and_history_tell_its_life(
    run_local: Run, mlflow_uri: str, settings_file: Path, folder: Path, tmp_path: Path
) -> None:
    def step(module: Any, *options: str, code: int = 0) -> dict[str, Any]:
        result = tmp_path / "result.json"
        run_local(module.main, *options, "--result", str(result), code=code)
        found: dict[str, Any] = json.loads(result.read_text())
        return found

    settings_file.write_text(SETTINGS)
    passengers(300, 1).to_csv(tmp_path / "train.csv", index=False)
    ingested = step(ingest)
    page = (folder / ingested["report"]).read_text()
    assert "<code>000001</code>" in page
    assert "female, male" in page

    step(train)
    promoted = step(promote)
    card = (folder / promoted["evaluation"]["card"]).read_text()
    for said in ("training rows<td>240", "LogisticRegression", "true positive rate", "sex = male"):
        assert said in card.replace("</th>", "").replace("<th>", "")

    # Each day's batch and labels are found by their names; labels in the store itself.
    labels = folder / "predictions/voyage/_labels"
    labels.mkdir(parents=True)
    for day, older in (("2026-03-01", 0.0), ("2026-03-02", 30.0)):
        batch = passengers(100, 9_000, older)
        if older:
            batch.loc[:39, "sex"] = "unknown"
        batch.drop(columns="survived").to_csv(tmp_path / f"batch-{day}.csv", index=False)
        batch[["passenger", "survived"]].to_csv(labels / f"{day}.csv", index=False)
        predicted = step(predict, "--date", day)
        assert (predicted["input"], predicted["date"]) == (f"batch-{day}.csv", day)
    watched = step(monitor)
    assert watched["date"] == "2026-03-02"
    assert watched["performance"]["labelled"] == 100
    report = (folder / watched["report"]).read_text()
    for said in ("Retraining is due", "<td>sex<td>40<td>40.0%", "2026-03-01", "<svg"):
        assert said in report

    changed = SETTINGS.replace("folds = 2", "folds = 3") + "\n[decision]\nthreshold = 0.3\n"
    settings_file.write_text(changed)
    step(train)
    assert step(promote)["verdict"] == "keep"
    found = step(models, "--html", str(tmp_path / "models.html"))
    states = {entry["model_version"]: entry["state"] for entry in found["versions"]}
    assert states["1"] == "champion"
    assert states["2"].startswith("kept out: roc_auc")
    assert [entry["kind"] for entry in found["champions"]] == ["promote"]
    assert "version 2" in (tmp_path / "models.html").read_text()
    assert found["versions"][0]["parameters"]["family"] == "linear"
    decisions = [entry["parameters"]["decision"] for entry in found["versions"]]
    assert decisions == ["fixed by the settings, threshold 0.3000", "the likeliest class"]


def test_a_batch_unlike_the_training_data_is_told_or_refused(
    run_local: Run, mlflow_uri: str, settings_file: Path, tmp_path: Path
) -> None:
    settings_file.write_text(SETTINGS)
    days = pd.date_range("2025-03-01", periods=300).strftime("%d.%m.%Y")
    rows = passengers(300, 1).assign(booked=days)
    rows.to_csv(tmp_path / "train.csv", index=False)
    for module in (ingest, train, promote):
        run_local(module.main)
    batch = rows.drop(columns="survived").astype(str)
    batch.loc[:99, "age"] = ""
    batch.loc[:2, "booked"] = "01.01.2099"
    batch.loc[1, "passenger"] = "000001"
    batch.to_csv(tmp_path / "batch-2026-03-01.csv", index=False)
    told = run_local(predict.main, "--date", "2026-03-01").output
    assert "age: 100 of 300 values are missing, at first 0%" in told
    assert "sex" not in told
    assert "booked: 3 of 300 times are far from all that training saw" in told
    labels = tmp_path / "labels.csv"
    rows[["passenger", "survived"]].to_csv(labels, index=False)
    watched = run_local(monitor.main, "--date", "2026-03-01", "--labels", str(labels)).output
    assert "booked: 3 times are far from all that training saw" in watched
    assert "1 predicted rows have the id of a later one" in watched
    # Of 300 rows one counts once, and the label of the passenger that is not there is left out.
    assert "on 299 labelled rows" in watched
    # Labels of another program, and the section that says how they are written.
    rows[["passenger", "survived"]].to_csv(labels, index=False, sep=";")
    asked = ("--date", "2026-03-01", "--labels", str(labels))
    assert "write under [monitor]" in run_local(monitor.main, *asked, code=2).output
    settings_file.write_text(SETTINGS.replace("[monitor]", '[monitor]\nseparator = ";"'))
    assert "on 299 labelled rows" in run_local(monitor.main, *asked).output
    # Advice for a batch stands where it leaves alone how the training data is read.
    batch.to_csv(tmp_path / "batch-2026-03-02.csv", index=False, sep=";")
    refused = run_local(predict.main, "--date", "2026-03-02", code=2).output
    assert "write under [predict]" in refused
    assert 'separator = ";"' in refused
    settings_file.write_text(SETTINGS.replace("[predict]", '[predict]\nseparator = ";"'))
    assert "predicted 300 rows" in run_local(predict.main, "--date", "2026-03-02").output


def test_a_version_that_was_rolled_back_is_shown_with_the_reason(
    run_local: Run, mlflow_uri: str, settings_file: Path, tmp_path: Path
) -> None:
    settings_file.write_text(SETTINGS)
    passengers(300, 1).to_csv(tmp_path / "train.csv", index=False)
    assert "no version yet" in run_local(models.main, code=2).output
    for module in (ingest, train, promote):
        run_local(module.main)
    settings_file.write_text(SETTINGS.replace("folds = 2", "folds = 3"))
    run_local(train.main)
    assert "no champion yet" not in run_local(models.main).output
    run_local(promote.main, "--floors-only")
    run_local(rollback.main, "--reason", "complaints")
    output = run_local(models.main).output
    assert "rolled back: complaints" in output
    assert "rollback  version 1" in output
