"""A fourth attack: what lies in plain sight, what is in use, and keys that nobody sets.

The intruder may do everything but what a Deny keeps. Where a control can be taken away alone, the
attack is tried once more without it, and must work.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from moto.ssm.models import Parameter

from scripts.aws.credentials import Credentials
from scripts.iam.requests import unambiguous
from scripts.localcloud.access import authorization
from tests.localcloud.access.test_further import ALARM, DATABASE
from tests.localcloud.access.test_let_in import send
from tests.localcloud.access.test_names import fails, key
from tests.localcloud.clients import Account, statement

POLICY = {"Version": "2012-10-17", "Statement": statement("*")}
PORT_DOCUMENT = json.dumps({"schemaVersion": "1.0", "sessionType": "Port", "properties": {}})


def deny(actions: str, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    return {"Effect": "Deny", "Action": actions, "Resource": "*", **more}


@pytest.fixture(scope="module")
def anybody(account: Account) -> Credentials:
    return account.session("anybody", statement("*"))


# In plain sight


def shown(account: Account, who: Credentials) -> list[str]:
    """What one who may not decrypt sees of a parameter, by each way."""
    ssm = account.client("ssm", who)
    found = [
        ssm.get_parameter(Name="/plain/a")["Parameter"],
        *ssm.get_parameters(Names=["/plain/a"])["Parameters"],
        *ssm.get_parameters_by_path(Path="/plain")["Parameters"],
        *ssm.get_parameter_history(Name="/plain/a")["Parameters"],
    ]
    return [one["Value"] for one in found]


def test_a_secure_string_is_shown_encrypted(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.client("ssm").put_parameter(Name="/plain/a", Value="in the clear", Type="SecureString")
    who = account.session("cannot-decrypt", statement("ssm:*"), deny("kms:*"))
    seen = shown(account, who)
    assert len(seen) == 4
    assert not any("in the clear" in value for value in seen)
    with_key = account.client("ssm").get_parameter(Name="/plain/a", WithDecryption=True)
    assert with_key["Parameter"]["Value"] == "in the clear"
    # As moto has it.
    monkeypatch.setattr(Parameter, "response_object", inspect.unwrap(Parameter.response_object))
    assert all("in the clear" in value for value in shown(account, who))


@pytest.fixture(scope="module")
def rekeyed(account: Account) -> Credentials:
    """Who may use the key of the newest version of `/rekeyed/a`, and not that of the first."""
    first, second = key(account, "mine"), key(account, "mine")
    ssm = account.client("ssm")
    for sealed, text in ((first, "first"), (second, "second")):
        ssm.put_parameter(Name="/rekeyed/a", Value=text, Type="SecureString", KeyId=sealed,
                          Overwrite=True)  # fmt: skip
    ssm.label_parameter_version(Name="/rekeyed/a", ParameterVersion=1, Labels=["old"])
    kept = {"Effect": "Deny", "Action": "kms:*", "Resource": first}
    return account.session("rekeyed", statement("*"), kept)


def test_each_version_of_a_parameter_has_its_key(account: Account, rekeyed: Credentials) -> None:
    ssm = account.client("ssm", rekeyed)
    for name in ("/rekeyed/a", "/rekeyed/a:2"):
        found = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        assert found["Value"] == "second"
    arn = f"arn:aws:ssm:{account.cloud.region}:{account.cloud.account_id}:parameter/rekeyed/a"
    for name in ("/rekeyed/a:1", "/rekeyed/a:old", f"{arn}:1", "rekeyed/a:1"):
        fails(ssm.get_parameter, Name=name, WithDecryption=True)
        fails(ssm.get_parameters, Names=["/rekeyed/a", name], WithDecryption=True)
    fails(ssm.get_parameter_history, Name="/rekeyed/a", WithDecryption=True)
    assert ssm.get_parameter_history(Name="/rekeyed/a")["Parameters"]


def kept_out(account: Account, name: str) -> tuple[Credentials, str]:
    """Who may do everything but use a key, and the key."""
    sealed = key(account, "mine")
    kept = {"Effect": "Deny", "Action": "kms:*", "Resource": sealed}
    return account.session(name, statement("*"), kept), sealed


@pytest.mark.parametrize("how", ["alias", "id", "copy"])
def test_a_database_is_restored_with_its_key_however_that_was_named(
    account: Account, how: str
) -> None:
    who, sealed = kept_out(account, f"restores-{how}")
    rds, named = account.client("rds"), {"alias": f"alias/{how}-db", "id": sealed[-36:]}
    account.client("kms").create_alias(AliasName=f"alias/{how}-db", TargetKeyId=sealed)
    first = key(account, "mine") if how == "copy" else named[how]
    source = {"DBInstanceIdentifier": f"by-{how}", "DBSnapshotIdentifier": f"by-{how}"}
    rds.create_db_instance(DBInstanceIdentifier=f"by-{how}", StorageEncrypted=True, KmsKeyId=first,
                           **DATABASE)  # fmt: skip
    rds.create_db_snapshot(**source)
    snapshot = f"by-{how}"
    if how == "copy":
        snapshot = "by-copy-sealed"
        rds.copy_db_snapshot(SourceDBSnapshotIdentifier="by-copy", KmsKeyId=sealed,
                             TargetDBSnapshotIdentifier=snapshot)  # fmt: skip
    account.client("kms").update_alias(AliasName=f"alias/{how}-db",
                                       TargetKeyId=key(account, "mine"))  # fmt: skip
    code = fails(account.client("rds", who).restore_db_instance_from_db_snapshot,
                 DBInstanceIdentifier=f"stolen-{how}", DBSnapshotIdentifier=snapshot)  # fmt: skip
    assert code == "AccessDenied"


def test_a_volume_of_a_snapshot_needs_the_snapshots_key(account: Account, image: str) -> None:
    who, sealed = kept_out(account, "of-snapshots")
    ec2, mine = account.client("ec2"), account.client("ec2", who)
    place = {"AvailabilityZone": "us-east-1a"}
    volume = ec2.create_volume(**place, Size=1, Encrypted=True, KmsKeyId=sealed)["VolumeId"]
    first = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    second = ec2.create_snapshot(
        VolumeId=ec2.create_volume(**place, SnapshotId=first)["VolumeId"]
    )["SnapshotId"]  # fmt: skip
    own = {"Encrypted": True, "KmsKeyId": key(account, "mine")}
    for snapshot in (first, second):
        for more in ({}, own):
            code = fails(mine.create_volume, **place, SnapshotId=snapshot, **more)
            assert code == "UnauthorizedOperation"
        disk = {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 2}}
        code = fails(mine.run_instances, ImageId=image, MinCount=1, MaxCount=1,
                     BlockDeviceMappings=[disk])  # fmt: skip
        assert code == "UnauthorizedOperation"


def test_a_key_that_waits_for_its_deletion_is_not_revived(
    account: Account, anybody: Credentials
) -> None:
    name = key(account, "mine").rpartition("/")[2]
    kms, mine = account.client("kms"), account.client("kms", anybody)
    for days in (1, 31):
        code = fails(kms.schedule_key_deletion, KeyId=name, PendingWindowInDays=days)
        assert code == "ValidationException"
    kms.schedule_key_deletion(KeyId=name, PendingWindowInDays=7)
    for call in (mine.enable_key, mine.disable_key, mine.schedule_key_deletion):
        assert fails(call, KeyId=name) == "KMSInvalidStateException"
    code = fails(mine.create_alias, AliasName="alias/waiting", TargetKeyId=name)
    assert code == "KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=name)
    kms.enable_key(KeyId=name)


def test_an_object_under_a_customers_key_is_refused(account: Account) -> None:
    """Moto stored it as any other, and gave it to whoever had no key."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="fourth-things")
    code = fails(s3.put_object, Bucket="fourth-things", Key="a", Body=b"x",
                 SSECustomerAlgorithm="AES256", SSECustomerKey=b"0" * 32)  # fmt: skip
    assert code == "LocalCloudNotImplemented"


