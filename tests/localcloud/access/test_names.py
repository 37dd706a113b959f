"""One thing named in two ways, a child named under a stranger's parent, a thing that is elsewhere.

The intruder may do everything but touch what is the victim's; each attack is tried with the
control, and again without it, where it must work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.iam.requests import mapping
from scripts.localcloud.emulator.account import MotoAccount
from tests.localcloud.clients import Account, statement

BUCKET = "named-things"
ELSEWHERE = "eu-west-1"


@pytest.fixture(scope="module")
def intruder(account: Account) -> Credentials:
    names = [
        f"arn:aws:s3:::{BUCKET}/victim/*", "arn:aws:secretsmanager:*:*:secret:victim*",
        "arn:aws:ssm:*:*:parameter/victim/*", "arn:aws:logs:*:*:log-group:victim*",
        "arn:aws:sns:*:*:victim", "arn:aws:rds:*:*:pg:victim",
        "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/victim",
    ]  # fmt: skip
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/whose": "victim"}}}  # fmt: skip
    return account.session(
        "intruder", statement("*"), {"Effect": "Deny", "Action": "*", "Resource": names}, deny
    )


def tags(whose: str, kind: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "whose", "Value": whose}]}]


def fails(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def in_region(account: Account, who: Credentials, service: str, region: str) -> Any:
    session: Any = boto3.Session()
    return session.client(
        service,
        endpoint_url=account.cloud.endpoint,
        region_name=region,
        verify=str(account.cloud.ca_bundle),
        aws_access_key_id=who.access_key_id,
        aws_secret_access_key=who.secret_access_key,
        aws_session_token=who.session_token,
        config=Config(retries={"total_max_attempts": 1}),
    )


# Two names for one thing


@pytest.fixture
def addresses(account: Account) -> dict[str, Any]:
    ec2 = account.client("ec2")
    return {
        whose: ec2.allocate_address(TagSpecifications=tags(whose, "elastic-ip"))
        for whose in ("mine", "victim")
    }


def release(account: Account, who: Credentials, addresses: dict[str, Any]) -> None:
    account.client("ec2", who).release_address(
        AllocationId=addresses["mine"]["AllocationId"], PublicIp=addresses["victim"]["PublicIp"]
    )


def test_an_address_is_named_once(
    account: Account, intruder: Credentials, addresses: dict[str, Any]
) -> None:
    code = fails(release, account=account, who=intruder, addresses=addresses)
    assert code == "InvalidParameterCombination"


def test_without_the_control_another_address_goes(
    account: Account, intruder: Credentials, addresses: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(mapping, "check_named_once", lambda _: None)
    release(account, intruder, addresses)
    left = {one["PublicIp"] for one in account.client("ec2").describe_addresses()["Addresses"]}
    assert addresses["victim"]["PublicIp"] not in left


@pytest.fixture(scope="module")
def groups(account: Account) -> dict[str, str]:
    ec2 = account.client("ec2")
    return {
        whose: ec2.create_security_group(
            GroupName=f"{whose}-names", Description="x",
            TagSpecifications=tags(whose, "security-group"),
        )["GroupId"]
        for whose in ("mine", "victim")
    }  # fmt: skip


@pytest.mark.parametrize("name", ["authorize_security_group_ingress", "delete_security_group"])
def test_a_security_group_is_named_once(
    account: Account, intruder: Credentials, groups: dict[str, str], name: str
) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    call = getattr(account.client("ec2", intruder), name)
    code = fails(call, GroupId=groups["mine"], GroupName="victim-names",
                 **(rule if "ingress" in name else {}))  # fmt: skip
    assert code == "InvalidParameterCombination"


@pytest.fixture(scope="module")
def templates(account: Account) -> dict[str, str]:
    ec2 = account.client("ec2")
    return {
        whose: ec2.create_launch_template(
            LaunchTemplateName=f"{whose}-names", LaunchTemplateData={"InstanceType": "t3.micro"},
            TagSpecifications=tags(whose, "launch-template"),
        )["LaunchTemplate"]["LaunchTemplateId"]
        for whose in ("mine", "victim")
    }  # fmt: skip


@pytest.mark.parametrize("name", ["delete_launch_template", "create_launch_template_version"])
def test_a_launch_template_is_named_once(
    account: Account, intruder: Credentials, templates: dict[str, str], name: str
) -> None:
    data = {"LaunchTemplateData": {"InstanceType": "m5.large"}} if "version" in name else {}
    call = getattr(account.client("ec2", intruder), name)
    code = fails(
        call, LaunchTemplateId=templates["mine"], LaunchTemplateName="victim-names", **data
    )
    assert code == "InvalidParameterCombination"


def test_a_launch_template_inside_a_structure_is_named_once(
    account: Account, intruder: Credentials, templates: dict[str, str]
) -> None:
    both = {"LaunchTemplateId": templates["mine"], "LaunchTemplateName": "victim-names"}
    code = fails(account.client("ec2", intruder).run_instances, MinCount=1, MaxCount=1,
                 ImageId="ami-1", LaunchTemplate=both)  # fmt: skip
    assert code == "InvalidParameterCombination"
    code = fails(account.client("autoscaling", intruder).create_auto_scaling_group,
                 AutoScalingGroupName="mine", MinSize=0, MaxSize=0, LaunchTemplate=both,
                 AvailabilityZones=["us-east-1a"])  # fmt: skip
    assert code == "ValidationError"


def test_security_groups_beside_interfaces_are_refused(
    account: Account, intruder: Credentials, groups: dict[str, str]
) -> None:
    ec2 = account.client("ec2", intruder)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    asked = {"MinCount": 1, "MaxCount": 1, "ImageId": image}
    code = fails(ec2.run_instances, **asked, SecurityGroupIds=[groups["victim"]],
                 NetworkInterfaces=[{"DeviceIndex": 0, "Groups": [groups["mine"]]}])  # fmt: skip
    assert code == "InvalidParameterCombination"
    assert fails(ec2.run_instances, **asked, SecurityGroups=["victim-names"]) in (
        "InvalidParameterValue", "UnauthorizedOperation",
    )  # fmt: skip


def test_a_topic_is_named_once(account: Account, intruder: Credentials) -> None:
    sns = account.client("sns")
    arns = {name: sns.create_topic(Name=name)["TopicArn"] for name in ("mine", "victim")}
    code = fails(account.client("sns", intruder).publish, TopicArn=arns["mine"],
                 TargetArn=arns["victim"], Message="x")  # fmt: skip
    assert code == "InvalidParameter"


def test_a_log_group_is_named_once_and_by_its_arn_is_that_group(
    account: Account, intruder: Credentials
) -> None:
    logs, mine = account.client("logs"), account.client("logs", intruder)
    for name in ("mine", "victim"):
        logs.create_log_group(logGroupName=name)
        logs.create_log_stream(logGroupName=name, logStreamName=f"of-{name}")
    arn = f"arn:aws:logs:{account.cloud.region}:{account.cloud.account_id}:log-group:mine"
    code = fails(mine.describe_log_streams, logGroupName="victim", logGroupIdentifier=arn)
    assert code == "InvalidParameterException"
    # Moto looked through all groups, and took the last one whatever was asked for.
    for name in (arn, f"{arn}:*", "mine"):
        streams = mine.describe_log_streams(logGroupIdentifier=name)["logStreams"]
        assert [one["logStreamName"] for one in streams] == ["of-mine"]


# What belongs to something else


@pytest.fixture
def upload(account: Account) -> str:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    return str(s3.create_multipart_upload(Bucket=BUCKET, Key="victim/a")["UploadId"])


def send_part(account: Account, who: Credentials, upload: str) -> str:
    sent = account.client("s3", who).upload_part(
        Bucket=BUCKET, Key="mine/a", UploadId=upload, PartNumber=1, Body=b"forged"
    )
    return str(sent["ETag"])


def test_an_upload_is_one_of_its_key(account: Account, intruder: Credentials, upload: str) -> None:
    s3, named = account.client("s3", intruder), {"Bucket": BUCKET, "Key": "mine/a"}
    assert fails(send_part, account=account, who=intruder, upload=upload) == "NoSuchUpload"
    for name in ("list_parts", "abort_multipart_upload"):
        assert fails(getattr(s3, name), **named, UploadId=upload) == "NoSuchUpload"
    part = account.client("s3").upload_part(
        Bucket=BUCKET, Key="victim/a", UploadId=upload, PartNumber=1, Body=b"real"
    )
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    code = fails(s3.complete_multipart_upload, **named, UploadId=upload, MultipartUpload=parts)
    assert code == "NoSuchUpload"


def test_without_the_control_a_strangers_upload_is_completed(
    account: Account, intruder: Credentials, upload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for operation in ("UploadPart", "CompleteMultipartUpload"):
        monkeypatch.delitem(account.cloud.gateway.checks, ("s3", operation))
    part = {"PartNumber": 1, "ETag": send_part(account, intruder, upload)}
    account.client("s3", intruder).complete_multipart_upload(
        Bucket=BUCKET, Key="mine/a", UploadId=upload, MultipartUpload={"Parts": [part]}
    )
    found = account.client("s3").get_object(Bucket=BUCKET, Key="victim/a")
    assert found["Body"].read() == b"forged"


def test_a_scaling_policy_is_one_of_its_group(account: Account, intruder: Credentials) -> None:
    groups, ec2 = account.client("autoscaling"), account.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName="whole",
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"},
    )
    for name in ("mine", "victim"):
        groups.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=0, MaxSize=1, AvailabilityZones=["us-east-1a"],
            LaunchTemplate={"LaunchTemplateName": "whole", "Version": "1"},
        )  # fmt: skip
    policy = {"PolicyName": "grow", "AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": 1}
    action = {"ScheduledActionName": "night", "MinSize": 0}
    groups.put_scaling_policy(AutoScalingGroupName="victim", **policy)
    groups.put_scheduled_update_group_action(AutoScalingGroupName="victim", **action)
    mine = account.client("autoscaling", intruder)
    for call, asked in (
        (mine.delete_policy, {"PolicyName": "grow"}),
        (mine.execute_policy, {"PolicyName": "grow"}),
        (mine.put_scaling_policy, policy),
        (mine.put_scheduled_update_group_action, action),
        (mine.delete_scheduled_action, {"ScheduledActionName": "night"}),
    ):
        fails(call, AutoScalingGroupName="mine", **asked)
    found = groups.describe_policies(AutoScalingGroupName="victim")["ScalingPolicies"]
    assert [one["PolicyName"] for one in found] == ["grow"]
    assert groups.describe_scheduled_actions(AutoScalingGroupName="victim")[
        "ScheduledUpdateGroupActions"
    ]


def key(account: Account, whose: str) -> str:
    """A key whose policy keeps the intruder out, if it is the victim's."""
    root = f"arn:aws:iam::{account.cloud.account_id}:root"
    everybody = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    but = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "kms:*",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:PrincipalArn": root.replace("root", "role/intruder")}},
    }
    statements = [everybody, but] if whose == "victim" else [everybody]
    document = {"Version": "2012-10-17", "Statement": statements}
    made = account.client("kms").create_key(Policy=json.dumps(document))
    return str(made["KeyMetadata"]["Arn"])


