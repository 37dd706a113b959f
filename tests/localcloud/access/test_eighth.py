"""What an eighth attacker got in by: condition keys that were the caller's own word where AWS takes
what is stored, or how the request came; and what was refused without a reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from scripts.aws.credentials import Credentials
from tests.localcloud.access.test_fourth import deny
from tests.localcloud.access.test_names import fails
from tests.localcloud.access.test_sixth import launch
from tests.localcloud.clients import Account, code_in, fetch, statement

__all__ = ["launch"]  # the fixture
CONTEXT = base64.b64encode(json.dumps({"team": "finance"}).encode()).decode()


def with_headers(client: Any, headers: Mapping[str, str], **call: Any) -> str | None:
    """What a call of S3 answers when it carries these headers too, signed like its own."""

    def add(request: Any, **_: Any) -> None:
        for name, text in headers.items():
            request.headers[name] = text

    events = client.meta.events
    events.register("before-sign.s3", add)
    try:
        return fails(getattr(client, call.pop("method")), **call)
    finally:
        events.unregister("before-sign.s3", add)


@pytest.fixture(scope="module")
def sealed(account: Account) -> dict[str, str]:
    """A bucket with one object in the context of a team, and one without."""
    s3, key = account.client("s3"), account.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="sealed")
    to = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key, "Bucket": "sealed", "Body": b"x"}
    s3.put_object(Key="secret", **to)
    s3.put_object(Key="finance", SSEKMSEncryptionContext=CONTEXT, **to)
    s3.put_object(Key="shared", BucketKeyEnabled=True, **to)
    return {"key": key}


def by_context(account: Account, name: str, key: str, value: str) -> Any:
    """An S3 client that may use keys in one context alone."""
    only = {"StringEquals": {f"kms:EncryptionContext:{key}": value}}
    rights = statement("s3:*"), statement("kms:*", Condition=only)
    return account.client("s3", account.session(name, *rights))


def test_a_reader_does_not_choose_the_context_of_an_object(
    account: Account, sealed: dict[str, str]
) -> None:
    mine = by_context(account, "finance", "team", "finance")
    assert mine.get_object(Bucket="sealed", Key="finance")["Body"].read() == b"x"
    secret = {"method": "get_object", "Bucket": "sealed", "Key": "secret"}
    named = {"x-amz-server-side-encryption-context": CONTEXT}
    assert with_headers(mine, named, **secret) == "AccessDenied"
    to = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": sealed["key"], "Bucket": "sealed",
          "SSEKMSEncryptionContext": CONTEXT}  # fmt: skip
    assert fails(mine.copy_object, Key="copy", CopySource="sealed/secret", **to) == "AccessDenied"
    mine.copy_object(Key="copy", CopySource="sealed/finance", **to)
    assert mine.get_object(Bucket="sealed", Key="copy")["Body"].read() == b"x"


def test_a_bucket_key_counts_for_what_was_encrypted_with_it(
    account: Account, sealed: dict[str, str]
) -> None:
    mine = by_context(account, "shared", "aws:s3:arn", "arn:aws:s3:::sealed")
    assert mine.get_object(Bucket="sealed", Key="shared")["Body"].read() == b"x"
    secret = {"method": "get_object", "Bucket": "sealed", "Key": "secret"}
    asked = {"x-amz-server-side-encryption-bucket-key-enabled": "true"}
    assert with_headers(mine, asked, **secret) == "AccessDenied"
    rule = {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": sealed["key"],
        },
        "BucketKeyEnabled": True,
    }
    account.client("s3").put_bucket_encryption(
        Bucket="sealed", ServerSideEncryptionConfiguration={"Rules": [rule]}
    )  # fmt: skip
    assert with_headers(mine, {}, **secret) == "AccessDenied"
    account.client("s3").delete_bucket_encryption(Bucket="sealed")


def test_an_upload_in_parts_keeps_its_context(account: Account, sealed: dict[str, str]) -> None:
    mine = by_context(account, "in-parts", "team", "finance")
    one = {"Bucket": "sealed", "Key": "parts"}
    upload = mine.create_multipart_upload(
        **one, ServerSideEncryption="aws:kms", SSEKMSKeyId=sealed["key"],
        SSEKMSEncryptionContext=CONTEXT,
    )["UploadId"]  # fmt: skip
    part = mine.upload_part(**one, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    mine.complete_multipart_upload(**one, UploadId=upload, MultipartUpload=parts)
    assert mine.get_object(**one)["Body"].read() == b"x"


HEADERS = [
    ("get_object", "s3:GetObject", "x-amz-acl", "private"),
    ("delete_object", "s3:DeleteObject", "x-amz-server-side-encryption", "aws:kms"),
    ("list_objects_v2", "s3:ListBucket", "x-amz-storage-class", "STANDARD"),
]


@pytest.mark.parametrize(("method", "action", "header", "value"), HEADERS)
def test_a_header_that_a_call_does_not_take_is_no_key(
    account: Account, bucket: str, method: str, action: str, header: str, value: str
) -> None:
    right = statement(action, Condition={"StringEquals": {f"s3:{header}": value}})
    mine = account.client("s3", account.session(f"header-{method[:4]}", right))
    call = {"Bucket": bucket, **({} if method.startswith("list") else {"Key": "b.txt"})}
    assert with_headers(mine, {header: value}, method=method, **call) == "AccessDenied"


def test_a_header_without_a_value_is_no_key(account: Account, bucket: str) -> None:
    for name in ("x-amz-server-side-encryption-aws-kms-key-id", "x-amz-acl"):
        demanded = deny("s3:PutObject", {"Null": {f"s3:{name}": "true"}})
        rights = statement("s3:*"), demanded
        mine = account.client("s3", account.session(f"empty{name[-4:]}", *rights))
        call = {"method": "put_object", "Bucket": bucket, "Key": "empty", "Body": b""}
        assert with_headers(mine, {name: ""}, **call) == "AccessDenied"


def test_a_listing_has_no_negative_length(account: Account, bucket: str) -> None:
    few = {"NumericLessThanEquals": {"s3:max-keys": "1"}}
    session = account.session("few", statement("s3:ListBucket", Condition=few))
    mine = account.client("s3", session, parameter_validation=False)
    for method in (mine.list_objects_v2, mine.list_objects, mine.list_object_versions):
        for most in (-1, "+1", " 1", "٣"):
            assert fails(method, Bucket=bucket, MaxKeys=most) in {"InvalidArgument", "AccessDenied"}
    assert len(mine.list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"]) == 1


def test_a_link_does_not_lie_about_its_content(account: Account, bucket: str) -> None:
    mine = account.client(
        "s3", account.session("link", statement("s3:PutObject")), signature_version="s3v4"
    )

    def add(request: Any, **_: Any) -> None:
        request.url += f"?X-Amz-Content-Sha256={'0' * 64}"

    mine.meta.events.register("before-sign.s3", add)
    link = mine.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "lie"})
    assert "X-Amz-Content-Sha256" in link
    answer = fetch(account, link, "PUT", data=b"anything")
    assert (answer.status_code, code_in(answer)) == (400, "XAmzContentSHA256Mismatch")


def test_a_copy_that_keeps_its_tags_is_not_judged_by_others(account: Account) -> None:
    s3, to = account.client("s3"), {"Bucket": "kept-tags", "CopySource": "kept-tags/source"}
    s3.create_bucket(Bucket="kept-tags")
    s3.put_object(Bucket="kept-tags", Key="source", Body=b"", Tagging="class=secret")
    key = "s3:RequestObjectTag/class"
    for name, only in (
        ("public-alone", deny("s3:PutObjectTagging", {"StringNotEquals": {key: "public"}})),
        ("no-secrets", deny("s3:PutObject", {"StringEquals": {key: "secret"}})),
    ):
        mine = account.client("s3", account.session(name, statement("s3:*"), only))
        for more in ({}, {"Tagging": "class=public"}):
            assert (
                fails(mine.copy_object, Key="copy", **to, **more) == "LocalCloudUnsupportedPolicy"
            )
        mine.copy_object(Key="copy", **to, Tagging="class=public", TaggingDirective="REPLACE")


def test_no_image_forgets_that_its_volume_was_encrypted(
    account: Account, launch: dict[str, Any]
) -> None:
    ec2, key = account.client("ec2"), account.client("kms").create_key()["KeyMetadata"]["Arn"]
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "Encrypted": True, "KmsKeyId": key}}
    made = ec2.run_instances(**launch, BlockDeviceMappings=[disk])["Instances"][0]["InstanceId"]
    mine = account.client("ec2", account.session("images", statement("ec2:*")))
    assert fails(mine.create_image, InstanceId=made, Name="sealed") == "LocalCloudNotImplemented"
    plain = ec2.run_instances(**launch)["Instances"][0]["InstanceId"]
    assert mine.create_image(InstanceId=plain, Name="plain")["ImageId"]


def test_the_context_of_a_secret_has_its_version(account: Account) -> None:
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    named = {"SecretId": "versioned"}
    account.client("secretsmanager").create_secret(Name="versioned", SecretString="x", KmsKeyId=key)
    reads, name = statement("secretsmanager:*"), "kms:EncryptionContext:SecretVersionId"
    alone = {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["SecretARN"]}}
    for session, rights, code in (
        ("arn-alone", [statement("kms:*", Condition=alone)], "AccessDeniedException"),
        ("no-version", [statement("kms:*"), deny("kms:Decrypt", {"Null": {name: "false"}})],
         "LocalCloudUnsupportedPolicy"),
    ):  # fmt: skip
        mine = account.client("secretsmanager", account.session(session, reads, *rights))
        assert fails(mine.get_secret_value, **named) == code


def test_a_profile_named_by_its_name_has_its_path(account: Account, launch: dict[str, Any]) -> None:
    iam, here = account.client("iam"), account.cloud.account_id
    trust = {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}}  # fmt: skip
    account.role("behind-a-path", trust)
    iam.create_instance_profile(InstanceProfileName="at-a-path", Path="/apps/")
    iam.add_role_to_instance_profile(InstanceProfileName="at-a-path", RoleName="behind-a-path")
    arn = f"arn:aws:iam::{here}:instance-profile/apps"
    apps = deny("ec2:RunInstances", {"ArnLike": {"ec2:InstanceProfile": f"{arn}/*"}})
    mine = account.client("ec2", account.session("paths", statement("*"), apps))
    for profile in ({"Name": "at-a-path"}, {"Arn": f"{arn}/at-a-path"}):
        assert fails(mine.run_instances, **launch, IamInstanceProfile=profile)


def test_masked_logs_are_shown_to_whom_may_unmask(account: Account) -> None:
    logs = account.client("logs")
    logs.create_log_group(logGroupName="masked")
    logs.create_log_stream(logGroupName="masked", logStreamName="a")
    reads = ["logs:FilterLogEvents", "logs:GetLogEvents"]
    mine = account.client("logs", account.session("masked", statement(reads)))
    one = {"logGroupName": "masked", "unmask": True}
    assert fails(mine.filter_log_events, **one) == "AccessDeniedException"
    assert fails(mine.get_log_events, **one, logStreamName="a") == "AccessDeniedException"
    mine.filter_log_events(logGroupName="masked")
    may = account.session("unmasks", statement([*reads, "logs:Unmask"]))
    account.client("logs", may).filter_log_events(**one)


def test_a_command_to_what_systems_manager_chooses_has_unknown_tags(
    account: Account, launch: dict[str, Any]
) -> None:
    production = deny("ssm:SendCommand", {"StringEquals": {"ssm:resourceTag/env": "prod"}})
    mine = account.client("ssm", account.session("sends", statement("ssm:*"), production))
    chosen = {"DocumentName": "AWS-RunShellScript", "Targets": [{"Key": "tag:env",
                                                                "Values": ["prod"]}]}  # fmt: skip
    assert fails(mine.send_command, **chosen) == "LocalCloudUnsupportedPolicy"


def test_an_interface_without_a_private_name_is_not_the_way(
    account: Account, launch: dict[str, Any]
) -> None:
    ec2, region = account.client("ec2"), account.cloud.region
    trust = {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}}  # fmt: skip
    role = account.role("by-interface", trust)
    made = ec2.run_instances(**launch)["Instances"][0]
    asked = {"VpcId": made["VpcId"], "VpcEndpointType": "Interface", "PrivateDnsEnabled": False,
             "ServiceName": f"com.amazonaws.{region}.secretsmanager",
             "SubnetIds": [made["SubnetId"]]}  # fmt: skip
    endpoint = ec2.create_vpc_endpoint(**asked)["VpcEndpoint"]["VpcEndpointId"]
    through = {"StringEquals": {"aws:SourceVpce": endpoint}}
    account.allow("by-interface", statement("secretsmanager:ListSecrets", Condition=through))
    where = f"arn:aws:ec2:{region}:{account.cloud.account_id}:instance/{made['InstanceId']}"
    session = account.cloud.credentials_for_role(
        role, made["InstanceId"], {"ec2:SourceInstanceARN": (where,)}
    )
    mine = account.client("secretsmanager", session)
    assert fails(mine.list_secrets) == "AccessDeniedException"
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    other = ec2.create_vpc_endpoint(**{**asked, "PrivateDnsEnabled": True})["VpcEndpoint"]
    through["StringEquals"]["aws:SourceVpce"] = other["VpcEndpointId"]
    account.allow("by-interface", statement("secretsmanager:ListSecrets", Condition=through))
    mine.list_secrets()


def test_a_path_of_parameters_is_allowed_with_its_slash(account: Account) -> None:
    account.client("ssm").put_parameter(Name="/eighth/a", Value="x", Type="String")
    below = f"arn:aws:ssm:{account.cloud.region}:{account.cloud.account_id}:parameter/eighth"
    reads = "ssm:GetParametersByPath"
    mine = account.client("ssm", account.session("below", statement(reads, f"{below}/*")))
    assert mine.get_parameters_by_path(Path="/eighth/")["Parameters"][0]["Value"] == "x"
    assert fails(mine.get_parameters_by_path, Path="/eighth") == "AccessDeniedException"
    exact = account.client("ssm", account.session("exact", statement(reads, below)))
    assert fails(exact.get_parameters_by_path, Path="/eighth/") == "AccessDeniedException"


def test_a_user_that_names_none_means_itself(account: Account) -> None:
    iam = account.client("iam")
    keys = {}
    for name in ("oneself", "another"):
        iam.create_user(UserName=name)
        keys[name] = iam.create_access_key(UserName=name)["AccessKey"]
    own = "arn:aws:iam::*:user/${aws:username}"
    right = {"Version": "2012-10-17", "Statement": [statement("iam:*", own)]}
    iam.put_user_policy(UserName="oneself", PolicyName="own", PolicyDocument=json.dumps(right))
    pair = keys["oneself"]
    who = Credentials(pair["AccessKeyId"], pair["SecretAccessKey"], None)
    mine = account.client("iam", who)
    assert mine.get_user()["User"]["UserName"] == "oneself"
    assert mine.list_access_keys()["AccessKeyMetadata"][0]["UserName"] == "oneself"
    assert mine.create_access_key()["AccessKey"]["UserName"] == "oneself"
    theirs = keys["another"]["AccessKeyId"]
    assert fails(mine.delete_access_key, AccessKeyId=theirs) == "NoSuchEntity"
    assert fails(mine.get_user, UserName="another") == "AccessDenied"
    token = account.client("sts", who).get_session_token
    assert fails(token) == "LocalCloudNotImplemented"
