"""The HTTP servers in front of the gateway: one with TLS, and one without as S3 has."""

import io
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cheroot.makefile import MakeFile
from cheroot.server import Gateway as CherootGateway
from cheroot.server import HTTPServer
from cheroot.ssl import Adapter
from cheroot.workers.threadpool import ThreadPool

from scripts.localcloud.access.context import Connection
from scripts.localcloud.access.errors import Answer
from scripts.localcloud.access.incoming import HOST, Incoming

_log = logging.getLogger(__name__)
THREADS = 32
LONGEST_LINE = 64 * 1024
REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    206: "Partial Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
}

Handler = Callable[[Incoming], Answer]


class _TlsAdapter(Adapter):
    """Wraps accepted sockets in TLS; the handshake waits for the worker that reads them.

    Cheroot's own adapter shakes hands in the accepting thread, where one silent client (a port
    probe) holds up everybody else.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(str(certificate), str(key))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(certificate, key)

    def bind(self, sock: socket.socket) -> socket.socket:
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {}

    def get_environ(self) -> dict[str, str]:
        return {}

    def makefile(self, sock: socket.socket, mode: str = "r", bufsize: int = -1) -> Any:
        return _Reader(sock) if "r" in mode else MakeFile(sock, mode, bufsize)


class _CountingSocket(socket.SocketIO):
    """The raw stream of a socket, which knows how much was read from it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, "r")
        self.count = 0

    def readinto(self, buffer: Any) -> int | None:
        read = super().readinto(buffer)
        self.count += read or 0
        return read


class _Reader(io.BufferedReader):
    """What cheroot reads requests from; its own reader is written in Python and slow."""

    def __init__(self, sock: socket.socket) -> None:
        self._source = _CountingSocket(sock)
        self._consumed = 0
        super().__init__(self._source, 64 * 1024)

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self._consumed += len(content)
        return content

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._consumed += len(line)
        return line

    def has_data(self) -> bool:
        """Whether part of a next request has already been read from the socket."""
        return self._source.count > self._consumed


class _Gateway(CherootGateway):
    """Hands a request over as it was read, without the losses of a WSGI environment."""

    def respond(self) -> None:
        request = self.req
        handle: Handler = request.server.handle
        connection = request.conn
        incoming = Incoming(
            method=request.method.decode("ascii"),
            target=request.uri.decode("latin-1"),
            headers={
                name.decode("latin-1").lower(): _text(value)
                for name, value in request.inheaders.items()
            },
            body=self._body(),
            connection=Connection(
                source_ip=connection.remote_addr or "",
                secure=isinstance(connection.socket, ssl.SSLSocket),
                tls_version=getattr(connection.socket, "version", lambda: None)(),
            ),
        )
        self._send(incoming.method, handle(incoming))

    def _body(self) -> bytes:
        """Read the body from the connection; cheroot's own decoding takes a minute for 100 MB."""
        request = self.req
        stream = request.conn.rfile
        if request.chunked_read:
            return _read_chunked(stream)
        length: int = request.rfile.remaining
        content: bytes = stream.read(length)
        if len(content) < length:
            raise ConnectionError("the client hung up inside its request")
        request.rfile.remaining = 0
        return content

    def _send(self, method: str, answer: Answer) -> None:
        request = self.req
        status = f"{answer.status} {REASONS.get(answer.status, 'Status')}"
        request.status = status.encode("ascii")
        bodiless = method == "HEAD" or answer.status in (204, 304)
        headers = dict(answer.headers)
        declared = next((name for name in headers if name.lower() == "content-length"), None)
        if not bodiless:
            if declared:
                del headers[declared]
            headers["Content-Length"] = str(len(answer.body))
        elif method == "HEAD" and declared is None:
            headers["Content-Length"] = "0"
        request.outheaders = [
            (name.encode("latin-1"), str(value).encode("utf-8")) for name, value in headers.items()
        ]
        try:
            request.ensure_headers_sent()
            if not bodiless and answer.body:
                request.write(answer.body)
        except OSError as error:
            # The client hung up, which is its right; where it did not, this line says what it met.
            _log.info("an answer to %s was not taken: %s", method, error)
            request.close_connection = True


def _read_chunked(stream: Any) -> bytes:
    """Decode `Transfer-Encoding: chunked` (RFC 9112, section 7.1)."""
    chunks: list[bytes] = []
    while True:
        size = int(stream.readline(LONGEST_LINE).partition(b";")[0], 16)
        if size == 0:
            break
        chunk = stream.read(size)
        if len(chunk) < size or stream.readline(LONGEST_LINE) != b"\r\n":
            raise ConnectionError("the client hung up inside its request")
        chunks.append(chunk)
    while stream.readline(LONGEST_LINE) not in (b"\r\n", b""):
        pass
    return b"".join(chunks)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


class Server:
    """An HTTP/1.1 server on a free port of the loopback address."""

    def __init__(self, handle: Handler, certificate: tuple[Path, Path] | None = None) -> None:
        self._server = _HttpServer(handle, certificate)
        # Binds now, so that the port is known before anybody is told about it.
        self._server.prepare()
        self._thread = threading.Thread(target=self._serve, name="gateway", daemon=True)

    @property
    def port(self) -> int:
        """The port the server listens on."""
        port: int = self._server.bind_addr[1]
        return port

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being answered and close the port."""
        self._server.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        self._server.serve()


class _HttpServer(HTTPServer):
    timeout = 60
    # How long stopping may take, for want of anything to wake the loop.
    expiration_interval = 0.2
    request_queue_size = 256
    keep_alive_conn_limit = 1000
    shutdown_timeout = 2

    def __init__(self, handle: Handler, certificate: tuple[Path, Path] | None) -> None:
        super().__init__((HOST, 0), gateway=_Gateway, server_name="KeylessLocalCloud")
        self.handle = handle
        self.requests = ThreadPool(self, min=THREADS, accepted_queue_size=-1)
        if certificate is not None:
            self.ssl_adapter = _TlsAdapter(*certificate)

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Send cheroot's messages to the log instead of the terminal."""
        _log.log(level, "%s", msg, exc_info=traceback)
