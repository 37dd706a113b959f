"""`keyless doctor --github`: which condition refused a job's token, got and wanted."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result

from scripts.cli import keyless
from scripts.github.trust import judge, read_trust
from scripts.iam.engine import parse_policy
from scripts.localcloud.sts.issuer import Job, claims
from tests.actions_runner import github
from tests.actions_runner.github import Event, Repository
from tests.workflows.test_trust import WORKFLOWS
from tests.workflows.trusts import MAIN, role_arn, trust_document

OURS = Repository()
NAMES = Repository(subject_format="names")
TRAIN = role_arn("dev", "train")


def token(
    repository: Repository = OURS,
    *,
    environment: str | None = "dev-train",
    event: Event | None = None,
    file: str = "step.yml",
    audience: str = "sts.amazonaws.com",
) -> dict[str, Any]:
    facts = github.job_claims(
        repository,
        event or github.push("0" * 40),
        workflow=WORKFLOWS["train.yml"],
        file=file,
        environment=environment,
    )
    return claims(Job.model_validate(facts), audience, 0)


def trust(repository: Repository = OURS, workflow: str | None = None) -> dict[str, Any]:
    return trust_document(repository, "dev", "train", workflow=workflow)


def doctor(
    tmp_path: Path, found: Any, document: Any, *more: str, role: str = "keyless-dev-train"
) -> Result:
    (tmp_path / "claims.json").write_text(found if isinstance(found, str) else json.dumps(found))
    (tmp_path / "trust.json").write_text(json.dumps(document))
    files = ["--claims", str(tmp_path / "claims.json"), "--trust", str(tmp_path / "trust.json")]
    command = ["doctor", "--github", "--role", role, *files, *more]
    return CliRunner().invoke(keyless, command, catch_exceptions=False)


@pytest.mark.parametrize("repository", [OURS, NAMES], ids=["ids", "names"])
def test_a_role_that_lets_the_job_in_ends_with_0(tmp_path: Path, repository: Repository) -> None:
    done = doctor(tmp_path, token(repository), trust(repository))
    assert done.exit_code == 0, done.output
    assert "lets this job in" in done.stdout
    assert "wanted" not in done.stdout


def test_an_advice_that_lets_in_others_too_does_not_say_nobody(tmp_path: Path) -> None:
    """ministryofjustice/modernisation-platform#4677: every pull request is more than this one."""
    repository, host = f"repo:{NAMES.name}", "token.actions.githubusercontent.com"
    asked = {"sub": f"{repository}:pull_request", "event_name": "pull_request"}
    found = {**token(NAMES, environment=None), **asked, "ref": "refs/pull/5/merge"}
    provider = f"arn:aws:iam::111122223333:oidc-provider/{host}"
    wanted = {f"{host}:aud": "sts.amazonaws.com", f"{host}:sub": repository}
    document = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Federated": provider},
         "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": wanted}}
    ]}  # fmt: skip
    done = doctor(tmp_path, found, document)
    assert "if every pull request of the repository may have" in done.stdout
    assert "nobody new but whom the advice names" in done.stdout


SIDE = github.push("0" * 40, branch="side")
REFUSALS = [
    pytest.param(
        token(NAMES), trust(), {"sub"}, "github.subject_format", id="names for a role with ids"
    ),
    pytest.param(
        token(), trust(NAMES), {"sub"}, "github.subject_format", id="ids for a role with names"
    ),
    pytest.param(
        token(replace(OURS, id="9999", owner_id="9998")),
        trust(),
        {"sub", "repository_id"},
        "this is another repository: its id is 9999, the role is for 2002",
        id="registered again",
    ),
    pytest.param(
        token(replace(NAMES, id="9999", owner_id="9998")),
        trust(NAMES),
        {"repository_id"},
        "this is another repository: its id is 9999, the role is for 2002",
        id="registered again, names alone",
    ),
    pytest.param(
        token(replace(OURS, name="octo-org/renamed")),
        trust(),
        {"sub"},
        "the same repository (2002) has a new name, octo-org/renamed",
        id="renamed",
    ),
    pytest.param(
        token(event=SIDE), trust(), {"ref"}, f"run the workflow on {MAIN}", id="side branch"
    ),
    pytest.param(
        token(event=github.tag("0" * 40)), trust(), {"ref"}, f"run the workflow on {MAIN}", id="tag"
    ),
    pytest.param(
        token(environment="dev-promote"),
        trust(),
        {"sub"},
        "write environment: dev-train",
        id="other environment",
    ),
    pytest.param(
        token(environment=None),
        trust(),
        {"sub"},
        "write environment: dev-train",
        id="no environment",
    ),
    pytest.param(
        token(audience="octo"), trust(), {"aud"}, "audience sts.amazonaws.com", id="audience"
    ),
    pytest.param(
        token(file="rogue.yml"),
        trust(workflow="step.yml"),
        {"job_workflow_ref"},
        "octo-org/keyless-mlops/.github/workflows/step.yml",
        id="other file",
    ),
    pytest.param(
        {**token(), "repository_id": None},
        trust(),
        {"repository_id"},
        "the token has no repository_id",
        id="missing claim",
    ),
]


@pytest.mark.parametrize(("found", "document", "failed", "advice"), REFUSALS)
def test_a_refusal_names_the_conditions_that_do_not_hold_and_what_to_do(
    tmp_path: Path, found: dict[str, Any], document: dict[str, Any], failed: set[str], advice: str
) -> None:
    judged = judge(TRAIN, parse_policy(document, name="train", kind="trust"), found)
    assert {one.key for one in judged.conditions if not one.holds} == failed
    done = doctor(tmp_path, found, document)
    assert done.exit_code == 1
    assert advice in done.stdout
    assert "refuses this job" in done.stdout
    for one in judged.conditions:
        if not one.holds:
            assert f"got    {', '.join(one.got) or 'nothing'}" in done.stdout
            assert f"wanted {one.wanted[0]}" in done.stdout


