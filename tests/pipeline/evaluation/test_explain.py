import platform
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import VotingRegressor

from pipeline.data.contract import NumberColumn, SchemaContract
from pipeline.errors import InputError
from pipeline.evaluation.explain import permutation_importance, shap_importance
from pipeline.evaluation.metrics import Task
from pipeline.model.artifacts import ModelFacts
from pipeline.model.features import build
from pipeline.settings import Settings, parse_settings

pytestmark = pytest.mark.slow

CONTRACT = SchemaContract(
    model="m",
    target="y",
    features={
        name: NumberColumn(minimum=-10, maximum=10, null_rate=0) for name in ("strong", "weak")
    },
)


def _settings(task: Task) -> Settings:
    metric = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}[task]
    raw = {
        "model": "m",
        "data": {"source": "x", "target": "y"} | ({"positive": 1} if task == "binary" else {}),
        "task": {"type": task, "metric": metric},
    }
    return parse_settings(raw, origin="test")


def _fitted(family: str, task: Task) -> tuple[Any, pd.DataFrame]:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(200, 2)), columns=["strong", "weak"])
    number = 3 * rows["strong"] + 0.5 * rows["weak"]
    target = {
        "regression": number,
        "binary": number > 0,
        "multiclass": np.digitize(number, [-1, 1]),
    }[task]
    return build(CONTRACT, _settings(task), {"family": family}).fit(rows, target), rows


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_linear_model_is_explained_without_a_package(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    found = shap_importance(*_fitted("linear", task))
    assert list(found) == ["SHAP, mean absolute value"]
    assert [entry.feature for entry in found["SHAP, mean absolute value"]] == ["strong", "weak"]


def test_each_model_of_an_average_is_explained_by_itself() -> None:
    model, rows = _fitted("linear", "regression")
    other, _ = _fitted("linear", "regression")
    vote = VotingRegressor([("a", model), ("b", other)], weights=[1, 3])
    vote.estimators_ = [model, other]
    found = shap_importance(vote, rows)
    assert list(found) == [
        "SHAP, mean absolute value, model 1: 25% Ridge",
        "SHAP, mean absolute value, model 2: 75% Ridge",
    ]
    assert all([entry.feature for entry in part] == ["strong", "weak"] for part in found.values())


def test_shap_values_of_a_linear_model_add_up_to_its_prediction() -> None:
    from pipeline.evaluation.explain import _linear_shap

    model, rows = _fitted("linear", "regression")
    encoded = model[:-1].transform(rows)
    total = _linear_shap(model[-1], encoded).sum(axis=1)[:, 0]
    prediction = model.predict(rows)
    assert total.tolist() == pytest.approx((prediction - prediction.mean()).tolist())


@pytest.mark.parametrize("family", ["histogram_gradient_boosting", "random_forest"])
def test_trees_without_the_package_are_refused_with_what_to_do(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(InputError, match="needs the package shap for trees"):
        shap_importance(*_fitted(family, "binary"))


@pytest.mark.skipif(
    sys.platform == "darwin" and platform.machine() == "x86_64", reason="no numba for Intel Macs"
)
@pytest.mark.filterwarnings("ignore")  # of matplotlib and numba, at the package's import
@pytest.mark.parametrize("family", ["histogram_gradient_boosting", "random_forest"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_trees_are_explained_by_the_package(family: str, task: Task) -> None:
    found = shap_importance(*_fitted(family, task))["SHAP, mean absolute value"]
    assert [entry.feature for entry in found] == ["strong", "weak"]
    assert found[0].loss > 2 * found[1].loss


class _Sum:
    """Predicts 5, 3 and 2 times three of its columns together, and counts how often."""

    calls = 0

    def predict(self, rows: pd.DataFrame) -> Any:
        self.calls += 1
        kind = (rows["f0200"] == "b").to_numpy()
        return (5 * rows["f0007"] + 2 * rows["f0699"]).to_numpy() + 3 * kind


def test_of_a_wide_table_the_features_that_matter_are_found_with_few_predictions() -> None:
    random = np.random.default_rng(0)
    wide = pd.DataFrame(random.normal(size=(300, 700)).round(3))
    wide.columns = pd.Index([f"f{number:04}" for number in range(700)])
    wide["f0200"] = pd.Categorical(random.choice(["a", "b"], 300))
    model = _Sum()
    target = pd.Series(model.predict(wide))
    facts = ModelFacts(CONTRACT, "regression", None, None)
    before = wide.copy()
    found = permutation_importance(model, wide, target, CONTRACT, facts, _settings("regression"))
    assert [entry.feature for entry in found[:3]] == ["f0007", "f0699", "f0200"]
    # RMSE of a sum of which one term is drawn anew: the term's standard deviation times root 2.
    assert found[0].loss == pytest.approx(5 * 2**0.5, rel=0.15)
    assert all(entry.loss == 0 for entry in found[3:])
    assert any(entry.feature.endswith(" together") for entry in found)
    assert sum(entry.features for entry in found) == 700
    assert model.calls < 700
    pd.testing.assert_frame_equal(wide, before)


def test_of_a_table_that_is_not_wide_each_feature_is_shuffled_by_itself() -> None:
    model, rows = _fitted("linear", "regression")
    target = 3 * rows["strong"] + 0.5 * rows["weak"]
    facts = ModelFacts(CONTRACT, "regression", None, None)
    found = permutation_importance(model, rows, target, CONTRACT, facts, _settings("regression"))
    assert [entry.feature for entry in found] == ["strong", "weak"]
    assert all(entry.features == 1 for entry in found)
