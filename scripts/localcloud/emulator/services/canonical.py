"""The one form in which EC2 keeps a protocol and a network, however a call spells them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from ipaddress import ip_network
from typing import Any
from unittest.mock import patch

from moto.ec2.models.network_acls import NetworkAclEntry
from moto.ec2.models.route_tables import RouteBackend
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpcs import VPCBackend

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
_NAMED = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}


def protocol(text: str) -> str:
    """A protocol's name where it has one there, else its number."""
    lower = text.lower()
    number = str(int(lower)) if lower.isascii() and lower.isdecimal() else lower
    return _NAMED.get(number, number)


def protocol_number(text: str) -> str:
    """The number that an entry of an ACL has for it.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAclEntry.html
    """
    name = protocol(text)
    return next((number for number, known in _NAMED.items() if known == name != "-1"), name)


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


# Where moto keeps a network as it is spelt. AWS: "We modify the specified CIDR block to its
# canonical form".
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
_MAKERS = (
    (NetworkAclEntry, "__init__"),
    (RouteBackend, "create_route"),
    (RouteBackend, "delete_route"),
    (RouteBackend, "replace_route"),
    (SubnetBackend, "create_subnet"),
    (VPCBackend, "associate_vpc_cidr_block"),
    (VPCBackend, "create_vpc"),
)


@contextmanager
def kept() -> Iterator[None]:
    """Keep networks in their canonical form while the context lasts."""
    with ExitStack() as stack:
        for owner, method in _MAKERS:
            stack.enter_context(patch.object(owner, method, _canonised(getattr(owner, method))))
        yield


def _canonised(original: Any) -> Any:
    signature = inspect.signature(original)

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        for name, given in bound.arguments.items():
            if name.endswith("cidr_block") and isinstance(given, str):
                bound.arguments[name] = network(given) or given
            elif name == "protocol":
                bound.arguments[name] = protocol_number(str(given))
        return original(*bound.args, **bound.kwargs)

    return call
