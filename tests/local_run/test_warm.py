"""A process started early becomes its step with exactly the orders that it gets."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.local_run.warm import WarmProcess

STEP = """
import os, sys
print(__name__, sys.argv[1:], sorted(name for name in os.environ if name.startswith("STEP_")))
sys.exit(int(os.environ["STEP_EXIT"]))
"""


@pytest.fixture
def warm(tmp_path: Path) -> WarmProcess:
    (tmp_path / "a_step.py").write_text(STEP)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
        "STEP_EARLY": "1",
    }
    return WarmProcess("a_step", ["decimal"], folder=tmp_path, environment=environment)


def test_the_step_gets_its_arguments_and_nothing_but_the_late_environment(
    warm: WarmProcess,
) -> None:
    process = warm.start(["--fast"], {"STEP_EXIT": "3"})
    assert process.stdout is not None
    assert process.stdout.read() == "__main__ ['--fast'] ['STEP_EXIT']\n"
    assert process.wait(30) == 3
    warm.end()


def test_a_process_that_is_not_needed_ends(warm: WarmProcess) -> None:
    warm.end()
    assert warm.process.poll() is not None
