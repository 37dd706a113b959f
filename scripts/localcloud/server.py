"""The HTTP server in front of the gateway, with TLS or, as S3 has it too, without.

One thread reads and writes for all clients, so that a slow, silent or lying client holds up nobody;
a few more threads answer requests, once a request is there as a whole.
"""

import asyncio
import contextlib
import http
import logging
import resource
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h11

from scripts.localcloud.access.context import Connection
from scripts.localcloud.access.errors import Answer, AwsError
from scripts.localcloud.access.incoming import HOST, Incoming

_log = logging.getLogger(__name__)
THREADS = 16
# Of a request line and headers; a session token alone is 1.5 kB, a policy in an address more.
LONGEST_HEAD = 64 * 1024
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
LARGEST_BODY = 5 * 2**30
# Bodies are held in memory. Clients send what is larger than a few megabytes in parts.
BODIES_TOGETHER = 2**30
# No body of this size is ever refused, so large ones keep nobody from the other services.
SMALL_BODY = 64 * 1024
MOST_CONNECTIONS = 800
HANDSHAKE_SECONDS = 10.0
HEAD_SECONDS = 30.0
# Without a byte, inside a request; S3's own limit is of this size.
SILENT_SECONDS = 20.0
# Without a request, on a connection that has had one.
IDLE_SECONDS = 60.0
LINGER_SECONDS = 2.0
_CHUNK = 256 * 1024

