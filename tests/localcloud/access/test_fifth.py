"""A fifth attack: tags without their thing, names that are AWS's own, what is in use.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from botocore import xform_name
from moto.cloudtrail.models import CloudTrailBackend
from moto.cloudwatch.models import CloudWatchBackend
from moto.iam.models import IAMBackend
from moto.logs.models import LogsBackend
from moto.s3.models import S3Backend
from moto.scheduler.models import EventBridgeSchedulerBackend
from moto.ssm.models import SimpleSystemManagerBackend
from moto.utilities.tagging_service import TaggingService

from scripts.aws.credentials import Credentials
from scripts.iam.requests.services import ec2_launch
from scripts.localcloud.emulator import gaps
from scripts.localcloud.rules import table
from tests.localcloud.access.test_fourth import deny
from tests.localcloud.access.test_further import ALARM, DATABASE
from tests.localcloud.access.test_names import fails
from tests.localcloud.clients import Account, statement

FIRST = [{"Key": "who", "Value": "first"}]


@pytest.fixture(scope="module")
def anybody(account: Account) -> Credentials:
    return account.session("anyone", statement("*"))


@pytest.fixture
def without_rules(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Takes the rules of a service's operations away."""

    def take_away(service: str, *operations: str) -> None:
        for operation in operations:
            assert (service, operation) in table.checks(account.cloud.backend)
            monkeypatch.setitem(account.cloud.gateway.checks, (service, operation), lambda _: None)

    return take_away


# Tags


class Kind(NamedTuple):
    """How a kind of thing is made, deleted and asked for its tags; moto's method that ends it."""

    service: str
    make: Callable[..., Any]
    end: Callable[[Any], Any]
    tags: Callable[[Any, str], Any]
    ends: tuple[Any, str]
    tagged: str = "Tags"
    first: Any = FIRST


def bucket_tags(s3: Any) -> Any:
    try:
        return s3.get_bucket_tagging(Bucket="tagged-once")["TagSet"]
    except s3.exceptions.ClientError:
        return []


def make_bucket(s3: Any, **tags: Any) -> None:
    s3.create_bucket(Bucket="tagged-once")
    if tags:
        s3.put_bucket_tagging(Bucket="tagged-once", Tagging={"TagSet": tags["Tags"]})


