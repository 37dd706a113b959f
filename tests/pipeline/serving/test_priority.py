"""A challenger takes little from whoever answers, also while it loads."""

import os
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow


def test_a_model_in_the_background_has_a_low_priority_before_it_loads() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "pipeline.serving.worker", str(theirs.fileno())]
    process = subprocess.Popen([*command, "--background"], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        end = time.monotonic() + 60
        while os.getpriority(os.PRIO_PROCESS, process.pid) == own:
            assert time.monotonic() < end, "it has the priority of whoever answers"
            time.sleep(0.05)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(own + 10, 19)
    finally:
        ours.close()
    assert process.wait(60) == 0
