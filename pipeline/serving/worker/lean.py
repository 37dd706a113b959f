"""What fitted steps of scikit-learn compute, without what they check on every call.

On one row the checks of input, tags and namespaces are nearly all of a step's time. Each function
here is the arithmetic of one step, in the same order, so that it rounds the same. Nothing relies on
that: direct_or_same tries whole models against scikit-learn when they are loaded.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Function = Callable[["NDArray[Any]"], "NDArray[Any]"]


def transform(step: Any) -> Function | None:
    """A transformer's arithmetic on numbers; None for one that is not known here."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    # A subclass may do anything, so the very type is asked for.
    if type(step) is Pipeline:
        return _chained([transform(part) for _, part in step.steps])
    if type(step) is SimpleImputer:
        return _imputer(step)
    if type(step) is StandardScaler:
        return _scaler(step)
    return None


def chances(model: Any) -> Function | None:
    """The `predict_proba` of a linear model; None for one that is not known here."""
    from scipy.special import expit  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression
    from sklearn.utils.extmath import softmax

    if type(model) is not LogisticRegression:
        return None
    import numpy as np

    weights, intercept = model.coef_.T, model.intercept_
    if len(model.classes_) > 2:
        return lambda rows: softmax(rows @ weights + intercept, copy=False)

    def of_two(rows: "NDArray[Any]") -> "NDArray[Any]":
        second = expit((rows @ weights + intercept).reshape(-1))
        return np.stack([1 - second, second], axis=1)

    return of_two


def _chained(parts: list[Function | None]) -> Function | None:
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
        return None

    def run(rows: "NDArray[Any]") -> "NDArray[Any]":
        for part in known:
            rows = part(rows)
        return rows

    return run


def _imputer(step: Any) -> Function | None:
    import numpy as np

    fill = np.asarray(step.statistics_)
    missing = step.missing_values
    is_nan = isinstance(missing, float) and np.isnan(missing)
    if fill.dtype != float or np.isnan(fill).any() or not is_nan:
        return None
    marked = step.indicator_.features_ if step.add_indicator else np.empty(0, dtype=int)

    def run(rows: "NDArray[np.float64]") -> "NDArray[np.float64]":
        gaps = np.isnan(rows)
        filled: NDArray[np.float64] = np.where(gaps, fill, rows)
        return np.hstack([filled, gaps[:, marked]]) if len(marked) else filled

    return run


def _scaler(step: Any) -> Function:
    mean, scale = step.mean_ if step.with_mean else None, step.scale_

    def run(rows: "NDArray[Any]") -> "NDArray[Any]":
        rows = rows if mean is None else rows - mean
        return rows if scale is None else rows / scale

    return run