def test_a_ciphertext_is_of_the_key_that_is_named(account: Account, intruder: Credentials) -> None:
    mine, victim = key(account, "mine"), key(account, "victim")
    secret = account.client("kms").encrypt(KeyId=victim, Plaintext=b"x")["CiphertextBlob"]
    kms = account.client("kms", intruder)
    code = fails(kms.re_encrypt, CiphertextBlob=secret, SourceKeyId=mine, DestinationKeyId=mine)
    assert code == "IncorrectKeyException"
    fails(kms.decrypt, CiphertextBlob=secret, KeyId=mine)


# Another account's or region's


def elsewhere(arn: str) -> Iterator[str]:
    parts = arn.split(":")
    yield ":".join([*parts[:3], ELSEWHERE, *parts[4:]])
    yield ":".join([*parts[:4], "999999999999", *parts[5:]])


def test_a_key_of_another_region_is_none_of_this_one(
    account: Account, intruder: Credentials
) -> None:
    victim = key(account, "victim")
    secret = account.client("kms").encrypt(KeyId=victim, Plaintext=b"x")["CiphertextBlob"]
    kms = account.client("kms", intruder)
    for arn in (victim, *elsewhere(victim)):
        fails(kms.decrypt, CiphertextBlob=secret, KeyId=arn)
        fails(kms.describe_key, KeyId=arn)


