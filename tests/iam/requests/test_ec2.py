"""EC2: tags set while creating, several resources in one call, associations, launches."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.requests import Need

from .support import ACCOUNT, KEY, REGION, FakeAccount, needed, only, pairs_of

EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/server"
PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/server"
TAGS = [{"Key": "Environment", "Value": "dev"}, {"Key": "Name", "Value": ""}]


def ec2(operation: str, account: FakeAccount | None = None, **parameters: Any) -> list[Need]:
    return needed("ec2", operation, account, **parameters)


def specified(*kinds: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": TAGS} for kind in kinds]


def test_what_is_created_with_tags_needs_create_tags_for_that_call() -> None:
    found = ec2("CreateVpc", CidrBlock="10.0.0.0/16", TagSpecifications=specified("vpc"))
    assert pairs_of(found) == [
        ("ec2:CreateVpc", f"{EC2}vpc/*"),
        ("ec2:CreateTags", f"{EC2}vpc/*"),
    ]
    for need in found:
        assert need.context["aws:RequestTag/Environment"] == ("dev",)
        assert need.context["aws:TagKeys"] == ("Environment", "Name")
        assert need.context["ec2:Region"] == (REGION,)
    assert found[1].context["ec2:CreateAction"] == ("CreateVpc",)


def test_what_is_created_without_tags_needs_no_create_tags() -> None:
    assert pairs_of(ec2("CreateVpc", CidrBlock="a")) == [("ec2:CreateVpc", f"{EC2}vpc/*")]


def test_tags_of_something_that_the_call_does_not_make_are_refused() -> None:
    with pytest.raises(ValueError, match="makes no 'subnet'"):
        ec2("CreateVpc", CidrBlock="a", TagSpecifications=specified("subnet"))


def test_tags_that_differ_in_case_only_are_refused() -> None:
    tags = [{"Key": "Environment", "Value": "dev"}, {"Key": "environment", "Value": "prod"}]
    with pytest.raises(ValueError, match="upper and lower case"):
        ec2("CreateTags", Resources=["vpc-0a"], Tags=tags)


def test_what_is_created_in_a_network_needs_a_right_on_that_network() -> None:
    account = FakeAccount(resources={f"{EC2}vpc/vpc-0a": {"Environment": "dev"}})
    found = ec2("CreateSubnet", account, VpcId="vpc-0a", TagSpecifications=specified("subnet"))
    assert pairs_of(found) == [
        ("ec2:CreateSubnet", f"{EC2}subnet/*"),
        ("ec2:CreateSubnet", f"{EC2}vpc/vpc-0a"),
        ("ec2:CreateTags", f"{EC2}subnet/*"),
    ]
    network = found[1].context
    assert network["aws:ResourceTag/Environment"] == ("dev",)
    assert network["ec2:ResourceTag/Environment"] == ("dev",)
    assert "aws:RequestTag/Environment" not in network


def test_every_resource_of_a_call_is_asked_for() -> None:
    found = ec2("TerminateInstances", InstanceIds=["i-0a", "i-0b"])
    assert pairs_of(found) == [
        ("ec2:TerminateInstances", f"{EC2}instance/i-0a"),
        ("ec2:TerminateInstances", f"{EC2}instance/i-0b"),
    ]


def test_tags_on_several_resources_are_asked_for_by_the_type_of_each() -> None:
    names = ["vpc-0a", "subnet-0a", "sg-0a", "sgr-0a", "eni-0a", "lt-0a", "ami-0a", "vpce-0a"]
    found = ec2("CreateTags", Resources=names, Tags=TAGS)
    kinds = [need.resource.rpartition(":")[2].partition("/")[0] for need in found]
    assert kinds == [
        "vpc",
        "subnet",
        "security-group",
        "security-group-rule",
        "network-interface",
        "launch-template",
        "image",
        "vpc-endpoint",
    ]
    assert not any("ec2:CreateAction" in need.context for need in found)


def test_an_id_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="tgw-0a"):
        ec2("CreateTags", Resources=["tgw-0a"], Tags=TAGS)


def test_an_id_cannot_smuggle_an_arn() -> None:
    with pytest.raises(ValueError, match="no id"):
        ec2("DeleteVpc", VpcId="vpc-0a:instance/i-0a")


def test_an_image_belongs_to_no_account_in_its_arn() -> None:
    [need] = ec2("DeregisterImage", ImageId="ami-0a")
    assert need.resource == f"arn:aws:ec2:{REGION}::image/ami-0a"


def test_the_network_of_a_security_group_is_a_condition() -> None:
    account = FakeAccount(facts={f"{EC2}security-group/sg-0a": {"vpc": "vpc-0a"}})
    [need] = ec2("DeleteSecurityGroup", account, GroupId="sg-0a")
    assert need.context["ec2:Vpc"] == (f"{EC2}vpc/vpc-0a",)


def test_an_association_is_resolved_to_its_route_table_and_subnet() -> None:
    facts: dict[str, Any] = {
        f"{EC2}route-table-association/rtbassoc-0a": {"route_table": "rtb-0a", "subnet": "s"}
    }
    found = ec2("DisassociateRouteTable", FakeAccount(facts=facts), AssociationId="rtbassoc-0a")
    assert [need.resource for need in found] == [f"{EC2}route-table/rtb-0a", f"{EC2}subnet/s"]


def test_an_association_that_is_not_known_is_asked_for_as_any() -> None:
    [need] = ec2("DisassociateRouteTable", AssociationId="rtbassoc-0a")
    assert need.resource == f"{EC2}route-table/*"


def test_an_address_is_found_by_its_association() -> None:
    facts: dict[str, Any] = {f"{EC2}address-association/eipassoc-0a": {"allocation": "eipalloc-0a"}}
    [need] = ec2("DisassociateAddress", FakeAccount(facts=facts), AssociationId="eipassoc-0a")
    assert need.resource == f"{EC2}elastic-ip/eipalloc-0a"


def test_a_changed_attribute_is_a_condition() -> None:
    [need] = ec2("ModifyVpcAttribute", VpcId="vpc-0a", EnableDnsHostnames={"Value": True})
    assert need.context["ec2:Attribute"] == ("EnableDnsHostnames",)
    assert need.context["ec2:Attribute/EnableDnsHostnames"] == ("true",)


def test_a_flow_log_passes_its_role() -> None:
    found = ec2(
        "CreateFlowLogs",
        ResourceIds=["vpc-0a"],
        ResourceType="VPC",
        DeliverLogsPermissionArn=ROLE,
        TagSpecifications=specified("vpc-flow-log"),
    )
    only(found, "ec2:CreateFlowLogs", f"{EC2}vpc/vpc-0a")
    only(found, "ec2:CreateTags", f"{EC2}vpc-flow-log/*")
    passed = only(found, "iam:PassRole", ROLE)
    assert passed.context == {"iam:PassedToService": ("vpc-flow-logs.amazonaws.com",)}


def test_a_flow_log_to_a_bucket_asks_for_log_delivery() -> None:
    found = ec2(
        "CreateFlowLogs", ResourceIds=["vpc-0a"], ResourceType="VPC", LogDestinationType="s3"
    )
    only(found, "logs:CreateLogDelivery", "*")


def test_an_endpoint_names_its_service_and_everything_it_touches() -> None:
    found = ec2(
        "CreateVpcEndpoint",
        VpcId="vpc-0a",
        ServiceName="com.amazonaws.us-east-1.ssm",
        SubnetIds=["subnet-0a", "subnet-0b"],
        SecurityGroupIds=["sg-0a"],
    )
    assert len([n for n in found if n.action == "ec2:CreateVpcEndpoint"]) == 5
    endpoint = only(found, "ec2:CreateVpcEndpoint", f"{EC2}vpc-endpoint/*")
    assert endpoint.context["ec2:VpceServiceName"] == ("com.amazonaws.us-east-1.ssm",)
    assert endpoint.context["ec2:VpceServiceOwner"] == ("amazon",)


def test_rules_with_tags_are_resources_of_their_own() -> None:
    found = ec2(
        "AuthorizeSecurityGroupEgress",
        GroupId="sg-0a",
        IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        TagSpecifications=specified("security-group-rule"),
    )
    only(found, "ec2:AuthorizeSecurityGroupEgress", f"{EC2}security-group/sg-0a")
    only(found, "ec2:AuthorizeSecurityGroupEgress", f"{EC2}security-group-rule/*")
    only(found, "ec2:CreateTags", f"{EC2}security-group-rule/*")


def test_associating_a_profile_passes_its_role() -> None:
    account = FakeAccount(profiles={"server": ROLE})
    profile = {"Name": "server"}
    found = ec2(
        "AssociateIamInstanceProfile", account, InstanceId="i-0a", IamInstanceProfile=profile
    )
    only(found, "iam:PassRole", ROLE)


# launches

LAUNCH: dict[str, Any] = {
    "MinCount": 1,
    "MaxCount": 1,
    "ImageId": "ami-0a",
    "InstanceType": "t4g.small",
    "SubnetId": "subnet-0a",
    "SecurityGroupIds": ["sg-0a"],
}


def test_a_launch_is_checked_on_each_type_of_resource() -> None:
    found = ec2("RunInstances", **LAUNCH)
    assert [need.resource for need in found] == [
        f"arn:aws:ec2:{REGION}::image/ami-0a",
        f"{EC2}instance/*",
        f"{EC2}network-interface/*",
        f"{EC2}subnet/subnet-0a",
        f"{EC2}security-group/sg-0a",
        f"{EC2}volume/*",
    ]
    assert {need.action for need in found} == {"ec2:RunInstances"}


def test_a_launch_carries_the_settings_that_policies_ask_for() -> None:
    found = ec2(
        "RunInstances",
        FakeAccount(profiles={PROFILE: ROLE}),
        **LAUNCH,
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        IamInstanceProfile={"Arn": PROFILE},
        BlockDeviceMappings=[{"DeviceName": "a", "Ebs": {"Encrypted": True, "VolumeType": "gp3"}}],
    )
    instance = only(found, "ec2:RunInstances", f"{EC2}instance/*").context
    assert instance["ec2:MetadataHttpTokens"] == ("required",)
    assert instance["ec2:MetadataHttpPutResponseHopLimit"] == ("1",)
    assert instance["ec2:InstanceProfile"] == (PROFILE,)
    assert instance["ec2:InstanceType"] == ("t4g.small",)
    volume = only(found, "ec2:RunInstances", f"{EC2}volume/*").context
    assert (volume["ec2:Encrypted"], volume["ec2:VolumeType"]) == (("true",), ("gp3",))
    passed = only(found, "iam:PassRole", ROLE)
    assert passed.context == {"iam:PassedToService": ("ec2.amazonaws.com",)}


def test_a_launch_with_a_profile_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'nobody' does not exist"):
        ec2("RunInstances", **LAUNCH, IamInstanceProfile={"Name": "nobody"})


def test_a_launch_tags_each_type_on_its_own() -> None:
    tags = specified("instance", "volume")
    found = ec2("RunInstances", **LAUNCH, TagSpecifications=tags)
    tagged = [need for need in found if need.action == "ec2:CreateTags"]
    assert [need.resource for need in tagged] == [f"{EC2}instance/*", f"{EC2}volume/*"]
    assert {need.context["ec2:CreateAction"] for need in tagged} == {("RunInstances",)}


def test_a_launch_template_fills_in_what_the_call_leaves_out() -> None:
    data = {"ImageId": "ami-0b", "InstanceType": "t4g.micro", "SecurityGroupIds": ["sg-0b"]}
    account = FakeAccount(templates={("lt-0a", "$Default"): data})
    found = ec2(
        "RunInstances",
        account,
        MinCount=1,
        MaxCount=1,
        InstanceType="t4g.small",
        LaunchTemplate={"LaunchTemplateId": "lt-0a"},
    )
    instance = only(found, "ec2:RunInstances", f"{EC2}instance/*").context
    assert instance["ec2:InstanceType"] == ("t4g.small",)
    assert instance["ec2:IsLaunchTemplateResource"] == ("false",)
    image = only(found, "ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/ami-0b").context
    assert image["ec2:IsLaunchTemplateResource"] == ("true",)
    assert image["ec2:LaunchTemplate"] == (f"{EC2}launch-template/lt-0a",)
    only(found, "ec2:RunInstances", f"{EC2}launch-template/lt-0a")


def test_an_image_named_by_a_public_parameter_asks_for_that_parameter() -> None:
    name = "/aws/service/ami-amazon-linux-latest/al2023"
    found = ec2("RunInstances", **{**LAUNCH, "ImageId": f"resolve:ssm:{name}:3"})
    only(found, "ssm:GetParameters", f"arn:aws:ssm:{REGION}::parameter{name}")
    only(found, "ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/*")


def test_a_volume_under_a_customers_key_needs_that_key() -> None:
    mappings = [{"DeviceName": "a", "Ebs": {"Encrypted": True, "KmsKeyId": KEY}}]
    found = ec2("RunInstances", **LAUNCH, BlockDeviceMappings=mappings)
    grant = only(found, "kms:CreateGrant", KEY).context
    assert grant["kms:GrantIsForAWSResource"] == ("true",)
    assert grant["kms:ViaService"] == ("ec2.us-east-1.amazonaws.com",)
