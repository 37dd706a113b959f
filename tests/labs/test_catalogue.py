"""Each lab is whole, and what a student may do, earns and loses is right, without a cloud."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.console import UserError
from scripts.labs import common, connection, progress, trial
from scripts.labs.github import GitHub, NotYours
from scripts.labs.lab import ATTACK_POINTS, FIX_POINTS, Lab, find, labs
from scripts.labs.operations import LOCK_FILE, Labs, Verdict
from scripts.labs.running import LabRun, Record
from scripts.labs.trial import Outcome, Refused, Trial
from scripts.labs.workspace import Workspace
from scripts.local_run import leftovers
from scripts.stack.binary import StackError
from tests import ROOT

EVERY = [pytest.param(lab, id=lab.slug) for lab in labs()]
RUN: Any = None


@pytest.mark.parametrize("lab", EVERY)
def test_a_lab_is_whole(lab: Lab) -> None:
    assert list(lab.setup.glob("*.tf"))
    assert lab.attack.exists()
    assert len(lab.fixes) >= 2
    assert lab.check.ATTACKS
    assert lab.check.NEEDS
    story = (lab.folder / "README.md").read_text()
    assert story.startswith(f"# Lab {lab.number}: {lab.title[0].lower()}") or lab.title in story
    assert all(f"**{part}" in story for part in ("You ", "Attack", "Fix", "Check", "Discuss"))


@pytest.mark.parametrize("lab", EVERY)
def test_hints_cost_more_and_more_and_never_all(lab: Lab) -> None:
    costs = [hint.cost for hint in lab.hints]
    assert len(costs) == 3
    assert costs == sorted(costs)
    assert 0 < sum(costs) < ATTACK_POINTS + FIX_POINTS


@pytest.mark.parametrize("lab", EVERY)
def test_the_page_tells_title_time_and_lesson(lab: Lab) -> None:
    page = (ROOT / "docs" / "labs.md").read_text()
    assert f"| {lab.number} {lab.title} | {lab.minutes} | {lab.teaches} |" in page


def test_the_page_has_every_verb() -> None:
    page = (ROOT / "docs" / "labs.md").read_text()
    shown = CliRunner().invoke(keyless, ["lab", "--help"]).stdout.partition("Commands:")[2]
    verbs = [line.split()[0] for line in shown.splitlines() if line[2:3].isalpha()]
    assert len(verbs) >= 9
    assert all(f"`keyless lab {verb}" in page for verb in verbs)


@pytest.mark.parametrize("name", ["1", "01", "static-keys", "01-static-keys"])
def test_a_lab_has_four_names(name: str) -> None:
    assert find(name).number == 1


def test_a_lab_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(keyless, ["--home", str(tmp_path / "home"), "lab", "start", "77"])
    assert done.exit_code == 2
    assert done.stderr.endswith(" lab list\n")


# --- GitHub --------------------------------------------------------------------------------------


@pytest.fixture
def minted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The jobs that tokens were asked for."""
    jobs: list[dict[str, Any]] = []

    def mint(_: object, job: dict[str, Any], *, audience: str) -> str:
        jobs.append(job)
        return f"token {len(jobs)} for {audience}"

    monkeypatch.setattr("scripts.labs.github.github_token", mint)
    return jobs


def github(number: str, registered: dict[str, str] | None = None) -> GitHub:
    cloud: Any = SimpleNamespace()
    return GitHub(find(number), cloud, {} if registered is None else registered, lambda: None)


def test_a_student_runs_jobs_only_where_he_may_push(minted: list[dict[str, Any]]) -> None:
    with pytest.raises(NotYours, match="runs no job of yours"):
        github("2").token_for_student("acme/pipeline")
    github("2").token_for_student("acme/website")
    assert [(job["repository_id"], job["actor"]) for job in minted] == [("2003", "mallory")]


def test_a_job_in_a_protected_environment_waits(minted: list[dict[str, Any]]) -> None:
    with pytest.raises(NotYours, match="approval of environment 'prod'"):
        github("3").token_for_student("acme/pipeline", environment="prod")
    github("3").token_for_student("acme/pipeline", environment="staging")
    assert len(minted) == 1


@pytest.mark.parametrize("name", ["acme/other", "ACME/other"])
def test_nobody_registers_below_a_name_that_is_taken(name: str) -> None:
    with pytest.raises(NotYours, match="is taken"):
        github("2").token_for_student(name)


