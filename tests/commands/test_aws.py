"""`keyless aws` sends what the AWS command line would, and ends as it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from scripts.cli import keyless

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


def aws(*words: str) -> Any:
    return CliRunner().invoke(keyless, ["aws", *words])


def test_an_answer_is_json_without_its_metadata() -> None:
    found = json.loads(aws("sts", "get-caller-identity").stdout)
    assert found.keys() == {"UserId", "Account", "Arn"}


def test_an_object_goes_from_a_file_and_into_one(tmp_path: Path) -> None:
    boto3.client("s3").create_bucket(Bucket="data")
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(b"\x00flag\n")
    put = aws("s3api", "put-object", "--bucket", "data", "--key", "k", "--body", str(sent))
    assert put.exit_code == 0, put.stderr
    done = aws("s3api", "get-object", "--bucket", "data", "--key", "k", str(got))
    assert done.exit_code == 0, done.stderr
    assert got.read_bytes() == b"\x00flag\n"
    assert json.loads(done.stdout)["ContentLength"] == 6


def test_a_body_needs_a_file() -> None:
    boto3.client("s3").create_bucket(Bucket="data")
    boto3.client("s3").put_object(Bucket="data", Key="k", Body=b"x")
    done = aws("s3api", "get-object", "--bucket", "data", "--key", "k")
    assert done.exit_code == 2
    assert "/dev/stdout" in done.stderr


def test_values_have_the_types_of_the_request(tmp_path: Path) -> None:
    document = tmp_path / "trust.json"
    document.write_text('{"Version": "2012-10-17", "Statement": []}')
    made = aws(
        *("iam", "create-role", "--role-name", "r", "--max-session-duration", "7200"),
        *("--assume-role-policy-document", f"file://{document}", "--tags", "Key=a,Value=b c"),
        *("Key=d,Value=e",),
    )
    assert made.exit_code == 0, made.stderr
    role = json.loads(made.stdout)["Role"]
    assert role["MaxSessionDuration"] == 7200
    assert role["Tags"] == [{"Key": "a", "Value": "b c"}, {"Key": "d", "Value": "e"}]
    listed = aws("iam", "list-role-tags", "--role-name", "r", "--query", "Tags[].Key")
    assert json.loads(listed.stdout) == ["a", "d"]


@pytest.mark.parametrize("given", ["--overwrite", "--no-overwrite"])
def test_switches(given: str) -> None:
    boto3.client("ssm").put_parameter(Name="p", Value="1", Type="String")
    done = aws("ssm", "put-parameter", "--name", "p", "--value", "2", given)
    assert done.exit_code == (0 if given == "--overwrite" else 254)


def test_names_of_a_list_are_words() -> None:
    for name in ("a", "b"):
        boto3.client("ssm").put_parameter(Name=name, Value=name, Type="String")
    done = aws("ssm", "get-parameters", "--names", "a", "b", "--query", "Parameters[].Value")
    assert sorted(json.loads(done.stdout)) == ["a", "b"]


def test_a_refusal_ends_as_the_aws_command_line_does() -> None:
    done = aws("iam", "get-role", "--role-name", "nobody")
    assert done.exit_code == 254
    assert "NoSuchEntity" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing", "list"], "Unknown service"),
        (["iam", "list-everything"], "no operation"),
        (["iam", "get-role", "--rolename", "x"], "no option --rolename"),
        (["iam", "get-role"], "RoleName"),
        (["iam", "list-roles", "--max-items", "many"], "--max-items"),
        (["iam", "list-roles", "--query", "[["], "--query"),
        (["iam", "get-role", "one", "two"], "belongs to no option"),
        (["iam", "list-roles", "--profile", "nobody"], "nobody"),
        (["iam", "create-role", "--tags", "[oops"], "--tags"),
    ],
)
def test_wrong_usage(words: list[str], said: str) -> None:
    done = aws(*words)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
