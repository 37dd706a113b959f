"""`keyless least-privilege` against a real gateway: a role with one right too many."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from scripts.cli import keyless
from scripts.localcloud.cloud import LocalCloud
from scripts.sealed import client

pytestmark = pytest.mark.slow

BUCKET = "keyless-dev-artifacts"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A local cloud whose one role reads a bucket's policy and could read its website."""
    path = tmp_path_factory.mktemp("home")
    with LocalCloud(path) as cloud:
        cloud.announce(os.getpid(), psutil.Process().create_time())
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
                 "Action": "sts:AssumeRole"}  # fmt: skip
        allow = {"Sid": "Look", "Effect": "Allow",
                 "Action": ["s3:GetBucketVersioning", "s3:GetBucketWebsite"],
                 "Resource": f"arn:aws:s3:::{BUCKET}"}  # fmt: skip
        iam = client(cloud, cloud.administrator, "iam")
        policy = {"Version": "2012-10-17", "Statement": [trust]}
        role = iam.create_role(
            RoleName="keyless-dev-x", AssumeRolePolicyDocument=json.dumps(policy)
        )
        iam.put_role_policy(
            RoleName="keyless-dev-x",
            PolicyName="look",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
        )
        client(cloud, cloud.administrator, "s3").create_bucket(Bucket=BUCKET)
        session = cloud.credentials_for_role(role["Role"]["Arn"], "run")
        client(cloud, session, "s3").get_bucket_versioning(Bucket=BUCKET)
        cloud.decisions.flush()
        yield path


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(keyless, ["--home", str(home), "least-privilege", *arguments])


def test_what_was_not_used_is_named_and_ends_with_1(home: Path) -> None:
    done = run(home)
    assert done.exit_code == 1, done.output
    assert "unused: keyless-dev-x: s3:GetBucketWebsite" in done.stdout
    assert "s3:GetBucketVersioning" not in done.stdout
    assert "it has no permissions boundary" in done.stdout
    assert "Measured on the local cloud" in done.stdout
    assert "documented, not exercised locally: 0 rights" in done.stdout


def test_json_names_every_right_and_the_tightened_policy(home: Path) -> None:
    review = json.loads(run(home, "--json").stdout)
    [role] = review["roles"]
    assert [one["action"] for one in role["used"]] == ["s3:GetBucketVersioning"]
    assert [one["action"] for one in role["unused"]] == ["s3:GetBucketWebsite"]
    assert review["measured"] == "on the local cloud"
    assert '-    "s3:GetBucketWebsite",' in review["diff"]
    assert '+    "s3:' not in review["diff"]
    assert review["cost"]["log_seconds"] < 1


def test_the_diff_is_printed_where_it_is_asked_for(home: Path) -> None:
    assert "tightened policies:" not in run(home).stdout
    assert '-    "s3:GetBucketWebsite",' in run(home, "--diff").stdout


def test_an_environment_that_is_not_there_is_named(home: Path) -> None:
    done = run(home, "--environment", "prod")
    assert done.exit_code == 1
    assert "no roles of 'prod'" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the log is empty"),
        ("nonsense\n", "line 1: not a decision"),
        ('{"a": 1}\n', "without request_id"),
        ("{" * 2_000_000 + "\n", "not a decision"),
    ],
    ids=["empty", "text", "other", "2 MB"],
)
def test_a_log_that_is_none_ends_with_2(
    home: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "log").write_text(content)
    done = run(home, "--log", str(tmp_path / "log"))
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_a_log_that_does_not_exist_ends_with_2(home: Path, tmp_path: Path) -> None:
    assert run(home, "--log", str(tmp_path / "none")).exit_code == 2