def test_a_secret_has_no_replica_under_another_key(account: Account) -> None:
    sealed = key(account, "mine")
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="one-region", SecretString="x", KmsKeyId=sealed)
    elsewhere = [{"Region": "eu-west-1"}]
    code = fails(secrets.replicate_secret_to_regions, SecretId="one-region",
                 AddReplicaRegions=elsewhere)  # fmt: skip
    assert code == "LocalCloudUnmapped"
    code = fails(secrets.create_secret, Name="two-regions", SecretString="x",
                 AddReplicaRegions=elsewhere)  # fmt: skip
    assert code == "LocalCloudNotImplemented"


def test_who_may_read_one_reads_no_others_beside_it(account: Account) -> None:
    """A filter, or a second way to choose, added to the one that was named."""
    own = "mine-fourth"
    cloudwatch, rds = account.client("cloudwatch"), account.client("rds")
    for name in (own, "victim-fourth"):
        cloudwatch.put_metric_alarm(AlarmName=name, **ALARM)
        rds.create_db_instance(DBInstanceIdentifier=name, **DATABASE)
        rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=name)
    arns = [f"arn:aws:cloudwatch:*:*:alarm:{own}", f"arn:aws:rds:*:*:*:{own}"]
    who = account.session("reads-one", statement("*", arns))
    alarms, databases = account.client("cloudwatch", who), account.client("rds", who)
    for call, named, others in (
        (alarms.describe_alarms, {"AlarmNames": [own]}, {"AlarmNamePrefix": "victim"}),
        (alarms.describe_alarms, {"AlarmNames": [own]}, {"ActionPrefix": "arn:"}),
        (databases.describe_db_instances, {"DBInstanceIdentifier": own},
         {"Filters": [{"Name": "db-instance-id", "Values": ["victim-fourth"]}]}),
        (databases.describe_db_snapshots, {"DBSnapshotIdentifier": own},
         {"Filters": [{"Name": "db-snapshot-id", "Values": ["victim-fourth"]}]}),
        (databases.describe_db_snapshots, {"DBSnapshotIdentifier": own},
         {"SnapshotType": "shared"}),
    ):  # fmt: skip
        assert call(**named)
        assert fails(call, **named, **others).startswith("AccessDenied")


