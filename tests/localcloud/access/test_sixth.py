"""A sixth attack: keys that one call of an action has and another has not, second names, what
is judged and then changed, and what an instance is launched with.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from botocore import xform_name
from botocore.exceptions import ClientError
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.iam.models import IAMBackend
from moto.s3.models import FakeBucket, S3Backend

from scripts.aws.credentials import Credentials
from scripts.iam.requests.services import ec2_launch, ssm
from scripts.localcloud.access import authorization, public_access
from scripts.localcloud.ec2.instances import Instance
from scripts.localcloud.rules import unread
from tests.localcloud.access.test_fourth import deny
from tests.localcloud.access.test_further import DATABASE
from tests.localcloud.access.test_names import fails
from tests.localcloud.clients import Account, statement

UNSUPPORTED = "LocalCloudUnsupportedPolicy"


@pytest.fixture(scope="module")
def launch(account: Account) -> dict[str, Any]:
    """The fewest parameters of an instance in a network of its own."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(VpcId=vpc, GroupName="g", Description="d")["GroupId"]
    subnet = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.7.1.0/24", AvailabilityZone=f"{account.cloud.region}a"
    )
    return {
        "ImageId": ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
        "SubnetId": subnet["Subnet"]["SubnetId"], "SecurityGroupIds": [group],
        "MinCount": 1, "MaxCount": 1,
    }  # fmt: skip


# Keys that a call does not have


@pytest.mark.parametrize(
    ("name", "condition", "code"),
    [
        ("tokens", {"StringEquals": {"ec2:MetadataHttpTokens": "optional"}}, UNSUPPORTED),
        ("hops", {"NumericLessThan": {"ec2:MetadataHttpPutResponseHopLimit": "3"}}, UNSUPPORTED),
        ("public", {"Bool": {"ec2:AssociatePublicIpAddress": "true"}}, UNSUPPORTED),
        ("size", {"NumericLessThan": {"ec2:VolumeSize": "5000"}}, UNSUPPORTED),
        ("zone", {"StringLike": {"ec2:AvailabilityZone": "*a"}}, "UnauthorizedOperation"),
    ],
)
def test_what_a_launch_does_not_say_is_not_taken_for_absent(
    account: Account, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
    name: str, condition: dict[str, Any], code: str,
) -> None:  # fmt: skip
    who = account.session(f"unsaid-{name}", statement("*"), deny("ec2:RunInstances", condition))
    start = account.client("ec2", who).run_instances
    assert fails(start, **launch) == code
    if code == UNSUPPORTED:
        monkeypatch.setattr(authorization, "_unknown", lambda *_: frozenset())
        assert start(**launch)


def test_what_a_launch_says_is_judged_by_it(account: Account, launch: dict[str, Any]) -> None:
    who = account.session(
        "says", statement("*"),
        deny("ec2:RunInstances", {"StringEquals": {"ec2:MetadataHttpTokens": "optional"}}),
    )  # fmt: skip
    start = account.client("ec2", who).run_instances
    assert start(**launch, MetadataOptions={"HttpTokens": "required"})
    loose = {**launch, "MetadataOptions": {"HttpTokens": "optional"}}
    assert fails(start, **loose) == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("name", "action", "condition", "code"),
    [
        ("operations", "CreateGrant",
         {"ForAnyValue:StringEquals": {"kms:GrantOperations": "Decrypt"}}, UNSUPPORTED),
        ("grantee", "CreateGrant", {"StringLike": {"kms:GranteePrincipal": "*"}}, UNSUPPORTED),
        ("context", "Decrypt", {"StringLike": {"kms:EncryptionContext:aws:ebs:id": "*"}},
         UNSUPPORTED),
        ("algorithm", "Decrypt",
         {"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}},
         "UnauthorizedOperation"),
    ],
)  # fmt: skip
def test_what_a_service_tells_a_key_is_not_taken_for_absent(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str, action: str,
    condition: dict[str, Any], code: str,
) -> None:  # fmt: skip
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    who = account.session(f"behind-{name}", statement("*"), deny(f"kms:{action}", condition))
    make = account.client("ec2", who).create_volume
    asked = {"AvailabilityZone": f"{account.cloud.region}a", "Size": 1, "Encrypted": True,
             "KmsKeyId": key}  # fmt: skip
    assert fails(make, **asked) == code
    if code == UNSUPPORTED:
        monkeypatch.setattr(authorization, "_unknown", lambda *_: frozenset())
        assert make(**asked)


