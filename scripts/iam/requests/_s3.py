"""S3: buckets and their settings, objects, versions, multipart uploads, copies, batch deletes.

Which operation needs what: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

from . import _kms
from ._model import Account, HttpRequest, Keys, Need
from ._s3_route import S3Request, route
from ._table import Also, Call, Row, Table, Target, Targets, checked, onto, pairs, request_tags
from ._wire import body_of

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
_KMS_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def call_of(request: HttpRequest, account: Account) -> Call:
    """The call in an S3 request; its only parameter is the request taken apart."""
    found = route(request)
    return Call(request, found.operation, {"s3": found}, account)


def operation_of(request: HttpRequest) -> str:
    """The operation of an S3 request."""
    return route(request).operation


def _s3(call: Call) -> S3Request:
    return cast("S3Request", call.parameters["s3"])


# targets


def bucket_arn(call: Call) -> str:
    return f"arn:aws:s3:::{_s3(call).bucket}"


def _bucket(call: Call) -> Iterator[Target]:
    yield Target(bucket_arn(call), {})


def object_arn(call: Call) -> str:
    return f"{bucket_arn(call)}/{_s3(call).key}"


def _object(call: Call) -> Iterator[Target]:
    keys: Keys = {}
    if _s3(call).query.get("versionId"):
        keys["s3:versionid"] = (_s3(call).query["versionId"],)
    yield Target(object_arn(call), keys)


def _tagged_object(call: Call) -> Iterator[Target]:
    """An existing object, with its tags."""
    for target in _object(call):
        yield Target(target.arn, {**target.keys, **_existing_tags(call, target.arn)})


def _existing_tags(call: Call, arn: str) -> Keys:
    tags = call.account.tags(arn) or {}
    return {f"s3:ExistingObjectTag/{name}": (value,) for name, value in tags.items()}


def _everything(_call: Call) -> Iterator[Target]:
    yield Target("*", {})


# condition keys


def _common(call: Call) -> Keys:
    """Keys that every S3 request carries."""
    request = call.request
    keys: Keys = {}
    if "authorization" in request.headers:
        keys["s3:authType"] = ("REST-HEADER",)
    elif any(name.lower() == "x-amz-signature" for name, _ in request.query):
        keys["s3:authType"] = ("REST-QUERY-STRING",)
    if keys:
        keys["s3:signatureversion"] = ("AWS4-HMAC-SHA256",)
    headers = _s3(call).headers
    return keys | {f"s3:{name}": (headers[name],) for name in _HEADER_KEYS if name in headers}


def _listing(call: Call) -> Keys:
    query = _s3(call).query
    names = ("prefix", "delimiter", "max-keys")
    return {**_common(call), **{f"s3:{name}": (query[name],) for name in names if name in query}}


def _writing(call: Call) -> Keys:
    """Keys of a call that makes an object."""
    headers = _s3(call).headers
    keys = _common(call)
    for name in ("if-match", "if-none-match"):
        if name in headers:
            keys[f"s3:{name}"] = (headers[name],)
    for name, key in _LOCK_KEYS.items():
        if name in headers:
            keys[key] = (headers[name],)
    if _KMS_KEY in headers:
        arn = call.account.key_arn(headers[_KMS_KEY]) or headers[_KMS_KEY]
        keys[f"s3:{_KMS_KEY}"] = (arn,)
    return keys | _object_tags(_header_tags(call))


def _object_tags(tags: dict[str, str]) -> Keys:
    if not tags:
        return {}
    keys: Keys = {"s3:RequestObjectTagKeys": tuple(tags)}
    return keys | {f"s3:RequestObjectTag/{name}": (value,) for name, value in tags.items()}


def _header_tags(call: Call) -> dict[str, str]:
    text = _s3(call).headers.get("x-amz-tagging")
    if not text:
        return {}
    found = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    return pairs([{"Key": name, "Value": value} for name, value in found])


# bodies


def _xml(call: Call) -> ElementTree.Element:
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


def _body_tags(call: Call) -> dict[str, str]:
    rows = [
        {"Key": tag.findtext("Key"), "Value": tag.findtext("Value") or ""}
        for tag in _xml(call).iter("Tag")
    ]
    return pairs(rows)


def _deleted_objects(call: Call) -> Iterator[Need]:
    """Each key of a batch on its own, by version where the batch says so."""
    for item in _xml(call).iter("Object"):
        arn = f"{bucket_arn(call)}/{checked(item.findtext('Key'), 'Key')}"
        version = item.findtext("VersionId")
        if version:
            yield Need("s3:DeleteObjectVersion", arn, {**_common(call), "s3:versionid": (version,)})
        else:
            keys = _common(call)
            if item.findtext("ETag"):
                keys["s3:if-match"] = (str(item.findtext("ETag")),)
            yield Need("s3:DeleteObject", arn, keys)
        if _s3(call).headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
            yield Need("s3:BypassGovernanceRetention", arn, _common(call))


# further permissions


def _list_to_tell_missing(call: Call) -> Iterator[Need]:
    """Without s3:ListBucket a missing object is a 403, not a 404.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    versioned = _s3(call).query.get("versionId")
    if not versioned and call.account.tags(object_arn(call)) is None:
        yield Need("s3:ListBucket", bucket_arn(call), _common(call))


