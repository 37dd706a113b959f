"""Finds operation and parameters in a request of the query, JSON and CBOR protocols.

Where a request could be read in two ways (a parameter given twice, an operation named in two
places), it is refused: the reader behind might choose the other way.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any, cast
from urllib.parse import parse_qsl

from scripts.iam.requests.model import HttpRequest
from scripts.iam.requests.wire import cbor, shapes

MAX_UNPACKED = 16 * 2**20  # bytes; far above any call that carries permissions
_SIGNATURE = {
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
}


def unsigned_query(request: HttpRequest) -> list[tuple[str, str]]:
    """The query's pairs without those of a presigned link."""
    return [(k, v) for k, v in request.query if k.lower() not in _SIGNATURE]


def body_of(request: HttpRequest) -> bytes:
    """The body, unpacked when the client packed it (botocore does for large metric puts)."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return request.body
    if encoding != "gzip":
        raise ValueError(f"content-encoding {encoding!r} is not supported; send the body as it is")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(request.body)) as packed:
            body = packed.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("the body is not valid gzip") from error
    if len(body) > MAX_UNPACKED:
        raise ValueError(f"the unpacked body is larger than {MAX_UNPACKED} bytes")
    return body


def operation_of(request: HttpRequest, model: str) -> str:
    """The operation that a query, JSON or CBOR request names; ValueError when unclear."""
    named = [
        name
        for name in (
            _target(request, model),
            _cbor_operation(request),
            _form(request).get("Action"),
        )
        if name is not None
    ]
    if len(named) != 1:
        raise ValueError(
            "the request must name one operation: in x-amz-target, in the path or in Action"
        )
    return named[0]


def parameters_of(request: HttpRequest, model: str, operation: str) -> dict[str, Any]:
    """The parameters under AWS's own names, checked against the operation's model."""
    if not shapes.is_modelled(model, operation):  # SSM's agent has calls that no model tells of
        return _object(json_body(request))
    shape = shapes.input_shape(model, operation)
    if "x-amz-target" in request.headers:
        return cast("dict[str, Any]", shapes.from_json(shape, json_body(request)))
    if _cbor_operation(request):
        return cast("dict[str, Any]", shapes.from_json(shape, _cbor_body(request)))
    pairs = {k: v for k, v in _form(request).items() if k not in {"Action", "Version"}}
    return shapes.from_query(shape, pairs, ec2=model == "ec2")


def _target(request: HttpRequest, model: str) -> str | None:
    target = request.headers.get("x-amz-target")
    if target is None:
        return None
    prefix, _, operation = target.rpartition(".")
    # CloudTrail's is com.amazonaws....CloudTrail_20131101, which AWS's Go clients shorten.
    known = str(shapes.service_model(model).metadata.get("targetPrefix"))
    if prefix not in {known, known.rpartition(".")[2]}:
        raise ValueError(f"x-amz-target {target!r} does not belong to {request.service}")
    if unsigned_query(request):
        raise ValueError("a JSON request takes no parameters in its address")
    return operation


def _cbor_operation(request: HttpRequest) -> str | None:
    parts = request.path.split("/")
    if len(parts) != 5 or parts[1] != "service" or parts[3] != "operation":
        return None
    if unsigned_query(request):
        raise ValueError("a CBOR request takes no parameters in its address")
    return parts[4]


def _form(request: HttpRequest) -> dict[str, str]:
    """Pairs of a form body or of the address, never of both."""
    if "x-amz-target" in request.headers or _cbor_operation(request):
        return {}
    body = body_of(request)
    try:
        text = body.decode("utf-8")
        pairs = (
            parse_qsl(
                text, keep_blank_values=True, strict_parsing=True, encoding="utf-8", errors="strict"
            )
            if text
            else []
        )
    except ValueError as error:
        raise ValueError("the body is not a form of name=value pairs") from error
    address = unsigned_query(request)
    if pairs and address:
        raise ValueError("parameters belong either in the body or in the address, not in both")
    pairs = pairs or address
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a parameter is given twice")
    return result


def json_body(request: HttpRequest) -> Any:
    """The decoded JSON body; an empty one is an empty object, a repeated name is refused."""
    body = body_of(request)
    if not body.strip():
        return {}

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a name is given twice in one JSON object")
        return result

    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=once)
    except RecursionError as error:
        raise ValueError("the JSON body is nested too deeply") from error


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _cbor_body(request: HttpRequest) -> Any:
    body = body_of(request)
    return cbor.decode(body) if body else {}
