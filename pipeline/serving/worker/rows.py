"""From a request's JSON to columns: MLflow's scoring protocol, and one typed row.

What a body may be: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/
"""

import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.reading.documents import JsonNumber

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A value of one byte takes up to a hundred in memory. Twice as many values are read as the model's
# columns have in all rows, and of small models so many.
_LEAST_VALUES = 500_000
PROTOCOL = ("dataframe_split", "dataframe_records", "instances", "inputs")
_SHOWN = 20
_TOO_DEEP = "the body is nested too deeply: send a table of plain values"


class BadRequest(Exception):
    """A body that cannot be answered: HTTP status, what is wrong, and where if that is known."""

    def __init__(self, status: int, message: str, details: list[dict[str, Any]] | None = None):
        super().__init__(message)
        self.status, self.message, self.details = status, message, details or []

    def body(self) -> bytes:
        """The error as the response's body."""
        return orjson.dumps({"error": self.message, "details": self.details})


@dataclass(frozen=True)
class Rows:
    """A request's columns: lists (or tuples) of Python values, each `count` long.

    `truths` says that there may be true or false among the values, which Arrow would take for
    numbers. `spelled` says that numbers are kept as they are spelled.
    """

    columns: Mapping[str, Sequence[Any]]
    count: int
    truths: bool = False
    spelled: bool = False


def parse(
    kind: str,
    body: bytes,
    features: Sequence[str],
    ids: Collection[str],
    *,
    spelled: bool = False,
    most_rows: int = sys.maxsize,
) -> Rows:
    """Read a JSON body: `kind` is json or row. Columns that are no feature and no id are left out.

    Raises BadRequest for anything that is no table with all features and at most so many rows.
    """
    wanted = _Wanted(features, [*features, *ids], most_rows)
    check_values(body, most_rows, len(wanted.columns))
    document = _spelled(body) if spelled else _json(body)
    rows = _row(document, wanted) if kind == "row" else _invocation(document, wanted)
    if rows.count == 0:
        raise BadRequest(422, "the request has no rows")
    missing = [name for name in features if name not in rows.columns]
    if missing:
        raise BadRequest(
            422,
            f"the request lacks the columns {listed(missing)}",
            [{"column": name, "rule": "missing column"} for name in missing[:_SHOWN]],
        )
    there = [*features, *(name for name in ids if name in rows.columns)]
    return Rows({name: rows.columns[name] for name in there}, rows.count, _truths(body), spelled)


def check_values(
    body: bytes,
    most_rows: int,
    columns: int,
    signs: Collection[str] = ",[{",
    *,
    quote: str = '"',
    escape: str = "\\",
) -> None:
    """Raises BadRequest for more values than anybody needs, before they take memory and time.

    Each value has one of the `signs` beside it.
    """
    import numpy as np

    most = max(_LEAST_VALUES, 2 * most_rows * columns)
    if len(body) <= most or _count(np.frombuffer(body, dtype=np.uint8), signs) <= most:
        return
    # Texts may hold commas, so what stands between quotes is left out of account.
    if escape:
        body = body.replace(2 * escape.encode(), b"").replace((escape + quote).encode(), b"")
    plain = np.frombuffer(body, dtype=np.uint8)
    outside = ~np.logical_xor.accumulate(plain == ord(quote)) if quote else slice(None)
    if _count(plain[outside], signs) > most:
        raise BadRequest(
            413, f"the body has more than {most} values: send fewer rows, or no other columns"
        )


def _count(text: "NDArray[np.uint8]", signs: Collection[str]) -> int:
    """How many of the signs there are."""
    import numpy as np

    return sum(int(np.count_nonzero(text == ord(sign))) for sign in signs)


def _truths(body: bytes) -> bool:
    """Whether there may be true or false in a body.

    Behind the last text of many rows of numbers a single letter is looked for: to look for a word
    takes as long as the checks of all values.
    """
    last = body.rfind(b'"')
    if any(word in body[: last + 1] for word in (b"true", b"false")):
        return True
    return body.find(b"t", last + 1) >= 0 or body.find(b"f", last + 1) >= 0


