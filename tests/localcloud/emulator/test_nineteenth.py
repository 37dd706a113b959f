"""A nineteenth attack: tags that make a thing unusable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.localcloud.clients import Account, statement
from tests.localcloud.test_eleventh import told

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow


def test_tags_that_differ_in_case_make_nothing_unusable(account: Account) -> None:
    """Tag keys are case sensitive, so a thing may have both; who decides by them decides nothing.

    https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    """
    ec2, secrets = account.client("ec2"), account.client("secretsmanager")
    vpc = ec2.create_vpc(CidrBlock="10.19.0.0/16")["Vpc"]["VpcId"]
    secrets.create_secret(Name="tagged-19", SecretString="x")
    of_tag = {"StringEquals": {"aws:ResourceTag/Stage": "dev"}}
    reader = account.session(
        "by-tag-19", statement("secretsmanager:GetSecretValue", Condition=of_tag)
    )
    read = account.client("secretsmanager", reader).get_secret_value
    first, second = ({"Key": "Stage", "Value": "dev"}, {"Key": "stage", "Value": "prod"})
    ec2.create_tags(Resources=[vpc], Tags=[first])
    secrets.tag_resource(SecretId="tagged-19", Tags=[first])
    assert told(read, SecretId="tagged-19") == ""
    ec2.create_tags(Resources=[vpc], Tags=[second])
    secrets.tag_resource(SecretId="tagged-19", Tags=[second])
    assert told(read, SecretId="tagged-19") == "LocalCloudUnsupportedPolicy"
    assert secrets.get_secret_value(SecretId="tagged-19")["SecretString"] == "x"
    secrets.untag_resource(SecretId="tagged-19", TagKeys=["stage"])
    assert told(read, SecretId="tagged-19") == ""
    assert told(ec2.delete_vpc, VpcId=vpc) == ""


def test_a_role_and_a_user_have_a_tag_in_one_case(account: Account) -> None:
    """A tag whose key differs in case only replaces the one that is there.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
    """
    iam = account.client("iam")
    account.job_role("tagged-19")
    iam.create_user(UserName="tagged-19")
    of_role: dict[str, Any] = {"RoleName": "tagged-19"}
    of_user: dict[str, Any] = {"UserName": "tagged-19"}
    for name, thing in (("role", of_role), ("user", of_user)):
        tag, untag = getattr(iam, f"tag_{name}"), getattr(iam, f"untag_{name}")
        for key, value in (("Department", "finance"), ("other", "x"), ("department", "hr")):
            tag(**thing, Tags=[{"Key": key, "Value": value}])
        shown = getattr(iam, f"list_{name}_tags")
        assert {t["Key"].lower(): t["Value"] for t in shown(**thing)["Tags"]} == {
            "department": "hr",
            "other": "x",
        }
        assert len(shown(**thing)["Tags"]) == 2
        untag(**thing, TagKeys=["DEPARTMENT"])
        assert [t["Key"] for t in shown(**thing)["Tags"]] == ["other"]
        assert told(getattr(iam, f"delete_{name}"), **thing) == ""


@pytest.fixture(scope="module")
def network(account: Account) -> dict[str, str]:
    """A network with two groups, a gateway, a route table and its ACL."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.119.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    groups = {
        name: ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"]
        for name in ("one", "other")
    }
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    [acl] = [one for one in ec2.describe_network_acls()["NetworkAcls"] if one["VpcId"] == vpc]
    return {"vpc": vpc, "gateway": gateway, "table": table, "acl": acl["NetworkAclId"], **groups}


