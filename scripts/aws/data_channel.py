"""The client's end of a session on the local cloud, as session-manager-plugin makes it on AWS.

Since version 1.2.764.0 the plugin signs the request that opens the data channel, so the caller
needs ssmmessages:OpenDataChannel beside ssm:StartSession. So does this one.
https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

TOKEN_HEADER = "x-keyless-session-token"  # noqa: S105 - a header's name
LOOPBACK = ("127.0.0.1", "localhost")


class NotLocal(ValueError):
    """A session of AWS, whose channel is a websocket of the plugin's."""


def open_data_channel(ssm: Any, session: Mapping[str, str]) -> tuple[str, int]:
    """Open the channel of a session that `ssm`, a boto3 client, began; returns host and port.

    It is signed with the client's own credentials. Raises NotLocal for a session of AWS,
    botocore's ClientError where the caller may not.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    stream = urlsplit(session["StreamUrl"])
    if stream.hostname not in LOOPBACK:
        raise NotLocal(f"its stream is {stream.scheme}://{stream.hostname}")
    headers = {TOKEN_HEADER: session["TokenValue"]}
    if ssm.meta.config.user_agent_extra:  # whoami's mark that this shows no need of the right
        headers["User-Agent"] = ssm.meta.config.user_agent_extra
    request = AWSRequest("GET", session["StreamUrl"], headers=headers)
    signer = SigV4Auth(ssm._get_credentials(), "ssmmessages", ssm.meta.region_name)
    signer.add_auth(request)
    answer = ssm._endpoint.http_session.send(request.prepare())
    return _read(answer)


def _read(answer: Any) -> tuple[str, int]:
    import json

    from botocore.exceptions import ClientError

    content = json.loads(answer.text)
    if answer.status_code != 200:
        code = str(content.get("__type") or answer.headers.get("x-amzn-errortype") or "Unknown")
        message = content.get("message") or content.get("Message") or answer.text
        name = code.partition(":")[0].rpartition("#")[2]
        raise ClientError({"Error": {"Code": name, "Message": message}}, "OpenDataChannel")
    return str(content["host"]), int(content["port"])
