"""Writes the decision log behind the requests."""

import json
import queue
import threading
from dataclasses import asdict
from pathlib import Path

from scripts.files import write_private
from scripts.iam.account.decision_log import Record, read_log


class DecisionLog:
    """Appends records to a new file from one thread, in the order they were made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queue: queue.SimpleQueue[Record | threading.Event | None] = queue.SimpleQueue()
        self._allowed = 0
        self._denied = 0
        # The log of an earlier cloud in the same home tells of an account that is gone.
        write_private(path, b"")
        self._thread = threading.Thread(target=self._write, name="decision-log", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> tuple[int, int]:
        """How many authorizations were allowed and how many denied."""
        return self._allowed, self._denied

    def append(self, record: Record) -> None:
        """Take a record; it reaches the file soon, at the latest with `flush`."""
        self._queue.put(record)

    def flush(self) -> None:
        """Wait until everything appended so far is in the file."""
        done = threading.Event()
        self._queue.put(done)
        done.wait()

    def read(self) -> list[Record]:
        """Everything in the log so far, oldest first."""
        self.flush()
        return read_log(self.path) if self.path.stat().st_size else []

    def stop(self) -> None:
        """Write what is left and end the writer."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _write(self) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            while True:
                item = self._queue.get()
                if isinstance(item, Record):
                    file.write(json.dumps(asdict(item), separators=(",", ":")) + "\n")
                    if item.allowed:
                        self._allowed += 1
                    else:
                        self._denied += 1
                    if self._queue.empty():
                        file.flush()
                    continue
                file.flush()
                if item is None:
                    return
                item.set()
