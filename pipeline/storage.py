"""Thin access to where data and models lie: the artifact bucket, or a local folder without AWS."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict

from typing_extensions import override

from pipeline.errors import InputError, StepFailed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, PutObjectOutputTypeDef

_CHUNK_BYTES = 1 << 20


class KeyExistsError(Exception):
    """A conditional put found the key taken."""


class KeyChangedError(Exception):
    """A conditional put found other content than the writer had read."""


class KeyAbsentError(StepFailed):
    """There is no object under a key."""


@dataclass(frozen=True)
class Stored:
    """One object as it was read or written: `version` is S3's version id, None in a folder.

    `etag` names the content for a conditional read or write.
    """

    key: str
    version: str | None
    sha256: str
    size: int
    modified: datetime | None = None
    etag: str = ""


class Store(Protocol):
    """The bucket operations that steps need. Only `keys` lists; none deletes."""

    def uri(self, key: str) -> str:
        """The address of a key, for people and for lineage."""

    def key_of(self, uri: str) -> str | None:
        """The key of an address inside this store, None for an address elsewhere."""
        ...

    def read(self, key: str, version: str | None = None) -> tuple[bytes, Stored]:
        """The bytes of an object and what is known of it."""

    def fetch(self, key: str, destination: Path, version: str | None = None) -> Stored:
        """Copy an object to a file in flat memory; the answer carries the digest of what came."""
        ...

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> Stored:
        """Write an object at once; with `if_absent` raise KeyExistsError where there is one."""
        ...

    def swap(self, key: str, data: bytes, etag: str | None) -> Stored:
        """Write an object only if it is still the one with this etag; None: if there is none.

        Raises KeyChangedError where another write came between.
        """
        ...

    def read_newer(self, key: str, etag: str | None) -> tuple[bytes, Stored] | None:
        """Read an object unless it still has this etag: then None. Raises KeyAbsentError."""
        ...

    def send(self, source: Path, key: str) -> None:
        """Write an object from a file in flat memory; readers see all of it or nothing."""
        ...

    def newest_version(self, key: str) -> str | None:
        """The id of the version that a plain read gets; None in a folder, which keeps one."""

    def keys(self, prefix: str) -> list[str]:
        """The keys below a prefix, sorted; only monitor and audit list, and only their own."""
        ...


class FolderStore(Store):
    """Objects as files below a folder. Overwriting replaces; there are no versions."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @override
    def uri(self, key: str) -> str:
        return str(self._path(key))

    @override
    def key_of(self, uri: str) -> str | None:
        path = Path(uri.removeprefix("file://"))
        inside = path.is_absolute() and path.resolve().is_relative_to(self.root)
        return path.resolve().relative_to(self.root).as_posix() if inside else None

    @override
    def read(self, key: str, version: str | None = None) -> tuple[bytes, Stored]:
        del version
        path = self._existing(key)
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        return data, Stored(key, None, sha256, len(data), _mtime(path), sha256)

    @override
    def fetch(self, key: str, destination: Path, version: str | None = None) -> Stored:
        del version
        source = self._existing(key)
        with source.open("rb") as stream:
            sha256, size = _copy(iter(lambda: stream.read(_CHUNK_BYTES), b""), destination)
        return Stored(key, None, sha256, size, _mtime(source))

    @override
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> Stored:
        with self._temporary(key) as temporary:
            temporary.write_bytes(data)
            self._publish(temporary, key, if_absent=if_absent)
        sha256 = hashlib.sha256(data).hexdigest()
        return Stored(key, None, sha256, len(data), etag=sha256)

    @override
    def swap(self, key: str, data: bytes, etag: str | None) -> Stored:
        with self._locked(key):
            path = self._path(key)
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
            if found != etag:
                raise KeyChangedError(key)
            return self.put(key, data)

    @override
    def read_newer(self, key: str, etag: str | None) -> tuple[bytes, Stored] | None:
        data, stored = self.read(key)
        return None if stored.etag == etag else (data, stored)

    @override
    def send(self, source: Path, key: str) -> None:
        with self._temporary(key) as temporary:
            shutil.copyfile(source, temporary)
            self._publish(temporary, key, if_absent=False)

    @override
    def keys(self, prefix: str) -> list[str]:
        found = (
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file() and not path.name.startswith(".part-")
        )
        return sorted(key for key in found if key.startswith(prefix))

    @override
    def newest_version(self, key: str) -> str | None:
        return None

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root):
            raise InputError(f"the key {key!r} leaves the folder {self.root}")
        return path

    def _existing(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise KeyAbsentError(f"{path} does not exist")
        return path

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """One conditional write at a time in the key's folder; the lock dies with its process."""
        folder = self._path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        # The name hides it from keys(), as it does temporary files.
        with (folder / ".part-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _temporary(self, key: str) -> "_TemporaryBeside":
        return _TemporaryBeside(self._path(key))

    def _publish(self, temporary: Path, key: str, *, if_absent: bool) -> None:
        if not if_absent:
            temporary.replace(self._path(key))
            return
        try:
            # A hard link fails where the name is taken; a rename would replace it.
            os.link(temporary, self._path(key))
        except FileExistsError:
            raise KeyExistsError(key) from None


class _TemporaryBeside:
    """A temporary file in the folder of its final name, gone afterwards whatever happens."""

    def __init__(self, final: Path) -> None:
        self._folder = final.parent

    def __enter__(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", dir=self._folder)
        os.close(handle)
        self._path = Path(name)
        return self._path

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)


class _Condition(TypedDict, total=False):
    IfNoneMatch: str


class BucketStore(Store):
    """Objects in an S3 bucket, which must keep versions."""

    def __init__(self, bucket: str, client: "S3Client") -> None:
        self.bucket = bucket
        self._client = client

    @override
    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    @override
    def key_of(self, uri: str) -> str | None:
        start = f"s3://{self.bucket}/"
        return uri.removeprefix(start) if uri.startswith(start) else None

    @override
    def read(self, key: str, version: str | None = None) -> tuple[bytes, Stored]:
        answer = self._get(key, version)
        data = answer["Body"].read()
        return data, _stored(key, answer, hashlib.sha256(data).hexdigest(), len(data))

    @override
    def fetch(self, key: str, destination: Path, version: str | None = None) -> Stored:
        answer = self._get(key, version)
        sha256, size = _copy(answer["Body"].iter_chunks(_CHUNK_BYTES), destination)
        return _stored(key, answer, sha256, size)

    @override
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> Stored:
        from botocore.exceptions import ClientError

        try:
            if if_absent:
                answer = self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*"
                )
            else:
                answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=data)
        except ClientError as error:
            # 412: the key exists. 409: another conditional put of the same key is under way.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                raise KeyExistsError(key) from None
            raise
        return _written(key, answer, data)

    @override
    def swap(self, key: str, data: bytes, etag: str | None) -> Stored:
        # Conditional writes: docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        from botocore.exceptions import ClientError

        try:
            if etag is None:
                answer = self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*"
                )
            else:
                answer = self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=data, IfMatch=etag
                )
        except ClientError as error:
            # 412: other content. 409: another conditional put is under way. 404: it was deleted.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412):
                raise KeyChangedError(key) from None
            raise
        return _written(key, answer, data)

    @override
    def read_newer(self, key: str, etag: str | None) -> tuple[bytes, Stored] | None:
        from botocore.exceptions import ClientError

        # Who may list a prefix alone is denied what is not there: the check has no prefix. A list
        # first, so that no denial is on record where nobody did anything wrong.
        if etag is None and key not in self.keys(key):
            raise KeyAbsentError(f"{self.uri(key)} does not exist")
        condition: _Condition = {} if etag is None else {"IfNoneMatch": etag}
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **condition)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 304:
                return None
            if status == 404 or (status == 403 and key not in self.keys(key)):
                raise KeyAbsentError(f"{self.uri(key)} does not exist") from None
            raise
        data = answer["Body"].read()
        return data, _stored(key, answer, hashlib.sha256(data).hexdigest(), len(data))

    @override
    def send(self, source: Path, key: str) -> None:
        self._client.upload_file(str(source), self.bucket, key)

    @override
    def keys(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    @override
    def newest_version(self, key: str) -> str | None:
        return self._client.head_object(Bucket=self.bucket, Key=key).get("VersionId")

    def _get(self, key: str, version: str | None) -> "GetObjectOutputTypeDef":
        from botocore.exceptions import ClientError

        try:
            if version is None:
                return self._client.get_object(Bucket=self.bucket, Key=key)
            return self._client.get_object(Bucket=self.bucket, Key=key, VersionId=version)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion"):
                raise KeyAbsentError(f"{self.uri(key)} does not exist") from None
            raise


def _stored(key: str, answer: "GetObjectOutputTypeDef", sha256: str, size: int) -> Stored:
    modified, etag = answer["LastModified"], answer["ETag"]
    return Stored(key, answer.get("VersionId"), sha256, size, modified, etag)


def _written(key: str, answer: "PutObjectOutputTypeDef", data: bytes) -> Stored:
    sha256 = hashlib.sha256(data).hexdigest()
    return Stored(key, answer.get("VersionId"), sha256, len(data), etag=answer["ETag"])


def _mtime(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _copy(chunks: Iterator[bytes], destination: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with destination.open("wb") as target:
        for chunk in chunks:
            target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
