"""What a seventh attacker got in by: sizes, routes and conditions that nobody looked at, one of
AWS's words in other letters, two names of one parameter; and what was refused without a reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.access.test_fourth import deny
from tests.localcloud.access.test_names import fails
from tests.localcloud.access.test_sixth import launch
from tests.localcloud.clients import Account, statement

__all__ = ["launch"]  # the fixture
FIXED = ("LaunchConfigurationName", "LaunchTemplateVersionSpecified", "MaxSize",
         "VPCZoneIdentifiers")  # fmt: skip
SIZES_ALONE = {"Null": {f"autoscaling:{name}": "true" for name in FIXED}}


def group(account: Account, launch: dict[str, Any], name: str) -> Any:
    """A scaling group of at most two instances, and who may change its sizes alone."""
    account.client("ec2").create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": launch["ImageId"]}
    )
    account.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, MaxSize=2, VPCZoneIdentifier=launch["SubnetId"],
        LaunchTemplate={"LaunchTemplateName": name, "Version": "1"},
    )  # fmt: skip
    right = statement("autoscaling:*", Condition=SIZES_ALONE)
    return account.client("autoscaling", account.session(name, right))


def test_a_group_never_has_more_instances_than_its_largest_size(
    account: Account, launch: dict[str, Any]
) -> None:
    mine, one = group(account, launch, "sized"), {"AutoScalingGroupName": "sized"}
    assert fails(mine.update_auto_scaling_group, **one, DesiredCapacity=7) == "ValidationError"
    assert fails(mine.update_auto_scaling_group, **one, MinSize=5) == "ValidationError"
    assert fails(mine.set_desired_capacity, **one, DesiredCapacity=9) == "ValidationError"
    mine.update_auto_scaling_group(**one, DesiredCapacity=0, MinSize=0)


def test_who_switches_the_traffic_names_neither_protocol_nor_tls(
    account: Account, launch: dict[str, Any]
) -> None:
    elb, ec2 = account.client("elbv2"), account.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[launch["SubnetId"]])["Subnets"][0]["VpcId"]
    other = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.7.2.0/24", AvailabilityZone=f"{account.cloud.region}b"
    )["Subnet"]["SubnetId"]
    balancer = elb.create_load_balancer(
        Name="switch", Subnets=[launch["SubnetId"], other], Scheme="internal"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    target = elb.create_target_group(Name="switch", Protocol="HTTP", Port=80, VpcId=vpc)
    to = [{"Type": "forward", "TargetGroupArn": target["TargetGroups"][0]["TargetGroupArn"]}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=to
    )["Listeners"][0]["ListenerArn"]
    only = {
        "ForAnyValue:StringEqualsIfExists": {
            "elasticloadbalancing:ListenerProtocol": "HTTPS",
            "elasticloadbalancing:SecurityPolicy": "x",
        }
    }
    right = statement("elasticloadbalancing:ModifyListener", Condition=only)
    mine = account.client("elbv2", account.session("switches", right))
    assert mine.modify_listener(ListenerArn=listener, DefaultActions=to)
    assert fails(mine.modify_listener, ListenerArn=listener, Protocol="HTTP") == "AccessDenied"


def test_who_may_not_read_an_object_tests_no_etag(account: Account) -> None:
    s3, one = account.client("s3"), {"Bucket": "guesses", "Key": "a"}
    s3.create_bucket(Bucket="guesses")
    found = s3.put_object(**one, Body=b"secret")
    writes = statement(["s3:PutObject", "s3:DeleteObject"])
    mine = account.client("s3", account.session("guesses", writes))
    for tag in ('"0123"', found["ETag"]):
        assert fails(mine.put_object, **one, IfMatch=tag, Body=b"x") == "AccessDenied"
        assert fails(mine.delete_object, **one, IfMatch=tag) == "AccessDenied"
    reads = account.session("reader", statement(["s3:PutObject", "s3:GetObject"]))
    account.client("s3", reads).put_object(**one, IfMatch=found["ETag"], Body=b"x")
    mine.put_object(**one, Body=b"x")


CONDITIONS = ["put, not that tag", "copy, none there", "copy, that one there", "copy from that one",
              "join, that one there", "delete many, that one"]  # fmt: skip


@pytest.mark.parametrize("write", CONDITIONS)
def test_a_condition_of_a_write_is_heeded_or_refused(account: Account, write: str) -> None:
    s3, bucket = account.client("s3"), f"conditions-{CONDITIONS.index(write)}"
    one: dict[str, Any] = {"Bucket": bucket, "Key": "a"}
    s3.create_bucket(Bucket=bucket)
    s3.put_object(**one, Body=b"old")
    s3.put_object(Bucket=bucket, Key="b", Body=b"new")
    source = f"{bucket}/b"

    def join() -> None:
        upload = s3.create_multipart_upload(**one)["UploadId"]
        part = s3.upload_part(**one, UploadId=upload, PartNumber=1, Body=b"new")
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        s3.complete_multipart_upload(**one, UploadId=upload, IfMatch='"0"', MultipartUpload=parts)

    many = {"Objects": [{"Key": "a", "ETag": '"0"'}]}
    calls: list[Callable[[], Any]] = [
        lambda: s3.put_object(**one, Body=b"new", IfNoneMatch='"0"'),
        lambda: s3.copy_object(**one, CopySource=source, IfNoneMatch="*"),
        lambda: s3.copy_object(**one, CopySource=source, IfMatch='"0"'),
        lambda: s3.copy_object(**one, CopySource=source, CopySourceIfMatch='"0"'),
        join,
        lambda: s3.delete_objects(Bucket=bucket, Delete=many),
    ]
    with suppress(ClientError):
        calls[CONDITIONS.index(write)]()
    assert s3.get_object(**one)["Body"].read() == b"old"


def test_one_of_awss_words_has_its_own_letters(account: Account, launch: dict[str, Any]) -> None:
    loose = deny("ec2:RunInstances", {"StringEquals": {"ec2:MetadataHttpTokens": "optional"}})
    mine = account.client("ec2", account.session("letters", statement("*"), loose))
    for word in ("Optional", " optional", "optional "):
        assert fails(mine.run_instances, **launch, MetadataOptions={"HttpTokens": word})
    key = account.client("kms")
    assert fails(key.create_key, KeyUsage="encrypt_decrypt") == "ValidationException"


def test_a_parameter_of_a_hierarchy_has_one_name(account: Account) -> None:
    ssm = account.client("ssm")
    text = {"Value": "told", "Type": "String"}
    assert fails(ssm.put_parameter, Name="seventh/secret", **text) == "ValidationException"
    ssm.put_parameter(Name="/seventh/secret", **text)
    ssm.put_parameter(Name="seventh", **text)


def test_what_was_terminated_is_not_started(account: Account, launch: dict[str, Any]) -> None:
    ec2 = account.client("ec2")
    one = {"InstanceIds": [ec2.run_instances(**launch)["Instances"][0]["InstanceId"]]}
    ec2.terminate_instances(**one)
    assert fails(ec2.start_instances, **one) == "IncorrectInstanceState"


def test_a_route_that_is_there_stays(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.66.0.0/16")["Vpc"]["VpcId"]
    gate = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gate, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    mine = account.client("ec2", account.session("routes", statement("ec2:CreateRoute")))
    local = {"RouteTableId": table, "DestinationCidrBlock": "10.66.0.0/16", "GatewayId": gate}
    assert fails(mine.create_route, **local) == "RouteAlreadyExists"
    assert fails(ec2.replace_route, **local) == "InvalidParameterValue"
    out = {**local, "DestinationCidrBlock": "0.0.0.0/0"}
    ec2.create_route(**out)
    assert fails(mine.create_route, **out) == "RouteAlreadyExists"


def test_a_rotation_without_a_function_keeps_the_secret(account: Account) -> None:
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="rotates", SecretString="kept")
    assert fails(secrets.rotate_secret, SecretId="rotates") == "InvalidRequestException"
    assert secrets.get_secret_value(SecretId="rotates")["SecretString"] == "kept"


def test_an_algorithm_is_the_keys_and_not_what_a_request_says(account: Account) -> None:
    kms = account.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"told")["CiphertextBlob"]
    usual = {"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}
    mine = account.client(
        "kms", account.session("claims", statement("*"), deny("kms:Decrypt", usual))
    )
    said = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert fails(mine.decrypt, **said, CiphertextBlob=blob) == "InvalidKeyUsageException"
    assert fails(kms.encrypt, **said, Plaintext=b"x") == "InvalidKeyUsageException"
    mac = kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"]
    wrong = {"KeyId": mac, "MacAlgorithm": "HMAC_SHA_512", "Message": b"x"}
    assert fails(kms.generate_mac, **wrong) == "InvalidKeyUsageException"
    assert fails(kms.encrypt, KeyId=mac, Plaintext=b"x") == "InvalidKeyUsageException"
    assert kms.generate_mac(**{**wrong, "MacAlgorithm": "HMAC_SHA_256"})["Mac"]
    pair = kms.create_key(KeyUsage="ENCRYPT_DECRYPT", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    sealed = kms.encrypt(**{**said, "KeyId": pair}, Plaintext=b"told")["CiphertextBlob"]
    assert kms.decrypt(**{**said, "KeyId": pair}, CiphertextBlob=sealed)["Plaintext"] == b"told"


def test_a_mixed_group_is_refused_before_it_changes_anything(
    account: Account, launch: dict[str, Any]
) -> None:
    mine, one = group(account, launch, "mixed"), {"AutoScalingGroupName": "mixed"}
    mixed = {"LaunchTemplate": {"Overrides": [{"InstanceType": "m5.large"}]}}
    assert fails(mine.update_auto_scaling_group, **one, MixedInstancesPolicy=mixed)
    groups = account.client("autoscaling").describe_auto_scaling_groups
    [found] = groups(AutoScalingGroupNames=["mixed"])["AutoScalingGroups"]
    assert "MixedInstancesPolicy" not in found
