"""Auto Scaling: a group's launch template is checked on the caller as a launch would be."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.requests import Need

from .support import ACCOUNT, REGION, FakeAccount, needed, only, pairs_of

EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
PLAIN = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/group"
REAL = PLAIN.replace(":*:", ":0123-45:")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/server"
LINKED = (
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/"
    "AWSServiceRoleForAutoScaling"
)
DATA: dict[str, Any] = {
    "ImageId": "ami-0a",
    "IamInstanceProfile": {"Name": "server"},
    "MetadataOptions": {"HttpTokens": "required"},
    "NetworkInterfaces": [{"Groups": ["sg-0a"], "AssociatePublicIpAddress": False}],
    "TagSpecifications": [
        {"ResourceType": "instance", "Tags": [{"Key": "Role", "Value": "mlflow"}]}
    ],
}
TAG = {"Key": "Environment", "Value": "dev", "ResourceId": "group", "PropagateAtLaunch": True}


def account(**more: Any) -> FakeAccount:
    return FakeAccount(
        profiles={"server": ROLE},
        templates={("lt-0a", "3"): DATA, ("lt-0a", "$Latest"): DATA, ("lt-0a", "$Default"): DATA},
        **more,
    )


def created(version: str | None = "3", where: FakeAccount | None = None) -> list[Need]:
    template = {"LaunchTemplateId": "lt-0a"} | ({"Version": version} if version else {})
    return needed(
        "autoscaling",
        "CreateAutoScalingGroup",
        where or account(),
        AutoScalingGroupName="group",
        MinSize=1,
        MaxSize=2,
        VPCZoneIdentifier="subnet-0a, subnet-0b",
        LaunchTemplate=template,
        Tags=[TAG],
    )


def test_a_group_with_a_template_asks_for_the_launch_itself() -> None:
    found = created()
    launched = {need.resource for need in found if need.action == "ec2:RunInstances"}
    assert launched == {
        f"{EC2}launch-template/lt-0a",
        f"arn:aws:ec2:{REGION}::image/ami-0a",
        f"{EC2}instance/*",
        f"{EC2}network-interface/*",
        f"{EC2}subnet/subnet-0a",
        f"{EC2}subnet/subnet-0b",
        f"{EC2}security-group/sg-0a",
        f"{EC2}volume/*",
    }
    only(found, "iam:PassRole", ROLE)
    tagged = only(found, "ec2:CreateTags", f"{EC2}instance/*").context
    assert tagged["ec2:CreateAction"] == ("RunInstances",)
    assert tagged["aws:RequestTag/Role"] == ("mlflow",)


def test_the_launch_is_asked_for_through_the_service() -> None:
    launches = [need for need in created() if need.action == "ec2:RunInstances"]
    assert {need.context["aws:ViaAWSService"] for need in launches} == {("true",)}


def test_a_group_carries_its_size_and_tags() -> None:
    group = only(created(), "autoscaling:CreateAutoScalingGroup", PLAIN).context
    assert group["autoscaling:MaxSize"] == ("2",)
    assert group["autoscaling:VPCZoneIdentifiers"] == ("subnet-0a", "subnet-0b")
    assert group["aws:RequestTag/Environment"] == ("dev",)
    assert group["autoscaling:ResourceTag/Environment"] == ("dev",)
    only(created(), "autoscaling:CreateOrUpdateTags", PLAIN)


@pytest.mark.parametrize(
    ("version", "specified"), [("3", "true"), ("$Latest", "false"), (None, "false")]
)
def test_a_moving_template_version_is_told_from_a_fixed_one(
    version: str | None, specified: str
) -> None:
    group = only(created(version), "autoscaling:CreateAutoScalingGroup").context
    assert group["autoscaling:LaunchTemplateVersionSpecified"] == (specified,)


def test_a_template_version_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no version '9'"):
        created("9")


def test_the_services_own_role_is_made_with_the_callers_rights_once() -> None:
    need = only(created(), "iam:CreateServiceLinkedRole", LINKED)
    assert need.context["iam:AWSServiceName"] == ("autoscaling.amazonaws.com",)
    second = created(where=account(facts={LINKED: {"arn": LINKED}}))
    assert "iam:CreateServiceLinkedRole" not in {need.action for need in second}


def test_an_existing_group_is_checked_under_its_whole_arn_with_its_tags() -> None:
    where = account(facts={PLAIN: {"arn": REAL}}, resources={REAL: {"Environment": "dev"}})
    [need] = needed(
        "autoscaling",
        "DeleteAutoScalingGroup",
        where,
        AutoScalingGroupName="group",
        ForceDelete=True,
    )
    assert need.resource == REAL
    assert need.context["autoscaling:ResourceTag/Environment"] == ("dev",)
    assert need.context["aws:ResourceTag/Environment"] == ("dev",)
    assert need.context["autoscaling:ForceDelete"] == ("true",)


def test_an_update_with_a_template_asks_for_the_launch_in_the_groups_subnets() -> None:
    where = account(facts={PLAIN: {"arn": REAL, "subnets": ["subnet-0a"]}})
    found = needed(
        "autoscaling",
        "UpdateAutoScalingGroup",
        where,
        AutoScalingGroupName="group",
        LaunchTemplate={"LaunchTemplateId": "lt-0a", "Version": "3"},
    )
    only(found, "ec2:RunInstances", f"{EC2}subnet/subnet-0a")


def test_an_update_without_a_template_asks_for_no_launch() -> None:
    found = needed("autoscaling", "UpdateAutoScalingGroup", AutoScalingGroupName="group", MinSize=0)
    assert pairs_of(found) == [("autoscaling:UpdateAutoScalingGroup", PLAIN)]


def test_a_refresh_to_another_template_asks_for_the_launch() -> None:
    found = needed(
        "autoscaling",
        "StartInstanceRefresh",
        account(),
        AutoScalingGroupName="group",
        DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateId": "lt-0a", "Version": "3"}},
    )
    only(found, "iam:PassRole", ROLE)


@pytest.mark.parametrize("operation", ["SetInstanceHealth", "TerminateInstanceInAutoScalingGroup"])
def test_a_call_on_an_instance_is_checked_on_its_group(operation: str) -> None:
    instance = f"{EC2}instance/i-0a"
    where = FakeAccount(resources={instance: {"aws:autoscaling:groupName": "group"}})
    further: dict[str, dict[str, Any]] = {
        "SetInstanceHealth": {"HealthStatus": "Unhealthy"},
        "TerminateInstanceInAutoScalingGroup": {"ShouldDecrementDesiredCapacity": False},
    }
    parameters = further[operation]
    found = needed("autoscaling", operation, where, InstanceId="i-0a", **parameters)
    assert pairs_of(found) == [(f"autoscaling:{operation}", PLAIN)]


def test_a_call_on_an_instance_without_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="no Auto Scaling group"):
        needed("autoscaling", "SetInstanceHealth", InstanceId="i-0a", HealthStatus="Unhealthy")


def test_tags_of_two_groups_in_one_call_must_agree() -> None:
    other = {**TAG, "ResourceId": "other", "Value": "prod"}
    with pytest.raises(ValueError, match="one Auto Scaling group per call"):
        needed("autoscaling", "CreateOrUpdateTags", Tags=[TAG, other])
