"""S3 as the platform and its clients use it: versions, parts, copies, conditions, links, forms."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from typing import Any

import pytest
import requests
from awscrt import checksums
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.localcloud.access import post_form
from scripts.localcloud.access.signatures import signing_key
from tests.localcloud.clients import Account, code_in, fetch, statement

BUCKET = "s3-at-work"
PART = 5 * 2**20


@pytest.fixture(scope="module")
def s3(account: Account) -> Any:
    made = account.client("s3")
    made.create_bucket(Bucket=BUCKET)
    made.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return made


def refused(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def body(s3: Any, **arguments: Any) -> bytes:
    found: bytes = s3.get_object(Bucket=BUCKET, **arguments)["Body"].read()
    return found


def test_versions_are_kept_marked_and_brought_back(s3: Any) -> None:
    first, second = (
        s3.put_object(Bucket=BUCKET, Key="v", Body=text)["VersionId"] for text in (b"1", b"2")
    )
    marker = s3.delete_object(Bucket=BUCKET, Key="v")["VersionId"]
    assert refused(s3.get_object, Bucket=BUCKET, Key="v") == ("NoSuchKey", 404)
    assert body(s3, Key="v", VersionId=first) == b"1"
    listed = s3.list_object_versions(Bucket=BUCKET, Prefix="v")
    assert [one["VersionId"] for one in listed["Versions"]] == [second, first]
    assert [one["VersionId"] for one in listed["DeleteMarkers"]] == [marker]
    s3.delete_object(Bucket=BUCKET, Key="v", VersionId=marker)
    assert body(s3, Key="v") == b"2"
    s3.delete_object(Bucket=BUCKET, Key="v", VersionId=second)
    assert body(s3, Key="v") == b"1"


@pytest.mark.parametrize(
    "key",
    ["a b", "a+b", "a%2Fb", "a%20b", "ü/é", "a//b", "../up", "./x", "a;b", "a#b", "a?b=c", "a&b",
     "trailing/", "'\"<>", "=", "~", "*", "back\\slash", "-" * 900],
)  # fmt: skip
def test_a_key_is_any_text(s3: Any, key: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"keys/{key}", Body=key.encode())
    assert body(s3, Key=f"keys/{key}") == key.encode()
    copied = {"Bucket": BUCKET, "Key": f"keys/{key}"}
    s3.copy_object(Bucket=BUCKET, Key=f"copies/{key}", CopySource=copied)
    assert body(s3, Key=f"copies/{key}") == key.encode()
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"keys/{key}")["Contents"]
    assert [one["Key"] for one in found] == [f"keys/{key}"]
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": f"keys/{key}"}]})
    assert refused(s3.head_object, Bucket=BUCKET, Key=f"keys/{key}") == ("404", 404)


@pytest.mark.parametrize("key", [" a", "a ", "a\n", "\ta"])
def test_a_batch_deletes_keys_with_outer_blanks(s3: Any, key: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    s3.put_object(Bucket=BUCKET, Key=key.strip(), Body=b"kept")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
    assert refused(s3.head_object, Bucket=BUCKET, Key=key) == ("404", 404)
    assert body(s3, Key=key.strip()) == b"kept"


def test_conditions_on_writing_and_reading(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="c", Body=b"1", IfNoneMatch="*")["ETag"]
    once = {"Bucket": BUCKET, "Key": "c", "Body": b"2"}
    assert refused(s3.put_object, **once, IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refused(s3.put_object, **once, IfMatch='"other"') == ("PreconditionFailed", 412)
    assert s3.put_object(**once, IfMatch=etag)
    get = {"Bucket": BUCKET, "Key": "c"}
    assert refused(s3.get_object, **get, IfMatch=etag) == ("PreconditionFailed", 412)
    assert refused(s3.get_object, **get, IfNoneMatch=s3.head_object(**get)["ETag"])[1] == 304
    assert body(s3, Key="c", Range="bytes=0-0") == b"2"


def test_an_object_is_deleted_only_if_there_is_one(s3: Any) -> None:
    given = {"Bucket": BUCKET, "Key": "there"}
    s3.put_object(**given)
    s3.delete_object(**given, IfMatch="*")
    assert refused(s3.head_object, **given) == ("404", 404)
    assert refused(s3.delete_object, Bucket=BUCKET, Key="never", IfMatch="*") == ("NoSuchKey", 404)


def test_an_upload_in_parts(s3: Any) -> None:
    parts = [b"a" * PART, b"b" * 10]
    made = s3.create_multipart_upload(Bucket=BUCKET, Key="m", Metadata={"a-b": "c"})
    upload = {"Bucket": BUCKET, "Key": "m", "UploadId": made["UploadId"]}
    sent = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**upload, PartNumber=number, Body=content)["ETag"],
        }
        for number, content in enumerate(parts, 1)
    ]
    assert [one["PartNumber"] for one in s3.list_parts(**upload)["Parts"]] == [1, 2]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    assert body(s3, Key="m") == b"".join(parts)
    assert s3.head_object(Bucket=BUCKET, Key="m")["Metadata"] == {"a-b": "c"}
    assert s3.head_object(Bucket=BUCKET, Key="m")["ETag"].endswith('-2"')


def test_an_upload_that_is_given_up_is_gone(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="gone")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="gone", UploadId=upload)
    given = {"Bucket": BUCKET, "Key": "gone", "UploadId": upload}
    assert refused(s3.list_parts, **given) == ("NoSuchUpload", 404)


def test_a_part_is_copied_from_a_range(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="whole", Body=b"0123456789" * (PART // 10 + 1))
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="mp-copy")["UploadId"]
    given = {"Bucket": BUCKET, "Key": "mp-copy", "UploadId": upload}
    etag = s3.upload_part_copy(
        **given, PartNumber=1, CopySource=f"{BUCKET}/whole", CopySourceRange="bytes=1-3"
    )["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(
        **given, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    assert body(s3, Key="mp-copy") == b"123"


def test_tags_of_an_object(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="t", Body=b"x", Tagging="stage=raw&empty=&bare")
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="t")["TagSet"]
    assert {one["Key"]: one["Value"] for one in tags} == {"stage": "raw", "empty": "", "bare": ""}
    tagging = {"TagSet": [{"Key": "a b", "Value": "c:d/e"}]}
    s3.put_object_tagging(Bucket=BUCKET, Key="t", Tagging=tagging)
    assert s3.get_object_tagging(Bucket=BUCKET, Key="t")["TagSet"] == tagging["TagSet"]


def encoded(number: int, size: int) -> str:
    return base64.b64encode(number.to_bytes(size, "big")).decode()


CONTENT = b"checked by everybody"
CHECKSUMS = {
    "CRC32": encoded(zlib.crc32(CONTENT), 4),
    "CRC32C": encoded(checksums.crc32c(CONTENT), 4),
    "CRC64NVME": encoded(checksums.crc64nvme(CONTENT), 8),
    "SHA1": base64.b64encode(hashlib.sha1(CONTENT).digest()).decode(),  # noqa: S324
    "SHA256": base64.b64encode(hashlib.sha256(CONTENT).digest()).decode(),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_checksum_is_verified_and_told(s3: Any, algorithm: str) -> None:
    name = f"Checksum{algorithm}"
    given = {"Bucket": BUCKET, "Key": algorithm, "ChecksumAlgorithm": algorithm}
    s3.put_object(**given, Body=CONTENT, **{name: CHECKSUMS[algorithm]})
    read = s3.get_object(Bucket=BUCKET, Key=algorithm, ChecksumMode="ENABLED")
    assert (read["Body"].read(), read[name]) == (CONTENT, CHECKSUMS[algorithm])
    wrong = s3.put_object, {**given, "Body": b"other", name: CHECKSUMS[algorithm]}
    assert refused(wrong[0], **wrong[1])[0] == "BadDigest"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_the_sdks_own_checksum_arrives_behind_the_body(s3: Any, algorithm: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="own", Body=CONTENT, ChecksumAlgorithm=algorithm)
    assert body(s3, Key="own") == CONTENT


def link(account: Account, method: str, who: Credentials | None = None, **given: Any) -> str:
    url: str = account.client("s3", who, signature_version="s3v4").generate_presigned_url(
        method, Params={"Bucket": BUCKET, **given}, ExpiresIn=60
    )
    return url


def test_presigned_links_get_and_put(account: Account, s3: Any) -> None:
    put = link(account, "put_object", Key="linked", ContentType="text/plain")
    assert fetch(account, put, "PUT", data=b"x", headers={"Content-Type": "text/plain"}).ok
    got = fetch(account, link(account, "get_object", Key="linked",
                              ResponseContentType="text/html"))  # fmt: skip
    assert (got.content, got.headers["Content-Type"]) == (b"x", "text/html")
    assert fetch(account, link(account, "get_object", Key="linked"), "DELETE").status_code == 403
    version = s3.put_object(Bucket=BUCKET, Key="linked", Body=b"y")["VersionId"]
    plain = link(account, "get_object", Key="linked")
    assert fetch(account, f"{plain}&versionId={version}").status_code == 403


def post(
    account: Account, fields: dict[str, str], content: bytes = b"posted", **changed: str
) -> requests.Response:
    return requests.post(
        f"{account.cloud.endpoint}/{BUCKET}", data={**fields, **changed},
        files={"file": ("name.txt", content)}, verify=str(account.cloud.ca_bundle), timeout=10,
        allow_redirects=False,
    )  # fmt: skip


def form(
    account: Account, who: Credentials | None = None, key: str = "posts/${filename}",
    fields: dict[str, str] | None = None, conditions: list[Any] | None = None,
) -> dict[str, str]:  # fmt: skip
    made = account.client("s3", who, signature_version="s3v4").generate_presigned_post(
        BUCKET, key, Fields=fields, Conditions=conditions, ExpiresIn=60
    )
    found: dict[str, str] = made["fields"]
    return found


def test_a_form_uploads_what_its_policy_says(account: Account, s3: Any) -> None:
    extra = {"success_action_status": "201", "x-amz-meta-who": "me", "Content-Type": "text/plain"}
    limits = [*({name: value} for name, value in extra.items()), ["content-length-range", 1, 10]]
    fields = form(account, fields=extra, conditions=limits)
    answer = post(account, fields)
    assert (answer.status_code, "<Key>posts/name.txt</Key>" in answer.text) == (201, True)
    head = s3.get_object(Bucket=BUCKET, Key="posts/name.txt")
    assert (head["Body"].read(), head["Metadata"], head["ContentType"]) == (
        b"posted", {"who": "me"}, "text/plain"
    )  # fmt: skip
    assert code_in(post(account, fields, b"x" * 11)) == "EntityTooLarge"
    assert code_in(post(account, fields, b"")) == "EntityTooSmall"
    assert (
        code_in(post(account, fields, content=b"posted", **{"x-amz-meta-who": "you"}))
        == "AccessDenied"
    )
    assert code_in(post(account, fields, acl="public-read")) == "AccessDenied"
    assert code_in(post(account, fields, key="elsewhere")) == "AccessDenied"
    assert code_in(post(account, fields, policy=fields["policy"][:-4])) == "SignatureDoesNotMatch"
    without = {name: value for name, value in fields.items() if name != "x-amz-security-token"}
    assert code_in(post(account, without)) in ("InvalidToken", "AccessDenied")


def test_a_form_needs_the_right_to_put(account: Account, s3: Any) -> None:
    reader = account.session("posts-no-object", statement("s3:GetObject"))
    assert code_in(post(account, form(account, reader))) == "AccessDenied"
    prefix = statement("s3:PutObject", f"arn:aws:s3:::{BUCKET}/mine/*")
    writer = account.session("posts-into-mine", prefix)
    assert code_in(post(account, form(account, writer))) == "AccessDenied"
    assert post(account, form(account, writer, "mine/a")).status_code == 204
    tagged = form(account, writer, "mine/a", {"tagging": TAGGING}, [{"tagging": TAGGING}])
    assert code_in(post(account, tagged)) == "AccessDenied"
    assert code_in(post(account, {"key": "mine/anonymous"})) == "AccessDenied"


TAGGING = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"


def test_a_large_upload_needs_decrypt_where_a_small_one_does_not(account: Account) -> None:
    """The part is refused, not the beginning: S3 API, UploadPart, Permissions."""
    admin = account.client("s3")
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    admin.create_bucket(Bucket="encrypted-things")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms",
                                                   "KMSMasterKeyID": key}}  # fmt: skip
    admin.put_bucket_encryption(
        Bucket="encrypted-things", ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    put = statement("s3:PutObject", "arn:aws:s3:::encrypted-things/*")
    half = account.session("encrypts", put, statement("kms:GenerateDataKey", key))
    whole = account.session("decrypts", put, statement(["kms:GenerateDataKey", "kms:Decrypt"], key))
    for who, operation in ((half, "UploadPart"), (whole, None)):
        client = account.client("s3", who)
        assert client.put_object(Bucket="encrypted-things", Key="small", Body=b"x")
        given = {"Bucket": "encrypted-things", "Key": "large"}
        upload = client.create_multipart_upload(**given)["UploadId"]
        part = {**given, "UploadId": upload, "PartNumber": 1, "Body": b"x"}
        if operation:
            assert refused(client.upload_part, **part) == ("AccessDenied", 403)
            continue
        sent = [{"PartNumber": 1, "ETag": client.upload_part(**part)["ETag"]}]
        assert client.complete_multipart_upload(
            **given, UploadId=upload, MultipartUpload={"Parts": sent}
        )


def test_a_bucket_policy_denies_by_header_and_leaves_the_rest(account: Account, s3: Any) -> None:
    account.client("s3").create_bucket(Bucket="header-policy")
    deny = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::header-policy/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                      "Null": {"s3:x-amz-server-side-encryption": "false"}},
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": deny})
    s3.put_bucket_policy(Bucket="header-policy", Policy=policy)
    put = {"Bucket": "header-policy", "Key": "k", "Body": b"x"}
    assert s3.put_object(**put)
    assert s3.put_object(**put, ServerSideEncryption="aws:kms")
    assert refused(s3.put_object, **put, ServerSideEncryption="AES256") == ("AccessDenied", 403)
    assert json.loads(s3.get_bucket_policy(Bucket="header-policy")["Policy"]) == json.loads(policy)


def signed_anew(account: Account, fields: dict[str, str], change: Any) -> dict[str, str]:
    """The fields of a form, whose signer wrote something else into the policy."""
    document = json.loads(base64.b64decode(fields["policy"]))
    change(document)
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    _, date, region, service, _ = fields["x-amz-credential"].split("/")
    key = signing_key(account.cloud.administrator.secret_access_key, date, region, service)
    signature = hmac.new(key, policy.encode(), hashlib.sha256).hexdigest()
    return {**fields, "policy": policy, "x-amz-signature": signature}


def test_a_form_whose_policy_names_no_bucket_is_refused(
    account: Account, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS: "Extra input fields: bucket" (aws/aws-sdk-php#3292). It would be good for any bucket."""

    def drop(document: dict[str, Any]) -> None:
        document["conditions"].remove({"bucket": BUCKET})

    fields = signed_anew(account, form(account), drop)
    answer = post(account, fields)
    assert (code_in(answer), "Extra input fields: bucket" in answer.text) == ("AccessDenied", True)
    monkeypatch.setattr(post_form, "IMPLICIT", ())
    assert post(account, fields).status_code == 204


@pytest.mark.parametrize(
    "moment", ["2099-01-01", "2099-01-01T00:00:00", "2099-W01-1T00:00:00Z", "20990101T000000Z"]
)
def test_a_form_ends_at_a_moment_in_utc(account: Account, s3: Any, moment: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html"""
    fields = signed_anew(account, form(account), lambda one: one.update(expiration=moment))
    assert code_in(post(account, fields)) == "InvalidPolicyDocument"
    later = signed_anew(
        account, fields, lambda one: one.update(expiration="2099-01-01T00:00:00.000Z")
    )
    assert post(account, later).status_code == 204
