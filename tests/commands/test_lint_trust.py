"""`keyless lint-trust` as a user runs it: inputs, outputs, exit status."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from scripts.cli import keyless
from scripts.iam.trust_lint import Finding
from scripts.iam.trust_lint.report import as_sarif

HOST = "token.actions.githubusercontent.com"


def trust(sub: str, operator: str = "StringEquals", **claims: str) -> dict[str, Any]:
    exact = {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:repository_id": "2"} | {
        f"{HOST}:{name}": value for name, value in claims.items()
    }
    condition: dict[str, Any] = {"StringEquals": exact}
    condition.setdefault(operator, {})[f"{HOST}:sub"] = sub
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{HOST}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


GOOD = trust("repo:o@1/a@2:ref:refs/heads/main")
BAD = trust("repo:o/*", "StringLike")


def run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(keyless, ["--home", str(tmp_path / "home"), "lint-trust", *arguments])


def written(tmp_path: Path, content: object, name: str = "trust.json") -> str:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_a_good_policy_ends_with_0(tmp_path: Path) -> None:
    done = run(tmp_path, written(tmp_path, GOOD))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "1 trust policy: 0 errors, 0 warnings, 0 notes",
        "",
        "Through GitHub gets in:",
        "  jobs of o/a: refs/heads/main",
        "  such as repo:o@1/a@2:ref:refs/heads/main",
    ]


def test_a_bad_policy_ends_with_1_and_says_who_and_what_to_write(tmp_path: Path) -> None:
    allowed = trust("repo:o/*", "StringLike")
    done = run(tmp_path, written(tmp_path, allowed))
    assert done.exit_code == 1
    # repository_id fixes the repository, and nothing its contexts.
    assert "any-context" in done.stdout
    assert "any-repository" not in done.stdout
    del allowed["Statement"][0]["Condition"]["StringEquals"][f"{HOST}:repository_id"]
    done = run(tmp_path, written(tmp_path, allowed))
    assert done.exit_code == 1
    for line in ("any-repository", "such as repo:o/a:pull_request", "who     ", "fix     write"):
        assert line in done.stdout


def test_a_note_alone_ends_with_0(tmp_path: Path) -> None:
    done = run(tmp_path, written(tmp_path, trust("repo:o@1/a@2:pull_request")))
    assert done.exit_code == 0
    assert "1 note" in done.stdout


GITLAB = {
    "Effect": "Allow",
    "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/gitlab.com"},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringEquals": {"gitlab.com:sub": "project_path:o/a:ref_type:branch:ref:main"}},
}


def test_what_was_not_judged_is_said_and_ends_with_3(tmp_path: Path) -> None:
    other = {"Version": "2012-10-17", "Statement": [GITLAB]}
    path = written(tmp_path, other)
    done = run(tmp_path, path)
    assert done.exit_code == 3
    assert done.stdout.startswith("1 trust policy: 0 errors, 0 warnings, 0 notes; 1 not judged\n")
    assert "the provider gitlab.com is not one of GitHub's" in " ".join(done.stdout.split())
    sarif = run(tmp_path, path, "--sarif")
    assert "gitlab.com" in sarif.stderr
    # Code scanning shows no results; what was not judged is beside them.
    [invocation] = json.loads(sarif.stdout)["runs"][0]["invocations"]
    [told] = invocation["toolExecutionNotifications"]
    assert "gitlab.com" in told["message"]["text"]
    assert run(tmp_path, path, "--github-only").exit_code == 0
    # A finding that matters is the graver answer.
    both = {"Version": "2012-10-17", "Statement": [GITLAB, *BAD["Statement"]]}
    assert run(tmp_path, written(tmp_path, both)).exit_code == 1


def test_a_placeholder_is_not_judged(tmp_path: Path) -> None:
    done = run(tmp_path, written(tmp_path, trust("repo:octo-org/${RepoName}:ref:refs/heads/main")))
    assert done.exit_code == 3
    assert "${RepoName}" in done.stdout


def test_a_policy_that_lets_nobody_in_does_not_fail_a_build(tmp_path: Path) -> None:
    done = run(tmp_path, written(tmp_path, trust("repo:o@1/a@2:pull_request", base_ref="main")))
    assert done.exit_code == 0
    assert "note: the condition key is never present [unknown-key]" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["Through GitHub gets in:", "  nobody"]


def test_intended_subjects_are_held_against_the_policy(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert run(tmp_path, path, "--subject", "repo:o@1/a@2:ref:refs/heads/main").exit_code == 0
    other = run(tmp_path, path, "--subject", "repo:o@1/a@2:ref:refs/heads/next", "--json")
    assert other.exit_code == 1
    found = json.loads(other.stdout)["findings"]
    assert found[0]["witness"] == "repo:o@1/a@2:ref:refs/heads/main"
    assert {item["rule"] for item in found} == {"not-the-intended"}


def test_what_is_said_of_several_policies_is_said_once(tmp_path: Path) -> None:
    for name in ("dev", "prod"):
        (tmp_path / f"{name}.json").write_text(json.dumps(trust("repo:o@1/a@2:environment:prod")))
    (tmp_path / "other.json").write_text(json.dumps(trust("repo:o@1/b@2:environment:prod")))
    done = run(tmp_path, str(tmp_path))
    assert done.stdout.startswith("3 trust policies: 0 errors, 3 warnings")
    assert done.stdout.count("[no-ref]") == 2
    words = " ".join(done.stdout.split())
    for name in ("dev.json", "prod.json", "other.json"):
        assert words.count(f"{name}, statement #0") == 1
        assert done.stdout.count(f"{name}\n") == 1


def test_sarif_names_the_rule_and_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, trust("repo:o@1/a@2:environment:prod"))
    done = run(tmp_path, path, "--sarif")
    assert done.exit_code == 1
    sarif = json.loads(done.stdout)
    assert sarif["version"] == "2.1.0"
    [result] = sarif["runs"][0]["results"]
    rules = sarif["runs"][0]["tool"]["driver"]["rules"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "no-ref"
    location = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert location == Path(path).as_uri()


@pytest.mark.parametrize(
    ("origin", "uri"),
    [
        ("arn:aws:iam::111122223333:role/ci/deploy", "aws-account/111122223333/role/ci/deploy"),
        ('module.ci["a"].aws_iam_role.ci', "terraform-plan/module.ci%5B%22a%22%5D.aws_iam_role.ci"),
        ("trust policies/deploy.json", "trust%20policies/deploy.json"),
    ],
)
def test_every_sarif_result_has_an_artifact_and_a_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, GOOD, "trust policies/deploy.json")
    finding = Finding("no-ref", origin, "#0", "what", "who", "fix")
    [result] = json.loads(as_sarif([finding]))["runs"][0]["results"]
    [location] = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == uri
    assert location["logicalLocations"][0]["fullyQualifiedName"] == f"{origin}/#0"
    mark = result["partialFingerprints"]["primaryLocationLineHash"]
    again = replace(finding, message="in other words")
    assert mark in as_sarif([again])
    assert mark not in as_sarif([replace(finding, statement="#1")])


def test_what_else_is_in_a_folder_is_told_as_not_judged(tmp_path: Path) -> None:
    folder = tmp_path / "roles"
    written(folder, GOOD, "a.json")
    # What no role is made of is passed over.
    written(folder, {"name": "site"}, "package.json")
    assert run(tmp_path, str(folder)).exit_code == 0
    event = {"eventName": "AssumeRoleWithWebIdentity"}
    # Broken, and nothing that a role is assumed by: no news either.
    for name, text in (("empty.json", ""), ("template.json", "{ ${widgets} }")):
        written(folder, text, name)
        assert run(tmp_path, str(folder)).exit_code == 0
    for name, content in (("event.json", event), ("broken.json", '{"Action": "sts:AssumeRole"')):
        other = written(folder, content, name)
        done = run(tmp_path, str(folder))
        assert done.exit_code == 3
        assert f"not judged: {other}" in done.stdout.replace("\n  ", " ")
        assert "1 trust policy: 0 errors" in done.stdout
        assert run(tmp_path, other).exit_code == 2
    written(folder, BAD, "b.json")
    assert run(tmp_path, str(folder)).exit_code == 1


def test_what_cdk_notes_beside_its_templates_is_no_news(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/cdk/v2/guide/apps.html, the cloud assembly"""
    folder = tmp_path / "cdk.out"
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": GOOD}}
    written(folder, {"Resources": {"Ci": role}}, "ci.template.json")
    written(
        folder, {"artifacts": {"ci": {"properties": {"assumeRoleArn": "arn"}}}}, "manifest.json"
    )
    written(folder, {"files": {"a": {"destinations": {"b": {"assumeRoleArn": "c"}}}}},
            "ci.assets.json")  # fmt: skip
    written(folder, {"tree": {"children": {"ci": role}}}, "tree.json")
    done = run(tmp_path, str(folder))
    assert (done.exit_code, done.stdout.split()[0]) == (0, "1")


