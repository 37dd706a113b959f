"""Scheduled training against the hours of a parked environment."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from scripts.plan.working_hours import WorkingHours, outside, parked_hours, schedules
from tests import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
TODAY = date(2026, 11, 28)


def tfvars(folder: Path, text: str) -> Path:
    file = folder / "dev.tfvars"
    file.write_text(text)
    return file


def workflow(folder: Path, cron: str, tunnel: str = "train") -> Path:
    (folder / "train.yml").write_text(
        f'on:\n  schedule:\n    - cron: "{cron}"\n'
        f"jobs:\n  train:\n    uses: step.yml\n    with: {{tunnel: {tunnel}}}\n"
    )
    return folder


def test_the_projects_own_schedules_lie_inside_the_default_hours() -> None:
    assert [name for name, _ in schedules(WORKFLOWS)] == ["monitor.yml", "train.yml"]
    assert outside(WorkingHours(), WORKFLOWS, today=TODAY) == []


@pytest.mark.parametrize(
    ("cron", "hours"),
    [
        ("17 4 * * 1", WorkingHours()),  # before the start
        ("0 8 * * 1", WorkingHours()),  # the database is still starting
        ("0 19 * * 1", WorkingHours()),  # the stop cuts it short
        ("17 10 * * 6", WorkingHours()),  # a Saturday
        ("17 10 * * *", WorkingHours()),  # on Sundays too
        ("17 18 * * 1", WorkingHours(time_zone="Asia/Tokyo")),
        # Inside in winter, outside in summer.
        ("50 17 * * 1", WorkingHours(time_zone="Europe/Berlin", stop="20:30")),
    ],
)
def test_a_schedule_outside_the_hours_is_found(
    tmp_path: Path, cron: str, hours: WorkingHours
) -> None:
    [found] = outside(hours, workflow(tmp_path, cron), today=TODAY)
    assert (found.workflow, found.cron) == ("train.yml", cron)
    assert found.first is not None
    assert not hours.hold(found.first)


@pytest.mark.parametrize(
    ("cron", "hours"),
    [
        ("17 10 * * 1,4", WorkingHours()),
        ("17 2 * * 1", WorkingHours(time_zone="Asia/Tokyo")),
        ("30 23 * * 5", WorkingHours(start="22:00", stop="06:00")),
    ],
)
def test_a_schedule_inside_the_hours_is_not(tmp_path: Path, cron: str, hours: WorkingHours) -> None:
    assert outside(hours, workflow(tmp_path, cron), today=TODAY) == []


def test_a_schedule_without_a_tunnel_needs_no_server(tmp_path: Path) -> None:
    assert list(schedules(workflow(tmp_path, "17 4 * * 1", "false"))) == []


def test_a_schedule_that_is_not_understood_is_not_judged(tmp_path: Path) -> None:
    [found] = outside(WorkingHours(), workflow(tmp_path, "*/7 4 1 * *"), today=TODAY)
    assert found.first is None


def test_hours_are_read_from_the_variables(tmp_path: Path) -> None:
    text = 'park = true\nworking_hours = {\n  start = "06:00"\n  time_zone = "Europe/Berlin"\n}\n'
    assert parked_hours(tfvars(tmp_path, text)) == WorkingHours(
        start="06:00", time_zone="Europe/Berlin"
    )
    assert parked_hours(tfvars(tmp_path, "park = true\n")) == WorkingHours()
    assert parked_hours(tfvars(tmp_path, "# park = true\n")) is None
    with pytest.raises(ValueError, match="no time zone 'Mars/Base'"):
        parked_hours(tfvars(tmp_path, 'park = true\nworking_hours = { time_zone = "Mars/Base" }\n'))
