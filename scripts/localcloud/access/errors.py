"""AWS's error shapes: one refusal, written as the protocol of the called service writes it."""

import json
from dataclasses import dataclass
from enum import Enum, auto
from xml.sax.saxutils import escape

import cbor2


class Protocol(Enum):
    """How a service talks; AWS's own names where it has one."""

    QUERY = auto()
    EC2 = auto()
    JSON = auto()
    REST_JSON = auto()
    REST_XML = auto()
    S3 = auto()
    CBOR = auto()


class Fault(Enum):
    """Why the gateway refuses, before the spelling that each service has for it."""

    MISSING_TOKEN = auto()
    UNKNOWN_KEY = auto()
    INVALID_TOKEN = auto()
    EXPIRED_TOKEN = auto()
    SIGNATURE = auto()
    INCOMPLETE_SIGNATURE = auto()
    TIME_SKEW = auto()
    EXPIRED_REQUEST = auto()
    HEADERS_NOT_SIGNED = auto()
    CONTENT_HASH = auto()
    CHECKSUM = auto()
    MALFORMED = auto()
    INVALID = auto()
    DENIED = auto()


@dataclass
class AwsError(Exception):
    """A refusal with the code, message and HTTP status that AWS would send."""

    code: str
    message: str
    status: int = 400

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_S3 = {
    Fault.MISSING_TOKEN: ("AccessDenied", 403),
    Fault.UNKNOWN_KEY: ("InvalidAccessKeyId", 403),
    Fault.INVALID_TOKEN: ("InvalidToken", 400),
    Fault.EXPIRED_TOKEN: ("ExpiredToken", 400),
    Fault.SIGNATURE: ("SignatureDoesNotMatch", 403),
    Fault.INCOMPLETE_SIGNATURE: ("AuthorizationHeaderMalformed", 400),
    Fault.TIME_SKEW: ("RequestTimeTooSkewed", 403),
    Fault.EXPIRED_REQUEST: ("AccessDenied", 403),
    Fault.HEADERS_NOT_SIGNED: ("AccessDenied", 403),
    Fault.CONTENT_HASH: ("XAmzContentSHA256Mismatch", 400),
    Fault.CHECKSUM: ("BadDigest", 400),
    Fault.MALFORMED: ("InvalidRequest", 400),
    Fault.INVALID: ("InvalidArgument", 400),
    Fault.DENIED: ("AccessDenied", 403),
}
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_EC2 = {
    Fault.MISSING_TOKEN: ("MissingAuthenticationToken", 403),
    Fault.UNKNOWN_KEY: ("AuthFailure", 401),
    Fault.INVALID_TOKEN: ("AuthFailure", 401),
    Fault.EXPIRED_TOKEN: ("RequestExpired", 400),
    Fault.SIGNATURE: ("AuthFailure", 401),
    Fault.INCOMPLETE_SIGNATURE: ("IncompleteSignature", 400),
    Fault.TIME_SKEW: ("RequestExpired", 400),
    Fault.EXPIRED_REQUEST: ("RequestExpired", 400),
    Fault.HEADERS_NOT_SIGNED: ("AuthFailure", 401),
    Fault.CONTENT_HASH: ("AuthFailure", 401),
    Fault.CHECKSUM: ("InvalidRequest", 400),
    Fault.MALFORMED: ("MalformedQueryString", 400),
    Fault.INVALID: ("InvalidParameterValue", 400),
    Fault.DENIED: ("UnauthorizedOperation", 403),
}
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_QUERY = {
    Fault.MISSING_TOKEN: ("MissingAuthenticationToken", 403),
    Fault.UNKNOWN_KEY: ("InvalidClientTokenId", 403),
    Fault.INVALID_TOKEN: ("InvalidClientTokenId", 403),
    Fault.EXPIRED_TOKEN: ("ExpiredToken", 403),
    Fault.SIGNATURE: ("SignatureDoesNotMatch", 403),
    Fault.INCOMPLETE_SIGNATURE: ("IncompleteSignature", 400),
    Fault.TIME_SKEW: ("SignatureDoesNotMatch", 403),
    Fault.EXPIRED_REQUEST: ("SignatureDoesNotMatch", 403),
    Fault.HEADERS_NOT_SIGNED: ("SignatureDoesNotMatch", 403),
    Fault.CONTENT_HASH: ("SignatureDoesNotMatch", 403),
    Fault.CHECKSUM: ("InvalidRequest", 400),
    Fault.MALFORMED: ("MalformedQueryString", 400),
    Fault.INVALID: ("ValidationError", 400),
    Fault.DENIED: ("AccessDenied", 403),
}
# https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
_JSON = {
    Fault.MISSING_TOKEN: ("MissingAuthenticationTokenException", 400),
    Fault.UNKNOWN_KEY: ("UnrecognizedClientException", 400),
    Fault.INVALID_TOKEN: ("UnrecognizedClientException", 400),
    Fault.EXPIRED_TOKEN: ("ExpiredTokenException", 400),
    Fault.SIGNATURE: ("InvalidSignatureException", 400),
    Fault.INCOMPLETE_SIGNATURE: ("IncompleteSignatureException", 400),
    Fault.TIME_SKEW: ("InvalidSignatureException", 400),
    Fault.EXPIRED_REQUEST: ("InvalidSignatureException", 400),
    Fault.HEADERS_NOT_SIGNED: ("InvalidSignatureException", 400),
    Fault.CONTENT_HASH: ("InvalidSignatureException", 400),
    Fault.CHECKSUM: ("InvalidRequestException", 400),
    Fault.MALFORMED: ("SerializationException", 400),
    Fault.INVALID: ("ValidationException", 400),
    Fault.DENIED: ("AccessDeniedException", 400),
}
_BAD_REQUESTS = (Fault.MALFORMED, Fault.INVALID, Fault.CHECKSUM)
_REST = {
    fault: (code, 400 if fault in _BAD_REQUESTS else 403) for fault, (code, _) in _JSON.items()
}
_CODES = {
    Protocol.S3: _S3,
    Protocol.EC2: _EC2,
    Protocol.QUERY: _QUERY,
    Protocol.JSON: _JSON,
    Protocol.REST_JSON: _REST,
    Protocol.REST_XML: _QUERY,
    Protocol.CBOR: _REST,
}

