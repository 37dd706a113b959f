"""`keyless run` and `keyless models`: which role, which arguments, seen from which folder."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import ROOT, keyless
from scripts.commands import _step
from scripts.commands import run as run_verb
from scripts.names import job_roles


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would run, in place of running it."""
    found: list[dict[str, Any]] = []

    def record(_: Any, step: str, arguments: Any, **named: Any) -> int:
        found.append({"step": step, "arguments": list(arguments), **named})
        return 3

    monkeypatch.setattr(run_verb, "run_step", record)
    monkeypatch.setattr(_step, "run_step", record)
    monkeypatch.delenv("KEYLESS_AWS", raising=False)
    monkeypatch.delenv("KEYLESS_SETTINGS", raising=False)
    return found


def test_a_step_runs_under_its_role_with_settings_of_ones_own(
    started: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("")
    arguments = ["run", "predict", "--settings", "mine.toml", "--input", "june.csv"]
    done = CliRunner().invoke(keyless, arguments)
    assert done.exit_code == 3  # the step's own
    assert started == [
        {
            "step": "predict",
            "arguments": ["--settings", str(tmp_path / "mine.toml"), "--input", "june.csv"],
            "environment": "dev",
            "role": "predict",
            "aws": False,
            "folder": tmp_path,
        }
    ]


def test_every_step_has_a_role_that_a_job_assumes() -> None:
    steps = {
        path.stem
        for path in (ROOT / "pipeline").glob("*.py")
        if "@step" in path.read_text(encoding="utf-8")
    }
    # These two are read by people alone, and are verbs of their own.
    assert set(run_verb.ROLES) == steps - {"audit", "models"}
    assert set(run_verb.ROLES.values()) <= {role.name for role in job_roles()}


def test_settings_that_are_not_there_are_refused_before_anything_starts(
    started: list[dict[str, Any]],
) -> None:
    done = CliRunner().invoke(keyless, ["run", "train", "--settings", "no/such.toml"])
    assert done.exit_code == 2
    assert "do not exist" in done.stderr
    assert CliRunner().invoke(keyless, ["run", "trian"]).exit_code == 2
    assert started == []


def test_models_are_read_by_a_person_who_may_read_all(
    started: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(keyless, ["models", "bikes", "--html", "b.html"]).exit_code == 3
    [found] = started
    assert (found["step"], found["role"]) == ("models", "administrator")
    assert found["arguments"][0] == "bikes"
    assert found["arguments"][-2:] == ["--html", str(tmp_path / "b.html")]
