"""`keyless rollout`: what its verbs need of the platform."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.commands import _step
from scripts.commands import rollout as verb


@pytest.mark.parametrize("name", ["start", "advance", "pause", "abort", "status", "history"])
def test_only_start_needs_mlflow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An abort that waits for MLflow's server waits for ever where that is down."""
    calls: list[dict[str, Any]] = []

    def record(*arguments: Any, **options: Any) -> int:
        calls.append({"words": arguments[2], **options})
        return 0

    monkeypatch.setattr(verb, "show_step", record)
    monkeypatch.setattr(verb, "_reach", lambda *_: (SimpleNamespace(), None, None))
    done = CliRunner().invoke(keyless, ["rollout", name, "--why", "complaints"])

    assert done.exit_code == 0, done.output
    (call,) = calls
    assert call["words"] == [name, "--why", "complaints"]
    assert call["tracking"] == (name == "start")


@pytest.mark.parametrize("name", ["status", "history", "size"])
def test_what_only_shows_prints_its_result_as_json(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(*arguments: Any, quiet: bool, **_: Any) -> int:
        assert quiet
        words = arguments[2]
        assert words[:-2] == [name]
        Path(words[-1]).write_text('{"step": "rollout"}\n')
        return 0

    monkeypatch.setattr(_step, "run_step", record)
    monkeypatch.setattr(verb, "_reach", lambda *_: (SimpleNamespace(), None, None))
    done = CliRunner().invoke(keyless, ["rollout", name, "--json"])
    assert (done.exit_code, done.stdout) == (0, '{"step": "rollout"}\n')


def test_what_changes_something_has_no_json() -> None:
    done = CliRunner().invoke(keyless, ["rollout", "abort", "--why", "complaints", "--json"])
    assert done.exit_code == 2
    assert "--json is for status, history, size" in done.stderr


@pytest.mark.slow
def test_the_help_of_a_verb_names_the_command_that_was_typed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert CliRunner().invoke(keyless, ["rollout", "watch", "--help"]).exit_code == 0
    assert capfd.readouterr().out.startswith("Usage: keyless rollout watch [OPTIONS]")
