"""Finds operation and parameters in a request of the REST-JSON protocol (EventBridge Scheduler)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, cast
from urllib.parse import unquote

from scripts.iam.requests.model import HttpRequest, Unmapped
from scripts.iam.requests.wire import shapes
from scripts.iam.requests.wire.protocols import json_body, unsigned_query


@cache
def _routes(model: str) -> list[tuple[str, re.Pattern[str], str]]:
    service = shapes.service_model(model)
    found = []
    for name in service.operation_names:
        http = service.operation_model(name).http
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"]))
        found.append((http["method"], re.compile(pattern + r"\Z"), name))
    return found


def operation_of(request: HttpRequest, model: str) -> str:
    """The operation that answers to method and path; Unmapped if none does."""
    return _match(request, model)[0]


def parameters_of(request: HttpRequest, model: str, operation: str) -> dict[str, Any]:
    """Parameters from path, query and body, checked against the operation's model."""
    found: dict[str, Any] = {}
    _, in_path = _match(request, model)
    shape = shapes.input_shape(model, operation)
    lists = set()
    for member in getattr(shape, "members", {}).values():
        if member.type_name == "list":
            lists.add(member.serialization.get("name"))
    for name, value in [*in_path.items(), *unsigned_query(request)]:
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise ValueError(f"parameter {name!r} is given twice")
        else:
            found[name] = int(value) if value.isascii() and value.isdigit() else value
    body = json_body(request)
    if not isinstance(body, dict) or found.keys() & body.keys():
        raise ValueError("the body must be a JSON object that repeats no parameter of the address")
    return cast("dict[str, Any]", shapes.from_json(shape, found | body))


def _match(request: HttpRequest, model: str) -> tuple[str, dict[str, str]]:
    if "x-amz-target" in request.headers or any(k == "Action" for k, _ in request.query):
        raise ValueError("this service takes its operation from method and path alone")
    for method, pattern, name in _routes(model):
        match = pattern.match(request.path)
        if match and method == request.method:
            try:
                values = {k: unquote(v, errors="strict") for k, v in match.groupdict().items()}
            except UnicodeDecodeError as error:
                raise ValueError("the path is not UTF-8") from error
            return name, values
    raise Unmapped(request.service, f"{request.method} {request.path}")
