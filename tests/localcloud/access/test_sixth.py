"""A sixth attack: keys that one call of an action has and another has not, second names, what
is judged and then changed, and what an instance is launched with.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Any

import pytest
from botocore import xform_name

from scripts.localcloud.access import authorization
from tests.localcloud.access.test_fourth import deny
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
        monkeypatch.setattr(authorization, "_unknown", lambda _: frozenset())
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
        monkeypatch.setattr(authorization, "_unknown", lambda _: frozenset())
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
    monkeypatch.setattr(authorization, "_unknown", lambda _: frozenset())
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
