"""The champion of record: which model predicts, by version ids and digests, not by an alias."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from pipeline.errors import InputError, StepFailed
from pipeline.storage import FolderStore, KeyExistsError, Store

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# AWS Systems Manager quotas: a standard parameter's value holds 4 KB.
_PARAMETER_BYTES = 4096


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PinnedFile(_Frozen):
    """One file of a model, fixed for good: S3 version id (None in a folder) and SHA-256."""

    key: str
    version: str | None
    sha256: str


class MetricValue(_Frozen):
    """A metric on the holdout, with the bounds of its bootstrap interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


class Champion(_Frozen):
    """What a prediction loads. `sequence` counts the changes of the champion, from 1."""

    model: str
    sequence: int
    model_version: str
    run_id: str
    metric: MetricValue
    files: Mapping[str, PinnedFile]
    reference: PinnedFile | None = None
    previous: str | None = None
    changed_at: str
    decision: PinnedFile | None = None


class Records(Protocol):
    """Where the record lies; like an SSM parameter, the last write wins and versions count up."""

    def read(self) -> tuple[Champion | None, int]:
        """The record and its version; None and 0 before the first promotion."""
        ...

    def write(self, champion: Champion) -> int:
        """Write the record; the answer is its version."""
        ...

    def history(self) -> list[Champion]:
        """Records of the past, oldest first, the current one last."""
        ...


class ParameterRecords(Records):
    """The record as the SSM parameter `/keyless/<environment>/champion/<model>`."""

    def __init__(self, name: str, client: "SSMClient") -> None:
        self.name = name
        self._client = client

    @override
    def read(self) -> tuple[Champion | None, int]:
        try:
            parameter = self._client.get_parameter(Name=self.name)["Parameter"]
        except self._client.exceptions.ParameterNotFound:
            return None, 0
        return _parse(parameter["Value"], self.name), parameter["Version"]

    @override
    def write(self, champion: Champion) -> int:
        value = _compact(champion)
        if len(value.encode()) > _PARAMETER_BYTES:
            raise StepFailed(
                f"the record of {champion.model} takes {len(value.encode())} bytes, more than a "
                f"standard parameter holds ({_PARAMETER_BYTES}): the model has too many files"
            )
        answer = self._client.put_parameter(
            Name=self.name, Value=value, Type="String", Overwrite=True
        )
        return answer["Version"]

    @override
    def history(self) -> list[Champion]:
        pages = self._client.get_paginator("get_parameter_history").paginate(Name=self.name)
        entries = [entry for page in pages for entry in page["Parameters"]]
        entries.sort(key=lambda entry: entry["Version"])
        return [_parse(entry["Value"], self.name) for entry in entries]


class FileRecords(Records):
    """The record without AWS: numbered files in a folder, the highest number counts."""

    def __init__(self, folder: Path) -> None:
        self._store = FolderStore(folder)

    @override
    def read(self) -> tuple[Champion | None, int]:
        keys = self._store.keys("")
        if not keys:
            return None, 0
        return _parse(self._store.read(keys[-1])[0], keys[-1]), int(Path(keys[-1]).stem)

    @override
    def write(self, champion: Champion) -> int:
        version = self.read()[1]
        while True:
            version += 1
            try:
                self._store.put(f"{version:08}.json", _compact(champion).encode(), if_absent=True)
            except KeyExistsError:
                continue
            return version

    @override
    def history(self) -> list[Champion]:
        return [_parse(self._store.read(key)[0], key) for key in self._store.keys("")]


def change(
    records: Records, store: Store, key: str, seen: int, champion: Champion, document: bytes
) -> Champion | None:
    """Make `champion` the champion of record, unless another change came first.

    The change is decided by one conditional put of the decision `document` under `key`, which
    ends in the new sequence number: of two promotions at once one creates it, and the other gets
    None, must look at the new champion and decide again. `seen` is the record's version that the
    decision was made on. The decision holds the record, so whoever finds it can finish a change
    that was interrupted between the two writes.
    """
    try:
        decision = store.put(key, document, if_absent=True)
    except KeyExistsError:
        finish(records, store, key, seen)
        return None
    pin = PinnedFile(key=key, version=decision.version, sha256=decision.sha256)
    return _publish(records, champion.model_copy(update={"decision": pin}), seen)


def finish(records: Records, store: Store, key: str, seen: int) -> Champion:
    """Write the record that an existing decision holds; harmless where that was already done."""
    data, stored = store.read(key)
    champion = Champion.model_validate(json.loads(data)["record"])
    pin = PinnedFile(key=key, version=stored.version, sha256=stored.sha256)
    return _publish(records, champion.model_copy(update={"decision": pin}), seen)


def read_pinned(store: Store, pin: PinnedFile) -> bytes:
    """The bytes of a pinned object. Raises StepFailed when they are not those that were pinned."""
    data, stored = store.read(pin.key, pin.version)
    if stored.sha256 != pin.sha256:
        raise StepFailed(_altered(store, pin, stored.sha256))
    return data


def _altered(store: Store, pin: PinnedFile, found: str) -> str:
    return (
        f"{store.uri(pin.key)} is not what was recorded: SHA-256 {found[:12]}… instead of "
        f"{pin.sha256[:12]}…. Nothing was loaded. Of a champion `keyless rollback` restores "
        "the one before it; of a challenger `keyless rollout abort` ends the rollout"
    )


def _publish(records: Records, champion: Champion, seen: int) -> Champion:
    """Write the record, and see to it that the newest one stands.

    SSM has no conditional write: a writer that was held up could put an old record over a newer
    one. The version that a write returns betrays that another write came between; then the
    newest record of the history is written again, until a write had no company.
    """
    version = records.write(champion)
    while version != seen + 1:
        newest = max(records.history(), key=lambda record: record.sequence)
        if newest.sequence <= champion.sequence:
            break
        seen, champion = version, newest
        version = records.write(newest)
    return champion


def _compact(champion: Champion) -> str:
    raw = champion.model_dump(mode="json")
    return json.dumps(raw, separators=(",", ":"), sort_keys=True)


def _parse(document: str | bytes, origin: str) -> Champion:
    try:
        return Champion.model_validate_json(document)
    except ValueError as error:
        raise InputError(f"{origin} holds no champion of record: {error}") from None
