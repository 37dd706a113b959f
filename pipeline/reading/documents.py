"""Objects of JSON documents: one a line, or the elements of one array, in flat memory."""

import codecs
import json
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.reading.formats import Format

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_PIECE_CHARACTERS = 1 << 20
_BLANKS = " \t\r\n"


class JsonNumber(str):
    """A number of a JSON document, as it is spelled."""

    __slots__ = ()


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_int=JsonNumber,
        parse_float=JsonNumber,
        parse_constant=JsonNumber,
        object_pairs_hook=_object,
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object names {twice!r} twice")
    return found


def objects(stream: IO[bytes], name: str, form: Format) -> Iterator[dict[str, Any]]:
    """The objects of a file. Raises InputError that names the line, or the place in an array."""
    codec = form.encoding or "utf-8-sig"
    start = stream.read(1 << 12).decode(codec, errors="replace").lstrip("\ufeff" + _BLANKS)
    stream.seek(0)
    return (_elements if start.startswith("[") else _lines)(stream, name, codec)


def _lines(stream: IO[bytes], name: str, codec: str) -> Iterator[dict[str, Any]]:
    decoder = _decoder()
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            found = decoder.decode(line.decode(codec).strip())
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"line {number} of {name} is not JSON: {error}; write one object a line, or one "
                "array of objects"
            ) from None
        if not isinstance(found, dict):
            raise InputError(f"line {number} of {name} is not an object, such as {{…}}")
        nested = [value for value in found.values() if isinstance(value, dict | list)]
        if len(nested) == len(found) > 1 or any(isinstance(value, dict) for value in nested):
            raise InputError(
                f"line {number} of {name} holds objects or whole columns: write one object a row, "
                'as pandas does with orient="records"'
            )
        yield found


def _elements(stream: IO[bytes], name: str, codec: str) -> Iterator[dict[str, Any]]:
    """The elements of one array, of which never much more than one piece is held."""
    decoder, reader = _decoder(), codecs.getreader(codec)(stream)
    text, place, number, ended = "", 0, 0, False
    while True:
        place = _next(text, place)
        if text[place : place + 1] == "]":
            if (text[place + 1 :] + reader.read(_PIECE_CHARACTERS)).strip():
                raise InputError(f"{name} goes on after the end of its array: write one array")
            return
        try:
            found, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            if ended:
                where = f"element {number + 1} of the array in {name}"
                raise InputError(f"{where} is not JSON: {error}") from None
            # It may be cut at the end of the piece: try again with the next one.
            try:
                piece = reader.read(max(_PIECE_CHARACTERS, len(text) - place))
            except UnicodeDecodeError as fault:
                raise InputError(f"{name} is not {fault.encoding}: {fault}") from None
            text, place, ended = text[place:] + piece, 0, not piece
            continue
        number += 1
        if not isinstance(found, dict):
            where = f"element {number} of the array in {name}"
            raise InputError(f"{where} is not an object, such as {{…}}")
        yield found


def _next(text: str, place: int) -> int:
    """The place after blanks, and after the bracket or comma before an element."""
    while place < len(text) and text[place] in _BLANKS:
        place += 1
    if text[place : place + 1] not in ("[", ","):
        return place
    place += 1
    while place < len(text) and text[place] in _BLANKS:
        place += 1
    return place


def json_column(values: Sequence[Any], name: str, file: str) -> "pyarrow.Array":
    """Values of a JSON document as one column. Raises InputError for nested ones.

    Numbers are JsonNumbers: they keep their spelling unless the column holds nothing else.
    """
    import pyarrow

    if any(isinstance(value, dict | list) for value in values):
        raise InputError(f"the column {name!r} of {file} holds lists or objects: flatten them")
    texts = [
        ("true" if value else "false") if isinstance(value, bool) else value for value in values
    ]
    array = pyarrow.array(texts, type=pyarrow.string())
    # Marks of the settings, such as a decimal comma, concern texts; these are numbers already.
    if all(isinstance(value, JsonNumber) for value in values if value is not None):
        try:
            whole = all(value is None or value.lstrip("-").isdigit() for value in values)
            return array.cast(pyarrow.int64() if whole else pyarrow.float64())
        except pyarrow.ArrowInvalid:
            return array
    return array
