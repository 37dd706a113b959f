"""S3's uploads by a browser's form: a POST whose fields carry a policy and its signature.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit
from xml.sax.saxutils import escape

from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from scripts.iam.requests.model import Malformed
from scripts.iam.requests.wire import shapes, xml_body
from scripts.localcloud.access.errors import Answer, AwsError
from scripts.localcloud.access.incoming import Incoming
from scripts.localcloud.access.signatures import Signature, of_fields, signing_key

_TYPE = "multipart/form-data"
LARGEST_FIELDS = 20 * 1024
# Fields that no condition need name.
_FREE = frozenset({"policy", "x-amz-signature", "file"})
# Counts as a field, though the address has it: a policy that names none would be good for all.
IMPLICIT = ("bucket",)
# Of the signature, not of the object.
_SIGNATURE = frozenset(
    f"x-amz-{name}" for name in ("algorithm", "credential", "date", "security-token", "signature")
)
_HEADERS = frozenset(
    {"cache-control", "content-disposition", "content-encoding", "content-type", "expires"}
)


# In UTC: a moment without its zone would end the policy at another time on each machine.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


@dataclass(frozen=True)
class Form:
    """A form as it was sent; names of fields in lower case."""

    bucket: str
    fields: Mapping[str, str]
    content: bytes

    @property
    def key(self) -> str:
        """The key, with the file's own name in place of `${filename}`."""
        return self.fields["key"].replace("${filename}", self.fields.get("${filename}", ""))


def is_form(incoming: Incoming) -> bool:
    """Whether a request is such an upload."""
    kind = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    return incoming.method == "POST" and kind == _TYPE and incoming.path.strip("/") != ""


def read(incoming: Incoming) -> Form:
    """Take the form apart; raises AwsError for what is none."""
    _, options = parse_options_header(incoming.headers["content-type"])
    boundary = options.get("boundary", "")
    if "/" in incoming.path.strip("/"):
        raise AwsError(
            "MethodNotAllowed", "The specified method is not allowed against this resource.", 405
        )
    if not boundary or incoming.query:
        raise _malformed()
    fields: dict[str, str] = {}
    content: bytes | None = None
    try:
        for name, filename, data in _parts(incoming.body, boundary.encode()):
            if content is not None:
                break  # S3 ignores fields after the file
            if name.lower() == "file":
                content = data
                fields["${filename}"] = (filename or "").replace("\\", "/").rpartition("/")[2]
            elif name.lower() in fields:
                raise _malformed()
            else:
                fields[name.lower()] = data.decode("utf-8")
    except (ValueError, HTTPException) as error:
        raise _malformed() from error
    if sum(map(len, fields.values())) > LARGEST_FIELDS:
        raise AwsError(
            "MaxPostPreDataLengthExceeded",
            "Your POST request fields preceding the upload file were too large.",
        )
    if content is None:
        raise AwsError("InvalidArgument", "POST requires exactly one file upload per request.")
    if not fields.get("key"):
        raise AwsError("InvalidArgument", "Bucket POST must contain a field named 'key'.")
    return Form(incoming.path.strip("/"), fields, content)


def _malformed() -> AwsError:
    return AwsError(
        "MalformedPOSTRequest",
        "The body of your POST request is not well-formed multipart/form-data.",
    )


def _parts(body: bytes, boundary: bytes) -> list[tuple[str, str | None, bytes]]:
    decoder = MultipartDecoder(boundary, max_form_memory_size=None, max_parts=200)
    decoder.receive_data(body)
    decoder.receive_data(None)
    found: list[tuple[str, str | None, list[bytes]]] = []
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, Field):
            found.append((event.name, None, []))
        elif isinstance(event, File):
            found.append((event.name, event.filename, []))
        elif isinstance(event, Data):
            found[-1][2].append(event.data)
    return [(name, filename, b"".join(parts)) for name, filename, parts in found]


def signature(form: Form) -> Signature | None:
    """The signature that the fields carry; None for a form without any. Raises Refusal."""
    if "policy" not in form.fields:
        return None
    return of_fields(form.fields)


def verify(form: Form, signed: Signature, secret: str) -> bool:
    """Whether the policy was signed with `secret`."""
    key = signing_key(secret, signed.date, signed.region, signed.service)
    expected = hmac.new(key, form.fields["policy"].encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signed.signature.encode())


def check_policy(form: Form, now: datetime) -> None:
    """Raise AwsError unless the form is as its policy says."""
    policy = _policy(form)
    if now >= _expiration(policy.get("expiration")):
        raise _denied("Policy expired.")
    sizes, named = [], set()
    for condition in policy.get("conditions") or ():
        for operator, name, value in _conditions(condition):
            if operator == "content-length-range":
                sizes.append((int(name), int(value)))
                continue
            named.add(name)
            if not _holds(operator, _field(form, name), str(value)):
                raise _denied(f"Policy Condition failed: {json.dumps(condition)}")
    for least, most in sizes:
        _check_size(len(form.content), least, most)
    for name in (*IMPLICIT, *form.fields):
        if name not in named | _FREE and not name.startswith(("x-ignore-", "${")):
            raise _denied(f"Extra input fields: {name}")