def _context(call: Call, bucket: str, arn: str) -> dict[str, str]:
    """S3's encryption context: the bucket with a bucket key, else the object."""
    given = _s3(call).headers.get("x-amz-server-side-encryption-context")
    own: dict[str, str] = {}
    if given:
        own = pairs(json.loads(b64decode(given, validate=True)))
    by_header = _s3(call).headers.get("x-amz-server-side-encryption-bucket-key-enabled")
    facts = call.facts(f"arn:aws:s3:::{bucket}")
    uses_bucket_key = by_header == "true" if by_header else facts.get("bucket_key_enabled")
    return {**own, "aws:s3:arn": f"arn:aws:s3:::{bucket}" if uses_bucket_key else arn}


def _encrypts(*actions: str) -> Also:
    """The key that a new object is encrypted with: the request's, or the bucket's own."""

    def found(call: Call) -> Iterator[Need]:
        found = _s3(call)
        algorithm = found.headers.get("x-amz-server-side-encryption")
        if algorithm not in {None, "aws:kms", "aws:kms:dsse"}:
            return
        key = found.headers.get(_KMS_KEY) if algorithm else None
        bucket = checked(found.bucket, "bucket")
        key = key or call.account.bucket_key(bucket)
        yield from _kms.behind(call, "s3", key, actions, _context(call, bucket, object_arn(call)))

    return found


def _decrypts(call: Call) -> Iterator[Need]:
    """The key of the object that is read.

    A HEAD reads no data; it needs the key only for the checksum.
    """
    found = _s3(call)
    checksum = found.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    if found.operation == "HeadObject" and not checksum:
        return
    bucket = checked(found.bucket, "bucket")
    key = call.account.object_key(bucket, found.key or "", found.query.get("versionId"))
    context = _context(call, bucket, object_arn(call))
    yield from _kms.behind(call, "s3", key, ("kms:Decrypt",), context)


def _copy_source(call: Call) -> Iterator[Need]:
    """Reading what is copied: the object, its tags, its key."""
    text, _, version = _s3(call).headers["x-amz-copy-source"].partition("?versionId=")
    bucket, _, key = unquote(text).removeprefix("/").partition("/")
    if not bucket or not key or ":" in bucket:
        raise ValueError("x-amz-copy-source must be bucket/key, optionally with ?versionId=")
    arn = f"arn:aws:s3:::{bucket}/{key}"
    keys = {**_common(call), **_existing_tags(call, arn)}
    kind = "Version" if version else ""
    if version:
        keys["s3:versionid"] = (version,)
    yield Need(f"s3:GetObject{kind}", arn, keys)
    copies_tags = _s3(call).headers.get("x-amz-tagging-directive", "COPY").upper() == "COPY"
    if call.operation == "CopyObject" and copies_tags and call.account.tags(arn):
        yield Need(f"s3:GetObject{kind}Tagging", arn, keys)
        yield Need("s3:PutObjectTagging", object_arn(call), _writing(call))
    if call.account.tags(arn) is None:
        yield Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", _common(call))
    source_key = call.account.object_key(bucket, key, version or None)
    context = _context(call, bucket, arn)
    yield from _kms.behind(call, "s3", source_key, ("kms:Decrypt",), context)


