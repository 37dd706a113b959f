"""Small models, good and odd ones, as the files of a champion's record or of a challenger."""

import hashlib
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer

from pipeline.data.contract import SchemaContract, conform, frame
from pipeline.data.infer import infer
from pipeline.model import families
from pipeline.model.artifacts import CARD_FILE, MODEL_FILE, ModelFacts
from pipeline.model.champion import Champion, FileRecords, MetricValue, PinnedFile
from pipeline.model.features import build
from pipeline.settings import Settings, parse_settings
from pipeline.storage import FolderStore

NAME = "small"
ODD = f"{__name__}.Odd"
TRUSTED = [*families.trusted_types(), ODD]


class Odd(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that misbehaves when a marked row comes, one whose size is "marked".

    `mode` is fail, crash, hang or slow; `always` leaves the mark out of account.
    """

    def __init__(self, mode: str = "fail", always: bool = False, seconds: float = 0.3) -> None:
        self.mode, self.always, self.seconds = mode, always, seconds

    def fit(self, table: Any, target: Any) -> "Odd":
        self.classes_ = np.unique(target)
        self.feature_names_in_ = np.array(list(table), dtype=object)
        return self

    def predict_proba(self, table: Any) -> Any:
        marked = bool((table["size"] == "marked").any())
        # The two rows by which a model is tried when it is loaded must get through.
        if (self.always and len(table) > 2) or marked:
            self._misbehave()
        return np.tile([0.25, 0.75], (len(table), 1))

    def _misbehave(self) -> None:
        if self.mode == "crash":
            os._exit(11)
        if self.mode == "fail":
            raise RuntimeError("no")
        time.sleep(3600 if self.mode == "hang" else self.seconds)


@cache
def data() -> pd.DataFrame:
    """Eight columns, among them a category, one of truth values and a date, and the target."""
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.iloc[:, :5].copy()
    table["size"] = np.where(table["mean radius"] > 14, "large", "small")
    table["painful"] = np.where(table["mean texture"] > 19, "yes", "no")
    table["seen"] = pd.date_range("2025-01-01", periods=len(table), freq="37h").astype(str)
    table["diagnosis"] = np.where(bunch.target == 0, "malignant", "benign")
    found: pd.DataFrame = table
    return found


def features() -> pd.DataFrame:
    """The columns as a client has them."""
    return data().drop(columns="diagnosis")


def inputs() -> pd.DataFrame:
    """The same as the model is given them."""
    return frame(conform(pyarrow.RecordBatch.from_pandas(features()), contract()).columns)


@cache
def settings() -> Settings:
    raw = {
        "model": NAME,
        "data": {"source": "x.csv", "target": "diagnosis", "positive": "malignant"},
        "task": {"type": "binary", "metric": "roc_auc"},
    }
    return parse_settings(raw, origin="test")


@cache
def contract() -> SchemaContract:
    return infer(pyarrow.Table.from_pandas(data()), settings()).contract


@cache
def fitted(family: str = "linear", *, flipped: bool = False) -> Any:
    """A real model; a flipped one learnt the opposite."""
    target = data()["diagnosis"]
    if flipped:
        target = target.map({"malignant": "benign", "benign": "malignant"})
    model = build(contract(), settings(), {"family": family})
    return model.fit(inputs(), target)


def odd(mode: str, *, always: bool = False, seconds: float = 0.3) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline([("model", Odd(mode, always, seconds))]).fit(inputs(), data()["diagnosis"])


def facts() -> ModelFacts:
    return ModelFacts(contract(), "binary", "malignant")


def store_files(folder: Path, model: Any, card: bytes | None = None) -> dict[str, PinnedFile]:
    """Put a model's files into a local folder's store, pinned."""
    store, files = FolderStore(folder), {}
    for name, content in (
        (MODEL_FILE, model if isinstance(model, bytes) else skops.io.dumps(model)),
        (CARD_FILE, card or facts().dump()),
    ):
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"decisions/{NAME}/files/{sha256}"
        store.put(key, content)
        files[name] = PinnedFile(key=key, version=None, sha256=sha256)
    return files


def promote(folder: Path, version: str, model: Any, **changes: Any) -> Champion:
    """Make a model the champion of record of a local folder."""
    champion = Champion(
        model=NAME,
        sequence=int(version),
        model_version=version,
        run_id=f"run-{version}",
        metric=MetricValue(name="roc_auc", value=1, low=1, high=1),
        files=store_files(folder, model),
        changed_at="2026-11-28T00:00:00+00:00",
    ).model_copy(update=changes)
    FileRecords(folder / "champion" / NAME).write(champion)
    return champion


def promote_next(folder: Path, model: Any, **changes: Any) -> str:
    """Make a model the next champion of record; the answer is its version."""
    last = FileRecords(folder / "champion" / NAME).read()[0]
    version = str(last.sequence + 1) if last else "1"
    promote(folder, version, model, **changes)
    return version


def rows(count: int = 1) -> list[dict[str, Any]]:
    """Rows of the data as JSON would hold them."""
    table = features().head(count)
    return [dict(zip(map(str, table), row, strict=True)) for row in table.values.tolist()]


def split(table: pd.DataFrame) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(table), "data": table.values.tolist()}}


def marked() -> dict[str, Any]:
    """A row that Odd misbehaves on; the contract allows it."""
    return {**rows()[0], "size": "marked"}


def labels(model: Any, count: int | None = None) -> Sequence[str]:
    """What a model says of the data, called as scikit-learn calls it."""
    found: list[str] = model.predict(inputs().head(count or len(data()))).tolist()
    return found
