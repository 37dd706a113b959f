"""Takes a request as the server read it, and leaves off what carries its signature."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.iam.requests import HttpRequest
from scripts.iam.requests.services.s3_route import bucket_in_host
from scripts.localcloud.access.context import Connection
from scripts.localcloud.access.errors import AwsError, Fault, Protocol, Refusal, protocol_of
from scripts.localcloud.access.signatures import Signature, SignedRequest, query_pairs

HOST = "127.0.0.1"
FORM = "application/x-www-form-urlencoded"
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
    """A request as the server read it. `headers` have lower-case names.

    `refusal` is the answer to a request that the server did not read to its end.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    connection: Connection
    refusal: AwsError | None = None

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
        """Whether the request carries query parameters of the query or EC2 protocol.

        They are sent to the root; what is sent to a path with a form's type is an object.
        """
        if self.path != "/":
            return False
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
    """The request without its signature. Raises Refusal for a header that is given twice."""
    _refuse_a_bucket_in_the_host(incoming.headers.get("host", ""), service)
    headers = dict(incoming.headers) | dict(trailers) | {"host": HOST}
    query = _unsigned_query(incoming.query, headers)
    if "content-encoding" in headers and service == "s3":
        headers["content-encoding"] = _without_chunked(headers["content-encoding"])
        if not headers["content-encoding"]:
            del headers["content-encoding"]
    # To a WSGI server an empty type and a missing one are the same (PEP 3333); here too.
    if not headers.get("content-type", "").strip():
        headers.pop("content-type", None)
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


def _refuse_a_bucket_in_the_host(host: str, service: str) -> None:
    """The bucket is read from the path: another one in the host name would be passed over."""
    try:
        bucket = bucket_in_host(host) if service == "s3" else None
    except ValueError:  # no name of S3's at all
        bucket = None
    if bucket:
        raise AwsError(
            "LocalCloudVirtualHost",
            f"The local cloud reads the bucket from the path, not from the host {host}: "
            "address it path-style",
        )


def _without_chunked(encoding: str) -> str:
    """The encoding of the object itself: the chunks have been put together."""
    kept = [part.strip() for part in encoding.split(",") if part.strip() != "aws-chunked"]
    return ",".join(kept)


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


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="replace")
