"""From a pull request to a rollback through the real workflow files, on a local account.

Doubled are GitHub itself (`tests/workflows`), the AWS CLI and its session plugin. Terraform, the
roles, their sessions, the server, its database and every step are what `keyless up` runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from scripts.account import image
from scripts.names import job_roles
from tests.actions_runner import github
from tests.actions_runner.runner import Run
from tests.e2e.conftest import Home
from tests.workflows.delivery import GITHUB_IDS, MODEL, Delivery, patients

pytestmark = [pytest.mark.e2e, pytest.mark.terraform, pytest.mark.timeout(1800)]

STATE = "dev/platform.tfstate"
LOCK = f"{STATE}.tflock"
IMAGE = "terraform/platform/environments/dev.image.tfvars.json"
PLATFORM = "terraform/platform/github.auto.tfvars.json"


def log(run: Run) -> str:
    return "\n".join(
        f"--- {job.key}: {job.result} {job.message}\n{job.log}" for job in run.jobs.values()
    )


def roles(run: Run) -> list[str]:
    """Roles that a run's jobs assumed, in order."""
    lines = [line for job in run.jobs.values() for line in job.log.splitlines()]
    return [line.rpartition("/keyless-dev-")[2] for line in lines if line.startswith("Assumed ")]


def done(run: Run) -> Run:
    assert run.result == "success", log(run)
    assert not [orphan for job in run.jobs.values() for orphan in job.orphans]
    return run


@pytest.fixture(scope="module")
def delivery(
    fresh_home: Callable[[], Home], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivery]:
    """A new repository from the template, and an account that an administrator bootstrapped."""
    made = Delivery(fresh_home().path, tmp_path_factory.mktemp("delivery"))
    made.bootstrap()
    yield made
    made.end()
    for name, seconds in made.seconds.items():
        print(f"{seconds:7.1f} s  {name}")


@pytest.fixture(scope="module")
def planned(delivery: Delivery) -> Run:
    """The pull request that names the trusted repository and the server's image: the first plan."""
    step = "octo-org/keyless-mlops/.github/workflows/step.yml@refs/heads/main"
    variables = {
        "github": GITHUB_IDS,
        # Roles that are open to one file of workflows alone.
        "job_workflow_refs": dict.fromkeys(("database", "ingest", "train", "promote"), step),
    }
    newest = image.newest(delivery.administrator, delivery.cloud.region)
    files = {
        PLATFORM: json.dumps(variables, indent=2),
        IMAGE: json.dumps({"image": newest.variable()}),
    }
    commit = delivery.origin.commit(files, branch="first-apply")
    event = github.pull_request(
        commit, repository=delivery.runner.repository, number=1, branch="first-apply"
    )
    # Pulumi's has no job as long as no environment is named for it.
    started = {"infra-plan.yml", "pulumi-preview.yml"}
    assert delivery.started_by(event, delivery.origin.changed(commit)) == started
    return delivery.run("infra-plan.yml", event)


def test_a_pull_request_is_planned_under_the_plan_role_and_changes_nothing(
    delivery: Delivery, planned: Run
) -> None:
    done(planned)
    assert roles(planned) == ["plan"]
    assert delivery.asked == []
    assert STATE not in delivery.state_keys()
    assert "to create" in delivery.comments["1"]
    assert "USD a month" in delivery.comments["1"]


@pytest.fixture(scope="module")
def merged(delivery: Delivery, planned: Run) -> github.Event:
    """The merge, after somebody forged the plan that the pull request's run had kept."""
    forged = [{"action": "create", "address": "aws_iam_user.backdoor"}]
    (planned.artifacts / "plan-dev" / "changes.json").write_text(json.dumps(forged))
    (planned.artifacts / "plan-dev" / "plan.md").write_text("no changes\n")
    commit = delivery.origin.merge("first-apply")
    event = github.push(commit)
    changed = delivery.origin.changed(commit)
    assert delivery.started_by(event, changed) == {"infra-apply.yml"}
    return event


@pytest.fixture(scope="module")
def unapproved(delivery: Delivery, merged: github.Event) -> Run:
    """The first apply; its reviewers say no."""
    delivery.grant = set()
    return delivery.run("infra-apply.yml", merged)


def test_without_its_reviewers_word_nothing_is_applied(delivery: Delivery, unapproved: Run) -> None:
    assert unapproved["apply / apply"].message == "the reviewers of dev refused"
    assert unapproved["apply / apply"].steps == []
    assert roles(unapproved) == ["plan-main"]
    assert STATE not in delivery.state_keys()