@pytest.mark.parametrize("prefix", ["aws", "iam"])
def test_nobody_is_kept_from_passing_a_role_by_its_tags(
    account: Account, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """AWS calls the outcome unreliable, so there is none.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
             "Action": "sts:AssumeRole"}  # fmt: skip
    role = f"passed-{prefix}"
    account.role(role, {"Version": "2012-10-17", "Statement": [trust]},
                 Tags=[{"Key": "whose", "Value": "victim"}])  # fmt: skip
    kept = {"StringEquals": {f"{prefix}:ResourceTag/whose": "victim"}}
    who = account.session(f"passes-{prefix}", statement("*"), deny("iam:PassRole", kept))
    iam = account.client("iam", who)
    iam.create_instance_profile(InstanceProfileName=role)
    asked = {"InstanceProfileName": role, "RoleName": role}
    assert fails(iam.add_role_to_instance_profile, **asked) == UNSUPPORTED
    monkeypatch.setattr(authorization, "_unknown", lambda *_: frozenset())
    iam.add_role_to_instance_profile(**asked)


def test_a_resource_is_of_an_account_also_without_an_arn(account: Account) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    ours = {"StringEquals": {"aws:ResourceAccount": account.cloud.account_id}}
    who = account.session("of-an-account", statement("*"), deny("*", ours))
    volume = account.client("ec2").create_volume(
        AvailabilityZone=f"{account.cloud.region}a", Size=1
    )["VolumeId"]
    snapshot = account.client("ec2").create_snapshot(VolumeId=volume)["SnapshotId"]
    for service, operation, asked, code in (
        ("ec2", "DescribeInstances", {}, "UnauthorizedOperation"),
        ("ec2", "DeleteSnapshot", {"SnapshotId": snapshot}, UNSUPPORTED),
        ("ec2", "CreateVolume", {"AvailabilityZone": f"{account.cloud.region}a", "Size": 1},
         UNSUPPORTED),
        ("kms", "CreateKey", {}, "AccessDeniedException"),
        ("s3", "ListBuckets", {}, "AccessDenied"),
        ("iam", "GetPolicy", {"PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, UNSUPPORTED),
    ):  # fmt: skip
        call = getattr(account.client(service, who), xform_name(operation))
        assert fails(call, **asked) == code, operation


def test_a_batch_is_asked_for_as_each_of_its_secrets(account: Account) -> None:
    account.client("secretsmanager").create_secret(Name="batched", SecretString="x")
    current = {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}}
    who = account.session("batch", statement("*"), deny("secretsmanager:GetSecretValue", current))
    call = account.client("secretsmanager", who).batch_get_secret_value
    assert fails(call, SecretIdList=["batched"]) == "AccessDeniedException"


# Second names


def test_a_kind_of_key_has_one_name(account: Account) -> None:
    rsa = deny("kms:CreateKey", {"StringLike": {"kms:KeySpec": "RSA_*"}})
    kms = account.client("kms", account.session("no-rsa", statement("*"), rsa))
    asked = {"CustomerMasterKeySpec": "RSA_2048"}
    assert fails(kms.create_key, **asked) == "AccessDeniedException"
    both = {**asked, "KeySpec": "SYMMETRIC_DEFAULT"}
    assert fails(kms.create_key, **both) == "ValidationException"


def test_each_side_of_a_re_encryption_has_its_own_algorithm(account: Account) -> None:
    kms = account.client("kms")
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
    oaep = "RSAES_OAEP_SHA_256"
    who = account.session(
        "no-oaep", statement("*"),
        deny("kms:ReEncrypt*", {"StringEquals": {"kms:EncryptionAlgorithm": oaep}}),
    )  # fmt: skip
    plain = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=plain, Plaintext=b"x")["CiphertextBlob"]
    asked = {"CiphertextBlob": blob, "SourceKeyId": plain, "DestinationKeyId": key}
    call = account.client("kms", who).re_encrypt
    assert fails(call, **asked, DestinationEncryptionAlgorithm=oaep) == "AccessDeniedException"


@pytest.mark.parametrize("asked", [{"TransitiveTagKeys": ["a"]}, {"TokenCode": "123456"}], ids=str)
def test_sts_refuses_by_name_what_goes_with_what_it_does_not_model(
    account: Account, asked: dict[str, Any]
) -> None:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole",
             "Principal": {"AWS": f"arn:aws:iam::{account.cloud.account_id}:root"}}  # fmt: skip
    name = f"with-{min(asked)}"
    role = account.role(name, {"Version": "2012-10-17", "Statement": [trust]})
    call = account.client("sts", account.session(f"{name}-caller", statement("*"))).assume_role
    assert fails(call, RoleArn=role, RoleSessionName="in", **asked) == "LocalCloudNotImplemented"


# Judged, then changed


def test_nothing_changes_between_a_decision_and_what_is_done(
    account: Account, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template gets another version while a launch by it is judged."""
    ec2 = account.client("ec2")
    data = {"ImageId": launch["ImageId"], "InstanceType": "t3.micro"}
    made = ec2.create_launch_template(LaunchTemplateName="swapped", LaunchTemplateData=data)
    template = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"]}
    small = deny("ec2:RunInstances", {"StringEquals": {"ec2:InstanceType": "m5.large"}})
    who = account.client("ec2", account.session("racer", statement("*"), small))
    gateway = account.cloud.gateway
    decided = gateway._authorizer.require
    waiting: list[Any] = []

    def swap(*args: Any) -> None:
        """Another request comes in once this one is allowed, and waits as long as it must."""
        decided(*args)
        if args[3].operation == "RunInstances" and not waiting:
            waiting.append(pool.submit(
                ec2.create_launch_template_version, **template,
                LaunchTemplateData={**data, "InstanceType": "m5.large"},
            ))  # fmt: skip
            wait(waiting, timeout=0.5)

    monkeypatch.setattr(gateway._authorizer, "require", swap)
    asked = {"LaunchTemplate": {**template, "Version": "$Latest"}, "MinCount": 1, "MaxCount": 1,
             "SubnetId": launch["SubnetId"]}  # fmt: skip

    def started() -> str:
        waiting.clear()
        return str(who.run_instances(**asked)["Instances"][0]["InstanceType"])

    with ThreadPoolExecutor(1) as pool:
        assert started() == "t3.micro"
        ec2.create_launch_template_version(**template, LaunchTemplateData=data)
        monkeypatch.setattr(gateway, "_locked", nullcontext)
        assert started() == "m5.large"


# What an instance is launched with


@pytest.fixture
def as_moto_has_it(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], None]:
    def restore(owner: Any, name: str) -> None:
        monkeypatch.setattr(owner, name, inspect.unwrap(getattr(owner, name)))

    return restore


