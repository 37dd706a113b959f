"""`keyless github-setup`: what it makes, that it makes it once, and where it stops."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import scripts.github.api
from scripts.commands import Project
from scripts.commands.github_setup import github_setup
from scripts.console import UserError
from scripts.github.api import Gh, GitHubError
from scripts.github.repository import read_facts, subject_prefix
from scripts.github.setup import CHECKS, Wanted, apply, changes, check_available, find_reviewers
from scripts.github.verify import job_claims, verify
from tests import ROOT
from tests.actions_runner.definitions import load_workflow
from tests.actions_runner.recorded import GitHub, RecordedGh
from tests.server.test_wheelhouse import certificate
from tests.workflows.project import REPOSITORY
from tests.workflows.test_trust import tokens
from tests.workflows.trusts import ACCOUNT, ROLES, trust_document


def wanted(
    gh: Gh,
    *reviewers: str,
    environments: tuple[str, ...] = ("dev",),
    parts: tuple[str, ...] = (),
) -> Wanted:
    found = find_reviewers(gh, reviewers)
    return Wanted(environments, ACCOUNT, "us-east-1", found, parts=parts)


def set_up(gh: RecordedGh, *reviewers: str, **options: Any) -> list[str]:
    """Apply every change; returns what they were."""
    facts = read_facts(gh, gh.github.name)
    check_available(facts)
    pending = changes(gh, facts, wanted(gh, *reviewers, **options))
    for change in pending:
        apply(gh, change)
    return [change.what for change in pending]


def test_a_new_repository_gets_every_environment_that_a_trust_policy_names() -> None:
    gh = RecordedGh()
    set_up(gh, environments=("dev", "prod"), parts=("model_server",))
    assert set(gh.github.environments) == set(REPOSITORY.environments)
    for found in gh.github.environments.values():
        assert [policy["name"] for policy in found["policies"]] == ["main"]


def test_apply_database_and_promote_wait_for_reviewers() -> None:
    gh = RecordedGh()
    set_up(gh, "mona", "octo-org/platform")
    reviewed = {
        name: rule
        for name, found in gh.github.environments.items()
        for rule in found["answer"]["protection_rules"]
        if rule["type"] == "required_reviewers"
    }
    assert set(reviewed) == {"dev", "dev-database", "dev-promote"}
    for rule in reviewed.values():
        assert [item["type"] for item in rule["reviewers"]] == ["User", "Team"]
        assert rule["prevent_self_review"]


def test_a_lone_reviewer_may_approve_a_run_of_their_own() -> None:
    gh = RecordedGh()
    set_up(gh)
    rule = gh.github.environments["dev"]["answer"]["protection_rules"][1]
    assert rule["reviewers"] == [{"type": "User", "reviewer": {"id": 501}}]
    assert not rule["prevent_self_review"]


def test_a_second_run_changes_nothing() -> None:
    gh = RecordedGh()
    assert set_up(gh, "mona")
    assert set_up(gh, "mona") == []


@pytest.mark.parametrize(
    ("tamper", "change"),
    [
        (lambda g: g.variables.update(AWS_REGION="eu-west-1"), "variable AWS_REGION = us-east-1"),
        (lambda g: g.environments.pop("dev-train"), "environment dev-train"),
        (
            lambda g: g.environments["dev"]["answer"]["protection_rules"].pop(),
            "environment dev, approved by octocat",
        ),
        (
            lambda g: g.environments["dev-plan"]["policies"].append({"id": 9, "name": "*"}),
            "environment dev-plan: no longer let * in",
        ),
        (
            lambda g: g.actions["actions/permissions"].update(sha_pinning_required=False),
            "run only actions that are pinned by commit",
        ),
        (lambda g: g.rulesets[0].update(enforcement="disabled"), "rules of the branch main"),
        (lambda g: g.rulesets[0]["rules"].pop(), "rules of the branch main"),
    ],
)
def test_what_was_changed_by_hand_is_set_right(tamper: Any, change: str) -> None:
    gh = RecordedGh()
    set_up(gh)
    tamper(gh.github)
    assert set_up(gh)[0] == change
    assert set_up(gh) == []


def test_only_variables_are_kept_no_secret() -> None:
    gh = RecordedGh()
    set_up(gh, environments=("dev", "prod"))
    assert gh.github.variables == {
        "AWS_ACCOUNT_ID": ACCOUNT,
        "AWS_REGION": "us-east-1",
        "ENVIRONMENT": "dev",
        "ENVIRONMENTS": '["dev", "prod"]',
    }
    assert not any(method != "GET" and "secret" in path for method, path in gh.github.calls)


def test_the_branch_rules_ask_for_the_checks_that_ci_runs() -> None:
    import itertools

    job = load_workflow(ROOT / ".github/workflows/ci.yml").jobs["test"]
    matrix = job.strategy["matrix"]
    names = [
        job.name.replace("${{ matrix.python }}", python).replace("${{ matrix.binary }}", binary)
        for python, binary in itertools.product(matrix["python"], matrix["binary"])
    ]
    assert names == list(CHECKS)


@pytest.mark.parametrize(
    ("plan", "lacks"),
    [("free", "environments with rules"), ("team", "required reviewers"),
     ("pro", "required reviewers")],
)  # fmt: skip
def test_a_private_repository_without_reviewers_stops_before_any_change(
    plan: str, lacks: str
) -> None:
    gh = RecordedGh(github=GitHub(private=True, plan=plan))
    with pytest.raises(UserError, match="cannot ask reviewers") as stopped:
        set_up(gh)
    assert lacks in stopped.value.why
    assert {method for method, _ in gh.github.calls} == {"GET"}


@pytest.mark.parametrize("plan", ["enterprise", None])
def test_a_private_repository_of_an_enterprise_is_set_up(plan: str | None) -> None:
    gh = RecordedGh(github=GitHub(private=True, plan=plan))
    assert set_up(gh)
    # A list of allowed actions exists for public repositories alone.
    assert gh.github.actions["actions/permissions"]["allowed_actions"] == "all"


def test_a_plan_that_cannot_be_seen_is_found_out_by_the_first_request() -> None:
    message = (
        "Failed to create the environment protection rule. Please ensure the billing plan "
        "include the required reviewers protection rule."
    )
    refusal = {r"PUT .*/environments/.*": (422, {"message": message})}
    gh = RecordedGh(github=GitHub(private=True, plan=None, refuse=refusal))
    with pytest.raises(UserError, match="cannot ask reviewers"):
        set_up(gh)
    assert gh.github.environments == {}
    assert gh.github.variables == {}


@pytest.mark.parametrize(
    ("github", "message"),
    [
        (GitHub(default_branch="trunk"), "default branch is trunk"),
        (
            GitHub(subject={"use_default": False, "include_claim_keys": ["repo", "actor"]}),
            "customised",
        ),
        (
            GitHub(
                subject={
                    "use_default": True,
                    "use_immutable_subject": True,
                    "sub_claim_prefix": "repo:octo-org-1001/keyless-mlops-2002",
                }
            ),
            "does not know",
        ),
        (GitHub(refuse={"GET repos/.*": (404, {"message": "Not Found"})}), "GitHub refused"),
        (GitHub(refuse={"GET users/.*": (404, {"message": "Not Found"})}), "knows no reviewer"),
    ],
)
def test_what_the_trust_policies_cannot_match_stops_with_a_clear_word(
    github: GitHub, message: str
) -> None:
    gh = RecordedGh(github=github)
    with pytest.raises(UserError, match=message):
        set_up(gh, "mona")
    assert {method for method, _ in github.calls} <= {"GET"}


@pytest.mark.parametrize("immutable", [True, False])
def test_the_subject_format_is_read_from_the_repository(immutable: bool) -> None:
    gh = RecordedGh(github=GitHub(subject={"use_immutable_subject": immutable}))
    facts = read_facts(gh, gh.github.name)
    known = {
        True: "repo:octo-org@1001/keyless-mlops@2002",
        False: "repo:octo-org/keyless-mlops",
    }
    assert subject_prefix(facts) == known[immutable]
    assert facts.terraform["subject_format"] == ("immutable" if immutable else "names")


def test_the_claims_that_are_verified_are_those_of_the_workflows() -> None:
    facts = read_facts(RecordedGh(), "octo-org/keyless-mlops")
    from tests.actions_runner.github import dispatch

    real = tokens(load_workflow(ROOT / ".github/workflows/rollback.yml"), dispatch("0" * 40))
    computed = job_claims(facts, "dev", ROLES["promote"])
    for name in ("sub", "aud", "ref", "repository_id", "environment", "job_workflow_ref"):
        assert real["rollback / step"][name] == computed[name]


def trusts_of(**changed: Any) -> Any:
    repository = REPOSITORY
    documents = {f"keyless-dev-{role}": trust_document(repository, "dev", role) for role in ROLES}
    documents |= changed
    return documents.get


def test_the_environments_of_rollouts_are_made_where_they_are_asked_for() -> None:
    gh = RecordedGh()
    facts = read_facts(gh, gh.github.name)
    usual = {change.path for change in changes(gh, facts, wanted(gh))}
    more = changes(gh, facts, wanted(gh, parts=("model_server",)))
    new = [change for change in more if change.path not in usual]
    assert [change.path.rpartition("/")[2] for change in new if change.method == "PUT"] == [
        "dev-rollout"
    ]
    assert all("approved by octocat" in change.what for change in new if change.method == "PUT")


def test_every_role_lets_its_own_job_in() -> None:
    facts = read_facts(RecordedGh(), "octo-org/keyless-mlops")
    verdicts = verify(facts, ["dev"], ACCOUNT, trusts_of())
    assert {verdict.role: verdict.state for verdict in verdicts} == dict.fromkeys(ROLES, "matches")


def test_a_role_that_is_not_there_yet_is_no_mistake() -> None:
    facts = read_facts(RecordedGh(), "octo-org/keyless-mlops")
    verdicts = verify(facts, ["dev", "prod"], ACCOUNT, trusts_of())
    assert {verdict.state for verdict in verdicts if verdict.environment == "prod"} == {"absent"}


def test_a_mismatch_names_the_condition_with_got_and_wanted() -> None:
    github = GitHub(id=3003, subject={"use_immutable_subject": True})
    facts = read_facts(RecordedGh(github=github), "octo-org/keyless-mlops")
    verdicts = verify(facts, ["dev"], ACCOUNT, trusts_of())
    [verdict] = [found for found in verdicts if found.role == "train"]
    assert verdict.state == "refused"
    assert set(verdict.reasons) == {
        "sub: got repo:octo-org@1001/keyless-mlops@3003:environment:dev-train, "
        "wanted StringEquals repo:octo-org@1001/keyless-mlops@2002:environment:dev-train",
        "repository_id: got 3003, wanted StringEquals 2002",
    }


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> GitHub:
    """The GitHub that the command talks to."""
    github = GitHub()
    monkeypatch.setattr(scripts.github.api, "Gh", lambda: RecordedGh(github=github))
    return github


def invoke(*arguments: str, answer: str | None = None, region: str | None = "eu-central-1") -> Any:
    project = Project(root=ROOT, home=Path("/nonexistent"))
    nowhere = dict.fromkeys(("AWS_PROFILE", "AWS_DEFAULT_REGION"))
    environment = {**nowhere, "AWS_REGION": region, "AWS_CONFIG_FILE": "/nonexistent"}
    command = ["--account-id", ACCOUNT, *(() if answer else ("--yes",)), *arguments]
    return CliRunner(env=environment).invoke(github_setup, command, obj=project, input=answer)


def test_the_region_is_the_one_that_bootstrap_would_take(github: GitHub) -> None:
    assert invoke().exit_code == 0
    assert github.variables["AWS_REGION"] == "eu-central-1"


def test_without_a_region_none_is_made_up(github: GitHub) -> None:
    refused = invoke(region=None)
    assert isinstance(refused.exception, UserError)
    assert refused.exception.what == "No AWS region is set"
    assert github.variables == {}


def test_a_dry_run_prints_every_request_and_makes_none(github: GitHub) -> None:
    done = invoke("--dry-run")
    assert done.exit_code == 0, done.output
    assert {method for method, _ in github.calls} == {"GET"}
    assert "would make: environment dev, approved by octocat" in done.output
    assert (
        "gh api --method PUT repos/octo-org/keyless-mlops/environments/dev --input" in done.output
    )
    assert '"repository_id": "2002"' in done.output


def test_the_command_applies_and_then_has_nothing_to_change(github: GitHub) -> None:
    assert "done: environment dev-train" in invoke().output
    assert "Nothing to change." in invoke().output


def test_the_repository_is_named_and_nothing_is_changed_without_a_yes(github: GitHub) -> None:
    asked = invoke(answer="n\n")
    assert asked.exit_code == 2
    assert "GitHub repository octo-org/keyless-mlops, environments dev:" in asked.stderr
    assert {method for method, _ in github.calls} == {"GET"}


def test_pending_changes_are_json_for_a_script(github: GitHub) -> None:
    found = json.loads(invoke("--dry-run", "--json").stdout)
    assert found["repository"] == "octo-org/keyless-mlops"
    assert "environment dev-train" in {change["what"] for change in found["changes"]}
    assert invoke().exit_code == 0
    assert json.loads(invoke("--dry-run", "--json").stdout)["changes"] == []


def test_a_secret_in_the_repository_is_pointed_out(github: GitHub) -> None:
    github.secrets = ["AWS_SECRET_ACCESS_KEY"]
    assert "secrets that nothing here needs: AWS_SECRET_ACCESS_KEY" in invoke("--dry-run").output


def test_a_subject_of_names_alone_is_pointed_out_with_the_command_that_fixes_it(
    github: GitHub,
) -> None:
    github.subject = {"use_default": True, "use_immutable_subject": False}
    assert "-F use_immutable_subject=true" in invoke("--dry-run").output


@pytest.mark.parametrize(
    "arguments",
    [("--account-id", "12"), ("--environment", "Dev"), ("--environment", "a*"),
     ("--approvals", "-1")],
)  # fmt: skip
def test_wrong_input_is_refused_before_anyone_is_asked(
    github: GitHub, arguments: tuple[str, str]
) -> None:
    assert invoke(*arguments).exit_code == 2
    assert github.calls == []


def test_rds_certificates_that_the_user_fetched_become_a_variable(
    github: GitHub, tmp_path: Path
) -> None:
    bundle = tmp_path / "global-bundle.pem"
    bundle.write_bytes(certificate(authority=True))
    pin = hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert invoke("--rds-ca", str(bundle)).exit_code == 0
    assert github.variables["RDS_CA_SHA256"] == pin
    # Without the option the pin stays as it is.
    assert "Nothing to change." in invoke().output


def test_what_are_no_certificates_is_not_pinned(github: GitHub, tmp_path: Path) -> None:
    bundle = tmp_path / "global-bundle.pem"
    bundle.write_text("<html>")
    with pytest.raises(UserError, match="does not hold certificates"):
        CliRunner().invoke(
            github_setup,
            ["--account-id", ACCOUNT, "--yes", "--rds-ca", str(bundle)],
            obj=Project(tmp_path, tmp_path),
            catch_exceptions=False,
        )
    assert github.variables == {}


def test_without_gh_the_user_is_told_how_to_get_it() -> None:
    with pytest.raises(UserError, match="was not found") as missing:
        Gh("no-such-program").check()
    assert "gh auth login" in missing.value.fix


def test_gh_is_called_as_its_command_line_wants(tmp_path: Path) -> None:
    program = tmp_path / "gh"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '  *"--method GET"*"repos/a/b") echo \'{"id": 1}\' ;;\n'
        '  *"--method PUT"*"--input -") cat ;;\n'
        '  *) echo \'{"message": "Not Found"}\'; echo "gh: Not Found (HTTP 404)" >&2; exit 1 ;;\n'
        "esac\n"
    )
    program.chmod(0o755)
    gh = Gh(str(program))
    assert gh.get("repos/a/b") == {"id": 1}
    assert gh.call("PUT", "repos/a/b", {"x": [True]}) == {"x": [True]}
    assert gh.find("repos/none") is None
    with pytest.raises(GitHubError, match="Not Found") as refused:
        gh.get("repos/none")
    assert refused.value.status == 404
