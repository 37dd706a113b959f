"""Finds operation and parameters in a request of the REST-JSON protocol (EventBridge Scheduler)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import unquote

from scripts.iam.requests.model import HttpRequest, Malformed, Unmapped
from scripts.iam.requests.wire import rest, shapes
from scripts.iam.requests.wire.bodies import body_of
from scripts.iam.requests.wire.protocols import unsigned_query

PROTOCOL = "rest-json"


@cache
def _templates(model: str) -> dict[str, re.Pattern[str]]:
    return {
        path: re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)) + r"\Z")
        for _, path in rest.routes(model)
    }


def read(request: HttpRequest, model: str) -> tuple[str, str, dict[str, Any]]:
    """Operation, protocol and parameters; Unmapped if no operation answers to method and path."""
    if "x-amz-target" in request.headers or any(k == "Action" for k, _ in request.query):
        raise Malformed("this service takes its operation from method and path alone")
    pairs = unsigned_query(request)
    for path, pattern in _templates(model).items():
        match = pattern.match(request.path)
        found = match and rest.find(model, (request.method, path), dict(pairs), (), ())
        if match and found:
            labels = {name: _decoded(value) for name, value in match.groupdict().items()}
            unknown = sorted({name for name, _ in pairs} - found.known)
            if unknown:
                raise Malformed(f"AWS knows no parameter {unknown[0]!r} here")
            operation = shapes.service_model(model).operation_model(found.operation)
            given = rest.parameters(operation, labels, pairs, request.headers, body_of(request))
            return found.operation, PROTOCOL, given
    raise Unmapped(request.service, f"{request.method} {request.path}")


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise Malformed("the path is not UTF-8") from error
