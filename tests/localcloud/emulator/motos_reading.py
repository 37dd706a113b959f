"""How moto reads a request: its own router and parsers, which nobody here wrote."""

from __future__ import annotations

from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.responses import BaseResponse
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

from scripts.iam.requests import Reading
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.wire.rebuild import Rebuilt
from scripts.localcloud.emulator import patches
from scripts.localcloud.emulator.emulator import Emulator

EMULATOR = Emulator("123456789012", "us-east-1", "127.0.0.1:1")


def reading_of(made: Rebuilt, reading: Reading) -> tuple[str, dict[str, Any]]:
    """The operation and parameters that moto's own code finds in what it is handed."""
    with patches.applied():  # as in the local cloud: the body of S3 is never a form
        return _found(Request(EMULATOR._environ(made, reading, "AKIA")), reading)


def _found(request: Request, reading: Reading) -> tuple[str, dict[str, Any]]:
    name = SERVICES[reading.request.service].model or reading.request.service
    response = BaseResponse(service_name=name)
    response.setup_class(request, use_raw_body=name == "s3")
    if name in ("s3", "scheduler"):
        operation, in_path = get_service_router(name).match(request)
        found = operation.name
    else:
        in_path, found = {}, response._get_action()
    model = get_service_model(name)
    protocol = determine_request_protocol(model, request.content_type)
    parser = PROTOCOL_PARSERS[protocol](model.operation_model(found), map_type=dict)
    parsed = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": in_path,
        }
    )
    return found, parsed
