"""Parameters that nobody reads: each has a class, and the gateway refuses what would be lost."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.localcloud.rules import unread
from scripts.localcloud.rules.unread import FILE, asks, table
from tests.localcloud.clients import Account
from tests.localcloud.unread import classes
from tests.localcloud.unread.sweep import operations

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_the_list_is_what_nobody_reads_and_no_class_excuses() -> None:
    assert FILE.read_text() == classes.render(), (
        "run python -m tests.localcloud.unread.classes, and look at what is new"
    )


@pytest.mark.slow
def test_each_pattern_is_about_something() -> None:
    refused = [f"{s}:{o}:{name}" for s, called in table().items()
               for o, names in called.items() for name in names]  # fmt: skip
    dropped = [place for called in operations() for place in classes.dropped(*called)]
    for patterns, places in (
        *((text.split(), [*classes.swept()]) for text in classes.HARMLESS.values()),
        ([*classes.NOTHING], refused),
        (classes.DROPPED.split(), dropped),
    ):
        for pattern in patterns:
            assert any(fnmatchcase(place, pattern) for place in places), pattern


@pytest.mark.parametrize(
    ("place", "given", "nothing"),
    [
        ("A", None, []),
        ("A", False, []),
        ("A", "", []),
        ("A", {"B": False, "C": [{}]}, []),
        ("A", "standard", ["standard"]),
        ("A", {"B": "standard"}, ["standard"]),
        ("A", True, [True]),
        ("A", 0, [0]),
    ],
)
def test_what_asks_for_nothing_may_be_given(place: str, given: object, nothing: list[Any]) -> None:
    assert not asks({place: given}, [place], nothing)
    assert not asks({"Other": True}, [place], nothing)


@pytest.mark.parametrize(
    ("place", "given", "nothing"),
    [
        ("A", True, []),
        ("A", 0, []),
        ("A", "other", ["standard"]),
        ("A", [{"B": None}, {"B": 1}], []),
        ("A", False, [True]),
        ("A.B", {"B": "b"}, []),
        ("A.B", [{"C": 1}, {"B": "b"}], []),
    ],
)
def test_what_asks_for_something_is_seen(place: str, given: object, nothing: list[Any]) -> None:
    assert asks({"A": given}, place.split("."), nothing)


@pytest.mark.parametrize(
    ("service", "call", "given", "name"),
    [
        ("ec2", "run_instances", {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1,
         "Placement": {"Tenancy": "dedicated"}}, "Placement.Tenancy"),
        ("ec2", "create_launch_template", {"LaunchTemplateName": "t", "LaunchTemplateData":
         {"NetworkInterfaces": [{}, {"InterfaceType": "efa"}]}},
         "LaunchTemplateData.NetworkInterfaces.InterfaceType"),
        ("ec2", "modify_vpc_endpoint", {"VpcEndpointId": "vpce-1", "ResetPolicy": True},
         "ResetPolicy"),
        ("ec2", "deregister_image", {"ImageId": "ami-1", "DeleteAssociatedSnapshots": True},
         "DeleteAssociatedSnapshots"),
        ("kms", "generate_random", {"NumberOfBytes": 8, "Recipient":
         {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"}},
         "Recipient"),
        ("logs", "put_resource_policy", {"policyName": "p", "policyDocument": "{}",
         "expectedRevisionId": "1"}, "expectedRevisionId"),
        ("s3", "delete_object", {"Bucket": "some", "Key": "k", "IfMatchSize": 0}, "IfMatchSize"),
        ("sns", "create_topic", {"Name": "masked", "DataProtectionPolicy": "{}"},
         "DataProtectionPolicy"),
        ("sts", "assume_role", {"RoleArn": "arn:aws:iam::123456789012:role/r",
         "RoleSessionName": "in", "Tags": [{"Key": "a", "Value": "b"}]}, "Tags"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused_by_its_name(
    account: Account, service: str, call: str, given: dict[str, Any], name: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(account.client(service), call)(**given)
    error = caught.value.response["Error"]
    assert error["Code"] == "LocalCloudNotImplemented"
    assert f"does not model {name} of " in error["Message"]


@pytest.mark.parametrize(
    ("service", "operation", "name"),
    [
        ("autoscaling", "CreateAutoScalingGroup", "MaxInstanceLifetime"),
        ("ec2", "CreateLaunchTemplateVersion", "SourceVersion"),
        ("elasticloadbalancing", "ModifyListener", "DefaultActions.AuthenticateOidcConfig"),
        ("iam", "CreateLoginProfile", "PasswordResetRequired"),
        ("kms", "EnableKeyRotation", "RotationPeriodInDays"),
        ("logs", "CreateLogGroup", "deletionProtectionEnabled"),
        ("rds", "RestoreDBInstanceToPointInTime", "RestoreTime"),
        ("s3", "PutObject", "WriteOffsetBytes"),
    ],
)
def test_what_attackers_would_use_is_on_the_list(service: str, operation: str, name: str) -> None:
    assert name in table()[service][operation]


def test_without_the_list_the_demand_is_lost_without_a_word(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control taken away: plaintext for an enclave alone, and a mask that is none."""
    monkeypatch.setattr(unread, "table", dict)
    kms, sns = account.client("kms"), account.client("sns")
    enclave = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"}
    assert kms.generate_random(NumberOfBytes=8, Recipient=enclave)["Plaintext"]
    topic = sns.create_topic(Name="bare", DataProtectionPolicy="{}")["TopicArn"]
    assert "DataProtectionPolicy" not in sns.get_topic_attributes(TopicArn=topic)["Attributes"]


def test_defaults_of_aws_may_be_named(account: Account) -> None:
    account.client("logs").create_log_group(logGroupName="plain", logGroupClass="STANDARD")
    key = account.client("kms").create_key()["KeyMetadata"]["KeyId"]
    account.client("kms").enable_key_rotation(KeyId=key, RotationPeriodInDays=365)
    account.client("ec2").run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, Placement={"Tenancy": "default"}
    )
