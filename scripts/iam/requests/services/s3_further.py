"""S3: the permissions that a call needs beyond its own action (keys, sources, tags, locks)."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.requests.model import Keys, Malformed, Need
from scripts.iam.requests.row import (
    Also,
    Call,
    checked,
    named_once,
    onto,
    pairs,
    pass_role,
    request_tags,
)
from scripts.iam.requests.services import kms
from scripts.iam.requests.services.s3_request import (
    KMS_KEY,
    bucket_arn,
    common,
    existing_tags,
    header_tags,
    object_arn,
    object_tags_of,
    parts,
    tagged_object,
    writing,
)


def list_to_tell_missing(call: Call) -> Iterator[Need]:
    """Without s3:ListBucket a missing object is a 403, not a 404.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    versioned = parts(call).query.get("versionId")
    if not versioned and call.account.tags(object_arn(call)) is None:
        yield Need("s3:ListBucket", bucket_arn(call), common(call))


def _new_context(call: Call, bucket: str, arn: str) -> dict[str, str]:
    """S3's encryption context of a new object: the bucket with a bucket key, else the object."""
    given = parts(call).headers.get("x-amz-server-side-encryption-context")
    own: dict[str, str] = {}
    if given:
        own = named_once(json.loads(b64decode(given, validate=True)))
    by_header = parts(call).headers.get("x-amz-server-side-encryption-bucket-key-enabled")
    if not by_header:
        return {**own, **_usual_context(call, bucket, arn)}
    return {**own, "aws:s3:arn": f"arn:aws:s3:::{bucket}" if by_header == "true" else arn}


def _usual_context(call: Call, bucket: str, arn: str) -> dict[str, str]:
    """The context that the bucket's own settings make."""
    shared = call.facts(f"arn:aws:s3:::{bucket}").get("bucket_key_enabled")
    return {"aws:s3:arn": f"arn:aws:s3:::{bucket}" if shared else arn}


def _context(call: Call, bucket: str, key: str, version: str | None) -> Mapping[str, str]:
    """The context that an object was encrypted in: whoever reads it cannot choose another one.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
    """
    arn = f"arn:aws:s3:::{bucket}/{key}"
    known = call.facts(f"{arn}/?versionId={version or ''}").get("context")
    return known or _usual_context(call, bucket, arn)


def encrypts(*actions: str) -> Also:
    """The key that a new object is encrypted with: the request's, or the bucket's own."""

    def found(call: Call) -> Iterator[Need]:
        request = parts(call)
        algorithm = request.headers.get("x-amz-server-side-encryption")
        if algorithm not in {None, "AES256", "aws:kms", "aws:kms:dsse"}:
            raise Malformed("The encryption method specified is not supported", "InvalidArgument")
        key = request.headers.get(KMS_KEY)
        if key and algorithm in {None, "AES256"}:
            raise Malformed(
                "Server Side Encryption with AWS KMS managed key requires HTTP header "
                "x-amz-server-side-encryption : aws:kms",
                "InvalidArgument",
            )
        if algorithm == "AES256":
            return
        bucket = checked(request.bucket, "bucket")
        default = f"{kms.MANAGED}s3" if algorithm else None
        key = key or call.account.bucket_key(bucket) or default
        context = _new_context(call, bucket, object_arn(call))
        yield from kms.behind(call, "s3", key, actions, context)

    return found


def decrypts(call: Call) -> Iterator[Need]:
    """The key of the object that is read.

    A HEAD reads no data; it needs the key only for the checksum.
    """
    found = parts(call)
    checksum = found.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    if found.operation == "HeadObject" and not checksum:
        return
    bucket = checked(found.bucket, "bucket")
    named = (bucket, found.key or "", found.query.get("versionId"))
    yield from kms.behind(
        call, "s3", call.account.object_key(*named), ("kms:Decrypt",), _context(call, *named)
    )


def _upload(call: Call) -> Mapping[str, Any]:
    """What is known of the upload that a call is part of."""
    return call.facts(f"arn:aws:s3:::{parts(call).bucket}/?uploadId={call.get('UploadId')}")


def decrypts_parts(call: Call) -> Iterator[Need]:
    """The key of the upload, which its first call chose or the bucket has."""
    bucket = checked(parts(call).bucket, "bucket")
    facts = _upload(call)
    key = facts.get("key", call.account.bucket_key(bucket))
    context = facts.get("context") or _usual_context(call, bucket, object_arn(call))
    yield from kms.behind(call, "s3", key, ("kms:Decrypt",), context)


def decrypts_checksummed_parts(call: Call) -> Iterator[Need]:
    """Joining parts needs the key when the upload has checksums beside the MD5.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html (Permissions)
    """
    given = [call.parameters, *((call.get("MultipartUpload") or {}).get("Parts") or ())]
    if _upload(call).get("checksum") or any(
        name.startswith("Checksum") for one in given for name in one
    ):
        yield from decrypts_parts(call)


