"""Predict a file chunk by chunk, so that memory does not grow with its rows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifacts import ModelFacts
from pipeline.errors import InputError
from pipeline.schema import as_text, conform
from pipeline.scoring import probabilities
from pipeline.settings import Settings
from pipeline.sources import encoding_of
from pipeline.threads import limited

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass
class Counts:
    """What became of the rows; `unseen` counts texts that training never saw, by column."""

    rows: int = 0
    predicted: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unseen: dict[str, int] = field(default_factory=dict)

    def commonest(self) -> str:
        return ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common(3))


def write_predictions(
    model: Any, facts: ModelFacts, source: Path, folder: Path, settings: Settings
) -> Counts:
    """Write predictions.parquet, and rejects.parquet with reasons, below `folder`.

    Raises InputError when the input cannot be read, lacks a column or has no rows.
    """
    counts = Counts()
    chunk_rows, encoding = settings.predict.chunk_rows, settings.data.encoding
    with (
        _ParquetFile(folder / "predictions.parquet") as good,
        _ParquetFile(folder / "rejects.parquet") as bad,
    ):
        for chunk in read_chunks(source, chunk_rows, encoding):
            frame = chunk.reset_index(drop=True)
            features, wrong = _check(frame, facts, counts)
            if wrong.any():
                bad.write(_rejects(frame, facts, wrong, counts))
            if not wrong.all():
                ids = [name for name in facts.id_columns if name in frame]
                kept = {name: as_text(frame.loc[~wrong, name]) for name in ids}
                with limited(len(frame)):
                    good.write(_predictions(model, facts, features[~wrong], kept))
            counts.rows += len(frame)
    if not counts.rows:
        raise InputError("the input has no rows")
    counts.predicted = counts.rows - counts.rejected
    return counts


def read_chunks(path: Path, rows: int, encoding: str | None = None) -> "Iterator[pd.DataFrame]":
    """A CSV or Parquet file in frames of at most `rows` rows."""
    import pandas as pd
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        if path.suffix == ".parquet":
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=rows):
                yield batch.to_pandas()
            return
        with path.open("rb") as stream:
            codec = encoding or encoding_of(stream.read(4))
        # As text: a chunk must not decide by itself which type a column has.
        yield from pd.read_csv(path, chunksize=rows, dtype=str, encoding=codec)
    except (pyarrow.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"the input is no readable {path.suffix[1:]} file: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"the input is not {error.encoding} (byte 0x{error.object[error.start]:02x}): write "
            'its encoding under [data], such as encoding = "cp1252"'
        ) from None


def _check(
    frame: "pd.DataFrame", facts: ModelFacts, counts: Counts
) -> "tuple[pd.DataFrame, NDArray[np.bool_]]":
    features, violations, wrong = conform(frame, facts.contract, new_categories=True)
    counts.rejected += int(wrong.sum())
    for found in violations:
        counts.reasons[f"{found.column}: {found.rule}"] += found.count
    for name, spec in facts.contract.features.items():
        if spec.kind == "category":
            unseen = int((features[name].notna() & ~features[name].isin(spec.categories)).sum())
            if unseen:
                counts.unseen[name] = counts.unseen.get(name, 0) + unseen
    return features, wrong


def _predictions(
    model: Any, facts: ModelFacts, features: "pd.DataFrame", ids: "dict[str, pd.Series]"
) -> "pd.DataFrame":
    """Ids, inputs and predictions; monitor reads the inputs from here."""
    import numpy as np

    table = features.assign(**ids)
    classes = facts.contract.classes
    if not classes:
        return table.assign(prediction=model.predict(features).astype(float))
    found = probabilities(model, features, classes)
    labels = np.array(classes, dtype=object)[found.argmax(axis=1)]
    scores = {f"probability_{name}": found[:, number] for number, name in enumerate(classes)}
    return table.assign(prediction=labels, **scores)


def _rejects(
    frame: "pd.DataFrame", facts: ModelFacts, wrong: "NDArray[np.bool_]", counts: Counts
) -> "pd.DataFrame":
    """The rejected rows as text, with their number in the input and what is wrong with them."""
    import pandas as pd

    rows = frame[wrong]
    reasons = []
    for position in range(len(rows)):
        _, found, _ = conform(rows.iloc[[position]], facts.contract, new_categories=True)
        reasons.append("; ".join(f"{entry.column}: {entry.rule}" for entry in found))
    table = pd.DataFrame({str(name): as_text(rows[name]) for name in rows.columns})
    return table.assign(row=wrong.nonzero()[0] + counts.rows, reason=reasons)


class _ParquetFile:
    """A Parquet file that is written frame by frame, and exists only if there was one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> "_ParquetFile":
        return self

    def write(self, frame: "pd.DataFrame") -> None:
        import pyarrow
        import pyarrow.parquet

        # Named types: a column that happens to be empty in the first chunk has none of its own.
        kinds = {"f": pyarrow.float64(), "i": pyarrow.int64()}
        schema = pyarrow.schema(
            [
                (str(name), kinds.get(dtype.kind, pyarrow.string()))
                for name, dtype in frame.dtypes.items()
            ]
        )
        table = pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False)
        if self._writer is None:
            # A dictionary helps texts that repeat; to try one for numbers only costs time.
            texts = [field.name for field in schema if pyarrow.types.is_string(field.type)]
            self._writer = pyarrow.parquet.ParquetWriter(
                self._path, schema, use_dictionary=texts, write_statistics=False
            )
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