def test_a_registered_name_has_ids_of_its_own_and_keeps_them(minted: list[dict[str, Any]]) -> None:
    registered: dict[str, str] = {}
    for _ in range(2):
        github("2", registered).token_for_student("acme-labs/x")
    assert minted[0]["repository_id"] == minted[1]["repository_id"] not in ("2002", "2003")
    assert minted[0]["repository_owner_id"] != "1001"


@pytest.mark.parametrize("right", [{"ref": "refs/heads/main"}, {"environment": "prod"}])
def test_no_foreign_job_has_the_claims_that_a_right_trust_policy_asks_for(
    minted: list[dict[str, Any]], right: dict[str, str]
) -> None:
    job = {name: value for name, value in right.items() if name == "environment"}
    run: Any = SimpleNamespace(github=github("2"))
    ids = {"repository_id": "2002", "repository_owner_id": "1001"}
    assert len(list(common.others(run, "acme/pipeline", **job))) == len(minted) > 5
    assert [one for one in minted if (right | ids).items() <= one.items()] == []


# --- what is judged ------------------------------------------------------------------------------


def raising(failure: Exception) -> Trial:
    def do(_: object) -> str:
        raise failure

    return Trial("it", do)


def test_only_a_control_refuses() -> None:
    assert trial.attack(raising(Refused("no")), RUN).good
    broken = trial.attack(raising(ValueError("no output")), RUN)
    assert (broken.result, broken.good) == ("unclear", False)
    assert not trial.need(raising(Refused("no")), RUN).good


def test_a_check_does_not_give_the_flag_away() -> None:
    found = trial.attack(Trial("it", lambda _: "x FLAG{02-subject-too-wide-00ff} y"), RUN)
    assert found.detail == "x FLAG{...} y"
    assert not found.good


def test_a_check_that_tried_nothing_accepts_nothing() -> None:
    refused, works = Outcome("attack", "a", "refused"), Outcome("need", "n", "works")
    assert Verdict([refused, works]).solved
    for found in ([], [refused], [works], [refused, works, Outcome("attack", "b", "unclear")]):
        assert not Verdict(found).solved


# --- points --------------------------------------------------------------------------------------


def test_flag_and_fix_earn_once_and_hints_cost() -> None:
    reached = progress.Reached(hint_points=15)
    for _ in range(2):
        progress.flag_found(reached)
        progress.fix_accepted(reached)
    assert reached.points == ATTACK_POINTS + FIX_POINTS - 15
    assert reached.solved is not None


def test_after_the_solution_was_shown_nothing_is_earned() -> None:
    reached = progress.Reached(shown=True)
    progress.flag_found(reached)
    progress.fix_accepted(reached)
    assert reached.points == 0


def run(home: Path, *words: str) -> Any:
    return CliRunner().invoke(keyless, ["--home", str(home), "lab", *words])


@pytest.mark.parametrize("verb", [["check", "1"], ["flag", "1", "x"], ["token", "1", "a/b"]])
def test_what_needs_a_started_lab_says_so(tmp_path: Path, verb: list[str]) -> None:
    done = run(tmp_path / "home", *verb)
    assert done.exit_code == 2
    assert done.stderr.endswith(" lab start 1\n")


def test_a_hint_after_the_lab_was_solved_takes_nothing_away(tmp_path: Path) -> None:
    labs_of_mine = Labs(tmp_path / "labs")
    with labs_of_mine._noting() as noted:
        progress.flag_found(noted.of(find("1")))
        progress.fix_accepted(noted.of(find("1")))
    before = labs_of_mine.progress().points
    hints, new = labs_of_mine.hint(find("1"))
    assert (len(hints), new) == (1, True)
    assert labs_of_mine.progress().points == before > 0


def test_hints_are_shown_one_by_one_and_the_same_one_costs_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shown = [run(home, "hint", "1").stdout.count("points)") for _ in range(4)]
    assert shown == [1, 2, 3, 3]
    assert Labs(home).progress().of(find("1")).hint_points == 30


def test_a_damaged_progress_file_is_said_and_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "hint", "1")
    file = Labs(home).progress_file
    file.write_text("{")
    done = run(home, "list")
    assert done.exit_code == 2
    assert f"mv {file}" in " ".join(done.stderr.split())
    assert file.read_text() == "{"


def test_a_class_is_put_in_order(tmp_path: Path) -> None:
    for name, earned in (("ada", 40), ("grace", 100)):
        reached = {"01-static-keys": {"earned": earned, "flag": True, "fixed": earned == 100}}
        (tmp_path / name).write_text(json.dumps({"student": name, "labs": reached}))
    files = [str(tmp_path / name) for name in ("ada", "grace")]
    rows = json.loads(run(tmp_path / "home", "scoreboard", *files, "--json").stdout)
    assert rows == [
        {"student": "grace", "points": 100, "solved": 1},
        {"student": "ada", "points": 40, "solved": 0},
    ]