@dataclass(frozen=True)
class _Wanted:
    """The model's columns in its order, those and the ids, and how many rows may come."""

    features: Sequence[str]
    columns: Sequence[str]
    most_rows: int

    def check(self, count: int) -> None:
        """Raises BadRequest for too many rows, before time goes into them."""
        check_length(count, self.most_rows)


def check_plain(rows: Rows) -> None:
    """Raises BadRequest for a value that is a list or an object."""
    for name, values in rows.columns.items():
        for number, value in enumerate(values):
            if isinstance(value, dict | list):
                found = "an object" if isinstance(value, dict) else "a list"
                raise BadRequest(
                    422,
                    f"row {number}, column {name}: a plain value is needed, not {found}",
                    [{"row": number, "column": name, "rule": "a plain value is needed"}],
                )


def check_length(count: int, most: int) -> None:
    """Raises BadRequest for more rows than a request may have."""
    if count > most:
        raise BadRequest(413, f"the request has {count} rows, more than {most}: send fewer")


def check_text(body: bytes) -> None:
    """Raises BadRequest for a CSV body that is no text in UTF-8, or has no row."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{body[error.start]:02x} at position {error.start}"
        raise BadRequest(400, f"the body is not UTF-8: {found}{_advice(body)}") from None
    if b"\0" in body:
        raise BadRequest(400, "the body has zero bytes, which no CSV in UTF-8 has")
    if not (rows := body.strip()):
        raise BadRequest(422, "the body is empty")
    if b"\n" not in rows and b"\r" not in rows:
        raise BadRequest(422, "the request has no rows: the first line names the columns")


def _json(body: bytes) -> Any:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(400, f"the body is not JSON: {error}{_advice(body)}") from None
    _refuse_repeated_keys(body, document)
    return document


def _advice(body: bytes) -> str:
    """What commonly makes a body no JSON."""
    if (found := odd_beginning(body)) or not (b"NaN" in body or b"Infinity" in body):
        return found
    return "; JSON has no NaN and no Infinity: send null for a missing value"


def odd_beginning(body: bytes) -> str:
    """What the first bytes tell of a body that is no JSON."""
    if not body.strip():
        return "; it is empty"
    if body.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")):
        return "; it is compressed: send it as it is"
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "; it begins with a byte order mark: send UTF-8 without one"
    return ""


def _refuse_repeated_keys(body: bytes, document: Any) -> None:
    """Raises BadRequest for a key that an object has twice: orjson keeps the last, without a word.

    Each key is followed by a colon, so a body with no more colons than keys were kept has none
    twice. Texts may hold colons too, as times do, but none that follows a quote.
    """
    kept = _count_keys(document)
    if body.count(b":") == kept:
        return
    spaced = any(space + b":" in body for space in (b" ", b"\t", b"\n", b"\r"))
    if not spaced and body.count(b'":') == kept:
        return
    try:
        json.loads(body, object_pairs_hook=unique)
    except RecursionError:
        raise BadRequest(422, _TOO_DEEP) from None


def _count_keys(document: Any) -> int:
    """Keys of the objects that the protocol knows; there are others in what is refused anyway."""
    if not isinstance(document, dict):
        return 0
    count = len(document)
    for value in document.values():
        if isinstance(value, dict):
            count += len(value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            count += sum(len(row) for row in value if isinstance(row, dict))
    return count


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises BadRequest for a key that it has twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise BadRequest(400, f"the body has the key {twice[:100]!r} twice in one object")
    return found


def _spelled(body: bytes) -> Any:
    """The same document with numbers as the reader of JSON lines keeps them."""
    try:
        return json.loads(body, parse_int=JsonNumber, parse_float=JsonNumber)
    except RecursionError:
        raise BadRequest(422, _TOO_DEEP) from None


def _invocation(document: Any, wanted: _Wanted) -> Rows:
    """One of the four forms of MLflow's protocol."""
    if not isinstance(document, dict):
        raise BadRequest(422, f"the body must be an object with one of {', '.join(PROTOCOL)}")
    if document.get("params"):
        raise BadRequest(422, "this model takes no params")
    unknown = set(document) - {*PROTOCOL, "params"}
    named = [name for name in PROTOCOL if name in document]
    if unknown or len(named) != 1:
        found = listed(sorted(document)) or "none"
        # As MLflow before version 2 had it.
        bare = ": put them into dataframe_split" if {"columns", "data"} <= unknown else ""
        raise BadRequest(
            422, f"write exactly one of {', '.join(PROTOCOL)}; the body has {found}{bare}"
        )
    content = document[named[0]]
    if named[0] == "dataframe_split":
        return _split(content, wanted)
    if named[0] == "dataframe_records":
        return _records(content, named[0], wanted)
    return _tensor(content, named[0], wanted)


