"""S3 keeps the old versions of a bucket whose versioning is suspended, and what is written there
has the version `null`; moto throws all versions away, also locked ones, at the next write.

An object is also kept and encrypted as its bucket says where a call says nothing.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VersionSuspendedBehavior.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.s3.exceptions import InvalidBucketState
from moto.s3.models import FakeBucket, S3Backend
from moto.s3.utils import _VersionedKeyStore

_NULL = "null"


@contextmanager
def kept() -> Iterator[None]:
    """Keep versions while the context lasts."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(FakeBucket, "is_versioned", property(_is_versioned)))
        for method, change in (
            ("copy_object", _encrypting),
            ("delete_object", _marking),
            ("put_object", _keeping),
            ("put_object_lock_configuration", _locking),
        ):
            stack.enter_context(patch.object(S3Backend, method, change(getattr(S3Backend, method))))
        yield


def _is_versioned(bucket: Any) -> bool:
    return bucket.versioning_status in {"Enabled", "Suspended"}


def _newest_is_null(bucket: Any, key_name: str) -> None:
    """Give the newest version the name `null`, in place of the one that had it."""
    *before, newest = bucket.keys.getlist(key_name)
    newest._version_id = _NULL
    others = [version for version in before if version.version_id != _NULL]
    bucket.keys.setlist(key_name, [*others, newest])


def _keeping(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def put(self: Any, bucket_name: str, key_name: str, *args: Any, **kwargs: Any) -> Any:
        bucket = self.get_bucket(bucket_name)
        made = original(self, bucket_name, key_name, *args, **kwargs)
        if bucket.versioning_status == "Suspended":
            _newest_is_null(bucket, key_name)
        if bucket.object_lock_enabled and bucket.has_default_lock and not made.lock_mode:
            made.lock_mode = bucket.default_lock_mode
            made.lock_until = bucket.default_retention()
        return made

    return put


def _marking(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def delete(
        self: Any, bucket_name: str, key_name: str, version_id: str | None = None,
        bypass: bool = False,
    ) -> Any:  # fmt: skip
        done, shown = original(self, bucket_name, key_name, version_id, bypass)
        bucket = self.get_bucket(bucket_name)
        if done and version_id is None and bucket.versioning_status == "Suspended":
            _newest_is_null(bucket, key_name)
            shown["version-id"] = _NULL
        return done, shown

    return delete


def _encrypting(original: Callable[..., Any]) -> Callable[..., Any]:
    """A copy onto itself is encrypted as the bucket says, like any other; moto forgets the key."""

    @wraps(original)
    def copy(self: Any, src_key: Any, dest_bucket_name: str, *args: Any, **kwargs: Any) -> Any:
        rule = (self.get_bucket(dest_bucket_name).encryption or {}).get("Rule", {})
        default = rule.get("ApplyServerSideEncryptionByDefault") or {}
        if not kwargs.get("encryption") and default:
            kwargs["encryption"] = default["SSEAlgorithm"]
            kwargs["kms_key_id"] = kwargs.get("kms_key_id") or default.get("KMSMasterKeyID")
        return original(self, src_key, dest_bucket_name, *args, **kwargs)

    return copy


def _locking(original: Callable[..., None]) -> Callable[..., None]:
    """A bucket that holds objects takes a lock too.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
    """

    @wraps(original)
    def lock(self: Any, bucket_name: str, *args: Any, **kwargs: Any) -> None:
        if self.get_bucket(bucket_name).versioning_status == "Suspended":
            raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to lock objects")
        with patch.object(_VersionedKeyStore, "item_size", lambda _: 0):
            original(self, bucket_name, *args, **kwargs)

    return lock