# In use


def remade(account: Account, who: Credentials, arn: str) -> None:
    """A policy deleted, and made again under its name to say the opposite."""
    iam = account.client("iam", who)
    iam.delete_policy(PolicyArn=arn)
    iam.create_policy(PolicyName=arn.rpartition("/")[2], PolicyDocument=json.dumps(POLICY))


@pytest.mark.parametrize("how", ["role", "group"])
def test_a_policy_in_use_is_not_deleted(
    account: Account, anybody: Credentials, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = account.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": deny("iam:*")})
    arn = iam.create_policy(PolicyName=f"guard-{how}", PolicyDocument=document)["Policy"]["Arn"]
    if how == "role":
        held = account.session("held-role", statement("*"))
        iam.attach_role_policy(RoleName="held-role", PolicyArn=arn)
    else:
        iam.create_group(GroupName="held-group")
        iam.attach_group_policy(GroupName="held-group", PolicyArn=arn)
    assert fails(remade, account=account, who=anybody, arn=arn) == "DeleteConflict"
    if how == "role":
        assert fails(account.client("iam", held).list_roles) == "AccessDenied"
        monkeypatch.delitem(account.cloud.gateway.checks, ("iam", "DeletePolicy"))
        account.client("iam", anybody).delete_policy(PolicyArn=arn)


def test_a_boundary_that_is_deleted_and_made_again_lifts_nothing(
    account: Account, anybody: Credentials
) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": statement("s3:ListAllMyBuckets")})
    made = account.client("iam").create_policy(PolicyName="bounds", PolicyDocument=document)
    arn = made["Policy"]["Arn"]
    bound = account.session("bounded-by-it", statement("*"), PermissionsBoundary=arn)
    assert fails(account.client("iam", bound).list_roles) == "AccessDenied"
    remade(account, anybody, arn)
    assert fails(account.client("iam", bound).list_roles) == "AccessDenied"
    account.client("iam").put_role_permissions_boundary(
        RoleName="bounded-by-it", PermissionsBoundary=arn
    )
    assert account.client("iam", bound).list_roles()["Roles"]


@pytest.fixture(scope="module")
def image(account: Account) -> str:
    return str(account.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"])


def test_a_subnet_keeps_its_route_table(account: Account, anybody: Credentials) -> None:
    ec2, mine = account.client("ec2"), account.client("ec2", anybody)
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
    first, second = (
        ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)
    )
    made = ec2.associate_route_table(RouteTableId=first, SubnetId=subnet)["AssociationId"]
    again = mine.associate_route_table(RouteTableId=first, SubnetId=subnet)
    assert again["AssociationId"] == made
    code = fails(mine.associate_route_table, RouteTableId=second, SubnetId=subnet)
    assert code == "Resource.AlreadyAssociated"
    assert mine.replace_route_table_association(AssociationId=made, RouteTableId=second)


def test_an_instance_is_its_groups_whatever_group_the_call_names(
    account: Account, image: str
) -> None:
    groups = account.client("autoscaling")
    account.client("ec2").create_launch_template(
        LaunchTemplateName="of-groups",
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"},
    )
    for name in ("theirs-fourth", "mine-fourth"):
        groups.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=0, MaxSize=2, DesiredCapacity=1,
            AvailabilityZones=["us-east-1a"],
            LaunchTemplate={"LaunchTemplateName": "of-groups", "Version": "1"},
        )  # fmt: skip
    found = groups.describe_auto_scaling_groups(AutoScalingGroupNames=["theirs-fourth"])
    instance = found["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]
    own = "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/mine-fourth"
    mine = account.client("autoscaling", account.session("ends-own", statement("*", own)))
    end = mine.terminate_instance_in_auto_scaling_group
    for more in ({}, {"AutoScalingGroupName": "mine-fourth"}):
        code = fails(end, InstanceId=instance, ShouldDecrementDesiredCapacity=False, **more)
        assert code == "AccessDenied"
    code = fails(end, InstanceIds=[instance], AutoScalingGroupName="mine-fourth",
                 ShouldDecrementDesiredCapacity=False)  # fmt: skip
    assert code == "ValidationError"


def test_a_secret_that_is_to_be_deleted_is_not_changed(
    account: Account, anybody: Credentials
) -> None:
    account.client("secretsmanager").create_secret(Name="going", SecretString="x")
    mine = account.client("secretsmanager", anybody)
    mine.delete_secret(SecretId="going")
    for call in (mine.put_secret_value, mine.update_secret):
        assert fails(call, SecretId="going", SecretString="y") == "InvalidRequestException"
    mine.restore_secret(SecretId="going")
    mine.put_secret_value(SecretId="going", SecretString="y")


# Not modelled, so refused by name


def test_what_is_locked_stays_locked(account: Account, anybody: Credentials) -> None:
    """Moto shortened and removed any retention, whoever asked; no row offers that now."""
    s3, mine = account.client("s3"), account.client("s3", anybody)
    s3.create_bucket(Bucket="locked-things", ObjectLockEnabledForBucket=True)
    named = {"Bucket": "locked-things", "Key": "a"}
    version = s3.put_object(
        **named, Body=b"x", ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate="2035-01-01T00:00:00Z",
    )["VersionId"]  # fmt: skip
    short = {"Mode": "GOVERNANCE", "RetainUntilDate": "2020-01-01T00:00:00Z"}
    for retention in (short, {}):
        code = fails(mine.put_object_retention, **named, VersionId=version, Retention=retention)
        assert code == "LocalCloudUnmapped"
    code = fails(mine.put_object_legal_hold, **named, LegalHold={"Status": "OFF"})
    assert code == "LocalCloudUnmapped"
    assert fails(mine.delete_object, **named, VersionId=version) == "AccessDenied"


def test_events_are_put_into_no_strangers_log(account: Account, anybody: Credentials) -> None:
    """Moto wrote them to a target without asking what lets EventBridge in."""
    code = fails(account.client("events", anybody).put_events,
                 Entries=[{"Source": "x", "DetailType": "x", "Detail": "{}"}])  # fmt: skip
    assert code == "LocalCloudUnmapped"


def test_a_document_is_not_named_like_awss_own(account: Account, anybody: Credentials) -> None:
    """Who may open sessions by a document of AWS's would open them by this one."""
    mine = account.client("ssm", anybody)
    for name in ("AWS-StartPortForwardingSession", "amazon-x", "AmznX"):
        code = fails(mine.create_document, Name=name, Content=PORT_DOCUMENT, DocumentType="Session")
        assert code == "ValidationException"


def test_a_secrets_policy_is_not_public_where_that_is_blocked(account: Account) -> None:
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="not-public", SecretString="x")
    public = statement("secretsmanager:GetSecretValue", "*", Principal="*")
    document = json.dumps({"Version": "2012-10-17", "Statement": public})
    put = {"SecretId": "not-public", "ResourcePolicy": document}
    code = fails(secrets.put_resource_policy, **put, BlockPublicPolicy=True)
    assert code == "PublicPolicyException"
    secrets.put_resource_policy(**put, BlockPublicPolicy=False)


