"""An environment's buckets before it is destroyed: what they hold, and how they are emptied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from scripts.console import UserError


def holds_objects(s3: Any, bucket: str) -> bool:
    """Whether a bucket holds any object or version. Raises UserError if the caller may not list."""
    from botocore.exceptions import ClientError

    for look in (s3.list_object_versions, s3.list_objects_v2):
        try:
            found = look(Bucket=bucket, MaxKeys=1)
        except ClientError as failure:
            if failure.response["Error"]["Code"] == "NoSuchBucket":
                return False
            if failure.response["Error"]["Code"] != "AccessDenied":
                raise
            continue
        return any(found.get(kind) for kind in ("Versions", "DeleteMarkers", "Contents"))
    raise UserError(
        f"It cannot be seen whether {bucket} is empty; nothing was destroyed",
        why="the caller may list neither its versions nor its objects",
        fix="use the environment's apply role, or an administrator",
    )


def log_buckets(s3: Any, buckets: Sequence[str]) -> dict[str, str]:
    """The bucket that receives the access logs of each bucket that has any."""
    found = {name: s3.get_bucket_logging(Bucket=name) for name in buckets}
    return {
        name: logging["LoggingEnabled"]["TargetBucket"]
        for name, logging in found.items()
        if "LoggingEnabled" in logging
    }


def stop_logging(s3: Any, buckets: Iterable[str]) -> None:
    """Switch the access logs of the buckets off."""
    for name in buckets:
        s3.put_bucket_logging(Bucket=name, BucketLoggingStatus={})


def empty(s3: Any, bucket: str, tell: Callable[[str], None]) -> int:
    """Delete every object version; returns how many. Raises UserError if S3 refuses one."""
    deleted = 0
    for batch in _versions(s3, bucket):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if errors := answer.get("Errors"):
            raise UserError(
                f"{bucket} could not be emptied",
                why=f"{errors[0]['Key']}: {errors[0]['Code']}, and {deleted} are gone",
                fix="TF_VAR_teardown=true keyless plan -e ENVIRONMENT and keyless apply -e "
                "ENVIRONMENT, then destroy as somebody who signed in through IAM Identity Center; "
                "another role is named in artifact_store.version_deleter_arns",
            )
        deleted += len(batch)
        tell(f"{bucket}: {deleted} versions deleted")
    return deleted


def _versions(s3: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        batch = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for kind in ("Versions", "DeleteMarkers")
            for one in page.get(kind, ())
        ]
        if batch:
            yield batch
