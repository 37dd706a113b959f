"""What a model answered, first beside the process, then as Parquet files to upload.

Each group of answers is appended to a file at once, so a process that is killed loses none. Now
and then the file becomes a Parquet file in the outbox, with a note of what it holds beside it.
"""

import fcntl
import json
import logging
import tempfile
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.model.batch import ParquetFile

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

log = logging.getLogger(__name__)
OUTBOX = "outbox"
_OPEN = ".arrows"
_SAMPLES, _SAMPLE_BYTES = 20, 1 << 14
_PIECE_BATCHES = 256


class Journal:
    """The rows that one process answered with one model. `facts` goes into the note."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], most_rows: int) -> None:
        self._folder, self._facts, self._most_rows = folder, dict(facts), most_rows
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        # Parquet's writer works outside of Python's lock, so the model goes on meanwhile.
        self._publisher = ThreadPoolExecutor(1)
        self._rows = 0
        self._seen: Counter[str] = Counter()
        self._samples: list[dict[str, str]] = []
        self._lost = 0

    def sample(self, kind: str, body: bytes) -> None:
        """Keep a request as it came, a few in each file, to be replayed on another server."""
        if len(self._samples) < _SAMPLES and len(body) <= _SAMPLE_BYTES:
            self._samples.append({"kind": kind, "body": body.decode()})

    def add(self, table: "pyarrow.Table", seen: Mapping[str, int]) -> None:
        """Append rows; they are in the operating system's hands when this returns.

        Where the disk is full, they are lost, counted and told in the log: answers come first.
        """
        try:
            self._write(table)
        except OSError as error:
            if not self._lost:
                log.error("predictions are not kept: %s", error)
            self._lost += table.num_rows
            self._give_up()
            return
        self._rows += table.num_rows
        self._seen.update(seen)
        if self._rows >= self._most_rows:
            self.rotate()

    def rotate(self) -> None:
        """Make what was written a Parquet file in the outbox."""
        if self._lost:
            log.error("%d predicted rows were not kept", self._lost)
            self._lost = 0
        if self._writer is None or self._file is None:
            return
        try:
            self._writer.close()
        except OSError:  # only the mark of its end is lacking, which is not needed
            log.exception("%s has no end", self._path)
        facts = {**self._facts, "requests": self._samples}
        self._publisher.submit(_publish_and_close, self._file, self._path, facts, self._seen)
        self._file, self._writer, self._rows = None, None, 0
        self._seen, self._samples = Counter(), []

    def _write(self, table: "pyarrow.Table") -> None:
        import pyarrow

        if self._writer is None:
            self._begin(table.schema)
        assert self._file is not None
        columns = [table[name] for name in self._schema.names]
        self._writer.write_table(pyarrow.Table.from_arrays(columns, schema=self._schema))
        self._file.flush()

    def _give_up(self) -> None:
        """Leave a file whose last batch is not whole; the others in it are published later."""
        if self._file is not None:
            with suppress(OSError):  # closing writes what is left
                self._file.close()
        self._file, self._writer, self._rows = None, None, 0
        self._seen = Counter()

    def close(self) -> None:
        """Rotate, and wait until the outbox has it all."""
        self.rotate()
        self._publisher.shutdown()

    def _begin(self, schema: "pyarrow.Schema") -> None:
        import pyarrow

        self._schema = pyarrow.schema([field.with_nullable(True) for field in schema])
        self._path = self._folder / f"{uuid.uuid4().hex}{_OPEN}"
        note, hidden = self._path.with_suffix(".json"), self._path.with_suffix(".part")
        try:
            note.write_text(json.dumps(self._facts))
            self._file = hidden.open("wb")
            # Whoever holds the lock is alive, so the file gets its name after it is locked.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            hidden.rename(self._path)
        except OSError:
            note.unlink(missing_ok=True)
            hidden.unlink(missing_ok=True)
            raise
        self._writer = pyarrow.ipc.new_stream(self._file, self._schema)


def _publish_and_close(
    file: IO[bytes], path: Path, facts: Mapping[str, Any], seen: Mapping[str, int]
) -> None:
    try:
        publish(path, facts, seen)
    except OSError:
        # A full disk, for one: the journal stays, and is published the next time.
        log.exception("%s is not published yet", path)
    finally:
        with suppress(OSError):  # closing writes the mark of the end, if that could not be written
            file.close()
    recover(path.parent)


def recover(folder: Path) -> None:
    """Publish what processes left that were killed, or that found the disk full."""
    for path in sorted(folder.glob(f"*{_OPEN}")):
        try:
            _publish_left(path)
        except (OSError, ValueError):  # a full disk, or a note that a power cut left empty
            log.exception("%s is not published yet", path)


def _publish_left(path: Path) -> None:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # another process, which looked as well, has published it
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if path.exists():
            facts = json.loads(path.with_suffix(".json").read_text())
            publish(path, facts, {})


def publish(source: Path, facts: Mapping[str, Any], seen: Mapping[str, int]) -> None:
    """Turn a journal into a Parquet file and a note in the outbox, and delete it."""

    table = _whole_batches(source)
    if table.num_rows:
        outbox = source.parent / OUTBOX
        outbox.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=outbox.parent) as temporary:
            part = Path(temporary) / "part.parquet"
            with ParquetFile(part) as file:
                file.write(table)
            part.replace(outbox / f"{source.stem}.parquet")
            note = {
                **facts,
                "rows": table.num_rows,
                "unseen_categories": dict(seen),
                "date": datetime.now(UTC).date().isoformat(),
            }
            part = Path(temporary) / "part.json"
            part.write_text(json.dumps(note))
            # The note comes last: what has one is whole.
            part.replace(outbox / f"{source.stem}.json")
    source.unlink()
    source.with_suffix(".json").unlink(missing_ok=True)


def _whole_batches(source: Path) -> "pyarrow.Table":
    """The batches of a stream up to where its writer died, thousands of them in a few chunks.

    A table of thousands takes six times as long to write, and the model waits while it is freed.
    """
    import pyarrow

    pieces: list[pyarrow.Table] = []
    found: list[pyarrow.RecordBatch] = []
    with source.open("rb") as file:
        try:
            reader = pyarrow.ipc.open_stream(file)
            while True:
                found.append(reader.read_next_batch())
                if len(found) == _PIECE_BATCHES:
                    pieces.append(pyarrow.Table.from_batches(found).combine_chunks())
                    found = []
        except (StopIteration, pyarrow.ArrowInvalid, OSError):
            if found:
                pieces.append(pyarrow.Table.from_batches(found).combine_chunks())
    return pyarrow.concat_tables(pieces) if pieces else pyarrow.table({})
