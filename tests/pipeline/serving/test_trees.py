"""Few rows through all trees at once get the answers that scikit-learn gives, to the last bit."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from pipeline.serving.worker import trees

KINDS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
OPTIONS: dict[str, dict[str, Any]] = {
    "Hist": {"max_iter": 12},
    "Rand": {"n_estimators": 12},
    "Extr": {"n_estimators": 12},
}


def problem(kind: Any, classes: int, gaps: bool) -> tuple[Any, Any]:
    if "Regressor" in kind.__name__:
        rows, target = make_regression(200, 6, noise=3.0, random_state=0)
    else:
        rows, target = load_iris(return_X_y=True)
        rows, target = rows[target < classes], target[target < classes]
    if gaps:
        rows = np.where(np.random.default_rng(0).random(rows.shape) < 0.15, np.nan, rows)
    return rows, target


@pytest.mark.slow
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_the_answers_are_those_of_scikit_learn(kind: Any, classes: int, gaps: bool) -> None:
    rows, target = problem(kind, classes, gaps)
    model = kind(random_state=0, **OPTIONS[kind.__name__[:4]]).fit(rows, target)
    found = trees.function(model)
    assert found is not None
    theirs = getattr(model, "predict_proba", model.predict)
    # Values beyond all that was seen, and exactly on a threshold.
    odd = np.concatenate([rows, rows * 1e6, -rows, rows.astype(np.float32)])

    for size in (1, 3, trees.FEW_ROWS, trees.FEW_ROWS + 1):
        for start in range(0, len(odd) - size, 7 * size):
            part = odd[start : start + size]
            assert np.array_equal(found(part), theirs(part)), (start, size)


def test_a_tree_that_is_only_a_root_and_other_kinds() -> None:
    rows, target = load_iris(return_X_y=True)
    stump = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=1000).fit(rows, target)
    found = trees.function(stump)
    assert found is not None
    assert np.array_equal(found(rows[:2]), stump.predict_proba(rows[:2]))

    categorical = HistGradientBoostingClassifier(max_iter=2, categorical_features=[3])
    coded = np.column_stack([rows[:, :3], np.round(rows[:, 3])])
    assert trees.function(categorical.fit(coded, target)) is None
    assert trees.function(AdaBoostClassifier(n_estimators=2).fit(rows, target)) is None
