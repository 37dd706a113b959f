"""`keyless up` on a machine that is poisoned and cut off: what the README promises."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from pipeline.outputs import parse_platform
from scripts.aws.sealed import client
from scripts.local_run import leftovers
from scripts.local_run.actors import Actors
from scripts.local_run.roots import platform_stack
from scripts.localcloud.home import administrator
from scripts.names import stages
from scripts.stack.binary import find_binary
from tests.e2e.conftest import POISON, Home
from tests.local_run.written import Written, written

pytestmark = [pytest.mark.e2e, pytest.mark.terraform]

STEPS = [role.name for role in stages()]
SECOND_PLAN_GAPS: dict[str, str] = {}
"""Changes that a second plan may show, each with the emulator's gap that causes it."""


def test_the_run_had_no_network_but_loopback(home: Home, network_cut: bool) -> None:
    if not network_cut:
        pytest.skip("cutting the network off needs Linux and root")
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 443), timeout=5)


def test_a_model_is_promoted_and_used(home: Home) -> None:
    result = home.results[0]
    assert set(result["results"]) == set(STEPS)
    assert all(phase["outcome"] == "done" for phase in result["phases"])


@pytest.mark.parametrize("role", [*STEPS, "apply", "database", "server"])
def test_each_step_worked_under_its_own_role(home: Home, role: str) -> None:
    mine = [entry for entry in home.decisions() if entry["role"] == f"keyless-dev-{role}"]
    assert any(entry["allowed"] for entry in mine)


def test_only_the_deliberate_attempts_were_denied(home: Home) -> None:
    result = home.results[0]
    assert result["unexpected"] == []
    assert len(result["attempts"]) >= 9


def test_the_printed_address_is_mlflow(home: Home) -> None:
    with urllib.request.urlopen(home.results[-1]["tracking_uri"] + "/health", timeout=10) as answer:
        assert answer.read() == b"OK"


def test_output_parameter_and_model_are_one_contract(home: Home) -> None:
    contract = parse_platform(home.platform, origin="the output")
    ssm = home.actors.client("train", "ssm")
    stored = ssm.get_parameter(Name=contract.parameters.platform)["Parameter"]["Value"]
    assert parse_platform(stored, origin="the parameter") == contract


def test_a_second_plan_is_empty_but_for_listed_gaps(home: Home) -> None:
    stack = platform_stack(home.actors, find_binary(home.path))
    stack.init()
    changes = {change.address: change.action for change in stack.plan()}
    assert set(changes) <= set(SECOND_PLAN_GAPS), changes
    assert "delete" not in changes.values()
    assert "replace" not in changes.values()


def test_up_again_changes_nothing_and_takes_a_fraction_of_the_first(home: Home) -> None:
    before = instance_ids(home.actors)
    result = home.up()
    for root in ("bootstrap", "platform"):
        assert (result[root]["added"], result[root]["removed"]) == (0, 0)
    assert instance_ids(home.actors) == before
    # The fraction that is promised is the clock's, where nothing else runs (0.29). Beside other
    # tests, of which now one `up` has more and now the other, processor time tells more: 0.60 and
    # 0.70 were seen, since what shares a processor also makes it slower.
    if max(home.shares_of_others[0], home.shares_of_others[-1]) < 0.1:
        assert result["seconds"] < 0.5 * home.results[0]["seconds"]
    assert home.own_seconds[-1] < 0.9 * home.own_seconds[0]


def instance_ids(actors: Actors) -> list[str]:
    running = {"Name": "instance-state-name", "Values": ["running"]}
    answer = actors.client("train", "ec2").describe_instances(Filters=[running])
    return sorted(
        instance["InstanceId"]
        for group in answer["Reservations"]
        for instance in group["Instances"]
    )


def test_everything_after_the_apply_is_quick(home: Home) -> None:
    first = home.results[0]
    # Where others use the processors too, as in `make test`, Terraform's waits stay as long as they
    # are and the steps do not: the narrow bound is judged when this file runs alone (on two cores
    # 132.8 s of which the applies took 105.4).
    idle = home.shares_of_others[0] < 0.1
    assert first["seconds"] <= (1.35 if idle else 2) * first["applies_seconds"]


