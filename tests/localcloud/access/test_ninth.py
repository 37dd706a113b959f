"""A ninth attack: what a call says and nobody looked at, trials that were carried out, calls that
failed and had changed something, what a web identity's session carries.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.localcloud.access import repeats
from scripts.localcloud.emulator import undo
from scripts.localcloud.rules import unread
from scripts.localcloud.sts import tokens
from scripts.localcloud.sts.issuer import Job, subject
from tests.localcloud.access.test_fourth import deny
from tests.localcloud.access.test_names import fails
from tests.localcloud.access.test_sixth import launch
from tests.localcloud.clients import AUDIENCE, GITHUB, Account, statement

__all__ = ["launch"]  # the fixture
NOT_HERE = "LocalCloudNotImplemented"


def unchecked(account: Account, service: str) -> Any:
    """The administrator's client, which sends what botocore would refuse to."""
    return account.client(service, parameter_validation=False)


# What a web identity's session carries


def may_list(account: Account, name: str, *statements: Mapping[str, Any]) -> bool:
    """Whether a new session may list a bucket."""
    try:
        account.client("s3", account.session(name, *statements)).list_objects_v2(Bucket="claims")
    except ClientError:
        return False
    return True


def test_a_session_keeps_subject_and_audience_of_its_token(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.client("s3").create_bucket(Bucket="claims")
    every = statement("s3:*")
    for key, value in (("sub", subject(Job())), ("aud", AUDIENCE)):
        told = {"StringEquals": {f"{GITHUB}:{key}": value}}
        assert not may_list(account, f"no-{key}", every, deny("s3:*", told))
        assert may_list(account, f"by-{key}", statement("s3:*", Condition=told))
    # Of these AWS says that they count for the trust policy alone.
    branch = {"StringEquals": {f"{GITHUB}:ref": "refs/heads/main"}}
    assert may_list(account, "no-branch", every, deny("s3:*", branch))
    assert not may_list(account, "by-branch", statement("s3:*", Condition=branch))
    monkeypatch.setattr(tokens, "session_keys", lambda *_: {})
    told = {"StringEquals": {f"{GITHUB}:sub": subject(Job())}}
    assert may_list(account, "forgotten", every, deny("s3:*", told))


def test_a_token_of_another_kind_is_refused_by_name(account: Account) -> None:
    role = account.job_role("provider-id")
    with pytest.raises(ClientError, match=NOT_HERE):
        account.assume(role, ProviderId="www.amazon.com")


# Trials


def trials(account: Account) -> dict[str, Callable[[], Any]]:
    """Calls that moto carries out although they are trials, and what then shows it."""
    ec2, kms = account.client("ec2"), account.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    secret = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    root = f"arn:aws:iam::{account.cloud.account_id}:root"
    return {
        "vpc": lambda: ec2.create_vpc(CidrBlock="10.9.0.0/16", DryRun=True),
        "subnet": lambda: ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24", DryRun=True),
        "endpoint": lambda: ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=f"com.amazonaws.{account.cloud.region}.s3", DryRun=True),
        "decrypt": lambda: kms.decrypt(CiphertextBlob=secret, DryRun=True),
        "data key": lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256", DryRun=True),
        "grant": lambda: kms.create_grant(
            KeyId=key, GranteePrincipal=root, Operations=["Decrypt"], DryRun=True),
    }  # fmt: skip


