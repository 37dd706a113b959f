"""Request bodies: content hashes, signed and unsigned chunks, trailing checksums."""

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from awscrt import checksums

from scripts.localcloud.access.errors import AwsError, Fault, Refusal
from scripts.localcloud.access.signatures import ALGORITHM, UNSIGNED_PAYLOAD, Signature

EMPTY_HASH = hashlib.sha256(b"").hexdigest()
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_STREAMING = (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER)
_CHUNK_HEADER = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")


def _crc32(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
_CHECKSUMS: Mapping[str, Callable[[bytes], bytes]] = {
    "crc32": _crc32,
    "crc32c": lambda content: int(checksums.crc32c(content)).to_bytes(4, "big"),
    "crc64nvme": lambda content: int(checksums.crc64nvme(content)).to_bytes(8, "big"),
    "sha1": lambda content: hashlib.sha1(content).digest(),  # noqa: S324 - S3's own choice
    "sha256": lambda content: hashlib.sha256(content).digest(),
}


@dataclass(frozen=True)
class Payload:
    """A body as the service sees it, and the headers that came behind it."""

    body: bytes
    trailers: Mapping[str, str]


def declared_hash(
    service: str, kind: str, headers: Mapping[str, str], body: bytes, in_link: str | None = None
) -> str:
    """The payload hash that the signature covers, after checking that the body has it.

    `kind` is "header" or "query"; `in_link` is the hash that a link itself names. Raises Refusal
    where a hash is missing or wrong.
    """
    declared = headers.get("x-amz-content-sha256", in_link)
    if service == "s3":
        if declared is None and kind == "query":
            return UNSIGNED_PAYLOAD
        if declared is None:
            raise Refusal(
                Fault.MALFORMED, "Missing required header for this request: x-amz-content-sha256"
            )
        if declared in (UNSIGNED_PAYLOAD, *_STREAMING):
            return declared
    actual = hashlib.sha256(body).hexdigest()
    if declared is not None and not hmac.compare_digest(declared.encode(), actual.encode()):
        raise Refusal(Fault.CONTENT_HASH)
    return actual


def decode(
    headers: Mapping[str, str],
    body: bytes,
    signature: Signature | None,
    key: bytes | None,
    *,
    of_object: bool = False,
) -> Payload:
    """Unwrap an `aws-chunked` body, checking each chunk's signature and the checksums.

    `of_object` says that the checksums are not the body's: completing a multipart upload tells
    those of the whole object.
    `key` is the signing key; it is None for a request without a signature, whose chunks cannot
    be signed. Raises Refusal for a body that does not match its signatures or checksums.
    """
    declared = headers.get("x-amz-content-sha256", "")
    payload = Payload(body, {})
    if declared in _STREAMING:
        signer = None
        if declared != UNSIGNED_CHUNKS_TRAILER:
            if signature is None or key is None:
                raise Refusal(Fault.MALFORMED, "Signed chunks need a signed request")
            signer = _ChunkSigner(signature, key)
        payload = _unwrap(body, signer, trailer=declared != SIGNED_CHUNKS)
        _check_trailers(payload.trailers, headers)
        length = headers.get("x-amz-decoded-content-length", "")
        if not length.isdigit() or int(length) != len(payload.body):
            raise Refusal(Fault.MALFORMED, "x-amz-decoded-content-length differs from the body")
    if not of_object:
        _check_checksums({**headers, **payload.trailers}, payload.body)
    return payload


class _ChunkSigner:
    """Signs chunk after chunk; each signature covers the one before.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """

    def __init__(self, signature: Signature, key: bytes) -> None:
        self._moment = f"{signature.moment:%Y%m%dT%H%M%SZ}"
        self._scope = signature.scope
        self._key = key
        self._previous = signature.signature

    def check_chunk(self, content: bytes, sent: bytes | None) -> None:
        self._check(
            f"{ALGORITHM}-PAYLOAD", f"{EMPTY_HASH}\n{hashlib.sha256(content).hexdigest()}", sent
        )

    def check_trailer(self, content: bytes, sent: bytes | None) -> None:
        self._check(f"{ALGORITHM}-TRAILER", hashlib.sha256(content).hexdigest(), sent)

    def _check(self, algorithm: str, tail: str, sent: bytes | None) -> None:
        text = "\n".join((algorithm, self._moment, self._scope, self._previous, tail))
        expected = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        if sent is None or not hmac.compare_digest(expected.encode(), sent):
            raise Refusal(Fault.SIGNATURE)
        self._previous = expected


def _unwrap(body: bytes, signer: _ChunkSigner | None, *, trailer: bool) -> Payload:
    """Take an aws-chunked body apart."""
    chunks: list[bytes] = []
    position = 0
    while True:
        end = body.find(b"\r\n", position)
        match = _CHUNK_HEADER.fullmatch(body, position, end) if end >= 0 else None
        if match is None:
            raise Refusal(Fault.MALFORMED, "The body is not aws-chunked")
        size = int(match[1], 16)
        chunk = body[end + 2 : end + 2 + size]
        if len(chunk) != size:
            raise Refusal(Fault.MALFORMED, "The body ends inside a chunk")
        if signer is not None:
            signer.check_chunk(chunk, match[2])
        position = end + 2 + size
        if size == 0:
            break
        if body[position : position + 2] != b"\r\n":
            raise Refusal(Fault.MALFORMED, "A chunk does not end where it says")
        position += 2
        chunks.append(chunk)
    trailers = _trailers(body[position:], signer) if trailer else {}
    return Payload(b"".join(chunks), trailers)


def _check_trailers(trailers: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Refuse what was not announced: a trailing header is under no signature of its own, and
    would else become a header of the request."""
    announced = {name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")}
    announced.discard("")
    checks = {f"x-amz-checksum-{algorithm}" for algorithm in _CHECKSUMS}
    if set(trailers) != announced or not announced <= checks or set(trailers) & set(headers):
        raise AwsError(
            "MalformedTrailerError",
            "The request contained trailing data that was not well-formed or did not conform to "
            "our published schema.",
        )


def _trailers(tail: bytes, signer: _ChunkSigner | None) -> dict[str, str]:
    lines = [line for line in tail.split(b"\r\n") if line]
    fields: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.partition(b":")
        if not separator:
            raise Refusal(Fault.MALFORMED, "A trailing header has no value")
        key = name.decode("latin-1").strip().lower()
        if key in fields:
            raise Refusal(Fault.MALFORMED, "A trailing header is given twice")
        fields[key] = value.decode("latin-1").strip()
    sent = fields.pop("x-amz-trailer-signature", None)
    if signer is not None:
        content = "".join(f"{name}:{value}\n" for name, value in fields.items())
        signer.check_trailer(content.encode("latin-1"), sent.encode() if sent else None)
    return fields


def _check_checksums(headers: Mapping[str, str], content: bytes) -> None:
    sent = {name for name in headers if name.removeprefix("x-amz-checksum-") in _CHECKSUMS}
    if len(sent) > 1:
        raise Refusal(Fault.MALFORMED, "Expecting a single x-amz-checksum- header. Multiple "
                      "checksum Types are not allowed.")  # fmt: skip
    algorithm = headers.get("x-amz-sdk-checksum-algorithm", "").lower()
    if algorithm and sent != {f"x-amz-checksum-{algorithm}"}:
        raise Refusal(
            Fault.MALFORMED,
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
            "x-amz-trailer headers were found.",
        )
    md5 = headers.get("content-md5")
    if md5 is not None:
        _compare(md5, hashlib.md5(content).digest(), "Content-MD5")  # noqa: S324 - S3's own choice
    for name, value in headers.items():
        algorithm = name.removeprefix("x-amz-checksum-")
        if algorithm in (name, "algorithm", "mode", "type"):
            continue
        function = _CHECKSUMS.get(algorithm)
        if function is None:
            raise Refusal(
                Fault.MALFORMED,
                f"The local cloud cannot verify {name}; use one of {', '.join(_CHECKSUMS)}",
            )
        _compare(value, function(content), algorithm)


def _compare(sent: str, actual: bytes, what: str) -> None:
    try:
        decoded = base64.b64decode(sent, validate=True)
    except binascii.Error:
        raise Refusal(Fault.MALFORMED, f"Value for {what} header is invalid.") from None
    if not hmac.compare_digest(decoded, actual):
        raise Refusal(
            Fault.CHECKSUM, f"The {what} you specified did not match the calculated checksum."
        )
