"""A seventeenth attack: neighbours of former fixes, one thing in two spellings, values of
attributes, and a token that is asked for inside of another request.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from scripts.localcloud.ec2.metadata import TOKEN, TTL, Metadata
from tests.localcloud.clients import Account
from tests.localcloud.ec2.test_metadata import IDENTITY
from tests.localcloud.test_eleventh import told
from tests.localcloud.test_fourteenth import networks

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

__all__ = ["networks"]  # the fixture
MIB = 2**20


def test_a_token_is_asked_for_by_no_request_inside_of_another() -> None:
    """A proxy that adds X-Forwarded-For adds it to the request that it sees.

    https://www.rfc-editor.org/rfc/rfc9112#section-6.1
    """
    inner = f"PUT /latest/api/token HTTP/1.1\r\nHost: a\r\n{TTL}: 60\r\n\r\n".encode()
    body = b"0\r\n\r\n" + inner
    head = (
        "GET /latest/meta-data/ HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n"
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    service = Metadata(IDENTITY, lambda _: pytest.fail("no credentials were asked for"))
    try:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
            client.sendall(head.encode() + body)
            received = b"".join(iter(lambda: client.recv(65536), b""))  # until it is closed
    finally:
        service.stop()
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1
    assert TOKEN.lower().encode() not in received.lower()


@pytest.mark.parametrize("by", ["Name", "ARN"])
def test_a_label_that_was_not_moved_is_where_it_was(account: Account, by: str) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html"""
    secrets = account.client("secretsmanager")
    made = secrets.create_secret(Name=f"labelled-{by}", SecretString="1")
    named = {"SecretId": made[by], "VersionStage": "AWSCURRENT"}
    assert (
        told(
            secrets.update_secret_version_stage,
            **named,
            RemoveFromVersionId=made["VersionId"],
            MoveToVersionId="0" * 36,
        )
        == "InvalidParameterException"
    )
    assert secrets.get_secret_value(**named)["SecretString"] == "1"


def test_a_databases_name_is_kept_where_its_change_fails(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    rds = account.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="before", DBInstanceClass="db.t3.micro", Engine="mysql",
        AllocatedStorage=20, MasterUsername="adm", MasterUserPassword="Abcdef123456",
    )  # fmt: skip
    change = {"NewDBInstanceIdentifier": "after", "ApplyImmediately": True}
    # No window: moto has renamed the database when it finds out.
    assert told(
        rds.modify_db_instance,
        DBInstanceIdentifier="before",
        PreferredMaintenanceWindow="sun",
        **change,
    )
    assert told(rds.modify_db_instance, DBInstanceIdentifier="before", **change) == ""


def rules_of(account: Account, group: str) -> list[str]:
    """The networks that a security group lets in."""
    found = account.client("ec2").describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [group]}]
    )["SecurityGroupRules"]
    return sorted(
        one.get("CidrIpv4") or one.get("CidrIpv6") for one in found if not one["IsEgress"]
    )