@pytest.fixture(scope="module")
def secret(account: Account) -> str:
    made = account.client("secretsmanager").create_secret(
        Name="victim", SecretString="here", Tags=[{"Key": "whose", "Value": "victim"}]
    )
    return str(made["ARN"])


def read_elsewhere(account: Account, who: Credentials, arn: str) -> str:
    short = arn[:-7]
    return str(
        account.client("secretsmanager", who).get_secret_value(SecretId=short)["SecretString"]
    )


def test_a_secret_of_another_region_or_account_is_none_of_this_one(
    account: Account, secret: str
) -> None:
    allowed = account.session(
        "elsewhere", *(statement("*", f"{arn[:-7]}*") for arn in elsewhere(secret))
    )
    for arn in elsewhere(secret):
        fails(read_elsewhere, account=account, who=allowed, arn=arn)
        fails(account.client("secretsmanager", allowed).get_secret_value, SecretId=arn)


def test_without_the_control_it_is_taken_for_one(
    account: Account, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "check_here", lambda *_: None)
    arn = next(elsewhere(secret))
    allowed = account.session(
        "somewhere", statement("*", [f"{arn[:-7]}*", "arn:aws:kms:*:*:key/*"])
    )
    assert read_elsewhere(account, allowed, arn) == "here"


def test_a_parameter_of_another_region_or_account_is_none_of_this_one(account: Account) -> None:
    account.client("ssm").put_parameter(Name="/victim/a", Value="here", Type="String")
    arn = f"arn:aws:ssm:{account.cloud.region}:{account.cloud.account_id}:parameter/victim/a"
    allowed = account.session("abroad", *(statement("ssm:*", one) for one in elsewhere(arn)))
    for one in elsewhere(arn):
        fails(account.client("ssm", allowed).get_parameter, Name=one)


