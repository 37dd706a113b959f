"""HTTP as uvicorn reads it, with bounds on a request's head: its size, and how long it may take.

uvicorn bounds neither: a client could fill the memory with headers, or hold connections for ever
with one byte now and then. Bodies have their bounds in app.py. It also loses the body of a request
that offers to go on in another protocol, as Java's client does with each first request.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.serving.worker.rows import BadRequest

MOST_HEAD_BYTES = 64 << 10
HEAD_SECONDS = 30.0
# What says how long a body is.
_FRAMING = (b"content-length", b"transfer-encoding")
# A connection that is closed while its client still sends is reset, and the answer lost with it.
_LINGER_SECONDS = 2.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection to a client."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._in_made_up_head = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        # The first piece of a head may hold another request's body too, so it is left out here;
        # on_headers_complete counts all of a head.
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse_large_head()
                return
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._in_head and not self._refused:
            self._begin_deadline()
        elif self.cycle is not None:
            self._end_deadline()

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while (offer := self._feed_until_offer(rest)) is not None:
                rest = rest[offer:]
                self._decline()
        except httptools.HttpParserError:
            self.send_400_response("")

    def _feed_until_offer(self, data: memoryview) -> int | None:
        """Where a head ends that offers another protocol; None where there is none."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return int(offer.args[0])
        return None

    def _decline(self) -> None:
        """Read on after a head that offers another protocol, as if it offered none: RFC 9110, 7.8.

        The parser takes what follows for that protocol. So another parser gets a head that only
        says how long the body is, then the body and all later requests.
        """
        framing = [name + b": " + value for name, value in self.headers if name in _FRAMING]
        self.parser = httptools.HttpRequestParser(self)
        self._in_made_up_head = True
        self.parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *framing, b"", b""]))
        self._in_made_up_head = False

    @override
    def on_message_begin(self) -> None:
        if not self._in_made_up_head:
            self._in_head, self._head_bytes = True, 0
            super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        if not self._in_made_up_head:
            super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_made_up_head:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        if self._in_made_up_head:
            return
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MOST_HEAD_BYTES:
            self._refuse_large_head()
            raise ValueError("the head is too large")  # ends the parser
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        # After the head of an offer the parser calls the message complete, whatever its body.
        if not self.parser.should_upgrade():
            super().on_message_complete()

    @override
    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets an error of the same shape as all others."""
        self._refuse(400, "this is no HTTP request that can be read")

    def _refuse_large_head(self) -> None:
        self._refuse(431, f"the request's head is larger than {MOST_HEAD_BYTES} bytes")

    def _refuse(self, status: int, message: str) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._end_deadline()
        body = BadRequest(status, message).body()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _begin_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._too_slow)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._in_head:
            self._refuse(408, f"the request's head did not come within {self.head_seconds:g} s")
        else:  # nothing ever came
            self.transport.close()
