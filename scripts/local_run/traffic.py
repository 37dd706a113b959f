"""Made-up requests to a model server, and the outcomes that come back later."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import requests

    from pipeline.data.contract import SchemaContract

THREADS = 4
PER_SECOND = 60
"""Requests of all threads together: enough for each step, and the machine stays free for others."""
OUTCOMES_AT_ONCE = 20


@dataclass(frozen=True)
class Row:
    """One row to ask about, and what each model says of it."""

    values: dict[str, float]
    champion: str
    challenger: str


Pool = Sequence[Row]


def pool(champion: Any, challenger: Any, contract: SchemaContract, count: int) -> Pool:
    """Rows between two real ones of different classes, half of which the models judge differently.

    Raises ValueError where the two models are the same on all of them.
    """
    import numpy as np
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    from sklearn.datasets import load_breast_cancer

    from pipeline.data.contract import conform, frame

    bunch = load_breast_cancer(as_frame=True)
    table, random = bunch.data, np.random.default_rng(0)
    ones, zeros = (table[bunch.target == label].to_numpy() for label in (1, 0))
    many = 50 * count
    share = random.uniform(0.2, 0.8, (many, 1))
    mixed = share * random.choice(ones, many) + (1 - share) * random.choice(zeros, many)
    rows = pd.DataFrame(mixed, columns=table.columns)[list(contract.features)]
    inputs = frame(conform(pyarrow.RecordBatch.from_pandas(rows), contract).columns)
    said = {name: model.predict(inputs) for name, model in (("a", champion), ("b", challenger))}
    apart = np.flatnonzero(said["a"] != said["b"])
    if len(apart) < 10:
        raise ValueError("champion and challenger agree on all rows: there is nothing to see")
    same = np.flatnonzero(said["a"] == said["b"])
    chosen = [*np.resize(apart, count // 2), *same[: count - count // 2]]
    records = rows.to_dict("records")
    found = [Row(records[at], str(said["a"][at]), str(said["b"][at])) for at in chosen]
    return [found[at] for at in random.permutation(len(found))]


@dataclass
class Traffic:
    """Requests at an even rate until the block ends; every failure is kept.

    `truth` says which model the outcomes agree with: the challenger (good), or the champion (bad).
    """

    url: str
    ca_bundle: Path
    rows: Pool
    truth: Literal["good", "bad"]
    answered: int = 0
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._send, args=(number,), daemon=True)
            for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        import requests

        outcomes: list[dict[str, Any]] = []
        at, due = number, time.monotonic()
        with requests.Session() as session:
            session.trust_env = False  # else REQUESTS_CA_BUNDLE or a proxy of the caller's counts
            session.verify = str(self.ca_bundle)
            while not self._stop.is_set():
                row = self.rows[at % len(self.rows)]
                at += THREADS
                answer = self._ask(session, "/predict", row.values)
                if answer is not None:
                    outcome = row.challenger if self.truth == "good" else row.champion
                    id_ = answer.headers["X-Prediction-Id"]
                    outcomes.append({"prediction_id": id_, "outcome": outcome})
                if len(outcomes) >= OUTCOMES_AT_ONCE:
                    self._ask(session, "/feedback", {"outcomes": outcomes})
                    outcomes = []
                # What a slow machine cannot send is left out, and not sent at once later.
                due = max(due + THREADS / PER_SECOND, time.monotonic())
                self._stop.wait(due - time.monotonic())

    def _ask(self, session: requests.Session, path: str, body: Any) -> requests.Response | None:
        """The answer; None for a request that was lost."""
        import requests

        unit = {"X-Unit": uuid.uuid4().hex}
        try:
            answer = session.post(f"{self.url}{path}", json=body, headers=unit, timeout=60)
        except requests.RequestException as error:
            fault = repr(error)
        else:
            if answer.status_code in (200, 202):
                with self._lock:
                    self.answered += 1
                return answer
            fault = f"{answer.status_code}: {answer.text[:200]}"
        with self._lock:
            self.failures.append(f"{path}: {fault}")
        return None
