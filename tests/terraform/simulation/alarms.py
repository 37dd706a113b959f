"""CloudWatch alarms: their state over time, from a metric's data and what is missing of it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarm-evaluation
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Series = Mapping[int, Sequence[float]]
"""Minute of the simulation -> what was published in it."""

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}


@dataclass(frozen=True)
class Metric:
    """One metric as an alarm reads it; `period` is in minutes."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    period: int

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


@dataclass(frozen=True)
class Alarm:
    """An alarm as Terraform plans it; `expression` is set for metric math."""

    name: str
    metrics: Mapping[str, Metric]
    comparison: str
    threshold: float
    evaluated: int
    needed: int
    missing: str
    acts: bool
    tells_missing: bool
    expression: str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def period(self) -> int:
        return max(metric.period for metric in self.metrics.values())

    def states(
        self, series: Callable[[Metric], Series], minutes: int
    ) -> Iterator[tuple[int, State]]:
        """Each change of state, with the minute in which it happens; it begins without data."""
        state: State = "INSUFFICIENT_DATA"
        data = {name: series(metric) for name, metric in self.metrics.items()}
        for end in range(self.period, minutes + 1, self.period):
            points = [
                self._point(data, end - (index + 1) * self.period)
                for index in reversed(range(self.evaluated))
            ]
            following = self._evaluate(points, state)
            if following != state:
                state = following
                yield end, state

    def _point(self, data: Mapping[str, Series], start: int) -> float | None:
        values = {}
        for name, metric in self.metrics.items():
            inside = [
                value
                for minute in range(start, start + self.period)
                for value in data[name].get(minute, ())
            ]
            values[name] = _STATISTICS[metric.statistic](inside) if inside else math.nan
        if self.expression is not None:
            return _calculated(self.expression, values)
        [value] = values.values()
        return None if math.isnan(value) else value

    def _evaluate(self, points: Sequence[float | None], before: State) -> State:
        breaches = _COMPARISONS[self.comparison]
        known = [point for point in points if point is not None]
        if self.missing in ("missing", "ignore"):
            if not known:
                return before if self.missing == "ignore" else "INSUFFICIENT_DATA"
            # Fewer points than it evaluates: it decides by those that are there.
            broken = sum(breaches(point, self.threshold) for point in known)
            return "ALARM" if broken >= min(self.needed, len(known)) else "OK"
        broken = sum(
            self.missing == "breaching" if point is None else breaches(point, self.threshold)
            for point in points
        )
        return "ALARM" if broken >= self.needed else "OK"


def _calculated(expression: str, values: Mapping[str, float]) -> float | None:
    """Metric math of names, numbers, + - * /, FILL and MAX; what is not there is NaN, and makes
    everything NaN but those two. None for NaN, and where it divides by zero."""
    allowed = set("0123456789.+-*/()[], _") | set("abcdefghijklmnopqrstuvwxyz")
    assert set(expression.lower()) <= allowed, f"the simulation cannot calculate {expression!r}"
    functions = {"FILL": FILL, "MAX": _most}
    try:
        value = float(eval(expression, {"__builtins__": {}}, functions | dict(values)))  # noqa: S307
    except ZeroDivisionError:
        return None
    return None if math.isnan(value) else value


def FILL(value: float, otherwise: float) -> float:  # noqa: N802
    """CloudWatch's function of that name, where some of the series is there."""
    return otherwise if math.isnan(value) else value


def _most(values: Sequence[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def planned(after: Mapping[str, Mapping[str, Any]]) -> list[Alarm]:
    """The alarms of a plan: address -> planned arguments."""
    return [
        _alarm(arguments)
        for address, arguments in after.items()
        if ".aws_cloudwatch_metric_alarm." in f".{address}"
    ]


def _alarm(given: Mapping[str, Any]) -> Alarm:
    queries = given.get("metric_query") or []
    expression = None
    if queries:
        metrics = {
            query["id"]: _metric(query["metric"][0], "metric_name", "stat")
            for query in queries
            if query.get("metric")
        }
        [expression] = [one["expression"] for one in queries if one.get("return_data")]
    else:
        metrics = {"value": _metric(given, "metric_name", "statistic")}
    evaluated = int(given["evaluation_periods"])
    return Alarm(
        name=given["alarm_name"],
        metrics=metrics,
        comparison=given["comparison_operator"],
        threshold=float(given["threshold"]),
        evaluated=evaluated,
        needed=int(given.get("datapoints_to_alarm") or evaluated),
        missing=given.get("treat_missing_data") or "missing",
        acts=given.get("actions_enabled") is not False,
        tells_missing=bool(given.get("insufficient_data_actions")),
        expression=expression or None,
    )


def _metric(given: Mapping[str, Any], name: str, statistic: str) -> Metric:
    return Metric(
        given["namespace"],
        given[name],
        given.get("dimensions") or {},
        given[statistic],
        int(given["period"]) // 60,
    )