# AWS does not say whether the tags that a copy keeps are the request's.
_OF_REQUEST = ("s3:RequestObjectTag/", "s3:RequestObjectTagKeys")


def _keeps_tags(call: Call) -> bool:
    return call.operation == "CopyObject" and _directive(call, "Tagging") == "COPY"


def copied(call: Call) -> Iterator[Need]:
    """The right to write a copy, which may keep the tags of its source."""
    source = parts(call).source
    tags = source and object_tags_of(call, source.bucket, source.key, source.version)
    unknown = _OF_REQUEST if tags and _keeps_tags(call) else ()
    yield Need("s3:PutObject", object_arn(call), writing(call), unknown)


def copy_source(call: Call) -> Iterator[Need]:
    """Reading what is copied: the object, its tags, its key."""
    source = parts(call).source
    if source is None:
        raise Malformed("x-amz-copy-source is missing", "InvalidArgument")
    arn = f"arn:aws:s3:::{source.bucket}/{source.key}"
    tags = object_tags_of(call, source.bucket, source.key, source.version)
    keys = {**common(call), **existing_tags(tags)}
    kind = "Version" if source.version else ""
    if source.version:
        keys["s3:versionid"] = (source.version,)
    yield Need(f"s3:GetObject{kind}", arn, keys)
    if _keeps_tags(call) and tags:
        yield Need(f"s3:GetObject{kind}Tagging", arn, keys)
        yield Need("s3:PutObjectTagging", object_arn(call), writing(call), _OF_REQUEST)
    if tags is None:
        yield Need("s3:ListBucket", f"arn:aws:s3:::{source.bucket}", common(call))
    _directive(call, "Metadata")
    named = (source.bucket, source.key, source.version)
    source_key = call.account.object_key(*named)
    yield from kms.behind(call, "s3", source_key, ("kms:Decrypt",), _context(call, *named))


def _directive(call: Call, what: str) -> str:
    """Whether a copy keeps the source's tags or metadata: S3 takes these two words alone."""
    value = call.get(f"{what}Directive")
    if value not in {None, "COPY", "REPLACE"}:
        raise Malformed(f"Unknown {what.lower()} directive.", "InvalidArgument")
    return value or "COPY"


def extras(call: Call) -> Iterator[Need]:
    """What headers of a write ask for beyond the object itself."""
    headers = parts(call).headers
    arn, keys = object_arn(call), writing(call)
    if header_tags(call):
        yield Need("s3:PutObjectTagging", arn, keys)
    if any(name == "x-amz-acl" or name.startswith("x-amz-grant-") for name in headers):
        yield Need("s3:PutObjectAcl", arn, keys)
    if "x-amz-object-lock-mode" in headers:
        yield Need("s3:PutObjectRetention", arn, keys)
    if "x-amz-object-lock-legal-hold" in headers:
        yield Need("s3:PutObjectLegalHold", arn, keys)


def tested(call: Call) -> Iterator[Need]:
    """A write that hangs on an ETag tells whether the object has it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html
    """
    if parts(call).headers.get("if-match", "*") != "*":
        yield from onto("s3:GetObject", tagged_object, common)(call)


def bypass(call: Call) -> Iterator[Need]:
    """The right to go round a governance retention, where the request asks for it."""
    if parts(call).headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        yield Need("s3:BypassGovernanceRetention", object_arn(call), common(call))


def new_bucket(call: Call) -> Keys:
    """Keys of CreateBucket, its location among them."""
    keys = common(call)
    place = (call.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
    if place:
        keys["s3:locationconstraint"] = (place,)
    return keys | request_tags(_bucket_tags(call))


def _bucket_tags(call: Call) -> dict[str, str]:
    return pairs((call.get("CreateBucketConfiguration") or {}).get("Tags") or [])


def new_bucket_extras(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html"""
    headers, keys = parts(call).headers, common(call)
    if any(name.startswith("x-amz-grant-") for name in headers) or (
        headers.get("x-amz-acl", "private") != "private"
    ):
        yield Need("s3:PutBucketAcl", bucket_arn(call), keys)
    if headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true":
        yield Need("s3:PutBucketObjectLockConfiguration", bucket_arn(call), common(call))
        yield Need("s3:PutBucketVersioning", bucket_arn(call), common(call))
    if "x-amz-object-ownership" in headers:
        yield Need("s3:PutBucketOwnershipControls", bucket_arn(call), common(call))
    if _bucket_tags(call):
        yield Need("s3:TagResource", bucket_arn(call), request_tags(_bucket_tags(call)))


def replication_role(call: Call) -> Iterator[Need]:
    """The right to pass the role that replicates."""
    role = (call.get("ReplicationConfiguration") or {}).get("Role")
    if role:
        yield pass_role(role, "s3.amazonaws.com")