def _split(content: Any, wanted: _Wanted) -> Rows:
    if not isinstance(content, dict) or set(content) - {"columns", "data", "index"}:
        raise BadRequest(422, "dataframe_split must be an object with columns, data and index")
    names: Any = content.get("columns")
    data = content.get("data")
    if not _is_names(names):
        raise BadRequest(422, "dataframe_split.columns must be a list of texts, none of them twice")
    if not isinstance(data, list):
        raise BadRequest(422, "dataframe_split.data must be a list of rows")
    if not isinstance(content.get("index", []), list):
        raise BadRequest(422, "dataframe_split.index must be a list; it is not used")
    wanted.check(len(data))
    return Rows(_transposed(names, data, "dataframe_split.data"), len(data))


def _is_names(names: Any) -> bool:
    return (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
    )


def _transposed(names: Sequence[str], data: list[Any], where: str) -> dict[str, Sequence[Any]]:
    if set(map(type, data)) - {list} or set(map(len, data)) - {len(names)}:
        number, row = next(
            (number, row)
            for number, row in enumerate(data)
            if not isinstance(row, list) or len(row) != len(names)
        )
        found = f"{len(row)} values" if isinstance(row, list) else "no list"
        raise BadRequest(
            422,
            f"{where}: row {number} has {found}, and there are {len(names)} columns",
            [{"row": number, "rule": f"{len(names)} values are needed"}],
        )
    if not data:
        return dict.fromkeys(names, ())
    return dict(zip(names, zip(*data, strict=True), strict=True))


def _records(content: Any, where: str, wanted: _Wanted) -> Rows:
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise BadRequest(422, f"{where} must be a list of objects")
    wanted.check(len(content))
    # Not every name that comes: rows may bring thousands each, and then all of them times all rows.
    names = [name for name in wanted.columns if any(name in row for row in content)]
    return Rows({name: [row.get(name) for row in content] for name in names}, len(content))


def _tensor(content: Any, where: str, wanted: _Wanted) -> Rows:
    """Rows, or an object of columns. Rows without names are in the model's order."""
    if isinstance(content, dict):
        return _columns(content, where, wanted)
    if not isinstance(content, list):
        raise BadRequest(422, f"{where} must be a list of rows")
    if content and all(isinstance(row, dict) for row in content):
        return _records(content, where, wanted)
    wanted.check(len(content))
    return Rows(_transposed(wanted.features, content, where), len(content))


def _columns(content: dict[str, Any], where: str, wanted: _Wanted) -> Rows:
    """A list of values for each column, or one value for each, which MLflow takes for one row."""
    lists = {isinstance(values, list) for values in content.values()}
    if lists == {False}:
        return Rows({name: (value,) for name, value in content.items()}, 1)
    if False in lists:
        raise BadRequest(422, f"{where} must hold a list of values for each column")
    lengths = {len(values) for values in content.values()}
    if len(lengths) > 1:
        raise BadRequest(422, f"the columns of {where} are not equally long")
    count = lengths.pop() if lengths else 0
    wanted.check(count)
    return Rows(content, count)


def _row(document: Any, wanted: _Wanted) -> Rows:
    """One object, whose keys are the model's columns and no others."""
    if not isinstance(document, dict):
        raise BadRequest(422, "the body must be an object with one value for each column")
    known = set(wanted.columns)
    if unknown := [name for name in document if name not in known]:
        raise BadRequest(
            422,
            f"the model has no columns {listed(unknown)}",
            [{"column": name, "rule": "unknown column"} for name in unknown[:_SHOWN]],
        )
    return Rows({name: (value,) for name, value in document.items()}, 1)


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(name)[:100] for name in names[:_SHOWN]) + more