def _check_size(size: int, least: int, most: int) -> None:
    if size < least:
        raise AwsError(
            "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"
        )
    if size > most:
        raise AwsError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")


def _policy(form: Form) -> dict[str, Any]:
    try:
        content = json.loads(base64.b64decode(form.fields["policy"], validate=True))
    except (ValueError, binascii.Error):
        content = None
    if not isinstance(content, dict) or "expiration" not in content:
        raise AwsError("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.")
    return content


def _expiration(text: object) -> datetime:
    if not _MOMENT.fullmatch(str(text)):
        raise _wrong_moment()
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise _wrong_moment() from None


def _wrong_moment() -> AwsError:
    return AwsError("InvalidPolicyDocument", "Invalid Policy: Invalid 'expiration' value.")


def _conditions(condition: object) -> list[tuple[str, Any, Any]]:
    if isinstance(condition, dict):
        return [("eq", name.lower(), value) for name, value in condition.items()]
    if isinstance(condition, list) and len(condition) == 3:
        operator, name, value = condition
        if str(operator).lower() == "content-length-range":
            return [("content-length-range", name, value)]
        if isinstance(name, str) and name.startswith("$"):
            return [(str(operator).lower(), name[1:].lower(), value)]
    raise AwsError("InvalidPolicyDocument",
                   f"Invalid Policy: Invalid condition {json.dumps(condition)}.")  # fmt: skip


def _field(form: Form, name: str) -> str | None:
    if name == "bucket":
        return form.bucket
    return form.key if name == "key" else form.fields.get(name)


def _holds(operator: str, actual: str | None, value: str) -> bool:
    if actual is None:
        return operator == "starts-with" and value == ""
    if operator == "starts-with":
        return actual.startswith(value)
    return operator == "eq" and actual == value


def _denied(why: str) -> AwsError:
    return AwsError("AccessDenied", f"Invalid according to Policy: {why}", 403)


def as_put(form: Form, incoming: Incoming) -> Incoming:
    """The upload as the PUT that it stands for."""
    if "x-amz-copy-source" in form.fields:
        raise AwsError("InvalidArgument", "A form holds its content and copies nothing.")
    headers = {"host": incoming.headers.get("host", "")}
    for name, value in form.fields.items():
        if name in _HEADERS or (name.startswith("x-amz-") and name not in _SIGNATURE):
            headers[name] = value
        elif name == "acl":
            headers["x-amz-acl"] = value
        elif name == "tagging":
            headers["x-amz-tagging"] = _tagging(value)
    return Incoming(
        "PUT", f"/{form.bucket}/{quote(form.key, safe='/')}", headers, form.content,
        incoming.connection,
    )  # fmt: skip


def _tagging(text: str) -> str:
    shape = shapes.service_model("s3").shape_for("Tagging")
    try:
        tags = xml_body.read(shape, "Tagging", text.encode())["TagSet"]  # type: ignore[arg-type]
    except Malformed as error:
        raise AwsError(error.code or "MalformedXML", str(error)) from error
    return urlencode({tag["Key"]: tag["Value"] for tag in tags})


def answer(form: Form, found: Answer, address: str) -> Answer:
    """The answer to the form from that to the PUT."""
    if found.status >= 300:
        return found
    etag = next((v for k, v in found.headers.items() if k.lower() == "etag"), "")
    location = f"{address}/{form.bucket}/{quote(form.key, safe='/')}"
    kept = {k: v for k, v in found.headers.items() if k.lower().startswith(("x-amz", "etag"))}
    headers = {**kept, "Location": location}
    redirect = form.fields.get("success_action_redirect") or form.fields.get("redirect")
    if redirect:
        parts = urlsplit(redirect)
        query = [*parse_qsl(parts.query), ("bucket", form.bucket), ("key", form.key),
                 ("etag", etag)]  # fmt: skip
        return Answer(
            303, {**headers, "Location": urlunsplit(parts._replace(query=urlencode(query)))}, b""
        )
    status = {"200": 200, "201": 201}.get(form.fields.get("success_action_status", ""), 204)
    if status != 201:
        return Answer(status, headers, b"")
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>'
        f"<Location>{escape(location)}</Location><Bucket>{escape(form.bucket)}</Bucket>"
        f"<Key>{escape(form.key)}</Key><ETag>{escape(etag)}</ETag></PostResponse>"
    )
    return Answer(201, {**headers, "Content-Type": "application/xml"}, body.encode())
