"""From probabilities to a class: by a threshold, by misclassification costs, or the likeliest."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from pipeline.errors import InputError, StepFailed
from pipeline.evaluation.metrics import METRICS, Scored, Undefined, prepare
from pipeline.settings import DecisionSettings, Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_TRIED = 400


class DecisionRule(BaseModel):
    """How a model's probabilities become a class; stored with the model.

    A `threshold` is of the positive class; `costs` are what a predicted class costs where another
    one is true, shape (true, predicted); without either the likeliest class is predicted. `chosen`
    says how the threshold came about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float | None = None
    costs: tuple[tuple[float, ...], ...] | None = None
    chosen: str = "the likeliest class"

    def said(self, classes: Sequence[str]) -> str:
        """The rule in words: how it was chosen, with its threshold or what wrong answers cost."""
        if self.threshold is not None:
            return f"{self.chosen}, threshold {self.threshold:.4f}"
        listed = [
            f"{true} called {said} costs {cost:g}"
            for true, row in zip(classes, self.costs or (), strict=False)
            for said, cost in zip(classes, row, strict=True)
            if cost
        ]
        return f"{self.chosen}: {', '.join(listed)}" if listed else self.chosen

    def labels(self, score: "NDArray[np.float64]", positive: int) -> "NDArray[np.intp]":
        """The class of each row, from probabilities of shape (rows, classes)."""
        import numpy as np

        if self.threshold is not None:
            found: NDArray[np.intp] = np.where(
                score[:, positive] >= self.threshold, positive, 1 - positive
            )
            return found
        if self.costs is not None:
            cheapest: NDArray[np.intp] = (score @ np.array(self.costs)).argmin(axis=1)
            return cheapest
        likeliest: NDArray[np.intp] = score.argmax(axis=1)
        return likeliest

    def applied(self, scored: Scored) -> Scored:
        """The same predictions with the classes that this rule gives them."""
        if scored.score is None:
            return scored
        label = self.labels(scored.score, scored.positive)
        return Scored(scored.truth, label, scored.score, scored.classes, scored.positive)


def choose(settings: Settings, out_of_fold: Scored) -> DecisionRule:
    """The rule that the settings ask for, found on predictions for rows not trained on.

    Raises StepFailed where there is none, such as for a recall that no threshold reaches.
    """
    wanted = settings.decision
    if out_of_fold.score is None or wanted == DecisionSettings():
        return DecisionRule()
    if wanted.threshold is not None:
        return DecisionRule(threshold=wanted.threshold, chosen="fixed by the settings")
    if wanted.costs:
        return DecisionRule(
            costs=_matrix(wanted.costs, out_of_fold.classes), chosen="the least expected cost"
        )
    if wanted.recall is not None:
        return _precise(out_of_fold, wanted.recall)
    assert wanted.metric is not None
    return _best(out_of_fold, wanted.metric)


def _matrix(
    costs: Mapping[str, Mapping[str, float]], classes: tuple[str, ...]
) -> tuple[tuple[float, ...], ...]:
    """Costs by true and predicted class; what is not named costs nothing if right, else 1."""
    named = {*costs, *(name for row in costs.values() for name in row)}
    if unknown := sorted(named - set(classes)):
        raise InputError(
            f"decision.costs names {', '.join(unknown)}; the classes are {', '.join(classes)}"
        )
    return tuple(
        tuple(float(costs.get(true, {}).get(said, true != said)) for said in classes)
        for true in classes
    )


def _candidates(scored: Scored) -> "NDArray[np.float64]":
    """Thresholds between the scores that occur, at most a few hundred."""
    import numpy as np

    assert scored.score is not None
    found = np.unique(scored.score[:, scored.positive])
    if len(found) > _MOST_TRIED:
        found = np.unique(np.quantile(found, np.linspace(0, 1, _MOST_TRIED), method="nearest"))
    return found


def _best(scored: Scored, metric: str) -> DecisionRule:
    """The threshold with the best value; of equals the one in the middle."""
    import numpy as np

    sign = METRICS[metric].sign
    thresholds, values = _candidates(scored), []
    weights = np.ones(len(scored.truth))
    for threshold in thresholds:
        rule = DecisionRule(threshold=float(threshold))
        try:
            values.append(sign * prepare(metric, rule.applied(scored))(weights))
        except Undefined:
            values.append(-np.inf)
    best = np.flatnonzero(np.array(values) == np.max(values))
    if not np.isfinite(np.max(values)):
        raise StepFailed(f"no threshold gives {metric} a value on the folds")
    chosen = float(thresholds[best[len(best) // 2]])
    return DecisionRule(
        threshold=chosen, chosen=f"the best {metric} on the folds, {sign * np.max(values):.4f}"
    )


def _precise(scored: Scored, recall: float) -> DecisionRule:
    """The threshold with the best precision among those that find so much of the positive class."""
    import numpy as np

    weights = np.ones(len(scored.truth))
    best: tuple[float, float] | None = None
    for threshold in _candidates(scored):
        applied = DecisionRule(threshold=float(threshold)).applied(scored)
        try:
            found = prepare("recall", applied)(weights)
            precise = prepare("precision", applied)(weights)
        except Undefined:
            continue
        if found >= recall and (best is None or (precise, threshold) > best):
            best = (precise, float(threshold))
    if best is None:
        raise StepFailed(f"no threshold reaches a recall of {recall} on the folds")
    return DecisionRule(
        threshold=best[1],
        chosen=f"the best precision, {best[0]:.4f}, at a recall of {recall:g} on the folds",
    )
