"""Bodies in chunks: signatures of each, checksums behind them, and every way to break them."""

import base64
import hashlib
import hmac
import zlib
from datetime import UTC, datetime

import pytest

from scripts.localcloud.access.errors import Fault, Refusal
from scripts.localcloud.access.payloads import EMPTY_HASH, Payload, decode
from scripts.localcloud.access.signatures import Signature

KEY = b"k" * 32
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
SEED = Signature(
    "AKIA", "20260101", "us-east-1", "s3", ("host",), "0" * 64, MOMENT, None, None, "header"
)
CONTENT = b"a" * 70_000
CRC = base64.b64encode(zlib.crc32(CONTENT).to_bytes(4, "big")).decode()


def sign(previous: str, tail: str, algorithm: str) -> str:
    text = "\n".join(
        (f"AWS4-HMAC-SHA256-{algorithm}", "20260101T000000Z", SEED.scope, previous, tail)
    )
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def signed_body(content: bytes, *, trailer: str | None = None, size: int = 65_536) -> bytes:
    parts, previous = [], SEED.signature
    for start in range(0, len(content) + size, size):
        chunk = content[start : start + size]
        if not chunk and start < len(content):
            continue
        tail = f"{EMPTY_HASH}\n{hashlib.sha256(chunk).hexdigest()}"
        previous = sign(previous, tail, "PAYLOAD")
        parts.append(f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n")
        if not chunk:
            break
    body = b"".join(parts)
    if trailer is not None:
        line = f"x-amz-checksum-crc32:{trailer}"
        last = sign(previous, hashlib.sha256(f"{line}\n".encode()).hexdigest(), "TRAILER")
        body = body.removesuffix(b"\r\n")
        body += f"{line}\r\nx-amz-trailer-signature:{last}\r\n\r\n".encode()
    return body


def unsigned_body(content: bytes, trailer: str) -> bytes:
    head = f"{len(content):x}\r\n".encode() + content
    return head + f"\r\n0\r\nx-amz-checksum-crc32:{trailer}\r\n\r\n".encode()


def headers(kind: str, content: bytes = CONTENT) -> dict[str, str]:
    return {
        "x-amz-content-sha256": f"STREAMING-{kind}",
        "x-amz-decoded-content-length": str(len(content)),
    }


SIGNED = headers("AWS4-HMAC-SHA256-PAYLOAD")
SIGNED_TRAILER = headers("AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
UNSIGNED = headers("UNSIGNED-PAYLOAD-TRAILER")


def test_signed_chunks_are_put_together() -> None:
    assert decode(SIGNED, signed_body(CONTENT), SEED, KEY) == Payload(CONTENT, {})


def test_a_signed_trailer_becomes_a_header() -> None:
    payload = decode(SIGNED_TRAILER, signed_body(CONTENT, trailer=CRC), SEED, KEY)
    assert payload == Payload(CONTENT, {"x-amz-checksum-crc32": CRC})


def test_unsigned_chunks_are_put_together() -> None:
    assert decode(UNSIGNED, unsigned_body(CONTENT, CRC), SEED, KEY).body == CONTENT


@pytest.mark.parametrize(
    ("sent", "body", "fault"),
    [
        (SIGNED, signed_body(CONTENT).replace(b"aaa", b"bbb", 1), Fault.SIGNATURE),
        (SIGNED, signed_body(CONTENT).replace(b"signature=", b"signature=0", 1)[:-1], None),
        (SIGNED, signed_body(CONTENT)[:-200], Fault.MALFORMED),
        (SIGNED, CONTENT, Fault.MALFORMED),
        (SIGNED, b"", Fault.MALFORMED),
        (SIGNED, unsigned_body(CONTENT, CRC), Fault.SIGNATURE),
        (SIGNED_TRAILER, signed_body(CONTENT), Fault.SIGNATURE),
        (SIGNED_TRAILER, signed_body(CONTENT, trailer="AAAAAA=="), Fault.CHECKSUM),
        (
            SIGNED_TRAILER,
            signed_body(CONTENT, trailer=CRC).replace(CRC.encode(), b"AAAAAA=="),
            Fault.SIGNATURE,
        ),
        (UNSIGNED, unsigned_body(CONTENT, "AAAAAA=="), Fault.CHECKSUM),
        (UNSIGNED, unsigned_body(CONTENT[:-1], CRC), Fault.MALFORMED),
        (UNSIGNED, unsigned_body(CONTENT, "no base64"), Fault.MALFORMED),
    ],
)
def test_a_broken_body_is_refused(sent: dict[str, str], body: bytes, fault: Fault | None) -> None:
    with pytest.raises(Refusal) as refused:
        decode(sent, body, SEED, KEY)
    assert fault in {None, refused.value.fault}


def test_chunks_cannot_be_signed_without_a_signature() -> None:
    with pytest.raises(Refusal):
        decode(SIGNED, signed_body(CONTENT), None, None)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("content-md5", base64.b64encode(hashlib.md5(b"x").digest()).decode(), None),  # noqa: S324
        ("content-md5", base64.b64encode(b"0" * 16).decode(), Fault.CHECKSUM),
        ("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(b"x").digest()).decode(), None),
        ("x-amz-checksum-sha256", base64.b64encode(b"0" * 32).decode(), Fault.CHECKSUM),
        ("x-amz-checksum-crc32c", "AAAAAA==", Fault.MALFORMED),
        ("x-amz-checksum-algorithm", "CRC32", None),
    ],
)
def test_checksums_in_headers_are_checked(name: str, value: str, fault: Fault | None) -> None:
    if fault is None:
        assert decode({name: value}, b"x", SEED, KEY).body == b"x"
        return
    with pytest.raises(Refusal) as refused:
        decode({name: value}, b"x", SEED, KEY)
    assert refused.value.fault is fault


def test_the_checksum_of_a_whole_object_is_not_that_of_the_body() -> None:
    sent = {"x-amz-checksum-sha256": base64.b64encode(b"0" * 32).decode()}
    assert decode(sent, b"<Complete/>", SEED, KEY, of_object=True).body == b"<Complete/>"
