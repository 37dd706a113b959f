"""A call that fails leaves the account as it was: moto begins some before it has looked at all.

What is kept while a call runs is what hangs directly on the service's state (its tables, not what
is in each row) and the things that the call names. Requests come one at a time, so nobody else
changes it meanwhile.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.requests import Reading
from scripts.iam.requests.services.ec2 import KIND_OF_PREFIX
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.facts import ec2_resource

# Service -> whose state its calls change. The others' calls have one step, or (S3) too much state.
_TOUCHED: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("ec2", "elasticloadbalancing", "events", "iam", "rds",
                                  "scheduler", "secretsmanager", "ssm")},
    "autoscaling": ("autoscaling", "ec2", "elasticloadbalancing"),
}  # fmt: skip
_READS = re.compile("Describe|Get|List|Search|Lookup|BatchGet|Filter|Simulate|Download")
_CONTAINERS = (dict, list, set)


class Kept:
    """What a call may change; empty where it cannot fail half-way."""

    def __init__(self, reading: Reading, backends: Backends) -> None:
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._contents: list[tuple[Any, Any]] = []
        service, region = reading.request.service, reading.request.region
        if service not in _TOUCHED or _READS.match(reading.operation):
            return
        names = set(_names(reading.parameters))
        for touched in _TOUCHED[service]:
            backend = backends(touched, region)
            self._keep(backend)
            for table in list(vars(backend).values()):
                if isinstance(table, dict):
                    self._keep_rows(table, names)
        if service == "elasticloadbalancing":
            for balancer in list(backends(service, region).load_balancers.values()):
                self._keep_rows(balancer.listeners, names)
        for name in names:
            if kind := KIND_OF_PREFIX.get(name.partition("-")[0]):
                self._keep(ec2_resource(backends("ec2", region), kind, name))

    def restore(self) -> None:
        """Put everything back in its place."""
        for attributes, before in self._attributes:
            attributes.clear()
            attributes.update(before)
        for container, before in self._contents:
            _refill(container, before)

    def _keep(self, thing: Any) -> None:
        attributes = getattr(thing, "__dict__", None)
        if attributes is None:
            return
        self._attributes.append((attributes, dict(attributes)))
        for value in attributes.values():
            self._keep_contents(value)

    def _keep_contents(self, value: Any) -> None:
        if isinstance(value, _CONTAINERS):
            self._contents.append((value, dict.copy(value) if isinstance(value, dict)
                                   else value.copy()))  # fmt: skip

    def _keep_rows(self, table: dict[Any, Any], names: set[str]) -> None:
        if isinstance(next(iter(table.values()), None), _CONTAINERS):
            for row in table.values():
                self._keep_contents(row)
            return
        for name in names:
            if dict.__contains__(table, name):
                self._keep(dict.__getitem__(table, name))


def _refill(container: Any, before: Any) -> None:
    if isinstance(container, list):
        container[:] = before
    elif isinstance(container, set | OrderedDict):
        container.clear()
        container.update(before)
    else:  # past what a table of moto's own makes of its keys
        dict.clear(container)
        dict.update(container, before)


def _names(value: Any) -> Iterator[str]:
    """Every text of a call that could name something, ARNs also by their ends."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)
    elif isinstance(value, str) and len(value) < 600:
        yield value
        if value.startswith("arn:"):
            yield re.split("[:/]", value)[-1]
