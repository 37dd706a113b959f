"""Holds the parameters of a call against AWS's own model of it (botocore's data files).

Nothing that the model does not know gets through: a parameter that is not looked at here could
still be heeded by whatever serves the request afterwards.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from scripts.iam.requests.model import Malformed
from scripts.iam.requests.wire.bounds import within

if TYPE_CHECKING:
    from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

LEAF = ""  # key under which a node of the parameter tree keeps its own value
Tree = dict[str, Any]
_INDEX = re.compile("[1-9][0-9]{0,5}", re.ASCII)


@cache
def service_model(name: str) -> ServiceModel:
    """AWS's model of a service, from the installed botocore only (never from ~/.aws/models)."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    loader = Loader(
        extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
    )
    return ServiceModel(loader.load_service_model(name, "service-2"), service_name=name)


def is_modelled(service: str, operation: str) -> bool:
    """Whether AWS's published model has the operation."""
    return operation in service_model(service).operation_names


def input_shape(service: str, operation: str) -> Shape | None:
    """The model of an operation's parameters; None when it takes none."""
    return service_model(service).operation_model(operation).input_shape


def from_json(shape: Shape | None, value: object, where: str = "request") -> Any:
    """Check a decoded JSON or CBOR value against its model; nulls are absent, as for AWS."""
    if shape is None:
        if value:
            raise Malformed(f"{where}: this operation takes no parameters")
        return {}
    match shape.type_name:
        case "structure":
            return _structure_from_json(cast("StructureShape", shape), value, where)
        case "list":
            member = cast("ListShape", shape).member
            items = _of(list, value, where)
            within(shape, items, where)
            return [from_json(member, item, f"{where}[{i}]") for i, item in enumerate(items)]
        case "map":
            entries = cast("MapShape", shape)
            found = _of(dict, value, where)
            within(shape, found, where)
            for key in found:
                within(entries.key, key, where)
            return {k: from_json(entries.value, v, f"{where}.{k}") for k, v in found.items()}
    found = _scalar(shape.type_name, value, where)
    within(shape, found, where)
    return found


def _scalar(kind: str, value: object, where: str) -> Any:
    match kind:
        case "string" | "character":
            return _of(str, value, where)
        case "boolean":
            return _of(bool, value, where)
        case "blob":
            # JSON carries text in base64, CBOR the bytes themselves.
            return value if isinstance(value, bytes) else _blob(_of(str, value, where), where)
    if isinstance(value, bool | dict | list):
        raise Malformed(f"{where} must be a single value")
    if kind == "timestamp" and isinstance(value, datetime):
        return value
    return from_text(kind, str(value), where)


def from_text(kind: str, text: str, where: str) -> Any:
    """A value as forms, addresses, headers and XML carry it."""
    match kind:
        case "boolean":
            if text.lower() not in {"true", "false"}:
                raise Malformed(f"{where} must be true or false")
            return text.lower() == "true"
        case "integer" | "long":
            return _whole(text, where)
        case "float" | "double":
            try:
                return float(text)
            except ValueError:
                raise Malformed(f"{where} must be a number") from None
        case "timestamp":
            return _moment(text, where)
        case "blob":
            return _blob(text, where)
    return text


def _whole(text: str, where: str) -> int:
    try:
        number = float(text) if "." in text else int(text)
    except ValueError:
        raise Malformed(f"{where} must be a whole number") from None
    if number != number // 1 or abs(number) >= 2**63:
        raise Malformed(f"{where} must be a whole number")
    return int(number)


