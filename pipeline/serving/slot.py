"""A place for one model in the server: swaps models without losing a request, revives dead ones."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.serving.models import Wanted
from pipeline.serving.process import Call, Load, ModelFailed, ModelProcess, Reply

log = logging.getLogger(__name__)
_LONGEST_PAUSE = 30.0
# To load a model takes seconds of processor time, which nobody needs of one in the background: it
# comes back after a hundred times as long, and loads on time that nobody else wants.
_BACKGROUND_PAUSE, _LONGEST_BACKGROUND_PAUSE = 300.0, 3600.0
# On a busy machine it may wait for the processor for so many times as long and not hang.
_BACKGROUND_PATIENCE = 3
_ATTEMPTS = 5

Loader = Callable[[Wanted], Awaitable[Load]]


class Slot:
    """Holds the model that answers as `name`, and the one that replaces it until that is ready."""

    def __init__(
        self, name: str, loader: Loader, *, background: bool = False, hang_seconds: float = 10.0
    ) -> None:
        self.name = name
        self._loader, self._hang_seconds = loader, hang_seconds
        self.background = background
        self._process: ModelProcess | None = None
        self.wanted: Wanted | None = None
        self.swaps = 0
        self.revivals = 0
        self._reviving = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether a process with a model answers now."""
        return self._process is not None and not self._process.ended.is_set()

    def on_trial(self, experiment: str) -> bool:
        """Whether the model that answers is this experiment's: one may begin as another ends."""
        return (
            self.ready
            and self.wanted is not None
            and self.wanted.note.get("experiment") == experiment
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What the model's process said of its contract; empty before the first model."""
        return dict(self._process.facts) if self._process else {}

    @property
    def waiting(self) -> int:
        """Requests that wait for this model or are under way."""
        return self._process.waiting if self._process else 0

    async def show(self, wanted: Wanted) -> None:
        """Load a model, and let it take over once it answers; the last one ends after its answers.

        Raises ModelRefused or ModelFailed; then the last one goes on.
        """
        process = await self._start(wanted)
        last, self._process, self.wanted = self._process, process, wanted
        self.swaps += 1
        self._watch(process)
        if last is not None:
            self._let_go(last)

    async def clear(self) -> None:
        """Hold no model any more."""
        last, self._process, self.wanted = self._process, None, None
        if self._keeper is not None:
            self._keeper.cancel()
        if last is not None:
            self._let_go(last)

    async def answer(self, call: Call) -> Reply:
        """An answer, on a revived process where one ends meanwhile.

        Raises Busy, or ModelFailed for a request at which the model ends.
        """
        process = self._process
        if process is None:
            raise ModelFailed("there is no model yet")
        for _ in range(_ATTEMPTS):
            try:
                return await process.answer(call)
            except ModelFailed as failure:
                if call.alone and failure.suspects:
                    raise
                # Alone the next time, so that it shows whether this request is the reason.
                call = replace(call, alone=call.alone or failure.suspects > 0)
                process = await self._revive(process)
        raise ModelFailed(f"its process ended {_ATTEMPTS} times")

    async def try_answer(self, call: Call) -> Reply:
        """An answer, or ModelFailed at once: for a challenger, whom the champion stands in for."""
        if self._process is None:
            raise ModelFailed("there is no model yet")
        return await self._process.answer(call)

    async def try_all(self, calls: Sequence[Call]) -> list[Reply | None]:
        """Answers to requests that go to the model together, None for each that it fails."""
        if self._process is None:
            return [None] * len(calls)
        return await self._process.answer_all(calls)

    def rotate(self) -> None:
        """Have the log so far made ready for upload, soon."""
        if self._process is not None:
            self._process.rotate()

    async def close(self) -> None:
        """End every process after its last answer."""
        await self.clear()
        await asyncio.gather(*self._leaving)

    async def _start(self, wanted: Wanted, *, again: bool = False) -> ModelProcess:
        return await ModelProcess.start(
            await self._loader(wanted),
            hang_seconds=self._hang_seconds * (_BACKGROUND_PATIENCE if self.background else 1),
            background=self.background,
            idle=self.background and again,
        )

    def _let_go(self, process: ModelProcess) -> None:
        task = asyncio.create_task(process.stop())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _watch(self, process: ModelProcess) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        self._keeper = asyncio.create_task(self._keep_alive(process))

    async def _keep_alive(self, process: ModelProcess) -> None:
        """Replace a process that ends by itself, with growing pauses."""
        pause = _BACKGROUND_PAUSE if self.background else 0.0
        longest = _LONGEST_BACKGROUND_PAUSE if self.background else _LONGEST_PAUSE
        while True:
            await process.ended.wait()
            await asyncio.sleep(pause)
            try:
                process = await self._revive(process)
            except ModelFailed as failure:
                log.warning("%s does not come back: %s", self.name, failure)
            pause = min(2 * pause + 0.5, longest)

    async def _revive(self, dead: ModelProcess) -> ModelProcess:
        """The process after a dead one; whoever comes first starts it, the others wait for it."""
        async with self._reviving:
            if self._process is not None and self._process is not dead:
                return self._process
            if self.wanted is None:
                raise ModelFailed("the model was taken away")
            log.warning("the process of %s ended; starting another", self.name)
            try:
                process = await self._start(self.wanted, again=True)
            except Exception as error:
                raise ModelFailed(f"no other process could be started: {error}") from error
            self._process = process
            self.revivals += 1
            return process
