"""From ASGI to a WSGI application: whole requests in, as many at once as the database takes."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Result = TypeVar("Result")

LARGEST_BODY = 32 * 1024 * 1024
LARGEST_BODIES, SMALL_BODY = 2 * LARGEST_BODY, 64 * 1024
CHUNK = 256 * 1024
# Answered from the database. Files come from S3 or a disk, and may take minutes.
DATABASE_PATHS = (
    "/api/2.0/mlflow/",
    "/api/3.0/mlflow/",
    "/ajax-api/2.0/mlflow/",
    "/ajax-api/3.0/mlflow/",
    "/graphql",
)
FILES = ("/upload-artifact", "/get-artifact", "/get-trace-artifact", "/artifacts/files")
FILE_THREADS = 16


class Share:
    """What the requests of one permission set take together, so that the others' are served too."""

    def __init__(self, requests: int) -> None:
        self.turns = asyncio.Semaphore(max(1, requests - 1))
        self.room = LARGEST_BODIES


class Body:
    """A body as it comes in. It takes its share's room until it is no longer needed."""

    def __init__(self, share: Share) -> None:
        self.share, self.pieces, self.size = share, list[bytes](), 0

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.share.room += self.size

    def add(self, piece: bytes) -> int:
        """Take a piece; 0, or the status that says why not."""
        self.pieces.append(piece)
        self.size += len(piece)
        self.share.room -= len(piece)
        if self.size > LARGEST_BODY:
            return 413
        return 503 if self.share.room < 0 and self.size > SMALL_BODY else 0


class Bridge:
    """Runs a WSGI application in threads.

    A request gets a thread when it is there as a whole, and gives it back before its answer is
    sent: a slow client takes no turn from others.
    """

    def __init__(self, application: Callable[..., Any], requests: int) -> None:
        self.application = application
        self.database = ThreadPoolExecutor(requests, "database")
        self.files = ThreadPoolExecutor(FILE_THREADS, "files")

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function that reads the database, in the caller's context."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.database, partial(copy_context().run, function, *arguments)
        )

    async def serve(
        self,
        inside: Callable[[], AbstractContextManager[object]],
        share: Share,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Serve one request; its thread runs in the context that `inside` makes."""
        with Body(share) as held:
            body = await read(receive, send, held)
            if body is None:
                return
            started: list[tuple[str, list[tuple[str, str]]]] = []

            def begin() -> tuple[Any, Iterator[bytes], bytes]:
                with inside():
                    given = environ(scope, body)
                    pieces = self.application(given, lambda *start: started.append(start[:2]))
                    iterator = iter(pieces)
                    return pieces, iterator, gather(iterator)

            loop, path = asyncio.get_running_loop(), scope["path"]
            asks = path.startswith(DATABASE_PATHS) and not path.endswith(FILES)
            pool = self.database if asks else self.files
            async with share.turns if asks else nullcontext():
                pieces, iterator, piece = await loop.run_in_executor(pool, begin)
        try:
            status, headers = started[0]
            raw = [
                (name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers
            ]
            start = {"type": "http.response.start", "status": int(status[:3]), "headers": raw}
            await send(start)
            while len(piece) >= CHUNK:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await loop.run_in_executor(self.files, gather, iterator)
            await send({"type": "http.response.body", "body": piece})
        finally:
            if hasattr(pieces, "close"):
                pieces.close()


async def read(receive: Receive, send: Send, held: Body) -> bytes | None:
    """The whole body; None if it was refused: too large by itself, or with those of others."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left before its request was complete")
        status = held.add(message.get("body", b""))
        if status:
            what = b"The request is" if status == 413 else b"All requests that come in now are"
            await answer(send, status, b"text/plain", what + b" too large.")
            return None
        more = message.get("more_body", False)
    held.pieces = [b"".join(held.pieces)]
    return held.pieces[0]


def environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """WSGI's variables. The length is that of the body that was read, whatever a header says."""
    host, port = scope["server"]
    made = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").upper()
        # With an underscore a name passes for another one. The body is whole and in no pieces.
        if "_" in name or name in ("CONTENT-LENGTH", "TRANSFER-ENCODING"):
            continue
        key = "CONTENT_TYPE" if name == "CONTENT-TYPE" else f"HTTP_{name.replace('-', '_')}"
        text = value.decode("latin-1")
        made[key] = f"{made[key]},{text}" if key in made else text
    return made


def gather(iterator: Iterator[bytes]) -> bytes:
    """The next pieces, at least CHUNK bytes unless the end comes first."""
    pieces, size = [], 0
    for piece in iterator:
        pieces.append(piece)
        size += len(piece)
        if size >= CHUNK:
            break
    return b"".join(pieces)


async def answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    """A whole answer."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
