"""One training of the same thing at a time: a second one waits, then takes up what the first left.

A lease is an object that only one process can create (a conditional put), numbered from 1. Its
holder renews a tag of the training run every few seconds. Once a lease is released, or its tag no
longer changes, another process may create the next number. No clock is compared with another
machine's, and the store is never read, because the train role may not read it.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

import click

from pipeline.errors import StepFailed
from pipeline.storage import KeyExistsError, Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TAG = "keyless.lease"
BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
# A lease without a run is at most one request old; after this time its holder is dead.
UNNAMED_SECONDS = 10.0
POLL_SECONDS = 0.5
_RELEASED = "released"
OPEN = ("RUNNING", "SCHEDULED")


class Lease:
    """The right to train one fingerprint; use it as a context around the work."""

    def __init__(self, client: "MlflowClient", number: int) -> None:
        self._client, self.number = client, number
        self._run_id: str | None = None
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self.over = False

    def name(self, run_id: str) -> None:
        """Show the lease on its run from now on."""
        self._run_id = run_id
        self._client.set_tag(run_id, TAG, f"{self.number} 0")
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise StepFailed if this process stood still for so long that another took over."""
        if self._lost.is_set():
            raise StepFailed(
                "another training of the same data and settings took over, because this one gave "
                "no sign of life for a minute: look at that one"
            )

    def quiet(self) -> None:
        """Write to the run no more until the lease is left: it is about to be finished."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.quiet()
        if self._run_id is None or self.over:
            return
        if not self._lost.is_set():
            # A server that does not answer must not hide what went wrong before.
            with suppress(Exception):
                self._client.set_tag(self._run_id, TAG, f"{self.number} {_RELEASED}")

    def _beat(self) -> None:
        assert self._run_id is not None
        beat = 0
        while not self._stop.wait(BEAT_SECONDS):
            beat += 1
            # The next beat tries again; a holder that is cut off for good is followed in time.
            with suppress(Exception):
                if _state(self._client.get_run(self._run_id))[0] > self.number:
                    self._lost.set()
                    return
                self._client.set_tag(self._run_id, TAG, f"{self.number} {beat}")


def acquire(
    client: "MlflowClient", store: Store, prefix: str, find: Callable[[], "Run | None"]
) -> Lease:
    """Wait until no one else trains this, then hold it. `find` gives its run, if there is one."""
    holder = {"host": socket.gethostname(), "process": os.getpid()}
    number, seen, since, announced = 0, (-1, ""), time.monotonic(), False
    while True:
        run = find()
        named, sign = _state(run) if run else (0, "")
        if (named, sign) != seen:
            number, seen, since = max(number, named), (named, sign), time.monotonic()
        patience = STALE_SECONDS if run and named == number else UNNAMED_SECONDS
        # Nothing may be written to a finished run, so no release either.
        closed = run is not None and run.info.status not in OPEN
        free = number == 0 or closed or (named == number and sign == _RELEASED)
        if free or time.monotonic() - since > patience:
            content = json.dumps({**holder, "number": number + 1}).encode()
            try:
                store.put(f"{prefix}/{number + 1:06}.json", content, if_absent=True)
                return Lease(client, number + 1)
            except KeyExistsError:
                number, since = number + 1, time.monotonic()
        if not announced:
            click.echo(
                "another process trains the same data and settings "
                f"(run {run.info.run_id}): waiting"
                if run
                else "another process may just have begun to train the same data and settings: "
                f"waiting {UNNAMED_SECONDS:.0f} s for its run",
                err=True,
            )
            announced = True
        time.sleep(POLL_SECONDS)


def _state(run: "Run") -> tuple[int, str]:
    """Number and last sign of the lease that a run shows; 0 where it shows none."""
    number, _, state = str(run.data.tags.get(TAG, "0")).partition(" ")
    return int(number), state
