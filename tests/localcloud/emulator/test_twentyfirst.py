"""A twenty-first attack: what is encrypted, and read or written without the right to its key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.clients import Account, statement
from tests.localcloud.test_eleventh import told

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow


def _key(account: Account) -> str:
    return str(account.client("kms").create_key()["KeyMetadata"]["Arn"])


def test_parameters_at_the_root_are_decrypted_with_the_right_to_their_key(account: Account) -> None:
    """ "To decrypt it, the user must have permission to use the KMS key", by a path too.

    https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
    """
    admin, key = account.client("ssm"), _key(account)
    names = ["/root21", "bare21", "/deep21/one"]
    for name in names:
        admin.put_parameter(Name=name, Value="hidden", Type="SecureString", KeyId=key)
    reads = statement("ssm:GetParametersByPath")
    without = account.client("ssm", account.session("without21", reads)).get_parameters_by_path
    opens = statement("kms:Decrypt", key)
    by_path = account.client("ssm", account.session("with21", reads, opens)).get_parameters_by_path
    for deep in (False, True):
        asked: dict[str, Any] = {"Path": "/", "WithDecryption": True, "Recursive": deep}
        assert told(without, **asked) == "AccessDeniedException"
        assert not told(without, Path="/", Recursive=deep)
        found = {one["Name"] for one in by_path(**asked)["Parameters"]}
        assert found == {*names[: 3 if deep else 2]}


def test_a_secrets_key_is_not_taken_away_by_naming_none(account: Account) -> None:
    """ "If you set this to an empty string, Secrets Manager uses the AWS managed key", and "if you
    don't have kms:Decrypt permission for the previous key", nothing is encrypted anew.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    admin, key = account.client("secretsmanager"), _key(account)
    admin.create_secret(Name="kept21", SecretString="hidden", KmsKeyId=key)
    acts = statement(["secretsmanager:GetSecretValue", "secretsmanager:UpdateSecret"])
    low = account.client("secretsmanager", account.session("unkeyed21", acts))
    assert told(low.update_secret, SecretId="kept21", KmsKeyId="") == "AccessDeniedException"
    assert told(low.get_secret_value, SecretId="kept21") == "AccessDeniedException"
    assert not told(admin.update_secret, SecretId="kept21", KmsKeyId="")
    assert not told(low.get_secret_value, SecretId="kept21")  # everybody's who may read it


def test_nothing_is_encrypted_with_a_key_that_is_named_by_nothing(account: Account) -> None:
    """A KmsKeyId is an id, an ARN or an alias; a volume has the key of its snapshot without one.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
    """
    ec2, key, zone = account.client("ec2"), _key(account), f"{account.cloud.region}a"
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1, Encrypted=True, KmsKeyId=key)
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    copy = {"AvailabilityZone": zone, "SnapshotId": snapshot}
    assert told(ec2.create_volume, **copy, KmsKeyId="") == "InvalidParameterValue"
    assert not told(ec2.create_volume, **copy)


@pytest.mark.parametrize("whole", [True, False])
def test_a_volume_keeps_the_key_that_an_alias_pointed_to(account: Account, whole: bool) -> None:
    """ "To identify the KMS key, use key ID, key alias, key ARN or alias ARN": each is the key.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
    """
    ec2, kms, name = account.client("ec2"), account.client("kms"), f"alias/volume21{whole}"
    zone, key, other = f"{account.cloud.region}a", _key(account), _key(account)
    kms.create_alias(AliasName=name, TargetKeyId=key)
    named = key.replace(f"key/{key.rpartition('/')[2]}", name) if whole else name
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1, Encrypted=True, KmsKeyId=named)
    assert volume["KmsKeyId"] == key
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    kms.update_alias(AliasName=name, TargetKeyId=other)
    may = statement(["ec2:CreateVolume"]), statement("kms:*", other)
    low = account.client("ec2", account.session(f"volume21{whole}", *may))
    copy = {"AvailabilityZone": zone, "SnapshotId": snapshot}
    assert told(low.create_volume, **copy) == "UnauthorizedOperation"


