"""Predict a file chunk by chunk, so that memory does not grow with its rows."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data import cells, lags
from pipeline.data.contract import Conformed, SchemaContract, conform, frame, written_by
from pipeline.errors import InputError
from pipeline.model.artifacts import ModelFacts
from pipeline.model.features import one_thread
from pipeline.model.scoring import probabilities
from pipeline.model.threads import keep_freed_memory, one_each, side_by_side
from pipeline.reading.files import DataFile
from pipeline.reading.formats import Format
from pipeline.reading.reader import Chunk, header, read_chunks, read_table
from pipeline.settings import Settings
from pipeline.tracking import progress

if TYPE_CHECKING:
    import numpy as np
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

# Parquet's writer takes so many rows at once; a page, compressed on its own, ends at 1 MiB at most.
_BATCH_ROWS = 8192
_PAGE_ROWS = 1 << 20
# Columns of numbers are compressed if so many rows shrink to less than this share of their size.
_SAMPLE_ROWS = 8192
_WORTH_COMPRESSING = 0.9


@dataclass
class Counts:
    """What became of the rows.

    `unseen` counts texts that training never saw, by column; `lost_ids` are id columns that the
    batch does not have; `no_past` counts rows without an earlier value, by lag, and `missing` rows
    without a value, by column. `far` counts times far from all that training saw, by column.
    """

    rows: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    lost_ids: list[str] = field(default_factory=list)
    no_past: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    far: Counter[str] = field(default_factory=Counter)

    @property
    def predicted(self) -> int:
        """Rows that were predicted."""
        return self.rows - self.rejected

    def add(self, other: "Counts") -> None:
        """Add another chunk's counts."""
        self.rows += other.rows
        self.rejected += other.rejected
        self.reasons.update(other.reasons)
        self.unseen.update(other.unseen)
        self.lost_ids = other.lost_ids
        self.no_past.update(other.no_past)
        self.missing.update(other.missing)
        self.far.update(other.far)

    def commonest(self) -> str:
        """The three commonest reasons of rejection, each with its count."""
        return ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common(3))


@dataclass(frozen=True)
class _Part:
    """What came of one chunk: tables of predicted and of rejected rows, None where there are none.

    `seen` counts this chunk alone.
    """

    good: "pyarrow.Table | None"
    bad: "pyarrow.Table | None"
    seen: Counts


def format_of(files: Sequence[DataFile], facts: ModelFacts, settings: Settings) -> Format:
    """How a batch is written: as training data was, unless the settings say otherwise.

    Files without a header have the names of the training data; a batch has no target among them,
    and may have a header where training data had none.
    """
    form = settings.predict.format(facts.contract.format)
    if settings.predict.header and settings.predict.names is None:
        # A header of its own says more than the places of the training data's columns.
        return form.model_copy(update={"names": []})
    if not form.names or settings.predict.names is not None or files[0].kind != "csv":
        return form
    kept = [name for name in form.names if name != facts.contract.target]
    try:
        header(files[0], form)
    except InputError:
        return form.model_copy(update={"names": kept})
    return form


def write_predictions(
    model: Any,
    facts: ModelFacts,
    files: Sequence[DataFile],
    folder: Path,
    settings: Settings,
    history: "Callable[[], pyarrow.Table] | None" = None,
) -> Counts:
    """Write predictions.parquet, and rejects.parquet with reasons, below `folder`.

    Chunks are predicted side by side, each by one thread: with all threads on one chunk they would
    wait for each other at each tree (docs/decisions/2026-11-27-prediction-by-chunks.md).

    `history` gives the rows before the batch, which only models with lags ask for. Raises
    InputError when the input cannot be read, lacks a column or has no rows.
    """
    one_thread(model)
    keep_freed_memory()
    counts = Counts()
    form = format_of(files, facts, settings)
    facts = replace(facts, contract=written_by(facts.contract, form))
    chunks = _chunks(files, form, facts, settings, history)

    def store(part: _Part) -> None:
        good.write(part.good)
        bad.write(part.bad)
        counts.add(part.seen)
        progress.note(f"{counts.rows} rows done")

    with (
        ParquetFile(folder / "predictions.parquet") as good,
        ParquetFile(folder / "rejects.parquet") as bad,
        one_each() as begin,
    ):
        side_by_side(chunks, partial(_part, model, facts), store, begin)
    if not counts.rows:
        raise InputError("the input has no rows")
    return counts


