"""Plan, apply and destroy by a caller's own credentials: a small root, a real gateway."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner, Result

from scripts.account import buckets, deployment
from scripts.account import image as images
from scripts.account.deployment import Planned
from scripts.account.environment import Account, github_variable, parse_repository
from scripts.aws.sealed import client
from scripts.cli import ROOT
from scripts.commands import Project
from scripts.commands.apply import apply
from scripts.commands.cost import cost
from scripts.commands.destroy import destroy
from scripts.commands.image import image
from scripts.commands.plan import plan
from scripts.console import UserError
from scripts.localcloud.cloud import LocalCloud
from scripts.plan.cost import estimate, load_prices
from scripts.stack.binary import StackError, find_binary
from scripts.stack.roots import variables_file
from scripts.stack.stack import Stack

GITHUB = {
    "owner": "octo-org",
    "owner_id": "1001",
    "repository": "keyless-mlops",
    "repository_id": "2002",
}
UNSET = ("TF_CLI_ARGS_plan", "TF_WORKSPACE")
RUNNER = {
    "GITHUB_REPOSITORY": "octo-org/keyless-mlops",
    "GITHUB_REPOSITORY_OWNER_ID": "1001",
    "GITHUB_REPOSITORY_ID": "2002",
}
PLATFORM = """
terraform {
  backend "s3" {}
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}
provider "aws" {}
variable "environment" { type = string }
variable "github" { type = any }
variable "image" { type = any }
variable "word" { default = "hej" }
resource "aws_s3_bucket" "artifacts" { bucket = "keyless-${var.environment}-artifacts" }
resource "aws_s3_bucket_versioning" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id
  versioning_configuration { status = "Enabled" }
}
resource "terraform_data" "word" { input = sensitive(var.word) }
resource "aws_ssm_parameter" "platform" {
  name  = "/keyless/${var.environment}/platform"
  type  = "String"
  value = jsonencode({ github = var.github, image = var.image.id })
}
"""


@dataclass(frozen=True)
class Caller:
    """A person with AWS credentials in the environment, and a project with a small platform."""

    project: Project
    account: str
    s3: Any
    ssm: Any

    def run(self, command: Any, *arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(
            command,
            ["-e", "dev", "--aws", *arguments],
            obj=self.project,
            input=answer,
            catch_exceptions=False,
        )

    @property
    def plans(self) -> Path:
        return self.project.home / "plans" / f"{self.account}-us-east-1"

    @property
    def bucket(self) -> str:
        return "keyless-dev-artifacts"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    base = tmp_path_factory.mktemp("caller")
    root = base / "project" / "terraform" / "platform"
    (root / "environments").mkdir(parents=True)
    (root / "main.tf").write_text(PLATFORM)
    (root / "environments" / "dev.tfvars").write_text('environment = "dev"\n')
    shutil.copy(ROOT / "terraform" / "platform" / ".terraform.lock.hcl", root)
    with LocalCloud(base / "cloud") as cloud, pytest.MonkeyPatch.context() as patch:
        s3, ssm = (client(cloud, cloud.administrator, name) for name in ("s3", "ssm"))
        settings = cloud.administrator.environment() | {
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "AWS_CA_BUNDLE": str(cloud.ca_bundle),
            "AWS_REGION": cloud.region,
            "AWS_CONFIG_FILE": str(base / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(base / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
            # Neither may reach Terraform: one would break its output, the other move the state.
            "TF_CLI_ARGS_plan": "-nonsense",
            "TF_WORKSPACE": "elsewhere",
        }
        for name, value in settings.items():
            patch.setenv(name, value)
        for name in RUNNER:
            patch.delenv(name, raising=False)
        yield Caller(Project(base / "project", base / "home"), cloud.account_id, s3, ssm)


@pytest.mark.slow
@pytest.mark.terraform
@pytest.mark.timeout(1800)
def test_an_environment_is_planned_approved_applied_and_destroyed(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody says which repository: refused, with what to write.
    with pytest.raises(UserError) as refused:
        caller.run(plan)
    assert "--github OWNER@ID/REPOSITORY@ID" in refused.value.fix
    for name, value in RUNNER.items():
        monkeypatch.setenv(name, value)

    # Nobody pinned the server's image: refused; the verb that pins it is named.
    with pytest.raises(UserError) as unpinned:
        caller.run(plan)
    assert unpinned.value.fix.startswith("keyless image --aws -e dev, then commit")
    assert caller.run(image).exit_code == 0
    pin = images.pin_file(caller.project.root / "terraform" / "platform", "dev")
    held, pinned_id = pin.read_text(), json.loads(pin.read_text())["image"]["id"]

    # From here on Amazon has released another one: between plan, approval and apply too.
    later = images.Image("ami-0fffffffffffffff0", "us-east-1", "2026-12-01")
    monkeypatch.setattr(images, "newest", lambda *_: later)

    # The account was not prepared.
    with pytest.raises(UserError) as unprepared:
        caller.run(plan)
    assert unprepared.value.fix.startswith("keyless bootstrap")
    caller.s3.create_bucket(Bucket=f"keyless-state-{caller.account}-us-east-1")

    # Nothing was planned: nothing is applied.
    with pytest.raises(UserError, match="no saved plan of dev") as missing:
        caller.run(apply)
    assert missing.value.fix == "keyless plan -e dev --aws"

    # As in a job: the digest alone on standard output, the rest in files.
    files = ["--summary", str(tmp_path / "plan.md"), "--changes", str(tmp_path / "changes.json")]
    job = caller.run(plan, *files)
    approved = job.stdout.strip()
    assert len(approved) == 64
    assert len(json.loads((tmp_path / "changes.json").read_text())) == 4
    assert "4 to create" in (tmp_path / "plan.md").read_text()
    assert "hej" not in (tmp_path / "plan.md").read_text()  # it is marked sensitive
    saved = caller.plans / "dev.tfplan"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert stat.S_IMODE(saved.with_name("dev.tfplan.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(caller.plans.stat().st_mode) == 0o700

    # Another change than the approved one: nothing is applied, whatever lies in the folder.
    monkeypatch.setenv("TF_VAR_word", "other")
    with pytest.raises(UserError, match="not the ones that were approved"):
        caller.run(apply, "--expect-digest", approved, "--yes")
    monkeypatch.delenv("TF_VAR_word")
    pin.write_text(held.replace(pinned_id, later.id))
    with pytest.raises(UserError, match="not the ones that were approved"):
        caller.run(apply, "--expect-digest", approved, "--yes")
    pin.write_text(held)
    with pytest.raises(caller.s3.exceptions.ClientError):
        caller.s3.head_bucket(Bucket=caller.bucket)
    assert saved.exists()

    # The same change, planned anew: applied. The plan that was saved before is stale by now.
    unanswered = caller.run(apply, "--expect-digest", approved)
    assert unanswered.exit_code == 2
    assert f"AWS account {caller.account}, region us-east-1, environment dev" in unanswered.stderr
    assert "nothing was changed. Without a terminal: --yes" in unanswered.stderr
    assert "4 created" in caller.run(apply, "--expect-digest", approved, "--yes").stdout
    with pytest.raises(UserError) as stale:
        caller.run(apply, answer="y\n")
    assert "stale" in stale.value.why
    assert "keyless plan -e dev --aws" in stale.value.fix
    assert not saved.exists()

    # What was approved is what was applied, whatever is the newest image by now.
    parameter = caller.ssm.get_parameter(Name="/keyless/dev/platform")["Parameter"]["Value"]
    assert json.loads(parameter)["image"] == pinned_id != later.id

    # Applied once, the repository is known; and there is nothing left to change.
    for name in RUNNER:
        monkeypatch.delenv(name)
    shown = caller.run(plan).stdout
    assert "no changes" in shown
    caller.run(plan, *files)
    assert json.loads((tmp_path / "changes.json").read_text()) == []
    assert "USD" in caller.run(cost, "--plan").stdout

    # Destroy: the name is asked for, and data is not deleted along.
    wrong = caller.run(destroy, answer="prod\n")
    assert wrong.exit_code == 2
    caller.s3.put_object(Bucket=caller.bucket, Key="data", Body=b"rows")
    caller.s3.put_object(Bucket=caller.bucket, Key="data", Body=b"more rows")
    caller.s3.delete_object(Bucket=caller.bucket, Key="data")
    with pytest.raises(UserError, match="Buckets hold data") as full:
        caller.run(destroy, "--yes")
    assert "--delete-data" in full.value.fix
    assert len(caller.s3.list_object_versions(Bucket=caller.bucket)["Versions"]) == 2
    done = caller.run(destroy, "--delete-data", answer="dev\n")
    assert "4 destroyed" in done.stdout
    assert f"Every version of every object goes: {caller.bucket}" in done.stderr
    with pytest.raises(caller.s3.exceptions.ClientError):
        caller.s3.head_bucket(Bucket=caller.bucket)
    assert not list(caller.plans.iterdir())


PARAMETERS = """
provider "aws" {}
resource "aws_db_parameter_group" "group" {
  for_each = toset(["immediate", "pending-reboot"])
  name     = "ssl-${each.key}"
  family   = "postgres17"
  parameter {
    name         = "rds.force_ssl"
    value        = "1"
    apply_method = each.key
  }
}
"""


@pytest.mark.slow
@pytest.mark.terraform
def test_a_parameter_that_equals_the_default_differs_in_every_plan_unless_it_waits_for_a_reboot(
    caller: Caller, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "main.tf").write_text(PARAMETERS)
    shutil.copy(ROOT / "terraform" / "platform" / ".terraform.lock.hcl", root)
    passed = {
        name: value for name, value in os.environ.items() if name not in UNSET and value != ""
    }
    stack = Stack(
        root, binary=find_binary(tmp_path), environment=passed, data_dir=tmp_path / "data"
    )
    stack.init()
    stack.apply()
    assert [change.address for change in stack.plan()] == [
        'aws_db_parameter_group.group["immediate"]'
    ]


SLOW = """
resource "terraform_data" "quick" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {
    command = "touch ${path.module}/begun; exec sleep 300"
  }
}
"""
DRIVER = """
import os, sys
from pathlib import Path
from scripts.console import Phases
from scripts.account.deployment import apply_plan
from scripts.stack.binary import find_binary
from scripts.stack.stack import Stack