def _extras(call: Call) -> Iterator[Need]:
    """What headers of a write ask for beyond the object itself."""
    headers = _s3(call).headers
    arn, keys = object_arn(call), _writing(call)
    if _header_tags(call):
        yield Need("s3:PutObjectTagging", arn, keys)
    if any(name == "x-amz-acl" or name.startswith("x-amz-grant-") for name in headers):
        yield Need("s3:PutObjectAcl", arn, keys)
    if "x-amz-object-lock-mode" in headers:
        yield Need("s3:PutObjectRetention", arn, keys)
    if "x-amz-object-lock-legal-hold" in headers:
        yield Need("s3:PutObjectLegalHold", arn, keys)


def _bypass(call: Call) -> Iterator[Need]:
    if _s3(call).headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        yield Need("s3:BypassGovernanceRetention", object_arn(call), _common(call))


def _new_bucket(call: Call) -> Keys:
    keys = _common(call)
    if body_of(call.request).strip():
        root = _xml(call)
        place = root.findtext("LocationConstraint")
        if place:
            keys["s3:locationconstraint"] = (place,)
        keys |= request_tags(_bucket_tags(call))
    return keys


def _bucket_tags(call: Call) -> dict[str, str]:
    return _body_tags(call) if body_of(call.request).strip() else {}


