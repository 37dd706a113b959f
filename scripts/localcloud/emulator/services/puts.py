"""What is put again takes the place of what was there, and a change leaves the rest as it is.

Moto adds a metric filter to the one of its name and insights to those of a trail, forgets a
password whose change names none, keeps a secret's old current version for its readers, gives a
managed secret no new value when it is rotated, and shows a group's new template on old instances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.autoscaling.models import InstanceState
from moto.cloudtrail.models import Trail
from moto.cloudwatch.models import CloudWatchBackend
from moto.events.models import EventsBackend
from moto.iam.models import IAMBackend
from moto.logs.metric_filters import MetricFilters
from moto.rds.models import DBInstance, MasterUserSecret
from moto.secretsmanager.exceptions import InvalidParameterException
from moto.secretsmanager.models import SecretsManagerBackend

_TEMPLATE = "keyless_template"


@contextmanager
def in_place() -> Iterator[None]:
    """Put and change as AWS does while the context lasts."""
    with ExitStack() as stack:
        for owner, method, change in (
            (CloudWatchBackend, "put_metric_alarm", _alarm),
            (DBInstance, "update", _managed_password),
            (EventsBackend, "put_rule", _rule),
            (IAMBackend, "update_login_profile", _password),
            (InstanceState, "__init__", _started),
            (MasterUserSecret, "rotate_secret", _rotated),
            (MetricFilters, "add_filter", _metric_filter),
            (SecretsManagerBackend, "update_secret_version_stage", _stage),
            (Trail, "description", _selected),
            (Trail, "put_event_selectors", _events),
            (Trail, "put_insight_selectors", _insights),
        ):
            original = getattr(owner, method)
            stack.enter_context(patch.object(owner, method, wraps(original)(change(original))))
        stack.enter_context(patch.object(InstanceState, "launch_template", property(_template)))
        yield


def _alarm(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tags of an alarm that is there are passed over.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """

    def put(self: Any, *args: Any, **given: Any) -> Any:
        if given.get("name") in self.alarms:
            given["tags"] = None
        return original(self, *args, **given)

    return put


def _rule(original: Callable[..., Any]) -> Callable[..., Any]:
    """So are those of a rule that is there.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    """

    def put(self: Any, name: str, *args: Any, **given: Any) -> Any:
        bus = self.event_buses.get(self._normalize_event_bus_arn(given.get("event_bus_arn")))
        if bus and name in bus.rules:
            given["tags"] = None
        return original(self, name, *args, **given)

    return put


def _password(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateLoginProfile.html"""

    def update(self: Any, user_name: str, password: str | None, reset: Any) -> Any:
        user = self.get_user(user_name)
        reset = user.password_reset_required if reset is None else reset
        return original(self, user_name, password or user.password, reset)

    return update


def _metric_filter(original: Callable[..., None]) -> Callable[..., None]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html"""

    def add(self: Any, filter_name: str, pattern: Any, log_group_name: str, metrics: Any) -> None:
        self.delete_filter(filter_name, log_group_name)
        original(self, filter_name, pattern, log_group_name, metrics)

    return add


def _insights(_: Callable[..., None]) -> Callable[..., None]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutInsightSelectors.html"""

    def put(self: Any, insight_selectors: list[Any]) -> None:
        self.insight_selectors = insight_selectors

    return put


def _events(_: Callable[..., None]) -> Callable[..., None]:
    """A trail has selectors of one kind, those that were put last.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html
    """

    def put(self: Any, selectors: list[Any] | None, advanced: list[Any] | None) -> None:
        self.event_selectors = selectors or []
        self.advanced_event_selectors = advanced or []

    return put


def _selected(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_Trail.html"""

    def description(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        selected = bool(self.event_selectors or self.advanced_event_selectors)
        return {**original(self, *args, **kwargs), "HasCustomEventSelectors": selected,
                "HasInsightSelectors": bool(self.insight_selectors)}  # fmt: skip

    return description


def _stage(original: Callable[..., Any]) -> Callable[..., Any]:
    """A label is on one version, and whoever asks for the current one gets that which has it.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
    """

    def update(self: Any, secret_id: str, version_stage: str, remove_from_version_id: str | None,
               move_to_version_id: str | None) -> Any:  # fmt: skip
        known = self.secrets.get(secret_id)
        versions = known.versions if known else {}
        having = {one for one, what in versions.items() if version_stage in what["version_stages"]}
        if move_to_version_id and not remove_from_version_id and having - {move_to_version_id}:
            raise InvalidParameterException(
                f"The staging label {version_stage} is attached to version {min(having)}, which "
                "RemoveFromVersionId must name."
            )
        answer = original(self, secret_id, version_stage, remove_from_version_id,
                          move_to_version_id)  # fmt: skip
        if known and version_stage == "AWSCURRENT":
            known.default_version_id = move_to_version_id
        return answer

    return update


def _rotated(_: Callable[..., None]) -> Callable[..., None]:
    """RDS makes the new password itself; moto's rotation without a function makes none.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
    """

    def rotate(self: Any) -> None:
        self.secretsmanager.put_secret_value(
            self.secret.arn, self._generate_secret_string(), None, None, ["AWSCURRENT"]
        )

    return rotate


def _managed_password(original: Callable[..., None]) -> Callable[..., None]:
    """A password that is managed already goes on to be, in the same secret; logs are exported once.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """

    def update(self: Any, *args: Any, **given: Any) -> None:
        if getattr(self, "master_user_secret", None) and given.get("manage_master_user_password"):
            given["manage_master_user_password"] = None
        exports = given.get("cloudwatch_logs_export_configuration") or {}
        known = self.enabled_cloudwatch_logs_exports
        for name, there in (("EnableLogTypes", False), ("DisableLogTypes", True)):
            if name in exports:
                exports[name] = [one for one in exports[name] if (one in known) == there]
        original(self, *args, **given)

    return update


def _started(original: Callable[..., None]) -> Callable[..., None]:
    """An instance is of the template that its group had when it started.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        group = self.auto_scaling_group
        template = getattr(group, "ec2_launch_template", None)
        self.__dict__[_TEMPLATE] = template and {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Version": str(template.get_version(group.launch_template_version).number),
        }

    return init


def _template(self: Any) -> dict[str, Any] | None:
    found: dict[str, Any] | None = self.__dict__.get(_TEMPLATE)
    return found
