"""Finds operation and parameters in a REST request (S3, Scheduler) by AWS's own model."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from scripts.iam.requests.model import Malformed
from scripts.iam.requests.wire import bodies, shapes, xml_body
from scripts.iam.requests.wire.bounds import within

if TYPE_CHECKING:
    from botocore.model import ListShape, OperationModel, Shape, StructureShape

Pairs = Iterable[tuple[str, str]]
# Says which operation the client means; the services do not heed it.
IGNORED = "x-id"


@dataclass(frozen=True)
class Route:
    """What distinguishes one operation from the others with the same method and path."""

    operation: str
    query: Mapping[str, str]  # fixed in the operation's address
    parameters: frozenset[str]  # required parameters of the query
    headers: frozenset[str]  # required headers
    known: frozenset[str] = field(repr=False)  # every parameter of the query that it takes

    def fits(self, query: Mapping[str, str], headers: Container[str]) -> bool:
        """Whether a request has all that identifies the operation."""
        return (
            all(query.get(name) == value for name, value in self.query.items())
            and all(name in query for name in self.parameters)
            and all(name in headers for name in self.headers)
        )

    @property
    def weight(self) -> int:
        """How much the operation asks for: of two that fit, the one that asks for more is meant."""
        return len(self.query) + len(self.parameters) + len(self.headers)


@cache
def routes(model: str) -> Mapping[tuple[str, str], tuple[Route, ...]]:
    """The operations of a service, by method and path template."""
    service = shapes.service_model(model)
    found: dict[tuple[str, str], list[Route]] = {}
    for name in service.operation_names:
        operation = service.operation_model(name)
        if not operation.deprecated:
            path = operation.http["requestUri"].partition("?")[0]
            found.setdefault((operation.http["method"], path), []).append(_route(operation))
    return {place: tuple(rows) for place, rows in found.items()}


def _route(operation: OperationModel) -> Route:
    fixed = parse_qsl(operation.http["requestUri"].partition("?")[2], keep_blank_values=True)
    query = {name: value for name, value in fixed if name != IGNORED}
    shape = operation.input_shape
    members = dict(shape.members) if shape else {}
    required = set(shape.required_members) if shape else set()

    def named(location: str, names: Iterable[str]) -> frozenset[str]:
        wires = [members[name].serialization for name in names]
        return frozenset(str(one["name"]) for one in wires if one.get("location") == location)

    return Route(
        operation.name,
        query,
        named("querystring", required),
        frozenset(name.lower() for name in named("header", required)),
        frozenset(query) | named("querystring", members),
    )


@cache
def headers_of(model: str, operation: str) -> frozenset[str]:
    """The headers, in lower case, that an operation takes."""
    shape = shapes.service_model(model).operation_model(operation).input_shape
    wires = [member.serialization for member in shape.members.values()] if shape else []
    return frozenset(str(one["name"]).lower() for one in wires if one.get("location") == "header")


def find(
    model: str, place: tuple[str, str], query: Mapping[str, str], headers: Container[str],
    served: Container[str],
) -> Route | None:  # fmt: skip
    """The operation that a request means, None if none fits. Of equals a `served` one is taken."""
    fitting = [route for route in routes(model).get(place, ()) if route.fits(query, headers)]
    return max(fitting, key=lambda one: (one.weight, one.operation in served), default=None)


def parameters(
    operation: OperationModel, labels: Mapping[str, str], query: Pairs,
    headers: Mapping[str, str], body: bytes,
) -> dict[str, Any]:  # fmt: skip
    """The parameters from path, query, headers and body, checked against the model."""
    shape = operation.input_shape
    if shape is None:
        return {}
    asked: dict[str, list[str]] = {}
    for name, value in query:
        asked.setdefault(name, []).append(value)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        value = _from_outside(name, member, labels, asked, headers)
        if value is not None:
            found[name] = value
    return found | _from_body(operation, shape, body, found)


def _from_outside(
    name: str, member: Shape, labels: Mapping[str, str], query: Mapping[str, list[str]],
    headers: Mapping[str, str],
) -> Any:  # fmt: skip
    """A parameter in the path, the query or the headers; None if it is not there."""
    wire = str(member.serialization.get("name", name))
    match member.serialization.get("location"):
        case "uri":
            text = labels.get(wire)
            return None if text is None else _text(member, text, wire)
        case "querystring":
            values = query.get(wire)
            if values is None:
                return None
            if member.type_name == "list":
                return _texts(member, values, wire)
            if len(values) > 1:
                raise Malformed(f"parameter {wire!r} is given twice", "InvalidArgument")
            return _text(member, values[0], wire)
        case "header":
            text = headers.get(wire.lower())
            if text is None or wire.lower() == "content-length":
                return None
            if member.type_name == "list":
                parts = [part.strip() for part in text.split(",") if part.strip()]
                return _texts(member, parts, wire)
            return _text(member, text, wire)
        case "headers":
            found = {k[len(wire) :]: v for k, v in headers.items() if k.startswith(wire.lower())}
            return found or None
    return None


def _text(member: Shape, text: str, wire: str) -> Any:
    found = shapes.from_text(member.type_name, text, wire)
    within(member, found, wire)
    return found


def _texts(member: Shape, texts: list[str], wire: str) -> list[Any]:
    within(member, texts, wire)
    return [_text(cast("ListShape", member).member, text, wire) for text in texts]


def _from_body(
    operation: OperationModel, shape: StructureShape, body: bytes, found: Mapping[str, Any]
) -> dict[str, Any]:
    payload = shape.serialization.get("payload")
    if operation.service_model.metadata["protocol"] == "rest-json":
        return _from_json(shape, body, found)
    if payload is None:
        return {}  # S3's other operations have no body, and ignore one
    member = shape.members[payload]
    if member.type_name == "blob":
        return {payload: body}
    if not body.strip():
        if payload in shape.required_members:
            raise Malformed("Request Body is empty", "MissingRequestBodyError")
        return {}
    if member.type_name == "string":
        try:
            return {payload: body.decode("utf-8")}
        except UnicodeDecodeError:
            raise Malformed("the body is not UTF-8 text", "MalformedPolicy") from None
    root = str(member.serialization.get("name", payload))
    return {payload: xml_body.read(cast("StructureShape", member), root, body)}


def _from_json(shape: StructureShape, body: bytes, found: Mapping[str, Any]) -> dict[str, Any]:
    content = bodies.json_object(body)
    inside = {
        m.serialization.get("name", name): name
        for name, m in shape.members.items()
        if "location" not in m.serialization
    }
    outside = content.keys() - inside.keys()
    if outside:
        raise Malformed(f"request: AWS knows no parameter {min(outside)!r} in the body")
    read = {
        inside[key]: shapes.from_json(shape.members[inside[key]], value, inside[key])
        for key, value in content.items()
        if value is not None
    }
    shapes.none_missing(shape, {**found, **read})
    return read
