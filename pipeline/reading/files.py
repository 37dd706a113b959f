"""Files of rows on this machine: what kind each one is, by its content, and how to open it."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Literal, cast
from urllib.parse import unquote

from pipeline.errors import InputError

Kind = Literal["csv", "parquet", "jsonl"]
Packed = Literal["gzip", "bzip2", "xz", "zip"]

READ = (
    "CSV, TSV, Parquet or JSON (one object a line, or an array of objects), plain, .gz, .bz2, .xz "
    "or .zip, one file, a folder or a glob of them"
)
_TABLES = (".csv", ".tsv", ".tab", ".txt", ".data", ".parquet", ".pq", ".jsonl", ".ndjson", ".json")
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"
_PACKED: dict[bytes, Packed] = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_ENDINGS = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_OTHERS = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"ARROW1": "an Arrow file: save it as Parquet",
    b"FEA1": "a Feather file: save it as Parquet",
    b"ORC": "an ORC file: save it as Parquet",
    b"\x89HDF": "an HDF5 file: save it as Parquet",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"\x80\x04\x95": "a Python pickle, which is not loaded from data: save it as Parquet",
    b"\x80\x05\x95": "a Python pickle, which is not loaded from data: save it as Parquet",
    b"<stata_dta>": "a Stata file: save it as CSV or Parquet, as pandas.read_stata can",
    b"$FL": "an SPSS file: save it as CSV or Parquet, as pandas.read_spss can",
    b"HEADER RECORD*******": "a SAS transport file: save it as CSV, as pandas.read_sas can",
    b"\0" * 12 + b"\xc2\xea\x81\x60": "a SAS file: save it as CSV, as pandas.read_sas can",
    b"RDX": "data of R: save it there with write.csv(…, row.names = FALSE)",
    b"RDA": "data of R: save it there with write.csv(…, row.names = FALSE)",
    b"X\n\0\0": "an object of R: save it there with write.csv(…, row.names = FALSE)",
    b"Obj\x01": "an Avro file: save it as Parquet",
    b"\x93NUMPY": "an array of NumPy: save it as Parquet",
    b"(\xb5/\xfd": "packed with zstd: unpack it, or pack it with gzip",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf": "a 7z archive: unpack it, or pack it with zip",
}
_SAMPLE_BYTES = 1 << 12
_BROKEN = (gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)


@dataclass(frozen=True)
class DataFile:
    """One file of rows: `member` names it inside a zip archive.

    `partition` holds columns that stand in the names of folders, such as date=2026-11-28.
    """

    path: Path
    name: str
    kind: Kind
    packed: Packed | None = None
    member: str = ""
    partition: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def tabs(self) -> bool:
        """Whether its name says that tabs separate its fields."""
        return _suffix(self.member or self.name) in (".tsv", ".tab")

    @property
    def ending(self) -> str:
        """What a file of this kind is called: csv, parquet.gz, zip."""
        return "zip" if self.packed == "zip" else self.kind + _ENDINGS.get(self.packed or "", "")

    def open(self) -> IO[bytes]:
        """Its bytes, unpacked. A packed Parquet file is unpacked to a temporary one first."""
        if self.packed is None:
            return self.path.open("rb")
        stream = _unpacked(self.path, self.packed, self.member)
        if self.kind != "parquet":
            return stream
        with stream:
            whole = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
            shutil.copyfileobj(stream, whole)
        whole.seek(0)
        return whole


@dataclass(frozen=True)
class TextInMemory(DataFile):
    """A CSV text that is no file, such as the body of a request."""

    content: bytes = b""

    def open(self) -> IO[bytes]:
        """The text's bytes."""
        return io.BytesIO(self.content)


def find(path: Path, name: str) -> list[DataFile]:
    """The data files that a path names: a file, a folder, a glob, or a member of an archive.

    Raises InputError for what is none, with the name that people know it by.
    """
    if path.is_file():
        return [recognise(path, name)]
    if path.is_dir():
        return _folder(path, name)
    inside = _archive(path)
    if inside is not None:
        return [recognise(inside, name, path.relative_to(inside).as_posix())]
    if any(mark in path.name for mark in "*?["):
        found = sorted(file for file in path.parent.glob(path.name) if file.is_file())
        if not found:
            raise InputError(f"no file matches {name}")
        return [_within(file, path.parent) for file in found]
    raise InputError(f"{name}: No such file or folder; what can be read is {READ}")


def _archive(path: Path) -> Path | None:
    """The zip archive that a path leads into, such as data.zip/train.csv."""
    return next((parent for parent in path.parents if parent.is_file()), None)


def _folder(folder: Path, name: str) -> list[DataFile]:
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
        and _suffix(file.name) in _TABLES
    )
    if not files:
        raise InputError(f"the folder {name} holds no file of rows; what can be read is {READ}")
    return [_within(file, folder) for file in files]