def _blob(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Malformed(f"{where} must be base64") from None


def _moment(text: str, where: str) -> datetime:
    """A time in seconds since 1970, or as ISO 8601 or RFC 1123 write it."""
    from botocore.utils import parse_to_aware_datetime

    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        except (OverflowError, ValueError):
            raise Malformed(f"{where} must be a time") from None
    try:
        return parse_to_aware_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        raise Malformed(f"{where} must be a time") from None


def _structure_from_json(shape: StructureShape, value: object, where: str) -> dict[str, Any]:
    found = _of(dict, value, where)
    members = {m.serialization.get("name", name): (name, m) for name, m in shape.members.items()}
    result = {}
    for key, item in found.items():
        if getattr(shape, "is_document_type", False):
            result[key] = item
        elif key not in members:
            raise Malformed(f"{where}: AWS knows no parameter {key!r} here")
        elif item is not None:
            name, member = members[key]
            result[name] = from_json(member, item, f"{where}.{name}")
    none_missing(shape, result)
    return result


def none_missing(shape: StructureShape, found: Mapping[str, Any], code: str | None = None) -> None:
    """Malformed, in AWS's words, if a required member is not there."""
    for name in shape.required_members:
        if name not in found:
            if code is not None:
                raise Malformed(f"The request must contain the parameter {name}", code)
            member = name[0].lower() + name[1:]
            raise Malformed(
                f"1 validation error detected: Value null at '{member}' failed to satisfy "
                "constraint: Member must not be null"
            )


def _of(kind: type[Any], value: object, where: str) -> Any:
    if not isinstance(value, kind):
        raise Malformed(f"{where} must be a {kind.__name__}")
    return value


def from_query(shape: Shape | None, pairs: Mapping[str, str], *, ec2: bool) -> dict[str, Any]:
    """Rebuild nested parameters from `A.1.B=value` pairs (the query and ec2 protocols)."""
    tree: Tree = {}
    for path, text in pairs.items():
        node = tree
        parts = path.split(".")
        if LEAF in parts:
            raise Malformed(f"{path!r} is no name of a parameter", "InvalidQueryParameter")
        for part in parts:
            node = node.setdefault(part, {})
        node[LEAF] = text
    if shape is None:
        if tree:
            raise Malformed(f"this operation takes no parameters, not {min(tree)!r}")
        return {}
    return cast("dict[str, Any]", _Query(ec2).read(shape, tree, "request"))


class _Query:
    """Walks a parameter tree along the model, for one of the two query dialects."""

    def __init__(self, ec2: bool) -> None:
        self.ec2 = ec2

    def read(self, shape: Shape, node: Tree, where: str) -> Any:
        found: Any
        match shape.type_name:
            case "structure":
                return self._structure(cast("StructureShape", shape), node, where)
            case "list":
                found = self._list(cast("ListShape", shape), node, where)
            case "map":
                found = self._map(cast("MapShape", shape), node, where)
            case kind:
                if set(node) != {LEAF}:
                    raise Malformed(f"{where} must be a single value")
                found = from_text(kind, cast("str", node[LEAF]), where)
        within(shape, found, where)
        return found

    def _name(self, shape: Shape, name: str) -> str:
        written = cast("str | None", shape.serialization.get("name"))
        if not self.ec2:
            return written or name
        if "queryName" in shape.serialization:
            return cast("str", shape.serialization["queryName"])
        return written[0].upper() + written[1:] if written else name

    def _structure(self, shape: StructureShape, node: Tree, where: str) -> dict[str, Any]:
        rest = dict(node)
        if rest.pop(LEAF, "") != "":
            raise Malformed(f"{where} must be a group of values")
        result: dict[str, Any] = {}
        for name, member in shape.members.items():
            wire = self._name(member, name)
            if (
                not self.ec2
                and member.type_name == "list"
                and member.serialization.get("flattened")
            ):
                wire = cast("ListShape", member).member.serialization.get("name", wire)
            if wire in rest:
                result[name] = self.read(member, rest.pop(wire), f"{where}.{name}")
        if rest:
            code = "UnknownParameter" if self.ec2 else "InvalidQueryParameter"
            raise Malformed(f"{where}: AWS knows no parameter {min(rest)!r} here", code)
        none_missing(shape, result, "MissingParameter" if self.ec2 else None)
        return result

    def _list(self, shape: ListShape, node: Tree, where: str) -> list[Any]:
        if node == {LEAF: ""}:  # how an empty list is written
            return []
        if not self.ec2 and not shape.serialization.get("flattened"):
            names = {"member", shape.member.serialization.get("name", "member")}
            if len(node) != 1 or not names & set(node):
                raise Malformed(f"{where} must be a list")
            node = next(iter(node.values()))
        return [
            self.read(shape.member, item, f"{where}[{index}]")
            for index, item in sorted(self._numbered(node, where))
        ]

    def _map(self, shape: MapShape, node: Tree, where: str) -> dict[str, Any]:
        if node == {LEAF: ""}:
            return {}
        if not shape.serialization.get("flattened"):
            if set(node) != {"entry"}:
                raise Malformed(f"{where} must be a map")
            node = node["entry"]
        key, value = self._name(shape.key, "key"), self._name(shape.value, "value")
        result = {}
        for _, entry in self._numbered(node, where):
            if set(entry) != {key, value}:
                raise Malformed(f"{where} must hold pairs of {key} and {value}")
            name = self.read(shape.key, entry[key], where)
            if name in result:
                raise Malformed(f"{where}: {name!r} is given twice")
            result[name] = self.read(shape.value, entry[value], f"{where}.{name}")
        return result

    def _numbered(self, node: Tree, where: str) -> list[tuple[int, Tree]]:
        for index in node:
            if not _INDEX.fullmatch(index):
                raise Malformed(f"{where} must be numbered from 1")
        return [(int(index), item) for index, item in node.items()]
