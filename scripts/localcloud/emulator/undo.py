"""A call that fails leaves the account as it was: moto begins some before it has looked at all.

What is kept while a call runs is what hangs directly on the service's state (its tables, not what
is in each row), all tags, and the things that the call names, with the tables inside of them; of S3
the bucket that it names, and of its objects those that it names. Requests come one at a time, so
nobody else changes it meanwhile.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.core.base_backend import BaseBackend
from moto.s3.models import FakeKey, s3_backends
from moto.utilities.tagging_service import TaggingService

from scripts.iam.requests import Reading
from scripts.iam.requests.services.ec2 import KIND_OF_PREFIX
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.emulator.facts import ec2_resource

# Service -> whose state its calls change; S3's is kept by what the call names.
_TOUCHED: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("budgets", "cloudtrail", "ec2", "elasticloadbalancing", "events",
                                  "iam", "kms", "logs", "monitoring", "rds", "scheduler",
                                  "secretsmanager", "sns", "ssm")},
    "autoscaling": ("autoscaling", "ec2", "elasticloadbalancing"),
}  # fmt: skip
_READS = re.compile("Describe|Get|Head|List|Search|Lookup|BatchGet|Filter|Simulate|Download")
_CONTAINERS = (dict, list, set)
_ABSENT = object()
# How deep a thing of EC2 is kept: its parts, and theirs.
_PARTS = 2


class Kept:
    """What a call may change; empty where it cannot fail half-way."""

    def __init__(self, reading: Reading, backends: Backends) -> None:
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._contents: list[tuple[Any, Any]] = []
        self._rows: list[tuple[dict[Any, Any], Any, Any]] = []
        service, region = reading.request.service, reading.request.region
        if _READS.match(reading.operation):
            return
        if service == "s3":
            self._keep_s3(reading.parameters, backends("s3"))
        if service not in _TOUCHED:
            return
        names = set(_names(reading.parameters))
        for touched in _TOUCHED[service]:
            backend = backends(touched, region)
            self._keep(backend)
            for table in list(vars(backend).values()):
                self._keep_table(table, names)
        if service == "elasticloadbalancing":
            for balancer in list(backends(service, region).load_balancers.values()):
                self._keep_rows(balancer.listeners, names)
        for name in names:
            if kind := KIND_OF_PREFIX.get(name.partition("-")[0]):
                self._keep_whole(ec2_resource(backends("ec2", region), kind, name), _PARTS)
                self._keep_volumes(backends("ec2", region), name)

    def restore(self) -> None:
        """Put everything back in its place."""
        known = {id(attributes) for attributes, _ in self._attributes}
        for attributes, before in self._attributes:
            attributes.clear()
            attributes.update(before)
        for table, name, row in self._rows:
            for made in dict.get(table, name, ()):
                if isinstance(made, FakeKey) and id(vars(made)) not in known:
                    made.disposed = True  # or moto warns of it
            if row is _ABSENT:
                dict.pop(table, name, None)
            else:
                dict.__setitem__(table, name, row)
        for container, before in self._contents:
            _refill(container, before)

    def _keep_s3(self, parameters: Mapping[str, Any], backend: Any) -> None:
        """The bucket that a call names, without its objects but for those that the call names."""
        name = parameters.get("Bucket")
        self._keep(backend)
        self._keep_row(s3_backends.bucket_accounts, name)
        bucket = backend.buckets.get(name)
        if bucket is None:
            return
        self._keep(bucket, but=bucket.keys)
        self._keep_row(backend.tagger.tags, bucket.arn)
        self._keep(bucket.multiparts.get(parameters.get("UploadId")))
        batch = (parameters.get("Delete") or {}).get("Objects") or ()
        for key in {parameters.get("Key"), *(one.get("Key") for one in batch)} - {None}:
            self._keep_row(bucket.keys, key)
            for version in bucket.keys.getlist(key, []):
                self._keep(version)
                self._keep_row(backend.tagger.tags, getattr(version, "arn", None))

    def _keep_table(self, table: Any, names: set[str]) -> None:
        """A table of a service, with the things in it that a call names; of tags all."""
        if isinstance(table, TaggingService):
            self._keep(table, deep=True)
        elif isinstance(table, MutableMapping):
            if not isinstance(table, dict):  # RDS's, whose names differ by no letter's case
                self._keep(table)
            self._keep_rows(table, names)

    def _keep_row(self, table: dict[Any, Any], name: Any) -> None:
        row = dict.get(table, name, _ABSENT)
        self._rows.append((table, name, row))
        self._keep_contents(row)

    def _keep(self, thing: Any, but: Any = None, *, deep: bool = False) -> None:
        attributes = getattr(thing, "__dict__", None)
        if attributes is None:
            return
        self._attributes.append((attributes, dict(attributes)))
        for value in attributes.values():
            if value is not but:
                self._keep_contents(value, deep=deep)

    def _keep_whole(self, thing: Any, deep: int) -> None:
        """A thing with its parts, such as an instance's state and interfaces."""
        if not type(thing).__module__.startswith("moto.") or isinstance(thing, BaseBackend):
            return
        if any(attributes is vars(thing) for attributes, _ in self._attributes):
            return
        self._keep(thing)
        for value in list(vars(thing).values()) if deep else ():
            inner = value.values() if isinstance(value, dict) else value
            for part in inner if isinstance(value, _CONTAINERS) else (value,):
                self._keep_whole(part, deep - 1)

    def _keep_volumes(self, ec2: Any, name: str) -> None:
        """An instance names its volumes by their ids."""
        disks = getattr(ec2_resource(ec2, "instance", name), "block_device_mapping", None) or {}
        for disk in disks.values():
            self._keep_whole(ec2.volumes.get(disk.volume_id), _PARTS)

    def _keep_contents(self, value: Any, *, deep: bool = False) -> None:
        if not isinstance(value, _CONTAINERS):
            return
        copied = dict.copy(value) if isinstance(value, dict) else value.copy()
        self._contents.append((value, copied))
        for inner in (copied.values() if isinstance(copied, dict) else copied) if deep else ():
            self._keep_contents(inner, deep=True)

    def _keep_rows(self, table: MutableMapping[Any, Any], names: set[str]) -> None:
        if isinstance(next(iter(table.values()), None), _CONTAINERS):
            for row in table.values():
                self._keep_contents(row)
            return
        for name in names:
            # Secrets are found by their ARNs too; not by an item's name, which may make the item.
            self._keep(table.get(name), deep=True)


@contextmanager
def closed_later() -> Iterator[list[Any]]:
    """Objects that a call takes away keep their content until it is known to have succeeded;
    whoever restores them empties the list."""
    gone: list[Any] = []
    close = FakeKey.dispose

    def wait(self: Any, garbage: bool = False) -> None:
        if garbage:
            close(self, garbage)
        else:
            gone.append(self)

    with patch.object(FakeKey, "dispose", wait):
        yield gone
    for one in gone:
        close(one)


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
