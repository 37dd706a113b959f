"""A twelfth attack: the metadata service over the wire, and what STS, IAM, S3 and MLflow let in.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from scripts.localcloud.ec2.instances import Instance
from tests.localcloud.access.test_names import fails
from tests.localcloud.access.test_sixth import launch
from tests.localcloud.clients import Account, statement

__all__ = ["launch"]  # the fixture


def told(call: Callable[..., Any], **asked: Any) -> str:
    """The code of a refusal, "" where there is none."""
    try:
        call(**asked)
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return ""


# The metadata service


class Box:
    """A running instance, and what its programs are told."""

    def __init__(self, account: Account, launch: dict[str, Any], **more: Any) -> None:
        cloud = account.cloud
        self._ec2 = account.client("ec2")
        self.id = self._ec2.run_instances(**launch, **more)["Instances"][0]["InstanceId"]
        record = cloud.backend("ec2").get_instance(self.id)
        self.instance = Instance(cloud, SimpleNamespace(), record)  # type: ignore[arg-type]

    def read(self, path: str) -> str:
        address = f"{self.instance.metadata.endpoint}/latest/{path}"
        answer = requests.get(
            address,
            headers={"X-aws-ec2-metadata-token": self.instance.metadata.new_token(60)},
            timeout=10,
        )
        return answer.text if answer.ok else ""

    def role(self) -> str:
        """The name of the role of which credentials are given, "" where none are."""
        folder = "meta-data/iam/security-credentials/"
        name = self.read(folder)
        return name if "AccessKeyId" in self.read(folder + name) else ""

    @property
    def association(self) -> str:
        shown = self._ec2.describe_iam_instance_profile_associations(
            Filters=[{"Name": "instance-id", "Values": [self.id]}]
        )
        return str(shown["IamInstanceProfileAssociations"][0]["AssociationId"])


@pytest.fixture
def boxes(account: Account, launch: dict[str, Any]) -> Iterator[Any]:
    made: list[Box] = []

    def make(**more: Any) -> Box:
        made.append(Box(account, launch, **more))
        return made[-1]

    yield make
    for box in made:
        box.instance.stop()


def profile(account: Account, name: str) -> None:
    """A profile with a role of its name in it."""
    iam = account.client("iam")
    trust = statement("sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"})
    del trust["Resource"]
    account.role(name, {"Version": "2012-10-17", "Statement": trust})
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def test_an_instance_has_the_role_that_is_in_its_profile_now(
    account: Account, boxes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role taken out of the profile, deleted and made again, or a profile made again, is none of
    the instance's; one put in is."""
    iam, names = account.client("iam"), {"InstanceProfileName": "was", "RoleName": "was"}
    profile(account, "was")
    profile(account, "other")
    box = boxes(IamInstanceProfile={"Name": "was"})
    assert box.role() == "was"
    iam.remove_role_from_instance_profile(**names)
    assert box.role() == ""
    iam.delete_role(RoleName="was")
    account.role("was", json.loads(json.dumps(_trust(iam, "other"))))
    assert box.role() == ""
    iam.add_role_to_instance_profile(**names | {"RoleName": "other"})
    assert box.role() == "other"
    iam.remove_role_from_instance_profile(**names | {"RoleName": "other"})
    iam.delete_instance_profile(InstanceProfileName="was")
    iam.create_instance_profile(InstanceProfileName="was")
    iam.add_role_to_instance_profile(**names)
    assert box.role() == ""
    # As it was: what the instance booted with.
    booted = iam_objects(account, "was")
    monkeypatch.setattr(Instance, "_profile", lambda _: booted)
    iam.remove_role_from_instance_profile(**names)
    assert box.role() == "was"


def iam_objects(account: Account, name: str) -> tuple[Any, Any]:
    """The profile and the role of a name, as the emulator keeps them."""
    found = account.cloud.backend("iam").get_instance_profile(name)
    return found, found.roles[0]


def _trust(iam: Any, role: str) -> Any:
    return iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]


def test_an_instance_gets_the_profile_that_it_is_given_and_loses_the_one_that_is_taken(
    account: Account, boxes: Any
) -> None:
    ec2 = account.client("ec2")
    profile(account, "first")
    profile(account, "second")
    box = boxes()
    assert box.role() == ""
    ec2.associate_iam_instance_profile(InstanceId=box.id, IamInstanceProfile={"Name": "first"})
    assert box.role() == "first"
    ec2.replace_iam_instance_profile_association(
        AssociationId=box.association, IamInstanceProfile={"Name": "second"}
    )
    assert box.role() == "second"
    assert "instance-profile/second" in box.read("meta-data/iam/info")
    [shown] = ec2.describe_instances(InstanceIds=[box.id])["Reservations"][0]["Instances"]
    assert shown["IamInstanceProfile"]["Arn"].endswith(":instance-profile/second")
    ec2.disassociate_iam_instance_profile(AssociationId=box.association)
    assert box.role() == ""