def test_a_workflow_that_makes_a_role_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "roles"
    workflow = folder / ".github" / "workflows" / "iam.yml"
    workflow.parent.mkdir(parents=True)
    script = f"echo '{json.dumps(BAD)}' > trust.json"
    workflow.write_text(f"jobs:\n  iam:\n    steps:\n      - run: |\n          {script}\n")
    done = run(tmp_path, str(folder))
    assert done.exit_code == 1
    assert "iam.yml, statement #0" in done.stdout.replace("\n          ", " ")


def test_a_folder_without_a_policy_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "roles"
    written(folder, {"sub": "x"}, "claims.json")
    done = run(tmp_path, str(folder))
    assert done.exit_code == 2
    assert "no trust policy" in done.stderr


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    folder = tmp_path / "roles"
    folder.mkdir()
    written(folder, GOOD, "a.json")
    written(folder, {"Role": {"Arn": "arn:aws:iam::1:role/x", "AssumeRolePolicyDocument": GOOD}},
            "b.json")  # fmt: skip
    done = run(tmp_path, str(folder))
    assert (done.exit_code, done.stdout.split()[0]) == (0, "2")
    assert "aud=sts.amazonaws.com, repository_id=2, sub=repo:o@1/a@2:ref:refs/heads/main" in (
        " ".join(done.stdout.split())
    )