KINDS = {
    "bucket": Kind(
        "s3", make_bucket, lambda s3: s3.delete_bucket(Bucket="tagged-once"),
        lambda s3, _: bucket_tags(s3), (S3Backend, "delete_bucket"),
    ),
    "log group": Kind(
        "logs", lambda c, **t: c.create_log_group(logGroupName="/once", **t),
        lambda c: c.delete_log_group(logGroupName="/once"),
        lambda c, _: c.list_tags_log_group(logGroupName="/once")["tags"],
        (LogsBackend, "delete_log_group"), "tags", {"who": "first"},
    ),
    "alarm": Kind(
        "cloudwatch", lambda c, **t: c.put_metric_alarm(**{**ALARM, "AlarmName": "once"}, **t),
        lambda c: c.delete_alarms(AlarmNames=["once"]),
        lambda c, arn: c.list_tags_for_resource(ResourceARN=f"{arn}:alarm:once")["Tags"],
        (CloudWatchBackend, "delete_alarms"),
    ),
    "trail": Kind(
        "cloudtrail",
        lambda c, **t: c.create_trail(Name="once", S3BucketName="trails-of-once", **t),
        lambda c: c.delete_trail(Name="once"),
        lambda c, arn: c.list_tags(ResourceIdList=[f"{arn}:trail/once"])["ResourceTagList"][0][
            "TagsList"
        ],
        (CloudTrailBackend, "delete_trail"), "TagsList",
    ),
    "schedule group": Kind(
        "scheduler", lambda c, **t: c.create_schedule_group(Name="once", **t),
        lambda c: c.delete_schedule_group(Name="once"),
        lambda c, arn: c.list_tags_for_resource(ResourceArn=f"{arn}:schedule-group/once")["Tags"],
        (EventBridgeSchedulerBackend, "delete_schedule_group"),
    ),
    **{
        f"parameter, {method}": Kind(
            "ssm", lambda c, **t: c.put_parameter(Name="/once", Value="x", Type="String", **t),
            end,
            lambda c, _: c.list_tags_for_resource(ResourceType="Parameter", ResourceId="/once")[
                "TagList"
            ],
            (SimpleSystemManagerBackend, method),
        )
        for method, end in (
            ("delete_parameter", lambda c: c.delete_parameter(Name="/once")),
            ("delete_parameters", lambda c: c.delete_parameters(Names=["/once"])),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_tags_end_with_what_they_are_of(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kind, cloud = KINDS[name], account.cloud
    client = account.client(kind.service)
    if name == "trail":
        account.client("s3").create_bucket(Bucket="trails-of-once")
    arn = f"arn:aws:{kind.service}:{cloud.region}:{cloud.account_id}"

    def again() -> Any:
        kind.make(client, **{kind.tagged: kind.first})
        assert kind.tags(client, arn)
        kind.end(client)
        kind.make(client)
        found = kind.tags(client, arn)
        kind.end(client)
        return found

    assert not again()
    # As moto has it.
    owner, method = kind.ends
    monkeypatch.setattr(owner, method, inspect.unwrap(getattr(owner, method)))
    assert again()


def test_a_user_keeps_its_tags_and_leaves_a_namesake_none(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = account.client("iam")

    def tags(name: str) -> Any:
        return iam.list_user_tags(UserName=name)["Tags"]

    def renamed(name: str) -> tuple[Any, Any]:
        iam.create_user(UserName=name, Tags=FIRST)
        iam.update_user(UserName=name, NewUserName=f"{name}-later", NewPath="/later/")
        iam.create_user(UserName=name)
        return tags(f"{name}-later"), tags(name)

    assert renamed("tagged") == (FIRST, [])
    monkeypatch.setattr(IAMBackend, "update_user", inspect.unwrap(IAMBackend.update_user))
    assert renamed("loose") == ([], FIRST)


def test_a_copy_has_no_tags_of_what_it_is_written_over(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="copied-over")
    s3.put_object(Bucket="copied-over", Key="plain", Body=b"")

    def over() -> Any:
        s3.put_object(Bucket="copied-over", Key="a", Body=b"", Tagging="who=first")
        s3.copy_object(Bucket="copied-over", Key="a", CopySource="copied-over/plain")
        return s3.get_object_tagging(Bucket="copied-over", Key="a")["TagSet"]

    assert over() == []
    monkeypatch.setattr(TaggingService, "copy_tags", inspect.unwrap(TaggingService.copy_tags))
    assert over() == FIRST


@pytest.mark.parametrize("prefix", ["aws", "iam"])
def test_a_role_is_kept_by_its_tags_from_who_assumes_it(account: Account, prefix: str) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html"""
    root = f"arn:aws:iam::{account.cloud.account_id}:root"
    trust = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}
    roles = {
        value: account.role(
            f"{prefix}-{value}", {"Version": "2012-10-17", "Statement": [trust]},
            Tags=[{"Key": "locked", "Value": value}],
        )
        for value in ("no", "yes")
    }  # fmt: skip
    locked = {"StringEquals": {f"{prefix}:ResourceTag/locked": "yes"}}
    who = account.session(f"by-{prefix}-tag", statement("*"), deny("sts:AssumeRole", locked))
    sts = account.client("sts", who)
    assert sts.assume_role(RoleArn=roles["no"], RoleSessionName="in")
    assert fails(sts.assume_role, RoleArn=roles["yes"], RoleSessionName="in") == "AccessDenied"


# Users, groups and AWS's own roles


def test_a_group_or_user_in_use_is_not_deleted(
    account: Account, anybody: Credentials, without_rules: Callable[..., None]
) -> None:
    """A group that goes takes what it denies its members with it."""
    iam, mine = account.client("iam"), account.client("iam", anybody)
    iam.create_group(GroupName="kept")
    document = json.dumps({"Version": "2012-10-17", "Statement": deny("s3:*")})
    iam.put_group_policy(GroupName="kept", PolicyName="deny", PolicyDocument=document)
    assert fails(mine.delete_group, GroupName="kept") == "DeleteConflict"
    iam.delete_group_policy(GroupName="kept", PolicyName="deny")
    iam.create_user(UserName="in-use")
    key = iam.create_access_key(UserName="in-use")["AccessKey"]["AccessKeyId"]
    assert fails(mine.delete_user, UserName="in-use") == "DeleteConflict"
    iam.delete_access_key(UserName="in-use", AccessKeyId=key)
    iam.add_user_to_group(GroupName="kept", UserName="in-use")
    assert fails(mine.delete_group, GroupName="kept") == "DeleteConflict"
    assert fails(mine.delete_user, UserName="in-use") == "DeleteConflict"
    without_rules("iam", "DeleteGroup")
    mine.delete_group(GroupName="kept")
    mine.delete_user(UserName="in-use")


def test_awss_own_roles_are_not_made_by_others(
    account: Account, anybody: Credentials, without_rules: Callable[..., None]
) -> None:
    iam = account.client("iam", anybody)
    service = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
               "Action": "sts:AssumeRole"}  # fmt: skip
    trust = json.dumps({"Version": "2012-10-17", "Statement": [service]})
    role = {"RoleName": "posing", "AssumeRolePolicyDocument": trust}
    for path in ("/aws-reserved/sso.amazonaws.com/", "/aws-service-role/ec2.amazonaws.com/"):
        assert fails(iam.create_role, Path=path, **role) == "InvalidInput"
    # Whose name is not known here: a Deny by it would be passed over.
    suffixed = {"AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": "x"}
    for asked in ({"AWSServiceName": "ecs.amazonaws.com"}, suffixed):
        assert fails(iam.create_service_linked_role, **asked) == "LocalCloudNotImplemented"
    without_rules("iam", "CreateRole", "CreateServiceLinkedRole")
    assert iam.create_role(Path="/aws-reserved/sso.amazonaws.com/", **role)
    assert iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")


# What is in use


def without(
    account: Account, without_rules: Callable[..., None], who: Credentials,
    refused: list[tuple[str, str, dict[str, Any], str]],
) -> None:  # fmt: skip
    """Each call fails with its code, and goes through without its rule, in this order."""
    for service, operation, asked, code in refused:
        call = getattr(account.client(service, who), xform_name(operation))
        assert fails(call, **asked) == code, operation
    for service, operation, asked, _ in refused:
        without_rules(SIGNED.get(service, service), operation)
        getattr(account.client(service, who), xform_name(operation))(**asked)


SIGNED = {"elbv2": "elasticloadbalancing"}


@pytest.fixture(scope="module")
def network(account: Account) -> dict[str, Any]:
    """A network with an instance, a NAT gateway and a database."""
    ec2, place = account.client("ec2"), account.cloud.region
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{i}.0/24", AvailabilityZone=f"{place}{zone}")[
            "Subnet"
        ]["SubnetId"]
        for i, zone in enumerate("abc")
    ]
    groups = [
        ec2.create_security_group(VpcId=vpc, GroupName=name, Description="d")["GroupId"]
        for name in ("used", "named-in-a-rule", "of-the-database", "of-nothing")
    ]
    pair = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1,
            "UserIdGroupPairs": [{"GroupId": groups[1]}]}  # fmt: skip
    ec2.authorize_security_group_ingress(GroupId=groups[0], IpPermissions=[pair])
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnets[0],
                                 SecurityGroupIds=[groups[0]])["Instances"][0]  # fmt: skip
    address, other = (ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(2))
    ec2.associate_address(AllocationId=address, InstanceId=instance["InstanceId"])
    ec2.create_nat_gateway(SubnetId=subnets[1], AllocationId=other)
    return {
        "vpc": vpc, "subnets": subnets, "groups": groups, "image": image,
        "interface": instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "instance": instance["InstanceId"], "addresses": [address, other],
    }  # fmt: skip


def test_a_network_in_use_stays(
    account: Account, anybody: Credentials, network: dict[str, Any],
    without_rules: Callable[..., None],
) -> None:  # fmt: skip
    ec2 = account.client("ec2")
    of_network = [{"Name": "vpc-id", "Values": [network["vpc"]]}]
    [main] = ec2.describe_route_tables(Filters=of_network)["RouteTables"]
    default = next(
        group["GroupId"]
        for group in ec2.describe_security_groups(Filters=of_network)["SecurityGroups"]
        if group["GroupName"] == "default"
    )
    ec2.delete_security_group(GroupId=network["groups"][3])
    ec2.delete_subnet(SubnetId=network["subnets"][2])
    needed, in_use = "DependencyViolation", "InvalidIPAddress.InUse"
    without(
        account, without_rules, anybody,
        [
            ("ec2", "DeleteRouteTable", {"RouteTableId": main["RouteTableId"]}, needed),
            ("ec2", "DeleteSecurityGroup", {"GroupId": network["groups"][1]}, needed),
            ("ec2", "DeleteSecurityGroup", {"GroupId": network["groups"][0]}, needed),
            ("ec2", "DeleteSecurityGroup", {"GroupId": default}, "CannotDelete"),
            ("ec2", "ReleaseAddress", {"AllocationId": network["addresses"][0]}, in_use),
            ("ec2", "ReleaseAddress", {"AllocationId": network["addresses"][1]}, in_use),
            ("ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": network["interface"]},
             "InvalidParameterValue"),
            ("ec2", "DeleteSubnet", {"SubnetId": network["subnets"][1]}, needed),
        ],
    )  # fmt: skip


def test_groups_of_a_database_in_use_stay_and_its_secret_is_rdss(
    account: Account, anybody: Credentials, network: dict[str, Any],
    without_rules: Callable[..., None],
) -> None:  # fmt: skip
    rds = account.client("rds")
    ec2 = account.client("ec2")
    subnets = [
        ec2.create_subnet(VpcId=network["vpc"], CidrBlock=f"10.9.{10 + i}.0/24",
                          AvailabilityZone=f"{account.cloud.region}{zone}")["Subnet"]["SubnetId"]
        for i, zone in enumerate("ab")
    ]  # fmt: skip
    rds.create_db_subnet_group(DBSubnetGroupName="needed", DBSubnetGroupDescription="d",
                               SubnetIds=subnets)  # fmt: skip
    rds.create_db_parameter_group(DBParameterGroupName="needed", Description="d",
                                  DBParameterGroupFamily="postgres16")  # fmt: skip
    made = rds.create_db_instance(
        DBInstanceIdentifier="in-use", DBSubnetGroupName="needed", DBParameterGroupName="needed",
        VpcSecurityGroupIds=[network["groups"][2]], **DATABASE,
    )["DBInstance"]  # fmt: skip
    secret = {"SecretId": made["MasterUserSecret"]["SecretArn"]}
    managed = "InvalidRequestException"
    without(
        account, without_rules, anybody,
        [
            ("rds", "DeleteDBParameterGroup", {"DBParameterGroupName": "needed"},
             "InvalidDBParameterGroupState"),
            ("ec2", "DeleteSecurityGroup", {"GroupId": network["groups"][2]},
             "DependencyViolation"),
            ("ec2", "DeleteSubnet", {"SubnetId": subnets[0]}, "DependencyViolation"),
            ("rds", "DeleteDBSubnetGroup", {"DBSubnetGroupName": "needed"},
             "InvalidDBSubnetGroupStateFault"),
            ("secretsmanager", "PutSecretValue", {**secret, "SecretString": "{}"}, managed),
            ("secretsmanager", "UpdateSecret", {**secret, "SecretString": "{}"}, managed),
            ("secretsmanager", "DeleteSecret", secret, managed),
        ],
    )  # fmt: skip
    fails(account.client("secretsmanager", anybody).untag_resource, **secret,
          TagKeys=["aws:rds:primaryDBInstanceArn"])  # fmt: skip


def test_a_database_is_not_renamed_to_a_folder(
    account: Account, anybody: Credentials, without_rules: Callable[..., None]
) -> None:
    account.client("rds").create_db_instance(DBInstanceIdentifier="renamed-out", **DATABASE)
    rds = account.client("rds", anybody)
    for name in ("", "..", ".", "a--b", "1x", "x" * 64):
        code = fails(rds.modify_db_instance, DBInstanceIdentifier="renamed-out",
                     NewDBInstanceIdentifier=name)  # fmt: skip
        assert code == "InvalidParameterValue"
    without_rules("rds", "ModifyDBInstance")
    rds.modify_db_instance(DBInstanceIdentifier="renamed-out", NewDBInstanceIdentifier="..")


def test_balancers_and_scaling_groups_in_use_stay_and_have_one_name(
    account: Account, anybody: Credentials, without_rules: Callable[..., None]
) -> None:
    ec2, elb, scaling = (account.client(name) for name in ("ec2", "elbv2", "autoscaling"))
    defaults = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    subnets = [one["SubnetId"] for one in defaults["Subnets"]][:2]
    vpc = defaults["Subnets"][0]["VpcId"]
    balancer = elb.create_load_balancer(Name="one", Subnets=subnets)["LoadBalancers"][0]
    arn = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
    target = elb.create_target_group(Name="one", Protocol="HTTP", Port=80, VpcId=vpc)
    forward = {"Type": "forward", "TargetGroupArn": target["TargetGroups"][0]["TargetGroupArn"]}
    listener = {**arn, "Protocol": "HTTP", "Port": 80, "DefaultActions": [forward]}
    elb.create_listener(**listener)
    elb.modify_load_balancer_attributes(
        **arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "true"}]
    )
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    of_its_instances = ec2.create_security_group(VpcId=vpc, GroupName="scaled", Description="d")
    interface = {"DeviceIndex": 0, "Groups": [of_its_instances["GroupId"]]}
    ec2.create_launch_template(
        LaunchTemplateName="one",
        LaunchTemplateData={"ImageId": image, "NetworkInterfaces": [interface]},
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="one", MinSize=1, MaxSize=1, VPCZoneIdentifier=subnets[0],
        LaunchTemplate={"LaunchTemplateName": "one"},
    )  # fmt: skip
    group = {"AutoScalingGroupName": "one"}
    without(
        account, without_rules, anybody,
        [
            ("elbv2", "CreateLoadBalancer", {"Name": "one", "Subnets": subnets},
             "DuplicateLoadBalancerName"),
            ("elbv2", "CreateListener", listener, "DuplicateListener"),
            ("elbv2", "DeleteLoadBalancer", arn, "OperationNotPermitted"),
            ("ec2", "DeleteSecurityGroup", {"GroupId": of_its_instances["GroupId"]},
             "DependencyViolation"),
            ("autoscaling", "DeleteAutoScalingGroup", group, "ResourceInUse"),
        ],
    )  # fmt: skip


def test_a_security_group_is_free_once_its_instances_are_taken_out_of_it(account: Account) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html"""
    ec2, scaling = account.client("ec2"), account.client("autoscaling")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    made = {"VpcId": vpc["VpcId"], "Description": "d"}
    old, new = (ec2.create_security_group(GroupName=n, **made)["GroupId"] for n in ("old", "new"))
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    data = {"ImageId": image, "SecurityGroupIds": [old]}
    ec2.create_launch_template(LaunchTemplateName="grouped", LaunchTemplateData=data)
    named = {"AutoScalingGroupName": "grouped"}
    scaling.create_auto_scaling_group(
        **named, MinSize=1, MaxSize=1, LaunchTemplate={"LaunchTemplateName": "grouped"},
        AvailabilityZones=[f"{account.cloud.region}a"],
    )  # fmt: skip
    [group] = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["grouped"])[
        "AutoScalingGroups"
    ]
    name = group["Instances"][0]["InstanceId"]

    def groups() -> list[list[str]]:
        [one] = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"]
        both = (one["SecurityGroups"], one["NetworkInterfaces"][0]["Groups"])
        return [[group["GroupId"] for group in some] for some in both]

    assert groups() == [[old], [old]]
    assert fails(ec2.delete_security_group, GroupId=old) == "DependencyViolation"
    ec2.modify_instance_attribute(InstanceId=name, Groups=[new])
    assert groups() == [[new], [new]]
    ec2.delete_security_group(GroupId=old)
    scaling.delete_auto_scaling_group(**named, ForceDelete=True)


# What a service sends on its own


def test_nothing_is_sent_that_its_receiver_does_not_let_in(
    account: Account, anybody: Credentials, without_rules: Callable[..., None]
) -> None:
    """Messages to any address of this machine; a bucket's events in a stranger's log group."""
    sns, s3, logs = (account.client(name, anybody) for name in ("sns", "s3", "logs"))
    topic = sns.create_topic(Name="outwards")["TopicArn"]
    assert sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    here = {"TopicArn": topic, "Protocol": "http", "Endpoint": "http://127.0.0.1:9/x"}
    assert fails(sns.subscribe, **here) == "LocalCloudNotImplemented"
    s3.create_bucket(Bucket="telling")
    asked = {"Bucket": "telling", "NotificationConfiguration": {"EventBridgeConfiguration": {}}}
    s3.put_bucket_notification_configuration(Bucket="telling", NotificationConfiguration={})
    code = fails(s3.put_bucket_notification_configuration, **asked)
    assert code == "LocalCloudNotImplemented"
    account.client("logs").create_log_group(logGroupName="/of-a-stranger")
    cloud = account.cloud
    arn = f"arn:aws:logs:{cloud.region}:{cloud.account_id}:log-group:/of-a-stranger"
    events = account.client("events", anybody)
    events.put_rule(Name="outwards", EventPattern=json.dumps({"source": ["aws.s3"]}))
    events.put_targets(Rule="outwards", Targets=[{"Id": "1", "Arn": arn}])

    def written() -> Any:
        s3.put_object(Bucket="telling", Key="words", Body=b"")
        return logs.describe_log_streams(logGroupName="/of-a-stranger")["logStreams"]

    assert not written()
    without_rules("s3", "PutBucketNotificationConfiguration")
    s3.put_bucket_notification_configuration(**asked)
    assert written()
    without_rules("sns", "Subscribe")
    assert sns.subscribe(**here)


def test_access_logs_come_only_from_whom_their_bucket_lets_in(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = account.client("s3")
    for name in ("of-others", "let-in", "logs-of-one"):
        s3.create_bucket(Bucket=name)
    delivery = {
        "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs-of-one/*",
        "Principal": {"Service": gaps.LOG_DELIVERY},
        "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::let-in"}},
    }  # fmt: skip
    s3.put_bucket_policy(
        Bucket="logs-of-one",
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [delivery]}),
    )
    monkeypatch.setattr(gaps, "ACCESS_LOG_SECONDS", 0.0)

    def logged(source: str, prefix: str) -> Any:
        where = {"LoggingEnabled": {"TargetBucket": "logs-of-one", "TargetPrefix": prefix}}
        s3.put_bucket_logging(Bucket=source, BucketLoggingStatus=where)
        s3.list_objects_v2(Bucket=source)
        return s3.list_objects_v2(Bucket="logs-of-one", Prefix=prefix).get("Contents")

    assert logged("let-in", "in/")
    assert not logged("of-others", "out/")
    monkeypatch.setattr(gaps, "_may_deliver", lambda *_: True)
    assert logged("of-others", "out/")


# What a call does not say


def test_what_a_call_does_not_say_is_seen_as_it_will_be(
    account: Account, network: dict[str, Any]
) -> None:
    """A volume that is not encrypted, a default subnet, group, network and type."""
    cloud, ec2 = account.cloud, account.client("ec2")
    prefix = f"arn:aws:ec2:{cloud.region}:{cloud.account_id}"
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0][
        "VpcId"
    ]
    own = ec2.create_security_group(VpcId=network["vpc"], GroupName="own", Description="d")
    subnet = ec2.create_subnet(VpcId=network["vpc"], CidrBlock="10.9.30.0/24")["Subnet"]["SubnetId"]
    everything = statement("ec2:*")
    names = ("instance/*", "volume/*", "network-interface/*", "security-group/*")
    one_subnet = statement(
        "ec2:RunInstances",
        [*(f"{prefix}:{name}" for name in names), f"{prefix}:subnet/{subnet}",
         f"arn:aws:ec2:{cloud.region}::image/*"],
    )  # fmt: skip
    start = {"ImageId": network["image"], "MinCount": 1, "MaxCount": 1}
    placed = {**start, "SubnetId": subnet, "SecurityGroupIds": [own["GroupId"]]}
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "Encrypted": True}}
    sealed = {**placed, "BlockDeviceMappings": [disk]}
    bare = {**placed, "BlockDeviceMappings": [{**disk, "Ebs": {"VolumeSize": 8}}]}
    volume = {"AvailabilityZone": f"{cloud.region}a", "Size": 1}
    plain = deny("ec2:*", {"Bool": {"ec2:Encrypted": "false"}})
    tried = {
        "in-one-subnet": ([one_subnet], "RunInstances", [placed], [start]),
        "encrypted": (
            [everything, {**plain, "Action": "ec2:RunInstances"}], "RunInstances", [sealed],
            [placed, bare],
        ),
        "encrypted-volumes": (
            [everything, {**plain, "Action": "ec2:CreateVolume"}], "CreateVolume",
            [{**volume, "Encrypted": True}], [volume],
        ),
        "no-gp2": (
            [everything, deny("ec2:CreateVolume", {"StringEquals": {"ec2:VolumeType": "gp2"}})],
            "CreateVolume", [{**volume, "VolumeType": "gp3"}], [volume],
        ),
        "no-small-ones": (
            [everything,
             deny("ec2:RunInstances", {"StringEquals": {"ec2:InstanceType": "m1.small"}})],
            "RunInstances", [{**placed, "InstanceType": "t3.micro"}], [placed],
        ),
        "no-default-network": (
            [everything, {**deny("ec2:*"), "Resource": f"{prefix}:vpc/{vpc}"}],
            "CreateSecurityGroup",
            [{"GroupName": "x", "Description": "d", "VpcId": network["vpc"]}],
            [{"GroupName": "x", "Description": "d"}],
        ),
        "no-default-group": (
            [everything,
             {**deny("ec2:*"), "NotResource": [f"{prefix}:security-group/{own['GroupId']}",
                                               *(f"{prefix}:{n}" for n in names[:3]),
                                               f"{prefix}:subnet/*",
                                               f"arn:aws:ec2:{cloud.region}::image/*"]}],
            "RunInstances", [placed], [{**start, "SubnetId": subnet}],
        ),
    }  # fmt: skip
    del tried["no-default-group"][0][1]["Resource"]
    for name, (statements, operation, allowed, refused) in tried.items():
        call = getattr(account.client("ec2", account.session(name, *statements)),
                       xform_name(operation))  # fmt: skip
        for asked in allowed:
            call(**asked)
        for asked in refused:
            assert fails(call, **asked) == "UnauthorizedOperation", name


