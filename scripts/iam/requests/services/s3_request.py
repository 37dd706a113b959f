"""What an S3 request names and carries: targets, condition keys, tags in headers and bodies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast
from urllib.parse import parse_qsl

from scripts.iam.requests.model import Keys, Malformed, Need
from scripts.iam.requests.row import Call, Target, as_text, pairs
from scripts.iam.requests.services.s3_route import S3Request

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
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
_MOST_TAGS = 10
KMS_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def parts(call: Call) -> S3Request:
    """The S3 request behind a call."""
    return cast("S3Request", call.reading)


# targets


def bucket_arn(call: Call) -> str:
    """The ARN of the request's bucket."""
    return f"arn:aws:s3:::{parts(call).bucket}"


def the_bucket(call: Call) -> Iterator[Target]:
    """The bucket as the resource."""
    yield Target(bucket_arn(call), {})


def object_arn(call: Call) -> str:
    """The ARN of the request's object."""
    return f"{bucket_arn(call)}/{parts(call).key}"


def the_object(call: Call) -> Iterator[Target]:
    """The object as the resource, with the version that is asked for."""
    keys: Keys = {}
    if parts(call).query.get("versionId"):
        keys["s3:versionid"] = (parts(call).query["versionId"],)
    yield Target(object_arn(call), keys)


def tagged_object(call: Call) -> Iterator[Target]:
    """An existing object, with the tags of the version that is asked for."""
    found = parts(call)
    for target in the_object(call):
        tags = object_tags_of(call, found.bucket or "", found.key or "",
                              found.query.get("versionId"))  # fmt: skip
        yield Target(target.arn, {**target.keys, **existing_tags(tags)})


def object_tags_of(
    call: Call, bucket: str, key: str, version: str | None
) -> Mapping[str, str] | None:
    """The tags of an object, or of one version: each has its own. None if there is no such one."""
    arn = f"arn:aws:s3:::{bucket}/{key}"
    if version:
        return call.facts(f"{arn}/?versionId={version}").get("tags")
    return call.account.tags(arn)


def existing_tags(tags: Mapping[str, str] | None) -> Keys:
    """The tags that an object has, as condition keys."""
    return {f"s3:ExistingObjectTag/{name}": (value,) for name, value in (tags or {}).items()}


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
    headers, source = parts(call).headers, parts(call).source
    keys |= {f"s3:{name}": (headers[name],) for name in _HEADER_KEYS if name in headers}
    # As AWS's examples write it, however the client encoded it.
    return keys | ({"s3:x-amz-copy-source": (source.plain,)} if source else {})


def listing(call: Call) -> Keys:
    """Keys of a listing: prefix, delimiter and how many at most."""
    query = parts(call).query
    most = query.get("max-keys", "0")
    if not (most.isascii() and most.isdigit()):
        raise Malformed(
            "Argument maxKeys must be an integer between 0 and 2147483647", "InvalidArgument"
        )
    names = ("prefix", "delimiter", "max-keys")
    return {**common(call), **{f"s3:{name}": (query[name],) for name in names if name in query}}


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
_MAKES_NO_OBJECT = frozenset({"CreateMultipartUpload", "UploadPart", "UploadPartCopy"})


def writing(call: Call) -> Keys:
    """Keys of a call that makes an object, or a part of one."""
    headers = parts(call).headers
    keys = common(call)
    makes = call.operation not in _MAKES_NO_OBJECT
    keys["s3:ObjectCreationOperation"] = (as_text(makes),)
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
    """Tags that a request sets, as condition keys."""
    if not tags:
        return {}
    keys: Keys = {"s3:RequestObjectTagKeys": tuple(tags)}
    return keys | {f"s3:RequestObjectTag/{name}": (value,) for name, value in tags.items()}


def header_tags(call: Call) -> dict[str, str]:
    """Tags that a header gives to a new object: to a copy only if it does not keep the source's."""
    if call.operation == "CopyObject" and call.get("TaggingDirective") != "REPLACE":
        return {}
    text = call.get("Tagging")
    found = parse_qsl(text, keep_blank_values=True) if isinstance(text, str) else []
    return pairs([{"Key": name, "Value": value} for name, value in found], most=_MOST_TAGS)


# bodies


def body_tags(call: Call) -> dict[str, str]:
    """Tags that a body gives to an object."""
    return pairs((call.get("Tagging") or {}).get("TagSet") or [], most=_MOST_TAGS)


def deleted_objects(call: Call) -> Iterator[Need]:
    """Each key of a batch on its own, by version where the batch says so."""
    for item in (call.get("Delete") or {}).get("Objects") or ():
        arn = f"{bucket_arn(call)}/{object_key(item.get('Key'))}"
        version = item.get("VersionId")
        if version:
            yield Need("s3:DeleteObjectVersion", arn, {**common(call), "s3:versionid": (version,)})
        else:
            keys = common(call)
            if item.get("ETag"):
                keys["s3:if-match"] = (str(item["ETag"]),)
                if item["ETag"] != "*":
                    yield Need("s3:GetObject", arn, common(call))
            yield Need("s3:DeleteObject", arn, keys)
        if call.flag("BypassGovernanceRetention"):
            yield Need("s3:BypassGovernanceRetention", arn, common(call))


def object_key(value: object) -> str:
    """A key that names an object; S3 takes any characters in it."""
    if not isinstance(value, str) or not value:
        raise Malformed("Object key must not be empty", "UserKeyMustBeSpecified")
    return value
