"""A fourteenth attack: what is not there yet, whom a policy or service may name, keys of others.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.localcloud.rules import belonging
from scripts.localcloud.rules import networks as rules
from tests.localcloud.clients import Account, statement
from tests.localcloud.test_eleventh import told

OTHERS = "999999999999"
TAGS = [{"Key": "owner", "Value": "me"}]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def plants(account: Account) -> dict[str, tuple[dict[str, Any], str]]:
    """Calls on things that nobody has made, by client and method: parameters and AWS's code."""
    region, ours = account.cloud.region, account.cloud.account_id
    group = {"AutoScalingGroupName": "planted"}
    return {
        "logs tag_resource": (
            {"resourceArn": f"arn:aws:logs:{region}:{ours}:log-group:planted",
             "tags": {"owner": "me"}},
            "ResourceNotFoundException",
        ),
        "scheduler tag_resource": (
            {"ResourceArn": f"arn:aws:scheduler:{region}:{ours}:schedule-group/planted",
             "Tags": TAGS},
            "ResourceNotFoundException",
        ),
        "cloudtrail add_tags": (
            {"ResourceId": f"arn:aws:cloudtrail:{region}:{ours}:trail/planted",
             "TagsList": TAGS},
            "ResourceNotFoundException",
        ),
        "rds add_tags_to_resource": (
            {"ResourceName": f"arn:aws:rds:{region}:{ours}:db:planted", "Tags": TAGS},
            "DBInstanceNotFound",
        ),
        "ec2 create_tags": (
            {"Resources": ["i-0123456789abcdef0"], "Tags": TAGS}, "InvalidInstanceID.NotFound"
        ),
        "autoscaling put_scheduled_update_group_action": (
            {**group, "ScheduledActionName": "grow", "DesiredCapacity": 9}, "ValidationError"
        ),
        "autoscaling put_scaling_policy": (
            {**group, "PolicyName": "grow", "AdjustmentType": "ExactCapacity",
             "ScalingAdjustment": 9},
            "ValidationError",
        ),
    }  # fmt: skip


