"""A third attack: what is put over something, passed along, renamed, or sealed with a dead key.

The intruder may do everything but touch what is tagged as the victim's or named like it. Where a
control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.iam.requests.services import s3_further
from scripts.iam.requests.wire import rest
from scripts.localcloud.emulator import account as moto_account
from scripts.localcloud.rules import keys as kms_keys
from tests.localcloud.access.test_let_in import send
from tests.localcloud.access.test_names import fails, key, tags
from tests.localcloud.clients import Account, statement

OWNED = [{"Key": "whose", "Value": "victim"}]
ALARM = {
    "MetricName": "m", "Namespace": "n", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum",
}  # fmt: skip
DATABASE = {
    "DBInstanceClass": "db.t3.micro", "Engine": "postgres", "AllocatedStorage": 20,
    "MasterUsername": "m", "ManageMasterUserPassword": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def intruder(account: Account) -> Credentials:
    own = f"arn:aws:iam::{account.cloud.account_id}"
    names = [f"{own}:{kind}/{name}" for kind in ("user", "role", "instance-profile")
             for name in ("victim*", "admins/*")]  # fmt: skip
    names += [f"{own}:oidc-provider/victim.example", f"{own}:group/admins/*"]
    tagged = {"Effect": "Deny", "Action": "*", "Resource": "*",
              "Condition": {"StringEquals": {"aws:ResourceTag/whose": "victim"}}}  # fmt: skip
    return account.session(
        "further", statement("*"), {"Effect": "Deny", "Action": "*", "Resource": names}, tagged
    )


def role(account: Account, name: str) -> str:
    account.job_role(name)
    return f"arn:aws:iam::{account.cloud.account_id}:role/{name}"


@pytest.fixture(scope="module")
def template(account: Account) -> dict[str, str]:
    ec2 = account.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    data = {"ImageId": image, "InstanceType": "t3.micro"}
    ec2.create_launch_template(LaunchTemplateName="plain", LaunchTemplateData=data)
    return {"LaunchTemplateName": "plain", "Version": "1"}


def subnets(account: Account) -> list[str]:
    return [one["SubnetId"] for one in account.client("ec2").describe_subnets()["Subnets"]]


# Put over what is there


def group(account: Account, who: Credentials | None, name: str, **more: Any) -> None:
    account.client("autoscaling", who).create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, MaxSize=1, AvailabilityZones=["us-east-1a"], **more
    )


def test_a_group_is_not_made_over_another(
    account: Account, intruder: Credentials, template: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    group(account, None, "theirs", LaunchTemplate=template, Tags=OWNED)
    attack: dict[str, Any] = {
        "account": account,
        "who": intruder,
        "name": "theirs",
        "LaunchTemplate": template,
    }
    assert fails(group, **attack) == "AlreadyExists"
    monkeypatch.delitem(account.cloud.gateway.checks, ("autoscaling", "CreateAutoScalingGroup"))
    group(**attack)  # the control is what keeps the group
    assert not account.client("autoscaling").describe_tags()["Tags"]


def test_a_name_that_is_taken_is_not_given_again(account: Account, intruder: Credentials) -> None:
    some = {"DBSubnetGroupDescription": "x", "SubnetIds": subnets(account)[:2]}
    account.client("rds").create_db_subnet_group(DBSubnetGroupName="theirs", **some, Tags=OWNED)
    code = fails(account.client("rds", intruder).create_db_subnet_group,
                 DBSubnetGroupName="Theirs", **some)  # fmt: skip
    assert code == "DBSubnetGroupAlreadyExists"
    account.client("scheduler").create_schedule_group(Name="theirs", Tags=OWNED)
    code = fails(account.client("scheduler", intruder).create_schedule_group, Name="theirs")
    assert code == "ConflictException"
    account.client("s3").create_bucket(Bucket="trails-of-theirs")
    trail = {"Name": "theirs", "S3BucketName": "trails-of-theirs"}
    account.client("cloudtrail").create_trail(**trail, TagsList=OWNED)
    code = fails(account.client("cloudtrail", intruder).create_trail, **trail)
    assert code == "TrailAlreadyExistsException"


def test_a_database_is_not_renamed_over_another(account: Account, intruder: Credentials) -> None:
    rds = account.client("rds")
    for name in ("mine-db", "their-db"):
        rds.create_db_instance(DBInstanceIdentifier=name, **DATABASE)
    code = fails(account.client("rds", intruder).modify_db_instance,
                 DBInstanceIdentifier="mine-db", NewDBInstanceIdentifier="Their-DB")  # fmt: skip
    assert code == "DBInstanceAlreadyExists"


def test_an_alarm_or_rule_that_is_there_keeps_its_tags_guard(
    account: Account, intruder: Credentials
) -> None:
    account.client("cloudwatch").put_metric_alarm(AlarmName="theirs", Tags=OWNED, **ALARM)
    mine = account.client("cloudwatch", intruder)
    fails(mine.put_metric_alarm, AlarmName="theirs", **ALARM)
    fails(mine.put_composite_alarm, AlarmName="theirs", AlarmRule="ALARM(x)")
    mine.put_metric_alarm(AlarmName="mine", **ALARM)
    account.client("events").put_rule(Name="theirs", ScheduleExpression="rate(1 day)", Tags=OWNED)
    rules = account.client("events", intruder)
    fails(rules.put_rule, Name="theirs", ScheduleExpression="rate(2 days)")
    fails(rules.disable_rule, Name="theirs")
    rules.put_rule(Name="mine", ScheduleExpression="rate(1 day)")


def change_tagged(account: Account, who: Credentials, name: str) -> None:
    account.client("events", who).disable_rule(Name=name)


def test_tags_of_rules_groups_and_trails_are_seen(
    account: Account, intruder: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.client("events").put_rule(Name="seen", ScheduleExpression="rate(1 day)", Tags=OWNED)
    made = account.client("scheduler").create_schedule_group(Name="seen", Tags=OWNED)
    mine = account.client("scheduler", intruder)
    assert fails(mine.delete_schedule_group, Name="seen") == "AccessDeniedException"
    fails(mine.untag_resource, ResourceArn=made["ScheduleGroupArn"], TagKeys=["whose"])
    account.client("s3").create_bucket(Bucket="trails-seen")
    arn = account.client("cloudtrail").create_trail(
        Name="seen", S3BucketName="trails-seen", TagsList=OWNED
    )["TrailARN"]
    for name in ("seen", arn):
        fails(account.client("cloudtrail", intruder).stop_logging, Name=name)
    fails(account.client("cloudtrail", intruder).remove_tags, ResourceId=arn, TagsList=OWNED)
    fails(change_tagged, account=account, who=intruder, name="seen")
    monkeypatch.delitem(moto_account._TAGS, "events")
    change_tagged(account, intruder, "seen")


# Renamed, moved, spelt otherwise


def test_a_user_is_renamed_and_moved_with_both_rights(
    account: Account, intruder: Credentials
) -> None:
    iam, mine = account.client("iam"), account.client("iam", intruder)
    for name in ("mine", "taken"):
        iam.create_user(UserName=name)
    for asked in ({"NewUserName": "victim-to-be"}, {"NewPath": "/admins/"}):
        assert fails(mine.update_user, UserName="mine", **asked) == "AccessDenied"
    for name in ("taken", "TAKEN"):
        assert fails(mine.update_user, UserName="mine", NewUserName=name) == "EntityAlreadyExists"
    mine.update_user(UserName="mine", NewUserName="mine-too")


def test_a_key_is_its_users_and_no_namesakes(account: Account) -> None:
    iam = account.client("iam")
    iam.create_user(UserName="first")
    made = iam.create_access_key(UserName="first")["AccessKey"]
    who = Credentials(made["AccessKeyId"], made["SecretAccessKey"])
    iam.update_user(UserName="first", NewUserName="later")
    iam.create_user(UserName="first")
    iam.put_user_policy(UserName="first", PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": statement("*")}))  # fmt: skip
    assert account.client("sts", who).get_caller_identity()["Arn"].endswith(":user/later")
    assert fails(account.client("iam", who).list_roles) == "AccessDenied"


def test_a_group_has_its_path(account: Account, intruder: Credentials) -> None:
    account.client("iam").create_group(GroupName="bosses", Path="/admins/")
    document = json.dumps({"Version": "2012-10-17", "Statement": statement("*")})
    fails(account.client("iam", intruder).put_group_policy, GroupName="bosses", PolicyName="p",
          PolicyDocument=document)  # fmt: skip


@pytest.mark.parametrize("tail", ["#x", "/#x", "?x=1", ";x"])
def test_a_providers_address_is_all_of_its_name(
    account: Account, intruder: Credentials, tail: str
) -> None:
    fails(account.client("iam", intruder).create_open_id_connect_provider,
          Url=f"https://victim.example{tail}", ClientIDList=["x"])  # fmt: skip


def test_an_address_is_named_by_itself(account: Account, intruder: Credentials) -> None:
    ec2, mine = account.client("ec2"), account.client("ec2", intruder)
    made = ec2.allocate_address(TagSpecifications=tags("victim", "elastic-ip"))
    fails(mine.disassociate_address, PublicIp=made["PublicIp"])
    assert fails(mine.release_address, PublicIp=made["PublicIp"]) == "UnauthorizedOperation"


def test_a_template_may_be_called_like_an_id(account: Account, intruder: Credentials) -> None:
    ec2, mine = account.client("ec2"), account.client("ec2", intruder)
    data = {"InstanceType": "t3.micro"}
    made = ec2.create_launch_template(
        LaunchTemplateName="lt-theirs", LaunchTemplateData=data,
        TagSpecifications=tags("victim", "launch-template"),
    )["LaunchTemplate"]["LaunchTemplateId"]  # fmt: skip
    fails(mine.delete_launch_template, LaunchTemplateName="lt-theirs")
    mine.create_launch_template(LaunchTemplateName=made, LaunchTemplateData=data)
    fails(mine.run_instances, MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": made})


def test_names_of_databases_have_no_case(account: Account, intruder: Credentials) -> None:
    rds, mine = account.client("rds"), account.client("rds", intruder)
    some = {"DBSubnetGroupDescription": "x", "SubnetIds": subnets(account)[:2]}
    rds.create_db_subnet_group(DBSubnetGroupName="Upper", **some, Tags=OWNED)
    rds.create_db_parameter_group(DBParameterGroupName="Upper", Description="x",
                                  DBParameterGroupFamily="postgres17", Tags=OWNED)  # fmt: skip
    for name in ("Upper", "upper"):
        fails(mine.delete_db_subnet_group, DBSubnetGroupName=name)
        fails(mine.delete_db_parameter_group, DBParameterGroupName=name)


def test_a_parameter_at_the_root_has_its_tags(account: Account, intruder: Credentials) -> None:
    account.client("ssm").put_parameter(Name="rooted", Value="x", Type="String", Tags=OWNED)
    for name in ("rooted", "/rooted"):
        fails(account.client("ssm", intruder).get_parameter, Name=name)


def copy(account: Account, who: Credentials, **more: Any) -> None:
    account.client("s3", who).copy_object(
        Bucket="copied-things", Key="b", CopySource="copied-things/a", **more
    )


def test_a_copy_keeps_tags_only_with_the_right_to_set_them(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="copied-things")
    s3.put_object(Bucket="copied-things", Key="a", Body=b"x", Tagging="for=all")
    who = account.session(
        "copier", statement(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::copied-things/*")
    )
    assert fails(copy, account=account, who=who) == "AccessDenied"
    for word in ("replace", "other"):
        assert fails(copy, account=account, who=who, TaggingDirective=word) == "InvalidArgument"
    monkeypatch.setattr(s3_further, "_directive", lambda *_: "REPLACE")
    monkeypatch.setattr(rest, "within", lambda *_: None)
    copy(account, who, TaggingDirective="replace")
    tagged = s3.get_object_tagging(Bucket="copied-things", Key="b")["TagSet"]
    assert tagged == [{"Key": "for", "Value": "all"}]


def test_a_copys_source_is_compared_as_it_is(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="source-things")
    s3.put_object(Bucket="source-things", Key="secret/a", Body=b"x")
    secret = {"StringLike": {"s3:x-amz-copy-source": "source-things/secret/*"}}
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": secret}
    who = account.session("of-sources", statement("s3:*"), deny)
    for source in ("source-things/secret/a", "/source-things/secret/a",
                   "source-things/%73ecret/a", "source%2Dthings/secret/a"):  # fmt: skip
        answer = send(account, who, "PUT", "/source-things/b", b"", {"x-amz-copy-source": source})
        assert answer.status_code == 403, source


# Passed along


def test_a_new_groups_hooks_pass_their_roles(
    account: Account, intruder: Credentials, template: dict[str, str]
) -> None:
    hook = {"LifecycleHookName": "h", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
            "NotificationTargetARN": "arn:aws:sns:us-east-1:1:x",
            "RoleARN": role(account, "victim-hook")}  # fmt: skip
    fails(group, account=account, who=intruder, name="hooked", LaunchTemplate=template,
          LifecycleHookSpecificationList=[hook])  # fmt: skip


def test_a_group_is_not_modelled_on_an_instance(account: Account, intruder: Credentials) -> None:
    """It would start others with the profile of that one, which nobody passed."""
    code = fails(group, account=account, who=intruder, name="modelled",
                 InstanceId="i-0123456789abcdef0")  # fmt: skip
    assert code == "ValidationError"


def test_a_subscription_passes_its_role(account: Account, intruder: Credentials) -> None:
    sns, mine = account.client("sns"), account.client("sns", intruder)
    topic, passed = sns.create_topic(Name="fire")["TopicArn"], role(account, "victim-fire")
    end = f"arn:aws:sqs:us-east-1:{account.cloud.account_id}:q"
    fails(mine.subscribe, TopicArn=topic, Protocol="firehose", Endpoint=end,
          Attributes={"SubscriptionRoleArn": passed})  # fmt: skip
    made = sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@example.com", ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    fails(mine.set_subscription_attributes, SubscriptionArn=made,
          AttributeName="SubscriptionRoleArn", AttributeValue=passed)  # fmt: skip


@pytest.mark.parametrize(
    ("service", "key_of", "call", "asked"),
    [
        ("elbv2", "elasticloadbalancing:Subnet", "create_load_balancer",
         {"Name": "mapped", "SubnetMappings": [{"SubnetId": "subnet-0a"}]}),
        ("autoscaling", "autoscaling:TargetGroupARNs", "attach_load_balancer_target_groups",
         {"AutoScalingGroupName": "any", "TargetGroupARNs": ["arn:x"]}),
        ("autoscaling", "autoscaling:TrafficSourceIdentifiers", "attach_traffic_sources",
         {"AutoScalingGroupName": "any", "TrafficSources": [{"Identifier": "arn:x"}]}),
        ("secretsmanager", "secretsmanager:AddReplicaRegions", "create_secret",
         {"Name": "spread", "AddReplicaRegions": [{"Region": "eu-west-1"}]}),
    ],
)  # fmt: skip
def test_a_condition_sees_what_the_call_names(
    account: Account, service: str, key_of: str, call: str, asked: dict[str, Any]
) -> None:
    value = {"elbv2": "subnet-0a", "secretsmanager": "eu-west-1"}.get(service, "arn:x")
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"ForAnyValue:StringEquals": {key_of: value}}}  # fmt: skip
    who = account.session(f"sees-{call.replace('_', '-')}", statement("*"), deny)
    assert fails(getattr(account.client(service, who), call), **asked).startswith("AccessDenied")


# Sealed


def test_a_volume_needs_its_key(account: Account, intruder: Credentials) -> None:
    deny = {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}
    who = account.session("volumes", statement("*"), deny)
    code = fails(account.client("ec2", who).create_volume, AvailabilityZone="us-east-1a", Size=1,
                 Encrypted=True, KmsKeyId=key(account, "mine"))  # fmt: skip
    assert code == "UnauthorizedOperation"


def test_a_restored_database_needs_the_key_of_its_source(account: Account) -> None:
    sealed, rds = key(account, "mine"), account.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="sealed", StorageEncrypted=True, KmsKeyId=sealed, **DATABASE
    )
    rds.create_db_snapshot(DBInstanceIdentifier="sealed", DBSnapshotIdentifier="sealed")
    who = account.session(
        "restorer", statement("*"), {"Effect": "Deny", "Action": "kms:*", "Resource": sealed}
    )
    mine = account.client("rds", who)
    for call, asked in (
        (mine.restore_db_instance_from_db_snapshot,
         {"DBInstanceIdentifier": "stolen", "DBSnapshotIdentifier": "sealed"}),
        (mine.restore_db_instance_to_point_in_time,
         {"TargetDBInstanceIdentifier": "stolen", "SourceDBInstanceIdentifier": "sealed"}),
        (mine.copy_db_snapshot,
         {"SourceDBSnapshotIdentifier": "sealed", "TargetDBSnapshotIdentifier": "stolen",
          "KmsKeyId": key(account, "mine")}),
    ):  # fmt: skip
        assert fails(call, **asked) == "AccessDenied"


def test_what_is_restored_is_named(account: Account, intruder: Credentials) -> None:
    """By its resource id alone, moto restored the account's first database."""
    fails(account.client("rds", intruder).restore_db_instance_to_point_in_time,
          SourceDbiResourceId="db-ABC", TargetDBInstanceIdentifier="mine",
          UseLatestRestorableTime=True)  # fmt: skip


