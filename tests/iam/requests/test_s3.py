"""S3: addressing, versions, conditions, tags, keys, copies and batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scripts.iam.requests import HttpRequest, Unmapped, needs, operation

from .support import KEY, FakeAccount, needed, only, pairs_of, sent

BUCKET = "arn:aws:s3:::some-bucket"
OBJECT = f"{BUCKET}/some/key"
EXISTS = FakeAccount(resources={OBJECT: {}})


def s3(operation: str, account: FakeAccount | None = None, **parameters: Any) -> list[Any]:
    return needed("s3", operation, account or EXISTS, Bucket="some-bucket", **parameters)


def on_object(operation: str, account: FakeAccount | None = None, **parameters: Any) -> list[Any]:
    return s3(operation, account, Key="some/key", **parameters)


def url(method: str, path: str, *query: tuple[str, str], host: str = "127.0.0.1:9") -> HttpRequest:
    return HttpRequest(method, path, query, {"host": host}, b"", "s3", "us-east-1", "123456789012")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("127.0.0.1:4566", "/some-bucket/some/key"),
        ("[::1]:4566", "/some-bucket/some/key"),
        ("localhost:4566", "/some-bucket/some/key"),
        ("s3.amazonaws.com", "/some-bucket/some/key"),
        ("s3.us-east-1.amazonaws.com", "/some-bucket/some/key"),
        ("some-bucket.s3.us-east-1.amazonaws.com", "/some/key"),
        ("some-bucket.s3.amazonaws.com", "/some/key"),
        ("some-bucket.s3.dualstack.us-east-1.amazonaws.com", "/some/key"),
        ("some-bucket.localhost:4566", "/some/key"),
    ],
)
def test_path_style_and_virtual_host_name_the_same_object(host: str, path: str) -> None:
    found = needs(url("GET", path, host=host), EXISTS)
    assert pairs_of(found) == [("s3:GetObject", OBJECT)]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/some-bucket/a%20b", "a b"),
        ("/some-bucket/a+b", "a+b"),
        ("/some-bucket/a%2520b", "a%20b"),
        ("/some-bucket//a", "/a"),
        ("/some-bucket/../other-bucket/a", "../other-bucket/a"),
        ("/some-bucket/%C3%BC", "ü"),
    ],
)
def test_keys_are_decoded_once_and_never_normalised(path: str, key: str) -> None:
    found = needs(url("DELETE", path), FakeAccount())
    assert pairs_of(found) == [("s3:DeleteObject", f"{BUCKET}/{key}")]


@pytest.mark.parametrize(
    "odd",
    [
        url("GET", "//some-bucket/a"),
        url("GET", "/some-bucket%2Fa"),
        url("GET", "/Some_Bucket/a"),
        url("GET", "/some-bucket/%FF"),
        url("GET", "/some-bucket/a", host="evil.example.org"),
        url("GET", "/some-bucket/a", ("versionId", "1"), ("versionId", "2")),
        url("GET", "/some-bucket/a", ("acl", ""), ("tagging", "")),
        url("PUT", "/some-bucket/a", ("uploadId", "u")),
        url("PUT", "/some-bucket/a", ("partNumber", "1")),
        url("GET", "/some-bucket/a", ("versionId", "")),
        url("GET", "/some-bucket/a", ("renameObject", "")),
    ],
)
def test_an_ambiguous_request_is_refused(odd: HttpRequest) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        needs(odd, FakeAccount())


@pytest.mark.parametrize(
    ("subresource", "named"),
    [
        ("torrent", "GetObjectTorrent"),
        ("annotation", "ListObjectAnnotations"),
        ("madeUpTomorrow", "madeUpTomorrow"),
        ("Action", "Action"),
    ],
)
def test_a_subresource_without_a_row_is_not_taken_for_the_plain_call(
    subresource: str, named: str
) -> None:
    with pytest.raises(Unmapped, match=named):
        operation(url("GET", "/some-bucket/some/key", (subresource, "")))


def test_a_form_upload_is_unmapped() -> None:
    with pytest.raises(Unmapped, match=r"POST /\{Bucket\}"):
        operation(url("POST", "/some-bucket"))


def test_reading_a_version_is_an_action_of_its_own() -> None:
    found = on_object("GetObject", VersionId="v1")
    need = only(found, "s3:GetObjectVersion", OBJECT)
    assert need.context["s3:versionid"] == ("v1",)
    assert len(found) == 1


@pytest.mark.parametrize("name", ["GetObject", "HeadObject"])
def test_a_missing_object_asks_for_the_right_to_list(name: str) -> None:
    found = on_object(name, FakeAccount())
    assert pairs_of(found) == [("s3:GetObject", OBJECT), ("s3:ListBucket", BUCKET)]


def test_a_head_on_a_bucket_is_a_list() -> None:
    assert pairs_of(s3("HeadBucket")) == [("s3:ListBucket", BUCKET)]


def test_a_listing_carries_what_it_is_limited_to() -> None:
    [need] = s3("ListObjectsV2", Prefix="data/", Delimiter="/", MaxKeys=5)
    assert (need.action, need.resource) == ("s3:ListBucket", BUCKET)
    limits = {name: need.context[f"s3:{name}"] for name in ("prefix", "delimiter", "max-keys")}
    assert limits == {"prefix": ("data/",), "delimiter": ("/",), "max-keys": ("5",)}


def test_a_listing_without_a_prefix_has_no_prefix_key() -> None:
    [need] = s3("ListObjectsV2")
    assert "s3:prefix" not in need.context


def test_a_listing_of_versions_is_an_action_of_its_own() -> None:
    [need] = s3("ListObjectVersions", Prefix="a")
    assert (need.action, need.context["s3:prefix"]) == ("s3:ListBucketVersions", ("a",))


def test_a_conditional_put_carries_its_condition() -> None:
    [need] = on_object("PutObject", Body=b"a", IfNoneMatch="*")
    assert (need.action, need.context["s3:if-none-match"]) == ("s3:PutObject", ("*",))


def test_deleting_a_version_is_an_action_of_its_own() -> None:
    [need] = on_object("DeleteObject", VersionId="v1")
    assert need.action == "s3:DeleteObjectVersion"


def test_a_batch_delete_asks_for_each_key() -> None:
    batch = {"Objects": [{"Key": "a"}, {"Key": "b&c", "VersionId": "v1"}]}
    assert pairs_of(s3("DeleteObjects", Delete=batch)) == [
        ("s3:DeleteObject", f"{BUCKET}/a"),
        ("s3:DeleteObjectVersion", f"{BUCKET}/b&c"),
    ]


def test_an_empty_batch_delete_is_refused() -> None:
    with pytest.raises(ValueError, match="no Objects"):
        s3("DeleteObjects", Delete={"Objects": []})


def test_an_xml_body_with_a_document_type_is_refused() -> None:
    batch = sent("s3", "DeleteObjects", {"Bucket": "some-bucket", "Delete": {"Objects": []}})
    body = b'<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    with pytest.raises(ValueError, match="document type"):
        needs(replace(batch, body=body), FakeAccount())


def test_passing_over_a_retention_is_asked_for() -> None:
    found = on_object("DeleteObject", BypassGovernanceRetention=True)
    only(found, "s3:BypassGovernanceRetention", OBJECT)


def test_a_put_with_tags_asks_for_tagging_and_carries_the_tags() -> None:
    found = on_object("PutObject", Body=b"", Tagging="stage=raw&owner=a%26b")
    tagging = only(found, "s3:PutObjectTagging", OBJECT)
    assert tagging.context["s3:RequestObjectTag/owner"] == ("a&b",)
    assert tagging.context["s3:RequestObjectTagKeys"] == ("stage", "owner")


def test_a_put_with_an_access_list_asks_for_it() -> None:
    found = on_object("PutObject", Body=b"", ACL="public-read")
    assert only(found, "s3:PutObjectAcl", OBJECT).context["s3:x-amz-acl"] == ("public-read",)


def test_a_header_carried_in_a_presigned_link_counts_as_a_header() -> None:
    link = url("PUT", "/some-bucket/some/key", ("x-amz-acl", "public-read"))
    only(needs(link, FakeAccount()), "s3:PutObjectAcl", OBJECT)


def test_the_tags_of_an_object_are_conditions_on_reading_it() -> None:
    account = FakeAccount(resources={OBJECT: {"stage": "raw"}})
    [need] = on_object("GetObject", account)
    assert need.context["s3:ExistingObjectTag/stage"] == ("raw",)


@pytest.mark.parametrize(
    ("name", "parameters", "action"),
    [
        ("CreateMultipartUpload", {}, "s3:PutObject"),
        ("UploadPart", {"UploadId": "u", "PartNumber": 1, "Body": b"a"}, "s3:PutObject"),
        ("CompleteMultipartUpload", {"UploadId": "u"}, "s3:PutObject"),
        ("AbortMultipartUpload", {"UploadId": "u"}, "s3:AbortMultipartUpload"),
        ("ListParts", {"UploadId": "u"}, "s3:ListMultipartUploadParts"),
    ],
)
def test_a_multipart_upload_is_a_put(name: str, parameters: dict[str, Any], action: str) -> None:
    assert pairs_of(on_object(name, **parameters)) == [(action, OBJECT)]


def test_a_range_is_a_plain_read() -> None:
    assert pairs_of(on_object("GetObject", Range="bytes=0-9")) == [("s3:GetObject", OBJECT)]


# keys


def encrypted(**more: Any) -> FakeAccount:
    return FakeAccount(
        resources={OBJECT: {}},
        bucket_keys={"some-bucket": KEY},
        object_keys={("some-bucket", "some/key"): KEY},
        **more,
    )


def test_a_put_into_an_encrypted_bucket_needs_the_buckets_key() -> None:
    need = only(on_object("PutObject", encrypted(), Body=b""), "kms:GenerateDataKey", KEY)
    assert need.context["kms:ViaService"] == ("s3.us-east-1.amazonaws.com",)
    assert need.context["kms:EncryptionContext:aws:s3:arn"] == (OBJECT,)


def test_with_a_bucket_key_the_encryption_context_is_the_bucket() -> None:
    account = encrypted(facts={BUCKET: {"bucket_key_enabled": True}})
    need = only(on_object("PutObject", account, Body=b""), "kms:GenerateDataKey")
    assert need.context["kms:EncryptionContext:aws:s3:arn"] == (BUCKET,)


def test_a_put_may_choose_another_key() -> None:
    other = KEY.replace("1111", "9999")
    chosen = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": other}
    found = on_object("PutObject", encrypted(), Body=b"", **chosen)
    only(found, "kms:GenerateDataKey", other)
    name = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    assert only(found, "s3:PutObject").context[name] == (other,)


def test_a_put_may_choose_s3s_own_encryption() -> None:
    found = on_object("PutObject", encrypted(), Body=b"", ServerSideEncryption="AES256")
    assert pairs_of(found) == [("s3:PutObject", OBJECT)]


def test_a_key_that_aws_manages_is_asked_for_like_any_other() -> None:
    account = encrypted(facts={KEY: {"manager": "AWS", "aliases": ["alias/aws/s3"]}})
    need = only(on_object("GetObject", account), "kms:Decrypt", KEY)
    assert need.context["kms:ViaService"] == ("s3.us-east-1.amazonaws.com",)
    assert need.context["kms:ResourceAliases"] == ("alias/aws/s3",)


def test_a_put_that_names_no_key_takes_s3s_own() -> None:
    own = "arn:aws:kms:us-east-1:123456789012:key/own"
    account = FakeAccount(keys={"alias/aws/s3": own})
    found = on_object("PutObject", account, Body=b"", ServerSideEncryption="aws:kms")
    only(found, "kms:GenerateDataKey", own)


def test_reading_an_encrypted_object_needs_its_key() -> None:
    only(on_object("GetObject", encrypted()), "kms:Decrypt", KEY)


def test_a_head_needs_the_key_only_for_the_checksum() -> None:
    assert pairs_of(on_object("HeadObject", encrypted())) == [("s3:GetObject", OBJECT)]
    only(on_object("HeadObject", encrypted(), ChecksumMode="ENABLED"), "kms:Decrypt", KEY)


@pytest.mark.parametrize(
    ("operation", "parameters", "actions"),
    [
        ("CreateMultipartUpload", {}, ["kms:GenerateDataKey"]),
        ("UploadPart", {"UploadId": "u", "PartNumber": 1, "Body": b"a"}, ["kms:Decrypt"]),
        ("CompleteMultipartUpload", {"UploadId": "u"}, []),
        (
            "CompleteMultipartUpload",
            {
                "UploadId": "u",
                "MultipartUpload": {
                    "Parts": [{"PartNumber": 1, "ETag": "e", "ChecksumCRC32": "AAAAAA=="}]
                },
            },
            ["kms:Decrypt"],
        ),
    ],
)
def test_each_call_of_a_multipart_upload_needs_its_own_side_of_the_key(
    operation: str, parameters: dict[str, Any], actions: list[str]
) -> None:
    found = on_object(operation, encrypted(), **parameters)
    assert [need.action for need in found if need.action.startswith("kms:")] == actions


def test_a_part_needs_the_key_that_its_upload_was_begun_with() -> None:
    other = KEY.replace("1111", "9999")
    account = encrypted(facts={f"{BUCKET}/?uploadId=u": {"key": other}})
    found = on_object("UploadPart", account, UploadId="u", PartNumber=1, Body=b"a")
    only(found, "kms:Decrypt", other)


def test_a_copy_reads_its_source_and_writes_its_target() -> None:
    source = "arn:aws:s3:::other-bucket/a key"
    account = FakeAccount(
        resources={source: {"stage": "raw"}},
        bucket_keys={"some-bucket": KEY},
        object_keys={("other-bucket", "a key"): KEY},
    )
    found = on_object("CopyObject", account, CopySource={"Bucket": "other-bucket", "Key": "a key"})
    assert {
        ("s3:PutObject", OBJECT),
        ("s3:GetObject", source),
        ("s3:GetObjectTagging", source),
        ("s3:PutObjectTagging", OBJECT),
        ("kms:GenerateDataKey", KEY),
        ("kms:Decrypt", KEY),
    } == set(pairs_of(found))


def test_a_copy_of_a_version_reads_that_version() -> None:
    source = {"Bucket": "other-bucket", "Key": "a", "VersionId": "v1"}
    found = on_object("CopyObject", FakeAccount(resources={}), CopySource=source)
    assert ("s3:GetObjectVersion", "arn:aws:s3:::other-bucket/a") in pairs_of(found)


# buckets


def test_a_new_buckets_place_and_tags_are_conditions() -> None:
    configuration = {
        "LocationConstraint": "eu-west-1",
        "Tags": [{"Key": "Environment", "Value": "dev"}],
    }
    found = s3("CreateBucket", CreateBucketConfiguration=configuration)
    need = only(found, "s3:CreateBucket", BUCKET)
    assert need.context["s3:locationconstraint"] == ("eu-west-1",)
    assert need.context["aws:RequestTag/Environment"] == ("dev",)
    only(found, "s3:TagResource", BUCKET)


def test_a_new_bucket_with_object_lock_asks_for_what_that_switches_on() -> None:
    found = s3("CreateBucket", ObjectLockEnabledForBucket=True)
    only(found, "s3:PutBucketObjectLockConfiguration", BUCKET)
    only(found, "s3:PutBucketVersioning", BUCKET)


def test_replication_passes_its_role() -> None:
    role = "arn:aws:iam::123456789012:role/replication"
    rule = {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::other-bucket"}}
    configuration = {"Role": role, "Rules": [rule]}
    found = s3("PutBucketReplication", ReplicationConfiguration=configuration)
    assert only(found, "iam:PassRole", role).context == {
        "iam:PassedToService": ("s3.amazonaws.com",)
    }


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration"),
        ("GetBucketCors", "s3:GetBucketCORS"),
        ("GetBucketEncryption", "s3:GetEncryptionConfiguration"),
        ("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
        ("GetBucketReplication", "s3:GetReplicationConfiguration"),
        ("GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration"),
        ("GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
        ("DeleteBucketEncryption", "s3:PutEncryptionConfiguration"),
        ("DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
        ("DeleteBucketTagging", "s3:PutBucketTagging"),
        ("DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
        ("DeleteBucketPolicy", "s3:DeleteBucketPolicy"),
    ],
)
def test_actions_on_a_buckets_settings_are_not_named_like_their_calls(
    name: str, action: str
) -> None:
    assert pairs_of(s3(name)) == [(action, BUCKET)]


def test_virtual_host_requests_of_botocore_are_read() -> None:
    options = {"endpoint": None}
    captured = sent("s3", "GetObject", {"Bucket": "some-bucket", "Key": "some/key"}, **options)
    assert captured.headers["host"] == "some-bucket.s3.amazonaws.com"
    assert pairs_of(needs(captured, EXISTS)) == [("s3:GetObject", OBJECT)]


def test_an_unsigned_request_has_no_signature_keys() -> None:
    [need] = needs(url("GET", "/some-bucket/some/key"), EXISTS)
    assert need.context == {}


def test_a_presigned_request_says_so() -> None:
    [need] = needs(url("GET", "/some-bucket/some/key", ("X-Amz-Signature", "a")), EXISTS)
    assert need.context["s3:authType"] == ("REST-QUERY-STRING",)