def test_nothing_is_planted_on_what_is_made_later(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html"""
    for call, (given, code) in plants(account).items():
        service, method = call.split()
        assert told(getattr(account.client(service), method), **given) == code, call
    monkeypatch.setattr(belonging, "ABOUT", {})
    logs = account.client("logs")
    given, _ = plants(account)["logs tag_resource"]
    logs.tag_resource(**given)
    logs.create_log_group(logGroupName="planted")
    shown = logs.list_tags_for_resource(resourceArn=given["resourceArn"])
    assert shown["tags"] == {"owner": "me"}


def test_what_is_there_is_tagged(account: Account) -> None:
    logs, scheduler = account.client("logs"), account.client("scheduler")
    logs.create_log_group(logGroupName="tagged")
    [group] = logs.describe_log_groups(logGroupNamePrefix="tagged")["logGroups"]
    logs.tag_resource(resourceArn=group["logGroupArn"], tags={"owner": "me"})
    logs.untag_resource(resourceArn=group["logGroupArn"], tagKeys=["owner"])
    made = scheduler.create_schedule_group(Name="tagged")["ScheduleGroupArn"]
    scheduler.tag_resource(ResourceArn=made, Tags=TAGS)


@pytest.mark.parametrize("name", ["role/nobody", "user/nobody", "AROAAAAAAAAAAAAAAAAAA"])
def test_a_policy_names_nobody_who_is_made_later(account: Account, name: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    who = name if "/" not in name else f"arn:aws:iam::{account.cloud.account_id}:{name}"
    s3, secrets, sns = (account.client(one) for one in ("s3", "secretsmanager", "sns"))
    secret = f"of-{name[:4]}-{name[-1]}"
    secrets.create_secret(Name=secret, SecretString="s")
    topic = sns.create_topic(Name="named")["TopicArn"]
    s3.create_bucket(Bucket="named-by-policies")

    def text(action: str, resource: str) -> str:
        return policy({**statement(action, resource), "Principal": {"AWS": who}})

    assert told(
        secrets.put_resource_policy,
        SecretId=secret,
        ResourcePolicy=text("secretsmanager:GetSecretValue", "*"),
    ) == ("MalformedPolicyDocumentException")
    assert told(
        sns.set_topic_attributes,
        TopicArn=topic,
        AttributeName="Policy",
        AttributeValue=text("sns:Publish", topic),
    ) == ("InvalidParameter")
    assert told(
        s3.put_bucket_policy,
        Bucket="named-by-policies",
        Policy=text("s3:GetObject", "arn:aws:s3:::named-by-policies/*"),
    ) == ("MalformedPolicy")


def test_a_key_of_another_account_is_not_ours(account: Account) -> None:
    kms, ours = account.client("kms"), account.cloud.account_id
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    kms.encrypt(KeyId=arn, Plaintext=b"x")
    for other in (arn.replace(ours, OTHERS), arn.replace(ours, ""),
                  arn.replace(account.cloud.region, "")):  # fmt: skip
        assert told(kms.encrypt, KeyId=other, Plaintext=b"x")
        assert told(kms.get_key_policy, KeyId=other, PolicyName="default")
    logs = account.client("logs")
    given = {"logGroupName": "with-a-key", "kmsKeyId": arn.replace(ours, OTHERS)}
    assert told(logs.create_log_group, **given) == "InvalidParameterException"


def test_a_command_that_nobody_runs_does_not_succeed(account: Account) -> None:
    ssm = account.client("ssm")
    given = {"DocumentName": "no-document", "InstanceIds": ["i-0123456789abcdef0"]}
    assert told(ssm.send_command, **given) == "LocalCloudNotImplemented"


def test_a_schedule_has_a_role_that_trusts_its_service(account: Account) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html"""
    scheduler, ours = account.client("scheduler"), account.cloud.account_id

    def role(name: str, **more: Any) -> str:
        trust = statement("sts:AssumeRole", **more)
        del trust["Resource"]
        return account.role(name, {"Version": "2012-10-17", "Statement": trust})

    service = {"Principal": {"Service": "scheduler.amazonaws.com"}}
    source = {"aws:SourceArn": f"arn:aws:scheduler:*:{ours}:schedule-group/default"}
    trusting = {
        role("for-ec2", Principal={"Service": "ec2.amazonaws.com"}): "ValidationException",
        f"arn:aws:iam::{ours}:role/no-role": "ValidationException",
        role("of-others", **service, Condition={"StringEquals": {"aws:SourceAccount": OTHERS}}): (
            "ValidationException"
        ),
        role("of-any", **service): "",
        role("of-ours", **service, Condition={"StringEquals": {"aws:SourceAccount": ours}}): "",
        role("of-a-group", **service, Condition={"ArnLike": source}): "",
    }
    for number, (arn, code) in enumerate(trusting.items()):
        target = {"Arn": "arn:aws:scheduler:::aws-sdk:rds:stopDBInstance", "RoleArn": arn}
        given = {"Name": f"s{number}", "ScheduleExpression": "rate(1 hour)", "Target": target,
                 "FlexibleTimeWindow": {"Mode": "OFF"}}  # fmt: skip
        assert told(scheduler.create_schedule, **given) == code, arn


def test_new_objects_alone_are_held_to_conditional_writes(account: Account) -> None:
    """AWS's third example.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    s3 = account.client("s3")
    s3.create_bucket(Bucket="conditional-only")
    deny = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::conditional-only/*",
        "Condition": {"Null": {"s3:if-none-match": "true", "s3:if-match": "true"},
                      "Bool": {"s3:ObjectCreationOperation": "true"}},
    }  # fmt: skip
    s3.put_bucket_policy(Bucket="conditional-only", Policy=policy(deny))
    one = {"Bucket": "conditional-only", "Key": "k"}
    assert told(s3.put_object, **one, Body=b"x") == "AccessDenied"
    s3.put_object(**one, Body=b"x", IfNoneMatch="*")
    other = {**one, "Key": "in-parts"}
    upload = s3.create_multipart_upload(**other)["UploadId"]
    part = s3.upload_part(**other, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    joined = {**other, "UploadId": upload, "MultipartUpload": parts}
    assert told(s3.complete_multipart_upload, **joined) == "AccessDenied"
    s3.complete_multipart_upload(**joined, IfNoneMatch="*")


@pytest.fixture(scope="module")
def networks(account: Account) -> dict[str, Any]:
    """Two subnets and a group of the default network, the same of another one."""
    ec2, zone = account.client("ec2"), f"{account.cloud.region}a"
    ours = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
    other = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    theirs = [
        ec2.create_subnet(VpcId=other, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=zone)
        for n in (1, 2)
    ]
    group = ec2.create_security_group(GroupName="theirs", Description="d", VpcId=other)
    table = ec2.create_route_table(VpcId=other)["RouteTable"]["RouteTableId"]
    return {
        "ours": ours, "other": other, "group": group["GroupId"], "table": table,
        "theirs": [one["Subnet"]["SubnetId"] for one in theirs],
    }  # fmt: skip


def test_nothing_is_put_together_of_two_networks(
    account: Account, networks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2, group, (ours, _) = account.client("ec2"), networks["group"], networks["ours"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    one = {"ImageId": image, "MinCount": 1, "MaxCount": 1}
    inside = [{"DeviceIndex": 0, "SubnetId": ours, "Groups": [group]}]
    endpoint = {"VpcId": networks["other"], "VpcEndpointType": "Interface", "SubnetIds": [ours],
                "ServiceName": f"com.amazonaws.{account.cloud.region}.ssm"}  # fmt: skip
    place = {"SubnetId": networks["theirs"][0], "SecurityGroupIds": [group]}
    launched = ec2.run_instances(**one, **place)["Instances"][0]["InstanceId"]
    own = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    for call, given in (
        (ec2.run_instances, {**one, "SubnetId": ours, "SecurityGroupIds": [group]}),
        (ec2.run_instances, {**one, "NetworkInterfaces": inside}),
        (ec2.create_network_interface, {"SubnetId": ours, "Groups": [group]}),
        (ec2.associate_route_table, {"RouteTableId": networks["table"], "SubnetId": ours}),
        (ec2.create_vpc_endpoint, endpoint),
        (ec2.modify_instance_attribute, {"InstanceId": launched, "Groups": [own]}),
    ):
        assert told(call, **given) == "InvalidParameter", given
    data = {"ImageId": image, "InstanceType": "t3.micro", "SecurityGroupIds": [group]}
    ec2.create_launch_template(LaunchTemplateName="theirs", LaunchTemplateData=data)
    scaling = {"AutoScalingGroupName": "mixed", "MinSize": 0, "MaxSize": 1,
               "LaunchTemplate": {"LaunchTemplateName": "theirs"}}  # fmt: skip
    create = account.client("autoscaling").create_auto_scaling_group
    assert told(create, **scaling, VPCZoneIdentifier=ours) == "ValidationError"
    create(**scaling, VPCZoneIdentifier=networks["theirs"][0])
    monkeypatch.setattr(rules, "_TOGETHER", {})
    ec2.run_instances(**one, SubnetId=ours, SecurityGroupIds=[group])


def test_a_database_and_its_network_are_such_as_rds_takes(
    account: Account, networks: dict[str, Any]
) -> None:
    rds, (first, second) = account.client("rds"), networks["ours"]
    named = {"DBSubnetGroupName": "two-zones", "DBSubnetGroupDescription": "d"}
    make = rds.create_db_subnet_group
    uncovered = "DBSubnetGroupDoesNotCoverEnoughAZs"
    assert told(make, **named, SubnetIds=[first]) == uncovered
    assert told(make, **named, SubnetIds=networks["theirs"]) == uncovered
    assert told(make, **named, SubnetIds=[first, networks["theirs"][0]]) == "InvalidSubnet"
    make(**named, SubnetIds=[first, second])
    database = {"DBInstanceIdentifier": "placed", "DBInstanceClass": "db.t3.micro",
                "Engine": "postgres", "MasterUsername": "owner", "AllocatedStorage": 20,
                "MasterUserPassword": "not-a-secret"}  # fmt: skip
    for group, code in (
        (networks["group"], "InvalidParameterCombination"),
        ("sg-0123456789abcdef0", "InvalidParameterValue"),
    ):
        for more in ({}, {"DBSubnetGroupName": "two-zones"}):
            asked = {**database, **more, "VpcSecurityGroupIds": [group]}
            assert told(rds.create_db_instance, **asked) == code
    rds.create_db_instance(**database, DBSubnetGroupName="two-zones")
    change = {"DBInstanceIdentifier": "placed", "VpcSecurityGroupIds": [networks["group"]]}
    assert told(rds.modify_db_instance, **change) == "InvalidParameterCombination"
    rds.modify_db_instance(DBInstanceIdentifier="placed", BackupRetentionPeriod=35)


def test_a_load_balancer_and_its_network_are_such_as_elb_takes(
    account: Account, networks: dict[str, Any]
) -> None:
    elb, ours = account.client("elbv2"), networks["ours"]
    make, wrong = elb.create_load_balancer, "InvalidConfigurationRequest"
    assert told(make, Name="one", Subnets=ours[:1]) == "ValidationError"
    assert told(make, Name="one", Subnets=networks["theirs"]) == "ValidationError"
    assert told(make, Name="one", Subnets=ours, SecurityGroups=[networks["group"]]) == wrong
    assert told(make, Name="one", Subnets=ours, SecurityGroups=["sg-0123456789abcdef0"]) == wrong
    made = make(Name="one", Subnets=ours)["LoadBalancers"][0]["LoadBalancerArn"]
    change = {"LoadBalancerArn": made, "SecurityGroups": [networks["group"]]}
    assert told(elb.set_security_groups, **change) == wrong
    group = elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=networks["other"])
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
    forward = {"Type": "forward", "TargetGroupArn": arn}
    for protocol, action in (("HTTPS", fixed), ("HTTP", forward)):
        given = {"LoadBalancerArn": made, "Protocol": protocol, "Port": 80}
        assert told(elb.create_listener, **given, DefaultActions=[action]) == "ValidationError"


def test_a_database_has_a_parameter_group_of_its_version(account: Account) -> None:
    rds = account.client("rds")
    for major in (15, 16):
        rds.create_db_parameter_group(
            DBParameterGroupName=f"of-{major}", DBParameterGroupFamily=f"postgres{major}",
            Description="d",
        )  # fmt: skip
    database = {"DBInstanceIdentifier": "of-16", "DBInstanceClass": "db.t3.micro",
                "Engine": "postgres", "EngineVersion": "16.6", "MasterUsername": "owner",
                "AllocatedStorage": 20, "MasterUserPassword": "not-a-secret"}  # fmt: skip
    wrong = "InvalidParameterCombination"
    assert told(rds.create_db_instance, **database, DBParameterGroupName="of-15") == wrong
    assert told(rds.create_db_instance, **{**database, "AllocatedStorage": 19}) == wrong
    for days in (-1, 36):
        asked = {**database, "BackupRetentionPeriod": days}
        assert told(rds.create_db_instance, **asked) == "InvalidParameterValue"


@pytest.mark.parametrize(
    "name",
    ["xn--bucket", "sthree-bucket", "amzn-s3-demo-bucket", "two..dots", "192.168.1.1", "a-s3alias",
     "a--ol-s3"],
)  # fmt: skip
def test_s3_keeps_some_names_of_buckets(account: Account, name: str) -> None:
    assert told(account.client("s3").create_bucket, Bucket=name) == "InvalidBucketName"


@pytest.mark.parametrize(
    ("protocol", "first", "last", "code"),
    [
        ("tcp", 20, 10, "InvalidParameterValue"),
        ("tcp", 1, 70_000, "InvalidParameterValue"),
        ("tcp", 22, None, "InvalidParameterValue"),
        ("http", 80, 80, "InvalidParameterValue"),
        ("256", 80, 80, "InvalidParameterValue"),
        ("udp", 53, 53, ""),
        ("icmp", 8, 0, ""),
        ("-1", None, None, ""),
    ],
)
def test_a_rule_has_a_protocol_and_ports(
    account: Account, networks: dict[str, Any], protocol: str, first: int, last: int, code: str
) -> None:
    ports = {"FromPort": first, "ToPort": last}
    permission = {
        "IpProtocol": protocol,
        "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
        **{name: port for name, port in ports.items() if port is not None},
    }
    authorize = account.client("ec2").authorize_security_group_ingress
    assert told(authorize, GroupId=networks["group"], IpPermissions=[permission]) == code


def test_a_subnet_and_an_alarm_have_the_sizes_that_aws_takes(
    account: Account, networks: dict[str, Any]
) -> None:
    make = account.client("ec2").create_subnet
    tiny = {"VpcId": networks["other"], "CidrBlock": "10.9.9.0/29"}
    assert told(make, **tiny) == "InvalidSubnet.Range"
    make(**{**tiny, "CidrBlock": "10.9.9.0/28"})
    put = account.client("cloudwatch").put_metric_alarm
    alarm = {"AlarmName": "a", "MetricName": "m", "Namespace": "n", "EvaluationPeriods": 1,
             "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}  # fmt: skip
    assert told(put, **alarm, Period=7, Statistic="Sum") == "ValidationError"
    assert told(put, **alarm, Period=60) == "ValidationError"
    put(**alarm, Period=10, Statistic="Sum")
    put(**alarm, Period=300, ExtendedStatistic="p99")


def test_an_alarm_knows_nothing_until_it_is_told(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    watch = account.client("cloudwatch")
    alarm = {"AlarmName": "told", "MetricName": "m", "Namespace": "n", "EvaluationPeriods": 1,
             "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", "Period": 60,
             "Statistic": "Sum"}  # fmt: skip

    def state() -> str:
        return str(watch.describe_alarms(AlarmNames=["told"])["MetricAlarms"][0]["StateValue"])

    watch.put_metric_alarm(**alarm)
    assert state() == "INSUFFICIENT_DATA"
    watch.set_alarm_state(AlarmName="told", StateValue="ALARM", StateReason="r")
    watch.put_metric_alarm(**{**alarm, "Threshold": 2})
    assert state() == "ALARM"
