"""Signature Version 4: who signed this request, and is the signature good."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote, unquote_plus

from scripts.localcloud.access.errors import Fault, Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
# A presigned request may live for seven days at most.
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
LONGEST_PRESIGNED = 604_800
_TIME = "%Y%m%dT%H%M%SZ"
_FIELD = re.compile(r"\s*(Credential|SignedHeaders|Signature)\s*=\s*([^,\s]+)\s*(?:,|$)")


@dataclass(frozen=True)
class SignedRequest:
    """What a signature covers. `query` is as sent; `headers` have lower-case names."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Signature:
    """The claims of a signature, not yet verified."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    moment: datetime
    token: str | None
    expires_in: int | None
    kind: Literal["header", "query", "form"]

    @property
    def scope(self) -> str:
        """The credential scope, `date/region/service/aws4_request`."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"

    def age(self, now: datetime) -> timedelta:
        """How long ago the request was signed; negative for the future."""
        return now - self.moment


def read(request: SignedRequest) -> Signature | None:
    """Read the signature of a request, from its header or its query; None if it has none.

    Raises Refusal for a signature that is incomplete or of another kind.
    """
    authorization = request.headers.get("authorization")
    parameters = dict(query_pairs(request.query))
    presigned = "X-Amz-Algorithm" in parameters or "X-Amz-Signature" in parameters
    if authorization is not None and presigned:
        raise Refusal(Fault.MALFORMED, "Only one auth mechanism allowed")
    if authorization is not None:
        return _from_header(authorization, request.headers)
    if presigned:
        return _from_query(parameters)
    if "AWSAccessKeyId" in parameters:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, "Signature Version 2 is not supported")
    return None


def _from_header(authorization: str, headers: Mapping[str, str]) -> Signature:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, f"Unsupported Authorization type: {algorithm!r}")
    fields = dict(_FIELD.findall(rest))
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if name not in fields]
    if missing:
        raise Refusal(
            Fault.INCOMPLETE_SIGNATURE,
            " ".join(f"Authorization header requires '{name}' parameter." for name in missing),
        )
    return _signature(
        fields["Credential"],
        fields["SignedHeaders"],
        fields["Signature"],
        moment=_moment(headers.get("x-amz-date") or headers.get("date") or ""),
        token=headers.get("x-amz-security-token"),
        expires_in=None,
        kind="header",
    )


def _from_query(parameters: Mapping[str, str]) -> Signature:
    if parameters.get("X-Amz-Algorithm") != ALGORITHM:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, f"X-Amz-Algorithm only supports {ALGORITHM!r}")
    required = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
    missing = [name for name in (*required, "X-Amz-Expires") if name not in parameters]
    if missing:
        raise Refusal(
            Fault.INCOMPLETE_SIGNATURE,
            f"Query-string authentication requires {', '.join(missing)}",
        )
    expires = parameters["X-Amz-Expires"]
    if not expires.isascii() or not expires.isdigit() or not 0 < int(expires) <= LONGEST_PRESIGNED:
        raise Refusal(
            Fault.INCOMPLETE_SIGNATURE,
            f"X-Amz-Expires must be between 1 and {LONGEST_PRESIGNED} seconds",
        )
    credential, headers, signature, moment = (parameters[name] for name in required)
    return _signature(
        credential,
        headers,
        signature,
        moment=_moment(moment),
        token=parameters.get("X-Amz-Security-Token"),
        expires_in=int(expires),
        kind="query",
    )


def of_fields(fields: Mapping[str, str]) -> Signature:
    """The signature in a form's fields. Its policy says how long it is good."""
    if fields.get("x-amz-algorithm") != ALGORITHM:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, f"X-Amz-Algorithm only supports {ALGORITHM!r}")
    for name in ("x-amz-credential", "x-amz-date", "x-amz-signature"):
        if not fields.get(name):
            raise Refusal(Fault.INCOMPLETE_SIGNATURE, f"The form has no field {name}")
    return _signature(
        fields["x-amz-credential"],
        "host",
        fields["x-amz-signature"],
        moment=_moment(fields["x-amz-date"]),
        token=fields.get("x-amz-security-token"),
        expires_in=LONGEST_PRESIGNED,
        kind="form",
    )


