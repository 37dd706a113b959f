"""The server's side of a model's process: starts it, passes requests in groups, watches it."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipeline.serving.worker import wire
from pipeline.serving.worker.wire import Frame

# What waits while the model works goes to it together: so many requests and bytes at most.
GROUP_REQUESTS, GROUP_BYTES = 64, 4 << 20
# While the model works on one group, the next one is on its way.
_UNDER_WAY = 2
_START_SECONDS = 60.0
# A model in the background loads on processor time that nobody else wants, and nobody waits for it.
_BACKGROUND_START_SECONDS = 900.0
# Large enough for a group: a full buffer would wake both sides several times for one frame.
_BUFFER_BYTES = 4 << 20


class ModelRefused(Exception):
    """The model is unfit to answer, and will be the next time too."""


class ModelFailed(Exception):
    """The process ended, hung or was stopped before it answered.

    `suspects` counts the requests that it worked on at its end, if this was one of them, else 0.
    """

    def __init__(self, message: str, suspects: int = 0) -> None:
        super().__init__(message)
        self.suspects = suspects


class Busy(Exception):
    """Too many requests wait already."""


@dataclass(frozen=True)
class Load:
    """A model's bytes, verified, and what its process must know: see worker.py."""

    version: str
    card: bytes
    model: bytes
    header: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One request to a model. `alone` keeps it out of groups; the rest is for its log."""

    id: str
    kind: str
    body: bytes
    received_at: str
    experiment: str | None = None
    assigned: str | None = None
    unit: str | None = None
    alone: bool = False

    def item(self) -> dict[str, Any]:
        """What the model's process gets beside the body."""
        return {
            "id": self.id,
            "kind": self.kind,
            "received_at": self.received_at,
            "experiment": self.experiment,
            "assigned": self.assigned,
            "unit": self.unit,
        }


@dataclass(frozen=True)
class Reply:
    """What the model's process answered."""

    status: int
    body: bytes
    rows: int
    score_total: float
    score_squares: float


@dataclass(eq=False)
class _Waiting:
    call: Call
    reply: "asyncio.Future[Reply]"


@dataclass
class _Group:
    waiting: list[_Waiting]
    sent_at: float = field(default_factory=time.monotonic)