def test_a_trial_changes_nothing_and_tells_nothing(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, ec2 = trials(account), account.client("ec2")
    before = len(ec2.describe_vpcs()["Vpcs"])
    for call in calls.values():
        assert fails(call) in {"DryRunOperation", "DryRunOperationException"}
    assert len(ec2.describe_vpcs()["Vpcs"]) == before
    mine = account.client("ec2", account.session("no-trial", statement("ec2:Describe*")))
    assert fails(mine.create_vpc, CidrBlock="10.9.0.0/16", DryRun=True) == "UnauthorizedOperation"
    for service in ("ec2", "kms"):
        monkeypatch.setitem(account.cloud.gateway.checks, (service, "*"), lambda _: None)
    for call in calls.values():
        call()
    assert len(ec2.describe_vpcs()["Vpcs"]) == before + 1


# The same call twice


def launches(account: Account, launch: Mapping[str, Any], token: str, **more: Any) -> str:
    """The instance of a launch with a token."""
    made = account.client("ec2").run_instances(**launch, ClientToken=token, **more)
    return str(made["Instances"][0]["InstanceId"])


def test_a_call_that_is_repeated_with_its_token_is_carried_out_once(
    account: Account, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = account.client("ec2")
    one = launches(account, launch, "once")
    assert launches(account, launch, "once") == one != launches(account, launch, "twice")
    other = {**launch, "ClientToken": "once", "EbsOptimized": True}
    assert fails(ec2.run_instances, **other) == "IdempotentParameterMismatch"
    zone = {"AvailabilityZone": f"{account.cloud.region}a", "Size": 1, "ClientToken": "once"}
    assert ec2.create_volume(**zone)["VolumeId"] == ec2.create_volume(**zone)["VolumeId"]
    # Whoever may not launch learns nothing by a token.
    mine = account.client("ec2", account.session("no-launch", statement("ec2:Describe*")))
    assert fails(mine.run_instances, **launch, ClientToken="once") == "UnauthorizedOperation"
    ec2.terminate_instances(InstanceIds=[one])
    again = {**launch, "ClientToken": "once"}
    assert fails(ec2.run_instances, **again) == "IdempotentInstanceTerminated"
    monkeypatch.setattr(repeats.Repeats, "answered", lambda *_: None)
    assert launches(account, launch, "twice") != launches(account, launch, "twice")


# What failed


MANY = "&".join(f"k{number}=v" for number in range(11))
STRANGE = "k%E2%98%83=v"  # a character that S3 takes in no tag


def overwritten(account: Account, tags: str = STRANGE) -> bytes:
    """An object after a write and a copy over it failed for their tags."""
    s3, one = account.client("s3"), {"Bucket": "half-written", "Key": "a"}
    if "half-written" not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket="half-written")
    s3.put_object(**one, Body=b"kept", Tagging="a=b", Metadata={"a": "b"})
    s3.put_object(Bucket="half-written", Key="source", Body=b"source")
    assert fails(s3.put_object, **one, Body=b"lost", Tagging=tags)
    assert fails(s3.copy_object, **one, CopySource="half-written/source", Tagging=tags,
                 TaggingDirective="REPLACE")  # fmt: skip
    found = s3.get_object(**one)
    content: bytes = found["Body"].read()
    if content == b"kept":
        assert found["Metadata"] == {"a": "b"}
        assert s3.get_object_tagging(**one)["TagSet"] == [{"Key": "a", "Value": "b"}]
    return content


def test_a_write_that_failed_leaves_the_object(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert overwritten(account) == overwritten(account, MANY) == b"kept"
    monkeypatch.setattr(undo.Kept, "restore", lambda _: None)
    assert overwritten(account) in {b"lost", b"source"}


def test_a_new_object_or_bucket_of_a_call_that_failed_is_not_there(account: Account) -> None:
    s3, mine = account.client("s3"), unchecked(account, "s3")
    s3.create_bucket(Bucket="half-new")
    assert fails(s3.put_object, Bucket="half-new", Key="a", Body=b"", Tagging=STRANGE)
    assert "Contents" not in s3.list_objects_v2(Bucket="half-new")
    s3.put_bucket_versioning(Bucket="half-new", VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(Bucket="half-new", Key="a", Body=b"kept")["VersionId"]
    assert fails(s3.put_object, Bucket="half-new", Key="a", Body=b"", Tagging=STRANGE)
    versions = s3.list_object_versions(Bucket="half-new")["Versions"]
    assert [version["VersionId"] for version in versions] == [kept]
    upload = {"Bucket": "half-new", "Key": "a"}
    begun = s3.create_multipart_upload(**upload, Tagging=STRANGE)["UploadId"]
    part = s3.upload_part(**upload, UploadId=begun, PartNumber=1, Body=b"lost")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    assert fails(s3.complete_multipart_upload, **upload, UploadId=begun, MultipartUpload=parts)
    assert s3.get_object(**upload)["Body"].read() == b"kept"
    assert len(s3.list_parts(**upload, UploadId=begun)["Parts"]) == 1
    tags = {"Tags": [{"Key": "aws:a", "Value": ""}]}
    assert fails(mine.create_bucket, Bucket="half-bucket", CreateBucketConfiguration=tags)
    s3.create_bucket(Bucket="half-bucket")


def test_a_subscription_that_failed_is_not_there(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    sns = account.client("sns")
    topic = {"TopicArn": sns.create_topic(Name="half")["TopicArn"]}
    wrong = {**topic, "Protocol": "email", "Endpoint": "a@b.c", "Attributes": {"Bogus": "x"}}
    assert fails(sns.subscribe, **wrong) == "InvalidParameter"
    assert sns.list_subscriptions_by_topic(**topic)["Subscriptions"] == []
    monkeypatch.setattr(undo.Kept, "restore", lambda _: None)
    fails(sns.subscribe, **wrong)
    assert len(sns.list_subscriptions_by_topic(**topic)["Subscriptions"]) == 1


def test_tags_have_a_number_and_lengths(account: Account) -> None:
    many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    for tags in (many, [{"Key": "k" * 129, "Value": ""}], [{"Key": "k", "Value": "v" * 257}]):
        assert fails(unchecked(account, "ec2").create_vpc, CidrBlock="10.1.0.0/16",
                     TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])  # fmt: skip
        assert fails(unchecked(account, "sns").create_topic, Name="tagged", Tags=tags)
        assert fails(unchecked(account, "s3").create_bucket, Bucket="many-tags",
                     CreateBucketConfiguration={"Tags": tags})  # fmt: skip
    assert fails(account.client("s3").create_multipart_upload, Bucket="any", Key="a", Tagging=MANY)


# Half a lock, half an upgrade


def test_half_a_lock_is_none(account: Account) -> None:
    s3, soon = account.client("s3"), datetime.now(UTC) + timedelta(days=1)
    s3.create_bucket(Bucket="half-locked", ObjectLockEnabledForBucket=True)
    demanded = deny("s3:PutObject", {"StringNotEquals": {"s3:object-lock-mode": "COMPLIANCE"}})
    mine = account.client("s3", account.session("half-locks", statement("s3:*"), demanded))
    one: dict[str, Any] = {"Bucket": "half-locked", "Key": "a", "Body": b""}
    for half in ({"ObjectLockMode": "COMPLIANCE"}, {"ObjectLockRetainUntilDate": soon}):
        assert fails(mine.put_object, **one, **half) in {"AccessDenied", "InvalidArgument"}
    mine.put_object(**one, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=soon)


def test_what_is_copied_into_a_locked_bucket_is_locked(account: Account) -> None:
    s3, bucket = account.client("s3"), {"Bucket": "filled-first"}
    s3.create_bucket(**bucket, ObjectLockEnabledForBucket=True)
    s3.put_object(**bucket, Key="a", Body=b"")
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        **bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    soon = datetime.now(UTC) + timedelta(days=1)
    own = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": soon}
    for name, lock in (("b", {}), ("c", own)):
        made = s3.copy_object(**bucket, Key=name, CopySource="filled-first/a", **lock)
        one = {**bucket, "Key": name, "VersionId": made["VersionId"]}
        assert fails(s3.delete_object, **one) == "AccessDenied"


def test_a_batch_deletes_at_most_a_thousand(account: Account) -> None:
    account.client("s3").create_bucket(Bucket="batches")
    objects = [{"Key": str(number)} for number in range(1001)]
    call = account.client("s3").delete_objects
    assert fails(call, Bucket="batches", Delete={"Objects": objects}) == "MalformedXML"
    assert len(call(Bucket="batches", Delete={"Objects": objects[1:]})["Deleted"]) == 1000


def test_a_database_is_not_taken_back_or_far_without_a_word(account: Account) -> None:
    rds, one = account.client("rds"), {"DBInstanceIdentifier": "upgraded"}
    rds.create_db_instance(
        **one, DBInstanceClass="db.t4g.micro", Engine="postgres", EngineVersion="16.4",
        MasterUsername="keyless", MasterUserPassword="long-enough", AllocatedStorage=20,
        PubliclyAccessible=False,
    )  # fmt: skip
    for change in (
        {"EngineVersion": "17.2"}, {"EngineVersion": "16.1"}, {"AllocatedStorage": 5},
        {"EngineVersion": "15.8", "AllowMajorVersionUpgrade": True},
    ):  # fmt: skip
        assert fails(rds.modify_db_instance, **one, **change) == "InvalidParameterCombination"
    rds.modify_db_instance(**one, EngineVersion="16.6", AllocatedStorage=30)
    rds.modify_db_instance(**one, EngineVersion="17.2", AllowMajorVersionUpgrade=True)


def test_logs_are_encrypted_with_a_key_that_exists(account: Account) -> None:
    logs, kms = account.client("logs"), account.client("kms")
    key = kms.create_key()["KeyMetadata"]
    gone = key["Arn"].replace(key["KeyId"], "00000000-0000-0000-0000-000000000000")
    assert fails(logs.create_log_group, logGroupName="sealed", kmsKeyId=gone) == (
        "InvalidParameterException"
    )
    logs.create_log_group(logGroupName="sealed", kmsKeyId=key["Arn"])
    kms.disable_key(KeyId=key["KeyId"])
    assert fails(logs.associate_kms_key, logGroupName="sealed", kmsKeyId=key["Arn"]) == (
        "InvalidParameterException"
    )


# What nobody looks at


def test_what_nobody_looks_at_is_refused_by_name(
    account: Account, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, kms, ec2 = (account.client(name) for name in ("s3", "kms", "ec2"))
    s3.create_bucket(Bucket="appended")
    s3.put_object(Bucket="appended", Key="a", Body=b"01")
    offset = {"Bucket": "appended", "Key": "a", "Body": b"23", "WriteOffsetBytes": 2}
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    secret = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    enclave = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"}
    required = {"MetadataOptions": {"HttpTokens": "required"}}
    ec2.create_launch_template(LaunchTemplateName="based", LaunchTemplateData=required)
    based = {"LaunchTemplateName": "based", "SourceVersion": "1",
             "LaunchTemplateData": {"InstanceType": "t3.micro"}}  # fmt: skip
    for call, given in (
        (s3.put_object, offset),
        (kms.decrypt, {"CiphertextBlob": secret, "Recipient": enclave}),
        (ec2.create_launch_template_version, based),
    ):
        assert fails(call, **given) == NOT_HERE
    monkeypatch.setattr(unread, "table", dict)
    s3.put_object(**offset)
    assert s3.get_object(Bucket="appended", Key="a")["Body"].read() == b"23"
    ec2.create_launch_template_version(**based)
    newest = ec2.describe_launch_template_versions(LaunchTemplateName="based", Versions=["2"])
    assert "MetadataOptions" not in newest["LaunchTemplateVersions"][0]["LaunchTemplateData"]


def test_a_listener_that_shall_ask_who_calls_is_refused_by_name(
    account: Account, launch: dict[str, Any]
) -> None:
    elb, ec2 = account.client("elbv2"), account.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[launch["SubnetId"]])["Subnets"][0]["VpcId"]
    other = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.7.9.0/24", AvailabilityZone=f"{account.cloud.region}b"
    )["Subnet"]["SubnetId"]
    made = elb.create_load_balancer(
        Name="asks", Subnets=[launch["SubnetId"], other], Scheme="internal"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    target = elb.create_target_group(Name="asks", Protocol="HTTP", Port=80, VpcId=vpc)
    to = {"Type": "forward", "TargetGroupArn": target["TargetGroups"][0]["TargetGroupArn"]}
    place = "https://issuer.example"
    signs_in = {
        "Type": "authenticate-oidc", "Order": 1,
        "AuthenticateOidcConfig": {
            "Issuer": place, "AuthorizationEndpoint": place, "TokenEndpoint": place,
            "UserInfoEndpoint": place, "ClientId": "a", "ClientSecret": "b",
        },
    }  # fmt: skip
    listener = {"LoadBalancerArn": made, "Protocol": "HTTPS", "Port": 443}
    actions = [signs_in, {**to, "Order": 2}]
    assert fails(elb.create_listener, **listener, DefaultActions=actions) == NOT_HERE
