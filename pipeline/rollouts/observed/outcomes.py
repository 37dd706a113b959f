"""What became of predictions: the servers' logs and feedback, joined, as losses of the variants."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.data.contract import SchemaContract
from pipeline.rollouts.observed.counters import SKEW
from pipeline.rollouts.policy import CHALLENGER, CHAMPION, Loss, Variant
from pipeline.rollouts.stats.sequential import Sums
from pipeline.storage import Store

if TYPE_CHECKING:
    import pandas as pd

KEY = ["keyless_prediction_id", "keyless_row"]
_LOGGED = [
    *KEY,
    "keyless_assigned",
    "keyless_unit",
    "keyless_experiment",
    "keyless_received_at",
]
# Each model's process has a log of its own, uploaded each minute one after the other. Until both
# are there, one arm seems to lose keys.
SETTLING = timedelta(minutes=3)
# Sums of squares of larger ones would be infinite, and then no interval could be given.
LARGEST = 1e100
_AREAS = {"answers": "date=", "copies": "_shadow/date=", "feedback": "_feedback/date="}


@dataclass
class Outcomes:
    """Reads each log of an experiment once; a new one of these reads them all again.

    `contract` is the champion's: it says how classes are spelled, and what columns are called.
    """

    store: Store
    prefix: str
    contract: SchemaContract
    experiment: str
    began: datetime
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _looked_at: datetime | None = None
    _seen: set[str] = field(default_factory=set)
    _tables: dict[str, list["pd.DataFrame"]] = field(
        default_factory=lambda: {area: [] for area in _AREAS}
    )

    def refresh(self) -> None:
        """Read what came since the last time."""
        self._looked_at = self.clock()
        # Feedback is named by its time of day, so what came before is not even read.
        since = f"{self.began.astimezone(UTC) - SKEW:%Y-%m-%d/%H%M%S}"
        for area, start in _AREAS.items():
            for key in self.store.keys(f"{self.prefix}/{start}"):
                if key not in self._seen and key.removeprefix(f"{self.prefix}/{start}") >= since:
                    self._seen.add(key)
                    self._tables[area].append(self._read(area, key))

    def units(self) -> dict[Variant, int]:
        """Keys that were assigned to each variant, of answers whose logs are there for sure."""
        answers = self._all("answers")
        if answers.empty or self._looked_at is None:
            return {}
        settled = (self._looked_at.astimezone(UTC) - SETTLING).isoformat()
        answers = answers[answers["keyless_received_at"] <= settled]
        counts = answers.groupby("keyless_assigned")["keyless_unit"].nunique()
        return {variant: int(counts.get(variant, 0)) for variant in (CHAMPION, CHALLENGER)}

    def losses(self, kind: Loss) -> dict[Variant, Sums]:
        """The loss of each key's first outcome, by the variant that the key was assigned to.

        One outcome for each key: several of one person are not independent.
        """
        table = self.loss_by_key(kind)
        return {
            variant: _sums(table["loss"][table["keyless_assigned"] == variant])
            for variant in (CHAMPION, CHALLENGER)
            if len(table)
        }

    def loss_by_key(self, kind: Loss) -> "pd.DataFrame":
        """The loss of each key's first outcome, in the order in which outcomes came."""
        import pandas as pd

        joined = self._joined("answers")
        if joined.empty:
            return pd.DataFrame(columns=["keyless_assigned", "loss"])
        first = joined.sort_values("received_at", kind="stable").drop_duplicates("keyless_unit")
        losses = self._loss(first, kind)
        found = first[["keyless_assigned"]].assign(loss=losses)
        usable: pd.DataFrame = found[abs(losses) <= LARGEST]
        return usable

    def odd(self, kind: Loss) -> int:
        """Outcomes that are left out: no class of the model, or no number where one is needed."""
        joined = self._joined("answers")
        return 0 if joined.empty else int((~(abs(self._loss(joined, kind)) <= LARGEST)).sum())

    def pairs(self) -> "tuple[pd.DataFrame, pd.DataFrame]":
        """Champion's and challenger's answers to the same rows with their outcomes, first first."""
        import pandas as pd

        answers, copies = self._joined("answers"), self._all("copies")
        if answers.empty or copies.empty:
            return pd.DataFrame(), pd.DataFrame()
        answers = answers.sort_values(["received_at", *KEY], kind="stable")
        labelled = answers[[*KEY, "outcome", "received_at"]]
        copies = labelled.merge(copies, on=KEY, how="inner")
        # One outcome that is no class must not decide a comparison of hundreds.
        copies = copies[self._usable(copies)]
        answers = copies[KEY].merge(answers, on=KEY, how="inner")
        return answers, copies

    def _usable(self, table: "pd.DataFrame") -> Any:
        import numpy as np

        if self.contract.classes:
            return np.isin(classes(table, self.contract), self.contract.classes)
        return abs(numbers(table)) <= LARGEST

    def paired(self, kind: Loss) -> Sums:
        """Challenger's loss minus champion's on the same rows."""
        champion, challenger = self.pairs()
        if champion.empty:
            return Sums()
        return _sums(self._loss(challenger, kind) - self._loss(champion, kind))

    def _loss(self, table: "pd.DataFrame", kind: Loss) -> Any:
        return loss(table, kind, self.contract)

    def _joined(self, area: str) -> "pd.DataFrame":
        import pandas as pd

        answers, feedback = self._all(area), self._all("feedback")
        if answers.empty or feedback.empty:
            return pd.DataFrame()
        # A sender that saw no answer sends again: the first time counts.
        first = feedback.sort_values("received_at", kind="stable").drop_duplicates(KEY)
        return answers.merge(first, on=KEY, how="inner")

    def _all(self, area: str) -> "pd.DataFrame":
        import pandas as pd

        tables = [table for table in self._tables[area] if len(table)]
        if not tables:
            return pd.DataFrame()
        whole = pd.concat(tables, ignore_index=True)
        self._tables[area] = [whole]
        return whole

    def _read(self, area: str, key: str) -> "pd.DataFrame":
        import pandas as pd
        import pyarrow.parquet  # type: ignore[import-untyped]

        data = self.store.read(key)[0]
        if area == "feedback":
            table = pd.DataFrame(json.loads(data))
            return table.rename(columns={"prediction_id": KEY[0], "row": KEY[1]})
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        names = file.schema_arrow.names
        if not set(_LOGGED) <= set(names):
            return pd.DataFrame()  # a batch prediction, whose rows no request asked for
        outputs = ["prediction", *(f"probability_{name}" for name in self.contract.classes)]
        wanted = [*_LOGGED, *(self.contract.output(name) for name in outputs)]
        if not set(wanted) <= set(names):
            return pd.DataFrame()  # of a model with other classes
        found: pd.DataFrame = file.read(columns=wanted).to_pandas()
        return found[found["keyless_experiment"] == self.experiment]


