"""A seventeenth attack: neighbours of former fixes, one thing in two spellings, values of
attributes, and a token that is asked for inside of another request.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
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


@pytest.fixture
def balancing(account: Account, networks: dict[str, Any]) -> dict[str, str]:
    """A load balancer, its listener and target group."""
    ec2, elb = account.client("ec2"), account.client("elbv2")
    [first] = ec2.describe_subnets(SubnetIds=networks["ours"][:1])["Subnets"]
    made = {"VpcId": first["VpcId"]}
    name = f"of-17-{len(elb.describe_target_groups()['TargetGroups'])}"
    group = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, **made)["TargetGroups"][0]
    balancer = elb.create_load_balancer(Name=name, Subnets=networks["ours"])["LoadBalancers"][0]
    arns = {"TargetGroupArn": group["TargetGroupArn"]}
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "forward", **arns}],
    )["Listeners"][0]  # fmt: skip
    return {
        **arns,
        "LoadBalancerArn": balancer["LoadBalancerArn"],
        "ListenerArn": listener["ListenerArn"],
    }


def test_attributes_of_load_balancing_have_values_that_there_are(
    account: Account, balancing: dict[str, str]
) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html"""
    elb = account.client("elbv2")

    def put(thing: str, name: str, value: str) -> str:
        change = getattr(elb, f"modify_{thing}_attributes")
        arn = "".join(word.capitalize() for word in thing.split("_")) + "Arn"
        attributes = [{"Key": name, "Value": value}]
        return told(change, **{arn: balancing[arn]}, Attributes=attributes)

    for thing, name, right, wrong in (
        ("load_balancer", "idle_timeout.timeout_seconds", "4000", ("banana", "0", "4001")),
        ("load_balancer", "client_keep_alive.seconds", "60", ("59", "")),
        ("load_balancer", "routing.http.desync_mitigation_mode", "strictest", ("off",)),
        ("load_balancer", "routing.http.xff_header_processing.mode", "remove", ("drop",)),
        ("target_group", "deregistration_delay.timeout_seconds", "0", ("banana", "3601")),
        ("target_group", "load_balancing.algorithm.type", "weighted_random", ("random",)),
        ("target_group", "slow_start.duration_seconds", "30", ("29", "901")),
        ("target_group", "stickiness.type", "lb_cookie", ("cookie",)),
    ):
        assert put(thing, name, right) == "", name
        for value in wrong:
            assert put(thing, name, value) == "InvalidConfigurationRequest", (name, value)