def _new_bucket_extras(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html"""
    headers, keys = _s3(call).headers, _new_bucket(call)
    if any(name.startswith("x-amz-grant-") for name in headers) or (
        headers.get("x-amz-acl", "private") != "private"
    ):
        yield Need("s3:PutBucketAcl", bucket_arn(call), keys)
    if headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true":
        yield Need("s3:PutBucketObjectLockConfiguration", bucket_arn(call), _common(call))
        yield Need("s3:PutBucketVersioning", bucket_arn(call), _common(call))
    if "x-amz-object-ownership" in headers:
        yield Need("s3:PutBucketOwnershipControls", bucket_arn(call), _common(call))
    if _bucket_tags(call):
        yield Need("s3:TagResource", bucket_arn(call), request_tags(_bucket_tags(call)))


def _replication_role(call: Call) -> Iterator[Need]:
    role = _xml(call).findtext("Role")
    if role:
        yield Need("iam:PassRole", role, {"iam:PassedToService": ("s3.amazonaws.com",)})


# rows


def _on_bucket(action: str, *also: Also) -> Row:
    return Row(_bucket, f"s3:{action}", _common, also)


def _by_version(operation: str, targets: Targets = _tagged_object, *also: Also) -> Row:
    """A row whose action has a twin for versions (GetObject, GetObjectVersion)."""
    verb, rest = operation[: operation.index("Object")], operation[operation.index("Object") + 6 :]

    def found(call: Call) -> Iterator[Need]:
        version = "Version" if _s3(call).query.get("versionId") else ""
        action = f"s3:{verb}Object{version}{rest}"
        keys = _written_tags if operation == "PutObjectTagging" else _common
        yield from onto(action, targets, keys)(call)

    return Row(lambda _call: (), also=(found, *also))


def _written_tags(call: Call) -> Keys:
    return {**_common(call), **_object_tags(_body_tags(call))}


def _get_put(subject: str, get: str = "", put: str = "", delete: str = "") -> dict[str, Row]:
    """Rows of one setting: `Get<subject>`, `Put<subject>`, `Delete<subject>`; a delete is mostly
    allowed by the action that puts."""
    get, put = get or subject, put or subject
    return {
        f"Get{subject}": _on_bucket(f"Get{get}"),
        f"Put{subject}": _on_bucket(f"Put{put}"),
        f"Delete{subject}": _on_bucket(delete or f"Put{put}"),
    }


_WRITE = Row(_object, "s3:PutObject", _writing, (_extras, _encrypts("kms:GenerateDataKey")))

TABLE: Table = {
    "ListBuckets": Row(_everything, "s3:ListAllMyBuckets", _common),
    "HeadBucket": _on_bucket("ListBucket"),
    "ListObjects": Row(_bucket, "s3:ListBucket", _listing),
    "ListObjectsV2": Row(_bucket, "s3:ListBucket", _listing),
    "ListObjectVersions": Row(_bucket, "s3:ListBucketVersions", _listing),
    "ListMultipartUploads": _on_bucket("ListBucketMultipartUploads"),
    "CreateBucket": Row(_bucket, "s3:CreateBucket", _new_bucket, (_new_bucket_extras,)),
    "DeleteBucket": _on_bucket("DeleteBucket"),
    **_get_put("BucketAbac"),
    **_get_put(
        "BucketAccelerateConfiguration", "AccelerateConfiguration", "AccelerateConfiguration"
    ),
    **_get_put("BucketAcl"),
    **_get_put("BucketAnalyticsConfiguration", "AnalyticsConfiguration", "AnalyticsConfiguration"),
    **_get_put("BucketCors", "BucketCORS", "BucketCORS"),
    **_get_put("BucketEncryption", "EncryptionConfiguration", "EncryptionConfiguration"),
    **_get_put(
        "BucketIntelligentTieringConfiguration",
        "IntelligentTieringConfiguration",
        "IntelligentTieringConfiguration",
    ),
    **_get_put("BucketInventoryConfiguration", "InventoryConfiguration", "InventoryConfiguration"),
    **_get_put("BucketLifecycleConfiguration", "LifecycleConfiguration", "LifecycleConfiguration"),
    "DeleteBucketLifecycle": _on_bucket("PutLifecycleConfiguration"),
    "GetBucketLocation": _on_bucket("GetBucketLocation"),
    **_get_put("BucketLogging"),
    **_get_put("BucketMetricsConfiguration", "MetricsConfiguration", "MetricsConfiguration"),
    **_get_put("BucketNotificationConfiguration", "BucketNotification", "BucketNotification"),
    **_get_put(
        "ObjectLockConfiguration",
        "BucketObjectLockConfiguration",
        "BucketObjectLockConfiguration",
    ),
    **_get_put("BucketOwnershipControls"),
    **_get_put("BucketPolicy", delete="DeleteBucketPolicy"),
    "GetBucketPolicyStatus": _on_bucket("GetBucketPolicyStatus"),
    **_get_put("PublicAccessBlock", "BucketPublicAccessBlock", "BucketPublicAccessBlock"),
    **_get_put("BucketReplication", "ReplicationConfiguration", "ReplicationConfiguration"),
    "PutBucketReplication": _on_bucket("PutReplicationConfiguration", _replication_role),
    **_get_put("BucketRequestPayment"),
    **_get_put("BucketTagging"),
    **_get_put("BucketVersioning"),
    **_get_put("BucketWebsite", delete="DeleteBucketWebsite"),
    # objects
    "GetObject": _by_version("GetObject", _tagged_object, _list_to_tell_missing, _decrypts),
    "HeadObject": _by_version("GetObject", _tagged_object, _list_to_tell_missing, _decrypts),
    "GetObjectAttributes": Row(
        lambda _call: (),
        also=(
            *_by_version("GetObject").also,
            *_by_version("GetObjectAttributes", _tagged_object, _list_to_tell_missing).also,
        ),
    ),
    "GetObjectAcl": _by_version("GetObjectAcl"),
    "PutObjectAcl": _by_version("PutObjectAcl"),
    "GetObjectTagging": _by_version("GetObjectTagging"),
    "PutObjectTagging": _by_version("PutObjectTagging"),
    "DeleteObjectTagging": _by_version("DeleteObjectTagging"),
    "GetObjectLegalHold": Row(_object, "s3:GetObjectLegalHold", _common),
    "PutObjectLegalHold": Row(_object, "s3:PutObjectLegalHold", _common),
    "GetObjectRetention": Row(_object, "s3:GetObjectRetention", _common),
    "PutObjectRetention": Row(_object, "s3:PutObjectRetention", _common, (_bypass,)),
    "RestoreObject": Row(_object, "s3:RestoreObject", _common),
    "DeleteObject": _by_version("DeleteObject", _object, _bypass),
    "DeleteObjects": Row(lambda _call: (), also=(_deleted_objects,)),
    "PutObject": _WRITE,
    "CopyObject": Row(_object, "s3:PutObject", _writing, (*_WRITE.also, _copy_source)),
    # A multipart upload reads its parts back while it joins them.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
    "CreateMultipartUpload": Row(
        _object,
        "s3:PutObject",
        _writing,
        (_extras, _encrypts("kms:GenerateDataKey", "kms:Decrypt")),
    ),
    "UploadPart": Row(_object, "s3:PutObject", _writing),
    "UploadPartCopy": Row(_object, "s3:PutObject", _writing, (_copy_source,)),
    "CompleteMultipartUpload": Row(_object, "s3:PutObject", _writing),
    "AbortMultipartUpload": Row(_object, "s3:AbortMultipartUpload", _common),
    "ListParts": Row(_object, "s3:ListMultipartUploadParts", _common),
}
