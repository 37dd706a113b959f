"""What an instance writes becomes events of its log group, line by line."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.logs.models import logs_backends

from scripts.localcloud.ec2.log_agent import LogAgent

GROUP = "/keyless-dev/mlflow"
WRITTEN = "/var/log/keyless/mlflow.log"
CONFIGURATION = json.dumps(
    {
        "logs": {
            "logs_collected": {
                "files": {
                    "collect_list": [
                        {
                            "file_path": path,
                            "log_group_name": GROUP,
                            "log_stream_name": "{instance_id}/mlflow",
                        }
                        for path in (WRITTEN, "/var/log/cloud-init-output.log")
                    ]
                }
            }
        }
    }
).encode()


@pytest.fixture
def host() -> Any:
    def backend(name: str) -> Any:
        assert name == "logs"
        return logs_backends["123456789012"]["us-east-1"]

    return SimpleNamespace(backend=backend, lock=threading.RLock())


def events() -> list[tuple[str, str]]:
    client = boto3.client("logs", region_name="us-east-1")
    found = client.filter_log_events(logGroupName=GROUP)["events"]
    return [(event["logStreamName"], event["message"]) for event in found]


@mock_aws
def test_whole_lines_are_sent_once_and_half_ones_when_they_are_whole(
    host: Any, tmp_path: Path
) -> None:
    boto3.client("logs", region_name="us-east-1").create_log_group(logGroupName=GROUP)
    log = tmp_path / "keyless-mlflow.log"
    agent = LogAgent(host, "i-1", CONFIGURATION, {WRITTEN: log})
    agent.send()
    log.write_bytes(b"first\n\nsec")
    agent.send()
    agent.send()
    assert events() == [("i-1/mlflow", "first")]
    with log.open("ab") as file:
        file.write("ond é\n".encode() + b"\xff\n")
    agent.send()
    assert [text for _, text in events()] == ["first", "second é", "\ufffd"]


@mock_aws
def test_lines_wait_for_their_group(host: Any, tmp_path: Path) -> None:
    log = tmp_path / "keyless-mlflow.log"
    log.write_text("early\n")
    agent = LogAgent(host, "i-1", CONFIGURATION, {WRITTEN: log})
    agent.send()
    boto3.client("logs", region_name="us-east-1").create_log_group(logGroupName=GROUP)
    agent.send()
    assert events() == [("i-1/mlflow", "early")]


@mock_aws
def test_without_a_configuration_nothing_is_sent(host: Any, tmp_path: Path) -> None:
    boto3.client("logs", region_name="us-east-1").create_log_group(logGroupName=GROUP)
    log = tmp_path / "keyless-mlflow.log"
    log.write_text("early\n")
    LogAgent(host, "i-1", None, {WRITTEN: log}).send()
    assert events() == []
