"""The few messages of PostgreSQL's protocol that come before a session is open."""

from __future__ import annotations

import struct
from collections.abc import Mapping

# https://www.postgresql.org/docs/current/protocol-message-formats.html
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
PROTOCOL_3 = 3
LONGEST_STARTUP = 10_000
LONGEST_NAME = 63  # bytes: NAMEDATALEN - 1
ALPN = "postgresql"
TLS_HANDSHAKE = b"\x16"
LONGEST_PASSWORD = 65_535

AUTHENTICATION_OK = 0
AUTHENTICATION_CLEARTEXT = 3
AUTHENTICATION_SASL = 10

INVALID_AUTHORIZATION = "28000"
CANNOT_CONNECT_NOW = "57P03"


class ProtocolError(Exception):
    """The peer does not speak PostgreSQL's protocol."""


def message(kind: bytes, body: bytes) -> bytes:
    """Frame a message: its kind, its length (that of the field included), its body."""
    return kind + struct.pack("!i", len(body) + 4) + body


def error(code: str, text: str) -> bytes:
    """A fatal ErrorResponse with a SQLSTATE code."""
    fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": text}
    body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items())
    return message(b"E", body + b"\0")


def authentication(code: int) -> bytes:
    """An authentication request without data."""
    return message(b"R", struct.pack("!i", code))


def startup(version: int, parameters: Mapping[str, bytes]) -> bytes:
    """A StartupMessage."""
    pairs = b"".join(name.encode() + b"\0" + value + b"\0" for name, value in parameters.items())
    body = struct.pack("!i", version) + pairs + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def parse_startup(body: bytes) -> dict[str, bytes]:
    """Read the parameters of a StartupMessage, whose length and version are already off.

    Of a name that is given twice the last value counts, as in PostgreSQL.
    Raises ProtocolError for a layout that PostgreSQL refuses too.
    """
    parts = body.split(b"\0")
    # "name\0value\0…name\0value\0\0" leaves two empty parts at the end.
    if len(parts) < 2 or len(parts) % 2 or parts[-2:] != [b"", b""]:
        raise ProtocolError("invalid startup packet layout")
    names, values = parts[:-2:2], parts[1:-2:2]
    if not all(names):
        raise ProtocolError("invalid startup packet layout")
    try:
        return {name.decode(): value for name, value in zip(names, values, strict=True)}
    except UnicodeDecodeError:
        raise ProtocolError("invalid startup packet layout") from None


def authentication_code(body: bytes) -> int:
    """The kind of an Authentication message."""
    if len(body) < 4:
        raise ProtocolError("invalid authentication message")
    (code,) = struct.unpack_from("!i", body)
    return int(code)


def password(body: bytes) -> str:
    """The text of a PasswordMessage."""
    if not body.endswith(b"\0") or b"\0" in body[:-1]:
        raise ProtocolError("invalid password packet")
    return body[:-1].decode(errors="replace")
