"""Finds which S3 operation a request is, from method, host, path, query and headers.

The routes are those of AWS's own model (botocore).
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qsl, quote, unquote, urlencode

from scripts.iam.requests.model import HttpRequest, Malformed, Reading, Unmapped
from scripts.iam.requests.wire import rest, shapes
from scripts.iam.requests.wire.protocols import unsigned_query

MODEL = "s3"
PROTOCOL = "rest-xml"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_VIRTUAL = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com\Z"
)
_SERVICE, _BUCKETS, _OBJECTS = "/", "/{Bucket}", "/{Bucket}/{Key+}"
LONGEST_KEY = 1024  # bytes
# A header of every request that policies see.
_ANY = frozenset({"x-amz-content-sha256"})


@dataclass(frozen=True)
class CopySource:
    """What x-amz-copy-source names, decoded."""

    bucket: str
    key: str
    version: str | None

    @property
    def plain(self) -> str:
        """What a policy compares: bucket, key and version as they are."""
        return f"{self.bucket}/{self.key}" + (f"?versionId={self.version}" if self.version else "")

    def __str__(self) -> str:
        """The header written anew, so that nobody can read it in another way."""
        version = f"?versionId={quote(self.version, safe='')}" if self.version else ""
        return f"{self.bucket}/{quote(self.key, safe='/')}{version}"


@dataclass(frozen=True)
class S3Request(Reading):
    """An S3 request taken apart; `headers` include those that a presigned link carries in its
    query instead."""

    bucket: str | None = None
    key: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    source: CopySource | None = None


def route(request: HttpRequest, served: Container[str]) -> S3Request:
    """Take an S3 request apart; Unmapped if none of the `served` operations answers to it."""
    query, sent = _query_and_headers(request)
    bucket, key = _bucket_and_key(request)
    template = _SERVICE if bucket is None else _BUCKETS if key is None else _OBJECTS
    found = rest.find(MODEL, (request.method, template), query, sent, served)
    _refuse_what_tells_another(query, found, request.method, template)
    if found is None or found.operation not in served:
        named = found.operation if found else f"{request.method} {template}"
        raise Unmapped("s3", named)
    operation = shapes.service_model(MODEL).operation_model(found.operation)
    headers = _of_operation(found.operation, sent)
    labels = {"Bucket": bucket or "", "Key": key or ""}
    parameters = rest.parameters(operation, labels, query.items(), headers, request.body)
    source = None
    if text := parameters.get("CopySource"):
        source = _copy_source(text)
        parameters["CopySource"] = str(source)
    if isinstance(text := parameters.get("Tagging"), str):
        parameters["Tagging"] = urlencode(parse_qsl(text, keep_blank_values=True))
    return S3Request(
        request, found.operation, PROTOCOL, parameters, bucket, key, query, headers, source
    )


def _of_operation(operation: str, sent: Mapping[str, str]) -> dict[str, str]:
    """The headers that are the operation's, and those of any request. S3 refuses the others, or
    passes them over; a policy never sees them.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    taken = rest.headers_of(MODEL, operation)
    return {
        name: text
        for name, text in sent.items()
        if name.startswith("x-amz-meta-")
        or name in taken
        or name in _ANY
        or not name.startswith("x-amz-")
    }


def _refuse_what_tells_another(
    query: Mapping[str, str], found: rest.Route | None, method: str, template: str
) -> None:
    """Refuse parameters that the operation does not take: a subresource that nobody here knows
    must not be taken for the plain call."""
    unknown = sorted(set(query) - (found.known if found else set()) - {rest.IGNORED})
    if not unknown:
        return
    if not any(name in _names() for name in unknown):
        raise Unmapped("s3", f"{method} {template}?{unknown[0]}")
    raise Malformed(
        f"The parameter {unknown[0]} does not belong to this request", "InvalidArgument"
    )


@cache
def _names() -> frozenset[str]:
    """Every parameter of the query that some operation of S3 takes."""
    return frozenset().union(*(row.known for rows in rest.routes(MODEL).values() for row in rows))


def _query_and_headers(request: HttpRequest) -> tuple[dict[str, str], dict[str, str]]:
    query: dict[str, str] = {}
    headers = dict(request.headers)
    for name, value in unsigned_query(request):
        if name.lower().startswith("x-amz-"):
            if name.lower() in headers:
                raise Malformed(f"{name} is given both as header and in the address",
                                "InvalidArgument")  # fmt: skip
            headers[name.lower()] = value
            continue
        if name in query:
            raise Malformed(f"query parameter {name!r} is given twice", "InvalidArgument")
        query[name] = value
    if query.get("versionId") == "":
        raise Malformed("Version id cannot be the empty string", "InvalidArgument")
    # What a header without a value asks for is nothing: it must not count as a key either.
    return query, {name: text for name, text in headers.items() if text.strip()}


def _bucket_and_key(request: HttpRequest) -> tuple[str | None, str | None]:
    if not request.path.startswith("/"):
        raise Malformed("the path must begin with /", "InvalidURI")
    rest_of_path = request.path[1:]
    bucket = bucket_in_host(request.headers.get("host", ""))
    if bucket is None:
        bucket, _, rest_of_path = rest_of_path.partition("/")
        if not bucket:
            if rest_of_path:
                raise Malformed("the path names no bucket", "InvalidURI")
            return None, None
    if not _BUCKET.match(bucket):
        raise Malformed("The specified bucket is not valid.", "InvalidBucketName")
    key = decoded(rest_of_path)
    if len(key.encode()) > LONGEST_KEY:
        raise Malformed("Your key is too long", "KeyTooLongError")
    return bucket, key or None


def decoded(text: str) -> str:
    """Percent-encoded text as S3 reads it."""
    try:
        found = unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise Malformed("Couldn't parse the specified URI.", "InvalidURI") from error
    if "\0" in found:
        raise Malformed("Couldn't parse the specified URI.", "InvalidURI")
    return found


def _copy_source(text: str) -> CopySource:
    """Read x-amz-copy-source: bucket/key, percent-encoded, optionally with ?versionId=."""
    path, mark, version = text.partition("?versionId=")
    bucket, _, key = decoded(path).removeprefix("/").partition("/")
    if "?" in path or "&" in version or (mark and not version):
        raise Malformed("Copy Source must mention the source bucket and key: "
                        "sourcebucket/sourcekey", "InvalidArgument")  # fmt: skip
    if not key or not _BUCKET.match(bucket):
        raise Malformed("Copy Source must mention the source bucket and key: "
                        "sourcebucket/sourcekey", "InvalidArgument")  # fmt: skip
    return CopySource(bucket, key, decoded(version) or None)


def bucket_in_host(host: str) -> str | None:
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
    raise Malformed(f"{host!r} is no address of S3", "InvalidURI")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