def test_as_json_every_condition_is_listed(tmp_path: Path) -> None:
    done = doctor(tmp_path, token(event=SIDE), trust(), "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["role"], found["allowed"]) == (1, TRAIN, False)
    holds = {one["key"]: one["holds"] for one in found["conditions"]}
    assert holds == {"aud": True, "sub": True, "repository_id": True, "ref": False}


def test_another_accounts_provider_is_reported(tmp_path: Path) -> None:
    role = "arn:aws:iam::999999999999:role/keyless-dev-train"
    done = doctor(tmp_path, token(), trust(), role=role)
    assert done.exit_code == 1
    assert "arn:aws:iam::999999999999:oidc-provider" in done.stdout


def test_a_deny_is_reported(tmp_path: Path) -> None:
    document = trust()
    [allow] = document["Statement"]
    document["Statement"].append({**allow, "Sid": "Stop", "Effect": "Deny"})
    done = doctor(tmp_path, token(), document)
    assert done.exit_code == 1
    assert "statement Stop denies it: all its conditions hold" in done.stdout
    assert "No change was found" in done.stdout


def test_a_raw_token_is_read_too(tmp_path: Path) -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    raw = f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(token())}.c2ln"
    assert doctor(tmp_path, raw, trust()).exit_code == 0


def in_a_plan(document: dict[str, Any]) -> dict[str, Any]:
    other = {"address": "a", "values": {"name": "keyless-dev-plan", "assume_role_policy": "{}"}}
    values = {"name": "keyless-dev-train", "assume_role_policy": json.dumps(document)}
    module = {"resources": [other, {"address": "b", "values": values}]}
    return {"planned_values": {"root_module": {"child_modules": [module]}}}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda document: document,
        lambda document: {
            "Role": {"RoleName": "keyless-dev-train", "AssumeRolePolicyDocument": document}
        },
        in_a_plan,
    ],
    ids=["policy", "get-role", "plan"],
)
def test_the_trust_is_read_from_a_policy_a_role_or_a_plan(tmp_path: Path, wrap: Any) -> None:
    assert doctor(tmp_path, token(), wrap(trust())).exit_code == 0


@pytest.mark.parametrize(
    ("found", "document", "says"),
    [
        ("nonsense", trust(), "holds no claims"),
        ("[]", trust(), "holds no claims"),
        ('{"aud": "x"}', trust(), "holds no claims"),
        (token(), {"Role": {"RoleName": "other", "AssumeRolePolicyDocument": {}}}, "get-role"),
        (token(), {}, "holds no trust policy of keyless-dev-train"),
        (token(), {"Statement": [{"Effect": "Allow"}]}, "cannot be read"),
    ],
)
def test_bad_input_is_wrong_usage_with_what_to_give_instead(
    tmp_path: Path, found: Any, document: Any, says: str
) -> None:
    done = doctor(tmp_path, found, document)
    assert done.exit_code == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--role", "x"], ["--claims", "x"], ["--trust", "x"]],
)
def test_its_options_go_with_github_alone(arguments: list[str]) -> None:
    assert CliRunner().invoke(keyless, ["doctor", *arguments]).exit_code == 2


def test_outside_a_job_and_without_claims_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    done = CliRunner().invoke(keyless, ["doctor", "--github"])
    assert done.exit_code == 1
    assert "id-token: write" in done.stderr


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    arguments = ["doctor", "--github", "--claims", str(tmp_path / "none")]
    done = CliRunner().invoke(keyless, arguments)
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr


def test_the_trust_is_the_one_of_the_named_role(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(in_a_plan(trust())))
    [statement] = read_trust(path, "keyless-dev-train").statements
    assert statement.sid == "OneExactGitHubContext"


def test_in_a_job_it_prints_the_claims_of_the_jobs_own_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = token()
    raw = jwt.encode(found, "x" * 32, algorithm="HS256")
    monkeypatch.setattr("scripts.aws.web_identity.runner_token", lambda *_, **__: raw)
    done = CliRunner().invoke(keyless, ["doctor", "--github"], catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout) == found
    assert raw not in done.output


class Iam:
    """The roles of an account."""

    class exceptions:  # noqa: N801 - as boto3 names it
        class NoSuchEntityException(Exception):
            """There is no such role."""

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803
        if RoleName != "keyless-dev-train":
            raise self.exceptions.NoSuchEntityException
        return {"Role": {"Arn": TRAIN, "AssumeRolePolicyDocument": trust()}}


@pytest.mark.parametrize(
    ("role", "code", "says"),
    [
        ("keyless-dev-train", 0, "lets this job in"),
        (TRAIN, 0, "lets this job in"),
        ("keyless-dev-nobody", 1, "no role keyless-dev-nobody in this account"),
        (TRAIN.replace("123456789012", "999999999999"), 2, "is not arn:aws:iam::999999999999"),
    ],
)
def test_the_trust_is_read_from_the_callers_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, code: int, says: str
) -> None:
    monkeypatch.setattr("scripts.commands._doctor_github.callers_iam", Iam)
    (tmp_path / "claims.json").write_text(json.dumps(token()))
    files = ["--claims", str(tmp_path / "claims.json")]
    arguments = ["doctor", "--github", "--aws", "--role", role, *files]
    done = CliRunner().invoke(keyless, arguments, catch_exceptions=False)
    assert done.exit_code == code
    assert says in " ".join(done.output.split())
