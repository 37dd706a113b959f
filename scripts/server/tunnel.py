"""A port of this machine that stays the same while the sessions behind it come and go."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from scripts.console import UserError
from scripts.server.sessions import (
    CONNECT_SECONDS,
    LOOPBACK,
    CredentialsExpired,
    Session,
    has_expired,
    patiently,
)

LONGEST_WAIT_SECONDS = 30.0
CHUNK = 64 * 1024


class Tunnel:
    """One port of this machine that stays the same while the sessions behind it come and go.

        with Tunnel(lambda: open_session(clients, document, tags), port=5000) as tunnel:
            print(tunnel.port)

    A session that has ended or refuses a connection is replaced by a new one, on whichever
    instance carries the tags then. `port=0` takes a free one. An instance whose agent has not
    registered yet is waited for at most `wait_seconds`. When the credentials have expired, `renew`
    is asked for new ones; if it has none, the tunnel closes and `failure` says so.
    """

    def __init__(
        self,
        open_: Callable[[], AbstractContextManager[Session]],
        *,
        port: int = 0,
        wait_seconds: float = CONNECT_SECONDS,
        renew: Callable[[], bool] | None = None,
        on_event: Callable[[str], None] | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        self.port = port
        self.failure: UserError | None = None
        self.sessions_opened = 0
        self._open = open_
        self._wait_seconds = wait_seconds
        self._renew = renew or (lambda: False)
        self._on_event = on_event or (lambda _: None)
        self._on_failure = on_failure or (lambda: None)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._ended = contextlib.ExitStack()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Tunnel:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._bind()
            # The first session's refusal is the caller's to hear, at once.
            self._first()
        except BaseException:
            self._listener.close()
            raise
        self.port = self._listener.getsockname()[1]
        for target in (self._accept, self._watch):
            thread = threading.Thread(target=target, name=f"tunnel-{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        # Closing a listener does not wake who accepts on it; shutting it down does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1):
            pass
        self._listener.close()
        for thread in self._threads:
            thread.join()
        with self._lock:
            self._ended.close()

    def _bind(self) -> None:
        try:
            self._listener.bind((LOOPBACK, self.port))
        except (OSError, OverflowError) as failure:
            raise UserError(
                f"Port {self.port} cannot be used here",
                why=str(failure),
                fix="keyless tunnel --port 0   (takes a free one)",
                exit_code=2,
            ) from None
        self._listener.listen()

    def _first(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            patiently(self._replace, self._wait_seconds, self._on_event, self._stopping.wait)
        except (BotoCoreError, ClientError) as failure:
            if has_expired(failure):
                raise CredentialsExpired(str(failure)) from None
            raise

    def _replace(self) -> Session:
        """Open a session in place of the present one. Called with the lock held, or before."""
        with contextlib.suppress(Exception):
            # The old one may have gone with its instance.
            self._ended.close()
        self._session = self._ended.enter_context(self._open())
        self.sessions_opened += 1
        return self._session

    def _reconnected(self, broken: Session | None) -> Session | None:
        """Replace `broken` unless another thread did; try until it succeeds or we stop."""
        with self._lock:
            if self._session is not broken:
                return self._session
            wait = 1.0
            self._on_event("the session dropped; opening another")
            while not self._stopping.is_set():
                try:
                    session = self._replace()
                except Exception as failure:  # noqa: BLE001 - reported, and tried again
                    if has_expired(failure):
                        if self._renewed(failure):
                            continue
                        return None
                    self._on_event(f"not yet: {failure}")
                    self._stopping.wait(wait)
                    wait = min(2 * wait, LONGEST_WAIT_SECONDS)
                else:
                    self._on_event(f"connected again, to {session.instance_id}")
                    return session
        return None

    def _renewed(self, failure: Exception) -> bool:
        """Get new credentials, or close the tunnel for good."""
        try:
            if self._renew():
                self._on_event("the credentials expired and were renewed")
                return True
        except UserError as refused:
            failure = refused
        self.failure = (
            failure if isinstance(failure, CredentialsExpired) else CredentialsExpired(str(failure))
        )
        self._on_event(str(self.failure))
        self._stopping.set()
        # Whoever connects from now on is refused at once, in place of waiting for nothing.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._on_failure()
        return False

    def _watch(self) -> None:
        while not self._stopping.wait(1.0):
            session = self._session
            if session is not None and session.ended:
                self._reconnected(session)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._stopping.is_set():
                near.close()
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near:
            far = self._connect()
            if far is None:
                return
            with far:
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join()

    def _connect(self) -> socket.socket | None:
        session = self._session
        for wait in (0.0, 1.0, 2.0, 4.0):
            # A new session may lead to a server that is still starting.
            if session is None or self._stopping.wait(wait):
                return None
            try:
                return socket.create_connection((session.host, session.port), timeout=10)
            except OSError:
                session = self._reconnected(session)
        return None


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends, then tell the sink so."""
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
