"""The server's record of changes, as `keyless audit` shows it."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pipeline import audit
from pipeline.outputs import Platform
from pipeline.step import Workspace
from pipeline.tracking import record, sessions

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


def test_changes_of_a_model_its_version_and_its_run_are_reported(
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
        # What a client sent, in a line of somebody else's.
        "WARNING Rejected a Host header: " + line("delete_run", "operate", run_id="r1"),
        # The agent adds lines that begin with blanks to the one before.
        line("update_run", "train", run_id="r1") + "\n  File of a traceback",
    )
    found = record.changes(on_aws, "1", "r1")
    assert [(one.operation, one.permission_set) for one in found] == [
        ("log_batch", "train"),
        ("create_model_version", "train"),
        ("set_registered_model_alias", "promote"),
        ("set_registered_model_tag", "operate"),
        ("set_tag", "train"),
        ("update_run", "train"),
    ]
    shown = list(record.lines(found))
    assert shown[0].startswith("in MLflow, by train: 3 changes of the run, 20")
    assert any(
        one.startswith(f"in MLflow, by promote: set_registered_model_alias (name {model}, alias ch")
        for one in shown
    )


def started(at: str, document: str, by: str, **more: Any) -> dict[str, str]:
    """An event as CloudTrail's history has it.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    """
    event = {
        "eventTime": at,
        "eventSource": "ssm.amazonaws.com",
        "eventName": "StartSession",
        "userIdentity": {"type": "AssumedRole", "arn": by},
        "requestParameters": {"target": "i-0123456789abcdef0", "documentName": document},
        "responseElements": {"sessionId": f"{by}-1"},
        **more,
    }
    return {"CloudTrailEvent": json.dumps(event)}


PROMOTE = "arn:aws:sts::123456789012:assumed-role/keyless-dev-promote/GitHubActions"


def test_who_had_a_session_to_a_set_that_changed_something_is_reported(
    on_aws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert on_aws.platform is not None
    documents = on_aws.platform.sessions.documents
    events = [
        started("2026-11-28T11:00:00Z", documents["promote"], PROMOTE),
        started("2026-11-28T12:30:00Z", documents["promote"], "after the change"),
        started("2026-11-27T12:00:00Z", documents["promote"], "a day before"),
        started("2026-11-28T11:00:00Z", documents["train"], "a set that changed nothing"),
        started("2026-11-28T11:00:00Z", "AWS-StartPortForwardingSession", "another document"),
        started("2026-11-28T11:00:00Z", documents["promote"], "refused", responseElements=None),
    ]
    trail = boto3.client("cloudtrail", region_name="us-east-1")
    with Stubber(trail) as stub:
        stub.add_response(
            "lookup_events",
            {"Events": events},
            {
                "LookupAttributes": [
                    {"AttributeKey": "EventName", "AttributeValue": "StartSession"}
                ],
                "StartTime": datetime(2026, 11, 28, tzinfo=UTC),
                "EndTime": datetime(2026, 11, 28, 12, tzinfo=UTC),
            },
        )
        monkeypatch.setattr(type(on_aws), "session", SimpleNamespace(client=lambda _: trail))
        change = record.Change("2026-11-28T12:00:00+00:00", "set_tag", "promote", {})
        found = sessions.opened(on_aws, [change])
    assert [str(one) for one in found] == [
        f"a session to promote was opened at 2026-11-28T11:00:00+00:00 by {PROMOTE}"
    ]


def test_of_the_local_cloud_it_is_said_that_it_has_no_cloudtrail(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise ClientError({"Error": {"Code": "LocalCloudNotImplemented"}}, "LookupEvents")

    monkeypatch.setattr(sessions, "opened", asked)
    unreadable: list[str] = []
    assert audit._sessions(workspace, [], unreadable) == []
    assert unreadable == [
        "who opened the sessions was not asked: the local cloud has no CloudTrail"
    ]


def test_where_nothing_was_changed_cloudtrail_is_not_asked(on_aws: Workspace) -> None:
    assert sessions.opened(on_aws, []) == []


def test_without_a_platform_there_is_no_record(workspace: Workspace) -> None:
    assert record.changes(workspace, "1", "r1") == []