def test_nobody_by_one_role_is_not_said_of_a_module_beside_it(tmp_path: Path) -> None:
    text = """
    resource "aws_iam_role" "box" {
      assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
        Effect = "Allow", Action = "sts:AssumeRole"
        Principal = { Service = "ec2.amazonaws.com" } }] })
    }
    module "github" {
      source       = "octo-org/oidc-github/aws"
      repositories = ["octo-org/app"]
      oidc_url     = "https://token.actions.githubusercontent.com"
    }
    """
    done = run(tmp_path, written(tmp_path, text, "roles/main.tf"))
    assert done.exit_code == 3
    told = done.stdout.partition("Through GitHub gets in")[2].splitlines()
    assert told[0] == ", as far as was judged:"
    assert told[1].endswith("roles/main.tf: aws_iam_role.box")
    assert told[2].strip() == "nobody"


def test_what_several_policies_trust_is_listed_for_the_reviewer(tmp_path: Path) -> None:
    service = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
               "Action": "sts:AssumeRole"}  # fmt: skip
    roles = [
        {"Arn": f"arn:aws:iam::111122223333:role/{name}", "AssumeRolePolicyDocument": document}
        for name, document in (("ci", GOOD), ("box", {"Statement": [service]}))
    ]
    path = written(tmp_path, {"Roles": roles})
    done = run(tmp_path, path)
    assert done.stdout.splitlines()[:4] == [
        "2 trust policies: 0 errors, 0 warnings, 0 notes",
        "",
        "Through GitHub gets in:",
        "  arn:aws:iam::111122223333:role/ci",  # those that let somebody in stand first
    ]
    assert (
        "  arn:aws:iam::111122223333:role/box\n    nobody\n    trusts Service ec2.amazonaws.com\n"
        in done.stdout
    )
    assert all(len(line) <= 100 for line in done.stdout.splitlines())
    listed = json.loads(run(tmp_path, path, "--json").stdout)["trusted"]
    assert listed["arn:aws:iam::111122223333:role/box"] == ["Service ec2.amazonaws.com"]


def plan(*resources: dict[str, Any]) -> dict[str, Any]:
    module = {"child_modules": [{"resources": list(resources)}]}
    return {"format_version": "1.2", "planned_values": {"root_module": module}}


def role(document: object, **values: Any) -> dict[str, Any]:
    return {
        "address": "module.ci.aws_iam_role.ci",
        "type": "aws_iam_role",
        "mode": "managed",
        "values": {"name": "ci", **values}
        | ({} if document is None else {"assume_role_policy": json.dumps(document)}),
    }


