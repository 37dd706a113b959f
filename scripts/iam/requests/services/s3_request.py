"""What an S3 request names and carries: targets, condition keys, tags in headers and bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from scripts.iam.requests.model import Account, HttpRequest, Keys, Need
from scripts.iam.requests.row import Call, Target, checked, pairs
from scripts.iam.requests.services.s3_route import S3Request, route
from scripts.iam.requests.wire.protocols import body_of

_HEADER_KEYS = (
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
)
_LOCK_KEYS = {
    "x-amz-object-lock-legal-hold": "s3:object-lock-legal-hold",
    "x-amz-object-lock-mode": "s3:object-lock-mode",
    "x-amz-object-lock-retain-until-date": "s3:object-lock-retain-until-date",
}
KMS_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def call_of(request: HttpRequest, account: Account) -> Call:
    """The call in an S3 request; its only parameter is the request taken apart."""
    found = route(request)
    return Call(request, found.operation, {"s3": found}, account)


def operation_of(request: HttpRequest) -> str:
    """The operation of an S3 request."""
    return route(request).operation


def parts(call: Call) -> S3Request:
    return cast("S3Request", call.parameters["s3"])


# targets


def bucket_arn(call: Call) -> str:
    return f"arn:aws:s3:::{parts(call).bucket}"


def the_bucket(call: Call) -> Iterator[Target]:
    yield Target(bucket_arn(call), {})


def object_arn(call: Call) -> str:
    return f"{bucket_arn(call)}/{parts(call).key}"


def the_object(call: Call) -> Iterator[Target]:
    keys: Keys = {}
    if parts(call).query.get("versionId"):
        keys["s3:versionid"] = (parts(call).query["versionId"],)
    yield Target(object_arn(call), keys)


def tagged_object(call: Call) -> Iterator[Target]:
    """An existing object, with its tags."""
    for target in the_object(call):
        yield Target(target.arn, {**target.keys, **existing_tags(call, target.arn)})


def existing_tags(call: Call, arn: str) -> Keys:
    tags = call.account.tags(arn) or {}
    return {f"s3:ExistingObjectTag/{name}": (value,) for name, value in tags.items()}


# condition keys


def common(call: Call) -> Keys:
    """Keys that every S3 request carries."""
    request = call.request
    keys: Keys = {}
    if "authorization" in request.headers:
        keys["s3:authType"] = ("REST-HEADER",)
    elif any(name.lower() == "x-amz-signature" for name, _ in request.query):
        keys["s3:authType"] = ("REST-QUERY-STRING",)
    if keys:
        keys["s3:signatureversion"] = ("AWS4-HMAC-SHA256",)
    headers = parts(call).headers
    return keys | {f"s3:{name}": (headers[name],) for name in _HEADER_KEYS if name in headers}


def listing(call: Call) -> Keys:
    query = parts(call).query
    names = ("prefix", "delimiter", "max-keys")
    return {**common(call), **{f"s3:{name}": (query[name],) for name in names if name in query}}


def writing(call: Call) -> Keys:
    """Keys of a call that makes an object."""
    headers = parts(call).headers
    keys = common(call)
    for name in ("if-match", "if-none-match"):
        if name in headers:
            keys[f"s3:{name}"] = (headers[name],)
    for name, key in _LOCK_KEYS.items():
        if name in headers:
            keys[key] = (headers[name],)
    if KMS_KEY in headers:
        arn = call.account.key_arn(headers[KMS_KEY]) or headers[KMS_KEY]
        keys[f"s3:{KMS_KEY}"] = (arn,)
    return keys | object_tags(header_tags(call))


def object_tags(tags: dict[str, str]) -> Keys:
    if not tags:
        return {}
    keys: Keys = {"s3:RequestObjectTagKeys": tuple(tags)}
    return keys | {f"s3:RequestObjectTag/{name}": (value,) for name, value in tags.items()}


def header_tags(call: Call) -> dict[str, str]:
    text = parts(call).headers.get("x-amz-tagging")
    if not text:
        return {}
    found = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    return pairs([{"Key": name, "Value": value} for name, value in found])


# bodies


def xml(call: Call) -> ElementTree.Element:
    """The XML body; document types are refused, as S3 does (they could expand without end)."""

    class Builder(ElementTree.TreeBuilder):
        def doctype(self, *_: Any) -> None:
            raise ValueError("the XML body must not declare a document type")

    if "aws-chunked" in call.request.headers.get("content-encoding", ""):
        raise ValueError("send the XML body whole, not in chunks")
    try:
        parser = ElementTree.XMLParser(target=Builder())  # noqa: S314 - see Builder
        root = ElementTree.fromstring(body_of(call.request), parser=parser)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError("the body is not XML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def body_tags(call: Call) -> dict[str, str]:
    rows = [
        {"Key": tag.findtext("Key"), "Value": tag.findtext("Value") or ""}
        for tag in xml(call).iter("Tag")
    ]
    return pairs(rows)


def _plain(item: ElementTree.Element) -> None:
    """Refuse what two readers of XML could read in two ways."""
    names = [child.tag for child in item]
    texts = [child.text or "" for child in item]
    if len(set(names)) != len(names) or any(len(child) for child in item):
        raise ValueError("each Object of a batch delete holds each element once, with plain text")
    if any(text != text.strip() for text in texts):
        raise ValueError("keys that begin or end in white space must be deleted one by one")


def deleted_objects(call: Call) -> Iterator[Need]:
    """Each key of a batch on its own, by version where the batch says so."""
    for item in xml(call).iter("Object"):
        _plain(item)
        arn = f"{bucket_arn(call)}/{checked(item.findtext('Key'), 'Key')}"
        version = item.findtext("VersionId")
        if version:
            yield Need("s3:DeleteObjectVersion", arn, {**common(call), "s3:versionid": (version,)})
        else:
            keys = common(call)
            if item.findtext("ETag"):
                keys["s3:if-match"] = (str(item.findtext("ETag")),)
            yield Need("s3:DeleteObject", arn, keys)
        if parts(call).headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
            yield Need("s3:BypassGovernanceRetention", arn, common(call))