def twins(account: Account) -> Credentials:
    """Who may read the secret of this region, and not its namesake of another one."""
    arns = {}
    for region in (account.cloud.region, ELSEWHERE):
        client = in_region(account, account.cloud.administrator, "secretsmanager", region)
        if not client.list_secrets(Filters=[{"Key": "name", "Values": ["twin"]}])["SecretList"]:
            client.create_secret(Name="twin", SecretString=region)
        arns[region] = client.describe_secret(SecretId="twin")["ARN"]
    return account.session(
        f"of-{len(account.client('iam').list_roles()['Roles'])}",
        statement("*", [arns[account.cloud.region], "arn:aws:kms:*:*:key/*"]),
    )


def read_twin(account: Account, who: Credentials) -> str:
    client = in_region(account, who, "secretsmanager", ELSEWHERE)
    return str(client.get_secret_value(SecretId="twin")["SecretString"])


def test_a_name_means_what_it_names_in_the_requests_region(account: Account) -> None:
    assert fails(read_twin, account=account, who=twins(account)) == "AccessDeniedException"


def test_without_the_control_the_namesake_is_read(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = twins(account)
    monkeypatch.setattr(MotoAccount, "at", lambda self, _: self)
    monkeypatch.setattr(mapping, "check_here", lambda *_: None)
    assert read_twin(account, who) == ELSEWHERE


def test_an_rds_name_has_no_case(account: Account, intruder: Credentials) -> None:
    account.client("rds").create_db_parameter_group(
        DBParameterGroupName="victim", DBParameterGroupFamily="postgres17", Description="x"
    )
    arn = f"arn:aws:rds:{account.cloud.region}:{account.cloud.account_id}:pg:VICTIM"
    fails(account.client("rds", intruder).add_tags_to_resource, ResourceName=arn,
          Tags=[{"Key": "whose", "Value": "mine"}])  # fmt: skip
    fails(account.client("rds", intruder).delete_db_parameter_group, DBParameterGroupName="VICTIM")


# What else was found in the same hour


def test_the_history_of_a_parameter_needs_its_key(account: Account) -> None:
    ssm = account.client("ssm")
    for name in ("/sealed/a", "/sealed"):
        ssm.put_parameter(Name=name, Value="x", Type="SecureString")
    reads = account.session("historian", statement("ssm:*"), {
        "Effect": "Deny", "Action": "kms:*", "Resource": "*"})  # fmt: skip
    mine = account.client("ssm", reads)
    for name in ("/sealed/a", "/sealed"):
        assert fails(mine.get_parameter_history, Name=name, WithDecryption=True)
        assert fails(mine.get_parameter, Name=name, WithDecryption=True)
        assert mine.get_parameter_history(Name=name)["Parameters"]


def test_a_users_boundary_bounds(account: Account) -> None:
    iam = account.client("iam")
    boundary = iam.create_policy(
        PolicyName="user-boundary",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": statement("s3:ListAllMyBuckets")}
        ),
    )["Policy"]["Arn"]
    made = iam.create_user(UserName="bounded", PermissionsBoundary=boundary)["User"]
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    iam.put_user_policy(UserName="bounded", PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": statement("*")}))  # fmt: skip
    keys = iam.create_access_key(UserName="bounded")["AccessKey"]
    who = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], None)
    assert account.client("s3", who).list_buckets()["Buckets"] is not None
    assert fails(account.client("iam", who).list_roles) == "AccessDenied"
    iam.delete_user_permissions_boundary(UserName="bounded")
    assert account.client("iam", who).list_roles()["Roles"]
    iam.put_user_permissions_boundary(UserName="bounded", PermissionsBoundary=boundary)
    assert fails(account.client("iam", who).list_roles) == "AccessDenied"
    shown = iam.get_user(UserName="bounded")["User"]["PermissionsBoundary"]
    assert shown["PermissionsBoundaryArn"] == boundary


