"""Processes that a local run started: found by a mark in their environment, and ended."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

MARK = "KEYLESS_PROCESS_OF"
"""Environment variable that every process of a local run carries: its home's absolute path.

A pid file can be lost or point at a stranger's process; the mark cannot, and children inherit it.
"""

LABS = "labs"
"""In a home: a home for each started lab's cloud. Building the platform anew is no end of a lab."""

GRACE_SECONDS = 15.0


def mark(home: Path) -> dict[str, str]:
    """The environment that marks a process as one of this home's run."""
    return {MARK: str(home.absolute())}


def find(home: Path) -> list[psutil.Process]:
    """Every live process of this home's run, our own ancestors excepted, oldest first."""
    wanted = {str(home.absolute()), str(home.resolve())}
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    by_hand = _started_by_hand(home, spared)
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid not in spared
                and (process.pid in by_hand or process.environ().get(MARK) in wanted)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append((process.create_time(), process.pid, process))
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return [process for _, _, process in sorted(found, key=lambda entry: entry[:2])]


def marked() -> set[str]:
    """The homes that live processes of this user are marked with, whether or not they exist."""
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(process.environ().get(MARK, ""))
        except (psutil.Error, OSError):
            continue
    return found - {""}


def _started_by_hand(home: Path, spared: set[int]) -> set[int]:
    """The home's cloud and its children: `python -m scripts.localcloud` carries no mark."""
    from scripts.localcloud.home import CloudDown, load

    try:
        cloud = psutil.Process(load(home).pid)
        if cloud.pid in spared:
            return set()
        return {cloud.pid, *(child.pid for child in cloud.children(recursive=True))}
    except (CloudDown, psutil.Error, OSError):
        return set()


def describe(process: psutil.Process) -> str:
    """Its pid and command line, short."""
    try:
        command = " ".join(process.cmdline()) or process.name()
    except (psutil.Error, OSError):
        command = "ended"
    return f"{process.pid}  {command[:100]}"


def end(processes: Iterable[psutil.Process], grace_seconds: float = GRACE_SECONDS) -> list[int]:
    """Ask each to stop, then kill what is left. Returns the pids that had to be killed."""
    waiting = list(processes)
    for process in waiting:
        _ignoring_gone(process.terminate)
    _, alive = psutil.wait_procs(waiting, timeout=grace_seconds)
    for process in alive:
        _ignoring_gone(process.kill)
    psutil.wait_procs(alive, timeout=grace_seconds)
    return [process.pid for process in alive]


def end_all(home: Path, grace_seconds: float = GRACE_SECONDS) -> int:
    """End every process of this home's run, those that are born meanwhile too; returns how many."""
    ended = 0
    deadline = time.monotonic() + 4 * grace_seconds
    while processes := find(home):
        end(processes, grace_seconds)
        ended += len(processes)
        if time.monotonic() > deadline:
            break
    return ended


def wipe(home: Path, spare: str | None = None) -> int:
    """End every process of the home and remove what it held; returns how many were ended.

    An entry called `spare` stays, and so does what runs in homes below it.
    """
    from scripts.localcloud.rds import postgres

    ended = end_all(home)
    for server in (home / "rds").glob("*"):
        postgres.remove(server)  # its socket may lie elsewhere, where the path is short enough
    for entry in home.iterdir():
        if entry.name == spare:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return ended


def _ignoring_gone(call: Callable[[], None]) -> None:
    try:
        call()
    except psutil.NoSuchProcess:
        return