@pytest.mark.parametrize("own", [True, False])
def test_an_upload_in_parts_keeps_the_key_that_it_began_with(account: Account, own: bool) -> None:
    """An alias is a name of a key: what is encrypted hangs on the key itself, not on the name.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-manage.html
    """
    s3, kms, name = account.client("s3"), account.client("kms"), f"alias/moved21{own}"
    key, other, bucket = _key(account), _key(account), f"parts21{own}".lower()
    kms.create_alias(AliasName=name, TargetKeyId=key)
    s3.create_bucket(Bucket=bucket)
    by = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": name}
    if not own:
        usual = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": name}
        rules = [{"ApplyServerSideEncryptionByDefault": usual}]
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    of: dict[str, Any] = {"Bucket": bucket, "Key": "k"}
    of["UploadId"] = s3.create_multipart_upload(**of, **(by if own else {}))["UploadId"]
    kms.update_alias(AliasName=name, TargetKeyId=other)
    opens = statement("kms:*", other)
    low = account.client("s3", account.session(f"moves21{own}", statement("s3:*"), opens))
    part = {"PartNumber": 1, "Body": b"x"}
    assert told(low.upload_part, **of, **part) == "AccessDenied"
    etag = s3.upload_part(**of, **part)["ETag"]
    s3.complete_multipart_upload(**of, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert told(low.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key


def test_a_version_of_a_secret_has_the_key_that_it_was_encrypted_with(account: Account) -> None:
    """ "Secrets Manager re-encrypts AWSCURRENT, AWSPENDING, and AWSPREVIOUS versions with the new
    key"; "you won't be able to decrypt any secret versions except" these without the former one.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    admin, kms, first = account.client("secretsmanager"), account.client("kms"), _key(account)
    other, last = _key(account), _key(account)
    kms.create_alias(AliasName="alias/versions21", TargetKeyId=first)
    admin.create_secret(Name="versions21", SecretString="1", KmsKeyId="alias/versions21")
    one = admin.describe_secret(SecretId="versions21")["VersionIdsToStages"].popitem()[0]
    for value in "23":
        now = admin.put_secret_value(SecretId="versions21", SecretString=value)["VersionId"]
    acts = ["secretsmanager:*", "kms:UpdateAlias"]
    low = account.client(
        "secretsmanager",
        account.session("versions21", statement(acts), statement("kms:*", [other, last])),
    )
    current, oldest = {"SecretId": "versions21"}, {"SecretId": "versions21", "VersionId": one}
    denied = "AccessDeniedException"
    # An alias that points elsewhere later is no other key, whatever else is changed.
    kms.update_alias(AliasName="alias/versions21", TargetKeyId=other)
    assert not told(low.update_secret, **current, Description="another")
    assert told(low.get_secret_value, **current) == denied
    assert not told(admin.update_secret, **current, KmsKeyId="alias/versions21")
    assert not told(low.get_secret_value, **current, VersionStage="AWSPREVIOUS")
    assert [told(low.get_secret_value, **asked) for asked in (current, oldest)] == ["", denied]
    # Nor does the old version become readable by getting the label, or the secret a third key.
    moved = {"VersionStage": "AWSCURRENT", "MoveToVersionId": one, "RemoveFromVersionId": now}
    assert not told(low.update_secret_version_stage, **current, **moved)
    assert told(low.get_secret_value, **current) == denied
    assert told(low.batch_get_secret_value, SecretIdList=["versions21"]) == denied
    assert not told(low.update_secret, **current, KmsKeyId=other.rpartition("/")[2])
    assert told(low.get_secret_value, **current) == denied
    assert told(low.update_secret, **current, KmsKeyId=last) == denied
    assert not told(admin.update_secret, **current, KmsKeyId=last)
    assert not told(low.get_secret_value, **current)


def test_who_starts_an_instance_may_use_the_keys_of_its_volumes(account: Account) -> None:
    """ "The IAM principal that calls the StartInstances API action must have kms:CreateGrant
    permissions to create a grant for Amazon EC2."

    https://repost.aws/knowledge-center/kms-iam-ec2-permission
    """
    ec2, key = account.client("ec2"), _key(account)
    disk = {"VolumeSize": 8, "Encrypted": True, "KmsKeyId": key}
    run: dict[str, Any] = {"MinCount": 1, "MaxCount": 1, "InstanceType": "t4g.micro"}
    run["ImageId"] = ec2.describe_images()["Images"][0]["ImageId"]
    run["BlockDeviceMappings"] = [{"DeviceName": "/dev/sdf", "Ebs": disk}]
    one = {"InstanceIds": [ec2.run_instances(**run)["Instances"][0]["InstanceId"]]}
    ec2.stop_instances(**one)
    starts, grants = statement("ec2:StartInstances"), statement("kms:CreateGrant", key)
    for name, may, then in (
        ("starts21", (starts,), "UnauthorizedOperation"),
        ("grants21", (starts, grants), ""),
    ):
        low = account.client("ec2", account.session(name, *may))
        assert told(low.start_instances, **one) == then


def test_a_key_is_disabled_and_its_deletion_planned_by_its_arn(account: Account) -> None:
    """ "Specify the key ID or key ARN of the KMS key."

    https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html
    """
    kms, key = account.client("kms"), _key(account)

    def state() -> str:
        return str(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"])

    for call, then in (
        (kms.disable_key, "Disabled"),
        (kms.enable_key, "Enabled"),
        (kms.schedule_key_deletion, "PendingDeletion"),
        (kms.cancel_key_deletion, "Disabled"),
    ):
        call(KeyId=key)
        assert state() == then


def test_the_list_of_access_of_one_version_is_not_that_of_another(account: Account) -> None:
    """ "The ACL of an object is set at the object version level."

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
    """
    s3, of = account.client("s3"), {"Bucket": "lists21", "Key": "k"}
    s3.create_bucket(Bucket="lists21", ObjectOwnership="BucketOwnerPreferred")
    s3.delete_public_access_block(Bucket="lists21")
    s3.put_bucket_versioning(Bucket="lists21", VersioningConfiguration={"Status": "Enabled"})
    old, new = (s3.put_object(**of, Body=body)["VersionId"] for body in (b"1", b"2"))
    low = account.client("s3", account.session("lists21", statement("s3:PutObjectVersionAcl")))
    assert not told(low.put_object_acl, **of, VersionId=old, ACL="public-read")
    grants = [len(s3.get_object_acl(**of, VersionId=one)["Grants"]) for one in (old, new)]
    assert grants == [2, 1]
    assert told(s3.put_object_acl, **of, VersionId="none", ACL="private") == "NoSuchVersion"


def test_no_tags_take_an_objects_tags_away(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html"""
    s3, of = account.client("s3"), {"Bucket": "untagged21", "Key": "k"}
    s3.create_bucket(Bucket="untagged21")
    s3.put_object(**of, Tagging="a=b")
    s3.put_object_tagging(**of, Tagging={"TagSet": []})
    assert s3.get_object_tagging(**of)["TagSet"] == []


def test_a_parameter_has_a_name_at_each_level(account: Account) -> None:
    """ "If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can
    be formed as a mix of letters, numbers and the following 3 symbols .-_"

    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-parameter-name-constraints.html
    """
    put = account.client("ssm").put_parameter
    for name in ("/levels21//a", "//levels21", "/levels21/", "/"):
        assert told(put, Name=name, Value="v", Type="String") == "ValidationException"
    assert not told(put, Name="/levels21/a", Value="v", Type="String")


def test_a_batch_without_end_is_refused_before_it_is_decided(account: Account) -> None:
    """ "The request can contain a list of up to 1,000 keys": nobody waits for 200,000 refusals,
    which one request without a signature asked for.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """
    account.client("s3").create_bucket(Bucket="batch21")
    nothing = account.session("nothing21")
    ends = account.client("ec2", nothing).terminate_instances
    for client in (account.client("s3", nothing), account.unsigned("s3")):
        for count, code in ((1_000, "AccessDenied"), (4_000, "MalformedXML")):
            batch = {"Objects": [{"Key": str(number)} for number in range(count)]}
            assert told(client.delete_objects, Bucket="batch21", Delete=batch) == code
    named = [f"i-{number:017x}" for number in range(4_000)]
    assert told(ends, InstanceIds=named) == "InvalidParameterValue"


@pytest.mark.parametrize("own", [True, False])
def test_an_object_shows_the_key_that_an_alias_pointed_to(account: Account, own: bool) -> None:
    """SSEKMSKeyId "indicates the ID of the KMS key that was used for object encryption."

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    s3, kms, name = account.client("s3"), account.client("kms"), f"alias/shown22{own}"
    key, other = (_key(account) for _ in range(2))
    kms.create_alias(AliasName=name, TargetKeyId=key)
    of = {"Bucket": f"shown22{own}".lower(), "Key": "k"}
    s3.create_bucket(Bucket=of["Bucket"])
    if not own:
        usual = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": name}
        rules = [{"ApplyServerSideEncryptionByDefault": usual}]
        encryption = {"Rules": rules}
        s3.put_bucket_encryption(Bucket=of["Bucket"], ServerSideEncryptionConfiguration=encryption)
    by = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": name} if own else {}
    s3.put_object(**of, Body=b"x", **by)
    kms.update_alias(AliasName=name, TargetKeyId=other)
    assert s3.head_object(**of)["SSEKMSKeyId"] == key
