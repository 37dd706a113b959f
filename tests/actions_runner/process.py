"""A step's process: its files, its lines, its end; what it leaves behind is found and ended."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

# GitHub interrupts, asks 7.5 s later, and kills 2.5 s after that.
# https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation
GRACE_SECONDS = {signal.SIGINT: 7.5, signal.SIGTERM: 2.5, signal.SIGKILL: 5.0}
MARK = "RUNNER_TRACKING_ID"
_POLL_SECONDS = 0.01


class CommandError(Exception):
    """A step wrote what GitHub refuses into one of its files or to its output."""


@dataclass
class Ended:
    """How a process ended. `code` is None when it had to be stopped."""

    code: int | None
    log: list[str]
    timed_out: bool = False
    cancelled: bool = False


@dataclass
class Files:
    """The files through which a step talks to the runner."""

    folder: Path
    paths: dict[str, Path] = field(default_factory=dict)

    NAMES = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        for name in self.NAMES:
            self.paths[name] = self.folder / name.lower()
            self.paths[name].touch()

    def environment(self) -> dict[str, str]:
        return {name: str(path) for name, path in self.paths.items()}

    def outputs(self) -> dict[str, str]:
        return parse_pairs(self._text("GITHUB_OUTPUT"))

    def variables(self) -> dict[str, str]:
        found = parse_pairs(self._text("GITHUB_ENV"))
        for name in found:
            if name.upper().startswith(("GITHUB_", "RUNNER_")) or name == "NODE_OPTIONS":
                raise CommandError(f"a step may not set {name} through GITHUB_ENV")
        return found

    def path(self) -> list[str]:
        return [line for line in self._text("GITHUB_PATH").splitlines() if line]

    def summary(self) -> str:
        return self._text("GITHUB_STEP_SUMMARY")

    def _text(self, name: str) -> str:
        return self.paths[name].read_text(encoding="utf-8")


def parse_pairs(text: str) -> dict[str, str]:
    """Read `name=value` lines and `name<<END … END` blocks. Raises CommandError."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if not line:
            continue
        block = re.fullmatch(r"([^=<]+)<<(.+)", line)
        if block:
            value: list[str] = []
            for inner in lines:
                if inner == block[2]:
                    break
                value.append(inner)
            else:
                raise CommandError(f"the delimiter {block[2]!r} of {block[1]} is missing")
            found[block[1]] = "\n".join(value)
        elif "=" in line:
            name, _, rest = line.partition("=")
            found[name] = rest
        else:
            raise CommandError(f"invalid format {line!r}")
    return found


@dataclass
class Commands:
    """Workflow commands that a step printed, and the values that are hidden in logs."""

    masks: set[str] = field(default_factory=set)
    annotations: list[tuple[str, str]] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """Take note of one line of output. Raises CommandError for a command that is gone."""
        command = re.match(r"::([a-z-]+)(?: [^:]*(?::(?!:)[^:]*)*)?::(.*)", line)
        if command is None:
            return
        name, value = command[1], command[2]
        if name == "add-mask":
            self.masks.add(value)
        elif name in ("notice", "warning", "error"):
            self.annotations.append((name, value))
        elif name not in ("debug", "group", "endgroup"):
            raise CommandError(f"the runner does not know the command ::{name}::")

    def hide(self, line: str) -> str:
        for mask in sorted(filter(None, self.masks), key=len, reverse=True):
            line = line.replace(mask, "***")
        return line


def run(
    command: list[str],
    *,
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    timeout: float,
    cancel: threading.Event,
    commands: Commands,
    grace: Mapping[signal.Signals, float] = GRACE_SECONDS,
) -> Ended:
    """Run one command to its end, or stop it as GitHub does when its time is up or it is cancelled.

    Raises CommandError when it prints a command that GitHub refuses. `log` is written.
    """
    stopped = False
    # A file, not a pipe: what a step leaves running would hold a pipe open.
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        deadline = time.monotonic() + timeout
        while process.poll() is None:
            if cancel.wait(_POLL_SECONDS) or time.monotonic() > deadline:
                stopped = True
                _stop(process, grace)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        commands.hear(line)
    return Ended(
        code=None if stopped else process.returncode,
        log=[commands.hide(line) for line in lines],
        timed_out=stopped and not cancel.is_set(),
        cancelled=stopped and cancel.is_set(),
    )


def _stop(process: subprocess.Popen[bytes], grace: Mapping[signal.Signals, float]) -> None:
    """Interrupt, ask, kill: the entry process alone for the first two, as GitHub does."""
    for number, seconds in grace.items():
        with contextlib.suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
        return


def end_orphans(mark: str) -> list[str]:
    """End every process that still carries the job's mark, and name them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append((" ".join(process.cmdline()), process))
    for _, process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs([process for _, process in found], timeout=5)
    return [name for name, _ in found]
