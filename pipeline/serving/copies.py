"""Copies of requests for a challenger in the background: bounded, in groups, seldom."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pipeline.model.threads import cores
from pipeline.rollouts.policy import CHALLENGER
from pipeline.serving.gauges import Gauges, Tallies
from pipeline.serving.process import Call
from pipeline.serving.slot import Slot

# A group takes little more of the processor than one copy alone, so copies wait for each other.
GATHER_SECONDS = 0.05
# To send one and to read its answers holds the server's loop, so it is small.
GROUP_REQUESTS, GROUP_BYTES = 64, 256 << 10
# A challenger that hangs keeps what waits in memory.
MOST_BYTES = 16 << 20
# The server and the champion's process fill two cores. Without a third one the challenger works
# one part in 1,000 of the time, so that fewer than one in a hundred answers can notice it. `Pace`
# bounds the pause: a group that took long has mostly waited for the processor.
_BUSY_CORES, _PAUSES = 2, 999


@dataclass(frozen=True)
class Copy:
    """A request that the champion answered, and the experiment that counts the challenger's."""

    call: Call
    experiment: str


class Copies:
    """A bounded queue of copies. `run` hands them to the challenger; nobody waits for its answers.

    `pauses` is how many times as long as a group took nothing is handed on, `longest_pause` the
    most seconds of that: a group that takes long has mostly waited, for the processor or in a model
    that hangs.
    """

    def __init__(
        self,
        challenger: Slot,
        gauges: Gauges,
        tallies: Tallies,
        most: int,
        longest_pause: float,
        pauses: int | None = None,
    ) -> None:
        self._challenger, self._gauges, self._tallies = challenger, gauges, tallies
        # Looked up once: where a challenger hangs, every request counts here.
        self._dropped = gauges.copies.labels("dropped")
        self._most, self._longest_pause, self._pauses = most, longest_pause, pauses
        self._waiting: deque[Copy] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._under_way: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Copies that were not handed on yet."""
        return len(self._waiting)

    def add(self, copy: Copy) -> None:
        """Queue a copy; drop it where there is no room or no challenger."""
        size = len(copy.call.body)
        full = self.waiting >= self._most or self._bytes + size > MOST_BYTES
        if full or not self._challenger.ready:
            self._dropped.inc()
            return
        self._waiting.append(copy)
        self._bytes += size
        self._arrived.set()

    async def run(self) -> None:
        """Hand on what waits, group by group, for ever."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(GATHER_SECONDS)
            if not (group := self._group()):  # they were dropped meanwhile
                continue
            began = time.monotonic()
            self._under_way = asyncio.create_task(self._hand_on(group))
            await asyncio.wait({self._under_way})
            pauses = _pauses() if self._pauses is None else self._pauses
            pause = pauses * (time.monotonic() - began)
            await asyncio.sleep(min(pause, self._longest_pause))

    def clear(self) -> None:
        """Drop what waits or is under way: the challenger it was meant for goes."""
        self._count("dropped", self.waiting)
        self._waiting.clear()
        self._bytes = 0
        if self._under_way is not None:
            self._under_way.cancel()

    def _group(self) -> list[Copy]:
        """The oldest copies, of one experiment and of a size that takes little time."""
        group: list[Copy] = []
        size = 0
        while self._waiting and len(group) < GROUP_REQUESTS:
            first = self._waiting[0]
            size += len(first.call.body)
            if group and (size > GROUP_BYTES or first.experiment != group[0].experiment):
                break
            group.append(self._waiting.popleft())
            self._bytes -= len(first.call.body)
        if not self._waiting:
            self._arrived.clear()
        return group

    async def _hand_on(self, group: Sequence[Copy]) -> None:
        # Between two looks one rollout may end and another begin.
        if not self._challenger.on_trial(group[0].experiment):
            self._count("dropped", len(group))
            return
        replies = await self._challenger.try_all([copy.call for copy in group])
        answers = [reply for reply in replies if reply is not None]
        self._count("answered", len(answers))
        self._count("failed", len(group) - len(answers))
        # How long they took says nothing: the challenger runs on what the champion leaves of the
        # processor. The champion answered each of them, so any status but 200 is an error.
        self._tallies.add(
            group[0].experiment,
            CHALLENGER,
            requests=len(group),
            errors=len(group) - sum(reply.status == 200 for reply in answers),
            rows=sum(reply.rows for reply in answers),
            score_total=sum(reply.score_total for reply in answers),
            score_squares=sum(reply.score_squares for reply in answers),
        )

    def _count(self, outcome: str, number: int) -> None:
        if number:
            self._gauges.copies.labels(outcome).inc(number)


@cache
def _pauses() -> int:
    return 0 if cores() > _BUSY_CORES else _PAUSES
