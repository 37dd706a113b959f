"""A challenger takes little from whoever answers, also while it loads."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.pipeline.serving.running import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def waiting_worker(*options: str) -> Iterator[int]:
    """A model's process that has nothing to load yet."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "pipeline.serving.worker", str(theirs.fileno())]
    process = subprocess.Popen([*command, *options], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        yield process.pid
    finally:
        ours.close()
    assert process.wait(60) == 0


def niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def gives_way(pid: int) -> bool:
    return os.sched_getscheduler(pid) == os.SCHED_IDLE or niceness(pid) == 19


@pytest.mark.parametrize(
    ("options", "low"),
    [
        (["--background"], lambda pid: niceness(pid) == min(niceness(0) + 10, 19)),
        (["--background", "--idle"], gives_way),
    ],
)
def test_a_model_in_the_background_has_a_low_priority_before_it_loads(
    options: list[str], low: Callable[[int], bool]
) -> None:
    with waiting_worker(*options) as pid:
        wait_until(lambda: low(pid), "it has the priority of whoever answers")