def test_entries_of_acls_may_be_for_icmp_and_have_a_number(
    account: Account, network: dict[str, str]
) -> None:
    """ "Required if specifying protocol 1 (ICMP) or protocol 58"; an entry tells its protocol's
    number.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkAclEntry.html
    """
    ec2 = account.client("ec2")
    for number, protocol, more, code in (
        (1, "1", {"IcmpTypeCode": {"Type": -1, "Code": -1}}, ""),
        (2, "icmp", {"IcmpTypeCode": {"Type": 8, "Code": 0}}, ""),
        (3, "icmp", {"IcmpTypeCode": {"Type": 300, "Code": 0}}, "InvalidParameterValue"),
        (4, "1", {}, "MissingParameter"),
        (5, "06", {}, "InvalidParameterValue"),
        (6, "tcp", {"PortRange": {"From": 22, "To": 22}}, ""),
        (7, "all", {}, ""),
    ):
        entry = {"RuleNumber": number, "Protocol": protocol, "RuleAction": "allow", **more}
        place = {"NetworkAclId": network["acl"], "Egress": False, "CidrBlock": "10.0.0.0/8"}
        assert told(ec2.create_network_acl_entry, **entry, **place) == code, protocol
    [acl] = ec2.describe_network_acls(NetworkAclIds=[network["acl"]])["NetworkAcls"]
    kept = {e["RuleNumber"]: e["Protocol"] for e in acl["Entries"] if not e["Egress"]}
    assert [kept.get(number) for number in range(1, 8)] == ["1", "1", None, None, None, "6", "-1"]


def test_a_route_has_one_destination_and_one_target(
    account: Account, network: dict[str, str]
) -> None:
    """ "You must specify either a destination CIDR block or a prefix list ID. You must also specify
    exactly one of the resources from the parameter list."

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
    """
    ec2, gateway = account.client("ec2"), {"GatewayId": network["gateway"]}
    table = {"RouteTableId": network["table"]}
    here = {"DestinationCidrBlock": "0.0.0.0/0"}
    for asked, code in (
        ({**gateway}, "MissingParameter"),
        ({**here}, "MissingParameter"),
        ({**here, "DestinationIpv6CidrBlock": "::/0", **gateway}, "InvalidParameterCombination"),
        ({**here, "NatGatewayId": "nat-0123", **gateway}, "InvalidParameterCombination"),
        ({"DestinationCidrBlock": "1.1.1.1", **gateway}, "InvalidParameterValue"),
        ({"DestinationCidrBlock": "::/0", **gateway}, "InvalidParameterValue"),
        ({"DestinationIpv6CidrBlock": "9.0.0.0/8", **gateway}, "InvalidParameterValue"),
        ({**here, **gateway}, ""),
        ({"DestinationCidrBlock": "1.2.3.4/0", **gateway}, "RouteAlreadyExists"),
        ({"DestinationIpv6CidrBlock": "::/0", **gateway}, ""),
    ):
        assert told(ec2.create_route, **table, **asked) == code, asked
    # The target of the local route is no internet gateway, however the network is spelt.
    local = {"DestinationCidrBlock": "10.119.5.5/16", **gateway}
    assert told(ec2.replace_route, **table, **local) == "InvalidParameterValue"


def test_a_rule_is_for_the_group_that_it_names(account: Account, network: dict[str, str]) -> None:
    """ "For a security group in a nondefault VPC, use the security group ID."

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UserIdGroupPair.html
    """
    ec2, other = account.client("ec2"), network["other"]
    for pair, code in (
        ({"GroupId": other, "GroupName": "one"}, "InvalidGroup.NotFound"),
        ({"GroupName": "other"}, "InvalidGroup.NotFound"),
        ({"GroupId": other, "UserId": "111122223333"}, "InvalidGroup.NotFound"),
        ({"GroupId": other, "GroupName": "other", "UserId": account.cloud.account_id}, ""),
    ):
        permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [pair]}
        rule = {"GroupId": network["one"], "IpPermissions": [permission]}
        assert told(ec2.authorize_security_group_ingress, **rule) == code, pair
        assert told(ec2.revoke_security_group_ingress, **rule) == code, pair


