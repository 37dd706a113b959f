"""Who may write new files, as train may, makes no server load them."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from pipeline.errors import StepFailed
from pipeline.model.artifacts import CARD_FILE, MODEL_FILE
from pipeline.model.champion import PinnedFile
from pipeline.serving import models
from pipeline.serving.models import ModelFiles, Wanted
from pipeline.storage import BucketStore, FolderStore, Store

EVIL = b"what the attacker trained"


@pytest.fixture
def bucket() -> Iterator[BucketStore]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="artifacts")
        client.put_bucket_versioning(
            Bucket="artifacts", VersioningConfiguration={"Status": "Enabled"}
        )
        yield BucketStore("artifacts", client)


def pinned(store: Store) -> Wanted:
    files = {}
    for name in (CARD_FILE, MODEL_FILE):
        stored = store.put(f"mlflow/small/{name}", name.encode())
        files[name] = PinnedFile(key=stored.key, version=stored.version, sha256=stored.sha256)
    return Wanted("1", files, {})


def attack(store: Store) -> None:
    store.put(f"mlflow/small/{MODEL_FILE}", EVIL)


def test_a_newer_version_of_a_pinned_file_is_not_read(bucket: BucketStore, tmp_path: Path) -> None:
    wanted = pinned(bucket)
    attack(bucket)
    assert ModelFiles(bucket, tmp_path).load(wanted, {}).model == MODEL_FILE.encode()


def test_a_file_that_was_replaced_where_there_are_no_versions_is_refused(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    wanted = pinned(store)
    attack(store)
    with pytest.raises(StepFailed, match="is not what was recorded"):
        ModelFiles(store, tmp_path / "models").load(wanted, {})


def test_without_the_pin_a_server_would_load_it(
    bucket: BucketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control taken away: what lies under the key is loaded, whoever wrote it."""
    wanted = pinned(bucket)
    attack(bucket)
    monkeypatch.setattr(models, "read_pinned", lambda store, pin: store.read(pin.key)[0])
    assert ModelFiles(bucket, tmp_path).load(wanted, {}).model == EVIL


def test_a_file_at_hand_that_was_changed_is_read_from_the_store_again(tmp_path: Path) -> None:
    store, cache = FolderStore(tmp_path / "store"), tmp_path / "models"
    wanted = pinned(store)
    ModelFiles(store, cache).load(wanted, {})
    (cache / wanted.files[MODEL_FILE].sha256).write_bytes(EVIL)
    assert ModelFiles(store, cache).load(wanted, {}).model == MODEL_FILE.encode()
