"""The process that runs the local cloud until it is told to stop."""

import contextlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import psutil

from scripts.files import private_folder
from scripts.localcloud import home as state
from scripts.localcloud.cloud import REGION, LocalCloud
from scripts.localcloud.emulator.consistency import Lags

LOG_FILE = "cloud.log"


def run(home: Path, region: str = REGION, *, eventual: bool = False) -> int:
    """Run a local cloud in `home` until SIGTERM or SIGINT; returns the exit code."""
    home = private_folder(home)
    with contextlib.suppress(state.CloudDown):
        running = state.load(home)
        print(f"a local cloud already runs in {home} (process {running.pid})", file=sys.stderr)
        return 1
    _forget(home)
    # Every process started from here on inherits the mark by which leftovers are found.
    os.environ[state.HOME_VARIABLE] = str(home)
    _log_to(home / LOG_FILE)
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    lags = Lags() if eventual else None
    with LocalCloud(home, region=region, data_plane=True, lags=lags) as cloud:
        process = psutil.Process()
        cloud.announce(process.pid, process.create_time())
        stop.wait()
        _forget(home)
    return 0


def _forget(home: Path) -> None:
    """Remove the files that tell of a running cloud."""
    for name in (state.CLOUD_FILE, state.ADMINISTRATOR_FILE):
        (home / name).unlink(missing_ok=True)


def _log_to(path: Path) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    logging.basicConfig(
        filename=path, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    # Moto's web framework logs every request; the decision log already has them.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
