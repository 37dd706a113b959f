"""Changes that moto answers with success and does not make, or makes to something else.

It drops a subnet group that is changed, takes an instance's security groups away where it does not
know the attribute that changes, leaves its interface in the old ones, leaves a schedule without a
state, and shows few attributes of a topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import camelcase_to_underscores
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.rds.models import RDSBackend
from moto.scheduler.models import EventBridgeSchedulerBackend
from moto.sns.responses import SNSResponse

# https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
_SHOWN = frozenset({"ContentBasedDeduplication", "DeliveryPolicy", "DisplayName", "FifoTopic",
                    "KmsMasterKeyId", "Policy"})  # fmt: skip
_KEPT = frozenset(
    {"ArchivePolicy", "FifoThroughputScope", "SignatureVersion", "TracingConfig"}
    | {
        f"{kind}{outcome}"
        for kind in ("Application", "Firehose", "HTTP", "Lambda", "SQS")
        for outcome in ("FailureFeedbackRoleArn", "SuccessFeedbackRoleArn",
                        "SuccessFeedbackSampleRate")
    }
)  # fmt: skip
OF_TOPIC = _SHOWN | _KEPT


@contextmanager
def changed() -> Iterator[None]:
    """Make them as AWS does while the context lasts."""
    with ExitStack() as stack:
        for owner, method, change in (
            (EventBridgeSchedulerBackend, "update_schedule", _schedule),
            (InstanceBackend, "modify_instance_security_groups", _groups),
            (InstanceResponse, "modify_instance_attribute", _shutdown),
            (RDSBackend, "modify_db_subnet_group", _subnet_group),
            (SNSResponse, "get_topic_attributes", _of_topic),
        ):
            original = getattr(owner, method)
            stack.enter_context(patch.object(owner, method, wraps(original)(change(original))))
        yield


def _schedule(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html"""

    def update(self: Any, *args: Any, **given: Any) -> Any:
        given["state"] = given.get("state") or "ENABLED"
        zone = given.get("schedule_expression_timezone")
        given["schedule_expression_timezone"] = zone or "UTC"
        return original(self, *args, **given)

    return update


def _groups(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html"""

    def modify(self: Any, *args: Any, **given: Any) -> Any:
        instance = original(self, *args, **given)
        if 0 in instance.nics:  # the primary interface
            instance.nics[0]._group_set = list(instance.security_groups)
        return instance

    return modify


def _shutdown(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html"""

    def modify(self: Any) -> Any:
        asked = self._get_param("InstanceInitiatedShutdownBehavior")
        if not asked:
            return original(self)
        self.error_on_dryrun()
        name, instance = "instance_initiated_shutdown_behavior", self._get_param("InstanceId")
        self.ec2_backend.modify_instance_attribute(instance, name, *asked.values())
        return EmptyResult()

    return modify


def _subnet_group(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSubnetGroup.html"""

    def modify(self: Any, subnet_name: str, *args: Any, **kwargs: Any) -> Any:
        group = original(self, subnet_name, *args, **kwargs)
        self.subnet_groups[subnet_name] = group
        return group

    return modify


def _of_topic(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html"""

    def get(self: Any) -> Any:
        shown: dict[str, Any] = original(self).result["Attributes"]
        topic = self.backend.get_topic(self._get_param("TopicArn"))
        for name in sorted(_KEPT):
            kept = getattr(topic, camelcase_to_underscores(name), None)
            if kept is not None:
                shown[name] = kept
        return ActionResult({"Attributes": shown})

    return get
