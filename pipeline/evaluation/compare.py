"""Champion against challenger on the same rows: paired bootstrap, floors, guards, one decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.evaluation.metrics import METRICS, Scored, compute
from pipeline.settings import Promotion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["promote", "keep"]


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Subgroup:
    """A subgroup's metric for both models; `loss` is how much worse the challenger is."""

    column: str
    value: str
    rows: int
    champion: float
    challenger: float
    loss: float


@dataclass(frozen=True)
class Comparison:
    """All the numbers that a decision rests on."""

    metric: str
    challenger: Interval
    champion: Interval | None
    improvement: Interval | None
    floors: Mapping[str, float]
    subgroups: tuple[Subgroup, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What the promotion rule says, and the sentence that tells why."""

    verdict: Verdict
    sentence: str


def resample(
    scored: Scored, groups: "NDArray[np.intp] | None", count: int, seed: int
) -> "list[NDArray[np.intp]]":
    """Bootstrap samples of row positions, each as large as the holdout.

    Classes keep their counts, so that every sample has them all. With groups, whole groups are
    drawn: their rows are not independent.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    if groups is not None:
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        return [
            np.concatenate(
                [members[pick] for pick in random.integers(len(members), size=len(members))]
            )
            for _ in range(count)
        ]
    strata = (
        [np.flatnonzero(scored.truth == value) for value in np.unique(scored.truth)]
        if scored.classes
        else [np.arange(len(scored.truth))]
    )
    return [
        np.concatenate([rows[random.integers(len(rows), size=len(rows))] for rows in strata])
        for _ in range(count)
    ]


def intervals(
    metric: str,
    challenger: Scored,
    champion: Scored | None,
    settings: Promotion,
    groups: "NDArray[np.intp] | None" = None,
) -> tuple[Interval, Interval | None, Interval | None]:
    """Challenger, champion and improvement, each with percentile bounds of the bootstrap.

    Both models are scored on the same samples, so that what is common to them cancels out. An
    improvement is positive where the challenger is better, whatever the metric's direction.
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
    """
    import numpy as np

    samples = resample(challenger, groups, settings.resamples, settings.seed)
    tail = (1 - settings.confidence) / 2

    def interval(value: float, drawn: "NDArray[np.float64]") -> Interval:
        low, high = np.nanquantile(drawn, [tail, 1 - tail])
        return Interval(value, float(low), float(high))

    def values(scored: Scored) -> "NDArray[np.float64]":
        return np.array([_or_nan(metric, scored.take(rows)) for rows in samples])

    new = values(challenger)
    first = interval(compute(metric, challenger), new)
    if champion is None:
        return first, None, None
    old, sign = values(champion), METRICS[metric].sign
    second = interval(compute(metric, champion), old)
    gain = interval(sign * (first.value - second.value), sign * (new - old))
    return first, second, gain


def subgroup_losses(
    metric: str,
    challenger: Scored,
    champion: Scored,
    columns: "Mapping[str, NDArray[np.object_]]",
    min_rows: int,
) -> tuple[Subgroup, ...]:
    """Each subgroup with at least `min_rows` rows in which the metric is defined."""
    import numpy as np

    found = []
    for column, values in columns.items():
        for value in sorted({str(entry) for entry in values}):
            rows = np.flatnonzero(values.astype(str) == value)
            if len(rows) < min_rows:
                continue
            new, old = (_or_nan(metric, scored.take(rows)) for scored in (challenger, champion))
            if new == new and old == old:
                loss = METRICS[metric].sign * (old - new)
                found.append(Subgroup(column, value, len(rows), old, new, loss))
    return tuple(found)


def decide(comparison: Comparison, values: Mapping[str, float], settings: Promotion) -> Decision:
    """The rule of promotion.

    The challenger's metrics must clear every floor. A first model then wins; another only if the
    lower bound of its improvement is above min_improvement and no subgroup loses more than
    max_subgroup_loss. So a tie keeps the champion.
    """
    for name, floor in comparison.floors.items():
        value = values.get(name, float("nan"))
        if not METRICS[name].sign * (value - floor) >= 0:
            return Decision("keep", f"{name} {value:.4f} misses the floor {floor:g}")
    shown = f"{comparison.metric} {comparison.challenger.value:.4f}"
    if comparison.improvement is None or comparison.champion is None:
        return Decision("promote", f"first champion, with {shown}; every floor holds")
    gain = comparison.improvement
    against = (
        f"{shown} against {comparison.champion.value:.4f}, improvement {gain.value:+.4f} "
        f"({settings.confidence:.0%} interval {gain.low:+.4f} to {gain.high:+.4f})"
    )
    if not gain.low > settings.min_improvement:
        return Decision(
            "keep", f"{against}: its lower bound does not exceed {settings.min_improvement:g}"
        )
    worst = max(comparison.subgroups, key=lambda group: group.loss, default=None)
    if worst is not None and worst.loss > settings.max_subgroup_loss:
        return Decision(
            "keep",
            f"{against}, but {worst.column} = {worst.value} loses {worst.loss:.4f}, more than "
            f"{settings.max_subgroup_loss:g}",
        )
    return Decision("promote", f"{against}: its lower bound exceeds {settings.min_improvement:g}")


def _or_nan(metric: str, scored: Scored) -> float:
    try:
        return compute(metric, scored)
    except ValueError:
        return float("nan")