def _within(file: Path, folder: Path) -> DataFile:
    """A file of a folder, with the columns that the folders between them name."""
    parts = file.relative_to(folder).parts[:-1]
    pairs = [part.partition("=") for part in parts if "=" in part]
    partition = {
        key: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
        for key, _, value in pairs
    }
    known = recognise(file, file.relative_to(folder).as_posix())
    return DataFile(known.path, known.name, known.kind, known.packed, known.member, partition)


def recognise(path: Path, name: str, member: str = "") -> DataFile:
    """What kind of file this is. Raises InputError for one that holds no rows."""
    try:
        with path.open("rb") as stream:
            start = stream.read(_SAMPLE_BYTES)
        packed = next((how for magic, how in _PACKED.items() if start.startswith(magic)), None)
        if packed is not None:
            with _unpacked(path, packed, "") as unpacked:
                return DataFile(path, name, _kind(unpacked.read(_SAMPLE_BYTES), name), packed)
        if start.startswith(_ZIP):
            return _zipped(path, name, member)
        return DataFile(path, name, _kind(start, name))
    except (EOFError, NotImplementedError, *_BROKEN) as error:
        raise InputError(f"{name} cannot be unpacked: {error}") from None
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None


def _zipped(path: Path, name: str, member: str) -> DataFile:
    with zipfile.ZipFile(path) as archive:
        members = [
            entry
            for entry in archive.namelist()
            if not entry.endswith("/") and not entry.startswith("__MACOSX/")
        ]
        if "[Content_Types].xml" in members:
            raise InputError(f"{name} is an Excel workbook: save the sheet as CSV")
        tables = [entry for entry in members if _suffix(entry) in _TABLES] or members
        if member and member not in members:
            raise InputError(f"the archive has no {member!r}; it has {', '.join(members[:20])}")
        if not member and len(tables) != 1:
            raise InputError(
                f"{name} holds {len(tables)} files: name one, such as "
                f"{name}/{tables[0] if tables else 'train.csv'}; "
                f"it has {', '.join(tables[:20])}"
            )
        chosen = member or tables[0]
        if archive.getinfo(chosen).flag_bits & 1:
            raise InputError(f"{name} is protected by a password: unpack it first")
        with archive.open(chosen) as stream:
            kind = _kind(stream.read(_SAMPLE_BYTES), f"{name}/{chosen}")
    return DataFile(path, name, kind, "zip", chosen)


def _unpacked(path: Path, packed: Packed, member: str) -> IO[bytes]:
    if packed == "zip":
        return zipfile.ZipFile(path).open(member)
    opened = {"gzip": gzip.GzipFile, "bzip2": bz2.BZ2File, "xz": lzma.LZMAFile}[packed](path)
    return cast(IO[bytes], opened)


def _kind(start: bytes, name: str) -> Kind:
    """Decide by the first bytes, since a name may be wrong."""
    if start.startswith(_PARQUET):
        return "parquet"
    other = next((what for magic, what in _OTHERS.items() if start.startswith(magic)), None)
    if other is not None:
        raise InputError(f"{name} is {other}. What can be read is {READ}")
    if _suffix(name) in (".parquet", ".pq"):
        raise InputError(f"{name} is not a Parquet file, whatever its name says")
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text:
        raise InputError(f"{name} is empty")
    if text[:1] == b"<":
        raise InputError(f"{name} is a web page or XML, not a table: is the address right?")
    if text[:1] == b"{" or re.match(rb"\[\s*[{\]]", text):
        return "jsonl"
    if text[:1] == b"[" and _suffix(name) == ".json":
        raise InputError(f"{name} is a JSON array, but not of objects such as {{…}}")
    if _is_binary(start):
        raise InputError(f"{name} holds binary data, not a table. What can be read is {READ}")
    return "csv"


def _is_binary(start: bytes) -> bool:
    """Whether there are zero bytes, other than every second one as Latin text in UTF-16 has them.

    For UTF-16 the reader says what to write.
    """
    even, odd = start[::2].count(0), start[1::2].count(0)
    if not even and not odd:
        return False
    if max(even, odd) <= 2 * min(even, odd) + 8:
        return True
    codec = "utf-16-be" if even > odd else "utf-16-le"
    try:
        text = codecs.getincrementaldecoder(codec)().decode(start)
    except UnicodeDecodeError:
        return True
    return re.search("[\0-\x08\x0e-\x1f\x7f-\x9f]", text) is not None  # no text has these


def _suffix(name: str) -> str:
    name = name.lower()
    for ending in _ENDINGS.values():
        name = name.removesuffix(ending)
    return PurePosixPath(name).suffix


def digest(files: list[DataFile]) -> str:
    """SHA-256 of the files as they lie there; of several, of their digests in order."""
    import hashlib

    found = []
    for file in files:
        with file.path.open("rb") as stream:
            found.append(hashlib.file_digest(stream, "sha256").hexdigest())
    if len(found) == 1:
        return found[0]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()