@pytest.fixture(scope="module")
def cancelled(delivery: Delivery, unapproved: Run, merged: github.Event) -> Run:
    """The same again, approved, and cancelled as soon as Terraform holds the lock."""
    delivery.grant = {"dev"}
    return delivery.run(
        "infra-apply.yml", merged, cancel_when=lambda: LOCK in delivery.state_keys()
    )


def test_a_cancelled_apply_leaves_no_lock_and_no_process(
    delivery: Delivery, cancelled: Run
) -> None:
    assert cancelled.result == "cancelled", log(cancelled)
    assert roles(cancelled) == ["plan-main", "apply"]
    assert LOCK not in delivery.state_keys()
    assert cancelled["apply / apply"].orphans == []


@pytest.fixture(scope="module")
def applied(delivery: Delivery, cancelled: Run, merged: github.Event) -> Run:
    """And once more: approved, and left to end; nothing of the cancelled run is in its way."""
    delivery.grant = {"dev"}
    return delivery.run("infra-apply.yml", merged)


def test_a_merge_is_planned_again_approved_and_applied(delivery: Delivery, applied: Run) -> None:
    done(applied)
    assert roles(applied) == ["plan-main", "apply"]
    assert LOCK not in delivery.state_keys()
    platform = delivery.administrator("ssm").get_parameter(Name="/keyless/dev/platform")
    assert json.loads(platform["Parameter"]["Value"])["github"]["repository_id"] == "2002"


def test_a_forged_plan_of_the_pull_request_changed_nothing(
    delivery: Delivery, applied: Run
) -> None:
    assert delivery.administrator("iam").list_users()["Users"] == []
    kept = json.loads((applied.artifacts / "plan-dev" / "changes.json").read_text())
    assert kept
    assert "backdoor" not in json.dumps(kept)


@pytest.fixture(scope="module")
def prepared(delivery: Delivery, applied: Run) -> Run:
    """The database, its passwordless login and MLflow's schema."""
    delivery.grant = {"dev-database"}
    return delivery.dispatch("database.yml")


def test_the_database_is_prepared_under_its_own_role(delivery: Delivery, prepared: Run) -> None:
    done(prepared)
    assert roles(prepared) == ["database"]


def test_a_workflow_that_merely_names_the_environment_gets_nothing(
    delivery: Delivery, prepared: Run
) -> None:
    step = (delivery.origin.folder / ".github/workflows/step.yml").read_text()
    rogue = step.replace("  workflow_call:", "  workflow_dispatch:").partition("    outputs:")[0]
    body = step[step.index("permissions: {}") :]
    commit = delivery.origin.commit({".github/workflows/rogue.yml": rogue + body}, "rogue")
    inputs = {"environment": "dev", "role": "ingest", "step": "ingest"}
    run = delivery.run("rogue.yml", github.dispatch(commit, **inputs))
    assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in log(run)
    assert roles(run) == []

    # The job shows its claims, and the doctor says what they lack.
    [shown] = [step for step in run["step"].steps if step.name.startswith("Show the claims")]
    claims = delivery.folder / "claims.json"
    said = "\n".join(shown.log)
    claims.write_text(said[said.index("{") : said.rindex("}") + 1])
    found = delivery.keyless(
        *("doctor", "--github", "--role", "keyless-dev-ingest", "--claims", str(claims))
    )
    assert found.returncode == 1
    assert "call the workflow octo-org/keyless-mlops/.github/workflows/step.yml@" in found.stdout


def test_a_side_branch_gets_nothing(delivery: Delivery, prepared: Run) -> None:
    delivery.grant = {"dev-promote"}
    run = delivery.run("promote.yml", github.dispatch(delivery.main, "side", environment="dev"))
    assert "refs/heads/side may not deploy to dev-promote" in log(run)
    assert (roles(run), delivery.asked) == ([], [])


@pytest.fixture(scope="module")
def trained(delivery: Delivery, prepared: Run) -> Run:
    """A first training. It ends with the start of the promotion, and waits for nobody."""
    delivery.grant = set()
    return delivery.dispatch("train.yml")


def test_training_starts_the_promotion_and_asks_no_reviewer(
    delivery: Delivery, trained: Run
) -> None:
    done(trained)
    assert roles(trained) == ["ingest", "train"]
    assert delivery.asked == []
    assert delivery.promotions_started == 1


@pytest.fixture(scope="module")
def refused(delivery: Delivery, trained: Run) -> Run:
    """The promotion, which its reviewers refuse."""
    delivery.grant = set()
    return delivery.dispatch("promote.yml")


def test_a_refused_promotion_leaves_no_champion(delivery: Delivery, refused: Run) -> None:
    assert roles(refused) == []
    assert refused.jobs["promote / step"].message == "the reviewers of dev-promote refused"
    assert not any(
        one["role"] == "keyless-dev-promote" and one["allowed"] for one in delivery.decisions()
    )