base = Path(sys.argv[1])
environment = {"PATH": os.environ["PATH"], "HOME": str(base)}
stack = Stack(
    base / "root", binary=find_binary(base), environment=environment, data_dir=base / "data"
)
stack.init()
stack.save_plan(base / "plan")
with Phases() as phases, phases.phase("apply") as phase:
    apply_plan(stack, "dev", base / "plan", phase, "again")
"""


@pytest.mark.slow
@pytest.mark.terraform
def test_a_cancelled_apply_leaves_no_lock_no_plan_and_a_state_to_go_on_from(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "main.tf").write_text(SLOW)
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=ROOT) as process:
        deadline = time.monotonic() + 120
        while not (root / "begun").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) != 0
    state = json.loads((root / "terraform.tfstate").read_text())
    applied = {one["name"]: one["instances"][0].get("status") for one in state["resources"]}
    assert applied == {"quick": None, "slow": "tainted"}
    assert not list(root.glob(".*.lock.info"))
    assert not (tmp_path / "plan").exists()


def planned(*resources: dict[str, Any]) -> Planned:
    bill = estimate({}, load_prices())
    standing = {str(number): values for number, values in enumerate(resources)}
    return Planned("prod", Path("unused"), (), bill, bill, standing)


def test_a_protected_database_stops_destroy_before_anything_is_gone() -> None:
    with pytest.raises(UserError, match="protected") as refused:
        deployment.require_destroyable(planned({"deletion_protection": True}))
    assert "TF_VAR_teardown=true keyless plan -e prod" in refused.value.fix
    deployment.require_destroyable(planned({"deletion_protection": False}, {}))


def test_all_that_keeps_an_environment_is_said_at_once() -> None:
    with pytest.raises(UserError, match="prod is protected; nothing was destroyed") as refused:
        deployment.require_destroyable(planned({"deletion_protection": True}), ["b"])
    assert refused.value.why.splitlines() == [
        "deletion protection is on: 0",
        "buckets hold data: b",
    ]
    assert "--delete-data" in refused.value.fix
    with pytest.raises(UserError, match="Buckets hold data; nothing was destroyed"):
        deployment.require_destroyable(planned(), ["b"])


@pytest.mark.parametrize(
    ("code", "taken"),
    [(None, ["keyless-prod-final"]), ("DBSnapshotNotFound", []), ("AccessDenied", [])],
)
def test_a_last_snapshot_of_the_same_name_is_looked_for(code: str | None, taken: list[str]) -> None:
    rds = boto3.client(
        "rds", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    wanted = {"DBSnapshotIdentifier": "keyless-prod-final"}
    database = {"final_snapshot_identifier": "keyless-prod-final"}
    with Stubber(rds) as stubbed:
        if code:
            stubbed.add_client_error("describe_db_snapshots", code, expected_params=wanted)
        else:
            stubbed.add_response("describe_db_snapshots", {"DBSnapshots": [wanted]}, wanted)
        found = deployment.taken_snapshots(rds, planned(database | {"skip_final_snapshot": False}))
        # None is asked about where none is taken.
        skipping = planned(database | {"skip_final_snapshot": True})
        assert deployment.taken_snapshots(rds, skipping) == []
    assert found == taken


def test_a_second_destroy_is_told_of_the_last_snapshot_of_the_first() -> None:
    with pytest.raises(UserError, match="last snapshot is taken; nothing was destroyed") as refused:
        deployment.require_destroyable(planned(), (), ["keyless-prod-final"])
    assert "delete-db-snapshot --db-snapshot-identifier keyless-prod-final" in refused.value.fix


def test_the_warning_says_whether_a_snapshot_is_kept() -> None:
    database = {"engine": "postgres", "skip_final_snapshot": False}
    kept = planned(database | {"final_snapshot_identifier": "keyless-prod-final"})
    assert "keyless-prod-final" in deployment.destroy_warning(kept, [], False)
    lost = planned(database | {"final_snapshot_identifier": None})
    assert "no snapshot is kept" in deployment.destroy_warning(lost, [], False)


@pytest.mark.parametrize(
    "text",
    ["octo-org/keyless", "octo-org@1001/keyless", "octo@x/keyless@1", "a@1/b@2/c@3", "*@1/*@2"],
)
def test_a_repository_without_ids_is_refused(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_repository(text)
    assert "octo-org@1001/keyless-mlops@2002" in refused.value.fix
    assert refused.value.exit_code == 2


def test_a_repository_is_read_with_its_ids() -> None:
    assert parse_repository("octo-org@1001/keyless-mlops@2002") == GITHUB


@pytest.mark.parametrize("name", ["staging", "../dev", "DEV", ""])
def test_an_environment_without_a_file_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="no environment") as refused:
        variables_file(ROOT / "terraform" / "platform", name)
    assert "dev, prod" in refused.value.why


class Ssm:
    """Answers as the Parameter Store does, from a dictionary."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self.parameters = parameters

    def get_parameter(self, Name: str) -> dict[str, Any]:  # noqa: N803
        from botocore.exceptions import ClientError

        if Name not in self.parameters:
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")
        return {"Parameter": {"Value": self.parameters[Name]}}


