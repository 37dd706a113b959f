"""Schedules fire when GitHub, Auto Scaling and EventBridge Scheduler say they do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.terraform.simulation.schedules import Schedule, cron, scheduler

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def fired(schedule: Schedule, days: int = 7) -> list[str]:
    moments = (MONDAY + timedelta(minutes=minute) for minute in range(days * 1440))
    return [f"{moment:%a %H:%M}" for moment in moments if schedule.fires(moment)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("17 4 * * 1", ["Mon 04:17"]),
        ("0 8 * * MON-WED", ["Mon 08:00", "Tue 08:00", "Wed 08:00"]),
        ("30 6 * * 0", ["Sun 06:30"]),
        ("30 6 * * 7", ["Sun 06:30"]),
        ("0 0,12 2 * *", ["Mon 00:00", "Mon 12:00"]),
        ("0 */12 * 3 2", ["Tue 00:00", "Tue 12:00"]),
    ],
)
def test_five_fields(expression: str, expected: list[str]) -> None:
    assert fired(cron(expression)) == expected


def test_six_fields_begin_the_week_with_one_on_sunday() -> None:
    assert fired(scheduler("cron(0 20 ? * MON-TUE *)")) == ["Mon 20:00", "Tue 20:00"]
    assert fired(scheduler("cron(0 20 ? * 1 *)")) == ["Sun 20:00"]


def test_a_time_zone_and_its_summer_time_count() -> None:
    berlin = cron("0 8 * * *", "Europe/Berlin")
    assert fired(berlin, 1) == ["Mon 07:00"]
    summer = datetime(2026, 6, 1, 6, 0, tzinfo=UTC)
    assert berlin.fires(summer)


@pytest.mark.parametrize("expression", ["61 * * * *", "* 25 * * *", "5-1 * * * *"])
def test_what_no_schedule_allows_is_refused(expression: str) -> None:
    with pytest.raises(AssertionError):
        cron(expression)
