"""Requests from ASGI to WSGI: how many at once, slow clients, files, and what a header is there."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from tests.mlflow_server.box import SERVER

sys.path.insert(0, str(SERVER))

from bridge import CHUNK, LARGEST_BODIES, LARGEST_BODY, Bridge, Share, environ

RUNS = "/api/2.0/mlflow/runs/create"
ARTIFACT = "/get-artifact"


class Application:
    """Takes a moment, and remembers how many requests it saw at once."""

    def __init__(self, answer: list[bytes] | None = None) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()
        self.answer = answer
        self.closed = 0

    def __call__(self, given: dict[str, Any], start: Any) -> Any:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self.lock:
            self.now -= 1
        start("200 OK", [("Content-Type", "text/plain")])
        self.pieces = iter(self.answer or [given["wsgi.input"].read()])
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        self.closed += 1


def scope(path: str, headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    return {
        "type": "http",
        "path": path,
        "method": "POST",
        "query_string": b"",
        "http_version": "1.1",
        "server": ("127.0.0.1", 5001),
        "headers": headers or [],
    }


async def ask(
    bridge: Bridge,
    path: str,
    body: bytes = b"x",
    wait: asyncio.Event | None = None,
    share: Share | None = None,
) -> list[Any]:
    told: list[Any] = []

    async def receive() -> Any:
        if wait is not None:
            await wait.wait()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await bridge.serve(nullcontext, share or Share(100), scope(path), receive, send)
    return told


def test_no_more_requests_reach_the_database_at_once_than_its_pool_takes() -> None:
    async def many(path: str) -> int:
        application = Application()
        bridge = Bridge(application, 3)
        answers = await asyncio.gather(*(ask(bridge, path) for _ in range(12)))
        assert all(told[1]["body"] == b"x" for told in answers)
        return application.most

    assert asyncio.run(many(RUNS)) == 3
    assert asyncio.run(many(ARTIFACT)) > 3


def test_one_set_leaves_a_turn_for_the_others() -> None:
    async def many() -> int:
        application, share = Application(), Share(3)
        bridge = Bridge(application, 3)
        await asyncio.gather(*(ask(bridge, RUNS, share=share) for _ in range(12)))
        return application.most

    assert asyncio.run(many()) == 2


def test_bodies_that_come_in_together_have_a_bound() -> None:
    """Each connection could else hold 32 MB of memory for as long as it likes."""

    class Half:
        def __init__(self) -> None:
            self.told: list[Any] = []
            self.left = asyncio.Event()
            self.parts = iter([b"x" * (LARGEST_BODY - 1)])

        async def receive(self) -> Any:
            for part in self.parts:
                return {"type": "http.request", "body": part, "more_body": True}
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(self, message: Any) -> None:
            self.told.append(message)

    async def held() -> None:
        bridge, share = Bridge(Application(), 1), Share(1)
        halves = [Half() for _ in range(5)]
        serving = [
            asyncio.create_task(
                bridge.serve(nullcontext, share, scope(RUNS), one.receive, one.send)
            )
            for one in halves
        ]
        await asyncio.sleep(0.1)
        assert [one.told[0]["status"] for one in halves if one.told] == [503, 503, 503]
        assert (await ask(bridge, RUNS, share=Share(1)))[0]["status"] == 200
        for one in halves:
            one.left.set()
        await asyncio.gather(*serving, return_exceptions=True)
        assert share.room == LARGEST_BODIES
        assert (await ask(bridge, RUNS, share=share))[0]["status"] == 200

    asyncio.run(held())


def test_a_client_that_sends_slowly_takes_no_turn() -> None:
    async def slow_and_quick() -> None:
        bridge, sent = Bridge(Application(), 1), asyncio.Event()
        slow = [asyncio.create_task(ask(bridge, RUNS, b"x", sent)) for _ in range(5)]
        await asyncio.wait_for(ask(bridge, RUNS), 5)
        sent.set()
        await asyncio.gather(*slow)

    asyncio.run(slow_and_quick())


def test_a_file_is_sent_in_pieces_and_closed() -> None:
    application = Application([b"a" * 8192] * 100)
    told = asyncio.run(ask(Bridge(application, 1), ARTIFACT))
    sizes = [len(one["body"]) for one in told[1:]]
    assert sum(sizes) == 819_200
    assert all(CHUNK <= size < CHUNK + 8192 for size in sizes[:-1])
    assert [one.get("more_body", False) for one in told[1:]] == [True] * (len(sizes) - 1) + [False]
    assert application.closed == 1


def test_a_body_that_is_too_large_never_reaches_the_application() -> None:
    application = Application()
    told = asyncio.run(ask(Bridge(application, 1), RUNS, b"x" * (LARGEST_BODY + 1)))
    assert told[0]["status"] == 413
    assert application.most == 0


def test_a_client_that_leaves_in_the_middle_is_not_served() -> None:
    application = Application()

    async def half() -> None:
        parts = iter(
            [
                {"type": "http.request", "body": b'{"alias"', "more_body": True},
                {"type": "http.disconnect"},
            ]
        )

        async def receive() -> Any:
            return next(parts)

        await Bridge(application, 1).serve(nullcontext, Share(1), scope(RUNS), receive, receive)  # type: ignore[arg-type]

    with pytest.raises(ConnectionError):
        asyncio.run(half())
    assert application.most == 0


@pytest.mark.parametrize(
    ("name", "value", "variable", "wanted"),
    [
        (b"x-permission_set", b"operate", "HTTP_X_PERMISSION_SET", None),
        (b"content_length", b"0", "CONTENT_LENGTH", "4"),
        (b"content-length", b"999", "CONTENT_LENGTH", "4"),
        (b"transfer-encoding", b"chunked", "HTTP_TRANSFER_ENCODING", None),
        (b"content-type", b"application/json", "CONTENT_TYPE", "application/json"),
        (b"x-forwarded-port", b"5003", "SERVER_PORT", "5001"),
        (b"host", b"localhost:5003", "SERVER_PORT", "5001"),
        (b"x-http-method-override", b"GET", "REQUEST_METHOD", "POST"),
    ],
)
def test_a_header_is_no_other_variable_than_its_own(
    name: bytes, value: bytes, variable: str, wanted: str | None
) -> None:
    assert environ(scope("/", [(name, value)]), b"body").get(variable) == wanted


def test_a_path_reaches_wsgi_as_it_was_routed() -> None:
    assert environ(scope("/a b/é"), b"")["PATH_INFO"].encode("latin-1").decode() == "/a b/é"
