"""A tenth attack, and the AWS CLI: what clients send that was refused, and what a second call of
the same name or a value that AWS does not take changed without a word.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.localcloud.access import post_form
from scripts.localcloud.access.context import Connection
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.incoming import Incoming
from scripts.localcloud.emulator import undo
from tests.localcloud.access.test_names import fails
from tests.localcloud.access.test_sixth import launch
from tests.localcloud.clients import Account, statement

__all__ = ["launch"]  # the fixture

# What failed, and what a service does in the caller's name


def test_a_batch_that_fails_ends_no_instance(
    account: Account, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = account.client("ec2")

    def ended(name: str, kept: str) -> bool:
        assert fails(ec2.terminate_instances, InstanceIds=[name, kept])
        found = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
        if found["State"]["Name"] == "terminated":
            return True
        disks = [disk["Ebs"] for disk in found["BlockDeviceMappings"]]
        assert [disk["Status"] for disk in disks] == ["attached"]
        volume = ec2.describe_volumes(VolumeIds=[disks[0]["VolumeId"]])["Volumes"][0]
        assert volume["Attachments"][0]["InstanceId"] == name
        assert found["NetworkInterfaces"][0]["Attachment"]["Status"] == "attached"
        return False

    def launched(**more: Any) -> str:
        made: str = ec2.run_instances(**launch, **more)["Instances"][0]["InstanceId"]
        return made

    one, kept = launched(), launched(DisableApiTermination=True)
    assert not ended(one, kept)
    assert not ended(one, "i-00000000000000000")
    ec2.terminate_instances(InstanceIds=[one])
    monkeypatch.setattr(undo.Kept, "_keep_whole", lambda *_: None)
    assert ended(launched(), kept)


def test_an_alarm_that_acts_on_instances_needs_the_right_to_its_role(account: Account) -> None:
    alarm = {
        "AlarmName": "acts", "Namespace": "AWS/EC2", "MetricName": "m", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1, "Statistic": "Average",
        "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    mine = account.client("cloudwatch", account.session("alarms", statement("cloudwatch:*")))
    topic = f"arn:aws:sns:us-east-1:{account.cloud.account_id}:topic"
    mine.put_metric_alarm(**alarm, AlarmActions=[topic])
    for kind in ("automate:us-east-1:ec2:terminate", "ssm:us-east-1:123456789012:opsitem:1"):
        act = {**alarm, "OKActions": [f"arn:aws:{kind}"]}
        assert fails(mine.put_metric_alarm, **act) == "AccessDeniedException"
    account.client("iam").create_service_linked_role(AWSServiceName="events.amazonaws.com")
    mine.put_metric_alarm(**alarm, AlarmActions=["arn:aws:automate:us-east-1:ec2:terminate"])


def test_a_services_own_role_has_awss_name(account: Account) -> None:
    """Who makes a database needs no right to the role that is there."""
    iam, name = account.client("iam"), "AWSServiceRoleForRDS"
    made = iam.create_service_linked_role(AWSServiceName="rds.amazonaws.com")["Role"]
    assert made["RoleName"] == iam.get_role(RoleName=name)["Role"]["RoleName"] == name
    assert made["Arn"].endswith(f":role/aws-service-role/rds.amazonaws.com/{name}")
    assert name in {role["RoleName"] for role in iam.list_roles()["Roles"]}
    mine = account.client("rds", account.session("databases", statement("rds:*")))
    mine.create_db_instance(
        DBInstanceIdentifier="by-right", DBInstanceClass="db.t4g.micro", Engine="postgres",
        MasterUsername="keyless", MasterUserPassword="long-enough", AllocatedStorage=20,
        PubliclyAccessible=False,
    )  # fmt: skip


# What clients send


@pytest.fixture(scope="module")
def copied(account: Account) -> dict[str, Any]:
    """A bucket with an object in two versions."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="copied")
    s3.put_bucket_versioning(Bucket="copied", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket="copied", Key="a", Body=b"old")
    new = s3.put_object(Bucket="copied", Key="a", Body=b"new")
    return {"old": old, "new": new}


