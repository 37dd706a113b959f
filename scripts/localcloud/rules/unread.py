"""Parameters that AWS heeds and nobody here reads: a call that gives one is refused by its name.

Moto would drop it without a word, and the call would succeed without what it asked for. The list,
`unread.json`, is made by `python -m tests.localcloud.unread.classes` from AWS's model, from moto's
source and from ours. So is a call of which moto does more than AWS would, or says that it did.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends

FILE = Path(__file__).with_name("unread.json")
Table = Mapping[str, Mapping[str, Mapping[str, list[Any]]]]


@cache
def table() -> Table:
    """Service -> operation -> parameter -> values that ask for nothing, beside empty ones."""
    found: Table = json.loads(FILE.read_text())
    return found


def check(reading: Reading) -> None:
    """Refuse a call that asks for what would be lost."""
    named = table().get(reading.request.service, {}).get(reading.operation, {})
    for name, nothing in named.items():
        if asks(reading.parameters, name.split("."), nothing):
            raise AwsError(
                "LocalCloudNotImplemented",
                f"The local cloud does not model {name} of {reading.operation}",
            )


def trial(reading: Reading, _: Backends) -> None:
    """A call that only asks whether it would be allowed."""
    if not reading.parameters.get("DryRun"):
        return
    if reading.request.service == "kms":
        raise AwsError(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.", 412,
        )  # fmt: skip
    raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def asks(parameters: Any, way: Sequence[str], nothing: Sequence[Any]) -> bool:
    """Whether what stands at a place of a call asks for something."""
    return any(_asks(value, nothing) for value in _at(parameters, way))


def _at(value: Any, way: Sequence[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _at(one, way)
    elif not way:
        yield value
    elif isinstance(value, Mapping) and way[0] in value:
        yield from _at(value[way[0]], way[1:])


def _asks(value: Any, nothing: Sequence[Any]) -> bool:
    if isinstance(value, Mapping):
        return any(_asks(one, nothing) for one in value.values())
    if isinstance(value, list):
        return any(_asks(one, nothing) for one in value)
    if any(one is True for one in nothing):  # what AWS does unless it is told not to
        return value is not True
    if value is None or value is False or value in ("", b""):
        return False
    return value not in nothing


# What moto keeps, and sends nowhere.
_KEPT = frozenset({"email", "email-json", "sms"})
_ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_SUBSCRIPTION = re.compile(r"arn:[^:]+:sns(:[^:]+){3}:[0-9a-f-]{36}")


def subscription(reading: Reading, _: Backends) -> None:
    """Moto posts messages to any address, those of this machine too."""
    protocol = reading.parameters.get("Protocol")
    if protocol not in _KEPT:
        raise AwsError(
            "LocalCloudNotImplemented", f"The local cloud sends no messages by {protocol}"
        )
    address = str(reading.parameters.get("Endpoint") or "")
    if protocol != "sms" and not _ADDRESS.fullmatch(address):
        raise AwsError("InvalidParameter", "Invalid parameter: Email address")


def confirmation(_: Reading, __: Backends) -> None:
    """No message is sent here, so nobody has a token; moto takes any.

    https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
    """
    raise AwsError("InvalidParameter", "Invalid parameter: Token")


def subscribed(reading: Reading, _: Backends) -> None:
    """What is not the ARN of a subscription ends none; moto says that it did.

    https://docs.aws.amazon.com/sns/latest/api/API_Unsubscribe.html
    """
    if not _SUBSCRIPTION.fullmatch(reading.parameters["SubscriptionArn"]):
        raise AwsError("InvalidParameter", "Invalid parameter: SubscriptionId")


def notifications(reading: Reading, _: Backends) -> None:
    """Moto hands a bucket's events to any topic, and through a rule to any log group."""
    asked = reading.parameters.get("NotificationConfiguration") or {}
    if any(asked.values()) or "EventBridgeConfiguration" in asked:
        raise AwsError(
            "LocalCloudNotImplemented", "The local cloud sends no notifications of buckets"
        )


def command(_: Reading, __: Backends) -> None:
    """Moto says of every command that it succeeded, which nobody has run."""
    raise AwsError("LocalCloudNotImplemented", "The local cloud runs no commands on instances")