def test_an_attribute_has_one_name(account: Account, network: dict[str, Any]) -> None:
    kept = deny("ec2:ModifyInstanceAttribute",
                {"StringLike": {"ec2:Attribute/DisableApiTermination": "*"}})  # fmt: skip
    ec2 = account.client("ec2", account.session("keeps-attributes", statement("ec2:*"), kept))
    instance = {"InstanceId": network["instance"]}
    for asked in ({"DisableApiTermination": {"Value": False}},
                  {"Attribute": "disableApiTermination", "Value": "false"}):  # fmt: skip
        fails(ec2.modify_instance_attribute, **instance, **asked)
    ec2.modify_instance_attribute(**instance, SourceDestCheck={"Value": False})


@pytest.mark.parametrize(
    ("action", "condition", "asked"),
    [
        ("CreateTags", {"Bool": {"ec2:Encrypted": "false"}},
         {"Resources": ["vol-0a"], "Tags": FIRST}),
        ("DisassociateAddress", {"StringEquals": {"ec2:Domain": "vpc"}},
         {"AssociationId": "eipassoc-0a"}),
        ("DisassociateIamInstanceProfile", {"StringEquals": {"ec2:Tenancy": "default"}},
         {"AssociationId": "iip-assoc-0a"}),
    ],
)  # fmt: skip
def test_no_excuse_covers_a_key_that_is_never_set(
    account: Account, action: str, condition: dict[str, Any], asked: dict[str, Any]
) -> None:
    who = account.session(f"unset-{action}", statement("*"), deny(f"ec2:{action}", condition))
    call = getattr(account.client("ec2", who), xform_name(action))
    assert fails(call, **asked) == "LocalCloudUnsupportedPolicy"


