"""The verbs on a folder without a rollout: what they say, what they write, what they refuse."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline.errors import InputError
from pipeline.model.artifacts import CARD_FILE
from pipeline.model.champion import Champion, FileRecords, MetricValue, PinnedFile
from pipeline.rollouts.__main__ import rollouts
from pipeline.rollouts.observed.sources import StoreSources
from pipeline.rollouts.plans import first_policy
from pipeline.rollouts.policies import Policies
from pipeline.rollouts.policy import Challenger, TrafficPolicy
from pipeline.settings import load_settings, settings_path
from pipeline.storage import FolderStore
from pipeline.tracking.results import RolloutResult, read_result

pytestmark = pytest.mark.slow

MODEL = "breast-cancer"


def run(folder: Path, *arguments: str) -> Result:
    verb, *rest = arguments
    return CliRunner().invoke(rollouts, [verb, "--local", str(folder), *rest])


def begun(folder: Path, **changes: Any) -> TrafficPolicy:
    """A canary in force, as start would write it; it needs MLflow, and this does not."""
    settings = load_settings(settings_path(None, {}))
    policy = first_policy(
        MODEL,
        "canary",
        settings.rollout,
        Challenger(model_version="2", run_id="run", files={}),
        (1, "1"),
        None,
        classes=True,
        who="somebody",
        why="trained on October",
    ).model_copy(update=changes)
    Policies(FolderStore(folder), f"rollouts/{MODEL}").write(policy, None)
    return policy


def test_there_is_nothing_to_show_and_nothing_to_steer_before_the_first(tmp_path: Path) -> None:
    assert run(tmp_path, "status").output == f"{MODEL} never had a rollout\n"
    assert run(tmp_path, "history").output == f"{MODEL} never had a rollout\n"
    refused = run(tmp_path, "pause", "--why", "too fast")
    assert refused.exit_code == 2
    assert "does not exist: there is nothing to pause" in refused.output


def test_a_rollout_needs_a_champion(tmp_path: Path) -> None:
    refused = run(tmp_path, "start", "--strategy", "canary", "--why", "new")
    assert refused.exit_code == 2
    assert "has no champion yet: run promote first" in refused.output


def test_every_verb_writes_a_result_that_summaries_can_read(tmp_path: Path) -> None:
    begun(tmp_path)
    file = tmp_path / "result.json"
    for verb in ("pause", "abort", "history", "size"):
        more = ["--why", "as planned"] if verb in ("pause", "abort") else []
        done = run(tmp_path, verb, *more, "--result", str(file))
        assert done.exit_code == 0, done.output
        result = read_result(file)
        assert isinstance(result, RolloutResult)
        assert (result.model, result.verb) == (MODEL, verb)
        assert result.model_extra == {}


def test_abort_ends_it_for_good_and_the_history_says_who_and_why(tmp_path: Path) -> None:
    begun(tmp_path)
    assert run(tmp_path, "abort", "--why", "complaints").exit_code == 0
    again = run(tmp_path, "abort", "--why", "complaints")
    assert again.exit_code == 2 and "is aborted: there is nothing to abort" in again.output
    policy = json.loads((tmp_path / "rollouts" / MODEL / "policy.json").read_text())
    assert (policy["phase"], policy["share"], policy["why"]) == ("aborted", 0.0, "complaints")
    lines = run(tmp_path, "history").output.splitlines()
    assert len(lines) == 2 and "trained on October" in lines[0] and "complaints" in lines[1]


@pytest.mark.parametrize("verb", ["pause", "abort"])
def test_a_change_without_a_reason_is_refused(tmp_path: Path, verb: str) -> None:
    begun(tmp_path)
    refused = run(tmp_path, verb)
    assert refused.exit_code == 2 and "--why" in refused.output
    assert len(run(tmp_path, "history").output.splitlines()) == 1


def spoil(folder: Path, name: str) -> Path:
    path = folder / "rollouts" / MODEL / name
    path.write_text("{")
    return path


def test_abort_ends_a_rollout_whose_policy_somebody_spoilt(tmp_path: Path) -> None:
    """Servers go on by the last good version: without this, no verb could end it."""
    begun(tmp_path)
    assert run(tmp_path, "pause", "--why", "to look").exit_code == 0
    spoil(tmp_path, "policy.json")
    shown = run(tmp_path, "status")
    assert shown.exit_code == 2
    assert "keyless rollout abort ends its rollout" in shown.output

    assert run(tmp_path, "abort", "--why", "spoilt by hand").exit_code == 0
    listed = run(tmp_path, "history").output.splitlines()
    assert [line.split()[3] for line in listed] == ["running", "aborted"]


def test_a_spoilt_policy_without_a_version_before_it_is_to_be_deleted(tmp_path: Path) -> None:
    begun(tmp_path)
    path = spoil(tmp_path, "policy.json")
    refused = run(tmp_path, "abort", "--why", "spoilt by hand")
    assert refused.exit_code == 2
    assert "administrator delete it (no role may), and the champion answers alone" in refused.output
    assert path.read_text() == "{"


def test_abort_ends_a_rollout_that_was_spoilt_before_it_had_a_second_version(
    tmp_path: Path,
) -> None:
    """Servers still go on by it, and the version before it is of a rollout that had ended."""
    begun(tmp_path)
    assert run(tmp_path, "abort", "--why", "the first one").exit_code == 0
    policies = Policies(FolderStore(tmp_path), f"rollouts/{MODEL}")
    seen = policies.read()
    assert seen is not None
    again = {"phase": "running", "share": 0.01, "experiment": "e2", "why": "the second one"}
    policies.write(seen.policy.model_copy(update={**again, "version": 3}), seen)
    spoil(tmp_path, "policy.json")

    assert run(tmp_path, "abort", "--why", "spoilt by hand").exit_code == 0
    ended = policies.read()
    assert ended is not None and not ended.policy.live
    assert ended.policy.why == "spoilt by hand"


def champion(folder: Path, version: str) -> None:
    FileRecords(folder / "champion" / MODEL).write(
        Champion(
            model=MODEL,
            sequence=1,
            model_version=version,
            run_id="run",
            metric=MetricValue(name="roc_auc", value=1),
            files={},
            changed_at="2026-11-28T00:00:00+00:00",
        )
    )


def test_a_challenger_whose_files_are_gone_is_rolled_back(tmp_path: Path) -> None:
    """A server that starts could not load it, and the controller not read what it was asked."""
    champion(tmp_path, "1")
    pin = PinnedFile(key="decisions/x/card.json", version=None, sha256="0" * 64)
    gone = Challenger(model_version="2", run_id="run", files={CARD_FILE: pin})
    begun(tmp_path, challenger=gone)

    page = tmp_path / "page.html"
    done = run(tmp_path, "watch", "--once", "--page", str(page))
    assert done.exit_code == 0, done.output
    assert "rolled_back" in page.read_text()
    policy = json.loads((tmp_path / "rollouts" / MODEL / "policy.json").read_text())
    assert policy["phase"] == "rolled_back"
    assert "the challenger's files are not those that it began with" in policy["why"]
    assert "card.json does not exist" in policy["why"]


def test_the_live_view_keeps_what_it_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    champion(tmp_path, "1")
    policy, made = begun(tmp_path), list[int]()
    policies = Policies(FolderStore(tmp_path), f"rollouts/{MODEL}")

    class Counted(StoreSources):
        def __init__(self, *arguments: Any) -> None:
            made.append(1)
            super().__init__(*arguments)

    def end_after_two_looks(_: float) -> None:
        looks.append(1)
        if len(looks) == 2:
            ended = {"version": 2, "phase": "aborted", "share": 0.0}
            policies.write(policy.model_copy(update=ended), policies.read())

    looks: list[int] = []
    monkeypatch.setattr("pipeline.rollouts.__main__.StoreSources", Counted)
    monkeypatch.setattr("time.sleep", end_after_two_looks)
    done = run(tmp_path, "status", "--live")
    assert done.exit_code == 0, done.output
    assert (len(looks), len(made)) == (2, 1)


def test_a_rollout_that_succeeded_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is promote's, which a person starts."""
    champion(tmp_path, "1")
    begun(tmp_path, phase="succeeded")
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it would be looked at forever"))
    done = run(tmp_path, "status", "--live")
    assert done.exit_code == 0, done.output
    assert "succeeded" in done.output


