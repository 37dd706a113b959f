"""Bodies in chunks: signatures of each, checksums behind them, and every way to break them."""

import base64
import hashlib
import hmac
import zlib
from datetime import UTC, datetime

import pytest

from scripts.localcloud.access.errors import AwsError, Fault, Refusal
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
    trailer = {"x-amz-trailer": "x-amz-checksum-crc32"} if kind.endswith("TRAILER") else {}
    return {
        **trailer,
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
        ("x-amz-checksum-crc32c", base64.b64encode(bytes.fromhex("e3069283")).decode(), None),
        ("x-amz-checksum-crc32c", "AAAAAA==", Fault.CHECKSUM),
        (
            "x-amz-checksum-crc64nvme",
            base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode(),
            None,
        ),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", Fault.CHECKSUM),
        ("x-amz-checksum-xxhash64", "AAAAAAAAAAA=", Fault.MALFORMED),
        ("x-amz-sdk-checksum-algorithm", "CRC32", Fault.MALFORMED),
        ("x-amz-checksum-algorithm", "CRC32", None),
    ],
)
def test_checksums_in_headers_are_checked(name: str, value: str, fault: Fault | None) -> None:
    # The check value of each algorithm is that of these nine characters.
    content = b"123456789" if "crc32c" in name or "crc64" in name else b"x"
    if fault is None:
        assert decode({name: value}, content, SEED, KEY).body == content
        return
    with pytest.raises(Refusal) as refused:
        decode({name: value}, content, SEED, KEY)
    assert refused.value.fault is fault


def test_the_checksum_of_a_whole_object_is_not_that_of_the_body() -> None:
    sent = {"x-amz-checksum-sha256": base64.b64encode(b"0" * 32).decode()}
    assert decode(sent, b"<Complete/>", SEED, KEY, of_object=True).body == b"<Complete/>"


@pytest.mark.parametrize(
    "trailer",
    [
        b"x-amz-copy-source:bucket/secret\r\n",
        b"x-amz-acl:public-read\r\n",
        b"x-amz-checksum-crc32:" + CRC.encode() + b"\r\nx-amz-copy-source:a/b\r\n",
        b"x-amz-checksum-crc32:" + CRC.encode() + b"\r\nx-amz-checksum-crc32:AAAAAA==\r\n",
        b"",
    ],
)
def test_a_trailer_is_the_announced_checksum_and_nothing_else(trailer: bytes) -> None:
    body = unsigned_body(CONTENT, CRC)
    body = body[: body.index(b"\r\n0\r\n") + 5] + trailer + b"\r\n"
    with pytest.raises((Refusal, AwsError)):
        decode(UNSIGNED, body, SEED, KEY)
    announcing = {**UNSIGNED, "x-amz-trailer": "x-amz-copy-source, x-amz-checksum-crc32"}
    with pytest.raises((Refusal, AwsError)):
        decode(announcing, body, SEED, KEY)
