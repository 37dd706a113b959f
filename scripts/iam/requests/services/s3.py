"""S3: buckets and their settings, objects, versions, multipart uploads, copies, batch deletes.

Which operation needs what: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import HttpRequest, Keys, Need
from scripts.iam.requests.row import Also, Call, Row, Table, Targets, everything, onto
from scripts.iam.requests.services.s3_further import (
    bypass,
    copied,
    copy_source,
    decrypts,
    decrypts_checksummed_parts,
    decrypts_parts,
    encrypts,
    extras,
    list_to_tell_missing,
    new_bucket,
    new_bucket_extras,
    replication_role,
    tested,
)
from scripts.iam.requests.services.s3_request import (
    body_tags,
    common,
    deleted_objects,
    listing,
    object_tags,
    parts,
    tagged_object,
    the_bucket,
    the_object,
    writing,
)
from scripts.iam.requests.services.s3_route import S3Request, route


def _on_bucket(action: str, *also: Also) -> Row:
    return Row(the_bucket, f"s3:{action}", common, also)


def _by_version(operation: str, targets: Targets = tagged_object, *also: Also) -> Row:
    """A row whose action has a twin for versions (GetObject, GetObjectVersion)."""
    verb, rest = operation[: operation.index("Object")], operation[operation.index("Object") + 6 :]

    def found(call: Call) -> Iterator[Need]:
        version = "Version" if parts(call).query.get("versionId") else ""
        action = f"s3:{verb}Object{version}{rest}"
        keys = _written_tags if operation == "PutObjectTagging" else common
        yield from onto(action, targets, keys)(call)

    return Row(lambda _call: (), also=(found, *also))


def _written_tags(call: Call) -> Keys:
    return {**common(call), **object_tags(body_tags(call))}


def _setting(subject: str, action: str = "", verbs: str = "Get Put") -> dict[str, Row]:
    """Rows of one setting of a bucket. Where there is a delete, the action that puts allows it."""
    action = action or subject
    return {
        f"{verb}{subject}": _on_bucket(f"{'Get' if verb == 'Get' else 'Put'}{action}")
        for verb in verbs.split()
    }


_ALL = "Get Put Delete"
_WRITE = Row(the_object, "s3:PutObject", writing, (extras, encrypts("kms:GenerateDataKey"), tested))

TABLE: Table = {
    "ListBuckets": Row(everything, "s3:ListAllMyBuckets", common),
    "HeadBucket": _on_bucket("ListBucket"),
    "ListObjects": Row(the_bucket, "s3:ListBucket", listing),
    "ListObjectsV2": Row(the_bucket, "s3:ListBucket", listing),
    "ListObjectVersions": Row(the_bucket, "s3:ListBucketVersions", listing),
    "ListMultipartUploads": _on_bucket("ListBucketMultipartUploads"),
    "CreateBucket": Row(the_bucket, "s3:CreateBucket", new_bucket, (new_bucket_extras,)),
    "DeleteBucket": _on_bucket("DeleteBucket"),
    **_setting("BucketAccelerateConfiguration", "AccelerateConfiguration", "Get"),
    **_setting("BucketAcl"),
    **_setting("BucketCors", "BucketCORS", _ALL),
    **_setting("BucketEncryption", "EncryptionConfiguration", _ALL),
    **_setting("BucketLifecycleConfiguration", "LifecycleConfiguration"),
    "DeleteBucketLifecycle": _on_bucket("PutLifecycleConfiguration"),
    "GetBucketLocation": _on_bucket("GetBucketLocation"),
    **_setting("BucketLogging"),
    **_setting("BucketNotificationConfiguration", "BucketNotification"),
    **_setting("ObjectLockConfiguration", "BucketObjectLockConfiguration"),
    **_setting("BucketOwnershipControls", verbs=_ALL),
    **_setting("BucketPolicy"),
    "DeleteBucketPolicy": _on_bucket("DeleteBucketPolicy"),
    "GetBucketPolicyStatus": _on_bucket("GetBucketPolicyStatus"),
    **_setting("PublicAccessBlock", "BucketPublicAccessBlock", _ALL),
    **_setting("BucketReplication", "ReplicationConfiguration", _ALL),
    "PutBucketReplication": _on_bucket("PutReplicationConfiguration", replication_role),
    **_setting("BucketRequestPayment", verbs="Get"),
    **_setting("BucketTagging", verbs=_ALL),
    **_setting("BucketVersioning"),
    **_setting("BucketWebsite", verbs="Get"),
    # objects
    "GetObject": _by_version("GetObject", tagged_object, list_to_tell_missing, decrypts),
    "HeadObject": _by_version("GetObject", tagged_object, list_to_tell_missing, decrypts),
    "GetObjectAttributes": Row(
        lambda _call: (),
        also=(
            *_by_version("GetObject").also,
            *_by_version("GetObjectAttributes", tagged_object, list_to_tell_missing).also,
        ),
    ),
    "GetObjectAcl": _by_version("GetObjectAcl"),
    "PutObjectAcl": _by_version("PutObjectAcl"),
    "GetObjectTagging": _by_version("GetObjectTagging"),
    "PutObjectTagging": _by_version("PutObjectTagging"),
    "DeleteObjectTagging": _by_version("DeleteObjectTagging"),
    "GetObjectLegalHold": Row(the_object, "s3:GetObjectLegalHold", common),
    "GetObjectRetention": Row(the_object, "s3:GetObjectRetention", common),
    "DeleteObject": _by_version("DeleteObject", the_object, bypass, tested),
    "DeleteObjects": Row(lambda _call: (), also=(deleted_objects,)),
    "PutObject": _WRITE,
    "CopyObject": Row(lambda _call: (), also=(copied, *_WRITE.also, copy_source)),
    # S3 reads parts back when it joins them, so whoever sends one needs kms:Decrypt.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html (Permissions)
    "CreateMultipartUpload": Row(
        the_object, "s3:PutObject", writing, (extras, encrypts("kms:GenerateDataKey"))
    ),
    "UploadPart": Row(the_object, "s3:PutObject", writing, (decrypts_parts,)),
    "UploadPartCopy": Row(the_object, "s3:PutObject", writing, (copy_source, decrypts_parts)),
    "CompleteMultipartUpload": Row(
        the_object, "s3:PutObject", writing, (decrypts_checksummed_parts, tested)
    ),
    "AbortMultipartUpload": Row(the_object, "s3:AbortMultipartUpload", common),
    "ListParts": Row(the_object, "s3:ListMultipartUploadParts", common),
}


def read(request: HttpRequest) -> S3Request:
    """Take an S3 request apart."""
    return route(request, TABLE)
