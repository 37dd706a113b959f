"""A request's head has bounds: its size, and how long it may take."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from pipeline.serving.protocol import MOST_HEAD_BYTES, BoundedProtocol

pytestmark = pytest.mark.slow

GOOD = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"


class Hasty(BoundedProtocol):
    """With less patience than a server has."""

    head_seconds = 1.0


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body, in no hurry."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    await asyncio.sleep(1.5 if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nHost"
CHUNKED = (
    b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n4\r\nlong\r\n0\r\n\r\n"
)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


def talk(work: Talk) -> bytes:
    """What a client got that talks to a server with these bounds."""

    async def run() -> bytes:
        config = uvicorn.Config(
            echo, port=0, http=Hasty, ws="none", lifespan="off", log_level="critical"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(30):
                return await work(reader, writer)
        finally:
            writer.close()
            server.should_exit = True
            await serving

    return asyncio.run(run())


def sent(*pieces: bytes) -> bytes:
    """The whole answer to bytes that are sent piece by piece, until the server hangs up."""

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        return await reader.read()

    return talk(work)


def test_usual_requests_are_answered_one_after_the_other_and_at_once() -> None:
    last = GOOD.replace(b"Host", b"Connection: close\r\nHost")
    found = sent(GOOD[:20], GOOD[20:], GOOD + GOOD, last)

    assert found.count(b"HTTP/1.1 200 OK") == 4


def test_a_long_answer_is_no_slow_head() -> None:
    slow = GOOD.replace(b"/x", b"/slow").replace(b"Host", b"Connection: close\r\nHost")

    assert b"200 OK" in sent(slow)


@pytest.mark.parametrize("pieces", [1, 4])
def test_a_head_that_is_too_large_is_refused(pieces: int) -> None:
    head = GOOD.replace(b"Host", b"X-Long: " + b"a" * (2 * MOST_HEAD_BYTES) + b"\r\nHost")
    size = len(head) // pieces
    found = sent(*(head[at : at + size] for at in range(0, len(head), size)))

    assert found.startswith(b"HTTP/1.1 431 ")
    assert b"larger than 65536 bytes" in found


def test_headers_without_end_are_refused() -> None:
    lines = [b"X-%d: %s\r\n" % (number, b"a" * 4000) for number in range(40)]
    found = sent(b"POST /x HTTP/1.1\r\n", b"".join(lines[:20]), b"".join(lines[20:]))

    assert found.startswith(b"HTTP/1.1 431 ")


def test_a_head_that_does_not_end_is_refused_in_time() -> None:
    assert sent(GOOD[:30]).startswith(b"HTTP/1.1 408 ")
    # Not only the first one of a connection.
    assert b"HTTP/1.1 408 " in sent(GOOD + GOOD[:30])


def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    assert sent() == b""


def test_what_is_no_http_gets_an_error_like_all_others() -> None:
    found = sent(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")

    assert found.startswith(b"HTTP/1.1 400 Bad Request")
    assert b'"error":' in found


@pytest.mark.parametrize("pieces", [1, 11])
def test_an_offer_of_another_protocol_is_ignored_and_the_body_read(pieces: int) -> None:
    """https://github.com/Kludex/uvicorn/issues/2722: Java's client makes one, and lost its body."""
    bare = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    offered = b"".join(each.replace(b"Host", OFFER) for each in (GOOD, CHUNKED, bare, GOOD))
    whole = offered + GOOD.replace(b"Host", b"Connection: close\r\nHost")
    size = len(whole) // pieces + 1
    found = sent(*(whole[at : at + size] for at in range(0, len(whole), size)))

    # Each answer is one chunk of one byte.
    lengths = re.findall(rb"200 OK\r\n.*?\r\n\r\n1\r\n(\d)\r\n0\r\n", found, re.DOTALL)
    assert list(map(int, lengths)) == [2, 6, 0, 2, 2], found


def test_a_body_after_an_offer_that_is_no_body_is_refused() -> None:
    found = sent(CHUNKED.replace(b"Host", OFFER).replace(b"2\r\nok", b"x\r\nok"))

    assert found.startswith(b"HTTP/1.1 400 ")


def test_offers_in_great_number_are_as_many_requests() -> None:
    offer = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"
    last = GOOD.replace(b"Host", b"Connection: close\r\nHost")

    assert sent(offer * 1500 + last).count(b"HTTP/1.1 200 OK") == 1501
