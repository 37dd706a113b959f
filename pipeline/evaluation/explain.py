"""What a model relies on: permutation importance on held-out rows, and SHAP where it is wanted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import SchemaContract
from pipeline.errors import InputError
from pipeline.evaluation.metrics import Undefined, compute
from pipeline.model.artifacts import ModelFacts
from pipeline.model.features import parts_of, unwrapped
from pipeline.model.scoring import score
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_MAX_ROWS = 2000


@dataclass(frozen=True)
class Importance:
    """How much of the metric is lost when a feature's values are shuffled, with its spread."""

    feature: str
    loss: float
    spread: float


def permutation_importance(
    model: Any,
    features: "pd.DataFrame",
    target: "pd.Series",
    contract: SchemaContract,
    facts: ModelFacts,
    settings: Settings,
) -> list[Importance]:
    """Every feature, the most important first, on at most 2,000 rows."""
    from sklearn.inspection import permutation_importance as permute

    metric = settings.metric

    def scoring(fitted: Any, rows: "pd.DataFrame", truth: "pd.Series") -> float:
        found = score(fitted, rows, truth, contract, facts.positive, facts.decision)
        try:
            return metric.sign * compute(metric.name, found)
        except Undefined:
            return float("nan")

    if len(features) > _MAX_ROWS:
        features = features.sample(_MAX_ROWS, random_state=settings.promotion.seed)
        target = target.loc[features.index]
    found = permute(
        model,
        features,
        target,
        scoring=scoring,
        n_repeats=settings.evaluation.importance_repeats,
        random_state=settings.promotion.seed,
    )
    rows = zip(features.columns, found.importances_mean, found.importances_std, strict=True)
    listed = [Importance(str(name), float(loss), float(spread)) for name, loss, spread in rows]
    return sorted(listed, key=lambda entry: (-entry.loss, entry.feature))


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
