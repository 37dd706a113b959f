import json
import threading
from pathlib import Path

import boto3
import pytest

from pipeline.errors import StepFailed
from pipeline.model.champion import (
    Champion,
    FileRecords,
    MetricValue,
    ParameterRecords,
    PinnedFile,
    Records,
    change,
    finish,
    read_pinned,
)
from pipeline.outputs import Platform
from pipeline.storage import BucketStore, FolderStore, Store

Backends = tuple[Records, Store]


@pytest.fixture(params=["files", "aws"])
def backends(request: pytest.FixtureRequest, tmp_path: Path) -> Backends:
    if request.param == "files":
        return FileRecords(tmp_path / "champion"), FolderStore(tmp_path / "store")
    platform: Platform = request.getfixturevalue("aws")
    records = ParameterRecords("/keyless/dev/champion/m", boto3.client("ssm"))
    return records, BucketStore(platform.artifact_store.bucket, boto3.client("s3"))


def _champion(sequence: int, version: str = "1") -> Champion:
    return Champion(
        model="m",
        sequence=sequence,
        model_version=version,
        run_id=f"run{version}",
        metric=MetricValue(name="roc_auc", value=0.9, low=0.8, high=0.95),
        files={"model.skops": PinnedFile(key="k", version="v", sha256="0" * 64)},
        changed_at="2026-11-23T00:00:00+00:00",
    )


def _document(champion: Champion) -> bytes:
    return json.dumps({"kind": "promote", "record": champion.model_dump(mode="json")}).encode()


def _key(sequence: int) -> str:
    return f"decisions/m/changes/{sequence:06}.json"


def _change(backends: Backends, champion: Champion, seen: int) -> Champion | None:
    records, store = backends
    key = _key(champion.sequence)
    return change(records, store, key, seen, champion, _document(champion))


def test_there_is_no_champion_before_the_first_promotion(backends: Backends) -> None:
    assert backends[0].read() == (None, 0)


def test_a_change_is_read_back_with_its_decision(backends: Backends) -> None:
    changed = _change(backends, _champion(1), 0)
    found, version = backends[0].read()
    assert found == changed
    assert version == 1
    assert changed is not None
    assert changed.decision is not None
    assert read_pinned(backends[1], changed.decision) == _document(_champion(1))


def test_of_two_changes_from_the_same_state_the_second_must_look_again(backends: Backends) -> None:
    assert _change(backends, _champion(1, "1"), 0) is not None
    assert _change(backends, _champion(1, "2"), 0) is None
    found, _ = backends[0].read()
    assert found is not None
    assert found.model_version == "1"


def test_a_change_interrupted_between_its_two_writes_is_finished_by_the_next(
    backends: Backends,
) -> None:
    records, store = backends
    store.put(_key(1), _document(_champion(1, "1")), if_absent=True)
    assert records.read() == (None, 0)
    assert _change(backends, _champion(1, "2"), 0) is None
    found, _ = records.read()
    assert found is not None
    assert found.model_version == "1"


def test_to_finish_what_is_finished_changes_nothing(backends: Backends) -> None:
    _change(backends, _champion(1), 0)
    before, seen = backends[0].read()
    finish(backends[0], backends[1], _key(1), seen)
    assert backends[0].read()[0] == before


def test_a_record_that_comes_late_does_not_replace_a_newer_one(backends: Backends) -> None:
    """One writer is held up between its two writes while others finish its change and go on."""
    records, store = backends
    late = _champion(1, "1")
    store.put(_key(1), _document(late), if_absent=True)
    assert _change(backends, _champion(1, "2"), 0) is None
    _, seen = records.read()
    assert _change(backends, _champion(2, "2"), seen) is not None
    finish(records, store, _key(1), 0)
    found, _ = records.read()
    assert found is not None
    assert (found.sequence, found.model_version) == (2, "2")


def test_promotions_at_once_end_with_one_champion_and_an_unbroken_history(tmp_path: Path) -> None:
    records, store = FileRecords(tmp_path / "champion"), FolderStore(tmp_path / "store")
    start = threading.Barrier(6)

    def promote(version: str) -> None:
        start.wait()
        while True:
            current, seen = records.read()
            sequence = current.sequence + 1 if current else 1
            if _change((records, store), _champion(sequence, version), seen) is not None:
                return

    threads = [threading.Thread(target=promote, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decisions = store.keys("decisions/m/changes/")
    assert decisions == [_key(sequence) for sequence in range(1, 7)]
    promoted = [json.loads(store.read(key)[0])["record"]["model_version"] for key in decisions]
    assert sorted(promoted) == ["0", "1", "2", "3", "4", "5"]
    found, _ = records.read()
    assert found is not None
    assert (found.sequence, found.model_version) == (6, promoted[-1])


def test_a_record_that_no_parameter_holds_is_refused_before_it_is_written(aws: Platform) -> None:
    records = ParameterRecords("/keyless/dev/champion/m", boto3.client("ssm"))
    files = {
        f"file-{number}": PinnedFile(key="k" * 90, version="v" * 32, sha256="0" * 64)
        for number in range(30)
    }
    with pytest.raises(StepFailed, match="too many files"):
        records.write(_champion(1).model_copy(update={"files": files}))
    assert records.read() == (None, 0)


def test_an_object_that_is_not_what_was_pinned_is_not_returned(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    stored = store.put("key", b"good")
    store.put("key", b"evil")
    pin = PinnedFile(key="key", version=None, sha256=stored.sha256)
    with pytest.raises(StepFailed, match="is not what was recorded"):
        read_pinned(store, pin)
