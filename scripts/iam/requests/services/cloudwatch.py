"""CloudWatch: metrics, alarms, dashboards.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    Targets,
    anywhere,
    arn_of_type,
    checked,
    everything,
    join_keys,
    keys_from,
    name_of,
    onto,
    pairs,
    request_tags,
    resource_tags,
    same,
    service_linked_role,
    tag_keys,
    when,
)


def _existing_alarm(call: Call, name: str) -> Target:
    arn = call.arn("cloudwatch", f"alarm:{name}")
    return Target(arn, resource_tags(call, arn))


_CHOOSE = ("AlarmNamePrefix", "ActionPrefix", "ChildrenOfAlarmName", "ParentsOfAlarmName",
           "StateValue")  # fmt: skip


def _alarms(call: Call) -> Iterator[Target]:
    """The alarms that a call names; every alarm when it names none, or chooses others besides."""
    names = call.texts("AlarmNames") or [call.get("AlarmName") or "*"]
    if any(call.get(chosen) for chosen in _CHOOSE):
        names = ["*"]
    for name in names:
        yield _existing_alarm(call, checked(name, "AlarmNames"))


def _named_alarms(call: Call) -> Iterator[Target]:
    for name in call.texts("AlarmNames"):
        yield _existing_alarm(call, name)


def _alarm(call: Call) -> Iterator[Target]:
    yield _existing_alarm(call, call.text("AlarmName"))


def _dashboards(parameter: str) -> Targets:
    def found(call: Call) -> Iterator[Target]:
        value = call.get(parameter)
        for name in value if isinstance(value, list) else [value]:
            resource = "dashboard/" + name_of(name, parameter, r"[\w-]+")
            arn = call.arn("cloudwatch", resource, region="")
            yield Target(arn, resource_tags(call, arn))

    return found


def _by_arn(call: Call) -> Iterator[Target]:
    arn = arn_of_type(call.get("ResourceARN"), "ResourceARN", "cloudwatch", ".+")
    yield Target(arn, resource_tags(call, arn))


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _asked_actions(call: Call) -> list[str]:
    names = ("AlarmActions", "OKActions", "InsufficientDataActions")
    return [arn for name in names for arn in call.texts(name)]


def _acting_roles(call: Call) -> Iterator[Need]:
    """The service's own roles, with which alarms act on instances and for Systems Manager.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    services = {_ACTING[parts[2]] for arn in _asked_actions(call)
                if len(parts := arn.split(":")) > 2 and parts[2] in _ACTING}  # fmt: skip
    for service in sorted(services):
        yield from service_linked_role(service)(call)


# The service in an action's ARN -> whose role acts.
_ACTING = {
    "automate": "events.amazonaws.com",
    "swf": "events.amazonaws.com",
    "ssm": "ssm.alarms.cloudwatch.amazonaws.com",
    "ssm-incidents": "ssm.alarms.cloudwatch.amazonaws.com",
}


def _actions(call: Call) -> Keys:
    found = _asked_actions(call)
    return {"cloudwatch:AlarmActions": tuple(dict.fromkeys(found))} if found else {}


_put: Callable[[Call], Keys] = join_keys(_tags, _actions)

TABLE: Table = {
    "PutMetricData": Row(everything, keys=keys_from(Namespace="cloudwatch:namespace")),
    **anywhere(
        "DescribeAlarmsForMetric DescribeAnomalyDetectors GetMetricData GetMetricStatistics "
        "GetMetricWidgetImage ListDashboards ListMetrics"
    ),
    **same("DescribeAlarms DescribeAlarmHistory", Row(_alarms)),
    **same("DeleteAlarms DisableAlarmActions EnableAlarmActions", Row(_named_alarms)),
    "SetAlarmState": Row(_alarm),
    **same(
        "PutMetricAlarm PutCompositeAlarm",
        Row(
            _alarm,  # which may be there already, and is then changed
            keys=_put,
            also=(when("Tags", onto("cloudwatch:TagResource", _alarm, _tags)), _acting_roles),
        ),
    ),
    "PutDashboard": Row(_dashboards("DashboardName"), keys=_tags),
    "GetDashboard": Row(_dashboards("DashboardName")),
    "DeleteDashboards": Row(_dashboards("DashboardNames")),
    "TagResource": Row(_by_arn, keys=_tags),
    "UntagResource": Row(_by_arn, keys=lambda call: tag_keys(call.texts("TagKeys"))),
    "ListTagsForResource": Row(_by_arn),
}
