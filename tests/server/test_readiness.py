"""Whether what is behind a session answers: one that accepts and closes does not."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.console import UserError
from scripts.server import readiness
from scripts.server.sessions import free_port


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A port whose connections get these answers in turn, the last one for ever."""
    left = list(answers)

    class Answers(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if answer := left.pop(0) if len(left) > 1 else left[0]:
                self.request.recv(4096)
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


OK = b"HTTP/1.0 200 OK\r\n\r\nOK"
STARTING = b"HTTP/1.0 503 Service Unavailable\r\n\r\n"


@pytest.mark.parametrize(
    ("probe", "answer", "met"),
    [
        (readiness.mlflow, OK, ""),
        (readiness.mlflow, STARTING, "/health answers 503"),
        (readiness.mlflow, b"", "closed without an answer"),
        (readiness.mlflow, b"SSH-2.0-OpenSSH\r\n", "closed without an answer"),
        (readiness.postgresql, b"S", ""),
        (readiness.postgresql, b"N", ""),
        (readiness.postgresql, b"", "does not answer"),
    ],
)
def test_a_probe_tells_an_answer_from_a_port_that_only_accepts(
    probe: readiness.Probe, answer: bytes, met: str
) -> None:
    with answering(answer) as port:
        found = probe(port)
    assert (found == "") == (met == "")
    assert met in found


@pytest.mark.parametrize("probe", [readiness.mlflow, readiness.postgresql])
def test_a_port_that_nobody_listens_on_is_not_ready(probe: readiness.Probe) -> None:
    assert probe(free_port())


def test_the_wait_ends_with_the_first_good_answer_and_says_what_it_met() -> None:
    said: list[str] = []
    with answering(b"", STARTING, OK) as port:
        readiness.await_ready(
            readiness.mlflow, port, seconds=60, say=said.append, fix="look", pause=lambda _: None
        )
    assert ["without an answer" in said[0], "503" in said[1], len(said)] == [True, True, 2]


def test_a_server_that_never_answers_is_given_up_with_what_to_look_at() -> None:
    with answering(b"") as port, pytest.raises(UserError, match="does not answer") as raised:
        readiness.await_ready(
            readiness.mlflow, port, seconds=0, say=lambda _: None, fix="aws logs tail"
        )
    assert raised.value.fix == "aws logs tail"


def test_the_wait_ends_when_the_way_there_is_gone_for_good() -> None:
    gone = UserError("expired")
    with answering(b"") as port, pytest.raises(UserError, match="expired"):
        readiness.await_ready(
            readiness.mlflow, port, seconds=60, say=lambda _: None, fix="", failed=lambda: gone
        )