def test_reset_wants_one_lab_or_all(tmp_path: Path) -> None:
    assert run(tmp_path / "home", "reset").exit_code == 2
    assert run(tmp_path / "home", "reset", "1", "--all").exit_code == 2
    assert run(tmp_path / "home", "reset", "--all").exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["up", "down"])
def test_the_platform_is_not_run_in_a_labs_cloud(tmp_path: Path, verb: str) -> None:
    home = tmp_path / "home" / "labs" / "01-static-keys"
    home.mkdir(parents=True)
    (home / "lab.json").write_text("{}")
    done = CliRunner().invoke(keyless, ["--home", str(home), verb])
    assert done.exit_code == 2
    assert "unset KEYLESS_HOME" in done.stderr
    assert (home / "lab.json").exists()


def test_a_folder_that_is_there_already_is_not_written_into(tmp_path: Path) -> None:
    found = Labs(tmp_path / "home")
    mine = found.workspace.folder(find("1"))
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not a lab's folder"):
        found.workspace.lay_out(find("1"), ROOT / "terraform/bootstrap/.terraform.lock.hcl")
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_the_shell_of_a_lab_that_was_reset_still_finds_the_students_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for path in (home, home / "labs" / "05-train-to-administrator"):
        assert Labs(path).home == home
    assert Labs(home / "labs" / "mine").home == home / "labs" / "mine"


def test_what_a_student_deleted_is_laid_out_again_and_the_rest_kept(tmp_path: Path) -> None:
    mine, lab = Labs(tmp_path / "home"), find("2")
    folder = mine.workspace.lay_out(lab, LOCK_FILE)
    cloud: Any = SimpleNamespace(
        home=tmp_path / "cloud", endpoint="", ca_bundle="", region="us-east-1", account_id="1"
    )
    run = LabRun(lab, cloud, mine.workspace, Record(lab.slug, ""))
    run.give("found.txt", "by the attacker")
    (folder / "main.tf").unlink()
    (folder / "notes.txt").write_text("mine")
    mine._lay_out_again(run)
    assert (folder / "main.tf").read_bytes() == (lab.setup / "main.tf").read_bytes()
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "main.tf").write_text("mine, too")
    mine._lay_out_again(run)
    assert (folder / "main.tf").read_text() == "mine, too"
    shutil.rmtree(folder)
    mine._lay_out_again(run)
    assert {"main.tf", "env.sh", "README.md", "given"} <= {one.name for one in folder.iterdir()}
    assert (folder / "given" / "found.txt").read_text() == "by the attacker"
    assert mine.workspace.changed(lab) == []


@pytest.mark.parametrize(("why", "told"), [("no", "edit"), ("run terraform init", "take out")])
def test_what_attacks_left_goes_before_terraform_runs_and_its_refusal_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, told: str
) -> None:
    mine, lab, done = Labs(tmp_path / "home"), find("10"), list[str]()
    (tmp_path / "main.tf").write_text("")

    def apply(*_: object) -> None:
        done.append("apply")
        raise StackError("failed", why=why)

    monkeypatch.setattr(lab.check, "tidy", lambda _: done.append("tidy"))
    run = SimpleNamespace(lab=lab, folder=tmp_path, workspace=mine.workspace, outputs={})
    monkeypatch.setattr(mine, "running", lambda _: run)
    monkeypatch.setattr(mine, "_apply", apply)
    with pytest.raises(UserError, match="does not take your files") as refused:
        mine.check(lab)
    assert done == ["tidy", "apply"]
    assert refused.value.fix.startswith(told)


@pytest.mark.parametrize(
    ("text", "line"), [("x = 1\nimport\n", ", line 2"), ("def f():\nreturn 1", ", line 2")]
)
def test_python_that_no_interpreter_takes_is_reported_before_anything_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: str
) -> None:
    mine, lab = Labs(tmp_path / "home"), find("8")
    folder = mine.workspace.lay_out(lab, LOCK_FILE)
    (folder / "app.py").write_text(text)
    run = SimpleNamespace(lab=lab, folder=folder, workspace=mine.workspace)
    monkeypatch.setattr(mine, "running", lambda _: run)
    with pytest.raises(UserError, match=f"app.py{line}") as refused:
        mine.check(lab)
    assert refused.value.exit_code == 2