class ModelProcess:
    """A running process with one model in it. Made by `start`."""

    def __init__(self, most_waiting: int, hang_seconds: float) -> None:
        self._most_waiting, self._hang_seconds = most_waiting, hang_seconds
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Semaphore(_UNDER_WAY)
        self._under_way: deque[_Group] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self.facts: Mapping[str, Any] = {}
        self.ended = asyncio.Event()

    @classmethod
    async def start(
        cls,
        load: Load,
        *,
        most_waiting: int = 1024,
        hang_seconds: float = 10.0,
        background: bool = False,
        idle: bool = False,
    ) -> "ModelProcess":
        """Start a process and load the model. Raises ModelRefused or ModelFailed.

        In the `background` it answers on processor time that nobody else wants; `idle` makes it
        load on such time too.
        """
        found = cls(most_waiting, hang_seconds)
        limit = _BACKGROUND_START_SECONDS if background else _START_SECONDS
        options = {"--background": background, "--idle": idle}
        await found._spawn([name for name, wanted in options.items() if wanted])
        try:
            async with asyncio.timeout(limit):
                await found._load(load)
        except TimeoutError:
            found._abandon()
            raise ModelFailed(f"it did not load within {limit:.0f} s") from None
        except BaseException:
            found._abandon()
            raise
        found._tasks = [
            asyncio.create_task(work()) for work in (found._send, found._receive, found._watch)
        ]
        return found

    @property
    def pid(self) -> int:
        """Of the model's process."""
        return self._process.pid

    @property
    def waiting(self) -> int:
        """Requests that wait or are under way."""
        return len(self._queue) + sum(len(group.waiting) for group in self._under_way)

    async def answer(self, call: Call) -> Reply:
        """Pass a request on and wait for the answer. Raises Busy or ModelFailed."""
        return await self._ask(call)

    async def answer_all(self, calls: Sequence[Call]) -> list[Reply | None]:
        """Pass requests on together and wait for all answers; None where there is none."""
        try:
            asked = [self._ask(call) for call in calls]
        except (Busy, ModelFailed):
            return [None] * len(calls)
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [reply if isinstance(reply, Reply) else None for reply in found]

    def _ask(self, call: Call) -> "asyncio.Future[Reply]":
        if self.ended.is_set():
            raise ModelFailed("its process has ended")
        if len(self._queue) >= self._most_waiting:
            raise Busy
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return waiting.reply

    def rotate(self) -> None:
        """Have the log so far made ready for upload, when its turn comes behind requests."""
        if not self.ended.is_set():
            self._writer.write(wire.encode(Frame({"kind": "rotate"})))

    async def stop(self) -> None:
        """Let it finish what it was asked, then end it."""
        while self.waiting and not self.ended.is_set():
            await asyncio.sleep(0.01)
        self._writer.close()
        try:
            # It still makes its log ready for upload.
            await asyncio.wait_for(self._process.wait(), timeout=self._hang_seconds)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        for task in self._tasks:
            task.cancel()

    def _abandon(self) -> None:
        self.kill()
        self._writer.close()

    def kill(self) -> None:
        """End it at once; what waits fails."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _spawn(self, options: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        command = [sys.executable, "-m", "pipeline.serving.worker", str(theirs.fileno())]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            *options,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=_environment(),
        )
        theirs.close()
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 20)

    async def _load(self, load: Load) -> None:
        frame = Frame(
            {"kind": "load", "version": load.version, **load.header}, [load.card, load.model]
        )
        self._writer.write(wire.encode(frame))
        reply = await wire.receive(self._reader)
        if reply is None:
            raise ModelFailed("its process ended while it loaded")
        if reply.header["kind"] == "refused":
            raise ModelRefused(reply.header["why"])
        self.facts = reply.header

    async def _send(self) -> None:
        """Pass on what waits, in groups, as long as there is room."""
        while True:
            await self._arrived.wait()
            await self._room.acquire()
            group = self._next_group()
            if not group:
                self._room.release()
                continue
            self._under_way.append(_Group(group))
            items = [waiting.call.item() for waiting in group]
            frame = Frame({"kind": "predict", "items": items}, [w.call.body for w in group])
            self._writer.write(wire.encode(frame))
            with suppress(ConnectionError):
                await self._writer.drain()

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._queue and len(group) < GROUP_REQUESTS:
            waiting = self._queue[0]
            if group and (waiting.call.alone or size + len(waiting.call.body) > GROUP_BYTES):
                break
            self._queue.popleft()
            # Whoever hung up meanwhile wants no answer.
            if not waiting.reply.done():
                group.append(waiting)
                size += len(waiting.call.body)
            if waiting.call.alone:
                break
        if not self._queue:
            self._arrived.clear()
        return group

    async def _receive(self) -> None:
        """Hand answers out; at the end of the process everything that waits fails."""
        try:
            while (frame := await wire.receive(self._reader)) is not None:
                group = self._under_way.popleft()
                self._room.release()
                if self._under_way:
                    self._under_way[0].sent_at = time.monotonic()
                answers = zip(group.waiting, frame.header["items"], frame.parts, strict=True)
                for waiting, (status, rows, total, squares), body in answers:
                    _resolve(waiting.reply, Reply(status, body, rows, total, squares))
        except (wire.BrokenFrame, ValueError, KeyError, IndexError):
            self.kill()
        finally:
            self._fail()

    async def _watch(self) -> None:
        """End a process that works on one group for too long."""
        while not self.ended.is_set():
            await asyncio.sleep(min(1.0, self._hang_seconds / 4))
            if not self._under_way:
                continue
            if time.monotonic() - self._under_way[0].sent_at > self._hang_seconds:
                self.kill()
                return

    def _fail(self) -> None:
        self.ended.set()
        # Left to the garbage collector, the connection's number is closed twice: the second time it
        # may be that of a client who has just connected.
        self._writer.close()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        worked_on = self._under_way.popleft().waiting if self._under_way else []
        behind = [waiting for group in self._under_way for waiting in group.waiting]
        for waiting in (*worked_on, *behind, *self._queue):
            suspects = len(worked_on) if waiting in worked_on else 0
            if not waiting.reply.done():
                waiting.reply.set_exception(ModelFailed("its process ended", suspects))
        self._under_way.clear()
        self._queue.clear()


def _resolve(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _environment() -> dict[str, str]:
    """Nothing of AWS, no secret: a model needs none.

    Its libraries get one thread each: on 1,000 rows two took 10.2 ms where one took 7.6, because
    they meet at every tree.
    """
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "PYTHONPATH",
        "PYTHONHASHSEED",
        "TMPDIR",
        "VIRTUAL_ENV",
    )
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {name: os.environ[name] for name in kept if name in os.environ} | threads
