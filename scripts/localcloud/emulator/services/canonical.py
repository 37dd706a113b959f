"""The one form in which EC2 keeps a protocol and a network, however a call spells them."""

from __future__ import annotations

from ipaddress import ip_network

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
_NAMED = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}


def protocol(text: str) -> str:
    """A protocol's name where it has one there, else its number."""
    lower = text.lower()
    number = str(int(lower)) if lower.isascii() and lower.isdecimal() else lower
    return _NAMED.get(number, number)


def network(text: str) -> str | None:
    """`100.68.0.18/18` is 100.68.0.0/18. None where it is no network of a protocol's version.

    Python takes a zone (`fe80::%eth0/64`) and a mask of four numbers, which CIDR notation has not.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
    """
    address, _, length = text.partition("/")
    if "%" in address or not (length.isascii() and length.isdecimal()):
        return None
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return None
