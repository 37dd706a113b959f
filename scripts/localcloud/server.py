"""The HTTP servers in front of the gateway: one with TLS, and one without as S3 has."""

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

from scripts.localcloud.context import Connection
from scripts.localcloud.errors import Answer
from scripts.localcloud.incoming import Incoming

_log = logging.getLogger(__name__)
HOST = "127.0.0.1"
THREADS = 32
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


class _TlsAdapter(Adapter):  # type: ignore[misc]
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
        return MakeFile(sock, mode, bufsize)


class _Gateway(CherootGateway):  # type: ignore[misc]
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
        """Read the body; cheroot's own reader takes half a minute for 100 MB."""
        request = self.req
        if request.chunked_read:
            chunked: bytes = request.rfile.read()
            return chunked
        length = request.rfile.remaining
        if length == 0:
            return b""
        content = memoryview(bytearray(length))
        buffered = request.conn.rfile
        filled = 0
        if buffered.has_data():
            first = buffered.read1(length)
            filled = len(first)
            content[:filled] = first
        while filled < length:
            received = request.conn.socket.recv_into(content[filled:])
            if received == 0:
                raise ConnectionError("the client hung up inside its request")
            filled += received
        request.rfile.remaining = 0
        return content.tobytes()

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
        except OSError:
            # The client hung up; that is its right.
            request.close_connection = True


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


class _HttpServer(HTTPServer):  # type: ignore[misc]
    timeout = 60
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
