"""The metrics that settings may name: what each needs, which way is better, how it is computed.

A metric is prepared once for some predictions, and then computed for any weights of their rows: a
bootstrap draws rows by weighting them, so that it neither sorts nor copies them a thousand times.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.model import own

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights = NDArray[np.float64]

Task = Literal["binary", "multiclass", "regression"]
Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """One metric. `on` says what it compares the truth with: labels, or scores (probabilities).

    No value lies below `least` or above `most`; for one's own metrics nothing is known.
    """

    name: str
    tasks: tuple[Task, ...]
    direction: Direction
    on: Literal["label", "score"]
    least: float = -math.inf
    most: float = math.inf

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1

    def tolerance(self, wanted: float | None, value: float) -> float:
        """How much may be lost from a value: what the settings say, in units of the metric.

        By default it is 0.05, where the metric has no bounds that part of the value: no number
        suits errors in dollars and in kilometres.
        """
        if wanted is not None:
            return wanted
        bounded = self.least > -math.inf and self.most < math.inf
        return _TOLERATED if bounded else _TOLERATED * abs(value)


_TOLERATED = 0.05
_BINARY: tuple[Task, ...] = ("binary",)
_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_NUMBERS: tuple[Task, ...] = ("regression",)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", _CLASSES, "maximize", "score", 0, 1),
        Metric("average_precision", _CLASSES, "maximize", "score", 0, 1),
        Metric("log_loss", _CLASSES, "minimize", "score", 0),
        Metric("brier", _CLASSES, "minimize", "score", 0, 1),
        Metric("accuracy", _CLASSES, "maximize", "label", 0, 1),
        Metric("balanced_accuracy", _CLASSES, "maximize", "label", 0, 1),
        Metric("precision", _BINARY, "maximize", "label", 0, 1),
        Metric("recall", _BINARY, "maximize", "label", 0, 1),
        Metric("f1", _BINARY, "maximize", "label", 0, 1),
        Metric("f1_macro", _CLASSES, "maximize", "label", 0, 1),
        Metric("f1_weighted", _CLASSES, "maximize", "label", 0, 1),
        Metric("matthews", _CLASSES, "maximize", "label", -1, 1),
        Metric("kappa", _CLASSES, "maximize", "label", -1, 1),
        Metric("rmse", _NUMBERS, "minimize", "label", 0),
        Metric("mae", _NUMBERS, "minimize", "label", 0),
        Metric("median_ae", _NUMBERS, "minimize", "label", 0),
        Metric("mape", _NUMBERS, "minimize", "label", 0),
        Metric("rmsle", _NUMBERS, "minimize", "label", 0),
        Metric("r2", _NUMBERS, "maximize", "label", most=1),
    )
}


def register(metric: Metric) -> None:
    """Register the user's own metric, named by its import path."""
    METRICS[metric.name] = metric


def names_for(task: Task, chosen: str = "") -> list[str]:
    """The metrics that fit a task, by name; of one's own ones only the chosen one.

    Others belong to other models, whose settings were read in the same process.
    """
    return [
        metric.name
        for metric in METRICS.values()
        if task in metric.tasks and (":" not in metric.name or metric.name == chosen)
    ]


@dataclass(frozen=True)
class Scored:
    """Truth and predictions of the same n rows.

    For classification `truth` and `label` are class numbers (positions in `classes`) and `score`
    holds the probabilities, shape (n, classes). For regression all are the numbers themselves and
    `score` is None.
    """

    truth: "NDArray[np.float64] | NDArray[np.intp]"
    label: "NDArray[np.float64] | NDArray[np.intp]"
    score: "NDArray[np.float64] | None" = None
    classes: tuple[str, ...] = ()
    positive: int = 1

    def take(self, rows: "NDArray[np.intp]") -> "Scored":
        """The same for some of the rows, given by position (a row may come twice)."""
        score = None if self.score is None else self.score[rows]
        return Scored(self.truth[rows], self.label[rows], score, self.classes, self.positive)

    @property
    def absent(self) -> list[str]:
        """Classes that no row has: nothing can be said of them."""
        present = set(self.truth.tolist())
        return [name for place, name in enumerate(self.classes) if place not in present]


