"""The load balancer and the sizes of the sets follow the policy."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline.errors import StepFailed
from pipeline.outputs import Serving, ServingSet
from pipeline.rollouts.control.front import ListenerFront

from .conftest import MakePolicy

pytestmark = pytest.mark.slow

GREEN = {"kind": "blue_green", "target": "green"}


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A load balancer with both groups in an account in process; blue has two instances."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # Moto would list public images anew for every test that meets EC2: most of a second each.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    with mock_aws():
        ec2, elb = boto3.client("ec2"), boto3.client("elbv2")
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        template = ec2.create_launch_template(
            LaunchTemplateName="t", LaunchTemplateData={"ImageId": "ami-12c6146b"}
        )["LaunchTemplate"]["LaunchTemplateId"]
        balancer = elb.create_load_balancer(Name="b", Subnets=subnets)["LoadBalancers"][0]
        sets = {}
        for name, size in (("blue", 2), ("green", 0)):
            group = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)
            arn = group["TargetGroups"][0]["TargetGroupArn"]
            boto3.client("autoscaling").create_auto_scaling_group(
                AutoScalingGroupName=name,
                LaunchTemplate={"LaunchTemplateId": template},
                MinSize=min(size, 1),
                MaxSize=4,
                DesiredCapacity=size,
                VPCZoneIdentifier=subnets[0],
                TargetGroupARNs=[arn],
            )
            sets[name] = ServingSet(autoscaling_group_name=name, target_group_arn=arn)
        action = _forward({sets["blue"].target_group_arn: 100, sets["green"].target_group_arn: 0})
        listener = elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[action],
        )["Listeners"][0]["ListenerArn"]
        yield Serving(
            model="small",
            address="b",
            listener_arn=listener,
            port=80,
            session_document="d",
            instance_tags={},
            **sets,
        )


def _forward(weights: dict[str, int]) -> Any:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}


def front(serving: Serving) -> ListenerFront:
    return ListenerFront(boto3.client("elbv2"), boto3.client("autoscaling"), serving)


def sizes(which: str = "DesiredCapacity") -> dict[str, int]:
    groups: Any = boto3.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {group["AutoScalingGroupName"]: group[which] for group in groups}


def test_a_trial_fills_the_idle_set_then_switches_then_empties_the_other(
    serving: Serving, make_policy: MakePolicy
) -> None:
    found = front(serving)
    found.agree(make_policy(strategy=GREEN, share=0.0))
    assert (found.active(), sizes()) == ("blue", {"blue": 2, "green": 2})
    found.agree(make_policy(strategy=GREEN, share=0.0, active_set="green"))
    assert (found.active(), sizes()) == ("green", {"blue": 2, "green": 2})
    found.agree(make_policy(strategy=GREEN, share=0.0, active_set="green", phase="completed"))
    assert (found.active(), sizes()) == ("green", {"blue": 0, "green": 2})
    # AWS refuses a size below the minimum, and scaling goes no further down than that.
    assert sizes("MinSize") == {"blue": 0, "green": 1}


def test_a_rollback_returns_to_the_set_that_still_runs(
    serving: Serving, make_policy: MakePolicy
) -> None:
    found = front(serving)
    found.agree(make_policy(strategy=GREEN, share=0.0))
    found.agree(make_policy(strategy=GREEN, share=0.0, active_set="green"))
    found.agree(make_policy(strategy=GREEN, share=0.0, active_set="blue", phase="rolled_back"))

    assert (found.active(), sizes()) == ("blue", {"blue": 2, "green": 0})


def test_to_agree_again_changes_nothing(serving: Serving, make_policy: MakePolicy) -> None:
    found, policy = front(serving), make_policy()
    found.agree(policy)
    found.agree(policy)

    assert (found.active(), sizes()) == ("blue", {"blue": 2, "green": 0})


def test_a_listener_that_somebody_changed_is_reported(
    serving: Serving, make_policy: MakePolicy
) -> None:
    arns = [serving.blue.target_group_arn, serving.green.target_group_arn]
    boto3.client("elbv2").modify_listener(
        ListenerArn=serving.listener_arn, DefaultActions=[_forward(dict.fromkeys(arns, 50))]
    )

    with pytest.raises(StepFailed, match="blue and green of the two sets"):
        front(serving).agree(make_policy())
