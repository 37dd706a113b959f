"""A small repository on GitHub, and a runner for its workflows."""

import signal
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from tests.actions_runner.github import Repository, push
from tests.actions_runner.job import Machine
from tests.actions_runner.origin import Origin
from tests.actions_runner.runner import Run, Runner

GRACE = {signal.SIGINT: 0.5, signal.SIGTERM: 0.5, signal.SIGKILL: 5.0}
Runs = Callable[..., Run]


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def runner(origin: Origin, tmp_path: Path) -> Runner:
    return Runner(origin, tmp_path / "github", machine=Machine(grace=GRACE))


def workflow(jobs: str, *, on: str = "push", top: str = "") -> str:
    """A workflow's text from its jobs."""
    return f"on: {on}\n{dedent(top)}\njobs:\n{indent(dedent(jobs), '  ')}"


def job(steps: str, *, head: str = "") -> str:
    """A workflow of one job from its steps."""
    body = f"{dedent(head)}\nruns-on: ubuntu-24.04\nsteps:\n{indent(dedent(steps), '  ')}"
    return workflow(f"main:\n{indent(body, '  ')}")


@pytest.fixture
def run(runner: Runner, origin: Origin) -> Runs:
    """Commit workflow files and run the first one on a push to main."""

    def start(*texts: str, files: dict[str, str] | None = None, **settings: Any) -> Run:
        named = {f".github/workflows/w{n}.yml": text for n, text in enumerate(texts)}
        commit = origin.commit({**named, **(files or {})})
        if settings:
            runner.repository = Repository(**settings)
        return runner.run("w0.yml", push(commit))

    return start
