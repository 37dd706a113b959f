from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io

from pipeline.data.contract import CategoryColumn, NumberColumn, SchemaContract
from pipeline.errors import InputError
from pipeline.evaluation.metrics import Task
from pipeline.model.artifacts import check_types
from pipeline.model.features import build
from pipeline.settings import Family, Serialization

FAMILIES: list[Family] = ["histogram_gradient_boosting", "random_forest", "linear"]
TASKS: list[Task] = ["binary", "multiclass", "regression"]
NUMBER = NumberColumn(minimum=-9, maximum=9, null_rate=0)
CONTRACT = SchemaContract(
    model="m",
    target="y",
    features={
        "a": NUMBER,
        "c": CategoryColumn(categories=["x", "y"], null_rate=0),
        "b": NUMBER,
    },
)


def _data(task: Task, rows: int = 120) -> tuple[pd.DataFrame, pd.Series]:
    random = np.random.default_rng(0)
    features = pd.DataFrame({"a": random.normal(size=rows), "c": random.choice(["x", "y"], rows)})
    features = features.astype({"c": object}).assign(b=random.normal(size=rows))
    features.loc[::5, "a"] = np.nan
    features.loc[::7, "c"] = np.nan
    target = {
        "binary": random.choice(["p", "q"], rows),
        "multiclass": random.choice(["p", "q", "r"], rows),
        "regression": random.normal(size=rows),
    }[task]
    return features, pd.Series(target)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_takes_missing_values_and_new_categories_and_survives_skops(
    family: Family, task: Task, tmp_path: Path
) -> None:
    features, target = _data(task)
    size = {"histogram_gradient_boosting": {"max_iter": 5}, "random_forest": {"n_estimators": 5}}
    parameters = {"family": family, **size.get(family, {})}
    model = build(CONTRACT, task, parameters, seed=0).fit(features, target)
    trusted = Serialization().trusted_types
    skops.io.dump(model, tmp_path / "model.skops")
    check_types(tmp_path / "model.skops", trusted)
    again = skops.io.load(tmp_path / "model.skops", trusted=trusted)
    odd = features.assign(c="never seen").head()
    assert again.predict(odd).tolist() == model.predict(odd).tolist()
    assert again.predict(features).tolist() == model.predict(features).tolist()


def test_a_model_with_a_type_that_nobody_reviewed_is_refused(tmp_path: Path) -> None:
    features, target = _data("binary")
    model = build(CONTRACT, "binary", {"family": "random_forest"}, seed=0).fit(features, target)
    skops.io.dump(model, tmp_path / "model.skops")
    with pytest.raises(InputError, match=r"trusted_types under \[serialization\]: sklearn.tree"):
        check_types(tmp_path / "model.skops", ["numpy.dtype"])


def test_what_is_imputed_is_learnt_from_the_training_rows_only() -> None:
    features, target = _data("regression")
    model = build(CONTRACT, "regression", {"family": "linear"}, seed=0).fit(features, target)
    one = features.head(1).assign(a=np.nan)
    beside = pd.concat([one, one.assign(a=1000.0)])
    assert model.predict(beside)[0] == pytest.approx(model.predict(one)[0], rel=1e-12)