def test_rules_of_groups_have_types_and_descriptions_that_there_are(
    account: Account, network: dict[str, str]
) -> None:
    """ "If the start port is -1 (all ICMP types), then the end port must be -1"; descriptions have
    up to 255 characters of a set.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
    """
    ec2, group = account.client("ec2"), network["one"]
    authorize = ec2.authorize_security_group_ingress
    for protocol, first, last, text, code in (
        ("icmp", 300, 0, "d", "InvalidParameterValue"),
        ("icmp", -2, 0, "d", "InvalidParameterValue"),
        ("1", -1, 3, "d", "InvalidParameterValue"),
        ("06", -1, -1, "d", "InvalidParameterValue"),
        ("icmp", 8, -1, "it's", "InvalidParameterValue"),
        ("icmp", 8, -1, "x" * 256, "InvalidParameterValue"),
        ("icmp", 8, -1, "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*", ""),
        ("icmp", -1, -1, "x" * 255, ""),
    ):
        permission = {"IpProtocol": protocol, "FromPort": first, "ToPort": last,
                      "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": text}]}  # fmt: skip
        assert told(authorize, GroupId=group, IpPermissions=[permission]) == code, (first, text)
    made = {"GroupName": "third", "VpcId": network["vpc"]}
    assert told(ec2.create_security_group, **made, Description="é") == "InvalidParameterValue"
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    [outgoing] = [one for one in found["SecurityGroupRules"] if one["IsEgress"]]
    change = [{"SecurityGroupRuleId": outgoing["SecurityGroupRuleId"], "Description": "new"}]
    asked: dict[str, Any] = {"GroupId": group, "SecurityGroupRuleDescriptions": change}
    described = told(ec2.update_security_group_rule_descriptions_ingress, **asked)
    assert described == "InvalidSecurityGroupRuleId.NotFound"
    assert told(ec2.update_security_group_rule_descriptions_egress, **asked) == ""