def test_a_launch_is_by_the_whole_template(
    account: Account, launch: dict[str, Any], as_moto_has_it: Callable[[Any, str], None]
) -> None:
    """A template that demands tokens lets its user through, and moto forgets the demand."""
    ec2 = account.client("ec2")
    ec2.create_launch_template(
        LaunchTemplateName="demands",
        LaunchTemplateData={
            "ImageId": launch["ImageId"], "MetadataOptions": {"HttpTokens": "required"},
            "DisableApiTermination": True, "DisableApiStop": True,
        },
    )  # fmt: skip
    asked = {"LaunchTemplate": {"LaunchTemplateName": "demands"}, "MinCount": 1, "MaxCount": 1,
             "SubnetId": launch["SubnetId"]}  # fmt: skip
    [made] = ec2.run_instances(**asked)["Instances"]
    assert made["MetadataOptions"]["HttpTokens"] == "required"
    names = {"InstanceIds": [made["InstanceId"]]}
    assert fails(ec2.terminate_instances, **names) == "OperationNotPermitted"
    assert fails(ec2.stop_instances, **names) == "OperationNotPermitted"
    one = {"InstanceId": made["InstanceId"]}
    ec2.modify_instance_attribute(**one, DisableApiTermination={"Value": False})
    ec2.terminate_instances(**names)
    as_moto_has_it(InstanceResponse, "run_instances")
    [made] = ec2.run_instances(**asked)["Instances"]
    assert made["MetadataOptions"]["HttpTokens"] == "optional"
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_a_protected_instance_is_not_ended(
    account: Account, launch: dict[str, Any], as_moto_has_it: Callable[[Any, str], None]
) -> None:
    ec2 = account.client("ec2")

    def started() -> dict[str, Any]:
        [made] = ec2.run_instances(**launch, DisableApiTermination=True)["Instances"]
        return {"InstanceIds": [made["InstanceId"]]}

    assert fails(ec2.terminate_instances, **started()) == "OperationNotPermitted"
    as_moto_has_it(InstanceResponse, "run_instances")
    ec2.terminate_instances(**started())


