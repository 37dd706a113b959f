"""Numbers that alarms can watch: CloudWatch metrics in the platform's own namespace."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.step import Workspace

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef


def publish(workspace: Workspace, values: Mapping[str, float]) -> bool:
    """Put each value as a metric with the dimension Model; False where there is no platform."""
    if workspace.platform is None:
        return False
    dimension = {"Name": "Model", "Value": workspace.model}
    data: list[MetricDatumTypeDef] = [
        {"MetricName": name, "Value": float(value), "Dimensions": [dimension]}  # type: ignore[list-item]
        for name, value in values.items()
    ]
    workspace.session.client("cloudwatch").put_metric_data(
        Namespace=workspace.platform.metrics_namespace, MetricData=data
    )
    return True


def publish_or_say(workspace: Workspace, values: Mapping[str, float]) -> str | None:
    """Publish what must not make a finished step fail; returns why it was not possible."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        publish(workspace, values)
    except (BotoCoreError, ClientError) as failure:
        names = ", ".join(values)
        return f"{names} could not be published, so an alarm may miss this run: {failure}"
    return None