def test_a_subnet_has_a_network_in_cidr_notation(account: Account, network: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSubnet.html"""
    create = account.client("ec2").create_subnet
    code = told(create, VpcId=network["vpc"], CidrBlock="10.119.3.0/255.255.255.0")
    assert code == "InvalidParameterValue"


def test_a_database_has_values_that_there_are(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html"""
    rds = account.client("rds")
    database = {
        "DBInstanceClass": "db.t4g.micro", "Engine": "postgres", "EngineVersion": "17.6",
        "AllocatedStorage": 20, "MasterUsername": "adm", "MasterUserPassword": "Abcdef123456",
    }  # fmt: skip
    good = {
        "CACertificateIdentifier": "rds-ca-rsa2048-g1", "DBInstanceClass": "db.r6g.2xlarge",
        "LicenseModel": "postgresql-license", "NetworkType": "IPV4",
        "PerformanceInsightsRetentionPeriod": 93, "StorageType": "gp3",
    }  # fmt: skip
    # Terraform's provider sends an empty name where it is told none.
    assert told(rds.create_db_instance, DBInstanceIdentifier="u", **database, DBName="") == ""
    new = {"DBName": "of_19", "Port": 6000}
    assert told(rds.create_db_instance, DBInstanceIdentifier="v", **database | good | new) == ""
    for name, wrong, code in (
        ("CACertificateIdentifier", "banana", "CertificateNotFound"),
        ("DBInstanceClass", "banana", "InvalidParameterValue"),
        ("LicenseModel", "banana", "InvalidParameterValue"),
        ("MonitoringInterval", 7, "InvalidParameterValue"),
        ("MonitoringInterval", 60, "InvalidParameterCombination"),
        ("NetworkType", "banana", "InvalidParameterValue"),
        ("OptionGroupName", "none", "OptionGroupNotFoundFault"),
        ("PerformanceInsightsRetentionPeriod", 94, "InvalidParameterValue"),
        ("StorageType", "banana", "InvalidParameterValue"),
        ("DBName", "9bad", "InvalidParameterValue"),
        ("DBName", "select", "InvalidParameterValue"),
        ("MasterUsername", "User", "InvalidParameterValue"),
        ("Port", 80, "InvalidParameterValue"),
    ):
        asked = database | {name: wrong, "DBInstanceIdentifier": "w"}
        assert told(rds.create_db_instance, **asked) == code, name
        if name not in {"DBName", "MasterUsername", "Port"}:
            change = {"DBInstanceIdentifier": "v", name: wrong}
            assert told(rds.modify_db_instance, **change, ApplyImmediately=True) == code, name
    assert told(rds.modify_db_instance, DBInstanceIdentifier="v", MonitoringInterval=0) == ""


def test_a_grant_is_retired_as_one_of_its_own_key(account: Account) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html"""
    kms = account.client("kms")
    role = account.job_role("grantee-19")
    own, other = (kms.create_key()["KeyMetadata"] for _ in range(2))
    grant = kms.create_grant(
        KeyId=own["KeyId"], GranteePrincipal=role, Operations=["Decrypt"]
    )["GrantId"]  # fmt: skip
    assert told(kms.retire_grant, KeyId=other["Arn"], GrantId=grant) == "NotFoundException"
    assert told(kms.retire_grant, KeyId=own["Arn"], GrantId=grant) == ""
    assert kms.list_grants(KeyId=own["KeyId"])["Grants"] == []


def test_a_version_of_a_parameter_is_no_parameter(account: Account) -> None:
    """Names have "a-zA-Z0-9_.-" and "/".

    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
    """
    ssm = account.client("ssm")
    ssm.put_parameter(Name="/of-19/a", Value="first", Type="String")
    ssm.put_parameter(Name="/of-19/a", Value="second", Type="String", Overwrite=True)
    ssm.label_parameter_version(Name="/of-19/a", ParameterVersion=1, Labels=["old"])
    for name in ("/of-19/a:1", "/of-19/a:old"):
        planted = {"Name": name, "Value": "planted", "Type": "String"}
        assert told(ssm.put_parameter, **planted) == "ValidationException"
        tags = {"ResourceType": "Parameter", "ResourceId": name}
        code = told(ssm.add_tags_to_resource, **tags, Tags=[{"Key": "a", "Value": "b"}])
        assert code == "InvalidResourceId"
        assert ssm.get_parameter(Name=name)["Parameter"]["Value"] == "first"


def test_what_ends_or_confirms_no_subscription_says_so(account: Account) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html"""
    sns = account.client("sns")
    topic = sns.create_topic(Name="of-19")["TopicArn"]
    for address in ("", "a", "@", "a@b", "http://x", "a@example.com b@example.com"):
        code = told(sns.subscribe, TopicArn=topic, Protocol="email", Endpoint=address)
        assert code == "InvalidParameter", address
    made = sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@example.com", ReturnSubscriptionArn=True
    )
    assert told(sns.confirm_subscription, TopicArn=topic, Token="x" * 40) == "InvalidParameter"
    assert told(sns.unsubscribe, SubscriptionArn=topic) == "InvalidParameter"
    assert len(sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 1
    assert told(sns.unsubscribe, SubscriptionArn=made["SubscriptionArn"]) == ""


def test_another_role_is_not_in_the_profile(account: Account) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html"""
    iam, profile = account.client("iam"), {"InstanceProfileName": "of-19"}
    iam.create_instance_profile(**profile)
    account.job_role("another-19")
    code = told(iam.remove_role_from_instance_profile, **profile, RoleName="another-19")
    assert code == "NoSuchEntity"


def test_a_deny_that_nobody_can_judge_is_not_stored(account: Account) -> None:
    """It is refused by name: stored, it kept everybody from the bucket, and from taking it away."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="of-19")
    deny = {
        "Effect": "Deny", "Principal": {"CanonicalUser": "79a59df900b949e5" * 4},
        "Action": "s3:*", "Resource": "arn:aws:s3:::of-19",
    }  # fmt: skip
    text = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    code = told(s3.put_bucket_policy, Bucket="of-19", Policy=text)
    assert code == "LocalCloudUnsupportedPolicy"
    assert told(s3.delete_bucket, Bucket="of-19") == ""


def test_a_trail_writes_somewhere_and_has_selectors_of_one_kind(account: Account) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_UpdateTrail.html"""
    trails, logs = account.client("cloudtrail"), account.client("logs")
    account.client("s3").create_bucket(Bucket="trail-19")
    trails.create_trail(Name="of-19", S3BucketName="trail-19")
    logs.create_log_group(logGroupName="trail-19")
    group = f"arn:aws:logs:us-east-1:{account.cloud.account_id}:log-group"
    topic = account.client("sns").create_topic(Name="trail-19")["TopicArn"]
    role = account.role("trail-19", {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }]})  # fmt: skip
    for change, code in (
        ({"S3BucketName": "nowhere-19"}, "S3BucketDoesNotExistException"),
        ({"S3KeyPrefix": "x" * 201}, "InvalidS3PrefixException"),
        ({"SnsTopicName": "nowhere"}, "InvalidSnsTopicNameException"),
        ({"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False},
         "InvalidParameterCombinationException"),
        ({"CloudWatchLogsLogGroupArn": f"{group}:trail-19:*"},
         "InvalidCloudWatchLogsRoleArnException"),
        ({"CloudWatchLogsLogGroupArn": f"{group}:nowhere:*", "CloudWatchLogsRoleArn": role},
         "InvalidCloudWatchLogsLogGroupArnException"),
        ({"CloudWatchLogsLogGroupArn": f"{group}:trail-19:*", "CloudWatchLogsRoleArn": role,
          "SnsTopicName": topic, "IsMultiRegionTrail": True}, ""),
        ({"S3KeyPrefix": "below"}, ""),
    ):  # fmt: skip
        assert told(trails.update_trail, Name="of-19", **change) == code, change
    management = [{"Field": "eventCategory", "Equals": ["Management"]}]
    objects = {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}
    for asked, code in (
        ({"EventSelectors": []}, "InvalidEventSelectorsException"),
        ({"EventSelectors": [{}] * 6}, "InvalidEventSelectorsException"),
        ({"EventSelectors": [{"DataResources": [{**objects, "Type": "x"}]}]},
         "InvalidEventSelectorsException"),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [{**management[0], "Field": "x"}]}]},
         "InvalidEventSelectorsException"),
        ({"EventSelectors": [{}], "AdvancedEventSelectors": [{"FieldSelectors": management}]},
         "InvalidEventSelectorsException"),
        ({"EventSelectors": [{"DataResources": [objects]}]}, ""),
        ({"AdvancedEventSelectors": [{"FieldSelectors": management}]}, ""),
    ):  # fmt: skip
        assert told(trails.put_event_selectors, TrailName="of-19", **asked) == code, asked


def test_a_rule_and_its_targets_can_do_something(account: Account) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""
    events = account.client("events")
    for times, code in (
        ("rate(0 minutes)", "ValidationException"), ("rate(1 minutes)", "ValidationException"),
        ("rate(5 minute)", "ValidationException"), ("cron(banana)", "ValidationException"),
        ("rate(1 hour)", ""), ("rate(5 minutes)", ""), ("cron(0 12 * * ? *)", ""),
    ):  # fmt: skip
        assert told(events.put_rule, Name="of-19", ScheduleExpression=times) == code, times
    code = told(events.put_rule, Name="listed-19", EventPattern="[]")
    assert code == "InvalidEventPatternException"
    target = {"Id": "1", "Arn": f"arn:aws:sns:us-east-1:{account.cloud.account_id}:t"}
    for more, code in (
        ({"Id": "a b"}, "ValidationException"), ({"Input": "banana"}, "ValidationException"),
        ({"Input": "{}", "InputPath": "$.x"}, "ValidationException"), ({"Input": "{}"}, ""),
        ({"InputPath": "$.detail"}, ""),
    ):  # fmt: skip
        assert told(events.put_targets, Rule="of-19", Targets=[target | more]) == code, more


def test_an_alarm_has_a_threshold_that_may_be_met(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    put = account.client("cloudwatch").put_metric_alarm
    alarm: dict[str, Any] = {
        "AlarmName": "of-19", "MetricName": "m", "Namespace": "n", "Statistic": "Sum",
        "Period": 60, "EvaluationPeriods": 3, "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    without = {name: value for name, value in alarm.items() if name != "Threshold"}
    extended = {name: value for name, value in alarm.items() if name != "Statistic"}
    for asked, code in (
        (without, "ValidationError"), (alarm | {"DatapointsToAlarm": 4}, "ValidationError"),
        (alarm | {"TreatMissingData": "banana"}, "ValidationError"),
        (alarm | {"Period": 86_400, "EvaluationPeriods": 8}, "ValidationError"),
        (extended | {"ExtendedStatistic": "p101"}, "ValidationError"),
        (extended | {"ExtendedStatistic": "p99.9"}, ""),
        (extended | {"ExtendedStatistic": "p100"}, ""),
        (alarm | {"DatapointsToAlarm": 3, "TreatMissingData": "notBreaching"}, ""),
        (alarm | {"Period": 86_400, "EvaluationPeriods": 7}, ""),
    ):  # fmt: skip
        assert told(put, **asked) == code, asked


def test_a_listener_does_what_it_can(account: Account, network: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html"""
    ec2, elb = account.client("ec2"), account.client("elbv2")
    vpc = network["vpc"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.119.{number}.0/24", AvailabilityZone=f"us-east-1{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in ((10, "a"), (11, "b"))
    ]
    for name in ("-a", "a-", "internal-a", "x" * 33):
        assert told(elb.create_load_balancer, Name=name, Subnets=subnets) == "ValidationError"
    [made] = elb.create_load_balancer(Name="of-19", Subnets=subnets)["LoadBalancers"]
    [group] = elb.create_target_group(Name="of-19", Protocol="HTTP", Port=80, VpcId=vpc)[
        "TargetGroups"
    ]
    arn = group["TargetGroupArn"]

    def redirect(**more: str) -> dict[str, Any]:
        return {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **more}}

    def forward(times: int, **more: Any) -> dict[str, Any]:
        groups = [{"TargetGroupArn": arn}] * times
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups, **more}}

    sticky = "TargetGroupStickinessConfig"
    for port, (actions, code) in enumerate((
        ([], "ValidationError"), ([redirect(Port="443")] * 2, "ValidationError"),
        ([redirect(Port="0")], "ValidationError"), ([redirect(Port="65536")], "ValidationError"),
        ([redirect(Protocol="TCP")], "ValidationError"), ([redirect(Path="x")], "ValidationError"),
        ([redirect(Query="?x", Port="443")], "ValidationError"),
        ([forward(2)], "ValidationError"), ([forward(6)], "TooManyTargetGroups"),
        ([forward(1, **{sticky: {"Enabled": True}})], "ValidationError"),
        ([forward(1) | {"TargetGroupArn": f"{arn}0"}], "ValidationError"),
        ([forward(1) | {"TargetGroupArn": arn}], ""),
        ([forward(1, **{sticky: {"Enabled": True, "DurationSeconds": 60}})], ""),
        ([redirect(Port="#{port}", Protocol="HTTPS", Query="#{query}&a=b")], ""),
    ), 1000):  # fmt: skip
        place = {"LoadBalancerArn": made["LoadBalancerArn"], "Protocol": "HTTP", "Port": port}
        assert told(elb.create_listener, **place, DefaultActions=actions) == code, actions