def test_a_change_of_one_option_leaves_the_others(
    account: Account, launch: dict[str, Any], as_moto_has_it: Callable[[Any, str], None]
) -> None:
    """With the right to the endpoint alone, moto takes the demand for tokens away."""
    ec2 = account.client("ec2")
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 3}
    [made] = ec2.run_instances(**launch, MetadataOptions=options)["Instances"]
    one = {"InstanceId": made["InstanceId"]}
    kept = deny("ec2:ModifyInstanceMetadataOptions",
                {"StringLike": {"ec2:Attribute/HttpTokens": "*"}})  # fmt: skip
    mine = account.client("ec2", account.session("endpoint-alone", statement("*"), kept))
    change = mine.modify_instance_metadata_options
    assert fails(change, **one, HttpTokens="optional") == "UnauthorizedOperation"

    def left() -> Any:
        found = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]
        return found["Instances"][0]["MetadataOptions"]

    change(**one, HttpEndpoint="enabled")
    assert options.items() <= left().items()
    as_moto_has_it(InstanceBackend, "modify_instance_metadata_options")
    change(**one, HttpEndpoint="enabled")
    assert left().get("HttpTokens") is None


def test_the_metadata_service_is_as_its_options_are_now(
    account: Account, launch: dict[str, Any]
) -> None:
    """An endpoint that is off gives nothing out, tags are shown to who asked for that alone."""
    ec2 = account.client("ec2")
    [made] = ec2.run_instances(
        **launch, MetadataOptions={"HttpEndpoint": "disabled", "HttpTokens": "required"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
    )["Instances"]  # fmt: skip
    cloud = account.cloud
    with cloud.lock:
        record = cloud.backend("ec2").get_instance(made["InstanceId"])
    host: Any = SimpleNamespace(
        home=cloud.home, region=cloud.region, account_id=cloud.account_id, backend=cloud.backend
    )
    instance = Instance(host, SimpleNamespace(), record)  # type: ignore[arg-type]
    try:
        one = {"InstanceId": made["InstanceId"]}

        def answers(path: str) -> int:
            address = f"{instance.metadata.endpoint}/latest/{path}"
            return requests.get(address, timeout=5).status_code

        assert answers("meta-data/instance-id") == 403
        ec2.modify_instance_metadata_options(**one, HttpEndpoint="enabled")
        assert answers("meta-data/instance-id") == 401
        ec2.modify_instance_metadata_options(**one, HttpTokens="optional")
        assert answers("meta-data/instance-id") == 200
        assert answers("meta-data/tags/instance/a") == 404
        ec2.modify_instance_metadata_options(**one, InstanceMetadataTags="enabled")
        assert answers("meta-data/tags/instance/a") == 200
    finally:
        instance.stop()


# What is protected


def test_a_protection_that_is_not_kept_is_refused_by_name(
    account: Account, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, scaling = account.client("logs"), account.client("autoscaling")
    account.client("ec2").create_launch_template(
        LaunchTemplateName="protected", LaunchTemplateData={"ImageId": launch["ImageId"]}
    )
    group = {"AutoScalingGroupName": "protected", "MinSize": 0, "MaxSize": 0,
             "VPCZoneIdentifier": launch["SubnetId"],
             "LaunchTemplate": {"LaunchTemplateName": "protected"}}  # fmt: skip
    for call, asked in (
        (logs.create_log_group, {"logGroupName": "/kept", "deletionProtectionEnabled": True}),
        (scaling.create_auto_scaling_group,
         {**group, "DeletionProtection": "prevent-all-deletion"}),
    ):  # fmt: skip
        assert fails(call, **asked) == "LocalCloudNotImplemented"
    scaling.create_auto_scaling_group(**group, DeletionProtection="none")
    monkeypatch.setattr(unread, "table", dict)
    logs.create_log_group(logGroupName="/kept", deletionProtectionEnabled=True)
    logs.delete_log_group(logGroupName="/kept")


def test_the_default_group_of_schedules_stays(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = account.client("scheduler").delete_schedule_group
    assert fails(delete, Name="default") == "ValidationException"
    place = ("scheduler", "DeleteScheduleGroup")
    monkeypatch.setitem(account.cloud.gateway.checks, place, lambda _: None)
    delete(Name="default")


# What S3 keeps


@pytest.fixture
def versions_as_moto_has_them(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """Old versions as moto keeps them, that is not."""

    def restore() -> None:
        enabled = property(lambda bucket: bucket.versioning_status == "Enabled")
        monkeypatch.setattr(FakeBucket, "is_versioned", enabled)
        for name in ("copy_object", "delete_object", "put_object"):
            monkeypatch.setattr(S3Backend, name, inspect.unwrap(getattr(S3Backend, name)))

    return restore


@pytest.mark.parametrize("write", ["put", "delete", "delete many", "copy", "parts"])
def test_a_suspended_bucket_keeps_its_old_versions(
    account: Account, versions_as_moto_has_them: Callable[[], None], write: str
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/VersionSuspendedBehavior.html"""
    s3, name = account.client("s3"), f"suspended-{write.replace(' ', '-')}"
    one = {"Bucket": name, "Key": "a"}
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    mine = account.client("s3", account.session(name, statement(
        ["s3:PutObject", "s3:DeleteObject", "s3:GetObject"])))  # fmt: skip

    def parts() -> None:
        upload = mine.create_multipart_upload(**one)["UploadId"]
        part = mine.upload_part(**one, UploadId=upload, PartNumber=1, Body=b"new")["ETag"]
        done = {"Parts": [{"ETag": part, "PartNumber": 1}]}
        mine.complete_multipart_upload(**one, UploadId=upload, MultipartUpload=done)

    writes: dict[str, Callable[[], Any]] = {
        "put": lambda: mine.put_object(**one, Body=b"new"),
        "delete": lambda: mine.delete_object(**one),
        "delete many": lambda: mine.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}]}),
        "copy": lambda: mine.copy_object(**one, CopySource=f"{name}/b"),
        "parts": parts,
    }

    def left() -> bool:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        old = s3.put_object(**one, Body=b"old")["VersionId"]
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
        s3.put_object(Bucket=name, Key="b", Body=b"b")
        for _ in range(2):
            writes[write]()
        found = s3.list_object_versions(Bucket=name, Prefix="a")
        shown = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        names = [one["VersionId"] for one in shown]
        assert names.count("null") <= 1
        return old in names and bool(s3.head_object(**one, VersionId=old))

    assert left()
    versions_as_moto_has_them()
    assert not left()


def test_a_lock_of_the_bucket_is_on_each_object(
    account: Account, versions_as_moto_has_them: Callable[[], None]
) -> None:
    s3, one = account.client("s3"), {"Bucket": "locked-once", "Key": "a"}
    s3.create_bucket(Bucket="locked-once", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket="locked-once", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    off = {"Status": "Suspended"}
    code = fails(s3.put_bucket_versioning, Bucket="locked-once", VersioningConfiguration=off)
    assert code == "InvalidBucketState"
    asked = {**one, "ObjectLockLegalHoldStatus": "ON"}
    assert fails(s3.create_multipart_upload, **asked) == "LocalCloudNotImplemented"

    def made() -> dict[str, Any]:
        upload = s3.create_multipart_upload(**one)["UploadId"]
        part = s3.upload_part(**one, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
        done = {"Parts": [{"ETag": part, "PartNumber": 1}]}
        s3.complete_multipart_upload(**one, UploadId=upload, MultipartUpload=done)
        return {**one, "VersionId": s3.list_object_versions(Bucket="locked-once")["Versions"][0][
            "VersionId"]}  # fmt: skip

    assert fails(s3.delete_object, **made()) == "AccessDenied"
    versions_as_moto_has_them()
    s3.delete_object(**made())


def test_a_copy_onto_itself_stays_encrypted(
    account: Account, versions_as_moto_has_them: Callable[[], None]
) -> None:
    s3, one = account.client("s3"), {"Bucket": "sealed-again", "Key": "a"}
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="sealed-again")
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": by_key}]
    s3.put_bucket_encryption(
        Bucket="sealed-again", ServerSideEncryptionConfiguration={"Rules": rules}
    )
    reader = account.client("s3", account.session("no-kms", statement("*"), deny("kms:*")))

    def copied() -> None:
        s3.put_object(**one, Body=b"x")
        s3.copy_object(**one, CopySource="sealed-again/a", MetadataDirective="REPLACE")

    copied()
    assert fails(reader.get_object, **one) == "AccessDenied"
    versions_as_moto_has_them()
    copied()
    assert reader.get_object(**one)


@pytest.mark.parametrize(
    ("service", "operation", "asked"),
    [
        ("ec2", "CreateSecurityGroup", {"GroupName": "sg-0a", "Description": "d"}),
        ("logs", "CreateLogGroup", {"logGroupName": "aws/x"}),
        ("rds", "CreateDBParameterGroup",
         {"DBParameterGroupName": "default.postgres17", "DBParameterGroupFamily": "postgres17",
          "Description": "d"}),
        ("secretsmanager", "CreateSecret", {"Name": "rds!db-x", "SecretString": "x"}),
    ],
)  # fmt: skip
def test_a_name_that_aws_keeps_is_not_given(
    account: Account, monkeypatch: pytest.MonkeyPatch, service: str, operation: str,
    asked: dict[str, Any],
) -> None:  # fmt: skip
    call = getattr(account.client(service), xform_name(operation))
    assert fails(call, **asked).startswith(("InvalidParameter", "Validation"))
    monkeypatch.setitem(account.cloud.gateway.checks, (service, operation), lambda _: None)
    assert call(**asked)


# By another service's hand


def test_a_secret_is_not_read_as_a_parameter(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html"""
    account.client("secretsmanager").create_secret(Name="by-reference", SecretString="told")
    reader = account.client("ssm", account.session("reads-parameters", statement("ssm:*")))
    name = "/aws/reference/secretsmanager/by-reference"
    cloud = account.cloud
    arn = f"arn:aws:ssm:{cloud.region}:{cloud.account_id}:parameter{name}"
    for asked in (name, arn, name[1:]):
        one = {"Name": asked, "WithDecryption": True}
        assert fails(reader.get_parameter, **one) == "LocalCloudNotImplemented"
        assert fails(reader.get_parameter_history, **one) == "LocalCloudNotImplemented"
        several = {"Names": [asked], "WithDecryption": True}
        assert fails(reader.get_parameters, **several) == "LocalCloudNotImplemented"
    monkeypatch.setattr(ssm, "_REFERENCES", "/nothing")
    assert reader.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "told"


def test_tags_of_a_template_are_asked_for_beside_the_calls_own(
    account: Account, launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch sets both."""

    def tagged(**tags: str) -> list[dict[str, Any]]:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        return [{"ResourceType": "instance", "Tags": pairs}]

    data = {"ImageId": launch["ImageId"], "TagSpecifications": tagged(team="other")}
    account.client("ec2").create_launch_template(
        LaunchTemplateName="tags-too", LaunchTemplateData=data
    )
    other = deny("ec2:*", {"StringEquals": {"aws:RequestTag/team": "other"}})
    mine = account.client("ec2", account.session("no-other-team", statement("ec2:*"), other))
    asked = {"LaunchTemplate": {"LaunchTemplateName": "tags-too"}, "MinCount": 1, "MaxCount": 1,
             "SubnetId": launch["SubnetId"], "TagSpecifications": tagged(name="x")}  # fmt: skip
    assert fails(mine.run_instances, **asked) == "UnauthorizedOperation"
    assert mine.run_instances(**{**asked, "TagSpecifications": tagged(team="mine")})
    monkeypatch.setattr(ec2_launch, "_tags_of_both", lambda *_: {})
    [made] = mine.run_instances(**asked)["Instances"]
    assert {"Key": "team", "Value": "other"} in made["Tags"]


def test_a_boundary_exists(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = account.client("iam")
    arn = f"arn:aws:iam::{account.cloud.account_id}:policy/not-yet"
    iam.create_user(UserName="bound-later")
    asked = {"UserName": "bound-later", "PermissionsBoundary": arn}
    assert fails(iam.put_user_permissions_boundary, **asked) == "NoSuchEntity"
    assert fails(iam.create_user, **{**asked, "UserName": "other"}) == "NoSuchEntity"
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
             "Action": "sts:AssumeRole"}  # fmt: skip
    role = {"RoleName": "bound-later", "PermissionsBoundary": arn,
            "AssumeRolePolicyDocument": json.dumps(
                {"Version": "2012-10-17", "Statement": [trust]})}  # fmt: skip
    assert fails(iam.create_role, **role) == "NoSuchEntity"
    aws = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.put_user_permissions_boundary(**{**asked, "PermissionsBoundary": aws})
    monkeypatch.setitem(account.cloud.gateway.checks, ("iam", "CreateRole"), lambda _: None)
    assert iam.create_role(**role)


# What else a call is about


def test_what_else_a_call_is_about_is_asked_for(account: Account, launch: dict[str, Any]) -> None:
    ec2 = account.client("ec2")
    [made] = ec2.run_instances(**launch)["Instances"]
    one = {"InstanceId": made["InstanceId"]}
    disk = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]
    [mapping] = disk["Instances"][0]["BlockDeviceMappings"]
    interface = made["NetworkInterfaces"][0]["NetworkInterfaceId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    association = ec2.associate_address(**one, AllocationId=address)["AssociationId"]
    vpc = made["VpcId"]
    kept = {"volume": mapping["Ebs"]["VolumeId"], "network-interface": interface, "vpc": vpc}
    prefix = f"arn:aws:ec2:{account.cloud.region}:{account.cloud.account_id}"
    names = [f"{prefix}:{kind}/{name}" for kind, name in kept.items()]
    who = account.session("keeps-off", statement("*"), {**deny("ec2:*"), "Resource": names})
    mine = account.client("ec2", who)
    device = {"DeviceName": mapping["DeviceName"], "Ebs": {"DeleteOnTermination": False}}
    for call, asked in (
        (mine.modify_instance_attribute, {**one, "BlockDeviceMappings": [device]}),
        (mine.disassociate_address, {"AssociationId": association}),
        (mine.create_nat_gateway, {"SubnetId": launch["SubnetId"], "VpcId": vpc}),
    ):
        assert fails(call, **asked) == "UnauthorizedOperation"


# What services refuse whoever asks


@pytest.fixture
def without_rule(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def take_away(service: str, operation: str) -> None:
        place = (service, operation)
        assert place in account.cloud.gateway.checks
        monkeypatch.setitem(account.cloud.gateway.checks, place, lambda _: None)

    return take_away


def test_the_right_to_linked_roles_is_for_no_other_role(
    account: Account, without_rule: Callable[[str, str], None]
) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
             "Action": "sts:AssumeRole"}  # fmt: skip
    account.role("not-linked", {"Version": "2012-10-17", "Statement": [trust]})
    mine = account.client(
        "iam", account.session("unlinks", statement("iam:*"), deny("iam:DeleteRole"))
    )
    assert fails(mine.delete_service_linked_role, RoleName="not-linked") == "InvalidInput"
    without_rule("iam", "DeleteServiceLinkedRole")
    mine.delete_service_linked_role(RoleName="not-linked")


def test_a_policy_goes_after_its_versions(
    account: Account, without_rule: Callable[[str, str], None]
) -> None:
    iam, document = account.client("iam"), json.dumps(
        {"Version": "2012-10-17", "Statement": [statement("*")]}
    )  # fmt: skip
    policy = {
        "PolicyArn": iam.create_policy(PolicyName="two", PolicyDocument=document)["Policy"]["Arn"]
    }
    iam.create_policy_version(**policy, PolicyDocument=document)
    assert fails(iam.delete_policy, **policy) == "DeleteConflict"
    without_rule("iam", "DeletePolicy")
    iam.delete_policy(**policy)


def test_what_a_network_has_of_itself_stays(
    account: Account, without_rule: Callable[[str, str], None]
) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    [table] = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    [acl] = ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    route = {"RouteTableId": table["RouteTableId"], "DestinationCidrBlock": "10.8.0.0/16"}
    entry = {"NetworkAclId": acl["NetworkAclId"], "RuleNumber": 32767, "Egress": False}
    for operation, asked in (("DeleteRoute", route), ("DeleteNetworkAclEntry", entry)):
        call = getattr(ec2, xform_name(operation))
        assert fails(call, **asked) == "InvalidParameterValue"
        without_rule("ec2", operation)
        call(**asked)


def test_snapshots_of_a_database_are_kept_as_rds_keeps_them(
    account: Account, without_rule: Callable[[str, str], None]
) -> None:
    rds = account.client("rds")
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    sealed = {**DATABASE, "StorageEncrypted": True, "KmsKeyId": key}
    rds.create_db_instance(DBInstanceIdentifier="snapped", **sealed, BackupRetentionPeriod=1)
    rds.create_db_snapshot(DBInstanceIdentifier="snapped", DBSnapshotIdentifier="by-hand")
    [own] = rds.describe_db_snapshots(SnapshotType="automated")["DBSnapshots"]
    name = {"DBSnapshotIdentifier": own["DBSnapshotIdentifier"]}
    public = {"DBSnapshotIdentifier": "by-hand", "AttributeName": "restore", "ValuesToAdd": ["all"]}
    for operation, asked, code in (
        ("DeleteDBSnapshot", name, "InvalidDBSnapshotState"),
        ("ModifyDBSnapshotAttribute", public, "InvalidParameterValue"),
    ):
        call = getattr(rds, xform_name(operation))
        assert fails(call, **asked) == code
        without_rule("rds", operation)
        call(**asked)


def test_what_is_restored_is_judged_by_its_source(account: Account) -> None:
    """Whether it is public depends on the network where the call does not say it."""
    rds = account.client("rds")
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    sealed = {**DATABASE, "StorageEncrypted": True, "KmsKeyId": key}
    rds.create_db_instance(DBInstanceIdentifier="sealed-source", **sealed)
    rds.create_db_snapshot(DBInstanceIdentifier="sealed-source", DBSnapshotIdentifier="sealed-one")
    asked = {"DBInstanceIdentifier": "restored", "DBSnapshotIdentifier": "sealed-one"}
    for name, condition, code in (
        ("sealed", {"rds:StorageEncrypted": "true"}, "AccessDenied"),
        ("public", {"rds:PubliclyAccessible": "true"}, UNSUPPORTED),
    ):
        kept = deny("rds:RestoreDBInstanceFromDBSnapshot", {"Bool": condition})
        mine = account.client("rds", account.session(f"restores-{name}", statement("*"), kept))
        assert fails(mine.restore_db_instance_from_db_snapshot, **asked) == code
    assert mine.restore_db_instance_from_db_snapshot(**asked, PubliclyAccessible=False)


def test_a_buckets_policy_is_for_its_account_alone(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, one = account.client("s3"), {"Bucket": "open-to-all"}
    s3.create_bucket(**one)
    s3.delete_public_access_block(**one)
    everyone = {**statement("s3:*", "arn:aws:s3:::open-to-all"), "Principal": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
    s3.put_bucket_policy(**one, Policy=document)
    anybody = account.unsigned("s3")
    assert anybody.list_objects_v2(**one)
    assert fails(anybody.get_bucket_policy, **one) == "MethodNotAllowed"
    assert fails(anybody.put_bucket_policy, **one, Policy=document) == "MethodNotAllowed"
    assert fails(anybody.delete_bucket_policy, **one) == "MethodNotAllowed"
    monkeypatch.setattr(public_access, "check_anonymous", lambda *_: None)
    anybody.delete_bucket_policy(**one)


def test_a_service_does_not_ask_from_the_callers_address(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-aws.html"""
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    one = {"Bucket": "from-afar", "Key": "a"}
    account.client("s3").create_bucket(Bucket="from-afar")
    account.client("s3").put_object(
        **one, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key
    )
    elsewhere = deny("kms:*", {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    who = account.session("from-here", statement("*"), elsewhere)
    assert account.client("kms", who).describe_key(KeyId=key)
    assert fails(account.client("s3", who).get_object, **one) == UNSUPPORTED
    monkeypatch.setattr(authorization, "_by_service", lambda _: False)
    assert account.client("s3", who).get_object(**one)


def test_who_is_nobody_has_the_id_of_nobody(account: Account) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html"""
    s3, one = account.client("s3"), {"Bucket": "for-somebody"}
    s3.create_bucket(**one)
    s3.delete_public_access_block(**one)
    everyone = {**statement("s3:*", "arn:aws:s3:::for-somebody"), "Principal": "*"}
    nobody = {**everyone, "Effect": "Deny",
              "Condition": {"StringEquals": {"aws:userid": "anonymous"}}}  # fmt: skip
    s3.put_bucket_policy(
        **one, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everyone, nobody]})
    )
    assert fails(account.unsigned("s3").list_objects_v2, **one) == "AccessDenied"
    assert account.client("s3", account.session("somebody")).list_objects_v2(**one)


@pytest.mark.parametrize(
    ("service", "operation", "asked"),
    [
        ("ec2", "RunInstances", {"Placement": {"GroupName": "kept"}}),
        ("ec2", "RunInstances", {"LicenseSpecifications": [{"LicenseConfigurationArn": "arn:x"}]}),
        ("ec2", "CreateVpc", {"Ipv4IpamPoolId": "ipam-pool-0a", "Ipv4NetmaskLength": 24}),
        ("kms", "CreateKey", {"CustomKeyStoreId": "cks-0a"}),
        ("rds", "CreateDBInstance", {**DATABASE, "DBInstanceIdentifier": "custom",
                                     "CustomIamInstanceProfile": "AWSRDSCustomX"}),
    ],
)  # fmt: skip
def test_a_thing_of_a_kind_that_is_not_here_is_refused_by_name(
    account: Account, launch: dict[str, Any], service: str, operation: str, asked: dict[str, Any]
) -> None:
    given = {**launch, **asked} if operation == "RunInstances" else asked
    call = getattr(account.client(service), xform_name(operation))
    assert fails(call, **given) == "LocalCloudNotImplemented"


def test_trust_follows_a_renamed_user_and_not_its_namesake(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    iam = account.client("iam")

    def user(name: str) -> Credentials:
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"], None, None)

    def assumed(name: str) -> list[bool]:
        """Whether the renamed user gets in, and whether its namesake does."""
        first = user(name)
        arn = f"arn:aws:iam::{account.cloud.account_id}:user/{name}"
        trust = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
        role = account.role(f"for-{name}", {"Version": "2012-10-17", "Statement": [trust]})
        iam.update_user(UserName=name, NewUserName=f"{name}-later")
        answers = []
        for who in (first, user(name)):
            try:
                account.client("sts", who).assume_role(RoleArn=role, RoleSessionName="in")
                answers.append(True)
            except ClientError:
                answers.append(False)
        return answers

    assert assumed("trusted") == [True, False]
    monkeypatch.setattr(IAMBackend, "update_user", inspect.unwrap(IAMBackend.update_user))
    assert assumed("betrayed") == [False, True]
