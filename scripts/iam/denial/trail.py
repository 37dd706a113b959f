"""Denials as CloudTrail's events tell them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from scripts.iam.denial.reading.messages import Read, Refusal, read


def from_trail(events: Iterable[str], prefix: str) -> Read:
    """The denials of roles whose name begins with the prefix, from CloudTrail's events, newest
    first. An event whose message cannot be parsed is kept as it is (`bare`)."""
    refusals: list[Refusal] = []
    encoded: list[str] = []
    bare: list[str] = []
    for event in map(json.loads, events):
        if not _denied(event, prefix):
            continue
        found = read(str(event.get("errorMessage", "")))
        refusals += [_with_event(refusal, event) for refusal in found.refusals]
        encoded += found.encoded
        if not found.refusals and not found.encoded:
            bare.append(
                f"{event['eventTime']} {event['eventSource']} {event['eventName']} by "
                f"{event['userIdentity']['arn']}: {event.get('errorMessage', event['errorCode'])}"
            )
    return Read(tuple(refusals), tuple(encoded), tuple(bare))


def _denied(event: Mapping[str, Any], prefix: str) -> bool:
    code = str(event.get("errorCode", ""))
    issuer = event.get("userIdentity", {}).get("sessionContext", {}).get("sessionIssuer", {})
    return ("AccessDenied" in code or "Unauthorized" in code) and str(
        issuer.get("userName", "")
    ).startswith(prefix)


def _with_event(refusal: Refusal, event: Mapping[str, Any]) -> Refusal:
    """The denial with the condition keys that the event names."""
    keys = {"aws:RequestedRegion": (str(event["awsRegion"]),)}
    for name, key in (("userAgent", "aws:UserAgent"), ("vpcEndpointId", "aws:SourceVpce")):
        if event.get(name):
            keys[key] = (str(event[name]),)
    address = str(event.get("sourceIPAddress", ""))
    # A service that asks in the caller's name stands there by its name.
    if address and not address.endswith(".amazonaws.com"):
        keys["aws:SourceIp"] = (address,)
    at = datetime.fromisoformat(str(event["eventTime"])).timestamp()
    return replace(
        refusal,
        keys=keys | dict(refusal.keys),
        operation=str(event["eventName"]),
        request_id=str(event.get("requestID", "")),
        time=at,
    )
