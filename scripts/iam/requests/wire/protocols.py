"""Reads operation and parameters from a request of the query, JSON and CBOR protocols.

Where a request could be read in two ways (a parameter given twice, an operation named in two
places), it is refused, although only the one reading is ever carried out: AWS refuses it too.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, cast

from scripts.iam.requests.model import HttpRequest, Malformed, Unmapped
from scripts.iam.requests.wire import shapes
from scripts.iam.requests.wire.bodies import body_of, cbor_object, form_pairs, json_object

CBOR = "smithy-rpc-v2-cbor"
FORM = "application/x-www-form-urlencoded"
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


def read(
    request: HttpRequest, model: str, served: Container[str]
) -> tuple[str, str, dict[str, Any]]:
    """Operation, protocol and parameters under AWS's own names; Malformed when unclear.

    Raises Unmapped, before it looks at parameters, for an operation that is not `served`.
    """
    spoken = shapes.service_model(model).metadata["protocols"]
    if "x-amz-target" in request.headers:
        _speaks("json", spoken)
        operation = _served(_target(request, model), request, served)
        return operation, "json", _from_json(model, operation, json_object(body_of(request)))
    if name := _cbor_operation(request, model):
        _speaks(CBOR, spoken)
        operation = _served(name, request, served)
        return operation, CBOR, _from_json(model, operation, cbor_object(body_of(request)))
    protocol = "ec2" if "ec2" in spoken else "query"
    pairs = _form(request)
    _speaks(protocol, spoken)
    named = pairs.pop("Action", "")
    if not named:
        raise Malformed("The request must contain the parameter Action", "MissingAction")
    operation = _served(named, request, served)
    pairs.pop("Version", None)
    shape = shapes.input_shape(model, operation)
    return operation, protocol, shapes.from_query(shape, pairs, ec2=protocol == "ec2")


def _served(operation: str, request: HttpRequest, served: Container[str]) -> str:
    if operation not in served:
        raise Unmapped(request.service, operation)
    return operation


def _speaks(protocol: str, spoken: list[str]) -> None:
    if protocol not in spoken:
        raise Malformed(f"the service speaks {' and '.join(spoken)}, not {protocol}")


def _from_json(model: str, operation: str, content: dict[str, Any]) -> dict[str, Any]:
    if not shapes.is_modelled(model, operation):  # SSM's agent has calls that no model has
        return content
    shape = shapes.input_shape(model, operation)
    return cast("dict[str, Any]", shapes.from_json(shape, content))


def _target(request: HttpRequest, model: str) -> str:
    target = request.headers["x-amz-target"]
    prefix, _, operation = target.rpartition(".")
    # CloudTrail's is com.amazonaws....CloudTrail_20131101, which AWS's Go clients shorten.
    known = str(shapes.service_model(model).metadata.get("targetPrefix"))
    if prefix not in {known, known.rpartition(".")[2]}:
        raise Malformed(
            f"x-amz-target {target!r} does not belong to {request.service}",
            "UnknownOperationException",
        )
    if unsigned_query(request):
        raise Malformed("a JSON request takes no parameters in its address")
    return operation


def _cbor_operation(request: HttpRequest, model: str) -> str | None:
    parts = request.path.split("/")
    if len(parts) != 5 or parts[1] != "service" or parts[3] != "operation":
        return None
    if parts[2] != shapes.service_model(model).metadata.get("targetPrefix"):
        raise Malformed(f"{request.path} does not belong to {request.service}",
                        "UnknownOperationException")  # fmt: skip
    if unsigned_query(request):
        raise Malformed("a CBOR request takes no parameters in its address")
    return parts[4]


def _form(request: HttpRequest) -> dict[str, str]:
    """Pairs of a form body or of the address, never of both."""
    content_type = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if request.body and content_type not in {FORM, ""}:
        raise Malformed(f"a body of the type {content_type} holds no parameters",
                        "MalformedQueryString")  # fmt: skip
    pairs, address = form_pairs(body_of(request)), unsigned_query(request)
    if pairs and address:
        raise Malformed("parameters belong either in the body or in the address, not in both",
                        "MalformedQueryString")  # fmt: skip
    pairs = pairs or address
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("a parameter is given twice", "MalformedQueryString")
    return result