def test_user_data_is_changed_as_clients_send_it(account: Account, boxes: Any) -> None:
    """AWS's model has bytes there, which the client writes in base64."""
    ec2 = account.client("ec2")
    box = boxes()
    ec2.stop_instances(InstanceIds=[box.id])
    ec2.modify_instance_attribute(InstanceId=box.id, UserData={"Value": b"#!/bin/sh\n\xff"})
    shown = ec2.describe_instance_attribute(InstanceId=box.id, Attribute="userData")
    assert base64.b64decode(shown["UserData"]["Value"]) == b"#!/bin/sh\n\xff"
    change = ec2.modify_instance_attribute
    large = {"Value": b"x" * (16 * 1024 + 1)}
    assert fails(change, InstanceId=box.id, UserData=large) == "InvalidParameterValue"


def test_what_the_metadata_service_is_set_to_is_what_ec2_takes(
    account: Account, boxes: Any, launch: dict[str, Any]
) -> None:
    ec2 = account.client("ec2")
    box = boxes()
    one, options = {"InstanceId": box.id}, ec2.modify_instance_metadata_options
    shows = {"InstanceMetadataTags": "enabled"}
    for hops in (0, 65):
        assert fails(options, **one, HttpPutResponseHopLimit=hops) == "InvalidParameterValue"
        more = {"MetadataOptions": {"HttpPutResponseHopLimit": hops}}
        assert fails(ec2.run_instances, **launch, **more) == "InvalidParameterValue"
    options(**one, HttpPutResponseHopLimit=64)

    def tag(key: str) -> str:
        tags = [{"Key": key, "Value": ""}]
        return told(ec2.create_tags, Resources=[box.id], Tags=tags)

    assert tag("a/b") == ""
    assert fails(options, **one, **shows) == "InvalidParameterValue"
    ec2.delete_tags(Resources=[box.id], Tags=[{"Key": "a/b"}])
    options(**one, **shows)
    assert {tag(key) for key in ("a/b", "a b", ".", "..", "_index", "ä")} == {
        "InvalidParameterValue"
    }
    assert [tag(key) for key in ("a.b", "keyless:x", "_index_")] == ["", "", ""]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a/b", "Value": ""}]}]
    started = {"MetadataOptions": shows, "TagSpecifications": tags}
    assert fails(ec2.run_instances, **launch, **started) == "InvalidParameterValue"


# Lists of S3's


def test_a_bucket_takes_no_list_but_its_owners(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="listed")
    s3.create_bucket(Bucket="listed-new", ACL="private")
    one, key = {"Bucket": "listed"}, {"Bucket": "listed", "Key": "k"}
    s3.put_object(**key, Body=b"", ACL="bucket-owner-full-control")
    everybody = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
    for acl in ("private", "public-read"):
        for call, asked in (
            (s3.put_object, key), (s3.put_object_acl, key), (s3.put_bucket_acl, one),
            (s3.create_multipart_upload, key), (s3.copy_object, {**key, "CopySource": "listed/k"}),
        ):  # fmt: skip
            assert fails(call, **asked, ACL=acl) == "AccessControlListNotSupported"
    new = s3.create_bucket
    asked = {"Bucket": "listed-more", "ACL": "public-read"}
    assert fails(new, **asked) == "InvalidBucketAclWithObjectOwnership"
    assert (
        fails(new, **asked, ObjectOwnership="ObjectWriter")
        == "InvalidBucketAclWithBlockPublicAccessError"
    )
    # The owner's own control, as it is read and written back.
    shown = s3.get_bucket_acl(**one)
    own = {name: shown[name] for name in ("Owner", "Grants")}
    s3.put_bucket_acl(**one, AccessControlPolicy=own)
    given = {"Owner": own["Owner"], "Grants": [{"Grantee": everybody, "Permission": "READ"}]}
    code = fails(s3.put_bucket_acl, **one, AccessControlPolicy=given)
    assert code == "AccessControlListNotSupported"
    other = {"Type": "CanonicalUser", "ID": "0" * 64}
    given = {"Owner": {"ID": "0" * 64}, "Grants": [{**own["Grants"][0], "Grantee": other}]}
    code = fails(s3.put_bucket_acl, **one, AccessControlPolicy=given)
    assert code == "AccessControlListNotSupported"

    def owned(by: str) -> str:
        rules = {"Rules": [{"ObjectOwnership": by}]}
        return told(s3.put_bucket_ownership_controls, **one, OwnershipControls=rules)

    assert owned("ObjectWriter") == ""
    s3.put_object(**key, Body=b"", ACL="private")
    assert fails(s3.put_object, **key, ACL="public-read") == "AccessDenied"
    own["Grants"].append({"Grantee": everybody, "Permission": "READ"})
    assert fails(s3.put_bucket_acl, **one, AccessControlPolicy=own) == "AccessDenied"
    s3.delete_public_access_block(**one)
    s3.put_bucket_acl(**one, ACL="public-read")
    assert owned("BucketOwnerEnforced") == "InvalidBucketAclWithObjectOwnership"
    s3.put_bucket_acl(**one, ACL="private")
    assert owned("BucketOwnerEnforced") == ""
    monkeypatch.setitem(account.cloud.gateway.checks, ("s3", "PutBucketAcl"), lambda _: None)
    s3.put_bucket_acl(**one, ACL="public-read")


