"""The metrics that settings may name: what each needs, which way is better, how it is computed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Task = Literal["binary", "multiclass", "regression"]
Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """One metric. `on` says what it compares the truth with: labels, or scores (probabilities)."""

    name: str
    tasks: tuple[Task, ...]
    direction: Direction
    on: Literal["label", "score"]

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1


# A bootstrap computes a metric thousands of times, so most are written out here in a line or two
# of numpy; the tests hold them to scikit-learn's.
_BINARY: tuple[Task, ...] = ("binary",)
_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_NUMBERS: tuple[Task, ...] = ("regression",)

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", _CLASSES, "maximize", "score"),
        Metric("average_precision", _BINARY, "maximize", "score"),
        Metric("log_loss", _CLASSES, "minimize", "score"),
        Metric("brier", _BINARY, "minimize", "score"),
        Metric("accuracy", _CLASSES, "maximize", "label"),
        Metric("balanced_accuracy", _CLASSES, "maximize", "label"),
        Metric("f1", _BINARY, "maximize", "label"),
        Metric("f1_macro", _CLASSES, "maximize", "label"),
        Metric("rmse", _NUMBERS, "minimize", "label"),
        Metric("mae", _NUMBERS, "minimize", "label"),
        Metric("median_ae", _NUMBERS, "minimize", "label"),
        Metric("r2", _NUMBERS, "maximize", "label"),
    )
}


def names_for(task: Task) -> list[str]:
    """The metrics that fit a task, by name."""
    return [metric.name for metric in METRICS.values() if task in metric.tasks]


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


def compute(name: str, scored: Scored) -> float:
    """The value of one metric.

    Raises ValueError where it is not defined, such as ROC AUC on rows of a single class.
    """
    return float(_FUNCTIONS[name](scored))


def compute_all(task: Task, scored: Scored) -> dict[str, float]:
    """Every metric of the task that is defined on these rows."""
    values = {}
    for name in names_for(task):
        try:
            values[name] = compute(name, scored)
        except ValueError:
            continue
    return values


def _positive(scored: Scored) -> "NDArray[np.float64]":
    assert scored.score is not None
    return scored.score[:, scored.positive]


def _is_positive(scored: Scored) -> "NDArray[np.bool_]":
    found: NDArray[np.bool_] = scored.truth == scored.positive
    if found.all() or not found.any():
        raise ValueError("rows of a single class")
    return found


def _roc_auc(scored: Scored) -> float:
    if len(scored.classes) > 2:
        from sklearn.metrics import roc_auc_score

        labels = range(len(scored.classes))
        return float(
            roc_auc_score(scored.truth, scored.score, multi_class="ovr", labels=list(labels))
        )
    # The Mann-Whitney form: one ranking, so that a thousand bootstrap samples stay cheap.
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    positive = _is_positive(scored)
    ones = int(positive.sum())
    zeros = len(positive) - ones
    rank_sum = float(rankdata(_positive(scored))[positive].sum())
    return (rank_sum - ones * (ones + 1) / 2) / (ones * zeros)


def _average_precision(scored: Scored) -> float:
    import numpy as np

    positive, scores = _is_positive(scored), _positive(scored)
    order = np.argsort(-scores, kind="stable")
    # Rows of equal score are one step: they cannot be told apart.
    last = np.append(np.diff(scores[order]) != 0, True)
    found = np.cumsum(positive[order])[last]
    precision = found / (np.flatnonzero(last) + 1)
    return float((np.diff(found, prepend=0) / positive.sum() * precision).sum())


def _log_loss(scored: Scored) -> float:
    import numpy as np

    assert scored.score is not None
    picked = scored.score[np.arange(len(scored.truth)), scored.truth.astype(np.intp)]
    return float(-np.log(np.clip(picked, np.finfo(np.float64).eps, 1.0)).mean())


def _brier(scored: Scored) -> float:
    return float(((_positive(scored) - (scored.truth == scored.positive)) ** 2).mean())


def _accuracy(scored: Scored) -> float:
    return float((scored.truth == scored.label).mean())


def _balanced_accuracy(scored: Scored) -> float:
    import numpy as np

    present = np.unique(scored.truth)
    return float(
        np.mean([(scored.label[scored.truth == value] == value).mean() for value in present])
    )


def _f1_of(scored: Scored, value: int) -> float:
    truth, label = scored.truth == value, scored.label == value
    both = int(truth.sum()) + int(label.sum())
    return 2 * float((truth & label).sum()) / both if both else 0.0


def _f1(scored: Scored) -> float:
    return _f1_of(scored, scored.positive)


def _f1_macro(scored: Scored) -> float:
    import numpy as np

    present = np.union1d(scored.truth, scored.label)
    return float(np.mean([_f1_of(scored, int(value)) for value in present]))


def _rmse(scored: Scored) -> float:
    return float(((scored.truth - scored.label) ** 2).mean() ** 0.5)


def _mae(scored: Scored) -> float:
    return float(abs(scored.truth - scored.label).mean())


def _median_ae(scored: Scored) -> float:
    import numpy as np

    return float(np.median(abs(scored.truth - scored.label)))


def _r2(scored: Scored) -> float:
    spread = float(((scored.truth - scored.truth.mean()) ** 2).sum())
    if not spread:
        raise ValueError("the target is constant")
    return 1 - float(((scored.truth - scored.label) ** 2).sum()) / spread


_FUNCTIONS: Mapping[str, Callable[[Scored], float]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "rmse": _rmse,
    "mae": _mae,
    "median_ae": _median_ae,
    "r2": _r2,
}
