"""Systems Manager's two message services, which botocore has no model of.

ssmmessages distinguishes its calls by method and path, ec2messages by x-amz-target:
https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html
The reference names no resource types. AWS's own policies grant OpenDataChannel, which a client
needs as well as the agent, on the session; its error messages name the account for the others.
https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
https://github.com/awslabs/landing-zone-accelerator-on-aws/pull/330
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.iam.requests.model import HttpRequest, Unmapped
from scripts.iam.requests.row import Call, Row, Table, Target, anywhere, name_of, same

_CHANNEL = re.compile(r"/v1/(?P<kind>control|data)-channel/(?P<name>[^/]+)\Z")
_TARGET = "EC2WindowsMessageDeliveryService."

EC2MESSAGES: Table = anywhere(
    "AcknowledgeMessage DeleteMessage FailMessage GetEndpoint GetMessages SendReply"
)


def _account(call: Call) -> Iterator[Target]:
    yield Target(call.arn("ssmmessages", "*"), {})


def _session(call: Call) -> Iterator[Target]:
    match = _CHANNEL.match(call.request.path)
    name = name_of(match and match["name"], "session", r"[\w+=,.@-]+")
    yield Target(call.arn("ssm", f"session/{name}"), {})


SSMMESSAGES: Table = {
    **same("CreateControlChannel CreateDataChannel OpenControlChannel", Row(_account)),
    "OpenDataChannel": Row(_session),
}


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