def _chunks(
    files: Sequence[DataFile],
    form: Format,
    facts: ModelFacts,
    settings: Settings,
    history: "Callable[[], pyarrow.Table] | None",
) -> Iterator[Chunk]:
    """The batch in chunks; all of it at once is read where a row's lags are to be found."""
    contract, size = facts.contract, settings.predict.chunk_rows
    derived = set(contract.lags.names) if contract.lags else set[str]()
    wanted = [name for name in contract.features if name not in derived]
    chunks = read_chunks(files, form, size, wanted)
    if not derived:
        yield from chunks
        return
    table = lags.add(
        read_table(files, form, wanted), contract, history() if history is not None else None
    )
    first = 0
    for rows in table.combine_chunks().to_batches(max_chunksize=size):
        yield Chunk(rows, first)
        first += rows.num_rows


def _missing(found: Conformed, contract: SchemaContract) -> Counter[str]:
    """How many rows have no value, by column; of a date's parts the first speaks for all."""
    import math

    import pyarrow.compute  # type: ignore[import-untyped]

    counted: Counter[str] = Counter()
    for name, values in found.columns.items():
        column = contract.column_of(name)
        if column in counted:
            continue
        nothing = values.null_count
        if pyarrow.types.is_floating(values.type):
            total = pyarrow.compute.sum(values).as_py()
            # Only a sum that is no number is worth the count.
            if total is not None and math.isnan(total):
                nothing = pyarrow.compute.sum(values.is_null(nan_is_null=True)).as_py()
        counted[column] = nothing
    return counted


def _part(model: Any, facts: ModelFacts, chunk: Chunk) -> _Part:
    import pyarrow

    rows = chunk.rows
    there = [name for name in facts.contract.ids if name in rows.schema.names]
    found = conform(rows, facts.contract, there)
    seen = Counts(rows=rows.num_rows, unseen=Counter(found.unseen), far=Counter(found.far))
    seen.lost_ids = sorted(set(facts.contract.ids) - set(there))
    seen.missing = _missing(found, facts.contract)
    for name in facts.contract.lags.names if facts.contract.lags else ():
        if empty := rows.column(name).null_count:
            seen.no_past[name] = empty
    ids = {name: found.others[name] for name in there}
    kept, bad = found.columns, None
    if found.broken:
        wrong = found.wrong(rows.num_rows)
        seen.rejected = int(wrong.sum())
        for (column, rule), mask in found.broken.items():
            seen.reasons[f"{column}: {rule}"] += int(mask.sum())
        bad = _rejects(chunk, facts, found.broken, wrong)
        right = pyarrow.array(~wrong)
        kept = {name: array.filter(right) for name, array in kept.items()}
        ids = {name: array.filter(right) for name, array in ids.items()}
    good = None
    if seen.rejected < seen.rows:
        full = [field.name for field in rows.schema if _stays_full(field, facts.contract)]
        good = predictions(model, facts, kept, ids, full)
    return _Part(good, bad, seen)


def _stays_full(field: Any, contract: SchemaContract) -> bool:
    """Whether a column without nulls has none when it was read: no cell of it means missing."""
    import pyarrow

    types, column = pyarrow.types, contract.features.get(field.name)
    if field.nullable or not (types.is_integer(field.type) or types.is_floating(field.type)):
        return False
    return column is not None and column.missing is None and not contract.format.missing


