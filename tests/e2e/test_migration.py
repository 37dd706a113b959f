"""`keyless migrate` on the applied local platform: Terraform itself imports all that it names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.local_run.roots import FEW_RETRIES, bootstrap_stack, platform_stack
from scripts.localcloud.home import administrator
from scripts.migration.to_pulumi import managed
from scripts.names import state_key
from scripts.stack import roots
from scripts.stack.binary import find_binary
from scripts.stack.offline import copy_terraform
from scripts.stack.stack import Stack
from tests.e2e.conftest import PROJECT, Home
from tests.migration.states import pulumi_state

pytestmark = [pytest.mark.e2e, pytest.mark.terraform]

# AWS does not keep these, so no import can know them; the first apply writes them into the state.
OURS_ALONE = {
    "aws_autoscaling_group": {"instance_refresh", "wait_for_capacity_timeout"},
    "aws_db_instance": {"apply_immediately", "manage_master_user_password"},
    "aws_launch_template": {"update_default_version"},
    "aws_s3_bucket": {"force_destroy"},
}


def terraforms_state(home: Home, root: str) -> Path:
    """The state as `terraform state pull` prints it."""
    file = home.path / "terraform" / "bootstrap.tfstate"
    if root == "platform":
        account = home.cloud
        file = home.path / "platform.tfstate"
        bucket = f"keyless-state-{account.account_id}-{account.region}"
        s3 = home.actors.client("plan-main", "s3")
        file.write_bytes(s3.get_object(Bucket=bucket, Key=state_key("dev"))["Body"].read())
    return file


def imported(home: Home, root: str, blocks: Path, folder: Path) -> dict[str, Any]:
    """What Terraform plans for the import blocks, with a state that knows nothing."""
    actors, binary = home.actors, find_binary(home.path)
    copied = copy_terraform(PROJECT, folder) / root
    shutil.copy(blocks, copied / "imports.tf")
    if root == "platform":
        (copied / "local_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        known, credentials = platform_stack(actors, binary), actors.credentials("plan-main")
    else:
        known, credentials = bootstrap_stack(actors, binary), administrator(home.path)
    process = actors.marked_environment(credentials, FEW_RETRIES)
    stack = Stack(
        copied,
        binary=binary,
        environment={**roots.provider_cache(process), **process},
        data_dir=folder / "data",
        variables=known.variables,
        var_files=[Path(each) for each in known.var_files],
        state=folder / "nothing.tfstate",
    )
    stack.init()
    plan = stack.save_plan(folder / "plan", lock=False)
    return {
        each["address"]: each["change"] | {"type": each["type"]}
        for each in plan["resource_changes"]
        if each["mode"] == "managed"
    }


def written(change: Mapping[str, Any]) -> set[str]:
    """Arguments that an apply would change: what is told by AWS alone is none, null is as empty."""
    before, after = change["before"] or {}, change["after"] or {}
    return {name for name, value in after.items() if _full(before.get(name)) != _full(value)}


def _full(value: Any) -> Any:
    """A value without what says nothing."""
    if isinstance(value, dict):
        kept = {key: _full(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each} or None
    if isinstance(value, list):
        return [each for each in map(_full, value) if each] or None
    return value or None


@pytest.mark.parametrize("root", ["platform", "bootstrap"])
def test_every_resource_is_imported_and_none_is_changed(
    home: Home, root: str, tmp_path: Path
) -> None:
    source = terraforms_state(home, root)
    file, exported, blocks = (tmp_path / name for name in ("over.json", "stack.json", "back.tf"))
    over = ["migrate", "--to", "pulumi", "--output", str(file)]
    if root == "bootstrap":
        over += ["--bootstrap", "--from", str(source)]
    done = home.keyless(*over)
    assert done.returncode == 0, done.stderr
    state, entries = json.loads(source.read_text()), json.loads(file.read_text())
    addresses = {address for address, _, _ in managed(state)}
    assert len([each for each in entries["resources"] if "id" in each]) == len(addresses)

    exported.write_text(json.dumps(pulumi_state(entries, state)))
    done = home.keyless(
        "migrate", "--to", "terraform", "--from", str(exported), "--output", str(blocks)
    )
    assert done.returncode == 0, done.stderr
    planned = imported(home, root, blocks, tmp_path)
    assert planned.keys() == addresses
    ids = {one["id"] for one in entries["resources"] if "id" in one}
    for address, change in planned.items():
        assert change["importing"]["id"] in ids, address
        assert change["actions"] in (["no-op"], ["update"]), address
        assert written(change) <= OURS_ALONE.get(change["type"], set()), address
