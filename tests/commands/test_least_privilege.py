"""`keyless least-privilege` against a real gateway: a role with one right too many."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from scripts.aws.sealed import client
from scripts.cli import keyless
from scripts.iam.account.decision_log import Record
from scripts.localcloud.access.decisions import DecisionLog
from scripts.localcloud.cloud import LocalCloud

pytestmark = pytest.mark.slow

BUCKET = "keyless-dev-artifacts"


@pytest.fixture(scope="module")
def home(cloud: LocalCloud) -> Path:
    return cloud.home


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
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
        yield cloud


def command(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(keyless, ["--home", str(home), "least-privilege", *arguments])


def run(home: Path, *arguments: str) -> Result:
    return command(home, "--so-far", *arguments)


def test_what_was_not_used_is_named_and_ends_with_1(home: Path) -> None:
    done = command(home, "--log", str(home / "decisions.jsonl"))
    assert done.exit_code == 1, done.output
    assert "unused: keyless-dev-x: s3:GetBucketWebsite" in done.stdout
    assert "s3:GetBucketVersioning" not in done.stdout
    assert "it has no permissions boundary" in done.stdout
    assert done.stdout.startswith(
        "Least privilege, measured on the local cloud: NOT clean (1 unused, "
    )
    assert "Documented by AWS, not exercised locally: 0 rights" in done.stdout
    assert "without --so-far and --log the whole flow is measured" in " ".join(done.stdout.split())
    assert all(len(line) <= 100 or "https://" in line for line in done.stdout.splitlines())


def test_what_a_flow_that_goes_on_has_not_used_yet_fails_nothing(home: Path) -> None:
    said = " ".join(run(home).stdout.split())
    assert "on the local cloud: NOT clean (1 outside a boundary)" in said
    assert "not used yet: keyless-dev-x: s3:GetBucketWebsite" in said
    assert "unused:" not in said
    assert "of a flow that goes on" in said


def test_json_names_every_right_and_the_tightened_policy(home: Path) -> None:
    review = json.loads(run(home, "--json").stdout)
    [role] = review["roles"]
    assert [one["action"] for one in role["used"]] == ["s3:GetBucketVersioning"]
    assert [one["action"] for one in role["unused"]] == ["s3:GetBucketWebsite"]
    assert (review["measured"], review["whole_flow"]) == ("on the local cloud", False)
    assert '-    "s3:GetBucketWebsite",' in review["diff"]
    assert '+    "s3:' not in review["diff"]
    assert review["cost"]["log_seconds"] < 1


def test_the_diff_is_printed_where_it_is_asked_for(home: Path) -> None:
    assert "Tightened policies:" not in run(home).stdout
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
    done = command(home, "--log", str(tmp_path / "log"))
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_a_log_that_does_not_exist_ends_with_2(home: Path, tmp_path: Path) -> None:
    assert command(home, "--log", str(tmp_path / "none")).exit_code == 2


def test_a_log_of_another_account_ends_with_2(home: Path, tmp_path: Path) -> None:
    log = (home / "decisions.jsonl").read_text()
    account = json.loads((home / "cloud.json").read_text())["account_id"]
    (tmp_path / "log").write_text(log.replace(account, "999988887777"))
    done = command(home, "--log", str(tmp_path / "log"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "the log is of account 999988887777" in " ".join(done.stderr.split())


def test_several_logs_are_read_as_one(home: Path, tmp_path: Path) -> None:
    lines = (home / "decisions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "first").write_text("".join(lines[:2]))
    (tmp_path / "second").write_text("".join(lines[2:]))
    done = command(home, "--json", *(f"--log={tmp_path / name}" for name in ("first", "second")))
    assert json.loads(done.stdout)["decisions"] == len(lines)


def test_a_log_and_so_far_exclude_each_other(home: Path, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    done = run(home, "--log", str(tmp_path / "log"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "exclude each other" in done.stderr


@pytest.mark.alone
def test_the_decision_log_costs_requests_under_a_tenth(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor time of requests without the log, and of the log for their decisions.

    Waits count in neither, so this is the log's share at its largest. The least of several rounds
    is what the machine's other work disturbed least.
    """
    iam = client(cloud, cloud.administrator, "iam")
    made: list[Record] = []
    monkeypatch.setattr(cloud.decisions, "append", made.append)

    def ask() -> None:
        for _ in range(50):
            iam.list_roles()

    def write() -> None:
        for record in made:
            log.append(record)
        log.flush()

    requests = min(map(processor_seconds, [ask] * 6))
    log = DecisionLog(tmp_path / "decisions.jsonl")
    # All rounds' decisions at once, so that the clock's grain does not matter.
    written = min(map(processor_seconds, [write] * 6)) / 6
    log.stop()
    share = written / requests
    print(f"50 requests {requests:.3f} s, their decisions {written:.4f} s: {share:.1%}")
    assert len(made) == 300
    assert 0 < share < 0.1


def processor_seconds(work: Callable[[], None]) -> float:
    """What this process and all its threads spent on it."""
    started = time.process_time()
    work()
    return time.process_time() - started
