"""What monitor does with predictions and labels that are not as they should be."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import monitor
from pipeline.data.contract import IdColumn, NumberColumn, SchemaContract
from pipeline.errors import InputError
from pipeline.model.artifacts import ModelFacts
from pipeline.model.batch import write_predictions
from pipeline.reading.files import find
from pipeline.settings import Settings
from pipeline.step import Workspace
from tests.pipeline.conftest import Run

CONTRACT = SchemaContract(
    model="small",
    target="y",
    features={"size": NumberColumn(minimum=-10, maximum=10, null_rate=0.1)},
    others={"y": NumberColumn(minimum=-100, maximum=100), "id": IdColumn()},
    ids=["id"],
)


class Doubled:
    """A model of one number."""

    def get_params(self) -> dict[str, Any]:
        return {}

    def set_params(self) -> None:
        pass

    def predict(self, rows: pd.DataFrame) -> Any:
        return 2 * rows["size"].to_numpy()


@pytest.fixture
def regression(workspace: Workspace, make_settings: Callable[..., Settings]) -> Workspace:
    task = {"type": "regression", "metric": "rmse"}
    data = {"source": "x.csv", "target": "y", "positive": None, "id_columns": ["id"]}
    return replace(workspace, settings=make_settings(task=task, data=data))


def _rows(count: int = 40) -> pd.DataFrame:
    sizes = np.random.default_rng(0).normal(size=count)
    return pd.DataFrame({"id": range(count), "size": sizes})


def _predicted(workspace: Workspace, rows: pd.DataFrame, name: str) -> dict[str, Any]:
    """Predict rows from a file of this name; gives its manifest as predict leaves it."""
    assert workspace.folder is not None
    source, out = workspace.folder / name, workspace.folder / f"out-{name}"
    out.mkdir()
    write = rows.to_csv if name.endswith(".csv") else rows.to_parquet
    write(source, index=False)
    facts = ModelFacts(CONTRACT, "regression", None)
    counts = write_predictions(Doubled(), facts, find(source, name), out, workspace.settings)
    key = workspace.key("predictions", "date=2026-11-23", "model_version=1", f"{name}.parquet")
    if counts.predicted:
        workspace.store.send(out / "predictions.parquet", key)
    manifest = {
        "champion_sequence": 1,
        "model_version": "1",
        "date": "2026-11-23",
        "input": name,
        "rejected": counts.rejected,
        "predictions": key if counts.predicted else None,
        "contract": CONTRACT.model_copy(update={"features": {}}).model_dump(mode="json"),
        "positive": None,
        "reference": None,
    }
    place = ["_manifests", "date=2026-11-23", "model_version=1", f"{name}.json"]
    workspace.store.put(workspace.key("predictions", *place), json.dumps(manifest).encode())
    return manifest


def _labelled(workspace: Workspace, batch: pd.DataFrame, labels: str, **changes: Any) -> Any:
    assert workspace.folder is not None
    path = workspace.folder / "labels.csv"
    path.write_text(labels)
    contract = CONTRACT.model_copy(update=changes)
    return monitor._labelled(workspace, batch, str(path), contract)


@pytest.fixture
def batch(regression: Workspace) -> pd.DataFrame:
    return monitor._read(regression, [_predicted(regression, _rows(), "a.csv")])[0]


def test_one_batch_counts_once_whatever_files_it_came_in(regression: Workspace) -> None:
    rows = _rows()
    manifests = [
        _predicted(regression, rows, "a.csv"),
        _predicted(regression, rows, "b.parquet"),
        _predicted(regression, rows.sample(frac=1, random_state=1), "c.csv"),
        _predicted(regression, rows.assign(id=rows["id"] + 100), "d.csv"),
    ]
    found, warnings = monitor._read(regression, manifests)
    assert len(found) == 2 * len(rows)
    assert found["id"].is_unique
    assert [text.partition(" ")[0] for text in warnings] == ["b.parquet", "c.csv"]


def test_a_day_of_rejected_rows_alone_is_too_little_to_judge(
    regression: Workspace, run_local: Run
) -> None:
    _predicted(regression, _rows().assign(size=1e9), "a.csv")
    done = run_local(monitor.main, "--exit-code")
    assert "0 rows (40 rejected) are too few to judge" in done.output


def test_labels_need_an_id_to_be_joined_by(regression: Workspace, batch: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"joined by id: name id_columns under \[data\]"):
        _labelled(regression, batch, "y\n1\n", ids=[])
    with pytest.raises(InputError, match="the data lacks the columns id"):
        _labelled(regression, batch, "y,z\n1,2\n2,3\n3,4\n")
    with pytest.raises(InputError, match="predictions carry no id, by which labels are joined"):
        _labelled(regression, batch.drop(columns="id"), "id,y\n1,1\n")


def test_a_label_given_twice_counts_once_and_two_different_ones_are_refused(
    regression: Workspace, batch: pd.DataFrame
) -> None:
    once = "id,y\n" + "".join(f"{n},{n}.5\n" for n in range(20))
    found = _labelled(regression, batch, once + "3,3.5\n3,3.50\n7.0,7.5\n")
    assert found.rows["id"].tolist() == [str(n) for n in range(20)]
    assert found.rows["truth"].tolist() == [n + 0.5 for n in range(20)]
    with pytest.raises(InputError, match="two different labels for 1 ids, such as 3"):
        _labelled(regression, batch, once + "3,4\n")


def test_a_row_predicted_twice_is_judged_once_by_its_last_prediction(
    regression: Workspace, batch: pd.DataFrame
) -> None:
    again = pd.concat([batch, batch.iloc[:5].assign(prediction=99.0)], ignore_index=True)
    found = _labelled(regression, again, "id,y\n1,1\n30,2\n")
    assert found.rows.set_index("id")["prediction"].to_dict() == {
        "1": 99.0,
        "30": pytest.approx(batch["prediction"][30]),
    }
    assert "5 predicted rows have the id of a later one" in found.warnings[0]


def test_labels_of_which_none_can_be_read_are_refused_with_the_reason(
    regression: Workspace, batch: pd.DataFrame
) -> None:
    with pytest.raises(InputError, match=r"no label can be used: .*y: not a number: 2 labels"):
        _labelled(regression, batch, "id,y\n1,high\n2,low\n")
    with pytest.raises(InputError, match="each row lacks its label or its id"):
        _labelled(regression, batch, "id,y\n1,\n2,\n")


def test_labels_of_other_rows_are_named_with_both_ids(
    regression: Workspace, batch: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="it has ids such as x1, the predictions such as 0"):
        _labelled(regression, batch, "id,y\nx1,1\nx2,2\n")
