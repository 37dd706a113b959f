"""A reverse proxy as an Application Load Balancer is one: weights, health checks, TLS."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, web

log = logging.getLogger(__name__)

# Health checks of AWS come every 5 s at most; here they may come sooner, so that a run is short.
LONGEST_INTERVAL = 0.5
HEALTH_SECONDS = 5.0
# What a connection says of itself, and a proxy does not pass on. RFC 9110, 7.6.1
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
    }
)


@dataclass(frozen=True)
class Group:
    """A target group: its weight, the local ports of its targets, and its health check."""

    arn: str
    weight: int
    ports: tuple[int, ...]
    health_path: str = "/"
    interval: float = LONGEST_INTERVAL
    unhealthy_after: int = 2


Groups = Callable[[], Sequence[Group]]


@dataclass
class _Health:
    """What the checks of one target came to; `open` counts requests under way."""

    healthy: bool = False
    failures: int = 0
    open: int = 0


class Forwarder:
    """One listener. `groups` is asked again before each choice, so that changes count at once."""

    def __init__(self, groups: Groups, tls: ssl.SSLContext | None) -> None:
        self._groups, self._tls = groups, tls
        self._health: dict[int, _Health] = {}
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="balancer", daemon=True)
        self.port = 0

    def start(self) -> None:
        """Listen on a free port of the loopback address; `port` holds it afterwards."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """End the listener and what is under way."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def healthy(self, port: int) -> bool:
        """Whether the checks of a target passed."""
        known = self._health.get(port)
        return known is not None and known.healthy

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        server: Any = site._server
        self.port = server.sockets[0].getsockname()[1]
        timeout = ClientTimeout(total=60)  # the load balancer's idle timeout
        async with ClientSession(timeout=timeout, auto_decompress=False) as self._session:
            checks = asyncio.create_task(self._check_again_and_again())
            self._ready.set()
            await self._end.wait()
            checks.cancel()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        tried: set[int] = set()
        while True:
            port = self._choose(tried)
            if port is None:
                return web.Response(status=502 if tried else 503)
            tried.add(port)
            health = self._health.setdefault(port, _Health())
            health.open += 1
            try:
                return await self._pass_on(request, port, body)
            except ClientConnectorError:
                # Nothing was sent, so another target may answer. AWS takes a target that leaves
                # out of the group before it ends; here both happen at once.
                health.healthy = False
            except TimeoutError:
                return web.Response(status=504)
            except ClientError:
                return web.Response(status=502)
            finally:
                health.open -= 1

    async def _pass_on(self, request: web.Request, port: int, body: bytes) -> web.Response:
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        headers.append(("X-Forwarded-For", request.remote or ""))
        headers.append(("X-Forwarded-Proto", "https" if self._tls else "http"))
        address = f"http://127.0.0.1:{port}{request.raw_path}"
        async with self._session.request(
            request.method, address, data=body, headers=headers, allow_redirects=False
        ) as answer:
            content = await answer.read()
            kept = [
                (name, value)
                for name, value in answer.headers.items()
                if name.lower() not in _HOP_BY_HOP
            ]
        return web.Response(status=answer.status, body=content, headers=kept)

    def _choose(self, tried: set[int]) -> int | None:
        """A target: the group by weight, in it the one with the fewest requests under way.

        Where no target of the chosen group is healthy, all of them count, as on AWS.
        """
        groups = [group for group in self._groups() if group.weight > 0 and group.ports]
        groups = [group for group in groups if set(group.ports) - tried]
        if not groups:
            return None
        (group,) = random.choices(groups, [group.weight for group in groups])
        left = [port for port in group.ports if port not in tried]
        healthy = [port for port in left if self.healthy(port)]
        return min(healthy or left, key=lambda port: self._health.setdefault(port, _Health()).open)

    async def _check_again_and_again(self) -> None:
        while True:
            groups = list(self._groups())
            await asyncio.gather(
                *(self._check(group, port) for group in groups for port in group.ports)
            )
            await asyncio.sleep(min((group.interval for group in groups), default=0.1))

    async def _check(self, group: Group, port: int) -> None:
        health = self._health.setdefault(port, _Health())
        if await self._answers(f"http://127.0.0.1:{port}{group.health_path}"):
            health.healthy, health.failures = True, 0
        else:
            health.failures += 1
            if health.failures >= group.unhealthy_after:
                health.healthy = False

    async def _answers(self, address: str) -> bool:
        try:
            timeout = ClientTimeout(total=HEALTH_SECONDS)
            async with self._session.get(address, timeout=timeout) as answer:
                return answer.status == 200
        except (ClientError, TimeoutError):
            return False
