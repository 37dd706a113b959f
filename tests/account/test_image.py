"""Which image a plan names: the same one, until somebody pins another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from scripts.account import image
from scripts.account.image import Image, image_variable
from scripts.commands import Project
from scripts.commands.image import image as verb
from scripts.console import UserError

pytestmark = pytest.mark.slow

REGION = "us-east-1"
PINNED = Image("ami-0aaaaaaaaaaaaaaaa", REGION, "2026-11-03")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The platform's root with one environment."""
    folder = tmp_path / "terraform" / "platform"
    (folder / "environments").mkdir(parents=True)
    (folder / "environments" / "dev.tfvars").write_text('egress = "public_ip"\n')
    return folder


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TF_VAR_image", raising=False)
    monkeypatch.setenv("AWS_REGION", REGION)
    # Moto would list public images anew for every test that meets EC2: most of a second each.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    with mock_aws():
        yield


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def apply(ami: str) -> None:
    """What an apply leaves of the image."""
    client("ec2").create_launch_template(
        LaunchTemplateName="keyless-dev-mlflow", LaunchTemplateData={"ImageId": ami}
    )


def variable(root: Path, *, local: bool = False, required: bool = True) -> Any:
    return image_variable(client, REGION, root, "dev", local=local, required=required)


def test_a_pinned_image_is_planned_whatever_amazon_releases(aws: None, root: Path) -> None:
    image.pin(root, "dev", PINNED)
    apply("ami-0bbbbbbbbbbbbbbbb")
    assert variable(root) == {"id": PINNED.id, "region": REGION, "released": "2026-11-03"}
    assert PINNED.id != image.newest(client, REGION).id


def test_without_a_pin_the_image_that_was_applied_stays(aws: None, root: Path) -> None:
    apply("ami-0bbbbbbbbbbbbbbbb")
    assert variable(root) == {"id": "ami-0bbbbbbbbbbbbbbbb", "region": REGION}


def test_an_account_without_pin_and_apply_is_told_to_pin_one(aws: None, root: Path) -> None:
    with pytest.raises(UserError, match="is not pinned") as raised:
        variable(root)
    assert raised.value.exit_code == 2
    assert raised.value.fix == (
        "keyless image --aws -e dev, then commit "
        "terraform/platform/environments/dev.image.tfvars.json"
    )
    assert variable(root, required=False) is None


def test_the_local_cloud_begins_with_the_newest_and_does_not_know_the_accounts_pin(
    aws: None, root: Path
) -> None:
    image.pin(root, "dev", PINNED)
    newest = image.newest(client, REGION)
    assert variable(root, local=True)["id"] == newest.id
    apply("ami-0bbbbbbbbbbbbbbbb")
    assert variable(root, local=True)["id"] == "ami-0bbbbbbbbbbbbbbbb"


def test_a_pin_of_another_region_is_refused_before_terraform_runs(aws: None, root: Path) -> None:
    image.pin(root, "dev", Image("ami-0cccccccccccccccc", "eu-central-1"))
    with pytest.raises(UserError, match="pinned for eu-central-1, and this is us-east-1"):
        variable(root)


@pytest.mark.parametrize("text", ["", "[]", '{"image": {"id": "ami-1"}}', '{"image": null}'])
def test_a_pin_that_cannot_be_read_is_wrong_input(aws: None, root: Path, text: str) -> None:
    image.pin_file(root, "dev").write_text(text)
    with pytest.raises(UserError, match="does not pin an image") as raised:
        variable(root)
    assert raised.value.exit_code == 2


def test_terraforms_own_value_is_left_to_terraform(
    aws: None, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_VAR_image", '{"id": "ami-1", "region": "us-east-1"}')
    assert variable(root) is None
    monkeypatch.delenv("TF_VAR_image")
    (root / "environments" / "dev.tfvars").write_text('image = { id = "ami-1" }\n')
    assert variable(root) is None


def run(root: Path, *arguments: str) -> Any:
    project = Project(root.parents[1], root.parents[1] / ".keyless")
    command = ["--aws", "-e", "dev", *arguments]
    return CliRunner().invoke(verb, command, obj=project, catch_exceptions=False)


def test_the_verb_pins_the_newest_once(aws: None, root: Path) -> None:
    first = run(root)
    newest = image.newest(client, REGION)
    assert first.exit_code == 0
    assert f"now  {newest.id}" in first.stdout
    held = json.loads(image.pin_file(root, "dev").read_text())
    assert held["image"]["id"] == newest.id
    assert "is pinned already" in run(root).stdout


def test_a_proposal_is_one_line_and_nothing_when_the_newest_is_pinned(
    aws: None, root: Path
) -> None:
    image.pin(root, "dev", PINNED)
    before = image.pin_file(root, "dev").read_text()
    [line] = run(root, "--proposal").stdout.splitlines()
    assert json.loads(line)["image"]["id"] == image.newest(client, REGION).id
    assert image.pin_file(root, "dev").read_text() == before
    image.pin(root, "dev", image.newest(client, REGION))
    assert run(root, "--proposal").stdout == ""