_BAD_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_BAD_CREDENTIALS = "The security token included in the request is invalid."
_MESSAGES = {
    Fault.MISSING_TOKEN: "Request is missing Authentication Token",
    Fault.UNKNOWN_KEY: _BAD_CREDENTIALS,
    Fault.INVALID_TOKEN: _BAD_CREDENTIALS,
    Fault.EXPIRED_TOKEN: "The security token included in the request is expired",
    Fault.SIGNATURE: _BAD_SIGNATURE,
    Fault.EXPIRED_REQUEST: "Request has expired",
    Fault.HEADERS_NOT_SIGNED: "There were headers present in the request which were not signed",
}
_S3_MESSAGES = {
    Fault.MISSING_TOKEN: "Access Denied",
    Fault.UNKNOWN_KEY: "The AWS Access Key Id you provided does not exist in our records.",
    Fault.INVALID_TOKEN: "The provided token is malformed or otherwise invalid.",
    Fault.EXPIRED_TOKEN: "The provided token has expired.",
    Fault.TIME_SKEW: (
        "The difference between the request time and the server's time is too large."
    ),
    Fault.CONTENT_HASH: (
        "The provided 'x-amz-content-sha256' header does not match what was computed."
    ),
}
_EC2_CREDENTIALS = "AWS was not able to validate the provided access credentials"
_EC2_MESSAGES = {
    Fault.UNKNOWN_KEY: _EC2_CREDENTIALS,
    Fault.INVALID_TOKEN: _EC2_CREDENTIALS,
    Fault.SIGNATURE: _EC2_CREDENTIALS,
    Fault.HEADERS_NOT_SIGNED: _EC2_CREDENTIALS,
    Fault.EXPIRED_TOKEN: "Request has expired.",
    Fault.TIME_SKEW: "Request has expired.",
}
_PROTOCOL_MESSAGES = {Protocol.S3: _S3_MESSAGES, Protocol.EC2: _EC2_MESSAGES}


@dataclass
class Refusal(Exception):
    """A fault that has not yet the spelling of a service; `message` overrides AWS's usual text."""

    fault: Fault
    message: str | None = None

    def spell(self, protocol: Protocol) -> AwsError:
        """Write the fault as `protocol` writes it."""
        code, status = _CODES[protocol][self.fault]
        usual = _PROTOCOL_MESSAGES.get(protocol, {}).get(self.fault) or _MESSAGES.get(self.fault)
        return AwsError(code, self.message or usual or code, status)


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


def protocol_of(service: str, headers: dict[str, str], *, form: bool) -> Protocol:
    """Tell how a service talks from the request; `form` says that it carries query parameters.

    One service may speak several protocols (CloudWatch: query, JSON and CBOR); AWS too decides by
    the request.
    """
    if service in ("s3", "s3express"):
        return Protocol.S3
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return Protocol.CBOR
    if "x-amz-target" in headers:
        return Protocol.JSON
    if service == "ec2":
        return Protocol.EC2
    if form or service in ("sts", "iam"):
        return Protocol.QUERY
    if service in ("route53", "cloudfront"):
        return Protocol.REST_XML
    return Protocol.REST_JSON


def render(error: AwsError, protocol: Protocol, request_id: str, resource: str = "") -> Answer:
    """Write `error` as a response of `protocol`. `resource` is the path that S3 repeats."""
    headers = {"x-amzn-RequestId": request_id}
    if protocol in (Protocol.JSON, Protocol.REST_JSON):
        headers["x-amzn-ErrorType"] = error.code
        version = "1.1" if protocol is Protocol.JSON else ""
        headers["Content-Type"] = f"application/{'x-amz-json-' if version else 'json'}{version}"
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
    elif protocol is Protocol.CBOR:
        headers |= {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
        # CloudWatch keeps the codes of its query protocol beside those of the new one.
        query_code = _QUERY_SPELLING.get(error.code, error.code)
        headers["x-amzn-query-error"] = f"{query_code};Sender"
        body = cbor2.dumps({"__type": error.code, "message": error.message})
    else:
        headers["Content-Type"] = "application/xml" if protocol is Protocol.S3 else "text/xml"
        body = _xml(error, protocol, request_id, resource).encode()
        if protocol is Protocol.S3:
            headers = {**headers, "x-amz-request-id": request_id, "x-amz-id-2": request_id}
    return Answer(error.status, headers, body)


_QUERY_SPELLING = {
    _JSON[fault][0]: _QUERY[fault][0] for fault in Fault if _JSON[fault][0] != _QUERY[fault][0]
}


def _xml(error: AwsError, protocol: Protocol, request_id: str, resource: str) -> str:
    code, message = escape(error.code), escape(error.message)
    if protocol is Protocol.S3:
        inner = (
            f"<Error><Code>{code}</Code><Message>{message}</Message>"
            f"<Resource>{escape(resource)}</Resource><RequestId>{request_id}</RequestId>"
            f"<HostId>{request_id}</HostId></Error>"
        )
    elif protocol is Protocol.EC2:
        inner = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            f"</Errors><RequestID>{request_id}</RequestID></Response>"
        )
    else:
        inner = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{message}</Message></Error><RequestId>{request_id}</RequestId>"
            "</ErrorResponse>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{inner}'
