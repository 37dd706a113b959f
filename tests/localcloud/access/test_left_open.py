"""What the seventh attack left open: AWS's words in other letters, what its models state, calls
that fail half-way, and rules of services that few calls meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.localcloud.emulator import undo
from tests.localcloud.access.test_fourth import deny
from tests.localcloud.access.test_names import fails
from tests.localcloud.access.test_sixth import launch
from tests.localcloud.clients import Account, statement

__all__ = ["launch"]  # the fixture
DATABASE = {"DBInstanceIdentifier": "lettered", "Engine": "postgres", "AllocatedStorage": 20,
            "DBInstanceClass": "db.t3.micro", "MasterUsername": "owner",
            "ManageMasterUserPassword": True, "PubliclyAccessible": False}  # fmt: skip


# AWS's words that a policy forbids, by condition key.
FORBIDDEN = {
    "cloudwatch:AlarmActions": "arn:aws:sns:us-east-1:1:t",
    "ec2:Attribute/InstanceType": "m5.large",
    "ec2:AvailabilityZone": "us-east-1a",
    "ec2:MetadataHttpTokens": "optional",
    "ec2:VpceServiceName": "com.amazonaws.us-east-1.s3",
    "elasticloadbalancing:SecurityPolicy": "ELBSecurityPolicy-2016-08",
    "rds:DatabaseClass": "db.r5.large",
    "rds:DatabaseEngine": "postgres",
}


@pytest.fixture(scope="module")
def forbidden(account: Account) -> Credentials:
    denied = [deny("*", {"StringEquals": {key: word}}) for key, word in FORBIDDEN.items()]
    return account.session("forbidden", statement("*"), *denied)


ALARM = {
    "AlarmName": "a",
    "ComparisonOperator": "GreaterThanThreshold",
    "EvaluationPeriods": 1,
    "MetricName": "m",
    "Namespace": "n",
    "Period": 60,
    "Statistic": "Sum",
    "Threshold": 1,
}
LISTENER = {"LoadBalancerArn": "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/a/0a",
            "DefaultActions": [{"Type": "forward"}], "Protocol": "HTTPS", "Port": 443}  # fmt: skip


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code"),
    [
        ("rds", "create_db_instance", {**DATABASE, "DBInstanceClass": "DB.R5.LARGE"},
         "InvalidParameterValue"),
        ("rds", "create_db_instance", {**DATABASE, "DBInstanceClass": "db.r5.large "},
         "InvalidParameterValue"),
        ("rds", "create_db_instance", {**DATABASE, "Engine": "Postgres"}, "AccessDenied"),
        ("ec2", "create_volume", {"AvailabilityZone": "US-EAST-1A", "Size": 1},
         "InvalidParameterValue"),
        ("ec2", "create_vpc_endpoint",
         {"VpcId": "vpc-0a", "ServiceName": "com.amazonaws.US-EAST-1.s3"},
         "InvalidParameterValue"),
        ("ec2", "modify_instance_attribute",
         {"InstanceId": "i-0a", "InstanceType": {"Value": "M5.large"}}, "InvalidParameterValue"),
        ("elbv2", "create_listener", {**LISTENER, "SslPolicy": "elbsecuritypolicy-2016-08"},
         "ValidationError"),
        ("cloudwatch", "put_metric_alarm",
         {**ALARM, "AlarmActions": ["arn:aws:SNS:us-east-1:1:t"]}, "ValidationException"),
        ("ec2", "run_instances",
         {"ImageId": "ami-0a", "MinCount": 1, "MaxCount": 1,
          "MetadataOptions": {"HttpTokens": "none"}}, "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_no_word_of_aws_passes_a_deny_in_other_letters(
    account: Account, forbidden: Credentials, service: str, call: str, arguments: dict[str, Any],
    code: str,
) -> None:  # fmt: skip
    assert fails(getattr(account.client(service, forbidden), call), **arguments) == code


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code"),
    [
        ("iam", "update_role", {"RoleName": "x", "MaxSessionDuration": 99_999}, "ValidationError"),
        ("iam", "update_access_key", {"AccessKeyId": "A" * 16, "Status": "Off"},
         "ValidationError"),
        ("iam", "create_role", {"RoleName": "x" * 65, "AssumeRolePolicyDocument": "{}"},
         "ValidationError"),
        ("elbv2", "create_listener", {**LISTENER, "Port": 65_536}, "ValidationError"),
        ("ssm", "put_parameter", {"Name": "x", "Value": "y", "Type": "Text"},
         "ValidationException"),
        ("ssm", "get_parameters", {"Names": [f"n{number}" for number in range(11)]},
         "ValidationException"),
        ("kms", "create_key", {"Tags": [{"TagKey": "x" * 129, "TagValue": "y"}]},
         "ValidationException"),
        ("kms", "encrypt", {"KeyId": "x", "Plaintext": b"x" * 4097}, "ValidationException"),
        ("secretsmanager", "create_secret", {"Name": "x", "SecretString": "x" * 65_537},
         "ValidationException"),
        ("scheduler", "create_schedule_group", {"Name": "x" * 65}, "ValidationException"),
        ("logs", "create_log_group", {"logGroupName": "x", "tags": {"k" * 129: "v"}},
         "InvalidParameterException"),
        ("ec2", "describe_vpcs", {"MaxResults": 1001}, "InvalidParameterValue"),
        ("s3", "put_object", {"Bucket": "x-y-z", "Key": "a", "StorageClass": "COLD"},
         "InvalidStorageClass"),
        ("s3", "put_object", {"Bucket": "x-y-z", "Key": "a", "ACL": "anyone"}, "InvalidArgument"),
        ("s3", "create_bucket",
         {"Bucket": "x-y-z", "CreateBucketConfiguration": {"LocationConstraint": "us-east-1"}},
         "InvalidLocationConstraint"),
    ],
)  # fmt: skip
def test_what_the_model_of_a_call_rules_out_is_refused(
    account: Account, service: str, call: str, arguments: dict[str, Any], code: str
) -> None:
    assert fails(getattr(account.client(service), call), **arguments) == code


# Half-way


def balancer(account: Account, name: str, subnets: tuple[str, str]) -> tuple[str, Any]:
    """A load balancer with a listener of port 80, and the listener."""
    elb = account.client("elbv2")
    made = elb.create_load_balancer(Name=name, Subnets=list(subnets), Scheme="internal")
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(Name=name, Protocol="HTTP", Port=80,
                                    VpcId=made["LoadBalancers"][0]["VpcId"])  # fmt: skip
    to = [{"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}]
    one = {"LoadBalancerArn": arn, "Protocol": "HTTP", "DefaultActions": to}
    return arn, elb.create_listener(**one, Port=80)["Listeners"][0]


@pytest.fixture(scope="module")
def subnets(account: Account) -> tuple[str, str]:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    first, second = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.8.{number}.0/24",
                          AvailabilityZone=f"{account.cloud.region}{zone}")["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    )  # fmt: skip
    return first, second


def halves(account: Account, subnets: tuple[str, str]) -> Any:
    """A change that moto begins and then fails, and the port that it changes."""
    elb = account.client("elbv2")
    arn, listener = balancer(account, f"half-{len(elb.describe_load_balancers()['LoadBalancers'])}",
                             subnets)  # fmt: skip
    wrong = {"CertificateArn": f"arn:aws:acm:us-east-1:{account.cloud.account_id}:certificate/0"}
    fails(elb.modify_listener, ListenerArn=listener["ListenerArn"], Port=81, Protocol="HTTPS",
          Certificates=[wrong], DefaultActions=listener["DefaultActions"])  # fmt: skip
    return elb.describe_listeners(LoadBalancerArn=arn)["Listeners"][0]["Port"]


def test_what_a_failed_call_changed_is_as_before(
    account: Account, subnets: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert halves(account, subnets) == 80
    monkeypatch.setattr(undo.Kept, "restore", lambda _: None)
    assert halves(account, subnets) == 81


def test_what_a_failed_call_made_is_gone(account: Account, subnets: tuple[str, str]) -> None:
    scaling, ec2 = account.client("autoscaling"), account.client("ec2")
    ec2.create_launch_template(LaunchTemplateName="nothing", LaunchTemplateData={"KeyName": "k"})
    fails(scaling.create_auto_scaling_group, AutoScalingGroupName="half", MinSize=1, MaxSize=1,
          VPCZoneIdentifier=subnets[0], LaunchTemplate={"LaunchTemplateName": "nothing"},
          TargetGroupARNs=["arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/0"],
          )  # fmt: skip
    assert not scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["half"])[
        "AutoScalingGroups"
    ]


# Unsigned


@pytest.mark.parametrize(
    ("call", "arguments", "code"),
    [
        ("copy_object", {"CopySource": "anybodys-things/a"}, "AccessDenied"),
        ("create_multipart_upload", {}, "AccessDenied"),
        ("get_object", {"ResponseContentType": "text/html"}, "InvalidRequest"),
    ],
)
def test_nobody_copies_begins_uploads_or_names_headers_unsigned(
    account: Account, call: str, arguments: dict[str, Any], code: str
) -> None:
    s3, one = account.client("s3"), {"Bucket": "anybodys-things", "Key": "a"}
    with suppress(ClientError):
        s3.create_bucket(Bucket="anybodys-things")
    s3.delete_public_access_block(Bucket="anybodys-things")
    s3.put_object(**one, Body=b"x")
    anybody = {"Principal": "*", "Effect": "Allow", "Action": "s3:*Object",
               "Resource": "arn:aws:s3:::anybodys-things/*"}  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": anybody})
    s3.put_bucket_policy(Bucket="anybodys-things", Policy=policy)
    assert account.unsigned("s3").get_object(**one)["Body"].read() == b"x"
    assert fails(getattr(account.unsigned("s3"), call), **{**one, **arguments}) == code


# Databases


@pytest.fixture(scope="module")
def database(account: Account) -> Iterator[str]:
    """A database as moto keeps it, without its PostgreSQL, backups or a given password."""
    rds = account.cloud.emulator.backend("rds")
    made = rds.create_db_instance(
        {"db_instance_identifier": "kept", "engine": "postgres", "engine_version": "17.4",
         "db_instance_class": "db.t3.micro", "allocated_storage": 20, "master_username": "owner",
         "manage_master_user_password": True, "backup_retention_period": 0}
    )  # fmt: skip
    rds.create_db_snapshot("kept", "kept-once")
    yield made.db_instance_identifier
    rds.database_snapshots.pop("kept-once")
    rds.databases.pop("kept")


@pytest.mark.parametrize(
    ("call", "arguments", "code"),
    [
        ("restore_db_instance_from_db_snapshot",
         {"DBSnapshotIdentifier": "kept-once", "DBInstanceIdentifier": "new", "Engine": "mysql"},
         "InvalidParameterCombination"),
        ("restore_db_instance_to_point_in_time",
         {"SourceDBInstanceIdentifier": "kept", "TargetDBInstanceIdentifier": "new",
          "Engine": "MySQL", "UseLatestRestorableTime": True}, "InvalidParameterCombination"),
        ("restore_db_instance_to_point_in_time",
         {"SourceDBInstanceIdentifier": "kept", "TargetDBInstanceIdentifier": "new",
          "UseLatestRestorableTime": True}, "PointInTimeRestoreNotEnabled"),
        ("modify_db_instance",
         {"DBInstanceIdentifier": "kept", "MasterUserPassword": "another-one"},
         "InvalidParameterCombination"),
        ("create_db_instance", {**DATABASE, "MasterUserPassword": "another-one"},
         "InvalidParameterCombination"),
    ],
)  # fmt: skip
def test_a_database_is_restored_as_it_was_and_has_one_password(
    account: Account, database: str, call: str, arguments: dict[str, Any], code: str
) -> None:
    assert database
    assert fails(getattr(account.client("rds"), call), **arguments) == code


# Rules that few calls meet


FORWARD = {"Type": "forward", "ForwardConfig": {"TargetGroups": [
    {"TargetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/0",
     "Weight": 1000}]}}  # fmt: skip
SESSION = json.dumps({"schemaVersion": "1.0", "sessionType": "Standard_Stream"})
DOCUMENT = {"Name": "odd", "Content": SESSION}
PARAMETER = {"Name": "odd", "Type": "String"}
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code"),
    [
        ("ssm", "put_parameter", {**PARAMETER, "Value": "x" * 4097}, "ValidationException"),
        ("ssm", "put_parameter", {**PARAMETER, "Value": "x" * 8193, "Tier": "Advanced"},
         "ValidationException"),
        ("ssm", "put_parameter", {**PARAMETER, "Value": "x", "AllowedPattern": "y"},
         "LocalCloudNotImplemented"),
        ("ssm", "create_document", {**DOCUMENT, "DocumentType": "Command"},
         "InvalidDocumentSchemaVersion"),
        ("ssm", "create_document", DOCUMENT, "InvalidDocumentSchemaVersion"),
        ("ssm", "create_document", {**DOCUMENT, "DocumentType": "Package"},
         "LocalCloudNotImplemented"),
        ("s3", "put_bucket_versioning",
         {"Bucket": "odd-things", "MFA": "1 2",
          "VersioningConfiguration": {"Status": "Enabled", "MFADelete": "Enabled"}},
         "LocalCloudNotImplemented"),
        ("s3", "put_object", {"Bucket": "odd-things", "Key": "a", "ObjectLockMode": "GOVERNANCE",
                              "ObjectLockRetainUntilDate": PAST}, "InvalidArgument"),
        ("elbv2", "create_listener", {**LISTENER, "DefaultActions": [FORWARD]},
         "ValidationError"),
        ("secretsmanager", "update_secret_version_stage",
         {"SecretId": "odd", "VersionStage": "AWSCURRENT", "RemoveFromVersionId": "0" * 32},
         "InvalidParameterException"),
        ("ec2", "create_volume", {"AvailabilityZone": "us-east-1a", "Size": 0},
         "InvalidParameterValue"),
        ("ec2", "create_launch_template",
         {"LaunchTemplateName": "odd", "LaunchTemplateData": {
             "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 0}}]}},
         "InvalidParameterValue"),
        ("cloudwatch", "put_metric_data",
         {"Namespace": "AWS/EC2", "MetricData": [{"MetricName": "m", "Value": 1.0}]},
         "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_what_aws_refuses_of_a_call_alone_is_refused(
    account: Account, service: str, call: str, arguments: dict[str, Any], code: str
) -> None:
    if service == "s3":
        with suppress(ClientError):
            account.client("s3").create_bucket(Bucket="odd-things", ObjectLockEnabledForBucket=True)
    if service == "secretsmanager":
        account.client(service).create_secret(Name="odd", SecretString="x")
    assert fails(getattr(account.client(service), call), **arguments) == code


def test_a_parameter_keeps_its_type(account: Account) -> None:
    ssm = account.client("ssm")
    ssm.put_parameter(Name="typed", Value="x", Type="SecureString")
    again = {"Name": "typed", "Value": "y", "Overwrite": True}
    assert fails(ssm.put_parameter, **again, Type="String") == "LocalCloudNotImplemented"
    ssm.put_parameter(**again, Type="SecureString")
    ssm.put_parameter(Name="large", Value="x" * 4097, Type="String", Tier="Intelligent-Tiering")


def test_a_listener_is_not_moved_to_a_port_that_is_taken(
    account: Account, subnets: tuple[str, str]
) -> None:
    elb = account.client("elbv2")
    arn, listener = balancer(account, "moved", subnets)
    to = {"DefaultActions": listener["DefaultActions"]}
    other = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=81, **to)
    one = {"ListenerArn": other["Listeners"][0]["ListenerArn"], **to}
    assert fails(elb.modify_listener, **one, Port=80) == "DuplicateListener"
    elb.modify_listener(**one, Port=81)
    elb.modify_listener(**one)


def test_an_instance_changes_its_type_while_it_is_stopped(
    account: Account, launch: dict[str, Any]
) -> None:
    ec2 = account.client("ec2")
    one = {"InstanceId": ec2.run_instances(**launch)["Instances"][0]["InstanceId"]}
    changed = {**one, "InstanceType": {"Value": "t3.large"}}
    assert fails(ec2.modify_instance_attribute, **changed) == "IncorrectInstanceState"
    ec2.stop_instances(InstanceIds=list(one.values()))
    ec2.modify_instance_attribute(**changed)
    named = {**one, "Name": "golden-image"}
    ec2.create_image(**named)
    assert fails(ec2.create_image, **named) == "InvalidAMIName.Duplicate"


def test_a_network_has_one_internet_gateway(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    first, second = (
        ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"] for _ in range(2)
    )
    ec2.attach_internet_gateway(InternetGatewayId=first, VpcId=vpc)
    wrong = {"InternetGatewayId": second, "VpcId": vpc}
    assert fails(ec2.attach_internet_gateway, **wrong) == "InvalidParameterValue"
    ec2.detach_internet_gateway(InternetGatewayId=first, VpcId=vpc)
    ec2.attach_internet_gateway(**wrong)


def test_a_scaling_group_asks_for_no_protection_that_nobody_keeps(
    account: Account, subnets: tuple[str, str], launch: dict[str, Any]
) -> None:
    data = {"ImageId": launch["ImageId"], "DisableApiTermination": True}
    account.client("ec2").create_launch_template(
        LaunchTemplateName="protected", LaunchTemplateData=data
    )
    code = fails(account.client("autoscaling").create_auto_scaling_group, MinSize=0, MaxSize=1,
                 AutoScalingGroupName="protected", VPCZoneIdentifier=subnets[0],
                 LaunchTemplate={"LaunchTemplateName": "protected"})  # fmt: skip
    assert code == "LocalCloudNotImplemented"


def test_a_session_has_ten_managed_policies_at_most(account: Account) -> None:
    arn = account.job_role("many-policies")
    read = {"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    with pytest.raises(ClientError, match="At most 10"):
        account.assume(arn, PolicyArns=[read] * 11)
    account.assume(arn, PolicyArns=[read])