# IAM


def test_a_services_own_role_is_made_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = account.client("iam").create_service_linked_role
    make(AWSServiceName="elasticloadbalancing.amazonaws.com")
    asked = {"AWSServiceName": "elasticloadbalancing.amazonaws.com"}
    assert fails(make, **asked) == "InvalidInput"
    place = ("iam", "CreateServiceLinkedRole")
    monkeypatch.setitem(account.cloud.gateway.checks, place, lambda _: None)
    make(**asked)  # a second role of one name


# What values RDS, KMS and S3 take


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"MasterUserPassword": "short-1"}, "InvalidParameterValue"),
        ({"MasterUserPassword": "x" * 129}, "InvalidParameterValue"),
        *(({"MasterUserPassword": f"long{sign}enough"}, "InvalidParameterValue")
          for sign in "/@ \"\u00e4"),
        *(({"MasterUsername": name}, "InvalidParameterValue")
          for name in ("rdsadmin", "PG_x", "1x", "a-b", "admin", "rds_iam")),
        ({}, ""),
        ({"MasterUserPassword": "long!#$%-enough~?", "MasterUsername": "rdsuser"}, ""),
    ],
)  # fmt: skip
def test_a_masters_name_and_password_are_such_as_rds_takes(
    account: Account, change: dict[str, Any], code: str
) -> None:
    rds = account.client("rds")
    asked = {
        "DBInstanceIdentifier": "named", "DBInstanceClass": "db.t4g.micro", "Engine": "postgres",
        "AllocatedStorage": 20, "PubliclyAccessible": False, "MasterUsername": "keyless",
        "MasterUserPassword": "long-enough",
    }  # fmt: skip
    assert told(rds.create_db_instance, **{**asked, **change}) == code
    if not code:
        short = {"DBInstanceIdentifier": "named", "MasterUserPassword": "short"}
        assert fails(rds.modify_db_instance, **short) == "InvalidParameterValue"
        rds.delete_db_instance(DBInstanceIdentifier="named", SkipFinalSnapshot=True)


def test_a_key_that_is_not_symmetric_says_what_for(account: Account) -> None:
    make = account.client("kms").create_key
    for spec in ("RSA_2048", "HMAC_256", "ECC_NIST_P256"):
        assert fails(make, KeySpec=spec) == "ValidationException"
    assert make(KeySpec="SYMMETRIC_DEFAULT")["KeyMetadata"]["KeyId"]


def test_a_part_is_copied_from_within_its_source(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="copied-parts")
    s3.put_object(Bucket="copied-parts", Key="from", Body=b"0123456789")
    named = {"Bucket": "copied-parts", "Key": "to"}
    named["UploadId"] = s3.create_multipart_upload(**named)["UploadId"]
    copied = {**named, "CopySource": "copied-parts/from"}

    def part(number: int, within: str) -> str:
        return told(
            s3.upload_part_copy, **copied, PartNumber=number, CopySourceRange=f"bytes={within}"
        )

    assert part(1, "0-9") == ""
    assert part(1, "0-10") == "InvalidArgument"
    assert part(1, "5-4") == "InvalidArgument"
    assert part(10_001, "0-9") == "InvalidArgument"
