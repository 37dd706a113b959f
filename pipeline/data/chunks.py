"""Read a CSV or Parquet file in chunks of rows, in flat memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.sources import encoding_of
from pipeline.errors import InputError
from pipeline.model.threads import cores

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

# So many values at most in one chunk: of wide data a chunk has fewer rows. 8 bytes each.
_MAX_CELLS = 4_000_000
_BUFFER_BYTES = 1 << 18


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the input; `first` is the number of the first one, from 0.

    A column that is not nullable has no null in the whole input.
    """

    rows: "pyarrow.RecordBatch"
    first: int


def read_chunks(path: Path, rows: int, encoding: str | None = None) -> Iterator[Chunk]:
    """A CSV or Parquet file in chunks of at most `rows` rows.

    Raises InputError for what is neither, or names a column twice.
    """
    import pandas as pd
    import pyarrow

    first = 0
    try:
        batches = _parquet(path, rows) if path.suffix == ".parquet" else _csv(path, rows, encoding)
        for batch in batches:
            yield Chunk(batch, first)
            first += batch.num_rows
    except (pyarrow.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"the input is no readable {path.suffix[1:]} file: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"the input is not {error.encoding} (byte 0x{error.object[error.start]:02x}): write "
            'its encoding under [data], such as encoding = "cp1252"'
        ) from None


def _parquet(path: Path, rows: int) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow
    import pyarrow.parquet

    # What it buffers ahead it keeps until the end; a small buffer also bounds a large row group.
    with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
        names = file.schema_arrow.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"the input names columns twice: {', '.join(twice)}")
        # pandas stores a frame's index as a column of its own.
        wanted = [name for name in names if not name.startswith("__index_level_")]
        size, full = _rows(rows, len(wanted)), _without_nulls(file.metadata)
        # On few cores, threads that decode would take processor time from those that predict.
        batches = file.iter_batches(batch_size=size, columns=wanted, use_threads=cores() > 2)
        for batch in batches:
            fields = [field.with_nullable(field.name not in full) for field in batch.schema]
            yield batch.cast(pyarrow.schema(fields))


def _without_nulls(metadata: "pyarrow.parquet.FileMetaData") -> set[str]:
    """Names of the columns of which every row group's statistics say that nothing is null."""
    full = {metadata.schema.column(place).path for place in range(metadata.num_columns)}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(metadata.num_columns):
            column = group.column(place)
            if column.path_in_schema in full:
                known = column.statistics
                if known is None or not known.has_null_count or known.null_count:
                    full.remove(column.path_in_schema)
    return full


def _csv(path: Path, rows: int, encoding: str | None) -> "Iterator[pyarrow.RecordBatch]":
    """As text: a chunk must not decide by itself which type a column has."""
    import pandas as pd
    import pyarrow

    with path.open("rb") as stream:
        codec = encoding or encoding_of(stream.read(4))
    width = len(pd.read_csv(path, nrows=0, encoding=codec).columns)
    for frame in pd.read_csv(path, chunksize=_rows(rows, width), dtype=str, encoding=codec):
        yield pyarrow.RecordBatch.from_pandas(frame, preserve_index=False)


def _rows(wished: int, columns: int) -> int:
    return max(1, min(wished, _MAX_CELLS // max(columns, 1)))
