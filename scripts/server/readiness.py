"""Whether what is behind a session answers yet: the session's near end accepts in any case."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from collections.abc import Callable

from scripts.console import UserError

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 5.0
POLL_SECONDS = 2.0
# A line now and then shows that the wait goes on; CI keeps every line.
REPEAT_SECONDS = 15.0
# https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
SSL_REQUEST = struct.pack("!II", 8, 80877103)

Probe = Callable[[int], str]
"""Asks what is behind a port of loopback; returns "" if it is ready, else what was met."""


def mlflow(port: int) -> str:
    """Ask MLflow's /health."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return "the connection is closed without an answer: MLflow does not listen yet"
    finally:
        connection.close()
    return "" if status == 200 else f"/health answers {status}"


def postgresql(port: int) -> str:
    """Ask whether TLS may begin, as every client of PostgreSQL does first."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(SSL_REQUEST)
            answer = connection.recv(1)
    except OSError:
        answer = b""
    return "" if answer in (b"S", b"N") else "the database does not answer yet"


def await_ready(
    probe: Probe,
    port: int,
    *,
    seconds: float,
    say: Callable[[str], None],
    fix: str,
    failed: Callable[[], UserError | None] = lambda: None,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Wait until the probe is content, at most `seconds`.

    Raises UserError with what was met last and `fix`, or what `failed` returns once the way to
    the far end is gone for good.
    """
    began = time.monotonic()
    said, said_at = "", -REPEAT_SECONDS
    while met := probe(port):
        waited = time.monotonic() - began
        if gone := failed():
            raise gone
        if waited >= seconds:
            raise UserError(
                "The server behind the session does not answer",
                why=f"{met}; waited {waited:.0f} s",
                fix=fix,
            )
        if met != said or waited - said_at >= REPEAT_SECONDS:
            say(f"waiting: {met} ({waited:.0f} of at most {seconds:.0f} s)")
            said, said_at = met, waited
        pause(POLL_SECONDS)
