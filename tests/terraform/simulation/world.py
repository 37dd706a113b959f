"""The platform over two weeks, minute by minute: parking, boots, the watchdog, an absent database.

The watchdog is the file that the server runs, on a clock of the simulation's.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tests import ROOT
from tests.terraform.simulation.schedules import Schedule, cron, scheduler

FILES = ROOT / "terraform" / "modules" / "mlflow_server" / "files"
DAY = 24 * 60
# What AWS needs, in minutes: an instance until it is InService, its server until it answers;
# a database to start.
IN_SERVICE, ANSWERS, DATABASE_STARTS = 1, 4, 8


class _EndOfLife(Exception):
    """The instance is gone: parked, replaced, or the simulation is over."""


@dataclass(frozen=True)
class Life:
    """One instance: from its launch to its end, and whether the watchdog ended it."""

    born: int
    ends: int
    replaced: bool


@dataclass
class World:
    """One environment. `away` are minutes in which its database is gone without anybody's wish."""

    after: Mapping[str, Mapping[str, Any]]
    start: datetime
    days: int
    away: range = range(0)
    tells: bool = True
    """Whether a launcher that waits for the database says so, as the server's does."""
    lives: list[Life] = field(default_factory=list)

    @property
    def minutes(self) -> int:
        """How long it is simulated."""
        return self.days * DAY

    def moment(self, minute: int) -> datetime:
        """The time of a minute."""
        return self.start + timedelta(minutes=minute)

    @cached_property
    def wanted(self) -> list[bool]:
        """Whether a server is wanted, by minute."""
        return self._switched(
            [
                (cron(one["recurrence"], one["time_zone"]), one["desired_capacity"] > 0)
                for one in self._of_type("aws_autoscaling_schedule")
            ]
        )

    @cached_property
    def database(self) -> list[bool]:
        """Whether the database answers, by minute."""
        on = self._switched(
            [
                (
                    scheduler(one["schedule_expression"], one["schedule_expression_timezone"]),
                    one["target"][0]["arn"].endswith("startDBInstance"),
                )
                for one in self._of_type("aws_scheduler_schedule")
            ]
        )
        found, since = [], 0
        for minute, is_on in enumerate(on):
            since = since + 1 if is_on and minute not in self.away else 0
            found.append(since > DATABASE_STARTS or (is_on and minute < DATABASE_STARTS))
        return [answers and minute not in self.away for minute, answers in enumerate(found)]

    def live(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Let instances live, one after the other, each under the server's own watchdog."""
        minute = 0
        while minute < self.minutes:
            if not self.wanted[minute]:
                minute += 1
                continue
            life = _Watched(self, minute, settings, folder).run()
            self.lives.append(life)
            minute = life.ends

    def in_service(self, minute: int) -> bool:
        """Whether Auto Scaling counts an instance in service."""
        return any(life.born + IN_SERVICE <= minute < life.ends for life in self.lives)

    def answers(self, minute: int) -> bool:
        """Whether the server answers: once it found its database, also while that is away."""
        return any(
            life.born <= minute < life.ends and self.ready(life.born, minute) for life in self.lives
        )

    def ready(self, born: int, minute: int) -> bool:
        """Whether a server of this instance has found its database by then."""
        first = next((one for one in range(born + ANSWERS, minute + 1) if self.database[one]), None)
        return first is not None

    def _of_type(self, kind: str) -> list[Mapping[str, Any]]:
        return [given for address, given in self.after.items() if f".{kind}." in f".{address}"]

    def _switched(self, schedules: list[tuple[Schedule, bool]]) -> list[bool]:
        on, found = True, []
        for minute in range(self.minutes):
            moment = self.moment(minute)
            for schedule, switches_on in schedules:
                if schedule.fires(moment):
                    on = switches_on
            found.append(on)
        return found


class _Watched:
    """One instance with its watchdog."""

    def __init__(self, world: World, born: int, settings: Mapping[str, Any], folder: Path) -> None:
        self._world, self._born, self._seconds = world, born, born * 60.0
        self._settings = folder / "server.json"
        self._settings.write_text(json.dumps(settings))
        self._found = False

    @property
    def _minute(self) -> int:
        return int(self._seconds // 60)

    def run(self) -> Life:
        """Let the watchdog watch until the instance ends."""
        watchdog: Any = _load(FILES / "watchdog.py")
        watchdog.time = SimpleNamespace(monotonic=lambda: self._seconds, sleep=self._sleep)
        watchdog.healthy = self._healthy
        watchdog.last_attempt = self._last_attempt
        watchdog.report = lambda *_: True
        watchdog.log = lambda *_: None
        before = sys.argv
        sys.argv = ["watchdog.py", str(self._settings)]
        try:
            watchdog.main()
        except _EndOfLife:
            return Life(self._born, self._minute, replaced=False)
        finally:
            sys.argv = before
        return Life(self._born, self._minute + 1, replaced=True)

    def _sleep(self, seconds: float) -> None:
        self._seconds += seconds
        if self._minute >= self._world.minutes or not self._world.wanted[self._minute]:
            raise _EndOfLife

    def _healthy(self, *_: Any) -> bool:
        if not self._found and self._minute >= self._born + ANSWERS:
            self._found = self._world.database[self._minute]
        return self._found

    def _last_attempt(self) -> int | None:
        waits = self._world.tells and not self._found and self._minute >= self._born + ANSWERS
        return int(self._seconds) if waits else None


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("watchdog_of_the_simulation", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Publish = Callable[[int, str, float], None]
