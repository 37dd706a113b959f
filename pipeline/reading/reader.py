"""Files of rows in chunks, in flat memory: the one reader of ingest, prediction, labels, serving.

A CSV or JSON file comes as text, a Parquet file in its own types. What a cell means is decided by
the contract (contract.py), never by what else stands in the same column of the same file.
"""

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pipeline.data.marks import PLAIN
from pipeline.errors import InputError
from pipeline.model.threads import cores
from pipeline.reading import documents, faults
from pipeline.reading.dialect import (
    UNIT,
    divider,
    encoding_of,
    first_record,
    joined,
    separator_of,
)
from pipeline.reading.documents import json_column
from pipeline.reading.files import DataFile
from pipeline.reading.formats import WHITESPACE, Format, line

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.csv  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

# So many values at most in one chunk: of wide data a chunk has fewer rows. 8 bytes each.
_MAX_CELLS = 4_000_000
_BUFFER_BYTES = 1 << 18
_BLOCK_BYTES = 1 << 22
_MAX_BLOCK_BYTES = 1 << 28
_MAX_MEMBERS = 20_000


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the input; `first` is the number of the first one, from 0.

    A column that is not nullable has no null in the whole input.
    """

    rows: "pyarrow.RecordBatch"
    first: int


def read_chunks(
    files: Iterable[DataFile], form: Format, rows: int, wanted: Iterable[str] = ()
) -> Iterator[Chunk]:
    """All rows of the files in chunks of at most `rows` rows; every file has the same columns.

    `wanted` are columns that the caller will ask for; they help to say what is wrong with a file.
    Raises InputError that names the file, the row, and the line to write.
    """
    first, columns = 0, None
    for file in files:
        for batch in _batches(file, form, rows, list(wanted)):
            names = batch.schema.names
            if columns is None:
                columns = names
            elif names != columns:
                if file.kind != "jsonl" and set(names) != set(columns):
                    differ = sorted(set(names) ^ set(columns))
                    raise InputError(
                        f"{file.name} has other columns than the files before it: "
                        f"{', '.join(differ[:20])}"
                    )
                columns = list(dict.fromkeys([*columns, *names]))
            yield Chunk(batch, first)
            first += batch.num_rows


def read_table(files: Iterable[DataFile], form: Format, wanted: Iterable[str]) -> "pyarrow.Table":
    """All rows at once. Raises InputError where there are none."""
    import pyarrow

    batches = [chunk.rows for chunk in read_chunks(files, form, 1 << 20, wanted)]
    if not sum(batch.num_rows for batch in batches):
        raise InputError("the data has a header but no rows")
    tables = [pyarrow.Table.from_batches([batch]) for batch in batches]
    try:
        return pyarrow.concat_tables(tables, promote_options="permissive")
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        # A column that holds numbers in one file and texts in another is one of texts.
        from pipeline.data.cells import as_text

        texts = [
            pyarrow.table({name: _each(as_text, table[name]) for name in table.schema.names})
            for table in tables
        ]
        return pyarrow.concat_tables(texts, promote_options="default")


def _each(
    function: "Callable[[pyarrow.Array], pyarrow.Array]", column: "pyarrow.ChunkedArray"
) -> "pyarrow.ChunkedArray":
    import pyarrow

    return pyarrow.chunked_array([function(part) for part in column.chunks])


def _batches(
    file: DataFile, form: Format, rows: int, wanted: list[str]
) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow

    kinds = {"parquet": _parquet, "jsonl": _jsonl, "csv": _csv}
    try:
        for batch in kinds[file.kind](file, form, rows, wanted):
            for name, value in file.partition.items():
                if name not in batch.schema.names:
                    constant = pyarrow.array([value] * batch.num_rows, type=pyarrow.string())
                    batch = batch.append_column(name, constant)
            yield batch
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{file.name} is no readable {file.kind} file: {error}") from None
    except (EOFError, OSError) as error:
        raise InputError(f"{file.name} cannot be read: {error}") from None


def _parquet(
    file: DataFile, form: Format, rows: int, wanted: list[str]
) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow
    import pyarrow.parquet

    del form, wanted
    # What it buffers ahead it keeps until the end; a small buffer also bounds a large row group.
    with (
        file.open() if file.packed else nullcontext(file.path) as source,
        pyarrow.parquet.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER_BYTES) as found,
    ):
        names = found.schema_arrow.names
        _refuse_doubled(names, file.name)
        # pandas stores a frame's index as a column of its own.
        kept = [name for name in names if not name.startswith("__index_level_")]
        size, full = _rows(rows, len(kept)), _without_nulls(found.metadata)
        # On few cores, threads that decode would take processor time from those that predict.
        batches = found.iter_batches(batch_size=size, columns=kept, use_threads=cores() > 2)
        first, counted = 0, _named_ranges(found.schema_arrow)
        for batch in batches:
            fields = [
                pyarrow.field(field.name, _usual(field.type), field.name not in full)
                for field in batch.schema
            ]
            batch = _without_structs(batch.cast(pyarrow.schema(fields)), file.name)
            for name, (start, step) in counted.items():
                places = range(start + first * step, start + (first + len(batch)) * step, step)
                batch = batch.append_column(name, pyarrow.array(places, type=pyarrow.int64()))
            first += batch.num_rows
            yield batch


def _usual(kind: "pyarrow.DataType") -> "pyarrow.DataType":
    """A type by which rows can be picked: Arrow cannot pick texts that are views of others."""
    import pyarrow

    if pyarrow.types.is_string_view(kind):
        return pyarrow.string()
    return pyarrow.binary() if pyarrow.types.is_binary_view(kind) else kind


def _without_structs(batch: "pyarrow.RecordBatch", name: str) -> "pyarrow.RecordBatch":
    """Fields of a column as columns of their own, with a dot between both names, as in JSON."""
    import pyarrow

    while any(pyarrow.types.is_struct(field.type) for field in batch.schema):
        table = pyarrow.Table.from_batches([batch]).flatten().combine_chunks()
        _refuse_doubled(table.schema.names, name)
        batch = table.to_batches()[0] if len(table) else table.schema.empty_table().to_batches()[0]
    return batch


def _named_ranges(schema: "pyarrow.Schema") -> dict[str, tuple[int, int]]:
    """Start and step of each named index that pandas keeps as a note, not as a column."""
    notes = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    return {
        entry["name"]: (entry["start"], entry["step"])
        for entry in notes.get("index_columns", [])
        if isinstance(entry, dict)
        and entry.get("kind") == "range"
        and isinstance(entry.get("name"), str)
        and entry["step"]
        and entry["name"] not in schema.names
    }


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


def _jsonl(
    file: DataFile, form: Format, rows: int, wanted: list[str]
) -> "Iterator[pyarrow.RecordBatch]":
    """JSON lines or an array. Numbers keep their spelling unless a column holds nothing else."""
    import pyarrow

    names: dict[str, None] = {}
    size = rows
    with file.open() as stream:
        found = documents.objects(stream, file.name, form, wanted)
        while piece := list(itertools.islice(found, size)):
            names |= dict.fromkeys(name for entry in piece for name in entry)
            size = _rows(rows, len(names))
            if len(names) > _MAX_MEMBERS:
                raise InputError(
                    f"the objects of {file.name} have more than {_MAX_MEMBERS} different members, "
                    "as if names were values: write these as a member of their own"
                )
            columns = {
                name: json_column([entry.get(name) for entry in piece], name, file.name)
                for name in names
            }
            yield pyarrow.RecordBatch.from_pydict(columns)


def _csv(
    file: DataFile, form: Format, rows: int, wanted: list[str]
) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow
    import pyarrow.csv

    faults.check_start(file, form, wanted)
    names = header(file, form)
    size, multiline = _rows(rows, len(names)), False
    last = None
    try:
        with _stream(file, form) as stream:
            for batch in _open(stream, form, names, file):
                batch = _with_separators(batch, separator_of(file, form))
                multiline = multiline or faults.holds_line_breaks(batch)
                for start in range(0, batch.num_rows, size):
                    yield batch.slice(start, size)
                last = batch if batch.num_rows else last
    except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
        raise faults.explain(file, form, names, error, wanted) from None
    if multiline:
        faults.check_quotes(file, form, names)


def _with_separators(batch: "pyarrow.RecordBatch", separator: str) -> "pyarrow.RecordBatch":
    """Texts as they were: where UNIT stands for the separator, it does so within quotes, too."""
    import pyarrow
    import pyarrow.compute  # type: ignore[import-untyped]

    if _known(separator) or separator == WHITESPACE:
        return batch
    cells = [pyarrow.compute.replace_substring(column, UNIT, separator) for column in batch.columns]
    return pyarrow.RecordBatch.from_arrays(cells, schema=batch.schema)


def header(file: DataFile, form: Format) -> list[str]:
    """The column names of a CSV file. Raises InputError for doubled ones."""
    found = first_record(file, form)
    if form.names:
        if len(form.names) != len(found):
            raise InputError(
                f"names under [data] has {len(form.names)} names, but {file.name} has "
                f"{len(found)} columns"
            )
        names = list(form.names)
    elif form.header:
        # As pandas calls them, so that advice found elsewhere holds here.
        names = [name or f"Unnamed: {place}" for place, name in enumerate(found)]
    else:
        names = [f"column_{place}" for place in range(1, len(found) + 1)]
    _refuse_doubled(names, file.name)
    return names


def _refuse_doubled(names: list[str], file: str) -> None:
    """Refuse a header that names columns twice, with names that tell them apart."""
    if len(set(names)) == len(names):
        return
    twice = sorted({name for name in names if names.count(name) > 1})
    said = f"{file} names columns twice: {', '.join(map(repr, twice))}"
    if any(PLAIN.fits(name.strip()) for name in twice):
        raise InputError(
            f"{said}: if its first line is a row and no header, write {line('header', False)} "
            "under [data]"
        )
    free = list[str]()
    for name in names:
        count = 2
        free.append(name)
        while free[-1] in free[:-1] or (count > 2 and free[-1] in names):
            free[-1] = f"{name}_{count}"
            count += 1
    raise InputError(f"{said}; rename one of each, or write under [data]\n  {line('names', free)}")


def _open(
    stream: IO[bytes], form: Format, names: list[str], file: DataFile
) -> "pyarrow.csv.CSVStreamingReader":
    import pyarrow
    import pyarrow.csv

    separator = separator_of(file, form)
    longest = sum(map(len, names))
    return pyarrow.csv.open_csv(
        stream,
        read_options=pyarrow.csv.ReadOptions(
            # Serial: only so are rows numbered, and threads are for predicting.
            use_threads=False,
            block_size=min(max(_BLOCK_BYTES, 64 * longest), _MAX_BLOCK_BYTES),
            skip_rows=form.skip_lines,
            skip_rows_after_names=int(form.header),
            column_names=names,
            encoding="utf8",
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=separator if _known(separator) else UNIT,
            quote_char=form.quote or False,
            escape_char=form.escape or False,
            newlines_in_values=True,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pyarrow.string()),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _stream(file: DataFile, form: Format) -> IO[bytes]:
    """The file's bytes in UTF-8 without a byte order mark, with a separator that Arrow takes."""
    codec = encoding_of(file, form)
    separator = separator_of(file, form)
    stream = file.open()
    if _known(separator) and codec in ("utf-8", "utf-8-sig"):
        return stream
    text = io.TextIOWrapper(stream, encoding=codec, newline="")
    return _Rewritten(text, separator, form)  # type: ignore[return-value]


def _known(separator: str) -> bool:
    return len(separator) == 1 and separator.isascii()


class _Rewritten(io.RawIOBase):
    """A text stream as UTF-8 bytes, line by line, with Arrow's kind of separator in its lines."""

    def __init__(self, text: io.TextIOWrapper, separator: str, form: Format) -> None:
        self._text, self._rest = text, b""
        self._change: Callable[[str], str] = lambda line: line
        if separator == WHITESPACE:
            self._change = lambda line: joined(line, form.quote) + "\n"
        elif not _known(separator):
            self._change = divider(separator, form)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while len(self._rest) < len(buffer):
            lines = self._text.readlines(len(buffer))
            if not lines:
                break
            self._rest += "".join(map(self._change, lines)).encode()
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._text.close()
        super().close()


def _rows(wished: int, columns: int) -> int:
    return max(1, min(wished, _MAX_CELLS // max(columns, 1)))
