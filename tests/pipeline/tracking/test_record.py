"""The server's record of changes, as `keyless audit` shows it."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest

from pipeline.outputs import Platform
from pipeline.step import Workspace
from pipeline.tracking import record

GROUP = "/keyless-dev/mlflow"


def line(change: str, by: str, **objects: Any) -> str:
    facts = {"change": change, "set": by, "object": objects, "status": 200}
    return f"guard: {json.dumps(facts)}"


@pytest.fixture
def logged(aws: Platform) -> Callable[..., None]:
    """Puts lines into the server's log group."""
    client = boto3.client("logs", region_name=aws.region)
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName="i-1/mlflow")

    def put(*lines: str) -> None:
        now = int(time.time() * 1000)
        client.put_log_events(
            logGroupName=GROUP,
            logStreamName="i-1/mlflow",
            logEvents=[
                {"timestamp": now + index, "message": one} for index, one in enumerate(lines)
            ],
        )

    return put


@pytest.fixture
def on_aws(workspace: Workspace, aws: Platform) -> Workspace:
    return replace(workspace, platform=aws, folder=None)


def test_changes_of_a_model_its_version_and_its_run_are_told(
    logged: Callable[..., None], on_aws: Workspace
) -> None:
    model = on_aws.model
    logged(
        line("log_batch", "train", run_id="r1", metrics=2),
        line("log_batch", "train", run_id="r2", metrics=2),
        line("create_model_version", "train", name=model, version="1", run_id="r1"),
        line("create_model_version", "train", name=model, version="2", run_id="r2"),
        line("set_registered_model_alias", "promote", name=model, alias="champion", version="1"),
        line("set_registered_model_alias", "promote", name="other", alias="champion", version="1"),
        line("set_registered_model_tag", "operate", name=model, key="note"),
        line("set_tag", "train", run_id="r1", key="keyless.lease"),
        'guard: {"refused": "delete_run", "set": "train", "object": {"run_id": "r1"}, "why": ""}',
        f"2026/11/28 INFO something else about {model}",
        f'guard: {{"change": "cut off {model}',
    )
    found = record.changes(on_aws, "1", "r1")
    assert [(one.operation, one.permission_set) for one in found] == [
        ("log_batch", "train"),
        ("create_model_version", "train"),
        ("set_registered_model_alias", "promote"),
        ("set_registered_model_tag", "operate"),
        ("set_tag", "train"),
    ]
    told = list(record.told(found))
    assert told[0].startswith("in MLflow, by train: 2 changes of the run, 20")
    assert any(
        one.startswith(f"in MLflow, by promote: set_registered_model_alias (name {model}, alias ch")
        for one in told
    )


def test_without_a_platform_there_is_no_record(workspace: Workspace) -> None:
    assert record.changes(workspace, "1", "r1") == []