def baseline(scored: Scored) -> Scored:
    """Predictions of the best constant model for the same rows: what a model has to beat.

    Shares of the classes as probabilities and the most frequent class, or the mean.
    """
    import numpy as np

    rows = len(scored.truth)
    if scored.score is None:
        return Scored(scored.truth, np.full(rows, float(np.mean(scored.truth))))
    shares = np.bincount(scored.truth.astype(np.intp), minlength=len(scored.classes)) / rows
    most = np.full(rows, int(shares.argmax()))
    return Scored(scored.truth, most, np.tile(shares, (rows, 1)), scored.classes, scored.positive)


Computed = Callable[["Weights"], float]


class Undefined(ValueError):
    """A metric has no value on these rows."""


def prepare(name: str, scored: Scored) -> Computed:
    """A function from weights of the rows to the metric's value. It raises Undefined."""
    import numpy as np

    numbers = scored.label if scored.score is None else scored.score
    if not len(scored.truth):
        raise Undefined("there are no rows")
    if not np.isfinite(numbers).all():
        raise Undefined("the model predicts values that are no numbers")
    with np.errstate(all="ignore"):
        function = _FUNCTIONS[name](scored) if ":" not in name else _own(name, scored)

    def finite(weights: "Weights") -> float:
        with np.errstate(all="ignore"):
            value = float(function(weights))
        if not np.isfinite(value):
            raise Undefined(f"{name} is not a finite number on these rows")
        return value

    return finite


def _own(path: str, scored: Scored) -> Computed:
    """A metric of one's own: `function(truth, label, score, weight)`.

    `truth` and `label` are names of classes or numbers, `score` probabilities of shape (rows,
    classes) or None, `weight` how often each row counts.
    """
    import numpy as np

    function: Callable[..., float] = own.load(path)
    truth: Any = scored.truth
    label: Any = scored.label
    if scored.classes:
        names = np.array(scored.classes, dtype=object)
        truth, label = names[truth.astype(np.intp)], names[label.astype(np.intp)]

    def computed(weights: "Weights") -> float:
        return float(function(truth, label, scored.score, weights))

    return computed


def compute(name: str, scored: Scored) -> float:
    """The value of one metric.

    Raises Undefined where it has none, such as ROC AUC on rows of a single class.
    """
    import numpy as np

    return prepare(name, scored)(np.ones(len(scored.truth)))


def compute_all(task: Task, scored: Scored, chosen: str = "") -> dict[str, float]:
    """Every metric of the task that is defined on these rows, and the chosen one of one's own."""
    values = {}
    for name in names_for(task, chosen):
        try:
            values[name] = compute(name, scored)
        except Undefined:
            continue
    return values


def losses(scored: Scored) -> "NDArray[np.float64]":
    """A loss for each row, whatever the metric; its autocorrelation decides the block length."""
    import numpy as np

    if scored.score is None:
        found: NDArray[np.float64] = np.abs(scored.truth - scored.label)
        return found
    picked = scored.score[np.arange(len(scored.truth)), scored.truth.astype(np.intp)]
    lost: NDArray[np.float64] = 1.0 - picked
    return lost


def _mean(values: "NDArray[np.float64]") -> Computed:
    def computed(weights: "Weights") -> float:
        return float(weights @ values / weights.sum())

    return computed


def _one_against_rest(
    scored: Scored, make: Callable[["NDArray[np.bool_]", "NDArray[np.float64]"], Computed]
) -> Computed:
    """Of two classes the positive one's value; of several the mean over those that are there.

    A draw of a bootstrap may miss a rare class, which then does not count in it.
    """
    assert scored.score is not None
    places = range(len(scored.classes)) if len(scored.classes) > 2 else [scored.positive]
    parts = [
        make(scored.truth == place, scored.score[:, place])
        for place in places
        if 0 < (scored.truth == place).sum() < len(scored.truth)
    ]
    if not parts:
        raise Undefined("the rows are of a single class")

    def computed(weights: "Weights") -> float:
        values = []
        for part in parts:
            with suppress(Undefined):
                values.append(part(weights))
        if not values:
            raise Undefined("the rows are of a single class")
        return sum(values) / len(values)

    return computed


