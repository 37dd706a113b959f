"""A fifteenth attack: what verifies and does not fail, names that nobody has, networks again, and
small languages that moto passes over.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from moto.kms.utils import RSAPrivateKey

from scripts.localcloud.emulator.services import attributes
from scripts.localcloud.rules import documents
from tests.localcloud.clients import Account, statement
from tests.localcloud.test_eleventh import told
from tests.localcloud.test_fourteenth import OTHERS, networks, policy

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

__all__ = ["networks"]  # the fixture
PSS = "RSASSA_PSS_SHA_256"


def made(account: Account, **given: Any) -> str:
    return str(account.client("kms").create_key(**given)["KeyMetadata"]["KeyId"])


def trusting(service: str) -> dict[str, Any]:
    one = statement("sts:AssumeRole", Principal={"Service": service})
    del one["Resource"]
    return {"Version": "2012-10-17", "Statement": one}


def test_a_signature_that_is_wrong_is_an_error(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that asks KMS and sees no error takes the message for signed.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_Verify.html
    """
    kms, wrong = account.client("kms"), "KMSInvalidSignatureException"
    for spec, algorithm in (("RSA_2048", PSS), ("ECC_NIST_P256", "ECDSA_SHA_256")):
        key = made(account, KeySpec=spec, KeyUsage="SIGN_VERIFY")
        asked = {"KeyId": key, "SigningAlgorithm": algorithm}
        signed = {**asked, "Signature": kms.sign(**asked, Message=b"x")["Signature"]}
        assert kms.verify(**signed, Message=b"x")["SignatureValid"]
        assert told(kms.verify, **signed, Message=b"y") == wrong
        assert told(kms.verify, **{**signed, "Signature": b"garbage"}, Message=b"x") == wrong
        digest = hashlib.sha256(b"x").digest()
        assert kms.verify(**signed, Message=digest, MessageType="DIGEST")["SignatureValid"]
        short = {"Message": b"x", "MessageType": "DIGEST"}
        assert told(kms.sign, **asked, **short) == "ValidationException"
    assert told(kms.sign, KeyId=made(account), Message=b"x", SigningAlgorithm=PSS) == (
        "InvalidKeyUsageException"
    )
    monkeypatch.setattr(RSAPrivateKey, "verify", lambda *_: False)  # as moto answers
    key = made(account, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    kms.verify(KeyId=key, SigningAlgorithm=PSS, Message=b"y", Signature=b"garbage")


def test_a_signature_is_good_outside_of_kms(account: Account) -> None:
    kms = account.client("kms")
    key = made(account, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    digest = hashlib.sha256(b"x").digest()
    asked = {"KeyId": key, "SigningAlgorithm": PSS}
    signature = kms.sign(**asked, Message=digest, MessageType="DIGEST")["Signature"]
    public: Any = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    how = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    public.verify(signature, b"x", how, hashes.SHA256())


def test_a_key_does_what_it_is_for(account: Account) -> None:
    kms, plain, other = account.client("kms"), made(account), made(account)
    assert told(kms.get_public_key, KeyId=plain) == "UnsupportedOperationException"
    sealed = kms.encrypt(KeyId=plain, Plaintext=b"x")["CiphertextBlob"]
    assert told(kms.decrypt, CiphertextBlob=sealed, KeyId=other) == "IncorrectKeyException"
    assert kms.decrypt(CiphertextBlob=sealed, KeyId=plain)["Plaintext"] == b"x"
    key = made(account, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    given = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    sealed = kms.encrypt(**given, Plaintext=b"x")["CiphertextBlob"]
    context = {"EncryptionContext": {"a": "b"}}
    assert told(kms.encrypt, **given, **context, Plaintext=b"x") == "ValidationException"
    del given["KeyId"]
    assert told(kms.decrypt, **given, CiphertextBlob=sealed) == "ValidationException"
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert told(kms.get_public_key, KeyId=key) == "KMSInvalidStateException"


def test_the_one_policy_of_a_key_needs_no_name(account: Account) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html"""
    kms, key, ours = account.client("kms"), made(account), account.cloud.account_id
    text = policy(statement("kms:*", Principal={"AWS": ours}))
    kms.put_key_policy(KeyId=key, Policy=text)
    assert ours in kms.get_key_policy(KeyId=key)["Policy"]
    assert told(kms.get_key_policy, KeyId=key, PolicyName="x") == "NotFoundException"


def test_a_grant_is_for_whom_there_is_and_for_what_its_key_does(account: Account) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html"""
    kms, key, ours = account.client("kms"), made(account), account.cloud.account_id
    there = account.role("granted", trusting("ec2.amazonaws.com"))
    given = {"KeyId": key, "Operations": ["Decrypt"]}
    for name in (f"arn:aws:iam::{ours}:role/none", f"arn:aws:iam::{ours}:user/none",
                 f"arn:aws:iam::{ours}:group/g", "abc", "*"):  # fmt: skip
        assert told(kms.create_grant, **given, GranteePrincipal=name) == "InvalidArnException"
        retiring = {"GranteePrincipal": there, "RetiringPrincipal": name}
        assert told(kms.create_grant, **given, **retiring) == "InvalidArnException"
    for name in (there, f"arn:aws:iam::{OTHERS}:role/x", f"arn:aws:iam::{ours}:root"):
        kms.create_grant(**given, GranteePrincipal=name)
    signing = {"KeyId": key, "Operations": ["Sign"], "GranteePrincipal": there}
    assert told(kms.create_grant, **signing) == "ValidationException"


def test_a_grant_is_retired_by_its_token(account: Account) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html"""
    kms, key = account.client("kms"), made(account)
    there = account.role("retired", trusting("ec2.amazonaws.com"))
    given = {"KeyId": key, "Operations": ["Decrypt"], "GranteePrincipal": there}
    token = kms.create_grant(**given)["GrantToken"]
    may = account.session("may-retire", statement("kms:RetireGrant", f"arn:aws:kms:*:*:key/{key}"))
    other = statement("kms:RetireGrant", f"arn:aws:kms:*:*:key/{made(account)}")
    not_this = account.session("may-retire-others", other)
    assert told(account.client("kms", not_this).retire_grant, GrantToken=token) == (
        "AccessDeniedException"
    )
    account.client("kms", may).retire_grant(GrantToken=token)
    assert not kms.list_grants(KeyId=key)["Grants"]


@pytest.mark.parametrize(
    "who",
    [{"Service": "evil.example.com"}, {"Service": "amazonaws.com"},
     {"AWS": "arn:aws-cn:iam::471835269042:root"}, {"CanonicalUser": "abc"}],
)  # fmt: skip
def test_a_policy_names_nobody_of_a_name_that_nobody_has(
    account: Account, who: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"""
    text = policy({**statement("kms:Decrypt"), "Principal": who})
    assert told(account.client("kms").create_key, Policy=text) == "MalformedPolicyDocumentException"
    trust = statement("sts:AssumeRole", Principal=who)
    del trust["Resource"]
    create, given = account.client("iam").create_role, {"AssumeRolePolicyDocument": policy(trust)}
    assert told(create, **given, RoleName="of-nobody") == "MalformedPolicyDocument"
    monkeypatch.setattr(documents, "_well_formed", lambda *_: True)
    account.client("kms").create_key(Policy=text)


def test_services_that_there_are_may_be_named(account: Account) -> None:
    names = ["ec2.amazonaws.com", "delivery.logs.amazonaws.com", "s3.eu-west-1.amazonaws.com"]
    text = policy({**statement("kms:Decrypt"), "Principal": {"Service": names}})
    account.client("kms").create_key(Policy=text)


def test_a_policy_for_the_delivery_of_logs_is_one(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutResourcePolicy.html"""
    logs, ours = account.client("logs"), account.cloud.account_id

    def put(text: str) -> str:
        return told(logs.put_resource_policy, policyName="delivery", policyDocument=text)

    wrong, what = "InvalidParameterException", statement("logs:PutLogEvents")
    assert put("{}") == put("no policy") == put(policy(what)) == wrong
    assert put(policy({**what, "Principal": {"AWS": f"arn:aws:iam::{ours}:root"}})) == wrong
    for who in ({"AWS": ours}, {"Service": "delivery.logs.amazonaws.com"}):
        assert put(policy({**what, "Principal": who})) == ""


def test_a_rule_and_a_trail_have_roles_that_trust_their_services(account: Account) -> None:
    events, trail = account.client("events"), account.client("cloudtrail")
    logs, s3 = account.client("logs"), account.client("s3")
    s3.create_bucket(Bucket="of-the-trail-15")
    logs.create_log_group(logGroupName="of-the-trail")
    [group] = logs.describe_log_groups(logGroupNamePrefix="of-the-trail")["logGroups"]
    names = ("ec2.amazonaws.com", "events.amazonaws.com", "cloudtrail.amazonaws.com")
    arns = [account.role(name.split(".")[0] + "-15", trusting(name)) for name in names]
    rule = {"Name": "r15", "ScheduleExpression": "rate(1 hour)"}
    assert told(events.put_rule, **rule, RoleArn=arns[0]) == "ValidationException"
    events.put_rule(**rule, RoleArn=arns[1])
    given = {"Name": "t15", "S3BucketName": "of-the-trail-15",
             "CloudWatchLogsLogGroupArn": group["arn"]}  # fmt: skip
    assert told(trail.create_trail, **given, CloudWatchLogsRoleArn=arns[0]) == (
        "InvalidCloudWatchLogsRoleArnException"
    )
    trail.create_trail(**given, CloudWatchLogsRoleArn=arns[2])


def test_what_is_changed_later_is_of_one_network_too(
    account: Account, networks: dict[str, Any]
) -> None:
    ec2, elb, scaling = (account.client(one) for one in ("ec2", "elbv2", "autoscaling"))
    (ours, second), (theirs, _) = networks["ours"], networks["theirs"]
    own = ec2.describe_subnets(SubnetIds=[ours])["Subnets"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="ours-15", Description="d", VpcId=own)["GroupId"]

    def source(**what: Any) -> dict[str, Any]:
        ports = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}
        return {"GroupId": group, "IpPermissions": [{**ports, **what}]}

    foreign = source(UserIdGroupPairs=[{"GroupId": networks["group"]}])
    assert told(ec2.authorize_security_group_ingress, **foreign) == "InvalidGroup.NotFound"
    no_list = source(PrefixListIds=[{"PrefixListId": "pl-0123456789abcdef0"}])
    assert told(ec2.authorize_security_group_egress, **no_list) == "InvalidPrefixListID.NotFound"
    ec2.authorize_security_group_ingress(**source(UserIdGroupPairs=[{"GroupId": group}]))

    table = ec2.create_route_table(VpcId=own)["RouteTable"]["RouteTableId"]
    interface = ec2.create_network_interface(SubnetId=theirs)["NetworkInterface"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "192.168.0.0/16"}
    for target, code in (
        ({"NetworkInterfaceId": interface["NetworkInterfaceId"]}, "InvalidParameterValue"),
        ({"GatewayId": gateway}, "InvalidParameterValue"),
        ({"NatGatewayId": "nat-0123456789abcdef0"}, "InvalidNatGatewayID.NotFound"),
    ):
        assert told(ec2.create_route, **route, **target) == code
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=own)
    ec2.create_route(**route, GatewayId=gateway)

    balancer = elb.create_load_balancer(Name="b15", Subnets=[ours, second])["LoadBalancers"][0]
    here, there = (
        elb.create_target_group(Name=f"t15-{n}", Protocol="HTTP", Port=80, VpcId=vpc)[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for n, vpc in enumerate((own, networks["other"]))
    )
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": here}],
    )["Listeners"][0]["ListenerArn"]  # fmt: skip
    forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": there}]}}
    change = {"ListenerArn": listener, "DefaultActions": [forward]}
    assert told(elb.modify_listener, **change) == "ValidationError"

    image = ec2.describe_images()["Images"][0]["ImageId"]
    data = {"ImageId": image, "InstanceType": "t3.micro"}
    ec2.create_launch_template(LaunchTemplateName="of-15", LaunchTemplateData=data)
    template = {"LaunchTemplateName": "of-15"}
    given = {"AutoScalingGroupName": "g15", "MinSize": 0, "MaxSize": 1,
             "LaunchTemplate": template, "VPCZoneIdentifier": ours}  # fmt: skip
    make, wrong = scaling.create_auto_scaling_group, "ValidationError"
    assert told(make, **given, TargetGroupARNs=[there]) == wrong
    make(**given, TargetGroupARNs=[here])
    named = {"AutoScalingGroupName": "g15"}
    attach = scaling.attach_load_balancer_target_groups
    assert told(attach, **named, TargetGroupARNs=[there]) == wrong
    update = scaling.update_auto_scaling_group
    assert told(update, **named, VPCZoneIdentifier=f"{ours},{theirs}") == wrong
    update(**named, VPCZoneIdentifier=f"{ours},{second}")


def test_a_databases_subnet_group_stays_in_its_network(
    account: Account, networks: dict[str, Any]
) -> None:
    rds, ec2 = account.client("rds"), account.client("ec2")
    zone = f"{account.cloud.region}b"
    far = ec2.create_subnet(
        VpcId=networks["other"], CidrBlock="10.9.15.0/24", AvailabilityZone=zone
    )["Subnet"]["SubnetId"]
    named = {"DBSubnetGroupName": "stays"}
    rds.create_db_subnet_group(**named, DBSubnetGroupDescription="d", SubnetIds=networks["ours"])
    moved = [networks["theirs"][0], far]
    assert told(rds.modify_db_subnet_group, **named, SubnetIds=moved) == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("protocol", "ports"),
    [("50", None), ("47", None), ("all", None), ("icmp", -1), ("58", -1), ("icmpv6", -1)],
)
def test_a_rule_for_a_protocol_without_ports_is_taken(
    account: Account, networks: dict[str, Any], protocol: str, ports: int | None
) -> None:
    ec2 = account.client("ec2")
    permission = {"IpProtocol": protocol, "IpRanges": [{"CidrIp": f"10.{len(protocol)}.0.0/16"}]}
    group = ec2.create_security_group(
        GroupName=f"of-{protocol}", Description="d", VpcId=networks["other"]
    )["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    [rule] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert rule.get("FromPort") == rule.get("ToPort") == ports
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    tcp = {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    given = {"GroupId": group, "IpPermissions": [tcp]}
    assert told(ec2.authorize_security_group_ingress, **given) == "InvalidParameterValue"


def test_a_rules_source_is_changed_and_its_words_are(
    account: Account, networks: dict[str, Any]
) -> None:
    """Moto left the old network open.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html
    """
    ec2 = account.client("ec2")
    first, second = (
        ec2.create_security_group(GroupName=n, Description="d", VpcId=networks["other"])["GroupId"]
        for n in ("changed-15", "source-15")
    )
    permissions = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **source} for source in (
        {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}, {"UserIdGroupPairs": [{"GroupId": first}]},
    )]  # fmt: skip
    open_, grouped = (
        ec2.authorize_security_group_ingress(GroupId=first, IpPermissions=[one])[
            "SecurityGroupRules"
        ][0]["SecurityGroupRuleId"]
        for one in permissions
    )

    def change(rule: str, **what: Any) -> str:
        new = {"SecurityGroupRuleId": rule, "SecurityGroupRule": {"IpProtocol": "-1", **what}}
        return told(ec2.modify_security_group_rules, GroupId=first, SecurityGroupRules=[new])

    assert change(open_, CidrIpv6="fd00::/8") == change(grouped, ReferencedGroupId=second) == ""
    assert change(open_, CidrIpv4="10.0.0.0/8") == "InvalidParameterValue"
    assert change(open_, CidrIpv6="10.0.0.0/8") == "InvalidParameterValue"
    assert change(grouped, ReferencedGroupId="sg-0123456789abcdef0") == "InvalidGroup.NotFound"
    words = [{"SecurityGroupRuleId": grouped, "Description": "by its id"}]
    update = ec2.update_security_group_rule_descriptions_ingress
    update(GroupId=first, SecurityGroupRuleDescriptions=words)
    shown = ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [first]}]
    )["SecurityGroupRules"]  # fmt: skip
    found = {one["SecurityGroupRuleId"]: one for one in shown}
    assert found[open_]["CidrIpv6"] == "fd00::/8"
    assert found[grouped]["ReferencedGroupInfo"]["GroupId"] == second
    assert found[grouped]["Description"] == "by its id"


def test_logs_are_searched_by_what_was_asked_for(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html"""
    logs = account.client("logs")
    logs.create_log_group(logGroupName="searched")
    logs.create_log_stream(logGroupName="searched", logStreamName="s")
    now = int(time.time() * 1000)
    events = [{"timestamp": now + n, "message": f"{word} x"} for n, word in enumerate("ab")]
    logs.put_log_events(logGroupName="searched", logStreamName="s", logEvents=events)

    def found(pattern: str) -> list[str]:
        shown = logs.filter_log_events(logGroupName="searched", filterPattern=pattern)
        return [one["message"][0] for one in shown["events"]]

    assert found("") == found("x") == found('?a ?"b"') == ["a", "b"]
    assert found("-a") == found('"b x"') == found("b x") == ["b"]
    assert found("a b") == []
    search = {"logGroupName": "searched"}
    unread = "LocalCloudNotImplemented"
    for pattern, code in (
        ("{ $.a = 1 }", unread), ("%a%", unread), ("((", "InvalidParameterException")
    ):  # fmt: skip
        assert told(logs.filter_log_events, **search, filterPattern=pattern) == code
    query = {**search, "startTime": 0, "endTime": now}
    for text in ("fields @message | filter @message like /a/", "stats count(*)", "((",
                 'SOURCE logGroups(namePrefix: ["x"]) | fields @message'):  # fmt: skip
        assert told(logs.start_query, **query, queryString=text) == unread
    for text in ("fields @timestamp, @message | sort @timestamp desc | limit 5", "limit 1"):
        logs.start_query(**query, queryString=text)


def test_a_schedule_says_when_and_where(account: Account) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""
    scheduler = account.client("scheduler")
    role = account.role("of-schedules-15", trusting("scheduler.amazonaws.com"))
    good: dict[str, Any] = {
        "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:rds:stopDBInstance", "RoleArn": role},
    }  # fmt: skip

    def put(number: int, change: dict[str, Any]) -> str:
        return told(scheduler.create_schedule, **good, **{"Name": f"when-{number}"} | change)

    for number, change in enumerate((
        {"ScheduleExpressionTimezone": "Europe/Nowhere"},
        {"ScheduleExpressionTimezone": "../UTC"},
    )):  # fmt: skip
        assert put(number, change) == "ValidationException"
    for name, value in (
        ("ScheduleExpression", "every hour"), ("ScheduleExpression", "rate(0 hours)"),
        ("FlexibleTimeWindow", {"Mode": "FLEXIBLE"}),
        ("Target", {**good["Target"], "Arn": "nowhere"}),
    ):  # fmt: skip
        asked = {**good, "Name": "never", name: value}
        assert told(scheduler.create_schedule, **asked) == "ValidationException"
    for number, expression in enumerate(("cron(0 20 ? * MON-FRI *)", "at(2030-01-01T00:00:00)",
                                         "rate(5 minutes)")):  # fmt: skip
        asked = {**good, "Name": f"then-{number}", "ScheduleExpression": expression}
        scheduler.create_schedule(**asked, ScheduleExpressionTimezone="Europe/Berlin")


def test_a_snapshot_is_shared_with_accounts(account: Account) -> None:
    rds = account.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="shared-15", DBInstanceClass="db.t3.micro", Engine="postgres",
        MasterUsername="owner", AllocatedStorage=20, MasterUserPassword="not-a-secret",
    )  # fmt: skip
    rds.create_db_snapshot(DBSnapshotIdentifier="shared-15", DBInstanceIdentifier="shared-15")
    share = {"DBSnapshotIdentifier": "shared-15", "AttributeName": "restore"}
    change = rds.modify_db_snapshot_attribute
    assert told(change, **share, ValuesToAdd=["abc"]) == "InvalidParameterValue"
    change(**share, ValuesToAdd=[OTHERS])


def test_a_secret_has_one_value(account: Account) -> None:
    both = {"Name": "both-15", "SecretString": "s", "SecretBinary": b"s"}
    create = account.client("secretsmanager").create_secret
    assert told(create, **both) == "InvalidParameterException"


@pytest.mark.parametrize(
    "content", [[], {"schemaVersion": "1.0", "parameters": {"p": {"type": "Words"}}},
                {"schemaVersion": "1.0", "parameters": {"p": {"type": "String",
                                                              "allowedPattern": "("}}}],
)  # fmt: skip
def test_a_document_that_no_session_could_run_is_refused(account: Account, content: Any) -> None:
    given = {"Name": "never-15", "DocumentType": "Session", "Content": json.dumps(content)}
    assert told(account.client("ssm").create_document, **given) == "InvalidDocumentContent"


def test_a_change_is_made_to_what_it_names(
    account: Account, networks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moto dropped the subnet group, took the instance's groups away and set a topic's ARN.
    https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
    """
    rds, ec2, sns = (account.client(one) for one in ("rds", "ec2", "sns"))
    named = {"DBSubnetGroupName": "changed-15"}
    rds.create_db_subnet_group(**named, DBSubnetGroupDescription="d", SubnetIds=networks["ours"])
    rds.modify_db_subnet_group(**named, DBSubnetGroupDescription="e", SubnetIds=networks["ours"])
    [subnets] = rds.describe_db_subnet_groups(**named)["DBSubnetGroups"]
    assert subnets["DBSubnetGroupDescription"] == "e"

    image = ec2.describe_images()["Images"][0]["ImageId"]
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    launch = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "SubnetId": networks["ours"][0],
              "SecurityGroupIds": [group]}  # fmt: skip
    instance = {"InstanceId": ec2.run_instances(**launch)["Instances"][0]["InstanceId"]}
    change = ec2.modify_instance_attribute
    change(**instance, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    [[found]] = [
        one["Instances"]
        for one in ec2.describe_instances(InstanceIds=[*instance.values()])["Reservations"]
    ]
    assert found["SecurityGroups"]
    shown = ec2.describe_instance_attribute(
        **instance, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert shown["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    two = {"DisableApiStop": {"Value": True}, "DisableApiTermination": {"Value": True}}
    assert told(change, **instance, **two) == "InvalidParameterCombination"

    topic, victim = (sns.create_topic(Name=name)["TopicArn"] for name in ("mine-15", "victim-15"))
    given = {"TopicArn": topic, "AttributeName": "Arn", "AttributeValue": victim}
    assert told(sns.set_topic_attributes, **given) == "InvalidParameter"
    signed = {"AttributeName": "SignatureVersion", "AttributeValue": "2"}
    sns.set_topic_attributes(TopicArn=topic, **signed)
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SignatureVersion"] == "2"
    monkeypatch.setattr(attributes, "OF_TOPIC", attributes.OF_TOPIC | {"Arn"})
    assert told(sns.set_topic_attributes, **given) == ""
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["TopicArn"] == victim


def test_a_schedule_that_is_changed_is_on_again(account: Account) -> None:
    """What a change does not say is as for a new schedule.
    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
    """
    scheduler = account.client("scheduler")
    role = account.role("of-changed-schedules", trusting("scheduler.amazonaws.com"))
    given: dict[str, Any] = {
        "Name": "changed-15", "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:rds:stopDBInstance", "RoleArn": role},
    }  # fmt: skip
    zone = {"ScheduleExpressionTimezone": "Europe/Berlin"}
    scheduler.create_schedule(**given, **zone, State="DISABLED")
    scheduler.update_schedule(**given)
    shown = scheduler.get_schedule(Name="changed-15")
    assert (shown["State"], shown["ScheduleExpressionTimezone"]) == ("ENABLED", "UTC")