@pytest.mark.parametrize("part", [False, True])
def test_a_copy_names_the_source_that_it_means(
    account: Account, copied: dict[str, Any], part: bool
) -> None:
    """`aws s3 cp` and `sync` between buckets send the ETag with each part of a large object."""
    s3 = account.client("s3")
    to: dict[str, Any] = {"Bucket": "copied", "Key": "b"}
    call = s3.copy_object
    if part:
        upload = s3.create_multipart_upload(**to)["UploadId"]
        to, call = {**to, "UploadId": upload, "PartNumber": 1}, s3.upload_part_copy
    source = {**to, "CopySource": "copied/a"}
    older = {**to, "CopySource": f"copied/a?versionId={copied['old']['VersionId']}"}
    before, after = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    old, new = copied["old"]["ETag"], copied["new"]["ETag"]
    call(**source, CopySourceIfMatch=new)
    call(**source, CopySourceIfMatch=new.strip('"'), CopySourceIfUnmodifiedSince=before)
    call(**source, CopySourceIfNoneMatch=old, CopySourceIfModifiedSince=before)
    call(**older, CopySourceIfMatch=old)
    for refused in (
        {**source, "CopySourceIfMatch": old}, {**older, "CopySourceIfMatch": new},
        {**source, "CopySourceIfNoneMatch": new, "CopySourceIfModifiedSince": before},
        {**source, "CopySourceIfUnmodifiedSince": before},
        {**source, "CopySourceIfModifiedSince": after},
    ):  # fmt: skip
        assert fails(call, **refused) == "PreconditionFailed"