def test_a_changed_listener_and_health_check_are_such(
    account: Account, balancing: dict[str, str]
) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListener.html"""
    elb, listener = account.client("elbv2"), {"ListenerArn": balancing["ListenerArn"]}
    group = {"TargetGroupArn": balancing["TargetGroupArn"]}
    assert told(elb.modify_listener, **listener, Protocol="TCP") == "ValidationError"

    def act(**action: Any) -> str:
        return told(elb.modify_listener, **listener, DefaultActions=[action])

    assert act(Type="forward") == act(Type="fixed-response") == "ValidationError"
    moved = {"StatusCode": "HTTP_301"}
    assert act(Type="redirect", RedirectConfig=moved) == "InvalidLoadBalancerAction"
    assert act(Type="redirect", RedirectConfig={**moved, "Port": "443"}) == ""
    assert act(Type="forward", **group) == ""

    def check(**given: Any) -> str:
        return told(elb.modify_target_group, **group, **given)

    for wrong in (
        {"HealthCheckPort": "banana"}, {"HealthCheckPort": "70000"}, {"HealthCheckPath": "health"},
        {"HealthCheckEnabled": False}, {"HealthCheckTimeoutSeconds": 30},
    ):  # fmt: skip
        assert check(**wrong) == "ValidationError", wrong
    assert check(HealthCheckPort="traffic-port", HealthCheckPath="/health") == ""
    assert check(HealthCheckIntervalSeconds=60, HealthCheckTimeoutSeconds=30) == ""


def test_values_of_topics_and_of_new_subscriptions(account: Account) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html"""
    sns, wrong = account.client("sns"), "InvalidParameter"
    topic = sns.create_topic(Name="t17")["TopicArn"]

    def put(name: str, value: str) -> str:
        given = {"AttributeName": name, "AttributeValue": value}
        return told(sns.set_topic_attributes, TopicArn=topic, **given)

    for name, right, others in (
        ("SignatureVersion", "2", ("3", "")), ("TracingConfig", "Active", ("On",)),
        ("DeliveryPolicy", "{}", ("garbage",)), ("DisplayName", "x" * 100, ("x" * 101,)),
        ("HTTPSuccessFeedbackSampleRate", "100", ("101", "all")),
    ):  # fmt: skip
        assert put(name, right) == "", name
        assert {put(name, other) for other in others} == {wrong}, name
    assert put("Policy", "") == put("ContentBasedDeduplication", "true") == wrong
    ordered = sns.create_topic(Name="t17.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    given = {"AttributeName": "ContentBasedDeduplication", "AttributeValue": "true"}
    assert told(sns.set_topic_attributes, TopicArn=ordered, **given) == ""

    def subscribe(**attributes: str) -> str:
        return told(
            sns.subscribe, TopicArn=topic, Protocol="email", Endpoint="a@example.com",
            Attributes=attributes,
        )  # fmt: skip

    assert subscribe(FilterPolicy="garbage") == subscribe(RedrivePolicy="x") == wrong
    assert subscribe(FilterPolicyScope="all") == subscribe(RawMessageDelivery="maybe") == wrong
    once = {"FilterPolicy": '{"a": ["b"]}'}
    assert subscribe(**once) == subscribe(**once) == subscribe() == ""
    # AWS: "Subscription already exists with different attributes".
    assert subscribe(FilterPolicy='{"a": ["c"]}') == wrong


def test_a_change_in_ec2_is_to_what_there_is(account: Account, networks: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySubnetAttribute.html"""
    ec2, on = account.client("ec2"), {"Value": True}
    vpc, subnet = {"VpcId": networks["other"]}, {"SubnetId": networks["theirs"][0]}
    both = {"EnableDnsHostnames": on, "EnableDnsSupport": on}
    one_at_a_time = "InvalidParameterCombination"
    assert told(ec2.modify_vpc_attribute, **vpc, **both) == one_at_a_time
    both = {"AssignIpv6AddressOnCreation": on, "MapPublicIpOnLaunch": on}
    assert told(ec2.modify_subnet_attribute, **subnet, **both) == one_at_a_time
    assert told(ec2.modify_subnet_attribute, **subnet) == one_at_a_time
    assert told(ec2.modify_subnet_attribute, **subnet, MapPublicIpOnLaunch=on) == ""
    launched = ec2.run_instances(
        ImageId="ami-0123456789abcdef0", SubnetId=networks["theirs"][0], MinCount=1, MaxCount=1
    )["Instances"][0]
    named = {"InstanceId": launched["InstanceId"]}
    change = ec2.modify_instance_attribute
    shutdown = {"InstanceInitiatedShutdownBehavior": {"Value": "sleep"}}
    assert told(change, **named, **shutdown) == "InvalidParameterValue"
    disk = {"DeviceName": "/dev/none", "Ebs": {"DeleteOnTermination": False}}
    assert told(change, **named, BlockDeviceMappings=[disk]) == "InvalidInstanceAttributeValue"
    route = {"RouteTableId": networks["table"], "DestinationCidrBlock": "0.0.0.0/0"}
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, **vpc)
    ec2.create_route(**route, GatewayId=gateway)
    assert told(ec2.replace_route, **route, GatewayId="local") == "InvalidGatewayID.NotFound"
    assert told(ec2.create_nat_gateway, **subnet) == "MissingParameter"


def test_an_endpoint_has_what_is_of_its_type(account: Account, networks: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcEndpoint.html"""
    ec2, region = account.client("ec2"), account.cloud.region
    vpc, tables = {"VpcId": networks["other"]}, [networks["table"]]
    subnets, groups = networks["theirs"][:1], [networks["group"]]

    def made(service: str, **given: Any) -> dict[str, str]:
        name = f"com.amazonaws.{region}.{service}"
        endpoint = ec2.create_vpc_endpoint(**vpc, ServiceName=name, **given)["VpcEndpoint"]
        return {"VpcEndpointId": endpoint["VpcEndpointId"]}

    gateway = made("s3")
    interface = made("ssm", VpcEndpointType="Interface", SubnetIds=subnets)
    wrong = "InvalidParameter"
    assert told(ec2.modify_vpc_endpoint, **gateway, AddSubnetIds=subnets) == wrong
    assert told(ec2.modify_vpc_endpoint, **gateway, AddSecurityGroupIds=groups) == wrong
    assert told(ec2.modify_vpc_endpoint, **interface, AddRouteTableIds=tables) == wrong
    assert told(ec2.modify_vpc_endpoint, **gateway, AddRouteTableIds=tables) == ""
    assert told(ec2.modify_vpc_endpoint, **interface, AddSecurityGroupIds=groups) == ""


def test_an_entry_of_a_network_acl_is_one(account: Account, networks: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html"""
    ec2 = account.client("ec2")
    of_network = [{"Name": "vpc-id", "Values": [networks["other"]]}]
    [acl] = ec2.describe_network_acls(Filters=of_network)["NetworkAcls"]
    named = {"NetworkAclId": acl["NetworkAclId"], "Egress": False}

    def put(number: int, **given: Any) -> str:
        entry = {"Protocol": "6", "RuleAction": "deny", "RuleNumber": number, **given}
        return told(ec2.create_network_acl_entry, **named, **entry)

    ports, everywhere = {"PortRange": {"From": 22, "To": 22}}, {"CidrBlock": "0.0.0.0/0"}
    assert put(51, **everywhere) == put(51, **ports, CidrBlock="banana") == "InvalidParameterValue"
    assert put(51, **everywhere, PortRange={"From": 80, "To": 22}) == "InvalidParameterValue"
    assert put(51, **ports) == "MissingParameter"
    assert put(51, **everywhere, **ports) == put(52, **ports, Ipv6CidrBlock="::/0") == ""
    assert put(53, **everywhere, Protocol="-1") == ""
    gone = told(ec2.delete_network_acl_entry, **named, RuleNumber=99)
    assert gone == "InvalidNetworkAclEntry.NotFound"
    assert told(ec2.delete_network_acl_entry, **named, RuleNumber=51) == ""


def test_a_schedule_ends_after_it_begins(account: Account) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
    region, ours = account.cloud.region, account.cloud.account_id
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole",
             "Principal": {"Service": "scheduler.amazonaws.com"}}  # fmt: skip
    role = account.role("schedules-17", {"Version": "2012-10-17", "Statement": [trust]})
    target = {"Arn": f"arn:aws:sns:{region}:{ours}:t", "RoleArn": role}
    given = {"Name": "s17", "ScheduleExpression": "rate(1 hour)", "Target": target,
             "FlexibleTimeWindow": {"Mode": "OFF"}}  # fmt: skip
    early, late = (datetime(2099, month, 1, tzinfo=UTC) for month in (1, 2))
    create = account.client("scheduler").create_schedule
    assert told(create, **given, StartDate=late, EndDate=early) == "ValidationException"
    assert told(create, **given, StartDate=early, EndDate=late) == ""


def test_a_volume_holds_its_snapshot(account: Account) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html"""
    ec2, zone = account.client("ec2"), {"AvailabilityZone": f"{account.cloud.region}a"}
    volume = ec2.create_volume(**zone, Size=5)["VolumeId"]
    snapshot = {"SnapshotId": ec2.create_snapshot(VolumeId=volume)["SnapshotId"]}
    assert told(ec2.create_volume, **zone, **snapshot, Size=4) == "InvalidParameterValue"
    assert ec2.create_volume(**zone, **snapshot)["Size"] == 5
