"""Request bodies: packed ones, and the text formats that parameters come in."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any
from urllib.parse import parse_qsl

import cbor2

from scripts.iam.requests.model import HttpRequest, Malformed

MAX_UNPACKED = 16 * 2**20  # bytes; far above any call that carries permissions
_DEEPEST = 64


def body_of(request: HttpRequest) -> bytes:
    """The body, unpacked when the client packed it (botocore does for large metric puts)."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return request.body
    if encoding != "gzip":
        raise Malformed(f"content-encoding {encoding!r} is not supported; send the body as it is")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(request.body)) as packed:
            body = packed.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Malformed("the body is not valid gzip") from error
    if len(body) > MAX_UNPACKED:
        raise Malformed(f"the unpacked body is larger than {MAX_UNPACKED} bytes")
    return body


def json_object(body: bytes) -> dict[str, Any]:
    """The decoded JSON body; an empty one is an empty object, a repeated name is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise Malformed("a name is given twice in one JSON object", "SerializationException")
        return result

    if not body.strip():
        return {}
    try:
        content = json.loads(body.decode("utf-8"), object_pairs_hook=once)
    except RecursionError as error:
        raise Malformed("the JSON body is nested too deeply", "SerializationException") from error
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed("the body is not JSON", "SerializationException") from error
    return _object(content)


def cbor_object(body: bytes) -> dict[str, Any]:
    """The decoded CBOR body; an empty one is an empty object."""
    if not body:
        return {}
    source = io.BytesIO(body)
    try:
        decoder = cbor2.CBORDecoder(source, max_depth=_DEEPEST, read_size=1)
        content = decoder.decode()
    except (cbor2.CBORDecodeError, ValueError, RecursionError, OverflowError) as error:
        raise Malformed(f"the CBOR body is not valid: {error}", "SerializationException") from error
    if source.read(1):
        raise Malformed("the CBOR body goes on after its first value", "SerializationException")
    return _object(content)


def _object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise Malformed("the body must be an object with names", "SerializationException")
    return content


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """The pairs of a form body, in order."""
    try:
        text = body.decode("utf-8")
        return (
            parse_qsl(
                text, keep_blank_values=True, strict_parsing=True, encoding="utf-8",
                errors="strict", max_num_fields=100_000,
            )
            if text
            else []
        )  # fmt: skip
    except ValueError as error:
        raise Malformed(
            "the body is not a form of name=value pairs", "MalformedQueryString"
        ) from error
