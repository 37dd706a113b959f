"""The project's workflows, run as they are: who gets which role, what waits, what is refused."""

import base64
import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.aws.credentials import Credentials
from tests import ROOT
from tests.actions_runner.definitions import load_workflow
from tests.actions_runner.github import (
    Event,
    Protection,
    RunRefused,
    dispatch,
    pull_request,
    push,
    schedule,
    starts,
    tag,
)
from tests.actions_runner.runner import Run
from tests.actions_runner.tests.conftest import GRACE
from tests.workflows.project import REPOSITORY, Project, protections

pytestmark = pytest.mark.slow

PULL_REQUEST = pull_request("0", repository=REPOSITORY)
EVERYTHING = {
    "apply.yml", "audit.yml", "ci.yml", "database.yml", "destroy.yml", "drift-infra.yml",
    "drift.yml", "infra-apply.yml", "infra-plan.yml", "monitor.yml", "not-set-up.yml", "plan.yml",
    "predict.yml", "promote.yml", "pulumi-preview.yml", "pulumi-up.yml", "rollback.yml",
    "rollout.yml", "step.yml", "train.yml",
}  # fmt: skip
CALLED = {"apply.yml", "drift.yml", "not-set-up.yml", "plan.yml", "step.yml"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_pull_request_is_planned_and_commented_once(project: Project) -> None:
    for summary in ("# Plan\n1 to add\n", "# Plan\n@everyone ``` <b>2 to add</b>\n"):
        project.script["summary"] = summary
        event = pull_request(project.commit, repository=project.settings)
        run = project.runner.run("infra-plan.yml", event)
        assert run.result == "success", [job.log for job in run.jobs.values()]
        assert project.sessions(run) == ["dev-plan", "prod-plan"]
        assert run["fork"].result == "skipped"
    comment = project.gh["comments"]["7"]
    # Four spaces: shown as it is. Nobody is mentioned, nothing is rendered.
    assert "    @everyone ``` <b>2 to add</b>\n" in comment
    assert "1 to add" not in comment


def test_the_comment_is_written_without_a_role_and_without_the_code(project: Project) -> None:
    event = pull_request(project.commit, repository=project.settings)
    run = project.runner.run("infra-plan.yml", event)
    assert run["comment"].permissions == {"pull-requests": "write"}
    assert run["comment"].claims is None


def test_a_forks_pull_request_gets_no_token_and_a_clear_word(project: Project) -> None:
    event = pull_request(project.commit, repository=project.settings, fork="stranger/keyless-mlops")
    run = project.runner.run("infra-plan.yml", event)
    assert run.result == "success"
    assert run["plan"].result == "skipped"
    assert "No plan for a pull request from a fork" in run.summary
    assert project.cloud.assumed == []


def test_a_fork_that_edits_the_condition_away_still_gets_no_token(project: Project) -> None:
    path = ".github/workflows/infra-plan.yml"
    text = (project.origin.folder / path).read_text()
    condition = "github.event.pull_request.head.repo.full_name == github.repository && "
    assert condition in text
    commit = project.origin.commit({path: text.replace(condition, "")}, branch="fork")
    event = pull_request(commit, repository=project.settings, fork="stranger/keyless-mlops")
    run = project.runner.run("infra-plan.yml", event)
    assert run["plan (dev)"].claims is None
    assert "no OIDC token" in run["plan (dev)"].log
    assert project.cloud.assumed == []


def test_a_push_to_main_plans_waits_and_applies_what_was_read(project: Project) -> None:
    run = project.runner.run("infra-apply.yml", push(project.commit))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert project.sessions(run) == ["dev-plan-main", "dev-apply"]
    assert project.approved == ["dev"]
    assert "--expect-digest " + "3f9a" * 16 in run["apply / apply"].log


def test_nothing_to_change_asks_nobody(project: Project) -> None:
    project.script["changes"] = []
    run = project.runner.run("infra-apply.yml", push(project.commit))
    assert run["apply"].result == "skipped"
    assert project.approved == []
    assert project.sessions(run) == ["dev-plan-main"]


def test_a_refused_apply_never_becomes_the_apply_role(project: Project) -> None:
    project.refuse.add("dev")
    run = project.runner.run("infra-apply.yml", push(project.commit))
    assert run.result == "failure"
    assert project.sessions(run) == ["dev-plan-main"]


def test_an_apply_stops_when_the_changes_are_no_longer_the_approved_ones(
    project: Project,
) -> None:
    project.script["digest_at_apply"] = "0" * 64
    run = project.runner.run("infra-apply.yml", push(project.commit))
    assert run["apply / apply"].result == "failure"
    assert "not the ones that were approved" in run["apply / apply"].log


def _cancel_when(path: Path, run: Run) -> None:
    def watch() -> None:
        while not path.exists():
            time.sleep(0.02)
        run.cancel.set()

    threading.Thread(target=watch, daemon=True).start()


IN_FRONT = """\
        run: exec .venv/bin/keyless apply --expect-digest "$DIGEST" --yes
"""


@pytest.mark.parametrize("beside", [True, False], ids=["as it is", "in the step's own process"])
def test_a_cancelled_apply_may_take_longer_than_a_step_and_releases_its_lock(
    project: Project, tmp_path: Path, beside: bool
) -> None:
    lock = tmp_path / "lock"
    # Longer than the runner waits before it kills.
    project.script |= {"hold_lock": str(lock), "ending_seconds": 1.5}
    commit = project.commit
    if not beside:
        name = ".github/workflows/apply.yml"
        text = (project.origin.folder / name).read_text()
        begin, end = text.index("        run: |"), text.index("      - name: Let Terraform end")
        commit = project.origin.commit({name: text[:begin] + IN_FRONT})
        assert end > begin
    project.runner.machine = replace(project.runner.machine, grace=GRACE)
    start = project.runner.on_start

    def cancel(run: Run) -> None:
        start(run)
        _cancel_when(lock, run)

    project.runner.on_start = cancel
    run = project.runner.run("infra-apply.yml", push(commit))
    assert run.result == "cancelled"
    assert lock.exists() is not beside
    assert ("released the lock" in run["apply / apply"].log) is beside
    assert run["apply / apply"].orphans == []
    # And the next run applies: nothing of the cancelled one stands in its way.
    project.runner.on_start = start
    project.script.pop("hold_lock")
    assert project.runner.run("infra-apply.yml", push(commit)).result == "success"


def test_a_forged_plan_artifact_changes_nothing(project: Project) -> None:
    start = project.runner.on_start

    def forge(run: Run) -> None:
        artifacts = run.artifacts / "plan-dev-forged"
        artifacts.mkdir(parents=True)
        (artifacts / "changes.json").write_text('[{"action": "forged"}]')
        start(run)

    project.runner.on_start = forge
    run = project.runner.run("infra-apply.yml", push(project.commit))
    assert run.result == "success"
    # Nothing downloads: what is applied is what the job itself planned.
    tree = project.runner.tree(project.commit)
    for file in (
        "workflows/infra-apply.yml",
        "workflows/apply.yml",
        "workflows/plan.yml",
        "actions/infra-plan/action.yml",
    ):
        assert "download-artifact" not in (tree / ".github" / file).read_text()


def test_training_starts_the_promotion_and_does_not_wait_for_its_reviewers(
    project: Project,
) -> None:
    run = project.runner.run("train.yml", push(project.commit))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert project.sessions(run) == ["dev-ingest", "dev-train"]
    assert project.approved == []
    assert project.gh["started"] == [["promote.yml", "environment=dev", "settings="]]
    assert run["promote"].claims is None


SECOND = "models/bikes $(touch never).toml"


def test_a_second_model_goes_its_whole_way_by_its_own_settings(project: Project) -> None:
    event = dispatch(project.commit, environment="dev", settings=SECOND)
    run = project.runner.run("train.yml", event)
    assert run.result == "success", [job.log for job in run.jobs.values()]
    for job, step in (("ingest / step", "ingest"), ("train / step", "train")):
        # A file's name reaches the step as it is, and no shell.
        assert f"{step} by the settings {SECOND!r}" in run[job].log
    assert project.gh["started"] == [["promote.yml", "environment=dev", f"settings={SECOND}"]]
    run = project.runner.run("promote.yml", event)
    assert f"promote by the settings {SECOND!r}" in run["promote / step"].log
    assert f"predict by the settings {SECOND!r}" in run["predict / predict / step"].log


def test_a_batch_and_labels_are_named_by_whoever_starts_the_run(project: Project) -> None:
    batch = "inputs/bikes/$(touch never) {date}.csv"
    event = dispatch(project.commit, environment="dev", settings=SECOND, input=batch)
    run = project.runner.run("predict.yml", event)
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert repr(["--input", batch])[1:-1] in run["predict / step"].log
    event = dispatch(project.commit, environment="dev", labels=batch)
    run = project.runner.run("monitor.yml", event)
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert repr(["--labels", batch])[1:-1] in run["monitor / step"].log


def test_training_that_kept_its_challenger_asks_no_reviewer_again(project: Project) -> None:
    del project.script["results"]["train"]["cv_value"]
    run = project.runner.run("train.yml", schedule(project.commit))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert run["promote"].result == "skipped"


def test_promotion_waits_for_its_reviewers_and_predicts_with_the_new_champion(
    project: Project,
) -> None:
    run = project.runner.run("promote.yml", dispatch(project.commit, environment="dev"))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert project.sessions(run) == ["dev-promote", "dev-predict"]
    assert project.approved == ["dev-promote"]
    assert "**better by 0.01**" in run.summary
    assert "| improvement | 0.01 | 0.004 | 0.016 |" in run.summary


def test_a_challenger_that_loses_is_a_decision_and_no_prediction_follows(
    project: Project,
) -> None:
    project.script["results"]["promote"] |= {"verdict": "keep", "sentence": "within the noise"}
    run = project.runner.run("promote.yml", dispatch(project.commit, environment="dev"))
    assert run.result == "success"
    assert project.sessions(run) == ["dev-promote"]
    assert "**within the noise**" in run.summary


def test_a_refused_promotion_changes_nothing(project: Project) -> None:
    project.refuse.add("dev-promote")
    run = project.runner.run("promote.yml", dispatch(project.commit, environment="dev"))
    assert run.result == "failure"
    assert project.sessions(run) == []


@pytest.mark.parametrize(
    ("drift", "roles"),
    [
        (False, ["dev-monitor"]),
        (True, ["dev-monitor", "dev-ingest", "dev-train"]),
    ],
)
def test_drift_starts_training(project: Project, drift: bool, roles: list[str]) -> None:
    project.script["results"]["monitor"]["retrain"] = drift
    run = project.runner.run("monitor.yml", schedule(project.commit))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert project.sessions(run) == roles
    # What moved most comes first; a column's name is data, not markup.
    rows = [line for line in run.summary.splitlines() if " ks " in line]
    assert rows == ["| a\\|b\\@c | 0.41 | ks | yes |", "| mean\\_radius | 0.1 | ks | no |"]


def test_rollback_waits_for_the_same_reviewers_as_promotion(project: Project) -> None:
    reason = "worse $(touch /tmp/never) in `use`; rm -rf"
    event = dispatch(project.commit, environment="prod", reason=reason)
    run = project.runner.run("rollback.yml", event)
    assert run.result == "success"
    assert project.approved == ["prod-promote"]
    # Free text reaches the step as one word of its command, and no shell.
    assert repr(reason) in run["rollback / step"].log
    assert project.sessions(run) == ["prod-promote"]


def test_the_account_drifted_from_the_code_opens_one_issue_and_then_updates_it(
    project: Project,
) -> None:
    for summary in ("first", "second"):
        project.script["summary"] = summary
        run = project.runner.run("drift-infra.yml", schedule(project.commit))
        assert run.result == "success", [job.log for job in run.jobs.values()]
        assert project.sessions(run) == ["dev-plan-main", "prod-plan-main"]
    assert [issue["title"] for issue in project.gh["issues"]] == ["Drift in dev", "Drift in prod"]
    assert "    second" in project.gh["issues"][0]["body"]


def test_no_drift_opens_no_issue(project: Project) -> None:
    project.script["changes"] = []
    run = project.runner.run("drift-infra.yml", schedule(project.commit))
    assert run["drift (dev) / issue"].result == "skipped"
    assert not project.gh_state.exists()


IMAGE = '{"image": {"id": "ami-0123456789abcdef0", "region": "us-east-1"}}'
PIN = "terraform/platform/environments/dev.image.tfvars.json"


def test_a_newer_image_is_proposed_once_in_a_pull_request(project: Project) -> None:
    project.script |= {"changes": [], "image": IMAGE}
    for _ in range(2):
        run = project.runner.run("drift-infra.yml", dispatch(project.commit, environment="dev"))
        assert run.result == "success", [job.log for job in run.jobs.values()]
        assert run["drift (dev) / image"].claims is None
    assert set(project.gh["pulls"]) == {"image/dev"}
    held = base64.b64decode(project.gh["branches"]["image/dev"][PIN])
    assert held.decode() == IMAGE + "\n"
    assert project.gh["commits"] == 1


def test_where_no_workflow_may_open_a_pull_request_an_issue_says_where_to(
    project: Project,
) -> None:
    project.script |= {"changes": [], "image": IMAGE}
    project.gh_state.write_text('{"no_pulls": true}')
    run = project.runner.run("drift-infra.yml", dispatch(project.commit, environment="dev"))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    [issue] = project.gh["issues"]
    assert "/compare/main...image/dev?expand=1" in issue["body"]


def test_a_disposable_environment_is_destroyed_after_its_reviewers_word(project: Project) -> None:
    event = dispatch(project.commit, environment="dev", again="dev")
    run = project.runner.run("destroy.yml", event)
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert project.approved == ["dev"]
    assert project.sessions(run) == ["dev-apply"]
    assert "keyless destroy --environment dev --delete-data --yes" in run["destroy / apply"].log


def test_a_name_that_was_typed_wrongly_destroys_nothing(project: Project) -> None:
    event = dispatch(project.commit, environment="prod", again="dev")
    run = project.runner.run("destroy.yml", event)
    assert run.result == "failure"
    assert project.approved == []
    assert project.cloud.assumed == []


FRESH = replace(REPOSITORY, environments={}, variables={})


@pytest.mark.parametrize(
    ("file", "event"),
    [
        *((name, schedule("0")) for name in ("drift-infra.yml", "monitor.yml", "predict.yml")),
        ("train.yml", schedule("0")),
        ("train.yml", push("0")),
        ("infra-apply.yml", push("0")),
        ("infra-plan.yml", pull_request("0", repository=FRESH)),
        ("pulumi-preview.yml", pull_request("0", repository=FRESH)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_runs_in_a_repository_that_is_not_set_up(
    tmp_path: Path, file: str, event: Event
) -> None:
    project = Project(tmp_path, settings=FRESH)
    run = project.runner.run(file, replace(event, sha=project.commit))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert run.created_environments == []
    assert project.cloud.assumed == []


def test_starting_a_workflow_for_an_environment_that_is_not_set_up_says_what_to_do(
    tmp_path: Path,
) -> None:
    variables = {**REPOSITORY.variables, "ENVIRONMENTS": '["dev"]'}
    project = Project(tmp_path, settings=replace(REPOSITORY, variables=variables))
    run = project.runner.run("database.yml", dispatch(project.commit, environment="prod"))
    assert run.result == "failure"
    assert "keyless github-setup --environment prod" in run["not-set-up / stop"].log
    assert run.created_environments == []
    assert project.cloud.assumed == []


PULUMI = replace(REPOSITORY, variables={**REPOSITORY.variables, "PULUMI_ENVIRONMENTS": '["dev"]'})


def test_pulumi_previews_a_pull_request_where_it_manages_an_environment(tmp_path: Path) -> None:
    project = Project(tmp_path, settings=PULUMI)
    event = pull_request(project.commit, repository=PULUMI)
    run = project.runner.run("pulumi-preview.yml", event)
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert project.sessions(run) == ["dev-plan"]
    assert "### pulumi preview of dev" in run.summary
    assert "login s3://keyless-state-" in run.summary
    fork = pull_request(project.commit, repository=PULUMI, fork="stranger/keyless-mlops")
    assert project.sessions(project.runner.run("pulumi-preview.yml", fork)) == []


def test_pulumi_updates_after_a_preview_and_the_reviewers_word(tmp_path: Path) -> None:
    project = Project(tmp_path, settings=PULUMI)
    run = project.runner.run("pulumi-up.yml", dispatch(project.commit, environment="dev"))
    assert run.result == "success", [job.log for job in run.jobs.values()]
    assert project.sessions(run) == ["dev-plan-main", "dev-apply"]
    assert project.approved == ["dev"]
    assert "pulumi up --stack dev --non-interactive --color never --diff --yes" in run["up"].log
    assert "--yes" not in run["preview"].log


def test_pulumi_is_never_run_on_an_environment_that_terraform_manages(tmp_path: Path) -> None:
    project = Project(tmp_path, settings=PULUMI)
    run = project.runner.run("pulumi-up.yml", dispatch(project.commit, environment="prod"))
    assert run.result == "failure"
    assert "PULUMI_ENVIRONMENTS does not list prod" in run["terraforms"].log
    assert project.cloud.assumed == []


def test_a_cancelled_update_may_take_longer_than_a_step_and_releases_its_lock(
    tmp_path: Path,
) -> None:
    project, lock = Project(tmp_path, settings=PULUMI), tmp_path / "lock"
    project.script |= {"hold_lock": str(lock), "ending_seconds": 1.5}
    project.runner.machine = replace(project.runner.machine, grace=GRACE)
    start = project.runner.on_start

    def cancel(run: Run) -> None:
        start(run)
        _cancel_when(lock, run)

    project.runner.on_start = cancel
    run = project.runner.run("pulumi-up.yml", dispatch(project.commit, environment="dev"))
    assert run.result == "cancelled"
    assert not lock.exists()
    assert "released the lock" in run["up"].log
    assert run["up"].orphans == []


def test_a_failed_update_fails_its_job(tmp_path: Path) -> None:
    project = Project(tmp_path, settings=PULUMI)
    project.script["pulumi"] = 255
    run = project.runner.run("pulumi-up.yml", dispatch(project.commit, environment="dev"))
    assert run["preview"].result == "failure"
    assert project.sessions(run) == ["dev-plan-main"]


def test_a_side_branch_is_stopped_by_the_environment_before_any_token(project: Project) -> None:
    event = dispatch(project.commit, branch="side", environment="dev")
    run = project.runner.run("database.yml", event)
    assert run.result == "failure"
    assert "may not deploy" in run["database / step"].message
    assert run["database / step"].claims is None


def test_a_side_branch_is_stopped_by_the_trust_where_the_environment_has_no_rules(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path, settings=replace(REPOSITORY, environments={}))
    event = dispatch(project.commit, branch="side", environment="dev")
    run = project.runner.run("database.yml", event)
    # GitHub made the environment on the fly; the ref condition of the trust policy stands alone.
    assert run.created_environments == ["dev-database"]
    assert "Not authorized" in run["database / step"].log
    assert "keyless doctor --github" in run["database / step"].log
    assert project.cloud.assumed == []


@pytest.mark.parametrize(
    ("pinned", "result", "says"),
    [
        (hashlib.sha256(b"RDS").hexdigest(), "success", "keyless database"),
        ("0" * 64, "failure", "WARNING: 1 computed checksum did NOT match"),
        (None, "success", f"This run got {hashlib.sha256(b'RDS').hexdigest()}"),
    ],
    ids=["as pinned", "other certificates", "not pinned"],
)
def test_the_databases_certificates_are_those_that_were_pinned(
    tmp_path: Path, pinned: str | None, result: str, says: str
) -> None:
    variables = {**REPOSITORY.variables, **({"RDS_CA_SHA256": pinned} if pinned else {})}
    project = Project(tmp_path, settings=replace(REPOSITORY, variables=variables))
    curl = project.folder / "tools" / "curl"
    curl.write_text('#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\nprintf RDS > "$2"\n')
    curl.chmod(0o755)
    machine = project.runner.machine
    environment = {**machine.environment, "PGSSLROOTCERT": ""}
    project.runner.machine = replace(machine, environment=environment)
    run = project.runner.run("database.yml", dispatch(project.commit, environment="dev"))
    log = run["database / step"].log
    assert run.result == result, log
    assert says in log
    # With other certificates nothing is told to the database.
    assert ("keyless database" in log) is (result == "success")


def test_an_environments_own_account_wins_over_the_repositorys(tmp_path: Path) -> None:
    own = Protection(reviewers=True, variables={"AWS_ACCOUNT_ID": "999999999999"})
    environments = {**protections(), "prod-database": own}
    project = Project(tmp_path, settings=replace(REPOSITORY, environments=environments))
    wanted: list[str] = []
    assume_role = project.cloud.assume_role

    def note(role_arn: str, *rest: Any) -> Credentials:
        wanted.append(role_arn)
        return assume_role(role_arn, *rest)

    project.cloud.assume_role = note  # type: ignore[method-assign, assignment]
    project.runner.run("database.yml", dispatch(project.commit, environment="prod"))
    assert wanted == ["arn:aws:iam::999999999999:role/keyless-prod-database"]


def test_an_environment_that_is_not_offered_cannot_be_dispatched(project: Project) -> None:
    with pytest.raises(RunRefused, match="cannot be"):
        project.runner.run("database.yml", dispatch(project.commit, environment="x\nrole"))


def test_a_failed_step_leaves_no_process_and_reports_the_failure(project: Project) -> None:
    project.script["results"].pop("train")
    run = project.runner.run("train.yml", push(project.commit))
    assert run.result == "failure"
    assert run["train / step"].orphans == []
    assert run["promote"].result == "skipped"
    assert project.sessions(run) == ["dev-ingest", "dev-train"]


def test_a_sessions_secrets_are_hidden_in_every_log(project: Project) -> None:
    step = project.origin.folder / ".github/workflows/step.yml"
    name = ".github/workflows/step.yml"
    printing = "      - {name: Print, run: env}\n"
    commit = project.origin.commit({name: step.read_text() + printing})
    run = project.runner.run("predict.yml", schedule(commit))
    log = run["predict / step"].log
    assert "AWS_SECRET_ACCESS_KEY=***" in log
    assert "secret-key" not in log
    assert "session-token" not in log


def test_one_plan_and_one_apply_at_a_time(project: Project) -> None:
    run = project.runner.run("infra-apply.yml", push(project.commit))
    assert run.concurrency[0] == ("infra-apply-dev", False)


def test_the_name_only_subject_works_end_to_end_too(tmp_path: Path) -> None:
    project = Project(tmp_path, settings=replace(REPOSITORY, subject_format="names"))
    run = project.runner.run("predict.yml", schedule(project.commit))
    assert project.sessions(run) == ["dev-predict"]


@pytest.mark.parametrize(
    ("event", "changed", "started"),
    [
        (push("0"), ["terraform/modules/a/main.tf"], {"ci.yml", "infra-apply.yml"}),
        (push("0"), ["pipeline/train.py"], {"ci.yml", "train.yml"}),
        (push("0"), ["docs/github.md"], {"ci.yml"}),
        (push("0", branch="side"), ["terraform/a.tf", "pipeline/train.py"], set()),
        (tag("0"), ["terraform/a.tf", "pipeline/train.py"], set()),
        (
            pull_request("0", repository=REPOSITORY),
            ["terraform/a.tf"],
            {"ci.yml", "infra-plan.yml"},
        ),
        (pull_request("0", repository=REPOSITORY), ["pipeline/train.py"], {"ci.yml"}),
        (
            pull_request("0", repository=REPOSITORY),
            ["requirements-run.txt"],
            {"audit.yml", "ci.yml"},
        ),
        (
            schedule("0"),
            [],
            {"audit.yml", "drift-infra.yml", "monitor.yml", "predict.yml", "train.yml"},
        ),
        (
            pull_request("0", repository=REPOSITORY),
            ["scripts/pulumi_platform/platform.py"],
            {"ci.yml", "pulumi-preview.yml"},
        ),
        (
            dispatch("0"),
            [],
            EVERYTHING - CALLED - {"ci.yml", "infra-plan.yml", "pulumi-preview.yml"},
        ),
    ],
)
def test_an_event_starts_exactly_these_workflows(
    event: Event, changed: list[str], started: set[str]
) -> None:
    workflows = [load_workflow(path) for path in (ROOT / ".github/workflows").glob("*.yml")]
    assert {found.file for found in workflows} == EVERYTHING
    assert {found.file for found in workflows if starts(found, event, changed)} == started