def test_a_secret_is_not_opened_by_giving_it_another_key(account: Account) -> None:
    victim, mine = key(account, "mine"), key(account, "mine")
    account.client("secretsmanager").create_secret(
        Name="sealed", SecretString="deep", KmsKeyId=victim
    )
    who = account.session(
        "keychanger", statement("*"), {"Effect": "Deny", "Action": "kms:*", "Resource": victim}
    )
    client = account.client("secretsmanager", who)
    for call, asked in ((client.update_secret, {"KmsKeyId": mine}), (client.get_secret_value, {})):
        assert fails(call, SecretId="sealed", **asked) == "AccessDeniedException"


def test_a_key_whose_name_points_elsewhere_still_guards(account: Account) -> None:
    account.client("kms").create_alias(AliasName="alias/sealed", TargetKeyId=key(account, "mine"))
    s3 = account.client("s3")
    s3.create_bucket(Bucket="aliased-things")
    named = {"Bucket": "aliased-things", "Key": "a"}
    s3.put_object(**named, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/sealed")
    account.client("ssm").put_parameter(Name="/aliased/a", Value="x", Type="SecureString",
                                        KeyId="alias/sealed")  # fmt: skip
    first = account.client("kms").describe_key(KeyId="alias/sealed")["KeyMetadata"]["Arn"]
    who = account.session(
        "unnamer", statement("*"), {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": first}
    )
    account.client("secretsmanager").create_secret(
        Name="aliased", SecretString="x", KmsKeyId="alias/sealed"
    )
    s3, ssm = account.client("s3", who), account.client("ssm", who)
    for change, asked in (
        ("update_alias", {"TargetKeyId": key(account, "mine")}), ("delete_alias", {}),
    ):  # fmt: skip
        getattr(account.client("kms", who), change)(AliasName="alias/sealed", **asked)
        assert fails(s3.get_object, **named) == "AccessDenied"
        fails(ssm.get_parameter, Name="/aliased/a", WithDecryption=True)
        fails(account.client("secretsmanager", who).get_secret_value, SecretId="aliased")


def uses(account: Account, sealed: str) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    s3, kms = account.client("s3"), account.client("kms")
    named = {"Bucket": "off-things", "Key": "a"}
    how = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": sealed}
    return [
        (s3.put_object, {**named, **how, "Body": b"x"}),
        (s3.get_object, named),
        (kms.encrypt, {"KeyId": sealed, "Plaintext": b"x"}),
        (kms.generate_data_key, {"KeyId": sealed, "KeySpec": "AES_256"}),
        (account.client("secretsmanager").get_secret_value, {"SecretId": "off"}),
    ]


def test_a_disabled_key_opens_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = key(account, "mine")
    account.client("s3").create_bucket(Bucket="off-things")
    account.client("secretsmanager").create_secret(Name="off", SecretString="x", KmsKeyId=sealed)
    for call, asked in uses(account, sealed):
        call(**asked)
    account.client("kms").disable_key(KeyId=sealed.rpartition("/")[2])
    for call, asked in uses(account, sealed):
        assert fails(call, **asked) in (
            "DisabledException", "InvalidRequestException", "KMS.DisabledException",
        )  # fmt: skip
    monkeypatch.setattr(kms_keys, "check", lambda *_: None)
    for call, asked in uses(account, sealed):
        call(**asked)


def test_a_key_that_is_not_there_seals_nothing(account: Account) -> None:
    account.client("s3").create_bucket(Bucket="keyless-things")
    unknown = key(account, "mine")[:-4] + "0000"
    code = fails(account.client("s3").put_object, Bucket="keyless-things", Key="a", Body=b"x",
                 ServerSideEncryption="aws:kms", SSEKMSKeyId=unknown)  # fmt: skip
    assert code == "KMS.NotFoundException"


# Whose it is


def test_a_policy_of_aws_is_not_changed(account: Account) -> None:
    iam, arn = account.client("iam"), "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.attach_role_policy(RoleName=role(account, "reads").rpartition("/")[2], PolicyArn=arn)
    document = json.dumps({"Version": "2012-10-17", "Statement": statement("*")})
    for call, asked in (
        (iam.create_policy_version, {"PolicyDocument": document, "SetAsDefault": True}),
        (iam.tag_policy, {"Tags": OWNED}), (iam.delete_policy_version, {"VersionId": "v1"}),
    ):  # fmt: skip
        assert fails(call, PolicyArn=arn, **asked) == "AccessDenied"


def test_a_session_of_a_deleted_role_is_no_ones(account: Account) -> None:
    """Not even where a policy names the session of the role that was made again."""
    iam, s3 = account.client("iam"), account.client("s3")
    arn = role(account, "comes-back")
    who = account.assume(arn)
    iam.delete_role(RoleName="comes-back")
    account.job_role("comes-back")
    s3.create_bucket(Bucket="of-who-comes-back")
    s3.put_object(Bucket="of-who-comes-back", Key="a", Body=b"x")
    session = f"arn:aws:sts::{account.cloud.account_id}:assumed-role/comes-back/test"
    for name in (arn, session):
        allow = {"Effect": "Allow", "Principal": {"AWS": name}, "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::of-who-comes-back/*"}  # fmt: skip
        s3.put_bucket_policy(Bucket="of-who-comes-back", Policy=json.dumps(
            {"Version": "2012-10-17", "Statement": allow}))  # fmt: skip
        assert fails(account.client("s3", who).get_object, Bucket="of-who-comes-back", Key="a")
    again = account.assume(arn)
    assert account.client("s3", again).get_object(Bucket="of-who-comes-back", Key="a")


def test_a_session_policy_that_allows_nothing_allows_nothing(account: Account) -> None:
    arn = role(account, "narrowed")
    account.allow("narrowed", statement("*"))
    made = account.client("iam").create_policy(PolicyName="narrow", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": statement("s3:ListAllMyBuckets")}))  # fmt: skip
    who = account.assume(arn, PolicyArns=[{"arn": made["Policy"]["Arn"]}])
    assert account.client("s3", who).list_buckets()
    with pytest.raises(ClientError):
        account.client("iam", who).list_roles()
