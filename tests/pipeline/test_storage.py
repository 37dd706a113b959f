import threading
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from pipeline.errors import InputError, StepFailed
from pipeline.outputs import Platform
from pipeline.storage import (
    BucketStore,
    FolderStore,
    KeyAbsentError,
    KeyChangedError,
    KeyExistsError,
    Store,
)

pytestmark = pytest.mark.slow


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    platform: Platform = request.getfixturevalue("aws")
    return BucketStore(platform.artifact_store.bucket, boto3.client("s3"))


def test_what_was_put_is_read_with_its_digest(store: Store) -> None:
    written = store.put("a/b.txt", b"hello")
    data, stored = store.read("a/b.txt")
    assert data == b"hello"
    assert (stored.sha256, stored.size) == (written.sha256, 5)
    assert stored.modified is not None


def test_a_conditional_put_keeps_what_is_there(store: Store) -> None:
    store.put("key", b"first", if_absent=True)
    with pytest.raises(KeyExistsError):
        store.put("key", b"second", if_absent=True)
    assert store.read("key")[0] == b"first"


def test_of_many_conditional_puts_at_once_one_wins(tmp_path: Path) -> None:
    store, won = FolderStore(tmp_path), []
    start = threading.Barrier(8)

    def put(number: int) -> None:
        start.wait()
        try:
            store.put("key", str(number).encode(), if_absent=True)
        except KeyExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(number).encode() for number in won] == [store.read("key")[0]]


def test_a_file_is_sent_and_fetched_whole(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 3_000_000)
    store.send(source, "big")
    assert store.fetch("big", target).size == 3_000_000
    assert target.read_bytes() == source.read_bytes()


def test_keys_are_listed_below_a_prefix_only(store: Store) -> None:
    for key in ("a/2", "a/1", "b/1"):
        store.put(key, b"")
    assert store.keys("a/") == ["a/1", "a/2"]


def test_a_missing_key_is_named(store: Store) -> None:
    with pytest.raises(StepFailed, match="nowhere does not exist"):
        store.read("nowhere")


def test_an_address_inside_the_store_gives_its_key_and_any_other_none(store: Store) -> None:
    assert store.key_of(store.uri("a/b")) == "a/b"
    assert store.key_of("s3://another-bucket/a/b") is None
    assert store.key_of("mlflow-artifacts:/1/2") is None


def test_an_old_version_is_read_from_a_bucket_after_it_was_overwritten(aws: Platform) -> None:
    store = BucketStore(aws.artifact_store.bucket, boto3.client("s3"))
    first = store.put("key", b"first")
    store.put("key", b"second")
    assert store.read("key", first.version)[0] == b"first"
    assert store.read("key")[0] == b"second"


def test_a_key_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leaves the folder"):
        FolderStore(tmp_path / "inside").put("../outside", b"")


def test_an_interrupted_write_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    interrupt: Callable[..., int] = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # noqa: E731
    monkeypatch.setattr(Path, "write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put("key", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_swap_replaces_only_what_its_writer_had_read(store: Store) -> None:
    first = store.swap("a/key", b"first", None)
    with pytest.raises(KeyChangedError):
        store.swap("a/key", b"created twice", None)
    second = store.swap("a/key", b"second", first.etag)
    with pytest.raises(KeyChangedError):
        store.swap("a/key", b"late", first.etag)

    assert store.read("a/key")[0] == b"second"
    assert store.read("a/key")[1].etag == second.etag
    assert store.keys("a/") == ["a/key"]


def test_a_swap_of_what_is_gone_changes_nothing(store: Store) -> None:
    with pytest.raises(KeyChangedError):
        store.swap("nowhere", b"data", "0" * 64)
    with pytest.raises(KeyAbsentError):
        store.read("nowhere")


@pytest.mark.parametrize(("listed", "absent"), [([], True), (["key"], False), (["key2"], True)])
def test_what_may_not_be_read_is_absent_only_where_a_listing_says_so(
    monkeypatch: pytest.MonkeyPatch, listed: list[str], absent: bool
) -> None:
    """S3 answers 403 for what is not there to a caller that may list one prefix alone."""
    client = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    denied = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def refuse(**_: object) -> None:
        raise ClientError(denied, "GetObject")  # type: ignore[arg-type]

    monkeypatch.setattr(client, "get_object", refuse)
    store = BucketStore("bucket", client)
    monkeypatch.setattr(store, "keys", lambda _: listed)
    with pytest.raises(KeyAbsentError if absent else ClientError):
        store.read_newer("key", None)


def test_only_newer_content_is_read(store: Store) -> None:
    with pytest.raises(KeyAbsentError):
        store.read_newer("key", None)
    first = store.put("key", b"first")
    found = store.read_newer("key", None)
    assert found is not None
    assert found[0] == b"first"
    assert store.read_newer("key", found[1].etag) is None
    assert first.etag == found[1].etag
    store.put("key", b"second")
    newer = store.read_newer("key", found[1].etag)
    assert newer is not None
    assert newer[0] == b"second"