def test_what_runs_is_ended_where_somebody_removed_the_labs_home(tmp_path: Path) -> None:
    mine, lab = Labs(tmp_path / "home"), find("8")
    for end in (mine.end_all, lambda: mine.reset(lab), mine.reset_all):
        left = subprocess.Popen(
            ["sleep", "60"], env=os.environ | leftovers.mark(mine.cloud_home(lab))
        )
        try:
            end()
            left.wait(5)  # raises TimeoutExpired while it runs
        finally:
            left.kill()
        assert not mine.home.exists()


# --- two terminals of one student ----------------------------------------------------------------


def test_what_many_terminals_note_at_once_is_all_kept(tmp_path: Path) -> None:
    mine = Labs(tmp_path / "home")
    asked = [lab for lab in labs() for _ in lab.hints]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(mine.hint, asked))
    assert all(mine.progress().of(lab).hint_points == 30 for lab in labs())
    assert mine.progress().of(labs()[0]).hints == 3


@pytest.mark.slow
def test_processes_wait_for_each_other_too(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    command = [sys.executable, "-c", HINTS, home]
    ran = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    said = [one.communicate(timeout=120)[1] for one in ran]
    assert [one.returncode for one in ran] == [0, 0], said
    assert Labs(tmp_path / "home").progress().of(find("1")).checks == 100


HINTS = """
import sys
from pathlib import Path
from scripts.labs.lab import find
from scripts.labs.operations import Labs
mine = Labs(Path(sys.argv[1]))
for _ in range(50):
    with mine._noting() as noted:
        noted.of(find("1")).checks += 1
"""


def started(folder: Path) -> LabRun:
    cloud: Any = SimpleNamespace(home=folder)
    return LabRun(find("2"), cloud, Workspace(folder / "files"), Record("02-subject-too-wide", ""))


def test_names_and_flags_of_two_terminals_are_all_kept(tmp_path: Path) -> None:
    first = started(tmp_path)
    first.save()
    second = started(tmp_path)
    one, two = first.new_flag(), second.new_flag()
    first.record.registered["acme-x/a"] = "1"
    first._note()
    second.record.registered["acme-x/b"] = "2"
    second._note()
    first.record.kept["by a check"] = True
    first.save()
    second.record.registered["acme-x/c"] = "3"
    second._note()
    found = Record.load(tmp_path)
    assert found.registered == {"acme-x/a": "1", "acme-x/b": "2", "acme-x/c": "3"}
    assert found.kept == {"by a check": True}
    assert all(started(tmp_path).is_flag(flag) for flag in (one, two))


def test_what_the_lab_gave_is_the_attackers_whatever_the_student_does_with_it(
    tmp_path: Path,
) -> None:
    run = started(tmp_path)
    mine = run.give("address.txt", "http://127.0.0.1:1\n")
    mine.write_text("nowhere")
    assert (run.attacker / "given" / "address.txt").read_text() == "http://127.0.0.1:1\n"


OF_THE_CALLER = {
    "AWS_PROFILE": "work",
    "AWS_DEFAULT_PROFILE": "work",
    "AWS_ENDPOINT_URL_S3": "https://elsewhere.example",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_A_SETTING_TO_COME": "1",
    "AWS_ROLE_SESSION_NAME": "a name\nAWS_REGION=elsewhere",
    "KEYLESS_AWS": "1",
    "TF_CLI_ARGS": "-lock=false",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "NO_PROXY": "",
}


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_nothing_of_the_callers_settings_leads_out_of_the_lab(tmp_path: Path, shell: str) -> None:
    folder = tmp_path / "it's a folder"
    cloud: Any = SimpleNamespace(
        home=folder, endpoint="https://127.0.0.1:1", ca_bundle=folder / "ca.pem",
        region="us-east-1", account_id="123456789012",
    )  # fmt: skip
    run = LabRun(find("2"), cloud, Workspace(folder / "files"), Record("02-subject-too-wide", ""))
    folder.mkdir()
    file = connection.write(run)
    wanted = connection.variables(run, run.folder)
    environment = {"PATH": os.environ["PATH"]} | OF_THE_CALLER
    told = subprocess.run(
        [shell, "-c", f". {shlex.quote(str(file))} && env -0"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    now = dict(line.partition("=")[::2] for line in told.split("\0"))
    assert {name: now.get(name) for name in wanted} == wanted
    led = {name for name in now if name.startswith(("AWS_", "TF_", "KEYLESS_"))}
    assert led <= wanted.keys()
    assert now["HTTPS_PROXY"] == OF_THE_CALLER["HTTPS_PROXY"]  # installing a package may need it