def account(tmp_path: Path, applied: dict[str, str] | None = None) -> Account:
    value = {"/keyless/dev/platform": json.dumps({"github": applied})} if applied else {}
    return Account("1", "r", tmp_path, {}, lambda service: Ssm(value), "test")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*RUNNER, "TF_VAR_github"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "platform"
    (root / "environments").mkdir(parents=True)
    (root / "environments" / "dev.tfvars").write_text("")
    return root


def test_what_is_given_wins_over_what_was_applied(root: Path, tmp_path: Path) -> None:
    assert github_variable(account(tmp_path, {"owner": "other"}), root, "dev", GITHUB) == GITHUB


def test_what_was_applied_wins_over_the_running_job(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job must not move the trust to itself by running."""
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/else")
    monkeypatch.setenv("GITHUB_REPOSITORY_OWNER_ID", "7")
    monkeypatch.setenv("GITHUB_REPOSITORY_ID", "8")
    assert github_variable(account(tmp_path, GITHUB), root, "dev", None) == GITHUB


@pytest.mark.parametrize("name", ["github.auto.tfvars.json", "environments/dev.tfvars"])
def test_a_file_that_terraform_reads_is_left_to_it(root: Path, tmp_path: Path, name: str) -> None:
    text = json.dumps({"github": GITHUB}, indent=2) if "json" in name else "github = {}\n"
    (root / name).write_text(text)
    assert github_variable(account(tmp_path, {"owner": "other"}), root, "dev", None) is None


@pytest.mark.parametrize("digest", ["abc", "A" * 64, "g" * 64, ""])
def test_a_digest_that_is_none_is_wrong_usage(digest: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(apply, ["--expect-digest", digest], obj=Project(tmp_path, tmp_path))
    assert result.exit_code == 2
    assert "64 hexadecimal digits" in result.stderr


def test_what_is_destroyed_has_no_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEYLESS_ENVIRONMENT", raising=False)
    result = CliRunner().invoke(destroy, ["--aws", "--yes"], obj=Project(tmp_path, tmp_path))
    assert result.exit_code == 2
    assert "--environment" in result.stderr


class Storage:
    """A bucket whose listings are refused, or answered, as a test says."""

    def __init__(self, refused: tuple[str, ...] = (), keys: tuple[str, ...] = ()) -> None:
        self.refused = refused
        self.keys = keys

    def _listed(self, name: str, kind: str) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        if name in self.refused:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, name)
        return {kind: [{"Key": key, "VersionId": "1"} for key in self.keys]}

    def list_object_versions(self, **_: Any) -> dict[str, Any]:
        return self._listed("versions", "DeleteMarkers")

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return self._listed("objects", "Contents")

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_object_versions"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.list_object_versions()]

    def delete_objects(self, **_: Any) -> dict[str, Any]:
        return {"Errors": [{"Key": "data", "Code": "AccessDenied"}]}


@pytest.mark.parametrize("refused", [(), ("versions",)])
def test_a_bucket_with_anything_in_it_is_not_empty(refused: tuple[str, ...]) -> None:
    assert buckets.holds_objects(Storage(refused, ("data",)), "b")
    assert not buckets.holds_objects(Storage(refused), "b")


def test_a_bucket_that_may_not_be_looked_into_is_not_taken_for_empty() -> None:
    with pytest.raises(UserError, match="nothing was destroyed"):
        buckets.holds_objects(Storage(("versions", "objects")), "b")


def test_a_refused_deletion_stops_and_names_who_may() -> None:
    """S3 answers 200 and lists what it did not delete."""
    with pytest.raises(UserError, match="could not be emptied") as refused:
        buckets.empty(Storage(keys=("data",)), "b", lambda _: None)
    assert "version_deleter_arns" in refused.value.fix


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ("EntityAlreadyExists: Role with name keyless-dev-train already exists.", "import block"),
        ("DBParameterGroupAlreadyExists: Parameter group keyless-dev exists", "import block"),
        ("ExpiredToken: The security token is expired", "sign in again"),
        ("InvalidParameterCombination: Cannot find version 17.1 for postgres", 'such as "17"'),
        ("FreeTierRestrictionError: The specified backup retention", "upgrade-account-plan"),
        ("The specified instance type is not eligible for Free Tier.", "upgrade-account-plan"),
        ("PendingVerification: Your request for accessing resources", "up to four hours"),
        (
            "AccessDeniedException: Account 123456789012 is a linked account. To enable budgets "
            "for your account, ask the payer account to enable budgets first.",
            "up to a day",
        ),
        ("OperationAborted: A conflicting conditional operation is in progress", "an hour"),
        ("InvalidNetworkInterfaceID.NotFound: The networkInterface ID", "keyless destroy -e dev"),
        ("ThrottlingException: Rate exceeded", "keyless doctor"),
        ("reading KMS Alias (alias/keyless-dev): empty result", "dev has no key of its own yet"),
        (
            "InvalidRequestException: You can't create this secret because a secret with this "
            "name is already scheduled for deletion.",
            "--secret-id keyless-dev-third-party --force-delete-without-recovery",
        ),
        ("DBSnapshotAlreadyExists: Cannot create the snapshot", "left its last snapshot"),
        (
            "InvalidParameterCombination: cannot use immediate apply method for static parameter: "
            "rds.logical_replication",
            "write static = true beside the value of that parameter, in database.parameters of "
            "terraform/platform/environments/dev.tfvars",
        ),
        (
            "InvalidParameterValue: Could not find parameter with name: log_min_duration_statment",
            "correct the name in database.parameters",
        ),
        (
            "ResourceAlreadyExistsException: The specified log group already exists",
            "aws logs delete-log-group --log-group-name NAME",
        ),
    ],
)
def test_terraforms_failure_comes_with_the_command_that_fixes_it(words: str, fix: str) -> None:
    failure = StackError("apply failed", why=words, fix="keyless doctor")
    assert fix in deployment._advised(failure, "dev", aws=False).fix


class Logged:
    """S3 as far as access logs go: the target of each bucket that is logged."""

    def __init__(self, targets: dict[str, str]) -> None:
        self.targets = targets

    def get_bucket_logging(self, Bucket: str) -> dict[str, Any]:  # noqa: N803
        target = self.targets.get(Bucket)
        return {"LoggingEnabled": {"TargetBucket": target}} if target else {}

    def put_bucket_logging(self, Bucket: str, BucketLoggingStatus: object) -> None:  # noqa: N803
        assert BucketLoggingStatus == {}
        del self.targets[Bucket]


def test_access_logs_are_found_and_ended() -> None:
    s3 = Logged({"data": "logs"})
    found = buckets.log_buckets(s3, ["data", "logs"])
    assert found == {"data": "logs"}
    buckets.stop_logging(s3, found)
    assert buckets.log_buckets(s3, ["data", "logs"]) == {}
