"""How far a step is, on standard error: one line on a terminal, elsewhere one in a while."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_ON_A_TERMINAL = (2.0, 0.5)
_ELSEWHERE = (30.0, 30.0)
_WHOLE_LINE = "\r\x1b[K"

_doing = "working"


def note(doing: str) -> None:
    """Say what the step does now; it is shown when the next line is due."""
    global _doing
    _doing = doing


@contextmanager
def shown(stream: TextIO | None = None) -> Iterator[None]:
    """While this lasts, show what was noted last and for how long the step has run.

    `stream` is standard error unless it is named. A step that ends within two seconds, or thirty
    where no terminal is, shows nothing.
    """
    note("working")
    stream = stream or sys.stderr
    if stream is None:  # closed by who started the step
        yield
        return
    ended, started, terminal = threading.Event(), time.monotonic(), stream.isatty()
    first, every = _ON_A_TERMINAL if terminal else _ELSEWHERE

    def tell() -> None:
        wait = first
        # The reader of the stream may be gone; the step goes on.
        with suppress(OSError, ValueError):
            while not ended.wait(wait):
                wait = every
                minutes, seconds = divmod(int(time.monotonic() - started), 60)
                line = f"{_doing}, {minutes}:{seconds:02d}"
                stream.write(f"{_WHOLE_LINE}{line}" if terminal else f"{line} so far\n")
                stream.flush()
            if terminal and wait == every:
                stream.write(_WHOLE_LINE)
                stream.flush()

    # A thread of its own: one fit of a wide table takes minutes in which no line of ours runs.
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
