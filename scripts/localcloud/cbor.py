"""Turns moto's JSON answers into those of the CBOR protocol, which newer SDKs speak to CloudWatch.

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from botocore.model import ListShape, MapShape, Shape, StructureShape

from scripts.iam.requests import Reading
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.protocols import CBOR as PROTOCOL
from scripts.iam.requests.wire.shapes import service_model
from scripts.localcloud.access.errors import Answer

__all__ = ["PROTOCOL", "answer"]


def answer(reading: Reading, found: Answer) -> Answer:
    """The answer to a CBOR request from the answer to the same request in JSON."""
    content = json.loads(found.body or b"{}")
    headers = {name: value for name, value in found.headers.items()
               if name.lower() not in ("content-type", "content-length")}  # fmt: skip
    headers |= {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
    if found.status >= 300:
        code = str(content.get("__type", "")).rpartition("#")[2]
        message = content.get("message") or content.get("Message") or ""
        return Answer(found.status, headers, cbor2.dumps({"__type": code, "message": message}))
    model = service_model(SERVICES[reading.request.service].model)
    shape = model.operation_model(reading.operation).output_shape
    typed = {} if shape is None else _typed(shape, content)
    return Answer(found.status, headers, cbor2.dumps(typed, datetime_as_timestamp=True))


def _typed(shape: Shape, value: Any) -> Any:
    """A value of JSON with times and bytes where the model has some."""
    if isinstance(shape, StructureShape):
        members = {m.serialization.get("name", name): m for name, m in shape.members.items()}
        return {
            name: _typed(members[name], item)
            for name, item in value.items()
            if name in members and item is not None
        }
    if isinstance(shape, ListShape):
        return [_typed(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {name: _typed(shape.value, item) for name, item in value.items()}
    match shape.type_name:
        case "timestamp":
            return _moment(value)
        case "blob":
            return base64.b64decode(value)
        case "double" | "float":
            return float(value)
    return value


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(value))