def test_a_plan_is_read_and_its_inline_policies_tell_what_pull_requests_may_do(
    tmp_path: Path,
) -> None:
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    policy = {
        "type": "aws_iam_role_policy",
        "values": {
            "role": "ci",
            "policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        },
    }
    content = plan(role(trust("repo:o@1/a@2:pull_request")), policy)
    done = run(tmp_path, "--plan", written(tmp_path, content, "plan.json"), "--json")
    assert done.exit_code == 1
    [found] = json.loads(done.stdout)["findings"]
    assert (found["rule"], found["origin"]) == ("pull-request", "module.ci.aws_iam_role.ci")


def test_a_policy_that_is_not_known_before_apply_is_named_and_ends_with_3(tmp_path: Path) -> None:
    done = run(tmp_path, "--plan", written(tmp_path, plan(role(None)), "plan.json"))
    assert done.exit_code == 3
    assert "module.ci.aws_iam_role.ci: the trust policy is not known until apply" in done.stdout


IDENTITY = {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}
BUCKET = {"Statement": IDENTITY["Statement"] | {"Principal": "*"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("resource {}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a policy"),
        ({}, "not a policy: it holds nothing"),
        ({"name": "x"}, "it holds name"),
        (IDENTITY, "a policy of another kind: it names resources and no principal"),
        (BUCKET, "this is a resource policy"),
        ({**GOOD, "Statement": []}, "missing or empty"),
        (trust("x", "StringEqual"), "did you mean StringEquals?"),
        (json.dumps(GOOD)[:-1] + ', "Version": "2012-10-17"}', "'Version' is written twice"),
        (json.dumps({**GOOD, "Id": "x" * 2_000_000}), "no AWS policy has more than"),
        (
            json.dumps(GOOD).replace("WithWebIdentity", "WithWebIdentitty"),
            "is not an action of STS; write sts:AssumeRoleWithWebIdentity",
        ),
        (json.dumps(GOOD).replace("sts:Assume", "s3:Assume"), "takes sts actions only"),
        ({"Role": {"RoleName": "x"}}, "a role without AssumeRolePolicyDocument"),
        ({"format_version": "1.2", "planned_values": {}}, "the plan has no aws_iam_role"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "",
)
def test_bad_input_ends_with_2_and_says_what_to_give(
    tmp_path: Path, content: object, message: str
) -> None:
    done = run(tmp_path, written(tmp_path, content))
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_bytes_that_are_no_text_end_with_2(tmp_path: Path) -> None:
    path = tmp_path / "plan.bin"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    done = run(tmp_path, str(path))
    assert done.exit_code == 2
    assert "terraform show -json" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "arguments", [(), ("--plan", "p", "--account"), ("--account", "--json", "--sarif")]
)
def test_contradicting_options_end_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "p").write_text("{}")
    fixed = [str(tmp_path / "p") if word == "p" else word for word in arguments]
    assert run(tmp_path, *fixed).exit_code == 2


@pytest.fixture
def own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials as a shell has them: a region under the name that boto3 does not read."""
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


@pytest.mark.usefixtures("own_account")
def test_the_callers_own_account_is_linted_with_aws_region_alone(tmp_path: Path) -> None:
    with mock_aws():
        boto3.client("iam", region_name="us-east-1").create_role(
            RoleName="ci", AssumeRolePolicyDocument=json.dumps(BAD)
        )
        done = run(tmp_path, "--account", "--aws", "--json")
    assert done.exit_code == 1, done.output
    assert list(json.loads(done.stdout)["gets_in"]) == ["arn:aws:iam::123456789012:role/ci"]


@pytest.mark.usefixtures("own_account")
def test_without_the_right_to_list_roles_the_message_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mock_aws():
        user = boto3.client("iam", region_name="us-east-1")
        user.create_user(UserName="u")
        key = user.create_access_key(UserName="u")["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        done = set_initial_no_auth_action_count(0)(run)(tmp_path, "--account", "--aws")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "iam:GetAccountAuthorizationDetails" in " ".join(done.stderr.split())


def test_without_a_local_cloud_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    done = run(tmp_path, "--account")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.endswith(" up\n")


def test_what_is_not_judged_of_several_policies_is_told_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(trust("repo:${org}/x:pull_request")))
    shown = CliRunner().invoke(keyless, ["lint-trust", str(tmp_path)]).output
    assert "1 not judged" in shown
    [line] = [
        one for one in shown.splitlines() if one.startswith("not judged: ${org} is not filled")
    ]
    places = shown.partition(line)[2].splitlines()[2:4]
    assert [one.rpartition("/")[2] for one in places] == ["a.json", "b.json"]
