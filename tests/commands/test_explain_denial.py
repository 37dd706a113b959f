"""`keyless explain-denial` against a real gateway: a request is denied, then explained."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from scripts.aws.sealed import client
from scripts.cli import keyless
from scripts.localcloud.cloud import LocalCloud

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A local cloud with a role that was denied one object."""
    path = tmp_path_factory.mktemp("home")
    with LocalCloud(path) as cloud:
        cloud.announce(os.getpid(), psutil.Process().create_time())
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
                 "Action": "sts:AssumeRole"}  # fmt: skip
        allow = {"Sid": "ReadA", "Effect": "Allow", "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::bucket/a/*"}  # fmt: skip
        iam = client(cloud, cloud.administrator, "iam")
        policy = {"Version": "2012-10-17", "Statement": [trust]}
        role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(policy))
        iam.put_role_policy(
            RoleName="reader",
            PolicyName="storage",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
        )
        client(cloud, cloud.administrator, "s3").create_bucket(Bucket="bucket")
        session = cloud.credentials_for_role(role["Role"]["Arn"], "run")
        with pytest.raises(ClientError, match="AccessDenied"):
            client(cloud, session, "s3").get_object(Bucket="bucket", Key="b/x")
        cloud.decisions.flush()
        yield path


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(keyless, ["--home", str(home), "explain-denial", *arguments])


def test_the_last_denial_is_explained_with_its_change(home: Path) -> None:
    done = run(home)
    assert done.exit_code == 0, done.output
    for text in (
        "s3:GetObject",
        "no identity-based policy allows",
        "storage / ReadA: Resource wants arn:aws:s3:::bucket/a/*, not arn:aws:s3:::bucket/b/x",
        "add arn:aws:s3:::bucket/b/x to its resources",
    ):
        assert text in done.stdout


def test_json_holds_the_same(home: Path) -> None:
    done = run(home, "--json")
    denial, *_ = json.loads(done.stdout)
    assert denial["proved"] is True
    assert run(home, denial["request_id"], "--json").stdout == done.stdout


def test_an_unknown_request_ends_with_2(home: Path) -> None:
    done = run(home, "no-such-request")
    assert done.exit_code == 2
    assert "no request 'no-such-request'" in done.stderr


def test_a_log_that_is_none_ends_with_2(home: Path, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("nonsense\n")
    done = run(home, "--log", str(tmp_path / "log"))
    assert done.exit_code == 2
    assert "line 1: not a decision" in " ".join(done.stderr.split())


def test_what_aws_said_is_explained_by_the_policies_that_the_same_code_rendered(
    home: Path,
) -> None:
    said = (
        "│ Error: reading: api error AccessDenied: User: "
        "arn:aws:sts::999988887777:assumed-role/reader/run is not authorized to perform: "
        's3:GetObject on resource: "arn:aws:s3:::bucket/b/x" because no identity-based policy '
        "allows the s3:GetObject action"
    )
    done = CliRunner().invoke(
        keyless, ["--home", str(home), "explain-denial", "--message", "-"], input=said
    )
    assert done.exit_code == 0, done.output
    assert "add arn:aws:s3:::bucket/b/x to its resources" in done.stdout
    assert "by the policies of the local cloud" in done.stdout
    assert "arn:aws:sts::999988887777:assumed-role/reader/run" in done.stdout
    assert "taken for those of account 999988887777" in " ".join(done.stdout.split())


def test_what_nobody_rendered_here_is_explained_by_the_words_alone(home: Path) -> None:
    for said, account in (
        ("User: arn:aws:sts::999988887777:assumed-role/theirs/run is not", "999988887777"),
        ("User: arn:aws:iam::999988887777:role/apps/theirs is not", "999988887777"),
    ):
        said += " authorized to perform: s3:GetObject on resource: arn:aws:s3:::bucket/b/x"
        done = CliRunner().invoke(
            keyless, ["--home", str(home), "explain-denial", "--message", "-"], input=said
        )
        assert done.exit_code == 0, done.output
        told = " ".join(done.stdout.split())
        assert f"the message is of account {account}, and the local cloud is account" in told
        assert "by AWS's message alone" in told
        assert f"{account}:" in told.partition("action")[0]