@pytest.fixture(scope="module")
def promoted(delivery: Delivery, refused: Run) -> Run:
    """The promotion, asked for again and approved."""
    delivery.grant = {"dev-promote"}
    return delivery.dispatch("promote.yml")


def test_an_approved_promotion_makes_a_champion_and_predicts_with_it(
    delivery: Delivery, promoted: Run
) -> None:
    done(promoted)
    assert roles(promoted) == ["promote", "predict"]
    champion = delivery.champion()
    assert champion is not None
    assert champion["model_version"] == "1"


@pytest.fixture(scope="module")
def failed(delivery: Delivery, promoted: Run) -> Run:
    """A step that fails behind its tunnel: the first champion has nothing to go back to."""
    delivery.grant = {"dev-promote"}
    return delivery.dispatch("rollback.yml", reason="too early")


def test_a_failed_step_leaves_no_tunnel(delivery: Delivery, failed: Run) -> None:
    assert failed.result == "failure"
    assert "is the first champion" in log(failed)
    assert failed.jobs["rollback / step"].orphans == []
    assert open_sessions(delivery) == 0


def open_sessions(delivery: Delivery) -> int:
    """Sessions that were opened and not ended; opening takes a decision on the instance too."""
    allowed = [
        (one["operation"], one["resource"]) for one in delivery.decisions() if one["allowed"]
    ]
    opened = [
        name for name, resource in allowed if name == "StartSession" and ":document/" in resource
    ]
    ended = [name for name, _ in allowed if name == "TerminateSession"]
    assert opened
    return len(opened) - len(ended)


@pytest.fixture(scope="module")
def drifted(delivery: Delivery, failed: Run) -> Run:
    """The world changed: a batch that shows it is predicted, and the monitor looks at it."""
    contract = delivery.administrator("ssm").get_parameter(Name="/keyless/dev/platform")
    bucket = json.loads(contract["Parameter"]["Value"])["artifact_store"]["bucket"]
    import io

    import pandas as pd

    batch = pd.read_csv(io.StringIO(patients(10_000, changed=True, labelled=False)))
    body = io.BytesIO()
    batch.to_parquet(body, index=False)
    key = f"data/inputs/{MODEL}/sample.parquet"
    delivery.administrator("s3").put_object(Bucket=bucket, Key=key, Body=body.getvalue())
    done(delivery.run("predict.yml", github.schedule(delivery.main)))
    # Its outcomes came in meanwhile.
    delivery.origin.commit({f"data/{MODEL}.csv": patients(20_000, changed=True)})
    return delivery.run("monitor.yml", github.schedule(delivery.main))


def test_drift_trains_again_and_starts_a_promotion(delivery: Delivery, drifted: Run) -> None:
    done(drifted)
    assert roles(drifted) == ["monitor", "ingest", "train"]
    assert delivery.asked == []
    assert delivery.promotions_started == 2
    assert "| glucose |" in drifted.summary


@pytest.fixture(scope="module")
def promoted_again(delivery: Delivery, drifted: Run) -> Run:
    delivery.grant = {"dev-promote"}
    return delivery.dispatch("promote.yml")


def test_the_better_challenger_is_promoted(delivery: Delivery, promoted_again: Run) -> None:
    done(promoted_again)
    assert roles(promoted_again) == ["promote", "predict"]
    assert delivery.asked == ["dev-promote"]
    champion = delivery.champion()
    assert champion is not None
    assert (champion["model_version"], champion["previous"]) == ("2", "1")
    assert "| improvement |" in promoted_again.summary


@pytest.fixture(scope="module")
def rolled_back(delivery: Delivery, promoted_again: Run) -> Run:
    delivery.grant = {"dev-promote"}
    return delivery.dispatch("rollback.yml", reason="worse in $(use)")


def test_a_rollback_puts_the_previous_champion_back(delivery: Delivery, rolled_back: Run) -> None:
    done(rolled_back)
    assert roles(rolled_back) == ["promote"]
    champion = delivery.champion()
    assert champion is not None
    assert champion["model_version"] == "1"
    assert "worse in $(use)" in rolled_back.summary.replace("\\", "")


def test_every_session_was_ended(delivery: Delivery, rolled_back: Run) -> None:
    assert open_sessions(delivery) == 0


def test_every_role_but_the_administrators_worked_through_a_token_alone(
    delivery: Delivery, rolled_back: Run
) -> None:
    assumed = {
        one["resource"].rpartition("/keyless-dev-")[2]
        for one in delivery.decisions()
        if one["operation"] == "AssumeRoleWithWebIdentity" and one["allowed"]
    }
    assert assumed == {role.name for role in job_roles()}
