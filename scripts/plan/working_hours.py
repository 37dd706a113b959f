"""Whether scheduled workflows that need the server lie inside a parked environment's hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from scripts.plan.schedule import occurrences_of_week
from scripts.stack.tfvars import literals

# A stopped database takes minutes to start, and the server installs for minutes after it.
AFTER_START = timedelta(minutes=45)
# A step may take as long as its job.
BEFORE_STOP = timedelta(minutes=60)
WEEKS = 53  # summer and winter time


@dataclass(frozen=True)
class WorkingHours:
    """When a parked environment runs, as the variable `working_hours` says."""

    days: str = "MON-FRI"
    start: str = "07:30"
    stop: str = "19:30"
    time_zone: str = "Etc/UTC"

    def __str__(self) -> str:
        return f"{self.days} {self.start} to {self.stop}, {self.time_zone}"

    def hold(self, moment: datetime) -> bool:
        """Whether a job that starts then finds the server, and ends before the stop."""
        here = moment.astimezone(ZoneInfo(self.time_zone))
        days = occurrences_of_week(f"0 0 * * {self.days}")
        if days is None or (here.isoweekday() % 7) not in {day for day, _, _ in days}:
            return False
        begins = datetime.combine(here.date(), time.fromisoformat(self.start), here.tzinfo)
        ends = datetime.combine(here.date(), time.fromisoformat(self.stop), here.tzinfo)
        if ends <= begins:
            ends += timedelta(days=1)
        return begins + AFTER_START <= here <= ends - BEFORE_STOP


@dataclass(frozen=True)
class Outside:
    """A schedule that starts when the environment is off; `first` is such a moment, UTC."""

    workflow: str
    cron: str
    first: datetime | None
    """None where the expression was not understood."""


def parked_hours(tfvars: Path) -> WorkingHours | None:
    """The hours of an environment that parks; None for one that does not.

    Raises ValueError for hours that cannot be read.
    """
    given = literals(tfvars.read_text())
    if given.get(("park",)) != "true":
        return None
    hours = WorkingHours(**{path[1]: value for path, value in given.items()
                            if path[0] == "working_hours"})  # fmt: skip
    try:
        ZoneInfo(hours.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"there is no time zone {hours.time_zone!r}") from None
    return hours


def schedules(workflows: Path) -> Iterator[tuple[str, str]]:
    """Workflow and cron expression of every scheduled workflow that opens a tunnel."""
    for path in sorted(workflows.glob("*.yml")):
        # YAML 1.1 reads the key `on` as true.
        content: Mapping[Any, Any] = yaml.safe_load(path.read_text())
        starts = content.get("on", content.get(True))
        jobs = content.get("jobs", {}).values()
        # The input names a permission set; without one there is no tunnel.
        if isinstance(starts, dict) and any((job.get("with") or {}).get("tunnel") for job in jobs):
            for entry in starts.get("schedule") or ():
                yield path.name, str(entry["cron"])


def outside(hours: WorkingHours, workflows: Path, *, today: date | None = None) -> list[Outside]:
    """The schedules that start at least once in a year while the environment is off."""
    monday = today or datetime.now(UTC).date()
    monday -= timedelta(days=monday.weekday())
    found = []
    for name, cron in schedules(workflows):
        times = occurrences_of_week(cron)
        if times is None:
            found.append(Outside(name, cron, None))
            continue
        moments = (
            datetime.combine(
                monday + timedelta(weeks=week, days=(day - 1) % 7), time(hour, minute), UTC
            )
            for week in range(WEEKS)
            for day, hour, minute in times
        )
        wrong = next((moment for moment in moments if not hours.hold(moment)), None)
        if wrong is not None:
            found.append(Outside(name, cron, wrong))
    return found
