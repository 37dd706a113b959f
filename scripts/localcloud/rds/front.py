"""The TLS front of one database instance: tokens for members of rds_iam, SCRAM for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from scripts.localcloud.rds import wire
from scripts.localcloud.rds.login_token import TokenRefused
from scripts.localcloud.rds.postgres import SUPERUSER

log = logging.getLogger(__name__)

AUTHENTICATION_SECONDS = 60
_CHUNK = 65_536
_CLOSE_SECONDS = 2


class Backend(Protocol):
    """The PostgreSQL server behind the front."""

    @property
    def master(self) -> str:
        """The name of the master user."""

    @property
    def socket(self) -> Path:
        """The folder of PostgreSQL's socket."""

    def locked_out(self, user: str) -> bool:
        """Whether the user may log in by token alone."""


class _Refused(Exception):
    """The client gets one error and is disconnected."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Front:
    """Accepts PostgreSQL clients on a free loopback port, over TLS only.

    PostgreSQL decides how a user proves who they are. Where it would let a member of rds_iam in
    without asking (`trust`), the front holds its answer back until `admit(token, user)`, called
    in a thread, returns; everything else passes through unchanged.
    """

    def __init__(
        self,
        backend: Backend,
        certificate: tuple[Path, Path],
        admit: Callable[[str, str], None],
    ) -> None:
        self._backend = backend
        self._admit = admit
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(*certificate)
        self._tls.set_alpn_protocols([wire.ALPN])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._accepting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to accept clients."""
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Free the port and disconnect every client."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, *self._cancelled(), return_exceptions=True)
        self._listener.close()

    def _cancelled(self) -> list[asyncio.Task[None]]:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            task = asyncio.create_task(self._handle(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle(self, client: socket.socket) -> None:
        client.setblocking(False)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(client.close)
                async with asyncio.timeout(AUTHENTICATION_SECONDS):
                    opened = await self._open(client, stack)
                if opened is not None:
                    await _pump(*opened)
        except (OSError, EOFError, TimeoutError, wire.ProtocolError) as failure:
            log.debug("client gone: %s", failure)

    async def _open(
        self, client: socket.socket, stack: contextlib.AsyncExitStack
    ) -> tuple[_Stream, _Stream] | None:
        """Lead a client to an open session; None if there is nothing more to do."""
        direct = await _begins_with_tls(client)
        if not direct and not await self._asks_for_tls(client):
            return None
        stream = await _encrypted(client, self._tls)
        stack.push_async_callback(stream.close)
        if direct and stream.protocol != wire.ALPN:
            raise wire.ProtocolError("direct TLS without the protocol's name")
        try:
            return await self._authenticate(stream, stack)
        except _Refused as refusal:
            await stream.send(wire.error(refusal.code, str(refusal)))
            return None

    async def _asks_for_tls(self, client: socket.socket) -> bool:
        """Answer what comes in plain text: requests for encryption, cancellations, refusals.

        Exactly the bytes of a request are read. What somebody slips in behind it (the attack of
        CVE-2021-23214) then disturbs the TLS handshake, instead of counting as encrypted.
        """
        loop = asyncio.get_running_loop()
        while True:
            length, code = struct.unpack("!ii", await _receive(client, 8))
            if not 8 <= length <= wire.LONGEST_STARTUP:
                raise wire.ProtocolError("invalid length of startup packet")
            if code == wire.SSL_REQUEST:
                await loop.sock_sendall(client, b"S")
                return True
            if code == wire.GSS_REQUEST:
                await loop.sock_sendall(client, b"N")
                continue
            body = await _receive(client, length - 8)
            if code == wire.CANCEL_REQUEST:
                await self._cancel(body)
            elif code >> 16 == wire.PROTOCOL_3:
                await loop.sock_sendall(client, _refuse_plain_text(client, body))
            return False

    async def _cancel(self, body: bytes) -> None:
        backend = await self._connect()
        try:
            request = struct.pack("!ii", len(body) + 8, wire.CANCEL_REQUEST)
            await backend.send(request + body)
            await backend.reader.read()
        finally:
            await backend.close()

    async def _connect(self) -> _Stream:
        try:
            return _Stream(*await asyncio.open_unix_connection(self._backend.socket))
        except OSError:
            raise _Refused(wire.CANNOT_CONNECT_NOW, "the database system is starting up") from None

    async def _authenticate(
        self, client: _Stream, stack: contextlib.AsyncExitStack
    ) -> tuple[_Stream, _Stream] | None:
        length, code = struct.unpack("!ii", await client.reader.readexactly(8))
        if not 8 <= length <= wire.LONGEST_STARTUP:
            raise wire.ProtocolError("invalid length of startup packet")
        body = await client.reader.readexactly(length - 8)
        if code == wire.CANCEL_REQUEST:
            await self._cancel(body)
            return None
        if code >> 16 != wire.PROTOCOL_3:
            raise wire.ProtocolError("unsupported frontend protocol")
        parameters = wire.parse_startup(body)
        user = parameters.get("user", b"").decode(errors="replace")
        await self._refuse_insiders(client, user, parameters)
        backend = await self._connect()
        stack.push_async_callback(backend.close)
        await backend.send(wire.startup(code, parameters))
        await self._relay_first_answer(client, backend, user)
        return client, backend

    async def _refuse_insiders(
        self, client: _Stream, user: str, parameters: dict[str, bytes]
    ) -> None:
        """Turn away AWS's own superuser, a master that locked itself out, and names that no user
        can have: PostgreSQL would let the first 63 bytes in."""
        if len(parameters.get("user", b"")) > wire.LONGEST_NAME:
            raise _pam_failed(user)
        if user == SUPERUSER:
            database = parameters.get("database", b"").decode(errors="replace") or user
            raise _Refused(
                wire.INVALID_AUTHORIZATION,
                f'pg_hba.conf rejects connection for host "{client.peer}", user "{user}", '
                f'database "{database}", SSL encryption',
            )
        if user == self._backend.master and await asyncio.to_thread(self._backend.locked_out, user):
            # RDS would take a token here; nothing in this project signs one for the master.
            await self._ask_password(client)
            raise _pam_failed(user)

    async def _relay_first_answer(self, client: _Stream, backend: _Stream, user: str) -> None:
        """Hold PostgreSQL's first answer back where it must not pass without a token."""
        held = b""
        while True:
            kind, body = await backend.message(_CHUNK)
            held += wire.message(kind, body)
            if kind in b"RE":
                break
        if kind == b"R":
            code = wire.authentication_code(body)
            if code == wire.AUTHENTICATION_OK:
                await self._demand_token(client, user)
            elif code != wire.AUTHENTICATION_SASL:
                raise _pam_failed(user)
        await client.send(held)

    async def _demand_token(self, client: _Stream, user: str) -> None:
        token = await self._ask_password(client)
        try:
            await asyncio.to_thread(self._admit, token, user)
        except TokenRefused as refusal:
            log.info("user %r refused: %s", user, refusal)
            raise _pam_failed(user) from refusal

    async def _ask_password(self, client: _Stream) -> str:
        await client.send(wire.authentication(wire.AUTHENTICATION_CLEARTEXT))
        kind, body = await client.message(wire.LONGEST_PASSWORD)
        if kind != b"p":
            raise wire.ProtocolError("expected password response")
        return wire.password(body)


class _Stream:
    """One side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        peer = writer.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else "[local]"
        secured = writer.get_extra_info("ssl_object")
        self.protocol = secured.selected_alpn_protocol() if secured is not None else None

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def message(self, longest: int) -> tuple[bytes, bytes]:
        kind, length = struct.unpack("!ci", await self.reader.readexactly(5))
        if not 4 <= length <= longest + 4:
            raise wire.ProtocolError("invalid message length")
        return kind, await self.reader.readexactly(length - 4)

    async def close(self) -> None:
        """Send what is left, then close; a peer that does not answer is not waited for."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


async def _begins_with_tls(client: socket.socket) -> bool:
    """Whether a client shakes hands without asking first (sslnegotiation=direct, PostgreSQL 17).

    The byte that tells is left for the handshake.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(client, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(client)
    return client.recv(1, socket.MSG_PEEK) == wire.TLS_HANDSHAKE


async def _receive(client: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < count:
        part = await loop.sock_recv(client, count - len(received))
        if not part:
            raise EOFError("the client closed the connection")
        received += part
    return received


async def _encrypted(client: socket.socket, context: ssl.SSLContext) -> _Stream:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=context)
    return _Stream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def _pump(client: _Stream, backend: _Stream) -> None:
    """Copy both ways until one side ends."""

    async def copy(source: _Stream, target: _Stream) -> None:
        while data := await source.reader.read(_CHUNK):
            await target.send(data)

    ways = [
        asyncio.create_task(copy(client, backend)),
        asyncio.create_task(copy(backend, client)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


def _refuse_plain_text(client: socket.socket, body: bytes) -> bytes:
    """What RDS answers with rds.force_ssl = 1."""
    parameters = wire.parse_startup(body)
    user = parameters.get("user", b"").decode(errors="replace")
    database = parameters.get("database", b"").decode(errors="replace") or user
    return wire.error(
        wire.INVALID_AUTHORIZATION,
        f'no pg_hba.conf entry for host "{client.getpeername()[0]}", user "{user}", '
        f'database "{database}", no encryption',
    )


def _pam_failed(user: str) -> _Refused:
    return _Refused(wire.INVALID_AUTHORIZATION, f'PAM authentication failed for user "{user}"')