def test_a_version_has_tags_of_its_own(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="tagged-versions")
    s3.put_bucket_versioning(Bucket="tagged-versions",
                             VersioningConfiguration={"Status": "Enabled"})  # fmt: skip
    named = {"Bucket": "tagged-versions", "Key": "a"}
    secret = s3.put_object(**named, Body=b"secret", Tagging="for=few")["VersionId"]
    shown = s3.put_object(**named, Body=b"shown", Tagging="for=all")["VersionId"]
    condition = {"Condition": {"StringEquals": {"s3:ExistingObjectTag/for": "all"}}}
    who = account.session(
        "of-tags",
        statement(["s3:GetObject", "s3:GetObjectVersion"], "arn:aws:s3:::tagged-versions/*",
                  **condition),
        statement(["s3:PutObject", "s3:PutObjectTagging", "s3:GetObjectVersionTagging"],
                  "arn:aws:s3:::tagged-versions/copy"),
    )  # fmt: skip
    mine = account.client("s3", who)
    assert mine.get_object(**named, VersionId=shown)["Body"].read() == b"shown"
    assert fails(mine.get_object, **named, VersionId=secret) == "AccessDenied"
    source = {**named, "VersionId": secret}
    assert fails(mine.copy_object, Bucket="tagged-versions", Key="copy", CopySource=source,
                 TaggingDirective="REPLACE") == "AccessDenied"  # fmt: skip


def test_an_encryption_that_s3_does_not_know_is_refused(account: Account) -> None:
    account.client("s3").create_bucket(Bucket="sealed-things")
    who = account.session("unsealed", statement("s3:PutObject", "arn:aws:s3:::sealed-things/*"))
    s3 = account.client("s3", who)
    named = {"Bucket": "sealed-things", "Key": "a", "Body": b"x"}
    for asked in ({"ServerSideEncryption": "aws:KMS"}, {"ServerSideEncryption": "rot13"},
                  {"SSEKMSKeyId": "alias/aws/s3"},
                  {"ServerSideEncryption": "AES256", "SSEKMSKeyId": "alias/aws/s3"}):  # fmt: skip
        assert fails(s3.put_object, **named, **asked) == "InvalidArgument", asked


def test_principals_of_every_policy_are_kept_by_id(account: Account) -> None:
    """A role made again is another principal to topics and secrets, too."""
    iam, sns = account.client("iam"), account.client("sns")
    account.job_role("again")
    arn = f"arn:aws:iam::{account.cloud.account_id}:role/again"
    topic = sns.create_topic(Name="for-again")["TopicArn"]
    secret = account.client("secretsmanager").create_secret(Name="for-again", SecretString="x")
    allow = {"Effect": "Allow", "Principal": {"AWS": arn}, "Resource": "*"}

    def document(action: str) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Action": action}]})

    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy",
                             AttributeValue=document("sns:GetTopicAttributes"))  # fmt: skip
    account.client("secretsmanager").put_resource_policy(
        SecretId=secret["ARN"], ResourcePolicy=document("secretsmanager:DescribeSecret")
    )
    iam.delete_role(RoleName="again")
    account.job_role("again")
    who = account.assume(arn)
    assert fails(account.client("sns", who).get_topic_attributes, TopicArn=topic)
    assert fails(account.client("secretsmanager", who).describe_secret, SecretId=secret["ARN"])
