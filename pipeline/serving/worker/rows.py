"""From a request's JSON to columns: MLflow's scoring protocol, and one typed row.

What a body may be: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.reading.documents import JsonNumber

PROTOCOL = ("dataframe_split", "dataframe_records", "instances", "inputs")
_SHOWN = 20


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
) -> Rows:
    """Read a JSON body: `kind` is json or row. Columns that are no feature and no id are left out.

    Raises BadRequest for anything that is no table with all features.
    """
    document = _spelled(body) if spelled else _json(body)
    rows = _row(document, features, ids) if kind == "row" else _invocation(document, features)
    missing = [name for name in features if name not in rows.columns]
    if missing:
        raise BadRequest(
            422,
            f"the request lacks the columns {_listed(missing)}",
            [{"column": name, "rule": "missing column"} for name in missing[:_SHOWN]],
        )
    if rows.count == 0:
        raise BadRequest(422, "the request has no rows")
    wanted = [*features, *(name for name in ids if name in rows.columns)]
    truths = b"true" in body or b"false" in body
    return Rows({name: rows.columns[name] for name in wanted}, rows.count, truths, spelled)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(400, f"the body is not JSON: {error}") from None


def _spelled(body: bytes) -> Any:
    """The same document with numbers as the reader of JSON lines keeps them."""
    return json.loads(body, parse_int=JsonNumber, parse_float=JsonNumber)


def _invocation(document: Any, features: Sequence[str]) -> Rows:
    """One of the four forms of MLflow's protocol."""
    if not isinstance(document, dict):
        raise BadRequest(422, f"the body must be an object with one of {', '.join(PROTOCOL)}")
    if document.get("params"):
        raise BadRequest(422, "this model takes no params")
    unknown = set(document) - {*PROTOCOL, "params"}
    named = [name for name in PROTOCOL if name in document]
    if unknown or len(named) != 1:
        found = _listed(sorted(document)) or "none"
        raise BadRequest(422, f"write exactly one of {', '.join(PROTOCOL)}; the body has {found}")
    content = document[named[0]]
    if named[0] == "dataframe_split":
        return _split(content)
    if named[0] == "dataframe_records":
        return _records(content, named[0])
    return _tensor(content, named[0], features)


def _split(content: Any) -> Rows:
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


def _records(content: Any, where: str) -> Rows:
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise BadRequest(422, f"{where} must be a list of objects")
    names = dict.fromkeys(name for row in content for name in row)
    return Rows({name: [row.get(name) for row in content] for name in names}, len(content))


def _tensor(content: Any, where: str, features: Sequence[str]) -> Rows:
    """instances: rows; inputs: rows or columns. Rows without names are in the model's order."""
    if isinstance(content, dict) and where == "inputs":
        if not all(isinstance(values, list) for values in content.values()):
            raise BadRequest(422, "inputs must hold a list of values for each column")
        lengths = {len(values) for values in content.values()}
        if len(lengths) > 1:
            raise BadRequest(422, "the columns of inputs are not equally long")
        return Rows(content, lengths.pop() if lengths else 0)
    if not isinstance(content, list):
        raise BadRequest(422, f"{where} must be a list of rows")
    if content and all(isinstance(row, dict) for row in content):
        return _records(content, where)
    return Rows(_transposed(features, content, where), len(content))


def _row(document: Any, features: Sequence[str], ids: Collection[str]) -> Rows:
    """One object, whose keys are the model's columns and no others."""
    if not isinstance(document, dict):
        raise BadRequest(422, "the body must be an object with one value for each column")
    if unknown := [name for name in document if name not in features and name not in ids]:
        raise BadRequest(
            422,
            f"the model has no columns {_listed(unknown)}",
            [{"column": name, "rule": "unknown column"} for name in unknown[:_SHOWN]],
        )
    return Rows({name: (value,) for name, value in document.items()}, 1)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(name)[:100] for name in names[:_SHOWN]) + more
