"""Reads a request so that it has one meaning: what is authorised is what the service will do."""

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.iam.requests import HttpRequest
from scripts.localcloud.access.context import Connection
from scripts.localcloud.access.errors import Fault, Protocol, Refusal, protocol_of
from scripts.localcloud.access.signatures import Signature, SignedRequest, query_pairs

HOST = "127.0.0.1"
FORM = "application/x-www-form-urlencoded"
JSON = "application/x-amz-json-1."
LARGEST_DECOMPRESSED = 64 * 1024 * 1024
# The parameters of a presigned request that carry the signature itself.
_SIGNATURE_PARAMETERS = frozenset(
    f"x-amz-{name}"
    for name in (
        "algorithm",
        "credential",
        "date",
        "expires",
        "signedheaders",
        "signature",
        "security-token",
    )
)


@dataclass(frozen=True)
class Incoming:
    """A request as the server read it. `headers` have lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    connection: Connection

    @property
    def path(self) -> str:
        """The path, percent-encoded as sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query string as sent."""
        return self.target.partition("?")[2]

    @property
    def signed(self) -> SignedRequest:
        """The parts that a signature covers."""
        return SignedRequest(self.method, self.path, self.query, self.headers)

    @property
    def form(self) -> bool:
        """Whether the request carries query parameters of the query or EC2 protocol."""
        is_form = self.headers.get("content-type", "").startswith(FORM)
        return (is_form and bool(self.body)) or any(
            name == "Action" for name, _ in query_pairs(self.query)
        )


def unsigned_service(incoming: Incoming) -> str:
    """The service that an unsigned request addresses.

    AWS knows it by the host name; behind one address only the shape is left. Nothing but STS and
    S3 ever answers an unsigned request, so a wrong guess costs an error's shape at most.
    """
    if "x-amz-target" in incoming.headers:
        return incoming.headers["x-amz-target"].partition(".")[0].partition("_")[0].lower()
    if incoming.headers.get("smithy-protocol"):
        return "monitoring"
    if incoming.form:
        parameters = dict(query_pairs(incoming.query) + query_pairs(_text(incoming.body)))
        return {"2011-06-15": "sts", "2016-11-15": "ec2"}.get(
            parameters.get("Version", ""), "query"
        )
    return "s3"


def protocol(incoming: Incoming, signature: Signature | None) -> Protocol:
    """The protocol in which a refusal of this request is written."""
    service = signature.service if signature else unsigned_service(incoming)
    return protocol_of(service, dict(incoming.headers), form=incoming.form)


def canonical(
    incoming: Incoming, body: bytes, trailers: Mapping[str, str], service: str, region: str,
    account_id: str,
) -> HttpRequest:  # fmt: skip
    """The request without its signature, in the one reading that is authorised and executed.

    Moto merges query string, form, JSON text and even headers into one bag of parameters, so a
    request could be authorised by one reading and executed by another. Whatever has two readings
    is refused here. Raises Refusal.
    """
    # Moto gets this address too: a bucket in the host name would be another one than in the path.
    headers = dict(incoming.headers) | dict(trailers) | {"host": HOST}
    query = _unsigned_query(incoming.query, headers)
    if service != "s3":
        body = _decompressed(headers, body)
        _refuse_two_readings(headers, query, body)
    return HttpRequest(
        method=incoming.method,
        path=incoming.path,
        query=tuple(query),
        headers=headers,
        body=body,
        service=service,
        region=region,
        account=account_id,
    )


def _unsigned_query(query: str, headers: dict[str, str]) -> list[tuple[str, str]]:
    """The parameters without those of the signature; headers sent as parameters become headers."""
    kept: list[tuple[str, str]] = []
    for name, value in query_pairs(query):
        lower = name.lower()
        if lower in _SIGNATURE_PARAMETERS:
            continue
        if not lower.startswith("x-amz-"):
            kept.append((name, value))
        # A presigned link may carry headers as parameters; both count the same.
        elif headers.setdefault(lower, value) != value:
            raise Refusal(Fault.MALFORMED, f"{name} is given twice")
    return kept


def _refuse_two_readings(
    headers: Mapping[str, str], query: list[tuple[str, str]], body: bytes
) -> None:
    content_type = headers.get("content-type", "")
    if "x-amz-target" in headers:
        if query:
            raise Refusal(Fault.MALFORMED, "A JSON request takes no parameters in its address")
        if not content_type.startswith(JSON):
            raise Refusal(Fault.MALFORMED, f"A JSON request needs the Content-Type {JSON}1")
    elif content_type.startswith(FORM) and body:
        if query:
            raise Refusal(Fault.MALFORMED, "Parameters are in the address and in the body")
        _refuse_repeated(query_pairs(_text(body)))
    else:
        _refuse_repeated(query)


def _refuse_repeated(pairs: list[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    if "Action" in names and len(set(names)) != len(names):
        raise Refusal(Fault.MALFORMED, "A parameter is given twice")


def _decompressed(headers: dict[str, str], body: bytes) -> bytes:
    """Undo `Content-Encoding: gzip`, which SDKs use for large requests."""
    encoding = headers.get("content-encoding", "")
    if not encoding:
        return body
    if encoding != "gzip":
        raise Refusal(Fault.MALFORMED, f"Content-Encoding {encoding!r} is not supported")
    decompressor = zlib.decompressobj(wbits=31)
    plain = io.BytesIO()
    try:
        plain.write(decompressor.decompress(body, LARGEST_DECOMPRESSED))
    except zlib.error:
        raise Refusal(Fault.MALFORMED, "The body is not gzip") from None
    if not decompressor.eof:
        raise Refusal(Fault.MALFORMED, "The gzip body is too large or ends early")
    del headers["content-encoding"]
    return plain.getvalue()


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="replace")