def test_a_rollout_begins_though_no_controller_completed_the_last_one(tmp_path: Path) -> None:
    last = begun(tmp_path, phase="succeeded")
    settings = load_settings(settings_path(None, {})).rollout
    following = Challenger(model_version="3", run_id="run", files={})
    record = (2, last.challenger.model_version)
    options: dict[str, Any] = {"classes": True, "who": "somebody", "why": "the next one"}
    found = first_policy(MODEL, "canary", settings, following, record, last, **options)
    assert (found.version, found.phase, found.champion_version) == (2, "running", "2")
    with pytest.raises(InputError, match="abort it first, or promote it"):
        first_policy(MODEL, "canary", settings, following, (1, "1"), last, **options)


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 501])
def test_a_reason_says_something_and_is_short(tmp_path: Path, reason: str) -> None:
    begun(tmp_path)
    refused = run(tmp_path, "abort", "--why", reason)
    assert refused.exit_code == 2
    assert "give a reason of 1 to 500 characters" in refused.output


@pytest.mark.slow  # imports MLflow
def test_a_champion_that_was_rolled_back_is_no_challenger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion(tmp_path, "1")
    found = SimpleNamespace(number="2", run_id="run", files={})
    monkeypatch.setattr("pipeline.tracking.runs.connect", lambda _: None)
    monkeypatch.setattr("pipeline.evaluation.holdout.find_version", lambda *_: None)
    monkeypatch.setattr("pipeline.evaluation.holdout.candidate", lambda *_: found)
    barred = {"2": "complaints"}
    monkeypatch.setattr("pipeline.tracking.decisions.barred", lambda *_: barred)
    start = ("start", "--strategy", "canary", "--challenger", "2", "--why", "once more")

    refused = run(tmp_path, *start)
    assert refused.exit_code == 2
    assert "version 2 was rolled back (complaints); promote it with --reinstate" in refused.output
    assert not (tmp_path / "rollouts").exists()

    barred.clear()
    assert run(tmp_path, *start).exit_code == 0
