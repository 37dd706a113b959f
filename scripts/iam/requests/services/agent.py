"""The SSM agent's two message services, which botocore has no model of.

ssmmessages tells its calls by method and path, ec2messages by x-amz-target; neither has resource
types: https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html
"""

from __future__ import annotations

import re

from scripts.iam.requests.model import HttpRequest, Unmapped
from scripts.iam.requests.row import Table, anywhere

_CHANNEL = re.compile(r"/v1/(?P<kind>control|data)-channel/[^/]+\Z")
_TARGET = "EC2WindowsMessageDeliveryService."

EC2MESSAGES: Table = anywhere(
    "AcknowledgeMessage DeleteMessage FailMessage GetEndpoint GetMessages SendReply"
)
SSMMESSAGES: Table = anywhere(
    "CreateControlChannel CreateDataChannel OpenControlChannel OpenDataChannel"
)


def operation_of(request: HttpRequest) -> str:
    """The operation of a request to one of the two services."""
    target = request.headers.get("x-amz-target")
    if request.service == "ec2messages":
        if target is None or not target.startswith(_TARGET):
            raise Unmapped("ec2messages", target or request.path)
        return target.removeprefix(_TARGET)
    match = _CHANNEL.match(request.path)
    verb = {"POST": "Create", "GET": "Open"}.get(request.method)
    if target is not None or not match or not verb:
        raise Unmapped("ssmmessages", f"{request.method} {request.path}")
    return f"{verb}{match['kind'].capitalize()}Channel"