# Sessions


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="bare"),
        pytest.param({"DocumentName": "AWS-StartInteractiveCommand"}, id="stock command"),
        pytest.param(
            {
                "DocumentName": "AWS-StartPortForwardingSession",
                "Parameters": {"portNumber": ["5432"]},
            },
            id="stock port",
        ),
        pytest.param({"DocumentName": "keyless-dev-database-session"}, id="the database's"),
    ],
)
def test_train_opens_nothing_but_the_tracking_session(
    home: Home, arguments: dict[str, Any]
) -> None:
    [instance] = instance_ids(home.actors)
    with pytest.raises(ClientError, match="AccessDenied"):
        home.actors.client("train", "ssm").start_session(Target=instance, **arguments)


def test_our_document_forwards_no_other_port(home: Home) -> None:
    [instance] = instance_ids(home.actors)
    with pytest.raises(ClientError, match="InvalidParameters"):
        home.actors.client("train", "ssm").start_session(
            Target=instance,
            DocumentName=home.platform["sessions"]["documents"]["train"],
            Parameters={"portNumber": ["22"]},
        )


def test_another_environments_instance_is_out_of_reach(home: Home) -> None:
    ec2 = client(home.cloud, administrator(home.path), "ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tags = [{"Key": "Environment", "Value": "prod"}, {"Key": "Role", "Value": "mlflow"}]
    made = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]["InstanceId"]
    try:
        with pytest.raises(ClientError, match="AccessDenied"):
            home.actors.client("train", "ssm").start_session(
                Target=made, DocumentName=home.platform["sessions"]["documents"]["train"]
            )
    finally:
        ec2.terminate_instances(InstanceIds=[made])


# Secrets


def secrets_of(home: Home) -> dict[str, str]:
    """Every secret value of the run that may be written nowhere."""
    as_admin = administrator(home.path)
    manager = client(home.cloud, as_admin, "secretsmanager")
    arn = home.platform["database"]["master_secret_arn"]
    password = json.loads(manager.get_secret_value(SecretId=arn)["SecretString"])["password"]
    found = {"master password": str(password)}
    for role in STEPS:
        found[f"{role}'s key"] = home.actors.credentials(role).secret_access_key
    return found


def test_no_secret_is_in_the_state(home: Home) -> None:
    s3 = home.actors.client("apply", "s3")
    bucket = f"keyless-state-{home.cloud.account_id}-{home.cloud.region}"
    state = s3.get_object(Bucket=bucket, Key="dev/platform.tfstate")["Body"].read().decode()
    state += (home.path / "terraform" / "bootstrap.tfstate").read_text()
    assert "keyless-dev-mlflow" in state
    for name, value in secrets_of(home).items():
        assert value not in state, name


def test_no_secret_is_in_a_file_but_the_private_test_keys(home: Home) -> None:
    values = {name: value.encode() for name, value in secrets_of(home).items()}
    for file in files_of(home.path):
        for name, value in values.items():
            assert value not in file.content, f"{name} in {file.path}"


def test_every_file_with_a_key_or_token_is_private(home: Home) -> None:
    private = []
    for file in files_of(home.path):
        name, content = file.path.name, file.content
        if b"PRIVATE KEY" in content or b"secret_access_key" in content or name == "pgpass":
            private.append(name)
            assert file.mode & 0o077 == 0, file.path
    assert {"administrator.json", "pgpass"} <= set(private)


def files_of(folder: Path) -> Iterator[Written]:
    """Every regular file, PostgreSQL's data files and Terraform's providers left out."""
    return written(folder, "base", "pg_wal", "providers")


def test_no_process_has_the_master_password_in_its_environment_or_arguments(home: Home) -> None:
    password = secrets_of(home)["master password"]
    processes = leftovers.find(home.path)
    assert processes
    for process in processes:
        try:
            seen = " ".join([*process.cmdline(), *process.environ().values()])
        except psutil.NoSuchProcess:
            continue
        assert password not in seen, process.name()


def test_nothing_poisoned_reached_a_process(home: Home) -> None:
    processes = leftovers.find(home.path)
    assert processes
    for process in processes:
        try:
            values = process.environ().values()
        except psutil.NoSuchProcess:
            continue
        assert not any(POISON in value for value in values), process.name()
