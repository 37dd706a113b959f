"""Champion against challenger on the same rows: paired bootstrap, floors, guards, one decision."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.evaluation.metrics import (
    METRICS,
    Computed,
    Metric,
    Scored,
    Undefined,
    losses,
    prepare,
)
from pipeline.evaluation.resample import Plan, by_groups, by_rows, by_time, widening
from pipeline.settings import Promotion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["promote", "keep"]
# With a larger share of undefined draws no interval is given.
_MOST_UNDEFINED = 0.05
# Draws of a single piece are all the same.
_FEWEST_PIECES = 2
# math.exp overflows beyond.
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its bootstrap interval; None where draws tell nothing of chance."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4f} (no interval)"
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True)
class Subgroup:
    """A subgroup's metric for both models; `loss` is how much worse the challenger is.

    Without a champion `champion` and `loss` are None. `why` says why a group was not judged.
    `rates` say how the challenger treats the group; see groups.py.
    """

    column: str
    value: str
    rows: int
    champion: float | None = None
    challenger: float | None = None
    loss: float | None = None
    why: str | None = None
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """All the numbers that a decision rests on.

    `undefined` says why the metric has no value for the challenger, `unjudged` why none for the
    champion or for the improvement. `drawn` says what the bootstrap drew.
    """

    metric: str
    challenger: Interval | None
    champion: Interval | None
    improvement: Interval | None
    floors: Mapping[str, float]
    subgroups: tuple[Subgroup, ...] = ()
    drawn: str = ""
    undefined: str | None = None
    unjudged: str | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What the promotion rule says, and the sentence that says why."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Layout:
    """What belongs together among the held-out rows: groups, or what is near in time."""

    groups: "NDArray[np.intp] | None" = None
    times: "NDArray[np.float64] | None" = None

    def plan(self, series: "NDArray[np.float64]", classes: "NDArray[np.intp] | None") -> Plan:
        """What the bootstrap draws. `series` is the rows' loss, or difference of losses."""
        if self.groups is not None:
            return by_groups(self.groups)
        if self.times is not None:
            return by_time(self.times, series)
        return by_rows(classes, len(series))


def compare(
    metric: str,
    challenger: Scored,
    champion: Scored | None,
    settings: Promotion,
    layout: Layout | None = None,
    subgroups: tuple[Subgroup, ...] = (),
) -> Comparison:
    """Challenger, champion and improvement, each with bounds of the bootstrap.

    Both models are scored on the same draws, so that what is common to them cancels out. An
    improvement is positive where the challenger is better, whatever the metric's direction.
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
    """
    layout = layout or Layout()
    classes = challenger.truth.astype("intp") if challenger.classes else None
    undefined = unjudged = None
    own = gain = other = None
    new = old = None
    plan = layout.plan(losses(challenger), classes)
    try:
        new = prepare(metric, challenger)
        own = _interval([new], [1], plan, settings, METRICS[metric])
    except Undefined as error:
        undefined = str(error)
    if champion is not None:
        try:
            old = prepare(metric, champion)
            alone = layout.plan(losses(champion), classes)
            other = _interval([old], [1], alone, settings, METRICS[metric])
            if new is not None and own is not None:
                plan = layout.plan(losses(champion) - losses(challenger), classes)
                sign = METRICS[metric].sign
                gain = _interval([new, old], [sign, -sign], plan, settings)
        except Undefined as error:
            unjudged = str(error)
    drawn = f"{settings.resamples} draws of {plan.pieces} {plan.what}"
    if plan.pieces < _FEWEST_PIECES:
        drawn = f"all held-out rows are of one {'group' if layout.groups is not None else 'time'}"
        unjudged = unjudged or f"{drawn}, so that nothing tells a difference from chance"
    return Comparison(
        metric,
        own,
        other,
        gain,
        settings.floors,
        subgroups,
        drawn,
        undefined,
        unjudged,
        tuple(challenger.absent),
    )


def _interval(
    models: Sequence[Computed],
    signs: Sequence[int],
    plan: Plan,
    settings: Promotion,
    metric: Metric | None = None,
) -> Interval:
    """The value of a signed sum of metrics, and its bounds. Raises Undefined for the value.

    With `metric` it is the value of one model, and no bound lies where that metric has no values.
    """
    import numpy as np

    def total(weights: "NDArray[np.float64]") -> float:
        return sum(sign * model(weights) for sign, model in zip(signs, models, strict=True))

    value = total(np.ones(len(plan.unit)))
    if plan.pieces < _FEWEST_PIECES:
        return Interval(value, None, None)
    drawn = []
    for weights in plan.draws(settings.resamples, settings.seed):
        try:
            drawn.append(total(weights))
        except Undefined:
            continue
    if settings.resamples - len(drawn) > _MOST_UNDEFINED * settings.resamples:
        return Interval(value, None, None)
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    wider = widening(plan.pieces, settings.confidence)
    least, most = (metric.least, metric.most) if metric else (-math.inf, math.inf)
    return Interval(
        value, *(stretched(value, float(bound), wider, least, most) for bound in (low, high))
    )


