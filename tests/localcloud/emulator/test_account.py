"""What is known of the account, and what moto answers once its gaps are filled."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.localcloud.emulator.account import MotoAccount
from tests.localcloud.clients import AUDIENCE, Account, statement

IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
TAGS = [{"Key": "Environment", "Value": "dev"}]


@pytest.fixture(scope="module")
def known(account: Account) -> MotoAccount:
    emulator = account.cloud.emulator
    return MotoAccount(emulator.account_id, emulator.region, emulator.backend, emulator.lock)


@pytest.fixture(scope="module")
def image(account: Account) -> str:
    parameter = account.client("ssm").get_parameter(Name=IMAGE)
    return str(parameter["Parameter"]["Value"])


def arn(account: Account, service: str, resource: str, region: str | None = None) -> str:
    where = account.cloud.region if region is None else region
    return f"arn:aws:{service}:{where}:{account.cloud.account_id}:{resource}"


def test_the_image_of_amazon_linux_is_there_and_for_arm(account: Account, image: str) -> None:
    found = account.client("ec2").describe_images(ImageIds=[image])["Images"][0]
    assert (found["Architecture"], found["OwnerId"]) == ("arm64", "137112412989")
    assert found["Name"].startswith("al2023-ami-2023")


def test_tags_of_what_exists_are_known_and_the_rest_is_not_there(
    account: Account, known: MotoAccount
) -> None:
    ec2 = account.client("ec2")
    specification = [{"ResourceType": "vpc", "Tags": TAGS}]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=specification)["Vpc"]["VpcId"]
    account.client("ssm").put_parameter(Name="/a/b", Value="x", Type="String", Tags=TAGS)
    account.client("logs").create_log_group(logGroupName="/a", tags={"Environment": "dev"})
    account.client("s3").create_bucket(Bucket="tagged")
    account.client("s3").put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": TAGS})
    account.client("s3").put_object(Bucket="tagged", Key="k/ü", Body=b"", Tagging="Environment=dev")
    secret = account.client("secretsmanager").create_secret(Name="s", Tags=TAGS)["ARN"]
    account.role("tagged", account.trust({"aud": AUDIENCE, "sub": "x"}), Tags=TAGS)
    kms_tags = [{"TagKey": "Environment", "TagValue": "dev"}]
    key = account.client("kms").create_key(Tags=kms_tags)["KeyMetadata"]["Arn"]
    topic = account.client("sns").create_topic(Name="t", Tags=TAGS)["TopicArn"]
    there = [
        arn(account, "ec2", f"vpc/{vpc}"),
        arn(account, "ssm", "parameter/a/b"),
        arn(account, "logs", "log-group:/a:*"),
        "arn:aws:s3:::tagged",
        "arn:aws:s3:::tagged/k/ü",
        secret,
        arn(account, "iam", "role/tagged", ""),
        key,
        topic,
    ]
    assert [known.tags(name) for name in there] == [{"Environment": "dev"}] * len(there)
    absent = [
        arn(account, "ec2", "vpc/vpc-00000000"),
        arn(account, "ec2", "instance/i-00000000"),
        arn(account, "ssm", "parameter/none"),
        arn(account, "logs", "log-group:/none"),
        arn(account, "rds", "db:none"),
        arn(account, "kms", "key/none"),
        arn(account, "sns", "none"),
        arn(account, "iam", "role/none", ""),
        arn(account, "secretsmanager", "secret:none-AbCdEf"),
        "arn:aws:s3:::none",
        "arn:aws:s3:::tagged/none",
        "arn:aws:unknown:::thing",
        "*",
    ]
    assert [known.tags(name) for name in absent] == [None] * len(absent)


def test_keys_behind_encrypted_things_are_known(account: Account, known: MotoAccount) -> None:
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3 = account.client("s3")
    s3.create_bucket(Bucket="encrypted")
    assert known.bucket_key("encrypted") is None
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3.put_bucket_encryption(
        Bucket="encrypted",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
        },
    )
    assert known.bucket_key("encrypted") == key
    s3.put_object(Bucket="encrypted", Key="k", Body=b"")
    assert known.object_key("encrypted", "k", None) == key
    assert known.object_key("encrypted", "none", None) is None
    account.client("ssm").put_parameter(Name="/sec", Value="x", Type="SecureString", KeyId=key)
    assert known.parameter_key("/sec") == key
    assert known.parameter_key("/none") is None
    account.client("secretsmanager").create_secret(Name="own-key", KmsKeyId=key)
    assert known.secret_key("own-key") == key
    account.client("kms").create_alias(AliasName="alias/mine", TargetKeyId=key)
    assert {known.key_arn(name) for name in ("alias/mine", key, key.rpartition("/")[2])} == {key}
    assert known.key_arn("alias/none") is None
    assert known.key_arn("none") is None


def test_facts_that_only_a_service_has_are_known(account: Account, known: MotoAccount) -> None:
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    plain = account.client("sns").create_topic(Name="plain")["TopicArn"]
    locked = account.client("sns").create_topic(Name="locked", Attributes={"KmsMasterKeyId": key})
    assert known.describe(plain) == {}
    assert known.describe(locked["TopicArn"]) == {"kms_key": key}
    ssm = account.client("ssm")
    ssm.put_parameter(Name="/down/here/locked", Value="x", Type="SecureString", KeyId=key)
    ssm.put_parameter(Name="/down/locked", Value="x", Type="SecureString")
    ssm.put_parameter(Name="/down/plain", Value="x", Type="String")
    assert known.describe(arn(account, "ssm", "parameter/down")) == {
        "keys": {"/down/here/locked": key, "/down/locked": "alias/aws/ssm"},
        "versions": [],
    }
    ssm.put_parameter(Name="/down/locked", Value="y", KeyId=key, Overwrite=True)
    known_versions = known.describe(arn(account, "ssm", "parameter/down/locked"))
    assert known_versions is not None
    assert known_versions["versions"] == ["alias/aws/ssm", key]
    database(account, "named", DBName="inside")
    database(account, "unnamed")
    facts = [known.describe(arn(account, "rds", f"db:{name}")) for name in ("named", "unnamed")]
    assert [fact.get("database") for fact in facts if fact] == ["inside", None]


def test_secure_parameters_under_a_path_need_their_keys(account: Account) -> None:
    kms = account.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    name = {"Name": "/sealed/a", "Value": "x", "Type": "SecureString", "KeyId": key}
    account.client("ssm").put_parameter(**name)
    reading = statement("ssm:GetParametersByPath")
    without = account.client("ssm", account.session("without", reading))
    asked = {"Path": "/sealed", "WithDecryption": True}
    with pytest.raises(ClientError, match="kms:Decrypt"):
        without.get_parameters_by_path(**asked)
    using = account.client("ssm", account.session("using", reading, statement("kms:Decrypt")))
    assert using.get_parameters_by_path(**asked)["Parameters"][0]["Value"] == "x"


def test_a_secret_is_known_by_every_name_it_has(account: Account, known: MotoAccount) -> None:
    whole = account.client("secretsmanager").create_secret(Name="many/names")["ARN"]
    assert {known.secret_arn(name) for name in ("many/names", whole, whole[:-7])} == {whole}
    assert known.secret_arn("many") is None


@pytest.fixture(scope="module")
def group(account: Account, image: str) -> str:
    """An Auto Scaling group of one instance, from a template with profile and metadata options."""
    iam, ec2 = account.client("iam"), account.client("ec2")
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
    account.role("box", trust)
    iam.create_instance_profile(InstanceProfileName="box-profile")
    iam.add_role_to_instance_profile(InstanceProfileName="box-profile", RoleName="box")
    ec2.create_launch_template(
        LaunchTemplateName="box",
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": TAGS}],
        LaunchTemplateData={
            "ImageId": image,
            "InstanceType": "t4g.small",
            "IamInstanceProfile": {"Name": "box-profile"},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": TAGS}],
        },
    )
    account.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="box",
        MinSize=1,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": "box", "Version": "$Latest"},
        VPCZoneIdentifier=ec2.describe_subnets()["Subnets"][0]["SubnetId"],
    )
    return "box"


def instances(account: Account, group: str) -> list[dict[str, Any]]:
    described = account.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[group]
    )
    ids = [i["InstanceId"] for i in described["AutoScalingGroups"][0]["Instances"]]
    pages = account.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    return [instance for page in pages for instance in page["Instances"]]


def test_instances_of_a_group_are_what_their_template_says(account: Account, group: str) -> None:
    (instance,) = instances(account, group)
    assert instance["IamInstanceProfile"]["Arn"].endswith(":instance-profile/box-profile")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert {"Key": "Environment", "Value": "dev"} in instance["Tags"]


def test_an_instances_facts_are_known(account: Account, group: str, known: MotoAccount) -> None:
    (instance,) = instances(account, group)
    facts = known.describe(arn(account, "ec2", f"instance/{instance['InstanceId']}"))
    assert facts is not None
    assert facts["instance_type"] == "t4g.small"
    assert facts["instance_profile"] == instance["IamInstanceProfile"]["Arn"]
    role = known.instance_profile_role("box-profile")
    assert role == known.instance_profile_role(facts["instance_profile"])
    assert role == arn(account, "iam", "role/box", "")
    assert known.instance_profile_role("none") is None


def test_a_template_is_known_by_name_and_version(
    account: Account, group: str, known: MotoAccount
) -> None:
    described = account.client("ec2").describe_launch_templates(LaunchTemplateNames=[group])
    template = described["LaunchTemplates"][0]["LaunchTemplateId"]
    for name, version in ((template, "1"), ("box", "$Latest"), ("box", "$Default"), ("box", "")):
        data = known.launch_template_data(name, version)
        assert data is not None
        assert data["InstanceType"] == "t4g.small"
        kinds = [specification["ResourceType"] for specification in data["TagSpecifications"]]
        assert kinds == ["instance"]
    assert known.launch_template_data("box", "7") is None
    assert known.launch_template_data("none", "1") is None
    facts = known.describe(
        arn(account, "autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{group}")
    )
    assert facts is not None
    assert facts["launch_template"] == {"id": template, "version": "$Latest"}


def test_a_refresh_replaces_the_instances_of_a_group(account: Account, group: str) -> None:
    client = account.client("autoscaling")
    (old,) = instances(account, group)
    refresh = client.start_instance_refresh(AutoScalingGroupName=group)["InstanceRefreshId"]
    found = client.describe_instance_refreshes(
        AutoScalingGroupName=group, InstanceRefreshIds=[refresh]
    )["InstanceRefreshes"]
    assert [entry["Status"] for entry in found] == ["Successful"]
    (new,) = instances(account, group)
    assert new["InstanceId"] != old["InstanceId"]
    assert new["MetadataOptions"]["HttpTokens"] == "required"


def test_an_instance_gets_credentials_of_a_role_that_trusts_ec2(
    account: Account, group: str
) -> None:
    role = arn(account, "iam", "role/box", "")
    credentials = account.cloud.credentials_for_role(role, "i-1", {"ec2:RoleDelivery": ("2.0",)})
    identity = account.client("sts", credentials).get_caller_identity()
    assert identity["Arn"].endswith(":assumed-role/box/i-1")


def test_an_instance_gets_none_of_a_role_that_does_not(account: Account) -> None:
    from scripts.localcloud.access.errors import AwsError

    role = account.job_role("not-for-ec2")
    with pytest.raises(AwsError, match="does not trust"):
        account.cloud.credentials_for_role(role, "i-1")


def database(account: Account, name: str, **more: str) -> dict[str, Any]:
    created: dict[str, Any] = account.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="owner",
        ManageMasterUserPassword=True,
        **more,
    )["DBInstance"]
    return created


def test_databases_have_identities_and_passwords_of_their_own(
    account: Account, known: MotoAccount
) -> None:
    one, other = database(account, "one"), database(account, "other")
    assert one["DbiResourceId"] != other["DbiResourceId"]
    secrets = account.client("secretsmanager")
    contents = [
        json.loads(
            secrets.get_secret_value(SecretId=made["MasterUserSecret"]["SecretArn"])["SecretString"]
        )
        for made in (one, other)
    ]
    assert [content["username"] for content in contents] == ["owner", "owner"]
    assert contents[0]["password"] != contents[1]["password"]
    tags = known.tags(one["MasterUserSecret"]["SecretArn"])
    assert tags == {
        "aws:rds:primaryDBInstanceArn": one["DBInstanceArn"],
        "aws:secretsmanager:owningService": "rds",
    }
    facts = known.describe(one["DBInstanceArn"])
    assert facts is not None
    assert facts["secret"] == one["MasterUserSecret"]["SecretArn"]


def test_a_budget_keeps_its_tags_and_tells_its_subscribers(account: Account) -> None:
    budgets, owner = account.client("budgets"), account.cloud.account_id
    notification = {
        "NotificationType": "ACTUAL",
        "ComparisonOperator": "GREATER_THAN",
        "Threshold": 80.0,
        "ThresholdType": "PERCENTAGE",
    }
    subscribers = [{"SubscriptionType": "EMAIL", "Address": "a@example.com"}]
    budgets.create_budget(
        AccountId=owner,
        Budget={
            "BudgetName": "month",
            "BudgetLimit": {"Amount": "10", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        NotificationsWithSubscribers=[{"Notification": notification, "Subscribers": subscribers}],
        ResourceTags=TAGS,
    )
    name = arn(account, "budgets", "budget/month", "")
    assert budgets.list_tags_for_resource(ResourceARN=name)["ResourceTags"] == TAGS
    budgets.tag_resource(ResourceARN=name, ResourceTags=[{"Key": "a", "Value": "b"}])
    budgets.untag_resource(ResourceARN=name, ResourceTagKeys=["Environment"])
    left = budgets.list_tags_for_resource(ResourceARN=name)["ResourceTags"]
    assert left == [{"Key": "a", "Value": "b"}]
    found = budgets.describe_subscribers_for_notification(
        AccountId=owner, BudgetName="month", Notification=notification
    )
    assert found["Subscribers"] == subscribers


def test_a_key_is_made_with_tags_before_it_has_a_policy(account: Account) -> None:
    tags = [{"TagKey": "Environment", "TagValue": "dev"}]
    credentials = account.session("keymaker", statement(["kms:CreateKey", "kms:TagResource"]))
    assert account.client("kms", credentials).create_key(Tags=tags)["KeyMetadata"]["Arn"]


def test_a_rule_between_groups_keeps_its_description(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    pair = {"GroupId": group, "Description": "from itself"}
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [pair]}
        ],
    )
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])[
        "SecurityGroupRules"
    ]
    assert "from itself" in [rule.get("Description") for rule in rules]
