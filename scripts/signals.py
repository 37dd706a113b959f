"""Handle signals for as long as a block runs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, object], None] | signal.Handlers
_END_SECONDS = 1.5


@contextmanager
def handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Handle some signals meanwhile. Only the main thread may, and only it gets signals: in
    another one this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does; by default it would end us on the spot."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with handled({signal.SIGTERM: interrupt}):
        yield


@contextmanager
def passed_on(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Let signals end the command: SIGTERM by force if it must, an interrupt as it sees fit.

    A key at the terminal interrupts both of us. GitHub interrupts this process alone when a job is
    cancelled, sends SIGTERM 7.5 s later, and kills everything 2.5 s after that.
    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation
    """
    force = threading.Timer(_END_SECONDS, process.kill)

    def interrupt(*_: object) -> None:
        if not _at_terminal():
            process.send_signal(signal.SIGINT)

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        process.terminate()
        force.start()

    with handled({signal.SIGINT: interrupt, signal.SIGTERM: end}):
        yield
    force.cancel()


def _at_terminal() -> bool:
    """Whether a key at a terminal interrupts this process, and so its children."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def run_attended(start: Callable[[], subprocess.Popen[Any]]) -> int:
    """Run a child that ends in its own way when it is interrupted; the answer is its exit code.

    Raises KeyboardInterrupt where the interrupt ended it before it could say a word.
    """
    process = start()
    with passed_on(process):
        code = process.wait()
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    return code