def stretched(value: float, bound: float, wider: float, least: float, most: float) -> float:
    """A bound of an interval around `value`, moved away from it `wider` times as far.

    It is moved on a scale without ends (logarithm of the distance to an end, log-odds between two),
    so that it stays between `least` and `most`. Quantiles of the bootstrap may be taken on any
    scale: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    if bound == value or not least < bound < most or not least < value < most:
        return bound

    def endless(number: float) -> float:
        below = math.log(number - least) if least > -math.inf else 0.0
        return below - (math.log(most - number) if most < math.inf else 0.0)

    def back(number: float) -> float:
        number = min(max(number, -_LARGEST_EXPONENT), _LARGEST_EXPONENT)
        if least == -math.inf:
            return most - math.exp(-number)
        if most == math.inf:
            return least + math.exp(number)
        return least + (most - least) / (1 + math.exp(-number))

    if least == -math.inf and most == math.inf:
        return value + (bound - value) * wider
    start = endless(value)
    return back(start + (endless(bound) - start) * wider)


def decide(
    comparison: Comparison,
    values: Mapping[str, float],
    settings: Promotion,
    *,
    first: bool,
    alone: str = "first champion",
) -> Decision:
    """The rule of promotion.

    The challenger's metrics must clear every floor, none may be undefined, and no group may be
    treated worse than the settings allow. A first model then
    wins; another only if the lower bound of its improvement is above min_improvement and no
    subgroup loses more than max_subgroup_loss. So a tie keeps the champion. A champion without a
    value is none that could be kept for its value. `alone` says why there is no comparison.
    """
    if comparison.challenger is None:
        return Decision(
            "keep", f"{comparison.metric} is not defined on the holdout: {comparison.undefined}"
        )
    if missed := _missed_floor(comparison, values) or _unfair(comparison, settings):
        return Decision("keep", missed)
    shown = f"{comparison.metric} {comparison.challenger.value:.4f}{_absent(comparison)}"
    floors = "every floor holds" if comparison.floors else "no floor is set"
    if first:
        return Decision("promote", f"{alone}, with {shown}; {floors}")
    if comparison.champion is None:
        return Decision(
            "promote",
            f"{shown}; {floors}, and the champion's {comparison.metric} is not defined on "
            f"the holdout: {comparison.unjudged}",
        )
    return _against(comparison, shown, settings)


def _missed_floor(comparison: Comparison, values: Mapping[str, float]) -> str | None:
    for name, floor in comparison.floors.items():
        if name not in values:
            return f"{name} is not defined on the holdout, so that its floor {floor:g} is missed"
        if not METRICS[name].sign * (values[name] - floor) >= 0:
            return f"{name} {values[name]:.4f} misses the floor {floor:g}"
    return None


def _unfair(comparison: Comparison, settings: Promotion) -> str | None:
    """Why the challenger treats a group too badly, whatever the champion does; None if it does not.

    Only groups that were judged count.
    """
    sign = METRICS[comparison.metric].sign
    judged = [group for group in comparison.subgroups if group.challenger is not None]
    floor, most = settings.subgroup_floor, settings.max_subgroup_gap
    for group in judged:
        if floor is not None and not sign * ((group.challenger or 0.0) - floor) >= 0:
            return (
                f"{comparison.metric} {group.challenger:.4f} of {group.column} = {group.value} "
                f"misses the floor of every group, {floor:g}"
            )
    for column in dict.fromkeys(group.column for group in judged):
        ordered = sorted(
            (group for group in judged if group.column == column),
            key=lambda group: sign * (group.challenger or 0.0),
        )
        worst, best = ordered[0], ordered[-1]
        gap = abs((best.challenger or 0.0) - (worst.challenger or 0.0))
        if most is not None and gap > most:
            return (
                f"{comparison.metric} of {column} = {worst.value} ({worst.challenger:.4f}) and "
                f"{best.value} ({best.challenger:.4f}) differ by {gap:.4f}, more than {most:g}"
            )
    return None


def _against(comparison: Comparison, shown: str, settings: Promotion) -> Decision:
    gain, champion = comparison.improvement, comparison.champion
    assert champion is not None
    if gain is None or gain.low is None or gain.high is None:
        why = comparison.unjudged or "in too many draws of the held-out rows it has no value"
        return Decision("keep", f"{shown}: the improvement cannot be judged: {why}")
    against = (
        f"{shown} against {champion.value:.4f}, improvement {gain.value:+.4f} "
        f"({settings.confidence:.0%} interval {gain.low:+.4f} to {gain.high:+.4f})"
    )
    if not gain.low > settings.min_improvement:
        return Decision(
            "keep", f"{against}: its lower bound does not exceed {settings.min_improvement:g}"
        )
    harmed = [group for group in comparison.subgroups if group.loss is not None]
    most = METRICS[comparison.metric].tolerance(settings.max_subgroup_loss, champion.value)
    worst = max(harmed, key=lambda group: group.loss or 0.0, default=None)
    if worst is not None and (worst.loss or 0.0) > most:
        return Decision(
            "keep",
            f"{against}, but {worst.column} = {worst.value} loses {worst.loss:.4f}, more than "
            f"{most:g}",
        )
    return Decision("promote", f"{against}: its lower bound exceeds {settings.min_improvement:g}")


def _absent(comparison: Comparison) -> str:
    if not comparison.absent:
        return ""
    return f" (not judged: {', '.join(comparison.absent[:10])}, which no held-out row has)"