def test_a_subnet_is_named_once(
    account: Account, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a template's interfaces, moto takes the call's own subnet for them."""
    ec2 = account.client("ec2")
    mine, other = (
        ec2.create_subnet(VpcId=network["vpc"], CidrBlock=f"10.9.{40 + i}.0/24")["Subnet"][
            "SubnetId"
        ]
        for i in range(2)
    )
    interface = {"DeviceIndex": 0, "SubnetId": mine}
    data = {"ImageId": network["image"], "NetworkInterfaces": [interface]}
    ec2.create_launch_template(LaunchTemplateName="placed", LaunchTemplateData=data)
    prefix = f"arn:aws:ec2:{account.cloud.region}:{account.cloud.account_id}"
    kept = {**deny("ec2:*"), "Resource": f"{prefix}:subnet/{other}"}
    who = account.client("ec2", account.session("in-its-subnet", statement("ec2:*"), kept))
    asked = {"LaunchTemplate": {"LaunchTemplateName": "placed"}, "MinCount": 1, "MaxCount": 1}
    assert who.run_instances(**asked)
    assert fails(who.run_instances, SubnetId=other, **asked) == "InvalidParameterCombination"
    monkeypatch.setattr(ec2_launch, "_check_places", lambda _: None)
    [made] = who.run_instances(SubnetId=other, **asked)["Instances"]
    assert made["SubnetId"] == other


def test_a_namesake_has_nothing_of_a_deleted_group(
    account: Account, network: dict[str, Any]
) -> None:
    ec2, scaling, logs = (account.client(name) for name in ("ec2", "autoscaling", "logs"))
    subnet = ec2.create_subnet(VpcId=network["vpc"], CidrBlock="10.9.50.0/24")["Subnet"]["SubnetId"]
    ec2.create_launch_template(LaunchTemplateName="once-more",
                               LaunchTemplateData={"ImageId": network["image"]})  # fmt: skip
    group = {"AutoScalingGroupName": "once-more"}

    def make() -> None:
        scaling.create_auto_scaling_group(
            **group, MinSize=0, MaxSize=1, VPCZoneIdentifier=subnet,
            LaunchTemplate={"LaunchTemplateName": "once-more"},
        )  # fmt: skip
        logs.create_log_group(logGroupName="/once-more")

    def owned() -> list[Any]:
        return [
            scaling.describe_scheduled_actions(**group)["ScheduledUpdateGroupActions"],
            scaling.describe_policies(**group)["ScalingPolicies"],
            logs.describe_metric_filters(logGroupName="/once-more")["metricFilters"],
        ]

    make()
    scaling.put_scheduled_update_group_action(**group, ScheduledActionName="once-more", MinSize=1)
    scaling.put_scaling_policy(**group, PolicyName="once-more", PolicyType="SimpleScaling",
                               AdjustmentType="ChangeInCapacity", ScalingAdjustment=1)  # fmt: skip
    value = {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}
    logs.put_metric_filter(logGroupName="/once-more", filterName="f", filterPattern="x",
                           metricTransformations=[value])  # fmt: skip
    assert all(owned())
    scaling.delete_auto_scaling_group(**group)
    logs.delete_log_group(logGroupName="/once-more")
    make()
    assert not any(owned())