def _roc_auc(scored: Scored) -> Computed:
    return _one_against_rest(scored, _area)


def _area(positive: "NDArray[np.bool_]", score: "NDArray[np.float64]") -> Computed:
    """The Mann-Whitney form: how often a positive row has the higher score; ties count half."""
    import numpy as np

    order = np.argsort(score, kind="stable")
    ones = positive[order].astype(float)
    first = np.append(True, np.diff(score[order]) != 0)
    step = np.cumsum(first) - 1
    steps = int(step[-1]) + 1

    def computed(weights: "Weights") -> float:
        ordered = weights[order]
        good = np.bincount(step, ordered * ones, steps)
        bad = np.bincount(step, ordered * (1 - ones), steps)
        below = np.cumsum(bad) - bad
        pairs = good.sum() * bad.sum()
        if not pairs:
            raise Undefined("the rows are of a single class")
        return float((good * (below + bad / 2)).sum() / pairs)

    return computed


def _average_precision(scored: Scored) -> Computed:
    return _one_against_rest(scored, _precision_area)


def _precision_area(positive: "NDArray[np.bool_]", score: "NDArray[np.float64]") -> Computed:
    import numpy as np

    order = np.argsort(-score, kind="stable")
    ones = positive[order].astype(float)
    # Rows of equal score are one step: their order is unknown.
    last = np.append(np.diff(score[order]) != 0, True)

    def computed(weights: "Weights") -> float:
        ordered = weights[order]
        found = np.cumsum(ordered * ones)[last]
        seen = np.cumsum(ordered)[last]
        if not found[-1] or found[-1] == seen[-1]:
            raise Undefined("the rows are of a single class")
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        return float((np.diff(found, prepend=0) / found[-1] * precision).sum())

    return computed


def _log_loss(scored: Scored) -> Computed:
    import numpy as np

    assert scored.score is not None
    picked = scored.score[np.arange(len(scored.truth)), scored.truth.astype(np.intp)]
    return _mean(-np.log(np.clip(picked, np.finfo(np.float64).eps, 1.0)))


def _brier(scored: Scored) -> Computed:
    import numpy as np

    assert scored.score is not None
    if len(scored.classes) > 2:
        truth = np.eye(len(scored.classes))[scored.truth.astype(np.intp)]
        return _mean(((scored.score - truth) ** 2).sum(axis=1))
    found = (scored.truth == scored.positive).astype(float)
    return _mean((scored.score[:, scored.positive] - found) ** 2)


def _counts(scored: Scored, measure: "Callable[[NDArray[np.float64]], float]") -> Computed:
    """A metric of the confusion matrix: rows are true classes, columns predicted ones."""
    import numpy as np

    size = len(scored.classes)
    cell = (scored.truth * size + scored.label).astype(np.intp)

    def computed(weights: "Weights") -> float:
        counts = np.bincount(cell, weights, size * size).astype(np.float64)
        return measure(counts.reshape(size, size))

    return computed


def _accuracy(scored: Scored) -> Computed:
    return _mean((scored.truth == scored.label).astype(float))


def _balanced_accuracy(scored: Scored) -> Computed:
    def measure(counts: "NDArray[np.float64]") -> float:
        there = counts.sum(axis=1) > 0
        return float((counts.diagonal()[there] / counts.sum(axis=1)[there]).mean())

    return _counts(scored, measure)


def _of_positive(scored: Scored, name: str) -> Computed:
    place = scored.positive

    def measure(counts: "NDArray[np.float64]") -> float:
        hit = counts[place, place]
        true, predicted = counts[place].sum(), counts[:, place].sum()
        below = {"precision": predicted, "recall": true, "f1": (true + predicted) / 2}[name]
        if not true:
            raise Undefined("no row is positive")
        # No row is predicted positive, so precision is undefined.
        return float(hit / below) if below else 0.0

    return _counts(scored, measure)


def _precision(scored: Scored) -> Computed:
    return _of_positive(scored, "precision")


def _recall(scored: Scored) -> Computed:
    return _of_positive(scored, "recall")


