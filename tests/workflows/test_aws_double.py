"""The doubles of `aws ssm start-session` and its plugin: a port, what it carries, its end."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.server.sessions import free_port
from tests.workflows.project import DOUBLES

pytestmark = pytest.mark.slow  # starts a Python with boto3


@pytest.fixture
def far() -> Iterator[int]:
    """A server that answers every line in capitals."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            with near:
                near.sendall(near.recv(100).upper())

    threading.Thread(target=answer, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_the_doubles_forward_their_port_and_terminate_the_session(far: int, tmp_path: Path) -> None:
    plugin = tmp_path / "session-manager-plugin"
    script = shlex.join([sys.executable, str(DOUBLES / plugin.name)])
    plugin.write_text(f'#!/bin/sh\nexec {script} "$@"\n')
    plugin.chmod(0o755)
    calls: list[tuple[str, Any]] = []

    class Ssm(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls.append((self.headers["X-Amz-Target"].rpartition(".")[2], body))
            stream = f"http://127.0.0.1:{server.server_port}/v1/data-channel/octo-1"
            self.say({"SessionId": "octo-1", "StreamUrl": stream, "TokenValue": "token"})

        def do_GET(self) -> None:
            calls.append((self.path, self.headers["Authorization"]))
            self.say({"host": "127.0.0.1", "port": far})

        def say(self, answer: dict[str, Any]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ssm) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = free_port()
        command = [sys.executable, str(DOUBLES / "aws"), "ssm", "start-session"]
        options = ["--target", "i-1", "--document-name", "doc", "--parameters"]
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        with subprocess.Popen(
            [*command, *options, f"host=db,localPortNumber={port}"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "\n"
            assert process.stdout.readline() == "Starting session with SessionId: octo-1\n"
            assert process.stdout.readline() == f"Port {port} opened for sessionId octo-1.\n"
            with socket.create_connection(("127.0.0.1", port)) as near:
                near.sendall(b"hello")
                assert near.recv(100) == b"HELLO"
            # The CLI leaves an interrupt to its plugin, so both have to hear it.
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=20) == 0
        server.shutdown()
    channel = "/v1/data-channel/octo-1"
    assert [name for name, _ in calls] == ["StartSession", channel, "TerminateSession"]
    assert "/ssmmessages/aws4_request" in calls[1][1]
    assert calls[0][1]["Parameters"] == {"host": ["db"], "localPortNumber": [str(port)]}
