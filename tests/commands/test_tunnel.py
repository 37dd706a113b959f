"""`keyless tunnel` interrupted, and on AWS as moto and an AWS CLI of this test play it."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
from click.testing import CliRunner
from moto import mock_aws

from scripts.cli import ROOT, keyless
from scripts.commands.tunnel import own_document
from scripts.console import UserError
from scripts.server import sessions
from tests.commands.test_commands import GREETING, Seeded, platform, seeded
from tests.server.test_tunnel import programs

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef

pytestmark = pytest.mark.slow
BUSY_SECONDS = 5.0  # what a busy machine may take on top
WAITING = "import signal, time\n{first}\nprint('waiting', flush=True)\nwhile True: time.sleep(60)"
TIDY = (
    "import sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    "signal.signal(signal.SIGINT, lambda *_: sys.exit(8))"
)
DEAF = "for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)"
__all__ = ["seeded"]  # the fixture


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_tunnel_that_is_interrupted_ends_its_session(
    seeded: Seeded, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "scripts.cli", "--home", str(seeded.home), "tunnel"]
    command += ["--document", "train"]
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        uri = urlsplit(process.stdout.readline().strip().removeprefix("MLFLOW_TRACKING_URI="))
        assert uri.hostname
        assert uri.port
        with socket.create_connection((uri.hostname, uri.port), timeout=10) as connection:
            assert connection.recv(100) == GREETING
        ended = operations(seeded).count("TerminateSession")
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    assert operations(seeded).count("TerminateSession") == ended + 1
    with pytest.raises(OSError):
        socket.create_connection((uri.hostname, uri.port), timeout=1)


def operations(seeded: Seeded) -> list[str]:
    """Every operation that was decided, once the log has been written."""
    seeded.flush()
    lines = seeded.cloud.decisions.read_text().splitlines()
    return [json.loads(line)["operation"] for line in lines]


@pytest.mark.parametrize(
    ("first", "numbers", "code"),
    [
        # As GitHub cancels a job: an interrupt to the first process alone, then SIGTERM.
        pytest.param("", [signal.SIGINT], 130, id="interrupted"),
        pytest.param(TIDY, [signal.SIGINT], 8, id="interrupted, ends tidily"),
        pytest.param("", [signal.SIGTERM], 143, id="asked to end"),
        pytest.param(TIDY, [signal.SIGTERM], 7, id="asked to end, ends tidily"),
        pytest.param(DEAF, [signal.SIGINT, signal.SIGTERM], 137, id="deaf"),
    ],
)
def test_a_cancelled_command_takes_its_session_along_and_gives_its_status(
    seeded: Seeded, first: str, numbers: list[signal.Signals], code: int
) -> None:
    command = [sys.executable, "-m", "scripts.cli", "--home", str(seeded.home), "tunnel"]
    command += ["--document", "train"]
    command += ["--port", "0", "--", sys.executable, "-c", WAITING.format(first=first)]
    ended = operations(seeded).count("TerminateSession")
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        [child] = psutil.Process(process.pid).children()
        for number in numbers:
            process.send_signal(number)
        began = time.monotonic()
        assert process.wait(timeout=30) == code
    assert time.monotonic() - began < 2.5 + BUSY_SECONDS
    assert not child.is_running()
    assert operations(seeded).count("TerminateSession") == ended + 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_tunnel_that_is_ended_while_it_opens_leaves_no_session_program(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The AWS CLI was started and has not said yet that its port is open."""
    for name in ("aws", "session-manager-plugin"):
        (tmp_path / name).write_text(
            f"#!{sys.executable}\nimport os, pathlib, time\n"
            f"pathlib.Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()))\n"
            "while True: time.sleep(60)\n"
        )
        (tmp_path / name).chmod(0o755)
    script = (
        "import os, sys\nfrom scripts.commands.tunnel import ended_in_order\n"
        "from scripts.server.sessions import _aws_session\n"
        "with ended_in_order(), _aws_session('d', 'i', {}, os.environ): pass"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        program = psutil.Process(int((tmp_path / "pid").read_text()))
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
    assert not program.is_running()


def test_on_aws_the_callers_own_credentials_open_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = tmp_path / "platform.json"
    contract.write_text(json.dumps(platform("123456789012")))
    for name, value in {**programs(tmp_path), "KEYLESS_PLATFORM": str(contract)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    out = tmp_path / "said"
    script = (
        "import os, socket; from urllib.parse import urlsplit\n"
        "uri = urlsplit(os.environ['MLFLOW_TRACKING_URI'])\n"
        "said = socket.create_connection((uri.hostname, uri.port)).recv(100)\n"
        f"open({str(out)!r}, 'wb').write(said)\n"
    )
    with mock_aws():
        # mock_aws puts keys of its own in place.
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAOWN")
        tags: list[TagTypeDef] = [
            {"Key": "Environment", "Value": "dev"},
            {"Key": "Role", "Value": "mlflow"},
        ]
        started = boto3.client("ec2", region_name="us-east-1").run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        arguments = ["tunnel", "--aws", "--port", "0", "--", sys.executable, "-c", script]
        result = CliRunner().invoke(keyless, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == b"HTTP/1.0 200 OK\r\n\r\nfrom aws\n"
    (verb, given, key) = json.loads((tmp_path / "record.json").read_text())
    assert verb == ["ssm", "start-session"]
    assert given["--target"] == started["Instances"][0]["InstanceId"]
    assert given["--document-name"] == "keyless-dev-mlflow-read-session"
    assert key == "ASIAOWN"


@pytest.mark.parametrize(
    ("role", "document"),
    [
        ("train", "train"),
        ("promote", "promote"),
        ("database", "database"),
        ("monitor", "read"),
        ("administrator", "read"),
        (None, "read"),
    ],
)
def test_a_role_opens_what_it_may_unless_something_else_is_named(
    role: str | None, document: str
) -> None:
    assert own_document(role) == document


def test_a_role_without_a_session_is_refused_with_those_that_have_one() -> None:
    done = CliRunner().invoke(keyless, ["tunnel", "--role", "predict", "--", "true"])
    assert done.exit_code == 2
    assert "predict opens no session; database, train, promote, monitor" in done.output


@pytest.mark.parametrize("document", ["database", "read"])
def test_a_session_names_the_host_that_its_document_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    made = platform("123456789012")
    database = made["database"]
    assert isinstance(database, dict)
    host = {"host": database["address"]} if document == "database" else {}
    contract = tmp_path / "platform.json"
    contract.write_text(json.dumps(made))
    for name, value in {**programs(tmp_path), "KEYLESS_PLATFORM": str(contract)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    asked: list[object] = []

    def refuse(*_: object, parameters: object = None, **__: object) -> None:
        asked.append(parameters)
        raise UserError("asked")

    monkeypatch.setattr(sessions, "open_session", refuse)
    with mock_aws():
        result = CliRunner().invoke(keyless, ["tunnel", "--aws", "--document", document])
    assert (result.exit_code, asked) == (1, [host])
