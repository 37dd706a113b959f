"""The story of a model and the way back, by `keyless audit` and `keyless rollback`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pipeline.settings import DEFAULT_FILE
from scripts.names import opener
from tests.e2e.conftest import Home

pytestmark = [pytest.mark.e2e, pytest.mark.terraform]

MODEL = "breast-cancer"
COMPLAINT = "complaints from the clinic"


class Steps:
    """The pipeline's steps on a home, each under its own role, with a session to MLflow."""

    def __init__(self, home: Home, uris: dict[str, str]) -> None:
        self.home, self.uris = home, uris
        self.settings = home.path / "another-seed.toml"
        text = DEFAULT_FILE.read_text().replace("trials = 4", "trials = 2")
        assert text != DEFAULT_FILE.read_text()
        self.settings.write_text(text)

    def run(self, role: str, step: str, *options: str) -> dict[str, Any]:
        return self.home.step(role, step, *options, MLFLOW_TRACKING_URI=self.uris[role])

    def record(self) -> dict[str, Any]:
        """The champion of record."""
        ssm = self.home.actors.client("promote", "ssm")
        name = self.home.platform["parameters"]["champion_prefix"] + MODEL
        record: dict[str, Any] = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        return record


@pytest.fixture(scope="module")
def steps(home: Home) -> Iterator[Steps]:
    with ExitStack() as open_sessions:
        uris = {
            role: open_sessions.enter_context(home.session(opener(name).name, name))
            for role, name in (("train", "train"), ("promote", "promote"), ("predict", "read"))
        }
        yield Steps(home, uris)


def keyless(home: Home, *arguments: str) -> str:
    done = home.keyless(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def audited(home: Home, model: str) -> tuple[dict[str, str], str]:
    """What `keyless audit` says line by line, and all of it."""
    output = keyless(home, "audit", model)
    lines = [line.strip().partition(": ") for line in output.splitlines()]
    return {name: value for name, _, value in lines}, output


def test_audit_names_who_trained_on_what_who_promoted_and_where_it_predicted(home: Home) -> None:
    facts, output = audited(home, MODEL)
    trained, predicted = home.results[0]["results"]["train"], home.results[0]["results"]["predict"]
    assert f"version {trained['model_version']} (run {trained['run_id']})" in output
    assert "champion of record" in output
    assert facts["subject"].endswith(":environment:dev-train")
    assert facts["actor"] not in ("", "not recorded")
    assert facts["workflow run"].startswith("https://github.com/octo-org/keyless-mlops/actions/")
    assert facts["role"] == home.platform["roles"]["train"]
    assert len(facts["commit"]) == 40
    assert len(facts["data"]) == 64
    decision = next(line for line in output.splitlines() if line.startswith("  promote at "))
    assert ":environment:dev-promote: " in decision
    assert f"predicted {predicted['predicted']} rows of {predicted['input']} on " in output
    assert "may not read" not in output


def test_rollback_restores_the_champion_before_in_one_step_and_predict_uses_it(
    home: Home, steps: Steps
) -> None:
    before = steps.record()
    other = steps.run("train", "train", "--settings", str(steps.settings))
    steps.run("promote", "promote", "--floors-only", "--settings", str(steps.settings))
    assert steps.record()["model_version"] == other["model_version"] != before["model_version"]
    assert steps.run("predict", "predict")["model_version"] == other["model_version"]

    output = keyless(home, "rollback", "--reason", COMPLAINT)
    assert f"version {before['model_version']} of {MODEL} is champion again" in output
    record = steps.record()
    assert record["model_version"] == before["model_version"]
    assert record["files"] == before["files"]
    assert steps.run("predict", "predict")["model_version"] == before["model_version"]
    _, story = audited(home, f"{MODEL}@champion")
    assert f"restored: {COMPLAINT}" in story

    # As the other tests of this home expect it: the first version is the challenger too.
    steps.run("train", "register", "--run-id", before["run_id"])


def test_no_other_role_than_promote_can_roll_back(home: Home, steps: Steps) -> None:
    before = steps.record()
    with pytest.raises(AssertionError, match="AccessDenied"):
        steps.run("train", "rollback", "--reason", "sabotage")
    assert steps.record() == before
