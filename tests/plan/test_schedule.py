"""Cron expressions of Auto Scaling and EventBridge as a share of the week."""

import pytest

from scripts.plan.schedule import share_of_week


@pytest.mark.parametrize(
    ("start", "stop", "hours"),
    [
        ("30 7 * * MON-FRI", "30 19 * * MON-FRI", 60),
        ("cron(30 7 ? * MON-FRI *)", "cron(30 19 ? * MON-FRI *)", 60),
        ("0 8 * * *", "0 18 * * *", 70),
        ("0 8 * * 1-5", "0 18 * * 1-5", 50),
        ("cron(0 8 ? * 2-6 *)", "cron(0 18 ? * 2-6 *)", 50),
        ("0 22 * * MON,WED", "0 4 * * TUE,THU", 12),
        ("0 8 * * MON", "0 18 * * FRI", 106),
        ("0 8 * * FRI-MON", "0 20 * * FRI-MON", 48),
    ],
)
def test_hours_of_a_week_between_start_and_stop(start: str, stop: str, hours: float) -> None:
    assert share_of_week(start, stop) * 168 == pytest.approx(hours)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        ("", ""),
        ("0 8 * * MON", ""),
        ("*/5 8 * * MON", "0 9 * * MON"),
        ("0 8 1 * *", "0 9 1 * *"),
        ("0 8 * 6 *", "0 9 * 6 *"),
        ("rate(1 day)", "0 9 * * *"),
        ("0 8 * * NEVER", "0 9 * * *"),
    ],
)
def test_a_schedule_that_is_not_understood_counts_as_always_on(start: str, stop: str) -> None:
    assert share_of_week(start, stop) == 1
