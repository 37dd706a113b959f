"""Keeps one process of an instance running, as systemd keeps a service running on the box."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.2
HEALTHY_SECONDS = 30
STOP_SECONDS = 30


class SupervisedProcess:
    """A command in a process group of its own, started again when it ends.

    The pause before a restart doubles from a fifth of a second up to `longest_pause` seconds; a
    process that ran for half a minute begins anew.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_file: Path,
        *,
        restart: str,
        longest_pause: float,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = dict(environment)
        self._log_file = log_file
        self._restart = restart
        self._longest_pause = longest_pause
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the command. Returns at once."""
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process number, None between two runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def ask_to_stop(self) -> None:
        """Send SIGTERM and start it no more; `stop` waits for the end."""
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()  # the main process alone, as KillMode=mixed does

    def stop(self) -> None:
        """End the whole process group, by force if it does not end in time."""
        self.ask_to_stop()
        self._thread.join(STOP_SECONDS)
        if self._process is not None:
            # Whatever the command left behind in its group goes too.
            _signal(self._process, signal.SIGKILL)
        self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            code = self._run_once()
            if self._restart == "no" or (self._restart == "on-failure" and code == 0):
                return
            if time.monotonic() - started > HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            if not self._stopping.is_set():
                log.warning("%s ended with code %s", self.name, code)
            self._stopping.wait(min(pause, self._longest_pause))
            pause *= 2

    def _run_once(self) -> int | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            with self._log_file.open("ab") as output:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        code = self._process.wait()
        # systemd's control group: what a dead service leaves behind does not outlive it.
        _signal(self._process, signal.SIGKILL)
        return code


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group's number is the process's; the group may outlive the process.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
