"""`keyless rollout`: what its verbs need of the platform."""

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.commands import rollout as verb


@pytest.mark.parametrize("name", ["start", "advance", "pause", "abort", "status", "history"])
def test_only_start_needs_mlflow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An abort that waits for MLflow's server waits for ever where that is down."""
    calls: list[dict[str, Any]] = []

    def record(*arguments: Any, **options: Any) -> int:
        calls.append({"words": arguments[2], **options})
        return 0

    monkeypatch.setattr(verb, "run_step", record)
    monkeypatch.setattr(verb, "_reach", lambda *_: (SimpleNamespace(), None, None))
    done = CliRunner().invoke(keyless, ["rollout", name, "--why", "complaints"])

    assert done.exit_code == 0, done.output
    (call,) = calls
    assert call["words"] == [name, "--why", "complaints"]
    assert call["tracking"] == (name == "start")
