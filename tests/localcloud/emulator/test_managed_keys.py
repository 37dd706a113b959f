"""AWS-managed keys in the gateway: made at their first use, used through their service alone."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.clients import Account, statement

ALIAS = "alias/aws/secretsmanager"
DATABASE: dict[str, Any] = {
    "DBInstanceClass": "db.t4g.micro",
    "Engine": "postgres",
    "EngineVersion": "17.4",
    "AllocatedStorage": 20,
    "MasterUsername": "keyless",
    "StorageEncrypted": True,
    "ManageMasterUserPassword": True,
}


@pytest.fixture(scope="module")
def key(account: Account) -> dict[str, Any]:
    found: dict[str, Any] = account.client("kms").describe_key(KeyId=ALIAS)["KeyMetadata"]
    return found


def error(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as failed:
        call(**parameters)
    return str(failed.value.response["Error"]["Code"])


def test_aws_manages_the_key_and_turns_it_every_year(account: Account, key: dict[str, Any]) -> None:
    assert key["KeyManager"] == "AWS"
    assert account.client("kms").get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]


def test_not_even_an_administrator_changes_it_or_uses_it_directly(
    account: Account, key: dict[str, Any]
) -> None:
    kms, name = account.client("kms"), key["KeyId"]
    denied = "AccessDeniedException"
    assert error(kms.put_key_policy, KeyId=name, PolicyName="default", Policy="{}") == denied
    assert error(kms.schedule_key_deletion, KeyId=name) == denied
    assert error(kms.encrypt, KeyId=name, Plaintext=b"x") == denied
    tags = [{"TagKey": "Environment", "TagValue": "dev"}]
    assert error(kms.tag_resource, KeyId=name, Tags=tags) == denied


def test_a_secret_without_a_key_of_its_own_is_read_through_it(account: Account) -> None:
    manager = account.client("secretsmanager")
    manager.create_secret(Name="plain", SecretString="x")
    reader = account.session("reader-of-plain", statement("secretsmanager:GetSecretValue"))
    value = account.client("secretsmanager", reader).get_secret_value(SecretId="plain")
    assert value["SecretString"] == "x"


def test_volumes_that_name_no_key_take_the_one_that_aws_manages(account: Account) -> None:
    ec2 = account.client("ec2")
    made = ec2.create_volume(AvailabilityZone=f"{account.cloud.region}a", Size=1, Encrypted=True)
    found = account.client("kms").describe_key(KeyId=made["KmsKeyId"])["KeyMetadata"]
    assert found["KeyManager"] == "AWS"
    managers = {
        account.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyManager"]
        for key in account.client("kms").list_keys()["Keys"]
    }
    assert "AWS" in managers


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        (None, None),
        ({"StringEquals": {"aws:ResourceTag/Environment": "dev"}}, "AccessDenied"),
    ],
)
def test_a_managed_password_needs_the_right_to_describe_the_key(
    account: Account, key: dict[str, Any], condition: dict[str, Any] | None, code: str | None
) -> None:
    """The attack on the first apply: a right that depends on a tag, and a key that has none."""
    name = "by-tag" if condition else "plainly"
    credentials = account.session(
        f"makes-{name}",
        statement(["rds:*", "secretsmanager:*", "iam:CreateServiceLinkedRole"]),
        {**statement("kms:DescribeKey"), **({"Condition": condition} if condition else {})},
    )
    database = account.client("rds", credentials)
    asked = {**DATABASE, "DBInstanceIdentifier": name}
    if code:
        assert error(database.create_db_instance, **asked) == code
    else:
        made = database.create_db_instance(**asked)["DBInstance"]
        assert made["MasterUserSecret"]["KmsKeyId"] == key["Arn"]
        storage = account.client("kms").describe_key(KeyId="alias/aws/rds")["KeyMetadata"]
        assert made["KmsKeyId"] == storage["Arn"]