def _sums(losses: Any) -> Sums:
    """Without outcomes that say nothing of a model: no class, or no number where one is needed."""
    return Sums.of(value for value in losses.tolist() if abs(value) <= LARGEST)


def loss(table: "pd.DataFrame", kind: Loss, contract: SchemaContract) -> Any:
    """One loss a row, as a NumPy array; the smaller the better. See TrafficPolicy.loss.

    It is NaN where the outcome is no class of the contract, or no number where one is needed.
    """
    import numpy as np

    if kind == "value":
        return -numbers(table)
    label = table[contract.output("prediction")]
    if kind in ("absolute", "squared"):
        off = numbers(table) - label.to_numpy(float)
        return np.abs(off) if kind == "absolute" else off**2
    truth = classes(table, contract)
    known = np.isin(truth, contract.classes)
    if kind == "error":
        return np.where(known, label.to_numpy() != truth, np.nan)
    chances = table[[contract.output(f"probability_{name}") for name in contract.classes]]
    hit = truth[:, None] == np.array(contract.classes, dtype=object)[None, :]
    return np.where(known, ((chances.to_numpy(float) - hit) ** 2).sum(axis=1), np.nan)


def numbers(table: "pd.DataFrame") -> Any:
    """Outcomes as numbers; NaN for what is none."""
    import pandas as pd

    return pd.to_numeric(table["outcome"], errors="coerce").to_numpy(float)


def classes(table: "pd.DataFrame", contract: SchemaContract) -> Any:
    """Outcomes as the contract spells its classes: true as True, 1.0 as 1."""
    import numpy as np

    known = {
        value: contract.class_named(_text(value)) for value in set(map(_text, table["outcome"]))
    }
    return np.array([known[_text(value)] for value in table["outcome"]], dtype=object)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