def test_a_copy_goes_over_no_object_where_it_says_so(
    account: Account, copied: dict[str, Any]
) -> None:
    s3, source = account.client("s3"), {"CopySource": "copied/a", "Bucket": "copied"}
    etag = s3.copy_object(**source, Key="new", IfNoneMatch="*")["CopyObjectResult"]["ETag"]
    assert fails(s3.copy_object, **source, Key="new", IfNoneMatch="*") == "PreconditionFailed"
    assert fails(s3.copy_object, **source, Key="new", IfMatch='"0"') == "PreconditionFailed"
    assert fails(s3.copy_object, **source, Key="none", IfMatch=etag) == "NoSuchKey"
    s3.copy_object(**source, Key="new", IfMatch=etag)
    upload: dict[str, Any] = {"Bucket": "copied", "Key": "new"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x")
    upload["MultipartUpload"] = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    join = s3.complete_multipart_upload
    assert fails(join, **upload, IfNoneMatch="*") == "PreconditionFailed"
    assert fails(join, **upload, IfMatch='"0"') == "PreconditionFailed"
    join(**upload, IfMatch=etag)
    # Who may not read an object does not learn its ETag by a copy over it.
    mine = account.client("s3", account.session(
        "copies-over", statement("s3:*", "arn:aws:s3:::copied/a"),
        statement("s3:PutObject", "arn:aws:s3:::copied/new"),
    ))  # fmt: skip
    assert fails(mine.copy_object, **source, Key="new", IfMatch=etag) == "AccessDenied"


def test_a_new_bucket_has_tags_and_an_owner(account: Account) -> None:
    """The provider sends tags with the creation since 6.0."""
    s3, tags = account.client("s3"), [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": ""}]
    s3.create_bucket(Bucket="tagged-at-once", CreateBucketConfiguration={"Tags": tags})
    assert s3.get_bucket_tagging(Bucket="tagged-at-once")["TagSet"] == tags
    owner = s3.get_bucket_ownership_controls(Bucket="tagged-at-once")["OwnershipControls"]
    assert owner == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    mine = account.client("s3", account.session("no-tags", statement("s3:CreateBucket")))
    given = {"Bucket": "tagged-too", "CreateBucketConfiguration": {"Tags": tags}}
    assert fails(mine.create_bucket, **given) == "AccessDenied"
    mine.create_bucket(Bucket="tagged-too")


def test_what_was_uploaded_in_parts_has_an_owner(account: Account) -> None:
    s3, one = account.client("s3"), {"Bucket": "in-parts", "Key": "a"}
    s3.create_bucket(Bucket="in-parts")
    upload = s3.create_multipart_upload(**one)["UploadId"]
    part = s3.upload_part(**one, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(**one, UploadId=upload, MultipartUpload=parts)
    assert s3.get_object_acl(**one)["Grants"][0]["Permission"] == "FULL_CONTROL"


def test_log_groups_are_found_by_a_part_of_their_name(account: Account) -> None:
    logs = account.client("logs")
    for name in ("/found/one", "/other"):
        logs.create_log_group(logGroupName=name)
    groups = logs.describe_log_groups(logGroupNamePattern="nd/o")["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["/found/one"]


def test_events_are_found_by_the_beginning_of_their_stream(account: Account) -> None:
    logs, group = account.client("logs"), {"logGroupName": "/streams"}
    logs.create_log_group(**group)
    for name in ("a/1", "b/1"):
        logs.create_log_stream(**group, logStreamName=name)
        event = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": name}
        logs.put_log_events(**group, logStreamName=name, logEvents=[event])
    found = logs.filter_log_events(**group, logStreamNamePrefix="b/")["events"]
    assert [event["message"] for event in found] == ["b/1"]


# The same call again


def test_a_bucket_that_is_made_again_stays_as_it_is(account: Account) -> None:
    s3, bucket = account.client("s3"), {"Bucket": "made-again"}
    for _ in range(2):
        s3.create_bucket(**bucket)
    tags = {"Tags": [{"Key": "a", "Value": "b"}]}
    s3.create_bucket(
        **bucket, ObjectLockEnabledForBucket=True, ObjectOwnership="ObjectWriter",
        CreateBucketConfiguration=tags,
    )  # fmt: skip
    assert fails(s3.get_object_lock_configuration, **bucket)
    assert fails(s3.get_bucket_tagging, **bucket) == "NoSuchTagSet"
    assert "Status" not in s3.get_bucket_versioning(**bucket)
    owner = s3.get_bucket_ownership_controls(**bucket)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_a_topic_that_is_made_again_is_asked_for_as_it_is(account: Account) -> None:
    sns = account.client("sns")
    topic = {
        "Name": "again", "Attributes": {"DisplayName": "a"}, "Tags": [{"Key": "a", "Value": "b"}]
    }  # fmt: skip
    made = sns.create_topic(**topic)["TopicArn"]
    assert sns.create_topic(**topic)["TopicArn"] == sns.create_topic(Name="again")["TopicArn"]
    policy = sns.get_topic_attributes(TopicArn=made)["Attributes"]["Policy"]
    sns.create_topic(Name="again", Attributes={"Policy": policy.replace(",", ", ")})
    for other in (
        {"Attributes": {"DisplayName": "b"}}, {"Tags": [{"Key": "a", "Value": "c"}]},
        {"Attributes": {"Policy": policy.replace("Allow", "Deny")}},
    ):  # fmt: skip
        assert fails(sns.create_topic, Name="again", **other) == "InvalidParameter"


# Values that AWS does not take


def test_a_key_is_for_what_its_material_is(account: Account) -> None:
    kms = account.client("kms")
    for spec, usage in (
        ("HMAC_256", "ENCRYPT_DECRYPT"), ("RSA_2048", "GENERATE_VERIFY_MAC"),
        ("SYMMETRIC_DEFAULT", "SIGN_VERIFY"), ("ECC_SECG_P256K1", "KEY_AGREEMENT"),
        ("SM2", "SIGN_VERIFY"),
    ):  # fmt: skip
        assert fails(kms.create_key, KeySpec=spec, KeyUsage=usage) == "ValidationException"
    assert fails(kms.create_key, KeySpec="ECC_NIST_P256") == "ValidationException"
    signs = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    assert fails(kms.enable_key_rotation, KeyId=signs) == "UnsupportedOperationException"
    kms.enable_key_rotation(KeyId=kms.create_key()["KeyMetadata"]["KeyId"])


def test_logs_are_kept_for_days_that_aws_offers(account: Account) -> None:
    logs = account.client("logs")
    logs.create_log_group(logGroupName="/kept")
    assert fails(logs.put_retention_policy, logGroupName="/kept", retentionInDays=2) == (
        "InvalidParameterException"
    )
    logs.put_retention_policy(logGroupName="/kept", retentionInDays=3653)


def test_a_form_copies_nothing() -> None:
    form = post_form.Form("bucket", {"key": "a", "x-amz-copy-source": "other/b"}, b"content")
    incoming = Incoming("POST", "/bucket", {}, b"", Connection("127.0.0.1", secure=True))
    with pytest.raises(AwsError, match="copies nothing"):
        post_form.as_put(form, incoming)
