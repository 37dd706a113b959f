"""The story of a model and the way back, by `keyless audit` and `keyless rollback`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
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


def test_a_second_model_of_ones_own_settings_runs_step_by_step_and_is_listed(
    home: Home, tmp_path: Path
) -> None:
    """`keyless run` gives each step its role, and an average of models goes through all of AWS."""
    settings, rows, batch = (tmp_path / name for name in ("bikes.toml", "bikes.csv", "june.csv"))
    lines = [f"{n},{n % 7},{(n * 37) % 11},{3 * (n % 7) + (n * 37) % 11}" for n in range(120)]
    rows.write_text("\n".join(["number,day,wind,rented", *lines]) + "\n")
    batch.write_text("\n".join(["number,day,wind", *(x.rsplit(",", 1)[0] for x in lines[:20])]))
    settings.write_text(
        f'model = "bikes"\n[data]\nsource = "{rows}"\ntarget = "rented"\nid_columns = ["number"]\n'
        '[task]\ntype = "regression"\nmetric = "mae"\n'
        '[search]\nfamilies = ["linear", "histogram_gradient_boosting"]\ntrials = 2\nfolds = 2\n'
        "[evaluation]\nplots = false\nimportance_repeats = 1\n[promotion]\nresamples = 100\n"
    )
    for step in ("ingest", "train", "promote"):
        keyless(home, "run", step, "--settings", str(settings))
    predicted = keyless(home, "run", "predict", "--settings", str(settings), "--input", str(batch))
    assert "predicted 20 rows with version 1 of bikes" in predicted
    facts, _ = audited(home, "bikes")
    assert facts["role"] == home.platform["roles"]["train"]
    page = tmp_path / "bikes.html"
    listed = keyless(home, "models", "bikes", "--html", str(page))
    assert "bikes: 1 version\n" in listed
    assert "champion" in listed
    assert "bikes" in page.read_text()
