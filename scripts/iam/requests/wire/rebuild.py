"""Writes the request that a reading stands for, as AWS's own client library would send it.

The service that answers gets this and nothing of what the client sent, so that it cannot read the
request in another way than the one that was authorised.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from scripts.iam.requests.model import Reading
from scripts.iam.requests.wire import shapes
from scripts.iam.requests.wire.rest import IGNORED

if TYPE_CHECKING:
    from botocore.model import OperationModel


class Rebuilt(NamedTuple):
    """A request to a service. `path` is percent-encoded, header names are lower-case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes


@cache
def _serializer(protocol: str) -> Any:
    from botocore.serialize import create_serializer

    return create_serializer(protocol, include_validation=False)


def rebuilt(reading: Reading, model: str, protocol: str | None = None) -> Rebuilt:
    """The request for an operation of AWS's model `model`, in the protocol of the reading or in
    another one that the service speaks.

    Raises ValueError for an operation that the model does not know.
    """
    if not shapes.is_modelled(model, reading.operation):
        raise ValueError(f"AWS's model of {model} has no {reading.operation}")
    operation = shapes.service_model(model).operation_model(reading.operation)
    made = _serializer(protocol or reading.protocol).serialize_to_request(
        reading.parameters, operation
    )
    path, _, fixed = made["url_path"].partition("?")
    query = [pair for pair in parse_qsl(fixed, keep_blank_values=True) if pair[0] != IGNORED]
    asked = made["query_string"] or {}
    for name, value in asked.items():
        query += [(name, item) for item in (value if isinstance(value, list) else [value])]
    headers = {name.lower(): str(value) for name, value in made["headers"].items()}
    body = _body(made["body"], json="x-amz-target" in headers, xml=_is_xml(operation))
    return Rebuilt(made["method"], path, tuple(query), headers, body)


def _is_xml(operation: OperationModel) -> bool:
    shape = operation.input_shape
    payload = shape.serialization.get("payload") if shape else None
    return bool(shape and payload and shape.members[payload].type_name == "structure")


def _body(body: Any, *, json: bool, xml: bool) -> bytes:
    if isinstance(body, dict):
        return urlencode(body).encode()
    content: bytes = body.encode() if isinstance(body, str) else body
    if json:
        return _without_form_signs(content)
    # A reader of XML takes a bare carriage return for a line feed.
    return content.replace(b"\r", b"&#xD;") if xml else content


def _without_form_signs(content: bytes) -> bytes:
    """JSON text that nobody can read as a form: `&` and `=` inside strings are written escaped."""
    return content.replace(b"&", b"\\u0026").replace(b"=", b"\\u003d")


def as_json(content: Any) -> bytes:
    """A JSON body for a call that no model has."""
    return _without_form_signs(json.dumps(content).encode())