@pytest.mark.parametrize("host", ["victim.s3.amazonaws.com", "victim.s3.us-east-1.amazonaws.com",
                                  "victim.s3.dualstack.us-east-1.amazonaws.com",
                                  "victim.localhost"])  # fmt: skip
def test_a_bucket_in_the_host_is_not_passed_over(
    account: Account, anybody: Credentials, host: str
) -> None:
    """The path's first part was taken for the bucket."""
    answer = send(account, anybody, "PUT", "/fourth-of-path", b"", {"host": host})
    assert (answer.status_code, "LocalCloudVirtualHost" in answer.text) == (400, True)


# Keys that nobody sets


@pytest.mark.parametrize(
    ("service", "call", "asked", "condition"),
    [
        ("ec2", "delete_volume", {"VolumeId": "vol-0a"}, {"Bool": {"ec2:Encrypted": "false"}}),
        ("ec2", "modify_launch_template", {"LaunchTemplateId": "lt-0a", "DefaultVersion": "2"},
         {"StringEquals": {"ec2:Attribute/DefaultVersion": "2"}}),
        ("kms", "generate_data_key_pair", {"KeyPairSpec": "RSA_2048"},
         {"StringEquals": {"kms:DataKeyPairSpec": "RSA_2048"}}),
        ("s3", "create_bucket", {"Bucket": "namespaced-things"},
         {"Null": {"s3:x-amz-bucket-namespace": "true"}}),
        ("secretsmanager", "get_secret_value", {"SecretId": "going"},
         {"StringNotEquals": {"secretsmanager:SecretPrimaryRegion": "us-east-1"}}),
    ],
)  # fmt: skip
def test_a_deny_by_a_key_that_is_never_set_is_not_passed_over(
    account: Account, service: str, call: str, asked: dict[str, Any],
    condition: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if service == "kms":
        asked = {**asked, "KeyId": key(account, "mine")}
    who = account.session(f"unset-{call.replace('_', '-')}", statement("*"), deny("*", condition))
    attack = getattr(account.client(service, who), call)
    assert fails(attack, **asked) == "LocalCloudUnsupportedPolicy"
    if next(iter(condition)) not in ("Null", "StringNotEquals"):  # an absent key denies by these
        monkeypatch.setattr(authorization, "unset", lambda *_: frozenset())
        # Let in: there is no such volume, and moto makes no such key.
        assert fails(attack, **asked).startswith(("Invalid", "LocalCloudNotImplemented"))


def test_a_key_that_is_never_set_refuses_only_where_it_counts(account: Account) -> None:
    """Another statement that denies or allows by itself decides, as does another action."""
    condition = {"Bool": {"ec2:Encrypted": "false"}}
    who = account.session("unset-beside", statement("*"), deny("ec2:DeleteVolume", condition))
    assert account.client("ec2", who).describe_volumes() is not None
    who = account.session("unset-denied", statement("*"), deny("ec2:DeleteVolume", condition),
                          deny("ec2:DeleteVolume"))  # fmt: skip
    code = fails(account.client("ec2", who).delete_volume, VolumeId="vol-0a")
    assert code == "UnauthorizedOperation"


def test_a_session_of_metadata_version_1_can_be_refused(account: Account) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policies-for-amazon-ec2.html"""
    trust = {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}}  # fmt: skip
    arn = account.role("box", trust)
    old = {"NumericLessThan": {"ec2:RoleDelivery": "2.0"}}
    account.allow("box", statement("iam:ListRoles"), deny("*", old))
    for delivery, allowed in (("1.0", False), ("2.0", True)):
        who = account.cloud.credentials_for_role(arn, "i-1", {"ec2:RoleDelivery": (delivery,)})
        roles = account.client("iam", who).list_roles
        assert roles() if allowed else fails(roles) == "AccessDenied"


# Names that no policy knows


@pytest.fixture(scope="module")
def walled(account: Account) -> Credentials:
    """Who may do everything but touch what is this account's, in these services."""
    own = f"{account.cloud.region}:{account.cloud.account_id}"
    services = ("ssm", "logs", "rds", "secretsmanager", "events", "scheduler", "sns", "kms")
    walls = {"Effect": "Deny", "Action": "*",
             "Resource": [f"arn:aws:{service}:{own}:*" for service in services]}  # fmt: skip
    account.client("ssm").create_document(
        Name="walled", Content=PORT_DOCUMENT, DocumentType="Session"
    )
    account.client("ssm").put_parameter(Name="/walled/a", Value="x", Type="String")
    account.client("logs").create_log_group(logGroupName="walled")
    account.client("rds").create_db_instance(DBInstanceIdentifier="walled", **DATABASE)
    account.client("secretsmanager").create_secret(Name="walled", SecretString="x")
    account.client("events").put_rule(Name="walled", ScheduleExpression="rate(1 day)")
    account.client("scheduler").create_schedule_group(Name="walled")
    return account.session("walled", statement("*"), walls)


TAG = [{"Key": "a", "Value": "b"}]


@pytest.mark.parametrize("place", ["us-east-1:", "us-east-1:aws", ":{account}", ":", ":aws",
                                   "mars-1:{account}", "us-east-1:111122223333"])  # fmt: skip
@pytest.mark.parametrize(
    ("service", "call", "parameter", "resource", "more"),
    [
        ("ssm", "get_document", "Name", "document/walled", {}),
        ("ssm", "get_parameter", "Name", "parameter/walled/a", {}),
        ("logs", "describe_log_streams", "logGroupIdentifier", "log-group:walled", {}),
        ("rds", "add_tags_to_resource", "ResourceName", "db:walled", {"Tags": TAG}),
        ("secretsmanager", "get_secret_value", "SecretId", "secret:walled", {}),
        ("events", "tag_resource", "ResourceARN", "rule/walled", {"Tags": TAG}),
        ("scheduler", "tag_resource", "ResourceArn", "schedule-group/walled", {"Tags": TAG}),
        ("kms", "describe_key", "KeyId", "alias/walled", {}),
    ],
)
def test_an_arn_without_its_region_or_account_names_nothing(
    account: Account, walled: Credentials, service: str, call: str, parameter: str,
    resource: str, more: dict[str, Any], place: str,
) -> None:  # fmt: skip
    arn = f"arn:aws:{service}:{place.format(account=account.cloud.account_id)}:{resource}"
    code = fails(getattr(account.client(service, walled), call), **{parameter: arn}, **more)
    assert code != "LocalCloudFailed"


def test_without_the_control_such_an_arn_opens_a_secret(
    account: Account, walled: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = account.client("secretsmanager", walled).get_secret_value
    short = f"arn:aws:secretsmanager:{account.cloud.region}::secret:walled"
    fails(read, SecretId=short)
    monkeypatch.setattr(unambiguous, "_has_none", lambda *_: True)
    assert read(SecretId=short)["SecretString"] == "x"
