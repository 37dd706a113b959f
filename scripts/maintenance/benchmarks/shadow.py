"""What copies of requests to a challenger cost the champion's answers: good and bad challengers."""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from pipeline.model.artifacts import CARD_FILE, MODEL_FILE
from pipeline.model.champion import FileRecords
from pipeline.rollouts.evidence import Evidence
from pipeline.rollouts.plans import RolloutSettings, first_policy
from pipeline.rollouts.policies import Policies
from pipeline.rollouts.policy import Challenger
from pipeline.rollouts.strategies import apply, stop
from pipeline.storage import FolderStore
from scripts.maintenance.benchmarks.misbehaving import Misbehaving
from scripts.maintenance.benchmarks.prediction import _model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.model.champion import PinnedFile

# A good one is the champion's own files under another version.
VERSION = "2"
PATIENCE_SECONDS = 120
_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Turn:
    """A turn of load: milliseconds of each request, their rate, the server's time for each."""

    took: NDArray[np.float64]
    requests_per_second: float
    server_ms: float


Pair = Mapping[bool, Turn]
"""Two turns, one with copies (True) and one without."""


class Trial:
    """The traffic policy of one server, with the copies switched on and off between turns."""

    def __init__(self, folder: Path, model: str, address: str) -> None:
        self._policies = Policies(FolderStore(folder), f"rollouts/{model}")
        self._folder, self._model, self._address = folder, model, address

    def begin(self, mode: str) -> None:
        """Put a challenger on trial that behaves so, and wait until it is loaded."""
        seen, files = self._policies.read(), challenger(self._folder, self._model, mode)
        policy = first_policy(
            self._model,
            "champion_challenger",
            RolloutSettings(),
            Challenger(model_version=VERSION, run_id="benchmark", files=files),
            (1, "1"),
            seen.policy if seen else None,
            classes=True,
            who="benchmark",
            why="benchmark",
        )
        self._wait(self._policies.write(policy, seen).policy.version, loaded=True)

    def copy(self, *, on: bool) -> None:
        """Begin or stop to copy requests; the challenger stays loaded."""
        seen = self._policies.read()
        assert seen is not None
        changes = {"version": seen.policy.version + 1, "shadow": on}
        changed = self._policies.write(seen.policy.model_copy(update=changes), seen)
        self._wait(changed.policy.version)

    def end(self) -> None:
        """The champion is alone again."""
        seen = self._policies.read()
        assert seen is not None
        over = stop(seen.policy, "aborted", "the turns are over")
        changed = apply(seen.policy, over, Evidence(), datetime.now(UTC), "benchmark")
        self._wait(self._policies.write(changed, seen).policy.version)

    def copies(self) -> dict[str, int]:
        """Copies so far, by what came of them."""
        with urllib.request.urlopen(f"{self._address}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        wanted = 'keyless_copies_total{outcome="'
        found = [
            line.removeprefix(wanted).split('"} ') for line in lines if line.startswith(wanted)
        ]
        return {outcome: round(float(count)) for outcome, count in found}

    def _wait(self, version: int, *, loaded: bool = False) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"{self._address}/ready", timeout=30) as answer:
                said = json.load(answer)
            there = not loaded or said["models"].get("challenger") == VERSION
            if said["policy_version"] == version and there:
                return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not take up version {version} of the policy: {said}")


def take_turns(trial: Trial, turn: Callable[[], Turn], repeat: int) -> list[Pair]:
    """Pairs of turns, one with copies and one without; who begins changes from pair to pair."""
    pairs: list[Pair] = []
    for number in range(repeat):
        taken = {}
        for on in (False, True) if number % 2 == 0 else (True, False):
            trial.copy(on=on)
            taken[on] = turn()
        pairs.append(taken)
    return pairs


def cost(pairs: Sequence[Pair]) -> dict[str, Any]:
    """What the copies cost in these pairs."""
    return {
        "p50": _beside(pairs, 0.5),
        "p99": _beside(pairs, 0.99),
        **{
            name: {
                "without": round(statistics.mean(getattr(pair[False], name) for pair in pairs), 3),
                "ratio": round(
                    statistics.median(
                        getattr(pair[True], name) / getattr(pair[False], name) for pair in pairs
                    ),
                    3,
                ),
            }
            for name in ("requests_per_second", "server_ms")
        },
        "p99_ms_of_turns": [
            [_percentile([pair], 0.99, on=on) for on in (False, True)] for pair in pairs
        ],
    }


def _beside(pairs: Sequence[Pair], share: float) -> dict[str, Any]:
    """A percentile without and with copies, over all turns, and its ratio in pairs.

    The ratio is the median of the pairs' ratios: a turn in which the machine itself paused for
    50 ms decides the percentile of all requests together, but not the median. Its interval comes
    from drawing pairs again and again.
    """
    random = Random(0)
    ratios = [
        _percentile([pair], share, on=True) / _percentile([pair], share, on=False) for pair in pairs
    ]
    drawn = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _ in range(_DRAWS))
    return {
        "without_ms": _percentile(pairs, share, on=False),
        "with_ms": _percentile(pairs, share, on=True),
        "ratio": round(statistics.median(ratios), 3),
        "interval_90": [round(drawn[_DRAWS // 20], 3), round(drawn[-_DRAWS // 20], 3)],
    }


def _percentile(pairs: Sequence[Pair], share: float, *, on: bool) -> float:
    """Of the requests of all turns of one kind together, in milliseconds."""
    import numpy as np

    return round(float(np.quantile(np.concatenate([pair[on].took for pair in pairs]), share)), 3)


def challenger(folder: Path, model: str, mode: str) -> dict[str, PinnedFile]:
    """The files of a challenger that behaves as `mode` says, in the folder's store."""
    import hashlib

    import skops.io
    from sklearn.pipeline import Pipeline

    from pipeline.model.champion import PinnedFile

    record = FileRecords(folder / "champion" / model).read()[0]
    assert record is not None
    if mode == "good":
        return dict(record.files)
    _, fitted, facts = _model("linear")
    columns = {name: [0.0, 1.0] for name in fitted.feature_names_in_}
    odd = Pipeline([("model", Misbehaving(mode))]).fit(columns, facts.contract.classes)
    store, files = FolderStore(folder), {}
    for name, data in ((MODEL_FILE, skops.io.dumps(odd)), (CARD_FILE, facts.dump())):
        digest = hashlib.sha256(data).hexdigest()
        key = f"decisions/{model}/files/{digest}"
        store.put(key, data)
        files[name] = PinnedFile(key=key, version=None, sha256=digest)
    return files
