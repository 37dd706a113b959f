"""Start a local cloud as a process of its own, and wait until it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from scripts.console import UserError
from scripts.local_run import leftovers
from scripts.localcloud import home as localhome
from scripts.localcloud.home import Cloud, CloudDown

PROJECT = Path(__file__).resolve().parents[2]
# It takes 3 s, and more than 60 s were seen on a crowded machine. One that ends is seen at once.
START_SECONDS = 240


def start_cloud(home: Path) -> Cloud:
    """Start the cloud of a home in which none runs. Raises UserError, with nothing left running."""
    log = home / "cloud.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.localcloud", "--home", str(home)],
            cwd=PROJECT,
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    why = f"nothing answered within {START_SECONDS} s"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            why = _tail(log) or f"it ended with exit code {process.returncode}"
            break
        try:
            return localhome.load(home)
        except CloudDown:
            time.sleep(0.05)
    leftovers.end_all(home)
    raise UserError(
        "the local cloud did not start",
        why=why,
        fix=f"read {log} and keyless doctor, then the same command again",
    )


def _environment(home: Path) -> dict[str, str]:
    kept = ("PATH", "LANG", "TMPDIR", "TZ", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(home),
        **leftovers.mark(home),
    }


def _tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
