"""Values of conditions that are not plain text: numbers, dates, booleans, binary, addresses.

Each maker takes the policy's value, raises PolicyError where it is not of its type, and returns a
test of the request's value, which raises Unsupported where that one is not of the type.
Rules: IAM User Guide, "Condition operators" (reference_policies_elements_condition_operators).
"""

from __future__ import annotations

import base64
import binascii
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from scripts.iam.engine.errors import PolicyError, Unsupported
from scripts.iam.engine.patterns import Test

Maker = Callable[[str], Test]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
# Four bare digits could be a year or seconds, so they are neither.
_EPOCH = re.compile(r"(?!\d{4}\Z)\d{1,11}(\.\d+)?", re.ASCII)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r"([Zz]|[+-]\d\d:\d\d)?)?)?)",
    re.ASCII,
)


def number(comparison: str) -> Maker:
    """Numeric operators: integers and decimals, without exponent."""
    return _maker(_COMPARE[comparison], _number, "a number such as 10 or 2.5")


def date(comparison: str) -> Maker:
    """Date operators: ISO 8601 as profiled by the W3C, or seconds since 1970; UTC if no zone."""
    return _maker(_COMPARE[comparison], _date, "a date such as 2026-11-23T10:00:00Z")


def _maker(
    compare: Callable[[Any, Any], bool], parse: Callable[[str], Any], expected: str
) -> Maker:
    def make(text: str) -> Test:
        wanted = parse(text)
        if wanted is None:
            raise PolicyError(f"{text!r} is not {expected}")

        def test(actual: str) -> bool:
            value = parse(actual)
            if value is None:
                raise Unsupported(f"the request's value {actual!r} is not {expected}")
            return compare(value, wanted)

        return test

    return make


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@lru_cache(maxsize=1024)
def _date(text: str) -> datetime | None:
    try:
        if _EPOCH.fullmatch(text):
            whole, _, fraction = text.partition(".")
            micro = int(fraction[:6].ljust(6, "0"))
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
                seconds=int(whole), microseconds=micro
            )
        match = _DATE.fullmatch(text)
        if not match:
            return None
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        moment = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=UTC,
        )
        return moment - _offset(zone)
    except (ValueError, OverflowError):
        return None


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    size = timedelta(hours=hours, minutes=minutes)
    return -size if zone[0] == "-" else size


def boolean(text: str) -> Test:
    """Bool: true or false, in any case."""
    wanted = text.lower()
    if wanted not in ("true", "false"):
        raise PolicyError(f"{text!r} is not a boolean; write true or false")

    def test(actual: str) -> bool:
        value = actual.lower()
        if value not in ("true", "false"):
            raise Unsupported(f"the request's value {actual!r} is not a boolean")
        return value == wanted

    return test


def binary(text: str) -> Test:
    """BinaryEquals: base64 in the policy and in the context, compared byte for byte."""
    wanted = _decoded(text)
    if wanted is None:
        raise PolicyError(f"{text!r} is not base64")

    def test(actual: str) -> bool:
        value = _decoded(actual)
        if value is None:
            raise Unsupported(f"the request's value {actual!r} is not base64")
        return value == wanted

    return test


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def network(text: str) -> Test:
    """IpAddress: an address or a CIDR range; IPv4 and IPv6 never match each other."""
    try:
        wanted = ip_network(text, strict=False)
    except ValueError:
        raise PolicyError(
            f"{text!r} is not an address range; write one such as 203.0.113.0/24"
        ) from None
    lowest, highest = int(wanted.network_address), int(wanted.broadcast_address)
    version = wanted.version

    def test(actual: str) -> bool:
        address = _address(actual)
        if address is None:
            raise Unsupported(f"the request's value {actual!r} is not an IP address")
        return address.version == version and lowest <= int(address) <= highest

    return test


@lru_cache(maxsize=1024)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # An IPv4 client seen by an IPv6 socket is still that IPv4 client.
    return getattr(address, "ipv4_mapped", None) or address


def same_ignoring_case(wanted: str) -> Test:
    """Equality without regard to case, exact for ASCII.

    AWS does not document case rules beyond ASCII, so strings that only Unicode case folding makes
    equal (the Kelvin sign and k) raise Unsupported.
    """
    lower, ascii_only = wanted.lower(), wanted.isascii()

    def test(actual: str) -> bool:
        if ascii_only and actual.isascii():
            return actual.lower() == lower
        if actual == wanted:
            return True
        if actual.casefold() == wanted.casefold():
            raise Unsupported(
                f"whether {actual!r} equals {wanted!r} depends on case rules beyond ASCII, which "
                "AWS does not document"
            )
        return False

    return test
