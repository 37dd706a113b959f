"""An account is prepared on a real gateway with real Terraform; its state ends in the bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from scripts.account import bootstrap
from scripts.account.bootstrap import Found, check, look, settings
from scripts.account.environment import Account
from scripts.aws.sealed import client
from scripts.cli import ROOT, keyless
from scripts.console import UserError
from scripts.localcloud.cloud import LocalCloud

GITHUB = {
    "owner": "octo-org",
    "owner_id": "1001",
    "repository": "keyless-mlops",
    "repository_id": "2002",
}
NOTHING = Found(bucket=False, state=None, interim=None, provider=False, settings=None)
STATE = {"lineage": "one", "resources": [{"mode": "managed", "type": "aws_x", "name": "y"}]}
ENTERPRISE = (
    "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com/octo-enterprise"
)
COMMON = ENTERPRISE.rpartition("/")[0]
OURS = {
    "lineage": "one",
    "resources": [
        {
            "mode": "managed",
            "type": "aws_iam_openid_connect_provider",
            "name": "github",
            "instances": [{}],
        }
    ],
}


def account(tmp_path: Path) -> Account:
    return Account(
        id="123456789012",
        region="eu-north-1",
        home=tmp_path,
        environment={},
        client=lambda service: pytest.fail(f"{service} must not be asked"),
        caller="test",
    )


def found(**changed: Any) -> Found:
    return Found(**(vars(NOTHING) | changed))


@pytest.mark.parametrize(
    ("there", "provider"),
    [
        (NOTHING, "create"),
        (found(provider=True), "existing"),
        (found(bucket=True, state=OURS, provider=True), "create"),
        (found(bucket=True, interim=OURS, provider=True), "create"),
        (found(bucket=True, state=STATE, interim=STATE), "create"),
    ],
)
def test_a_new_an_unfinished_and_a_finished_bootstrap_go_on(
    tmp_path: Path, there: Found, provider: str
) -> None:
    check(account(tmp_path), tmp_path, there, provider)


@pytest.mark.parametrize(
    ("there", "provider", "fix"),
    [
        (found(provider=True), "create", "--github-provider existing"),
        (found(bucket=True, state=STATE, provider=True), "create", "--github-provider existing"),
        (NOTHING, "existing", "--github-provider create"),
        (found(enterprise=ENTERPRISE), "existing", "--github-provider create"),
        (found(bucket=True), "create", "list-object-versions"),
        (found(bucket=True, state=STATE, interim=STATE | {"lineage": "2"}), "create", "delete"),
    ],
)
def test_what_would_take_or_lose_something_stops_with_the_command_that_fixes_it(
    tmp_path: Path, there: Found, provider: str, fix: str
) -> None:
    with pytest.raises(UserError) as stopped:
        check(account(tmp_path), tmp_path, there, provider)
    assert fix in stopped.value.fix


def test_an_enterprises_own_provider_is_told_from_the_common_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="whose slug is in every condition key"):
        check(account(tmp_path), tmp_path, found(enterprise=ENTERPRISE), "existing")


class Empty:
    """An account without a bucket, and with one or two providers."""

    def __init__(self, *providers: str) -> None:
        self._providers = [{"Arn": arn} for arn in providers]

    def list_open_id_connect_providers(self) -> dict[str, Any]:
        return {"OpenIDConnectProviderList": self._providers}

    def head_bucket(self, **_: str) -> None:
        raise ClientError({"Error": {"Code": "404", "Message": "no"}}, "HeadBucket")

    def get_object(self, **_: str) -> None:
        raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": "no"}}, "GetObject")


@pytest.mark.parametrize(
    ("providers", "seen"),
    [
        ((), (False, None)),
        ((COMMON,), (True, None)),
        ((ENTERPRISE,), (False, ENTERPRISE)),
        ((COMMON, ENTERPRISE), (True, ENTERPRISE)),
    ],
)
def test_each_provider_of_the_account_is_seen_for_what_it_is(
    tmp_path: Path, providers: tuple[str, ...], seen: tuple[bool, str | None]
) -> None:
    looked = look(replace(account(tmp_path), client=lambda _: Empty(*providers)), tmp_path)
    assert (looked.provider, looked.enterprise) == seen


def test_a_state_bucket_of_somebody_else_is_not_taken_for_ours(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []

    class Stranger:
        def head_bucket(self, **parameters: str) -> None:
            asked.append(parameters)
            error = {"Error": {"Code": "403", "Message": "Forbidden"}}
            raise ClientError(error, "HeadBucket")  # type: ignore[arg-type]

        def list_open_id_connect_providers(self) -> dict[str, list[Any]]:
            return {"OpenIDConnectProviderList": []}

    ours = replace(account(tmp_path), client=lambda _: Stranger())
    with pytest.raises(UserError, match="is not this account's") as raised:
        look(ours, tmp_path)
    assert asked == [{"Bucket": ours.state_bucket, "ExpectedBucketOwner": ours.id}]
    assert f"--expected-bucket-owner {ours.id}" in raised.value.fix


def test_an_environment_is_added_to_those_of_the_last_time() -> None:
    before = {"environments": {"dev": {"allow_data_deletion": True}}, "github": GITHUB}
    now = settings(ROOT, found(settings=before), {"prod": False}, None, None)
    assert now == {
        "environments": {
            "dev": {"allow_data_deletion": True},
            "prod": {"allow_data_deletion": False},
        },
        "github": GITHUB,
    }


def test_an_environment_that_is_named_again_keeps_what_else_was_chosen_for_it() -> None:
    chosen = {"allow_data_deletion": False, "model_servers": True, "pulumi": True}
    before = {"environments": {"dev": chosen}, "github": GITHUB}
    now = settings(ROOT, found(settings=before), {"dev": True}, None, None)
    assert now["environments"] == {"dev": {**chosen, "allow_data_deletion": True}}


def test_without_an_environment_the_command_shows_how_to_name_one() -> None:
    with pytest.raises(UserError) as refused:
        settings(ROOT, NOTHING, {}, GITHUB, None)
    assert "--disposable dev" in refused.value.fix
    assert refused.value.exit_code == 2


def test_without_a_repository_the_command_shows_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TF_VAR_github", raising=False)
    (tmp_path / "terraform" / "bootstrap").mkdir(parents=True)
    with pytest.raises(UserError) as refused:
        settings(tmp_path, NOTHING, {"dev": True}, None, None)
    assert "OWNER@ID/REPOSITORY@ID" in refused.value.fix


def test_the_state_of_an_aws_account_is_never_in_the_folder_that_down_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    aws = account(tmp_path / "project" / ".keyless")
    folder = bootstrap.working_folder(replace(aws, aws=True))
    assert not folder.is_relative_to(aws.home)
    assert folder.is_relative_to(tmp_path / "state")


def test_the_state_that_up_keeps_for_down_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "terraform").mkdir()
    (tmp_path / "terraform" / "bootstrap.tfstate").write_text("{}")
    result = CliRunner().invoke(keyless, ["--home", str(tmp_path), "bootstrap"])
    assert result.exit_code == 1
    assert "keyless down" in result.stderr


def test_an_environment_cannot_be_both_lasting_and_disposable() -> None:
    result = CliRunner().invoke(
        keyless, ["bootstrap", "--environment", "dev", "--disposable", "dev"]
    )
    assert result.exit_code == 2


def terraform_files() -> set[Path]:
    found = (ROOT / "terraform").rglob("*")
    return {path for path in found if ".terraform" not in path.parts}


@dataclass
class Prepared:
    """A local cloud, `keyless` on it, and what the first bootstrap said and left."""

    home: Path
    s3: Any
    bucket: str
    first: Result | None = None
    left: tuple[set[Path], set[Path]] = field(default_factory=lambda: (set(), set()))

    def bootstrap(self, *arguments: str) -> Result:
        command = ["--home", str(self.home), "bootstrap", *arguments]
        return CliRunner().invoke(keyless, command, catch_exceptions=False)

    def run(self, *arguments: str) -> Result:
        command = ["--home", str(self.home), *arguments]
        return CliRunner().invoke(keyless, command, catch_exceptions=False)

    def state(self) -> dict[str, Any]:
        body = self.s3.get_object(Bucket=self.bucket, Key=bootstrap.STATE_KEY)["Body"].read()
        return dict(json.loads(body))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    home = tmp_path_factory.mktemp("keyless")
    with LocalCloud(home) as cloud:
        process = psutil.Process()
        cloud.announce(process.pid, process.create_time())
        account = Prepared(
            home,
            client(cloud, cloud.administrator, "s3"),
            f"keyless-state-{cloud.account_id}-{cloud.region}",
        )
        before = terraform_files()
        account.first = account.bootstrap("--disposable", "dev")
        account.left = before, terraform_files()
        yield account


@pytest.mark.slow
@pytest.mark.terraform
@pytest.mark.xdist_group("bootstrap")
@pytest.mark.timeout(1800)
def test_bootstrap_ends_with_its_state_in_the_bucket_and_can_be_run_again(
    prepared: Prepared,
) -> None:
    first = prepared.first
    assert first is not None
    assert first.exit_code == 0, first.stderr
    assert "no state bucket" in first.stderr
    assert f"state bucket     {prepared.bucket}" in first.stdout
    addresses = {f"{one['type']}.{one['name']}" for one in prepared.state()["resources"]}
    assert {"aws_s3_bucket.state", "aws_iam_policy.deploy_boundary"} <= addresses
    # Nothing stays where it was made.
    assert not list((prepared.home / "accounts").rglob("*bootstrap*"))
    assert prepared.left[0] == prepared.left[1]

    # Again, with nothing said: the settings are those of the first time.
    serial = prepared.state()["serial"]
    again = prepared.bootstrap()
    assert again.exit_code == 0, again.stderr
    assert "bootstrap's state in it" in again.stderr
    assert "nothing to change" in again.stdout
    assert prepared.state()["serial"] == serial
    assert prepared.state()["lineage"]


@pytest.mark.slow
@pytest.mark.terraform
@pytest.mark.xdist_group("bootstrap")
@pytest.mark.timeout(1800)
def test_the_planning_role_and_the_applying_role_see_one_digest(
    prepared: Prepared, tmp_path: Path
) -> None:
    """The whole platform, planned under enforced IAM."""
    changes = tmp_path / "changes.json"
    planned = prepared.run(
        "plan", "--summary", str(tmp_path / "plan.md"), "--changes", str(changes)
    )
    assert planned.exit_code == 0, planned.stderr
    digest = planned.stdout.strip()
    assert len(json.loads(changes.read_text())) > 80
    summary = (tmp_path / "plan.md").read_text()
    assert summary.index("### Security") < summary.index("### Everything else")
    assert "OPEN" not in summary
    assert "not priced" not in summary
    # Another process, another role, another session: the same change has the same digest.
    again = prepared.run("apply", "--expect-digest", "0" * 64)
    assert again.exit_code == 1
    assert "not the ones that were approved" in again.stderr
    assert digest in again.stderr


@pytest.mark.slow
@pytest.mark.terraform
@pytest.mark.xdist_group("bootstrap")
@pytest.mark.timeout(1800)
def test_a_bucket_that_nothing_knows_of_is_not_taken_over(prepared: Prepared) -> None:
    marker = prepared.s3.delete_object(Bucket=prepared.bucket, Key=bootstrap.STATE_KEY)
    try:
        result = prepared.bootstrap("--disposable", "dev")
    finally:
        prepared.s3.delete_object(
            Bucket=prepared.bucket, Key=bootstrap.STATE_KEY, VersionId=marker["VersionId"]
        )
    assert result.exit_code == 1
    assert "nothing knows how it was made" in result.stderr
    assert prepared.state()["resources"]


@pytest.mark.slow
@pytest.mark.terraform
@pytest.mark.xdist_group("bootstrap")
@pytest.mark.timeout(1800)
def test_from_create_to_existing_the_provider_stays(prepared: Prepared) -> None:
    """Others may use it by now: the state lets go of it, and nothing deletes it."""
    from scripts.localcloud.home import administrator, load

    iam = client(load(prepared.home), administrator(prepared.home), "iam")
    before = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert len(before) == 1
    result = prepared.bootstrap("--github-provider", "existing")
    assert result.exit_code == 0, result.stderr
    assert "leaves it alone" in result.stderr
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == before
    kinds = {(one["mode"], one["type"]) for one in prepared.state()["resources"]}
    assert ("managed", "aws_iam_openid_connect_provider") not in kinds
    back = prepared.bootstrap("--github-provider", "create")
    assert back.exit_code == 1
    assert "a GitHub OIDC provider that is not ours" in back.stderr