def _f1(scored: Scored) -> Computed:
    return _of_positive(scored, "f1")


def _f1_of_each(counts: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], ...]":
    """F1 of each class that is true or predicted, and how many rows truly have it."""
    both = counts.sum(axis=0) + counts.sum(axis=1)
    there = both > 0
    return 2 * counts.diagonal()[there] / both[there], counts.sum(axis=1)[there]


def _f1_macro(scored: Scored) -> Computed:
    return _counts(scored, lambda counts: float(_f1_of_each(counts)[0].mean()))


def _f1_weighted(scored: Scored) -> Computed:
    def measure(counts: "NDArray[np.float64]") -> float:
        each, rows = _f1_of_each(counts)
        return float(each @ rows / rows.sum())

    return _counts(scored, measure)


def _matthews(scored: Scored) -> Computed:
    def measure(counts: "NDArray[np.float64]") -> float:
        true, predicted, rows = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
        above = counts.trace() * rows - true @ predicted
        below = ((rows**2 - predicted @ predicted) * (rows**2 - true @ true)) ** 0.5
        if rows**2 == true @ true:
            raise Undefined("the rows are of a single class")
        return float(above / below) if below else 0.0

    return _counts(scored, measure)


def _kappa(scored: Scored) -> Computed:
    """Cohen's, without weights."""

    def measure(counts: "NDArray[np.float64]") -> float:
        rows = counts.sum()
        chance = float(counts.sum(axis=1) @ counts.sum(axis=0)) / rows**2
        if chance == 1:
            raise Undefined("the rows and the predictions are of a single class")
        return float((counts.trace() / rows - chance) / (1 - chance))

    return _counts(scored, measure)


def _rmse(scored: Scored) -> Computed:
    square = _mean(_errors(scored) ** 2)
    return lambda weights: float(square(weights) ** 0.5)


def _errors(scored: Scored) -> "NDArray[np.float64]":
    found: NDArray[np.float64] = abs(scored.truth.astype(float) - scored.label.astype(float))
    return found


def _mae(scored: Scored) -> Computed:
    return _mean(_errors(scored))


def _median_ae(scored: Scored) -> Computed:
    import numpy as np

    errors = _errors(scored)
    order = np.argsort(errors, kind="stable")
    ordered = errors[order]

    def computed(weights: "Weights") -> float:
        reached = np.cumsum(weights[order])
        half = reached[-1] / 2
        low, high = np.searchsorted(reached, half), np.searchsorted(reached, half, side="right")
        return float((ordered[low] + ordered[min(high, len(ordered) - 1)]) / 2)

    return computed


def _mape(scored: Scored) -> Computed:
    """As a fraction; not defined where a true value is 0."""
    if not scored.truth.all():
        raise Undefined("a true value is 0")
    return _mean(_errors(scored) / abs(scored.truth.astype(float)))


def _rmsle(scored: Scored) -> Computed:
    """Of log(1 + value); predictions below 0 count as 0."""
    import numpy as np

    if (scored.truth <= -1).any():
        raise Undefined("a true value is -1 or less")
    truth, label = scored.truth.astype(np.float64), scored.label.astype(np.float64)
    gap: Any = np.log1p(truth) - np.log1p(np.maximum(label, 0.0))
    square = _mean(gap**2)
    return lambda weights: float(square(weights) ** 0.5)


def _r2(scored: Scored) -> Computed:
    rest = _mean(_errors(scored) ** 2)
    truth = scored.truth.astype(float)
    mean, square = _mean(truth), _mean((truth - truth.mean()) ** 2)

    def computed(weights: "Weights") -> float:
        spread = square(weights) - (mean(weights) - truth.mean()) ** 2
        if spread <= 0:
            raise Undefined("the target is constant")
        return float(1 - rest(weights) / spread)

    return computed


_FUNCTIONS: Mapping[str, Callable[[Scored], Computed]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "f1_weighted": _f1_weighted,
    "matthews": _matthews,
    "kappa": _kappa,
    "rmse": _rmse,
    "mae": _mae,
    "median_ae": _median_ae,
    "mape": _mape,
    "rmsle": _rmsle,
    "r2": _r2,
}
