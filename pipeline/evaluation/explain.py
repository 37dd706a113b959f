"""What a model relies on: permutation importance on held-out rows, and SHAP where it is wanted."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import SchemaContract
from pipeline.errors import InputError
from pipeline.evaluation.metrics import Undefined, compute
from pipeline.model.artifacts import ModelFacts
from pipeline.model.features import parts_of, unwrapped
from pipeline.model.scoring import score
from pipeline.settings import Settings
from pipeline.tracking import progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_MAX_ROWS = 2000
_MIN_ROWS = 200
# Rows times columns of what is predicted at once: 500 rows of 2,000 columns take 0.07 s.
_MAX_CELLS = 1_000_000
# Up to so many predictions each feature is shuffled by itself.
_LOOKS = 600
_GROUPS = 32
_FOUND = 20


@dataclass(frozen=True)
class Importance:
    """How much of the metric is lost when a feature's values are shuffled, with its spread.

    Of a wide table an entry may stand for several `features`, which were shuffled together.
    """

    feature: str
    loss: float
    spread: float
    features: int = 1


def permutation_importance(
    model: Any,
    features: "pd.DataFrame",
    target: "pd.Series",
    contract: SchemaContract,
    facts: ModelFacts,
    settings: Settings,
) -> list[Importance]:
    """Every feature, the most important first, on at most 2,000 rows.

    Of a table with many columns only the most important ones are looked at one by one, on fewer
    rows; what is left is shuffled and listed in groups.
    """
    metric = settings.metric
    looks = 0

    def scoring(fitted: Any, rows: "pd.DataFrame", truth: "pd.Series") -> float:
        nonlocal looks
        looks += 1
        progress.note(f"importance of {features.shape[1]} features, prediction {looks}")
        found = score(fitted, rows, truth, contract, facts.positive, facts.decision)
        try:
            return metric.sign * compute(metric.name, found)
        except Undefined:
            return float("nan")

    most = min(_MAX_ROWS, max(_MIN_ROWS, _MAX_CELLS // max(1, features.shape[1])))
    if len(features) > most:
        features = features.sample(most, random_state=settings.promotion.seed)
        target = target.loc[features.index]
    repeats, seed = settings.evaluation.importance_repeats, settings.promotion.seed
    if features.shape[1] * repeats <= _LOOKS:
        from sklearn.inspection import permutation_importance as permute

        found = permute(
            model, features, target, scoring=scoring, n_repeats=repeats, random_state=seed
        )
        rows = zip(features.columns, found.importances_mean, found.importances_std, strict=True)
        listed = [Importance(str(name), float(loss), float(spread)) for name, loss, spread in rows]
    else:
        listed = _of_wide(features, lambda rows: scoring(model, rows, target), repeats, seed)
    return sorted(listed, key=lambda entry: (-entry.loss, entry.feature))


def _of_wide(
    features: "pd.DataFrame", value: "Callable[[pd.DataFrame], float]", repeats: int, seed: int
) -> list[Importance]:
    """Features found by halving the group that loses most, until twenty stand alone.

    The time of one shuffle for each of thousands of columns would be hours. A feature whose loss
    is made up for by its neighbours' stays in its group, whose loss is told.
    """
    import numpy as np

    random, whole = np.random.default_rng(seed), value(features)

    def losses(group: list[str], times: int) -> list[float]:
        return [whole - value(_shuffled(features, group, random)) for _ in range(times)]

    def looked_at(group: list[str]) -> tuple[float, int, list[str]]:
        # The position breaks ties, so that equal losses are not ordered by their names.
        (loss,) = losses(group, 1)
        return (-loss if loss == loss else float("inf"), columns.index(group[0]), group)

    columns = [str(name) for name in features.columns]
    size = -(-len(columns) // _GROUPS)
    groups = [looked_at(columns[at : at + size]) for at in range(0, len(columns), size)]
    heapq.heapify(groups)
    alone: list[list[str]] = []
    looks = len(groups)
    while groups and len(alone) < _FOUND and looks < _LOOKS:
        group = heapq.heappop(groups)[2]
        if len(group) == 1:
            alone.append(group)
            continue
        half = len(group) // 2
        for part in (group[:half], group[half:]):
            heapq.heappush(groups, looked_at(part))
            looks += 1
    listed = []
    for group in alone:
        # Measured anew: what was chosen for its loss in one shuffle was lucky in it.
        again = losses(group, repeats)
        listed.append(Importance(group[0], float(np.mean(again)), float(np.std(again))))
    for loss, _, group in groups:
        name = group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}, {len(group)} together"
        listed.append(
            Importance(name, float("nan") if loss == float("inf") else -loss, 0, len(group))
        )
    return listed


def _shuffled(
    features: "pd.DataFrame", group: list[str], random: "np.random.Generator"
) -> "pd.DataFrame":
    """A copy with the rows of a group's columns in another order, the same for all of them."""
    mixed, order = features.copy(), random.permutation(len(features))
    for name in group:
        # In place: a frame of a block for each column costs more to predict than the shuffle.
        mixed.loc[:, name] = features[name].array[order]
    return mixed


def shap_importance(model: Any, features: "pd.DataFrame") -> dict[str, list[Importance]]:
    """Mean absolute SHAP value of each encoded feature, for each model of an average by itself.

    Their values have units of their own (log-odds, probabilities), so that they are not summed.
    Models of families without an explainer are left out. Raises InputError when trees need the
    optional package and it is not installed.
    """
    parts, found = parts_of(model), {}
    for number, (share, part) in enumerate(parts, start=1):
        listed = _shap_of(part, features)
        of = f", model {number}: {share:.0%} {type(unwrapped(part)).__name__}"
        if listed:
            found[f"SHAP, mean absolute value{of if len(parts) > 1 else ''}"] = listed
    return found


def _shap_of(part: Any, features: "pd.DataFrame") -> list[Importance] | None:
    import numpy as np

    encoder, estimator = part[:-1], unwrapped(part)
    rows = encoder.transform(features.head(_MAX_ROWS))
    rows = rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows, dtype=float)
    if hasattr(estimator, "coef_"):
        values = _linear_shap(estimator, rows)
    elif hasattr(estimator, "estimators_") or hasattr(estimator, "_predictors"):
        values = _tree_shap(estimator, rows)
    else:
        return None
    values = np.abs(values)
    if values.ndim == 3:
        values = values.mean(axis=2)
    names = [str(name) for name in encoder.get_feature_names_out()]
    listed = [
        Importance(name, float(column.mean()), float(column.std()))
        for name, column in zip(names, values.T, strict=True)
    ]
    return sorted(listed, key=lambda entry: (-entry.loss, entry.feature))


def _linear_shap(estimator: Any, rows: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Shape (rows, features, outputs): for independent features SHAP values have this closed form.

    Lundberg and Lee, A Unified Approach to Interpreting Model Predictions, 2017, corollary 1.
    """
    import numpy as np

    centred = rows - rows.mean(axis=0)
    values: NDArray[np.float64] = centred[:, :, None] * np.atleast_2d(estimator.coef_).T[None]
    return values


def _tree_shap(estimator: Any, rows: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    try:
        import shap
    except ImportError:
        raise InputError(
            "evaluation.shap = true needs the package shap for trees, which is not among the "
            "locked ones for its size: install it, or delete the line"
        ) from None
    return np.asarray(shap.TreeExplainer(estimator).shap_values(rows))
