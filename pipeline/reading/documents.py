"""Objects of JSON documents: one a line, or the elements of one array, in flat memory.

An object within an object becomes columns with dotted names, as pandas' json_normalize does it.
"""

import codecs
import itertools
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.reading.formats import Format

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

_PIECE_CHARACTERS = 1 << 20
_MAX_DOCUMENT_BYTES = 1 << 28
_DEEPEST = 30
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


def objects(
    stream: IO[bytes], name: str, form: Format, wanted: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """The objects of a file, flat. Raises InputError that names the line, or the place in an array.

    `wanted` are members that must be there; without them a single object is no row.
    """
    codec = form.encoding or "utf-8-sig"
    start = stream.read(1 << 12).decode(codec, errors="replace").lstrip("\ufeff" + _BLANKS)
    stream.seek(0)
    found = (_elements if start.startswith("[") else _lines)(stream, name, codec)
    try:
        first = next(found, None)
        second = None if first is None else next(found, None)
    except InputError as error:
        # A document of several lines is one object, or is not JSON.
        raise _one_object(_whole(stream, codec), name) or error from None
    if first is None:
        return iter(())
    row = _flat(first, name)
    columns = all(isinstance(value, list) for value in first.values())
    if second is None and (columns or not (wanted and set(wanted) <= set(row))):
        fault = _one_object(first, name)
        if fault is not None:
            raise fault
    rest = (_flat(one, name) for one in found)
    return itertools.chain([row], [] if second is None else [_flat(second, name)], rest)


def _whole(stream: IO[bytes], codec: str) -> Any:
    """The document that the file is as a whole; None where it is none, or too large to look at."""
    stream.seek(0)
    try:
        text = stream.read(_MAX_DOCUMENT_BYTES).decode(codec)
        return _decoder().decode(text.strip())
    except (ValueError, RecursionError):
        return None


def _one_object(found: Any, name: str) -> InputError | None:
    """Why a document of one object is not rows, and how to get at them; None where it is a row."""
    if not isinstance(found, dict) or not found:
        return None
    lists = {
        key: value
        for key, value in found.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    }
    if lists:
        key = max(lists, key=lambda key: len(lists[key]))
        path = f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f".[{json.dumps(key)}]"
        return InputError(
            f"{name} is one object, whose member {key!r} is a list of {len(lists[key])} objects: "
            f"if these are the rows, write them alone, as jq '{path}' does"
        )
    if all(isinstance(value, dict | list) for value in found.values()):
        return InputError(
            f"{name} is one object, which holds objects or whole columns: write one object a row, "
            'as pandas does with orient="records"'
        )
    return None


def _flat(found: dict[str, Any], name: str, depth: int = 0) -> dict[str, Any]:
    """An object without objects in it: a member of a member has both names, with a dot between."""
    if not any(isinstance(value, dict) for value in found.values()):
        return found
    if depth == _DEEPEST:
        raise InputError(f"an object in {name} holds objects more than {_DEEPEST} deep")
    flat: dict[str, Any] = {}
    for key, value in found.items():
        within = _flat(value, name, depth + 1) if isinstance(value, dict) else None
        pairs = {key: value} if within is None else {f"{key}.{k}": v for k, v in within.items()}
        if twice := next((new for new in pairs if new in flat), None):
            raise InputError(
                f"an object in {name} names {twice!r} twice: in itself, and in {key!r}"
            )
        flat |= pairs
    return flat


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
    """Values of a JSON document as one column; one that holds lists is a column of lists.

    Raises InputError for objects, which a file's reader made columns of before.

    Numbers are JsonNumbers: they keep their spelling unless the column holds nothing else.
    """
    import pyarrow

    if held := next((value for value in values if isinstance(value, dict)), None):
        member = next(iter(held))
        raise InputError(
            f"the column {name!r} of {file} holds objects: write their members as columns, such as "
            f"{f'{name}.{member}'!r}"
        )
    if any(isinstance(value, list) for value in values):
        # The contract refuses it by name, if it is to be read at all.
        nested = [
            None
            if value is None
            else [json.dumps(one) for one in value]
            if isinstance(value, list)
            else [str(value)]
            for value in values
        ]
        return pyarrow.array(nested, type=pyarrow.list_(pyarrow.string()))
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
