"""How much of a week lies between a start and a stop schedule, as cron writes them."""

from __future__ import annotations

DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
HOURS_PER_WEEK = 168


def share_of_week(start: str, stop: str) -> float:
    """Fraction of a week between two cron expressions; 1 where either is not understood.

        >>> round(share_of_week("30 7 * * MON-FRI", "30 19 * * MON-FRI") * 168)
        60

    Takes Auto Scaling's five fields and EventBridge's `cron(...)` with six. A stop that is
    earlier than the start is on the next day.
    """
    begin, end = _parse(start), _parse(stop)
    if begin is None or end is None:
        return 1.0
    (first, days), (last, stops) = begin, end
    running = 0.0
    for day in days:
        opened = day * 24 + first
        # Until the next stop of the week, whichever day that is.
        running += min(
            (other * 24 + last - opened) % HOURS_PER_WEEK or HOURS_PER_WEEK for other in stops
        )
    return min(1.0, running / HOURS_PER_WEEK)


def occurrences_of_week(cron: str) -> list[tuple[int, int, int]] | None:
    """Day (Sunday is 0), hour and minute at which a five-field expression fires.

    None for an expression that does not fire at fixed times of every week, or is not understood.

        >>> occurrences_of_week("17 10 * * 1,4")
        [(1, 10, 17), (4, 10, 17)]
    """
    if len(cron.split()) != 5 or (found := _parse(cron)) is None:
        return None
    minute, hour = (int(field) for field in cron.split()[:2])
    return [(day, hour, minute) for day in found[1]]


def _parse(expression: str) -> tuple[float, list[int]] | None:
    """Hour of the day and the days of the week, Sunday first."""
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    if len(fields) not in (5, 6):
        return None
    minute, hour, day_of_month, month, weekday = fields[:5]
    # EventBridge counts days from 1, Auto Scaling from 0.
    days = _days(weekday, 1 if len(fields) == 6 else 0)
    if not (minute.isdigit() and hour.isdigit() and days):
        return None
    if day_of_month not in ("*", "?") or month != "*":
        return None
    return int(hour) + int(minute) / 60, days


def _days(text: str, first: int) -> list[int]:
    if text in ("*", "?"):
        return list(range(7))
    found: list[int] = []
    for part in text.upper().split(","):
        ends = [_day(name, first) for name in part.split("-")]
        if len(ends) > 2 or None in ends:
            return []
        begin, end = ends[0], ends[-1]
        assert begin is not None
        assert end is not None
        found += [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]
    return sorted(set(found))


def _day(name: str, first: int) -> int | None:
    if name in DAYS:
        return DAYS.index(name)
    return (int(name) - first) % 7 if name.isdigit() else None
