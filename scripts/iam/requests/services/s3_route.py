"""Tells which S3 operation a request is, from method, host, path, query and headers.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from scripts.iam.requests.model import HttpRequest, Unmapped
from scripts.iam.requests.wire.protocols import unsigned_query

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_VIRTUAL = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com\Z"
)

# subresource -> operation by method; "" is a request without one
_BUCKET_OPERATIONS = {
    "": {
        "GET": "ListObjects",
        "HEAD": "HeadBucket",
        "PUT": "CreateBucket",
        "DELETE": "DeleteBucket",
    },
    "abac": {"GET": "GetBucketAbac", "PUT": "PutBucketAbac"},
    "accelerate": {
        "GET": "GetBucketAccelerateConfiguration",
        "PUT": "PutBucketAccelerateConfiguration",
    },
    "acl": {"GET": "GetBucketAcl", "PUT": "PutBucketAcl"},
    "analytics": {
        "GET": "GetBucketAnalyticsConfiguration",
        "PUT": "PutBucketAnalyticsConfiguration",
        "DELETE": "DeleteBucketAnalyticsConfiguration",
    },
    "cors": {"GET": "GetBucketCors", "PUT": "PutBucketCors", "DELETE": "DeleteBucketCors"},
    "delete": {"POST": "DeleteObjects"},
    "encryption": {
        "GET": "GetBucketEncryption",
        "PUT": "PutBucketEncryption",
        "DELETE": "DeleteBucketEncryption",
    },
    "intelligent-tiering": {
        "GET": "GetBucketIntelligentTieringConfiguration",
        "PUT": "PutBucketIntelligentTieringConfiguration",
        "DELETE": "DeleteBucketIntelligentTieringConfiguration",
    },
    "inventory": {
        "GET": "GetBucketInventoryConfiguration",
        "PUT": "PutBucketInventoryConfiguration",
        "DELETE": "DeleteBucketInventoryConfiguration",
    },
    "lifecycle": {
        "GET": "GetBucketLifecycleConfiguration",
        "PUT": "PutBucketLifecycleConfiguration",
        "DELETE": "DeleteBucketLifecycle",
    },
    "location": {"GET": "GetBucketLocation"},
    "logging": {"GET": "GetBucketLogging", "PUT": "PutBucketLogging"},
    "metrics": {
        "GET": "GetBucketMetricsConfiguration",
        "PUT": "PutBucketMetricsConfiguration",
        "DELETE": "DeleteBucketMetricsConfiguration",
    },
    "notification": {
        "GET": "GetBucketNotificationConfiguration",
        "PUT": "PutBucketNotificationConfiguration",
    },
    "object-lock": {
        "GET": "GetObjectLockConfiguration",
        "PUT": "PutObjectLockConfiguration",
    },
    "ownershipControls": {
        "GET": "GetBucketOwnershipControls",
        "PUT": "PutBucketOwnershipControls",
        "DELETE": "DeleteBucketOwnershipControls",
    },
    "policy": {"GET": "GetBucketPolicy", "PUT": "PutBucketPolicy", "DELETE": "DeleteBucketPolicy"},
    "policyStatus": {"GET": "GetBucketPolicyStatus"},
    "publicAccessBlock": {
        "GET": "GetPublicAccessBlock",
        "PUT": "PutPublicAccessBlock",
        "DELETE": "DeletePublicAccessBlock",
    },
    "replication": {
        "GET": "GetBucketReplication",
        "PUT": "PutBucketReplication",
        "DELETE": "DeleteBucketReplication",
    },
    "requestPayment": {"GET": "GetBucketRequestPayment", "PUT": "PutBucketRequestPayment"},
    "tagging": {
        "GET": "GetBucketTagging",
        "PUT": "PutBucketTagging",
        "DELETE": "DeleteBucketTagging",
    },
    "uploads": {"GET": "ListMultipartUploads"},
    "versioning": {"GET": "GetBucketVersioning", "PUT": "PutBucketVersioning"},
    "versions": {"GET": "ListObjectVersions"},
    "website": {
        "GET": "GetBucketWebsite",
        "PUT": "PutBucketWebsite",
        "DELETE": "DeleteBucketWebsite",
    },
}
_OBJECT_OPERATIONS = {
    "": {
        "GET": "GetObject",
        "HEAD": "HeadObject",
        "PUT": "PutObject",
        "DELETE": "DeleteObject",
    },
    "acl": {"GET": "GetObjectAcl", "PUT": "PutObjectAcl"},
    "attributes": {"GET": "GetObjectAttributes"},
    "legal-hold": {"GET": "GetObjectLegalHold", "PUT": "PutObjectLegalHold"},
    "restore": {"POST": "RestoreObject"},
    "retention": {"GET": "GetObjectRetention", "PUT": "PutObjectRetention"},
    "tagging": {
        "GET": "GetObjectTagging",
        "PUT": "PutObjectTagging",
        "DELETE": "DeleteObjectTagging",
    },
    "uploadId": {
        "GET": "ListParts",
        "PUT": "UploadPart",
        "POST": "CompleteMultipartUpload",
        "DELETE": "AbortMultipartUpload",
    },
    "uploads": {"POST": "CreateMultipartUpload"},
}
_SERVICE_OPERATIONS = {"": {"GET": "ListBuckets"}}
# With this header the object comes from another one.
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}
_SUBRESOURCES = (set(_BUCKET_OPERATIONS) | set(_OBJECT_OPERATIONS)) - {""}
# Subresources that have no row. Named here, so that none is taken for a plain read or write.
_OTHER_SUBRESOURCES = {
    "annotation", "annotations", "encryptionType", "metadataConfiguration",
    "metadataInventoryTable", "metadataJournalTable", "metadataTable", "renameObject", "select",
    "session", "torrent", "append", "website-error", "storageClass",
}  # fmt: skip
_OPTIONS = {
    "bucket-region", "continuation-token", "delimiter", "encoding-type", "fetch-owner", "id",
    "key-marker", "list-type", "marker", "max-buckets", "max-keys", "max-parts", "max-uploads",
    "part-number-marker", "partNumber", "prefix", "start-after", "upload-id-marker",
    "version-id-marker", "versionId", "x-id",
}  # fmt: skip


@dataclass(frozen=True)
class S3Request:
    """An S3 request taken apart; `headers` include those that a presigned link carries in its
    query instead."""

    operation: str
    bucket: str | None
    key: str | None
    query: Mapping[str, str]
    headers: Mapping[str, str]


def route(request: HttpRequest) -> S3Request:
    """Take an S3 request apart; Unmapped if no operation answers to it."""
    query, headers = _query_and_headers(request)
    bucket, key = _bucket_and_key(request)
    found = [name for name in query if name in _SUBRESOURCES | _OTHER_SUBRESOURCES]
    if len(found) > 1:
        raise ValueError(f"conflicting query parameters: {', '.join(sorted(found))}")
    subresource = found[0] if found else ""
    if bucket is None:
        table, level = _SERVICE_OPERATIONS, "service"
    elif key is None:
        table, level = _BUCKET_OPERATIONS, "bucket"
    else:
        table, level = _OBJECT_OPERATIONS, "object"
    operation = table.get(subresource, {}).get(request.method)
    if operation is None:
        raise Unmapped("s3", f"{request.method} {level} ?{subresource}")
    if operation == "ListObjects" and query.get("list-type") == "2":
        operation = "ListObjectsV2"
    if "x-amz-copy-source" in headers:
        operation = _COPIES.get(operation, operation)
    return S3Request(operation, bucket, key, query, headers)


def _query_and_headers(request: HttpRequest) -> tuple[dict[str, str], dict[str, str]]:
    query: dict[str, str] = {}
    headers = dict(request.headers)
    for name, value in unsigned_query(request):
        if name.lower().startswith("x-amz-"):
            if name.lower() in headers:
                raise ValueError(f"{name} is given both as header and in the address")
            headers[name.lower()] = value
            continue
        known = name in _OPTIONS or name in _SUBRESOURCES or name in _OTHER_SUBRESOURCES
        if not known and not name.startswith("response-"):
            raise ValueError(f"S3 knows no query parameter {name!r}")
        if name in query:
            raise ValueError(f"query parameter {name!r} is given twice")
        query[name] = value
    return query, headers


def _bucket_and_key(request: HttpRequest) -> tuple[str | None, str | None]:
    if not request.path.startswith("/"):
        raise ValueError("the path must begin with /")
    rest = request.path[1:]
    bucket = _bucket_in_host(request.headers.get("host", ""))
    if bucket is None:
        bucket, _, rest = rest.partition("/")
        if not bucket:
            if rest:
                raise ValueError("the path names no bucket")
            return None, None
    if not _BUCKET.match(bucket):
        raise ValueError(f"{bucket!r} is no bucket name")
    try:
        key = unquote(rest, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError("the object key is not UTF-8") from error
    return bucket, key or None


def _bucket_in_host(host: str) -> str | None:
    """The bucket of a virtual-host address; None for path style."""
    name = host.lower()
    name = (
        name[: name.rindex("]") + 1]
        if name.startswith("[") and "]" in name
        else name.partition(":")[0]
    )
    if not name or name == "localhost" or _is_address(name.strip("[]")):
        return None
    match = _VIRTUAL.match(name)
    if match:
        return match["bucket"]
    if name.endswith(".localhost"):
        return name.removesuffix(".localhost")
    raise ValueError(f"{host!r} is no address of S3")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
