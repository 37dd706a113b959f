"""Alarms change their state as CloudWatch documents it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from tests import ROOT
from tests.terraform.simulation import alarms
from tests.terraform.simulation.alarms import Alarm, Series, planned

PLAN: dict[str, Any] = {
    "alarm_name": "a",
    "namespace": "N",
    "metric_name": "M",
    "statistic": "Maximum",
    "comparison_operator": "LessThanThreshold",
    "threshold": 1,
    "period": 300,
    "evaluation_periods": 3,
}


def alarm(**changes: Any) -> Alarm:
    [made] = planned({"aws_cloudwatch_metric_alarm.a": PLAN | changes})
    return made


def states(made: Alarm, series: Series, minutes: int = 60) -> list[tuple[int, str]]:
    return list(made.states(lambda _: series, minutes))


def every(minutes: range, value: float) -> dict[int, list[float]]:
    return {minute: [value] for minute in minutes}


def test_it_takes_all_periods_to_alarm_and_one_to_be_well_again() -> None:
    series = every(range(60), 1.0) | every(range(10, 30), 0.0)
    assert states(alarm(), series) == [(5, "OK"), (25, "ALARM"), (35, "OK")]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("breaching", [(5, "OK"), (25, "ALARM")]),
        ("notBreaching", [(5, "OK")]),
        ("missing", [(5, "OK"), (25, "INSUFFICIENT_DATA")]),
        ("ignore", [(5, "OK")]),
    ],
)
def test_missing_data_count_as_the_alarm_says(missing: str, expected: list[Any]) -> None:
    found = states(alarm(treat_missing_data=missing), every(range(10), 1.0), 40)
    assert found == expected


def test_an_alarm_that_takes_missing_data_for_bad_is_on_from_the_first_day() -> None:
    """The fault: nothing can have been trained in seven days that have not been yet."""
    weekly = alarm(
        statistic="Sum", period=86400, evaluation_periods=7, treat_missing_data="breaching"
    )
    day = 1440
    assert states(weekly, {}, 2 * day)[0] == (day, "ALARM")


def test_metric_math_divides_what_was_published() -> None:
    queries = [
        {"id": "percent", "expression": "100 * bad / (bad + good)", "return_data": True},
        *(
            {
                "id": name,
                "metric": [{"namespace": "N", "metric_name": name, "stat": "Sum", "period": 300}],
            }
            for name in ("bad", "good")
        ),
    ]
    made = alarm(
        metric_name=None,
        namespace=None,
        metric_query=queries,
        comparison_operator="GreaterThanThreshold",
        threshold=10,
        evaluation_periods=1,
    )
    data = {"bad": {1: [2.0], 6: [1.0]}, "good": {1: [98.0], 6: [1.0]}}
    found = list(made.states(lambda metric: data[metric.name], 15))
    assert found == [(5, "OK"), (10, "ALARM"), (15, "INSUFFICIENT_DATA")]


def not_serving() -> Alarm:
    """The alarm of the module, whose expression is read from its file."""
    text = (ROOT / "terraform" / "modules" / "observability" / "alarms.tf").read_text(
        encoding="utf-8"
    )
    [expression] = re.findall(r'expression +=( "MAX.*")', text)
    metrics = (("heartbeats", "ServerHeartbeat", "Sum"), ("instances", "InService", "Minimum"))
    queries = [
        {"id": "served", "expression": json.loads(expression), "return_data": True},
        *(
            {
                "id": name,
                "metric": [{"namespace": "N", "metric_name": of, "stat": stat, "period": 900}],
            }
            for name, of, stat in metrics
        ),
    ]
    return alarm(metric_name=None, namespace=None, metric_query=queries, evaluation_periods=4)


DAY = range(1440)


@pytest.mark.parametrize("fills", [True, False], ids=["FILL fills", "FILL of nothing is nothing"])
@pytest.mark.parametrize(
    ("instances", "heartbeats", "expected"),
    [
        pytest.param({}, {}, [], id="the group is not there yet"),
        pytest.param(every(DAY, 0.0), {}, ["OK"], id="no instance: another alarm's matter"),
        pytest.param(every(range(30, 1440), 1.0), {}, ["ALARM"], id="never served"),
        pytest.param(
            every(range(30), 0.0) | every(range(30, 1440), 1.0),
            every(range(45, 1440, 5), 1.0),
            ["OK"],
            id="a normal first day",
        ),
        pytest.param(every(DAY, 1.0), every(range(0, 600, 5), 1.0), ["OK", "ALARM"], id="ended"),
    ],
)
def test_a_server_that_never_served_is_an_alarm_and_a_first_day_is_none(
    fills: bool,
    instances: dict[int, list[float]],
    heartbeats: dict[int, list[float]],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not fills and not heartbeats:
        monkeypatch.setattr(alarms, "FILL", lambda *_: math.nan)
    data = {"ServerHeartbeat": heartbeats, "InService": instances}
    found = [state for _, state in not_serving().states(lambda one: data[one.name], 1440)]
    assert found == expected
