"""When a schedule of GitHub, Auto Scaling or EventBridge Scheduler fires, minute by minute."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Schedule:
    """The minutes, hours, days of the month, months and days of the week (0: Sunday) that fit."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    zone: ZoneInfo

    def fires(self, moment: datetime) -> bool:
        """Whether it fires in this minute; `moment` is aware."""
        local = moment.astimezone(self.zone)
        return (
            local.minute in self.minutes
            and local.hour in self.hours
            and local.day in self.days
            and local.month in self.months
            and local.isoweekday() % 7 in self.weekdays
        )


def cron(expression: str, zone: str = "UTC") -> Schedule:
    """Five fields, as GitHub and Auto Scaling write them; Sunday is 0 or 7.

    https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule
    """
    minute, hour, day, month, weekday = expression.split()
    return Schedule(
        _field(minute, 0, 59),
        _field(hour, 0, 23),
        _field(day, 1, 31),
        _field(month, 1, 12, _MONTHS),
        frozenset(one % 7 for one in _field(weekday, 0, 7, _DAYS)),
        ZoneInfo(zone),
    )


def scheduler(expression: str, zone: str = "UTC") -> Schedule:
    """EventBridge Scheduler's `cron(...)`: six fields, of which Sunday is 1, and years.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
    """
    inside = re.fullmatch(r"cron\((.*)\)", expression)
    assert inside, f"not a cron expression of EventBridge Scheduler: {expression}"
    minute, hour, day, month, weekday, year = inside[1].split()
    assert year == "*", "the simulation knows no years"
    numbers = {str(index): str(index - 1) for index in range(1, 8)}
    plain = re.sub(r"\d+", lambda found: numbers[found[0]], weekday)
    fields = [minute, hour, *(one.replace("?", "*") for one in (day, month, plain))]
    return cron(" ".join(fields), zone)


def _field(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = _number(first, names)
            end = _number(last, names) if dash else (high if step else start)
        assert low <= start <= end <= high, f"{part!r} is outside {low} to {high}"
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: tuple[str, ...]) -> int:
    return names.index(text.upper()) if text.upper() in names else int(text)