def _signature(
    credential: str,
    signed_headers: str,
    signature: str,
    *,
    moment: datetime,
    token: str | None,
    expires_in: int | None,
    kind: Literal["header", "query", "form"],
) -> Signature:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise Refusal(
            Fault.INCOMPLETE_SIGNATURE,
            "Credential must have exactly 5 slash-delimited elements, "
            "e.g. keyid/date/region/service/aws4_request",
        )
    access_key_id, date, region, service, _ = parts
    if moment.strftime("%Y%m%d") != date:
        raise Refusal(Fault.SIGNATURE, "Date in Credential scope does not match the request's")
    names = tuple(signed_headers.lower().split(";"))
    if "host" not in names:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, "'Host' must be a 'SignedHeader'")
    return Signature(
        access_key_id, date, region, service, names, signature, moment, token, expires_in, kind
    )


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise Refusal(
            Fault.INCOMPLETE_SIGNATURE,
            f"Date must be in ISO-8601 'basic format', got {text!r}",
        ) from None


def check_time(signature: Signature, now: datetime) -> None:
    """Refuse a signature from the future, a stale one, or a presigned one that has expired.

    A header signature is good for five minutes, fifteen at S3; a presigned one for as long as it
    says. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
    """
    tolerance = timedelta(minutes=15 if signature.service == "s3" else 5)
    age = signature.age(now)
    if age < -tolerance:
        raise Refusal(
            Fault.TIME_SKEW,
            f"Signature not yet current: {signature.moment:{_TIME}} is still later than "
            f"{now + tolerance:{_TIME}} ({now:{_TIME}} + {tolerance.seconds // 60} min.)",
        )
    if signature.expires_in is not None:
        if age > timedelta(seconds=signature.expires_in):
            raise Refusal(Fault.EXPIRED_REQUEST)
    elif age > tolerance:
        raise Refusal(
            Fault.TIME_SKEW,
            f"Signature expired: {signature.moment:{_TIME}} is now earlier than "
            f"{now - tolerance:{_TIME}} ({now:{_TIME}} - {tolerance.seconds // 60} min.)",
        )


def check_headers_are_signed(signature: Signature, headers: Mapping[str, str]) -> None:
    """Refuse a request that carries an `x-amz-` header outside the signature.

    Such a header could be added by whoever holds a presigned link.
    """
    present = {name for name in headers if name.startswith("x-amz-")}
    unsigned = sorted(present.difference(signature.signed_headers))
    if unsigned:
        raise Refusal(
            Fault.HEADERS_NOT_SIGNED,
            "There were headers present in the request which were not signed: "
            + ", ".join(unsigned),
        )


def verify(request: SignedRequest, signature: Signature, secret: str, payload_hash: str) -> bytes:
    """Check the signature against `secret`; return the signing key (for chunk signatures).

    Raises Refusal if it does not match.
    """
    key = signing_key(secret, signature.date, signature.region, signature.service)
    for path in _canonical_paths(request.path, signature.service):
        canonical = _canonical_request(request, signature, path, payload_hash)
        text = string_to_sign(signature, hashlib.sha256(canonical.encode()).hexdigest())
        expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode(), signature.signature.encode()):
            return key
    raise Refusal(Fault.SIGNATURE)


@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the key that signs one day's requests to one service in one region."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def string_to_sign(signature: Signature, canonical_hash: str) -> str:
    """Put together what the signing key signs."""
    return "\n".join((ALGORITHM, f"{signature.moment:{_TIME}}", signature.scope, canonical_hash))


def _canonical_request(
    request: SignedRequest, signature: Signature, path: str, payload_hash: str
) -> str:
    headers = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n"
        for name in signature.signed_headers
    )
    return "\n".join(
        (
            request.method,
            path,
            canonical_query(request.query),
            headers,
            ";".join(signature.signed_headers),
            payload_hash,
        )
    )


def canonical_query(query: str) -> str:
    """Write the query as SigV4 signs it: decoded, re-encoded, sorted, without the signature."""
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in query_pairs(query)
        if name != "X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Decode a query string in order, keeping empty values."""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def _canonical_paths(path: str, service: str) -> tuple[str, ...]:
    """The path as clients sign it.

    S3 signs it encoded once and as it is; clients differ in which unreserved characters they
    encode. Every other service signs it normalised and encoded twice.
    """
    if service == "s3":
        decoded = unquote(path, errors="surrogateescape")
        return (path, quote(decoded, safe="/-_.~", errors="surrogateescape"))
    return (quote(_normal(path), safe="/-_.~"), quote(path, safe="/-_.~"))


def _normal(path: str) -> str:
    """Remove empty and dot segments (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    trailing = "/" if kept and path.endswith("/") else ""
    return "/" + "/".join(kept) + trailing
