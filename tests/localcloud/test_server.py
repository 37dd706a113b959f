"""The HTTP server: clients that are slow, silent, or lie, hold up nobody."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from scripts.localcloud import server
from scripts.localcloud.access.errors import Answer
from scripts.localcloud.access.incoming import HOST, Incoming
from scripts.localcloud.server import Server

SEEN: list[Incoming] = []


def answer(incoming: Incoming) -> Answer:
    SEEN.append(incoming)
    if incoming.refusal is not None:
        return Answer(incoming.refusal.status, {}, incoming.refusal.code.encode())
    if incoming.path == "/large":
        return Answer(200, {}, bytes(32 * 2**20))
    return Answer(200, {"X-Odd": "a\r\nb"}, incoming.body)


@pytest.fixture(autouse=True)
def _short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LINGER_SECONDS", 0.2)


@pytest.fixture
def running() -> Iterator[Server]:
    SEEN.clear()
    made = Server(answer, threads=2)
    made.start()
    yield made
    made.stop()


def connect(running: Server, *sent: bytes) -> socket.socket:
    made = socket.create_connection((HOST, running.port), timeout=10)
    for part in sent:
        made.sendall(part)
    return made


def told(running: Server, sent: bytes) -> bytes:
    """All that the server answers until it closes the connection."""
    with connect(running, sent) as client:
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65536):
                found += part
        return found


def put(running: Server, body: bytes) -> bytes:
    client = http.client.HTTPConnection(HOST, running.port, timeout=10)
    client.request("PUT", "/b/k", body)
    try:
        return client.getresponse().read()
    finally:
        client.close()


def test_a_body_arrives_whole_and_the_connection_is_kept(running: Server) -> None:
    client = http.client.HTTPConnection(HOST, running.port, timeout=10)
    for body in (b"", b"x", bytes(3_000_000)):
        client.request("PUT", "/b/k?x=%2F#y", body)
        assert client.getresponse().read() == body
    client.request("PUT", "/b/k", iter([b"one", b"two"]), encode_chunked=True,
                   headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    assert client.getresponse().read() == b"onetwo"
    client.close()
    assert SEEN[0].target == "/b/k?x=%2F#y"


@pytest.mark.alone
def test_clients_that_say_nothing_or_little_hold_up_nobody(running: Server) -> None:
    """Far more of them than the server has threads."""
    head = b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    idle = [connect(running, *sent) for sent in ((), (b"PUT /b",), (head, b"x")) for _ in range(60)]
    unread = [connect(running, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(4)]
    began = time.monotonic()
    for _ in range(20):
        assert put(running, b"quick") == b"quick"
    assert time.monotonic() - began < 3
    for client in (*idle, *unread):
        client.close()


def test_one_connection_too_many_ends_the_one_that_waits_longest(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 10)
    waiting = [connect(running) for _ in range(10)]
    assert put(running, b"x") == b"x"
    waiting[0].settimeout(5)
    with contextlib.suppress(ConnectionResetError):
        assert waiting[0].recv(1) == b""
    for client in waiting:
        client.close()


PUT = b"PUT /b/k HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        PUT + b"Content-Length: -5\r\n\r\nx",
        PUT + b"Content-Length: -1\r\n\r\n",
        PUT + b"Content-Length: 1_0\r\n\r\n",
        PUT + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n4_0\r\nxxxx\r\n0\r\n\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
        PUT + b"Transfer-Encoding: gzip\r\n\r\n",
        PUT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + PUT + b"\r\n",
        PUT + b"X-Amz-Acl: private\r\nX-Amz-Acl: public-read\r\nContent-Length: 0\r\n\r\n",
        PUT + b"Host: b\r\nContent-Length: 0\r\n\r\n",
        PUT + b"Bad Name: b\r\n\r\n",
        b"PUT /b/k\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PUT /b/k HTTP/9.9\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_at_once(running: Server, sent: bytes) -> None:
    began = time.monotonic()
    found = told(running, sent)
    assert found.startswith(b"HTTP/1.1 4") or found == b""
    assert (
        time.monotonic() - began < server.HANDSHAKE_SECONDS / 2
    )  # it waits for nothing to run out
    assert [one for one in SEEN if one.refusal is None] == []
    assert put(running, b"x") == b"x"


def test_a_size_that_no_object_has_is_refused_before_it_is_sent(running: Server) -> None:
    assert b"EntityTooLarge" in told(running, PUT + b"Content-Length: 99999999999\r\n\r\n")


def test_large_bodies_share_what_memory_they_have_and_small_ones_are_always_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "BODIES_TOGETHER", 2**20)
    running = Server(answer, threads=2)
    running.start()
    try:
        half, more = bytes(600_000), b"Content-Length: 1000000\r\n\r\n"
        with connect(running, PUT + more + half):
            deadline = time.monotonic() + 10
            while b"SlowDown" not in told(running, PUT + more + half):
                assert time.monotonic() < deadline
            assert put(running, bytes(60_000)) == bytes(60_000)
        for _ in range(4):  # what was held is free again, after an answer and after a loss
            assert put(running, bytes(900_000)) == bytes(900_000)
        endless = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % 2**21
        for head in (b"Content-Length: 1048577\r\n\r\n", endless):
            assert b"LocalCloudNotImplemented" in told(running, PUT + head + bytes(2**20 + 1))
    finally:
        running.stop()


def test_a_client_that_falls_silent_inside_its_request_is_reported(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SILENT_SECONDS", 0.2)
    assert b"RequestTimeout" in told(running, PUT + b"Content-Length: 10\r\n\r\nx")


def test_a_client_that_hangs_up_inside_its_request_is_not_answered(running: Server) -> None:
    connect(running, PUT + b"Content-Length: 10\r\n\r\nx").close()
    assert put(running, b"y") == b"y"
    assert [one.body for one in SEEN] == [b"y"]


@pytest.mark.parametrize(
    "head",
    [
        PUT + b"Content-Length: 40\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n",
    ],
)
def test_a_request_in_the_body_of_another_is_a_body(running: Server, head: bytes) -> None:
    hidden = b"DELETE /b/k HTTP/1.1\r\nHost: a\r\n\r\n......"[:40].ljust(40, b".")
    body = b"28\r\n" + hidden + b"\r\n0\r\n\r\n" if b"chunked" in head else hidden
    found = told(running, head + b"Connection: close\r\n\r\n" + body)
    assert found.startswith(b"HTTP/1.1 200")
    assert [(one.method, one.body) for one in SEEN] == [("PUT", hidden)]


def test_an_answers_header_cannot_end_itself(running: Server) -> None:
    found = told(running, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"X-Odd: a  b\r\n" in found


def test_a_head_has_no_body_and_the_next_answer_is_its_own(running: Server) -> None:
    client = http.client.HTTPConnection(HOST, running.port, timeout=10)
    client.request("HEAD", "/large")
    assert client.getresponse().read() == b""
    client.request("PUT", "/b/k", b"next")
    assert client.getresponse().read() == b"next"
    client.close()


def test_expect_continue_is_answered_before_the_body(running: Server) -> None:
    with connect(running, PUT + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n") as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 100")
        client.sendall(b"x")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_stopped_server_frees_its_port() -> None:
    made = Server(answer)
    made.start()
    kept = connect(made)
    made.stop()
    with pytest.raises(OSError, match="refused"):
        connect(made)
    kept.close()
