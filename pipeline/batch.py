"""Predict a file chunk by chunk, so that memory does not grow with its rows."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline import columns
from pipeline.artifacts import ModelFacts
from pipeline.chunks import Chunk, read_chunks
from pipeline.errors import InputError
from pipeline.schema import as_text
from pipeline.scoring import probabilities
from pipeline.settings import Settings
from pipeline.threads import cores, limited, one_each

if TYPE_CHECKING:
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass
class Counts:
    """What became of the rows; `unseen` counts texts that training never saw, by column."""

    rows: int = 0
    predicted: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)

    def commonest(self) -> str:
        return ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common(3))


@dataclass(frozen=True)
class _Part:
    """What came of one chunk: tables of predicted and of rejected rows, None where there are none.

    `seen` counts this chunk alone.
    """

    good: "pyarrow.Table | None"
    bad: "pyarrow.Table | None"
    seen: Counts


def write_predictions(
    model: Any, facts: ModelFacts, source: Path, folder: Path, settings: Settings
) -> Counts:
    """Write predictions.parquet, and rejects.parquet with reasons, below `folder`.

    Chunks are predicted side by side, each by one thread: with all threads on one chunk they would
    wait for each other at each tree. Raises InputError when the input cannot be read, lacks a
    column or has no rows.
    """
    if "n_jobs" in model[-1].get_params():
        model[-1].set_params(n_jobs=1)
    counts = Counts()
    chunks = read_chunks(source, settings.predict.chunk_rows, settings.data.encoding)
    with (
        _ParquetFile(folder / "predictions.parquet") as good,
        _ParquetFile(folder / "rejects.parquet") as bad,
        limited(0),
        ThreadPoolExecutor(cores(), initializer=one_each) as pool,
    ):
        for part in _in_order(pool, lambda chunk: _part(model, facts, chunk), chunks, cores()):
            good.write(part.good)
            bad.write(part.bad)
            counts.rows += part.seen.rows
            counts.rejected += part.seen.rejected
            counts.reasons.update(part.seen.reasons)
            counts.unseen.update(part.seen.unseen)
    if not counts.rows:
        raise InputError("the input has no rows")
    counts.predicted = counts.rows - counts.rejected
    return counts


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[_In], _Out], items: Iterable[_In], ahead: int
) -> Iterator[_Out]:
    """Results in the order of the items, of which at most `ahead` more are in work or wait."""
    pending: deque[Future[_Out]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _part(model: Any, facts: ModelFacts, chunk: Chunk) -> _Part:
    import numpy as np
    import pyarrow

    rows = chunk.rows
    if missing := [name for name in facts.contract.features if name not in rows.schema.names]:
        raise InputError(f"the data lacks the columns {', '.join(missing)}")
    found = columns.conform(rows, facts.contract)
    seen = Counts(rows=rows.num_rows, unseen=Counter(found.unseen))
    ids = {
        name: columns.text(rows.column(name))
        for name in facts.id_columns
        if name in rows.schema.names
    }
    kept, bad = found.columns, None
    if found.broken:
        wrong = np.logical_or.reduce(list(found.broken.values()))
        seen.rejected = int(wrong.sum())
        for (column, rule), mask in found.broken.items():
            seen.reasons[f"{column}: {rule}"] += int(mask.sum())
        bad = _rejects(chunk, found.broken, wrong)
        right = pyarrow.array(~wrong)
        kept = {name: array.filter(right) for name, array in kept.items()}
        ids = {name: array.filter(right) for name, array in ids.items()}
    good = _predictions(model, facts, kept, ids) if seen.rejected < seen.rows else None
    return _Part(good, bad, seen)


def _predictions(
    model: Any,
    facts: ModelFacts,
    kept: Mapping[str, "pyarrow.Array"],
    ids: Mapping[str, "pyarrow.Array"],
) -> "pyarrow.Table":
    """Inputs, ids and predictions; monitor reads the inputs from here."""
    import numpy as np
    import pyarrow

    features = columns.frame(kept)
    classes = facts.contract.classes
    if not classes:
        found = pyarrow.array(np.asarray(model.predict(features), dtype=float))
        return pyarrow.table({**kept, **ids, "prediction": found})
    scores = probabilities(model, features, classes)
    labels = pyarrow.array(classes, type=pyarrow.string()).take(
        pyarrow.array(scores.argmax(axis=1))
    )
    by_class = {
        f"probability_{name}": pyarrow.array(scores[:, number])
        for number, name in enumerate(classes)
    }
    return pyarrow.table({**kept, **ids, "prediction": labels, **by_class})


def _rejects(
    chunk: Chunk,
    broken: Mapping[tuple[str, str], "NDArray[np.bool_]"],
    wrong: "NDArray[np.bool_]",
) -> "pyarrow.Table":
    """The rejected rows as text, with their number in the input and what is wrong with them."""
    import pyarrow

    numbers = wrong.nonzero()[0]
    reasons: list[list[str]] = [[] for _ in numbers]
    for (column, rule), mask in broken.items():
        for place in mask[wrong].nonzero()[0]:
            reasons[place].append(f"{column}: {rule}")
    rows = chunk.rows.filter(pyarrow.array(wrong)).to_pandas()
    texts = {
        str(name): pyarrow.array(as_text(rows[name]), type=pyarrow.string(), from_pandas=True)
        for name in rows.columns
    }
    return pyarrow.table(
        {
            **texts,
            "row": pyarrow.array(numbers + chunk.first, type=pyarrow.int64()),
            "reason": pyarrow.array(["; ".join(found) for found in reasons]),
        }
    )


class _ParquetFile:
    """A Parquet file that is written table by table, and exists only if there was one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> "_ParquetFile":
        return self

    def write(self, table: "pyarrow.Table | None") -> None:
        import pyarrow
        import pyarrow.parquet  # type: ignore[import-untyped]

        if table is None:
            return
        if self._writer is None:
            # A dictionary helps texts that repeat; to try one for numbers only costs time.
            kinds = zip(table.schema.names, table.schema.types, strict=True)
            texts = [name for name, kind in kinds if pyarrow.types.is_string(kind)]
            self._writer = pyarrow.parquet.ParquetWriter(
                self._path, table.schema, use_dictionary=texts, write_statistics=False
            )
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
