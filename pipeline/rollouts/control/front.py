"""The load balancer before the two sets of servers, made to agree with the policy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import StepFailed
from pipeline.outputs import Serving, ServingSet
from pipeline.rollouts.policy import BlueGreen, Set, TrafficPolicy
from pipeline.rollouts.strategies import other

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import ActionTypeDef


@dataclass(frozen=True)
class _Size:
    """Instances of a set: at least, and now."""

    minimum: int
    desired: int

    def at_least(self, other: "_Size") -> "_Size":
        return _Size(max(self.minimum, other.minimum), max(self.desired, other.desired))


_NOBODY = _Size(0, 0)


class ListenerFront:
    """One listener of an Application Load Balancer with two target groups, weighted 100 and 0.

    Behind each is an Auto Scaling group; the idle one has no instance unless it is on trial.
    """

    def __init__(
        self,
        balancer: "ElasticLoadBalancingv2Client",
        scaling: "AutoScalingClient",
        serving: Serving,
    ) -> None:
        self._balancer, self._scaling, self._serving = balancer, scaling, serving

    def agree(self, policy: TrafficPolicy) -> None:
        """Send the traffic where the policy says, and keep as many servers as that needs."""
        idle = other(policy.active_set)
        if policy.live and isinstance(policy.strategy, BlueGreen):
            mine, active = self._size(idle), self._size(policy.active_set)
            self._resize(idle, mine.at_least(active))
        if self.active() != policy.active_set:
            self._activate(policy.active_set)
        if not policy.live:
            self._resize(idle, _NOBODY)

    def active(self) -> Set:
        """The set that gets the traffic now. Raises StepFailed where that is not one of the two."""
        arn = self._serving.listener_arn
        (listener,) = self._balancer.describe_listeners(ListenerArns=[arn])["Listeners"]
        weights = {
            group["TargetGroupArn"]: group.get("Weight", 1)
            for action in listener["DefaultActions"]
            for group in action.get("ForwardConfig", {}).get("TargetGroups", [])
        }
        names: tuple[Set, Set] = ("blue", "green")
        serving = [name for name in names if weights.get(self._set(name).target_group_arn, 0) > 0]
        if len(serving) != 1:
            raise StepFailed(
                f"the listener {arn} sends traffic to {' and '.join(serving) or 'none'} of the two "
                "sets; one was expected"
            )
        return serving[0]

    def _activate(self, name: Set) -> None:
        idle = other(name)
        action: ActionTypeDef = {
            "Type": "forward",
            "ForwardConfig": {
                "TargetGroups": [
                    {"TargetGroupArn": self._set(name).target_group_arn, "Weight": 100},
                    {"TargetGroupArn": self._set(idle).target_group_arn, "Weight": 0},
                ]
            },
        }
        self._balancer.modify_listener(
            ListenerArn=self._serving.listener_arn, DefaultActions=[action]
        )

    def _size(self, name: Set) -> "_Size":
        group = self._set(name).autoscaling_group_name
        (found,) = self._scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])[
            "AutoScalingGroups"
        ]
        return _Size(found["MinSize"], found["DesiredCapacity"])

    def _resize(self, name: Set, size: "_Size") -> None:
        """The minimum goes with it: AWS refuses fewer, and scaling must not empty a set in use."""
        if self._size(name) != size:
            self._scaling.update_auto_scaling_group(
                AutoScalingGroupName=self._set(name).autoscaling_group_name,
                MinSize=size.minimum,
                DesiredCapacity=size.desired,
            )

    def _set(self, name: Set) -> ServingSet:
        return self._serving.blue if name == "blue" else self._serving.green
