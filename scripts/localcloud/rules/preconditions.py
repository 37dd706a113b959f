"""S3: what a copy asks of its source, and a write of the object that it goes over.

Clients that copy large objects name the source's ETag with each part, so that it stays one source.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from scripts.iam.requests import Reading
from scripts.iam.requests.services.s3_route import S3Request
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends


def source(reading: Reading, backends: Backends) -> None:
    """A condition on an ETag counts before one on a time that says the opposite."""
    named = cast("S3Request", reading).source
    found = _object(backends, named.bucket, named.key, named.version) if named else None
    if found is None:
        return  # moto's to refuse
    given, etag = reading.parameters, _plain(found.etag)
    changed = found.last_modified.replace(microsecond=0, tzinfo=UTC)
    match, other = given.get("CopySourceIfMatch"), given.get("CopySourceIfNoneMatch")
    since = given.get("CopySourceIfModifiedSince")
    until = given.get("CopySourceIfUnmodifiedSince")
    if match is not None and _plain(match) != etag:
        raise _failed("x-amz-copy-source-If-Match")
    if match is None and isinstance(until, datetime) and changed > until:
        raise _failed("x-amz-copy-source-If-Unmodified-Since")
    if other is not None and _plain(other) == etag:
        raise _failed("x-amz-copy-source-If-None-Match")
    if other is None and isinstance(since, datetime) and changed <= since:
        raise _failed("x-amz-copy-source-If-Modified-Since")


def destination(reading: Reading, backends: Backends) -> None:
    """A copy or a joined upload goes over no object, or over the one with this ETag."""
    given = reading.parameters
    match, other = given.get("IfMatch"), given.get("IfNoneMatch")
    if other is not None and other != "*":
        raise AwsError(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            501,
        )
    found = _object(backends, given["Bucket"], given["Key"], None)
    if other is not None and found is not None:
        raise _failed("If-None-Match")
    if match is None:
        return
    if found is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    if _plain(match) not in {"*", _plain(found.etag)}:
        raise _failed("If-Match")


def _object(backends: Backends, bucket: str, key: str, version: str | None) -> Any:
    """An object, or one version of it; None for what is not there or is a delete marker."""
    known = backends("s3").buckets.get(bucket)
    versions = (known.keys.getlist(key) if known else None) or []
    found = [one for one in versions if version in (None, getattr(one, "version_id", None))]
    return found[-1] if found and hasattr(found[-1], "etag") else None


def _plain(etag: str) -> str:
    return etag.removeprefix('"').removesuffix('"')


def _failed(condition: str) -> AwsError:
    return AwsError(
        "PreconditionFailed",
        f"At least one of the pre-conditions you specified did not hold: {condition}",
        412,
    )