Handler = Callable[[Incoming], Answer]
_SILENT = AwsError(
    "RequestTimeout",
    "Your socket connection to the server was not read from or written to within the timeout "
    "period. Idle connections will be closed.",
)
_TOO_LARGE = AwsError(
    "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size."
)
_TOO_LARGE_HERE = AwsError(
    "LocalCloudNotImplemented",
    "The local cloud takes at most 1 GiB in one request, where S3 takes 5 GiB: upload it in parts.",
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_SLOW_DOWN = AwsError("SlowDown", "Please reduce your request rate.", 503)


class _Refused(Exception):
    """The rest of a body is not taken; the error is the answer."""

    def __init__(self, error: AwsError) -> None:
        self.error = error


class _Gone(Exception):
    """The client hung up, or says nothing that could be answered."""


class Server:
    """An HTTP/1.1 server on a free port of the loopback address."""

    def __init__(
        self, handle: Handler, certificate: tuple[Path, Path] | None = None, threads: int = THREADS
    ) -> None:
        self._handle = handle
        self._tls = None if certificate is None else _tls(certificate)
        # Bound now, so that the port is known before anybody asks for it.
        self._listener = socket.create_server((HOST, 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._clients: dict[asyncio.Task[None], _Client] = {}
        self._room = _Room(BODIES_TOGETHER)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gateway")
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        _allow_many_files()
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        self._listener.close()
        self._loop.close()

    def _run(self) -> None:
        self._loop.set_exception_handler(
            lambda _, context: _log.debug("%s", context.get("message"))
        )
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        timeouts: dict[str, Any] = (
            {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": 1.0}
            if self._tls
            else {}
        )
        server = await asyncio.start_server(
            self._accept, sock=self._listener, ssl=self._tls, limit=_CHUNK, **timeouts
        )
        self._ready.set()
        await self._stopping.wait()
        # asyncio leaks a connection that it is just accepting when its server closes.
        self._loop.remove_reader(self._listener.fileno())
        await _some_turns()
        server.close()
        for task, client in list(self._clients.items()):
            client.broken = True
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await _some_turns()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._clients) >= MOST_CONNECTIONS:
            self._close_the_idlest()
        client = _Client(reader, writer, self._room)
        self._clients[task] = client
        try:
            await client.serve(self._answer)
        except (OSError, _Gone, TimeoutError, asyncio.CancelledError) as gone:
            _log.debug("a client is gone: %r", gone)
        finally:
            client.give_back()
            await _closed(writer, at_once=client.broken)
            del self._clients[task]

    def _close_the_idlest(self) -> None:
        waiting = [(one.since, task) for task, one in self._clients.items() if not one.answering]
        if waiting:
            min(waiting, key=lambda pair: pair[0])[1].cancel()

    async def _answer(self, incoming: Incoming) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._handle, incoming)


async def _closed(writer: asyncio.StreamWriter, *, at_once: bool) -> None:
    """Close a connection: at once, or after TLS has said goodbye.

    Whoever stops the server meanwhile cancels the goodbye; asyncio would leak the socket.
    """
    if not at_once:
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
            return
    writer.transport.abort()


@dataclass
class _Room:
    """What the bodies of all connections may still take, in bytes."""

    left: int


@dataclass
class _Head:
    """A request whose body is still to come."""

    incoming: Incoming
    length: int


class _Client:
    """One connection, and its requests one after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, room: _Room
    ) -> None:
        self._room = room
        self._taken = 0
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self.answering = False
        self.broken = False
        # asyncio does so by itself only for sockets whose protocol number is spelt out.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = writer.get_extra_info("ssl_object")
        self._connection = Connection(
            source_ip=str((writer.get_extra_info("peername") or ("",))[0]),
            secure=secured is not None,
            tls_version=secured.version() if secured is not None else None,
        )

    async def serve(self, answer: Callable[[Incoming], Any]) -> None:
        """Answer requests until the client disconnects or sends something malformed."""
        patience = HEAD_SECONDS
        while True:
            try:
                incoming = await self._request(patience)
            except h11.RemoteProtocolError as error:
                await self._refuse(error)
                return
            if incoming is None:
                return
            self.answering = True
            method, answered = incoming.method, await answer(incoming)
            refused = incoming.refusal is not None
            del incoming
            self.give_back()
            await self._send(method, answered)
            self.answering, self.since = False, self._loop.time()
            if refused:
                await self._linger()
                return
            if self._http.our_state is not h11.DONE:
                return
            if self._http.their_state is not h11.DONE:
                return  # it sent more than its request, or wants to leave
            self._http.start_next_cycle()
            patience = IDLE_SECONDS

    async def _request(self, patience: float) -> Incoming | None:
        """The next request as a whole; None if the client leaves without one."""
        async with asyncio.timeout(patience):
            event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        head = self._head(event)
        if head.length > LARGEST_BODY:
            return replace(head.incoming, refusal=_TOO_LARGE)
        if head.length > BODIES_TOGETHER:
            return replace(head.incoming, refusal=_TOO_LARGE_HERE)
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await self._write(self._http.send(go_on))
        try:
            return replace(head.incoming, body=await self._body())
        except TimeoutError:
            return replace(head.incoming, refusal=_SILENT)
        except _Refused as refused:
            return replace(head.incoming, refusal=refused.error)

    async def _linger(self) -> None:
        """Take what is still sent: closed at once, the client would lose its answer to a reset.

        https://www.rfc-editor.org/rfc/rfc9112#section-9.6
        """
        self.answering = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._reader.read(_CHUNK):
                    pass

    def give_back(self) -> None:
        """What the last body took is free for others."""
        self._room.left += self._taken
        self._taken = 0

    async def _body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            async with asyncio.timeout(SILENT_SECONDS):
                event = await self._event()
            if isinstance(event, h11.EndOfMessage):
                return b"".join(parts)
            if not isinstance(event, h11.Data):
                raise _Gone("the client hung up inside its request")
            size += len(event.data)
            if size > BODIES_TOGETHER:
                raise _Refused(_TOO_LARGE_HERE)
            if size > SMALL_BODY:
                self._take(size - self._taken)
            parts.append(bytes(event.data))

    def _take(self, more: int) -> None:
        if more > self._room.left:
            raise _Refused(_SLOW_DOWN)
        self._room.left -= more
        self._taken += more

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(_CHUNK)
            try:
                self._http.receive_data(data)
            except RuntimeError as error:  # a client that goes on after it has hung up
                raise _Gone(str(error)) from error
        return event

    def _head(self, event: h11.Request) -> _Head:
        if event.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("another version of HTTP")
        if len(event.target) + sum(len(name) + len(value) for name, value in event.headers) > (
            LONGEST_HEAD
        ):
            raise h11.RemoteProtocolError("the headers are too long", error_status_hint=431)
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("ascii").lower(), _text(raw_value)
            if name in headers and (name.startswith("x-amz-") or name in _ONCE):
                raise h11.RemoteProtocolError(f"{name} is given twice")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if {"content-length", "transfer-encoding"} <= headers.keys():
            # A proxy that goes by the length would hide a second request in this one's body.
            # https://www.rfc-editor.org/rfc/rfc9112#section-6.1
            raise h11.RemoteProtocolError("two lengths of one body")
        incoming = Incoming(
            method=event.method.decode("ascii"),
            target=event.target.decode("ascii"),
            headers=headers,
            body=b"",
            connection=self._connection,
        )
        return _Head(incoming, int(headers.get("content-length", "0")))

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is no HTTP; it is not known yet which service is meant."""
        _log.info("a request is not HTTP: %s", error)
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        body = b"Bad Request"
        status = error.error_status_hint if error.error_status_hint < 500 else 400
        answer = Answer(status, {"Content-Type": "text/plain"}, body)
        await self._send("", answer)

    async def _send(self, method: str, answer: Answer) -> None:
        bodiless = method == "HEAD" or answer.status in (204, 304)
        headers = dict(answer.headers)
        declared = next((name for name in headers if name.lower() == "content-length"), None)
        if not bodiless:
            if declared:
                del headers[declared]
            headers["Content-Length"] = str(len(answer.body))
        elif method == "HEAD" and declared is None:
            headers["Content-Length"] = "0"
        response = h11.Response(
            status_code=answer.status,
            headers=[
                (name.encode("latin-1"), _clean(str(value).encode("utf-8")))
                for name, value in headers.items()
            ],
            reason=_phrase(answer.status),
        )
        body = b"" if bodiless else answer.body
        try:
            await self._write(self._http.send(response), body, self._http)
        except OSError as error:
            # The client disconnected. Logged in case it did not and this is our fault.
            _log.info("an answer to %s was not delivered: %s", method, error)
            raise

    async def _write(
        self, head: bytes | None, body: bytes = b"", response: h11.Connection | None = None
    ) -> None:
        pending = head or b""
        if response is not None:
            for start in range(0, len(body), _CHUNK):
                part = response.send(h11.Data(data=body[start : start + _CHUNK]))
                self._writer.write(pending + (part or b""))
                pending = b""
                await self._drained()
            pending += response.send(h11.EndOfMessage()) or b""
        if pending:
            self._writer.write(pending)
        await self._drained()

    async def _drained(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            self.broken = True
            raise _Gone("the client does not take its answer") from None


# Of these a second one would be another request to whoever reads the other.
_ONCE = frozenset({"authorization", "content-encoding", "content-length", "content-md5",
                   "content-type", "host", "range"})  # fmt: skip


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _clean(value: bytes) -> bytes:
    """A header's value without what would end it."""
    return value.replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\0", b" ").strip()


def _phrase(status: int) -> bytes:
    try:
        return http.HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Status"


async def _some_turns() -> None:
    """Let the loop do what it has scheduled: accepting, and closing what was aborted."""
    for _ in range(4):
        await asyncio.sleep(0)


def _tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*certificate)
    return context


def _allow_many_files() -> None:
    """Let this process hold as many connections as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