def predictions(
    model: Any,
    facts: ModelFacts,
    kept: Mapping[str, "pyarrow.Array"],
    ids: Mapping[str, "pyarrow.Array"],
    full: Collection[str],
    features: Any = None,
) -> "pyarrow.Table":
    """Inputs, ids and predictions; monitor reads the inputs from here.

    The model gets `features`, or else a frame of `kept`. `full` names features of which the whole
    input has no null. Numbers among them are not nullable, and neither are predictions: to say of
    each row that it is not null takes as long as to write the numbers.
    """
    import numpy as np
    import pyarrow
    from sklearn import config_context

    features = frame(kept) if features is None else features
    classes = facts.contract.classes
    output = facts.contract.output
    found: dict[str, pyarrow.Array] = {}
    # Infinite values broke the contract already. For each step of the model to look for them once
    # more is a tenth of a linear model's time.
    with config_context(assume_finite=True):
        if classes:
            scores = probabilities(model, features, classes)
            names = pyarrow.array(classes, type=pyarrow.string())
            positive = classes.index(facts.positive) if facts.positive else 1
            labels = facts.decision.labels(scores, positive)
            found[output("prediction")] = names.take(pyarrow.array(labels))
            for number, name in enumerate(classes):
                found[output(f"probability_{name}")] = pyarrow.array(scores[:, number])
        else:
            found[output("prediction")] = pyarrow.array(
                np.asarray(model.predict(features), dtype=float)
            )
    floats = {name for name, array in kept.items() if pyarrow.types.is_float64(array.type)}
    never_null = (floats & set(full)) | set(found)
    arrays = {**kept, **ids, **found}
    fields = [
        pyarrow.field(name, array.type, nullable=name not in never_null)
        for name, array in arrays.items()
    ]
    return pyarrow.table(list(arrays.values()), schema=pyarrow.schema(fields))


def _rejects(
    chunk: Chunk,
    facts: ModelFacts,
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
    rows = chunk.rows.filter(pyarrow.array(wrong))
    texts = {name: _shown(rows.column(name)) for name in rows.schema.names}
    output = facts.contract.output
    return pyarrow.table(
        {
            **texts,
            output("row"): pyarrow.array(numbers + chunk.first, type=pyarrow.int64()),
            output("reason"): pyarrow.array(["; ".join(found) for found in reasons]),
        }
    )


def _shown(raw: "pyarrow.Array") -> "pyarrow.Array":
    """Values as texts, whatever they are: nobody reads a rejected list by the contract."""
    import pyarrow

    try:
        return cells.as_text(raw).cast(pyarrow.string())
    except InputError:
        texts = [None if value is None else str(value) for value in raw.to_pylist()]
        return pyarrow.array(texts, type=pyarrow.string())


class ParquetFile:
    """A Parquet file that is written table by table, and exists only if there was one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> "ParquetFile":
        return self

    def write(self, table: "pyarrow.Table | None") -> None:
        """Append a table; None is none."""
        import pyarrow
        import pyarrow.parquet  # type: ignore[import-untyped]

        if table is None:
            return
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(
                self._path,
                table.schema,
                # A dictionary helps texts that repeat; to try one for numbers only costs time.
                use_dictionary=_texts(table),
                compression={name: _codec(table[name]) for name in table.schema.names},
                write_statistics=False,
                write_batch_size=_BATCH_ROWS,
                max_rows_per_page=_PAGE_ROWS,
            )
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def _texts(table: "pyarrow.Table") -> list[str]:
    import pyarrow

    return [field.name for field in table.schema if pyarrow.types.is_string(field.type)]


def _codec(column: "pyarrow.ChunkedArray") -> str:
    """Compression that pays: numbers that were measured hardly shrink, for as much time again."""
    import pyarrow

    if not pyarrow.types.is_float64(column.type):
        return "snappy"
    sample = column[:_SAMPLE_ROWS].to_numpy().tobytes()
    shrunk = len(pyarrow.compress(sample, codec="snappy", asbytes=True))
    return "snappy" if shrunk < _WORTH_COMPRESSING * len(sample) else "none"
