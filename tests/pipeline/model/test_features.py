"""What a trial's Pipeline is made of, family by family, and that it survives skops."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io

from pipeline.data.contract import CategoryColumn, NumberColumn, SchemaContract, TextColumn
from pipeline.errors import InputError
from pipeline.evaluation.metrics import Task
from pipeline.model import families
from pipeline.model.artifacts import check_types
from pipeline.model.features import (
    build,
    calibrated,
    check_space,
    default,
    fit,
    one_thread,
    unwrapped,
)
from pipeline.model.preprocess import Inputs, coded, imputed
from pipeline.settings import Serialization, Settings

pytestmark = pytest.mark.slow

Make = Callable[..., Settings]
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
    others={"y": CategoryColumn(categories=["p", "q"])},
)
QUICK: dict[str, dict[str, int]] = {
    "histogram_gradient_boosting": {"max_iter": 5},
    "random_forest": {"n_estimators": 5},
    "extra_trees": {"n_estimators": 5},
    "lightgbm": {"n_estimators": 5},
    "xgboost": {"n_estimators": 5},
    "catboost": {"iterations": 5},
    "linear": {},
}
METRIC: dict[str, str] = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}


def _settings(make_settings: Make, task: str = "binary", **changes: Any) -> Settings:
    data = {"source": "x.csv", "target": "y", "positive": "p" if task == "binary" else None}
    wanted = {"type": task, "metric": METRIC[task], **changes.pop("options", {})}
    return make_settings(data=data, task=wanted, search={"space": {}}, **changes)


def _data(task: str, rows: int = 120) -> tuple[pd.DataFrame, pd.Series]:
    random = np.random.default_rng(0)
    features = pd.DataFrame({"a": random.normal(size=rows), "c": random.choice(["x", "y"], rows)})
    features = features.astype({"c": object}).assign(b=random.normal(size=rows))
    features.loc[::5, "a"] = np.nan
    features.loc[::7, "c"] = np.nan
    target = {
        "binary": random.choice(["p", "q"], rows),
        "multiclass": random.choice(["p", "q", "r"], rows),
        "regression": random.normal(size=rows) ** 2,
    }[task]
    return features, pd.Series(target)


def _saved(model: Any, folder: Path) -> Any:
    """The model as it comes back from a file, under the reviewed types alone."""
    trusted = Serialization().trusted_types
    skops.io.dump(model, folder / "model.skops")
    check_types(folder / "model.skops", trusted)
    return skops.io.load(folder / "model.skops", trusted=trusted)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", QUICK)
@pytest.mark.slow
def test_each_family_takes_missing_values_and_new_categories_and_survives_skops(
    make_settings: Make, family: str, task: Task, tmp_path: Path
) -> None:
    features, target = _data(task)
    settings = _settings(make_settings, task)
    model = build(CONTRACT, settings, {"family": family, **QUICK[family]})
    model.fit(features, target)
    one_thread(model)
    again = _saved(model, tmp_path)
    odd = features.assign(c="never seen").head()
    assert again.predict(odd).tolist() == model.predict(odd).tolist()
    assert again.predict(features).tolist() == model.predict(features).tolist()
    if task != "regression":
        assert set(again.classes_) == set(target)


def test_every_family_is_tried_and_its_file_has_what_it_needs() -> None:
    assert set(QUICK) == set(families.NAMES)
    for name in families.NAMES:
        found = families.family(name)
        assert name == found.NAME
        assert all(len(bounds) >= 2 for bounds in found.SPACE.values())


def test_a_family_whose_package_is_not_installed_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(families, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"-r pyproject\.toml --extra boosting"):
        families.family("lightgbm")
    assert families.family("linear")


@pytest.mark.parametrize("family", QUICK)
def test_the_first_trial_is_the_librarys_own_default(make_settings: Make, family: str) -> None:
    settings = _settings(make_settings)
    assert default(family, CONTRACT, settings) == {"family": family}


def test_a_range_of_the_settings_that_leaves_the_default_out_begins_at_its_low_end(
    make_settings: Make,
) -> None:
    space = {"random_forest": {"n_estimators": [3, 4], "min_samples_leaf": [1, 9]}}
    settings = make_settings(search={"space": space})
    found = default("random_forest", CONTRACT, settings)
    assert found == {"family": "random_forest", "n_estimators": 3}


@pytest.mark.parametrize("task", TASKS)
def test_a_linear_model_may_be_without_regularisation(make_settings: Make, task: Task) -> None:
    features, target = _data(task)
    options = {"family": "linear", "strength": 0.0}
    model = build(CONTRACT, _settings(make_settings, task), options).fit(features, target)
    assert len(model.predict(features)) == len(features)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"n_trees": [3, 4]}, r"random_forest names n_trees; it has .*n_estimators"),
        ({"n_estimators": [-3, 4]}, "n_estimators"),
        ({"max_features": ["some"]}, "max_features"),
    ],
)
def test_a_space_that_the_library_does_not_take_is_refused(
    make_settings: Make, space: dict[str, Any], message: str
) -> None:
    search = {"families": ["random_forest"], "space": {"random_forest": space}}
    with pytest.raises(InputError, match=message):
        check_space(CONTRACT, make_settings(search=search))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"random_forest": {"max_depth": [9, 3]}}, "goes from 9 to 3: write the smaller one"),
        ({"random_forest": {"max_depth": []}}, "is empty: write two numbers or a list"),
        ({"forest": {}}, "not 'forest'"),
    ],
)
def test_a_space_that_is_none_is_refused(
    make_settings: Make, space: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_settings(search={"space": space})


@pytest.mark.slow
@pytest.mark.parametrize("family", ["linear", "histogram_gradient_boosting", "xgboost", "catboost"])
@pytest.mark.parametrize("words", ["tfidf", "hashing"])
def test_texts_are_learnt_by_their_words(
    make_settings: Make, family: str, words: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    target = random.choice(["p", "q"], 200)
    texts = [f"{'good' if y == 'p' else 'poor'} thing number {n % 9}" for n, y in enumerate(target)]
    features = pd.DataFrame({"a": random.normal(size=200), "t": texts}).astype({"t": object})
    features.loc[::9, "t"] = ""
    contract = CONTRACT.model_copy(update={"features": {"a": NUMBER, "t": TextColumn()}})
    settings = _settings(make_settings, features={"text": words, "text_size": 64})
    options = {**QUICK[family], **({"n_estimators": 20} if family == "xgboost" else {})}
    model = build(contract, settings, {"family": family, **options})
    model.fit(features, target)
    kept = features["t"] != ""
    assert (model.predict(features[kept]) == target[kept]).mean() > 0.95
    again = _saved(model, tmp_path)
    assert again.predict(features).tolist() == model.predict(features).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["log1p", "sqrt", "yeo-johnson", "quantile"])
def test_a_target_may_be_learnt_on_another_scale(
    make_settings: Make, scale: str, tmp_path: Path
) -> None:
    features, _ = _data("regression", 400)
    target = np.exp(1 + features["b"])
    settings = _settings(make_settings, "regression", options={"target_transform": scale})
    model = build(CONTRACT, settings, {"family": "linear"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer rows than quantiles
        fit(model, features, target, settings)
    plain = build(CONTRACT, _settings(make_settings, "regression"), {"family": "linear"})
    plain.fit(features, target)

    def error(fitted: Any) -> float:
        return float(abs(fitted.predict(features) - target).mean())

    assert error(model) < error(plain)
    assert _saved(model, tmp_path).predict(features).tolist() == model.predict(features).tolist()
    assert hasattr(unwrapped(model), "coef_")


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["balanced", {"p": 20.0}])
@pytest.mark.parametrize("family", ["linear", "xgboost", "catboost"])
def test_classes_may_be_weighted(make_settings: Make, family: str, weights: Any) -> None:
    features, _ = _data("binary", 400)
    often = (features["b"] > 1.6) & (features.index % 3 > 0)
    rare = pd.Series(np.where(often, "p", "q"))
    found = []
    plain: dict[str, Any] = {}
    for options in (plain, {"class_weight": weights}):
        settings = _settings(make_settings, options=options)
        model = build(CONTRACT, settings, {"family": family, **QUICK[family]})
        fit(model, features, rare, settings)
        found.append((model.predict(features) == "p").sum())
    assert found[1] > found[0]


def test_a_weight_of_a_class_that_is_none_is_refused(make_settings: Make) -> None:
    features, target = _data("binary")
    settings = _settings(make_settings, options={"class_weight": {"maybe": 2.0}})
    with pytest.raises(InputError, match="names maybe; the classes are p, q"):
        fit(build(CONTRACT, settings, {"family": "linear"}), features, target, settings)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.slow
def test_calibrated_probabilities_come_true_as_often_as_they_say(
    make_settings: Make, method: str, forward: bool, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    rows = 1500
    features, _ = _data("binary", rows)
    chance = 1 / (1 + np.exp(-2 * features["b"]))
    target = pd.Series(np.where(random.random(rows) < chance, "p", "q"))
    settings = _settings(make_settings, options={"calibration": method})
    order = np.arange(rows)
    halves = [(order[: rows // 2], order[rows // 2 :]), (order[rows // 2 :], order[: rows // 2])]
    folds = halves[:1] if forward else halves
    plain = build(CONTRACT, settings, {"family": "random_forest", "n_estimators": 20})
    model = calibrated(plain, features, target, folds, settings)
    raw = build(CONTRACT, settings, {"family": "random_forest", "n_estimators": 20})
    raw.fit(features.iloc[: rows // 2], target.iloc[: rows // 2])
    fresh, _ = _data("binary", rows)
    fresh["b"] = random.normal(size=rows)
    truth = 1 / (1 + np.exp(-2 * fresh["b"]))

    def error(fitted: Any) -> float:
        return float(abs(fitted.predict_proba(fresh)[:, 0] - truth).mean())

    assert error(model) < error(raw)
    again = _saved(model, tmp_path)
    assert again.predict_proba(fresh).tolist() == model.predict_proba(fresh).tolist()


def test_a_model_with_a_type_that_nobody_reviewed_is_refused(
    make_settings: Make, tmp_path: Path
) -> None:
    features, target = _data("binary")
    model = build(CONTRACT, _settings(make_settings), {"family": "random_forest"})
    skops.io.dump(model.fit(features, target), tmp_path / "model.skops")
    with pytest.raises(InputError, match=r"trusted_types under \[serialization\]: sklearn\.tree"):
        check_types(tmp_path / "model.skops", ["numpy.dtype"])


def test_what_is_imputed_is_learnt_from_the_training_rows_only(make_settings: Make) -> None:
    features, target = _data("regression")
    model = build(CONTRACT, _settings(make_settings, "regression"), {"family": "linear"})
    model.fit(features, target)
    one = features.head(1).assign(a=np.nan)
    beside = pd.concat([one, one.assign(a=1000.0)])
    assert model.predict(beside)[0] == pytest.approx(model.predict(one)[0], rel=1e-12)


@pytest.mark.parametrize("prepare", [lambda of: imputed(of, scaled=True), coded])
def test_a_missing_text_is_the_same_as_none_and_as_not_a_number(
    prepare: Callable[[Inputs], Any],
) -> None:
    """MLflow's own server hands None to a model (mlflow/mlflow#4827)."""
    texts = pd.Series(["a", "b", np.nan, "a"], dtype=object)
    rows = pd.DataFrame({"n": [1.0, 2.0, 3.0, 4.0], "c": texts})
    fitted = prepare(Inputs(["n"], ["c"])).fit(rows)
    none = rows.iloc[2:3].assign(c=pd.Series([None], dtype=object, index=[2]))
    np.testing.assert_array_equal(fitted.transform(none), fitted.transform(rows.iloc[2:3]))