@pytest.mark.parametrize(
    ("kind", "one", "other", "shown"),
    [
        ("Cidr", "100.68.0.18/18", "100.68.0.0/18", "100.68.0.0/18"),  # AWS's own example
        ("Cidr", "100.68.0.0/18", "100.68.63.1/18", "100.68.0.0/18"),
        ("CidrIpv6", "2001:DB8::/32", "2001:db8:0:0::/32", "2001:db8::/32"),
    ],
)
def test_a_network_in_two_spellings_is_one(
    account: Account, networks: dict[str, Any], kind: str, one: str, other: str, shown: str
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html"""
    ec2 = account.client("ec2")
    made = ec2.create_security_group(
        GroupName=f"spelt {one} {other}", Description="d", VpcId=networks["other"]
    )["GroupId"]

    def rule(network: str) -> dict[str, Any]:
        ranges = {"Cidr": ("IpRanges", "CidrIp"), "CidrIpv6": ("Ipv6Ranges", "CidrIpv6")}[kind]
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
        return {
            "GroupId": made,
            "IpPermissions": [{**permission, ranges[0]: [{ranges[1]: network}]}],
        }

    ec2.authorize_security_group_ingress(**rule(one))
    assert rules_of(account, made) == [shown]
    again = told(ec2.authorize_security_group_ingress, **rule(other))
    assert again == "InvalidPermission.Duplicate"
    ec2.revoke_security_group_ingress(**rule(other))
    assert rules_of(account, made) == []


def test_a_rule_is_changed_to_no_other_and_has_a_source(
    account: Account, networks: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html"""
    ec2 = account.client("ec2")
    group = ec2.create_security_group(
        GroupName="changed to", Description="d", VpcId=networks["other"]
    )["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    source = told(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule])
    assert source == "MissingParameter"
    made = {}
    for network in ("10.0.0.0/8", "11.0.0.0/8"):
        given = {"GroupId": group, "IpPermissions": [{**rule, "IpRanges": [{"CidrIp": network}]}]}
        [one] = ec2.authorize_security_group_ingress(**given)["SecurityGroupRules"]
        made[network] = one["SecurityGroupRuleId"]

    def change(network: str) -> str:
        changed = {
            "SecurityGroupRuleId": made["11.0.0.0/8"],
            "SecurityGroupRule": {**rule, "CidrIpv4": network},
        }
        return told(ec2.modify_security_group_rules, GroupId=group, SecurityGroupRules=[changed])

    assert change("10.1.1.1/8") == "InvalidPermission.Duplicate"
    assert rules_of(account, group) == ["10.0.0.0/8", "11.0.0.0/8"]
    assert change("12.1.1.1/8") == ""
    assert rules_of(account, group) == ["10.0.0.0/8", "12.0.0.0/8"]


def test_parts_are_joined_in_order_and_read_one_by_one(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
    s3, named = account.client("s3"), {"Bucket": "of-parts", "Key": "k"}
    s3.create_bucket(Bucket="of-parts")
    upload = {**named, "UploadId": s3.create_multipart_upload(**named)["UploadId"]}
    bodies = {1: b"a" * 5 * MIB, 2: b"b" * 5 * MIB, 3: b"c" * 7}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=body)["ETag"]}
        for n, body in bodies.items()
    ]

    def join(*numbers: int) -> str:
        listed = {"Parts": [parts[n - 1] for n in numbers]}
        return told(s3.complete_multipart_upload, **upload, MultipartUpload=listed)

    assert join(2, 1) == join(1, 1) == "InvalidPartOrder"
    assert join(1, 3) == ""
    for number, body in ((1, bodies[1]), (3, bodies[3])):
        part = s3.get_object(**named, PartNumber=number)
        assert part["Body"].read() == body
        assert part["PartsCount"] == 2
        assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert told(s3.get_object, **named, PartNumber=2) in {"416", "InvalidPartNumber"}
    assert s3.get_object(**named)["ContentLength"] == 5 * MIB + 7


def test_a_buckets_lock_and_rules_are_such(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html"""
    s3, named = account.client("s3"), {"Bucket": "of-rules-17"}
    s3.create_bucket(**named, ObjectLockEnabledForBucket=True)
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]

    def lock(days: int) -> str:
        retention = {"Mode": "GOVERNANCE", "Days": days}
        given = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
        return told(s3.put_object_lock_configuration, **named, ObjectLockConfiguration=given)

    # The code that ceph's tests of S3 saw.
    assert [lock(days) for days in (-3, 0, 1)] == ["InvalidRetentionPeriod"] * 2 + [""]

    def encrypt(*rules: dict[str, str]) -> str:
        given = {"Rules": [{"ApplyServerSideEncryptionByDefault": one} for one in rules]}
        return told(s3.put_bucket_encryption, **named, ServerSideEncryptionConfiguration=given)

    plain, by_key = {"SSEAlgorithm": "AES256"}, {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert encrypt(plain, by_key) == "MalformedXML"
    assert encrypt({**plain, "KMSMasterKeyID": key}) == "InvalidArgument"
    assert [encrypt(plain), encrypt(by_key)] == ["", ""]
    owners = [{"ObjectOwnership": one} for one in ("BucketOwnerEnforced", "ObjectWriter")]
    controls = {"Rules": owners}
    assert told(s3.put_bucket_ownership_controls, **named, OwnershipControls=controls) == (
        "MalformedXML"
    )
