"""Alarms that mean something, where they go, what the month may cost, and one page to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import budgets, cloudwatch, sns

from scripts.pulumi_platform.basics import (
    Account,
    Text,
    allow,
    check,
    document,
    equals,
    every,
    fits,
)

GIBIBYTE = 1024**3
DAY = 86400


@dataclass
class Budget:
    """Monthly limit in USD, and the percentages that alert: actual, and forecast (0: none)."""

    limit_usd: float
    actual_percentages: Sequence[float] = (80, 100)
    forecast_percentage: float = 100


@dataclass
class WatchedDatabase:
    """Database to watch, and when it alarms."""

    identifier: str
    free_storage_gib: float = 4
    cpu_percent: float = 80
    maximum_connections: int = 60


@dataclass
class WatchedPipeline:
    """When the pipeline alarms; 0 days and 100 percent switch it off."""

    days_without_training: int = 7
    models: Sequence[str] = ()
    rejected_row_percent: float = 1


@dataclass
class ObservabilityArgs:
    """Arguments of Observability; terraform/modules/observability/README.md explains them."""

    name: str
    autoscaling_group_name: str
    database: WatchedDatabase
    environment: str
    metrics_namespace: str
    alert_emails: Sequence[str] = ()
    budget: Budget | None = None
    dashboard_enabled: bool = True
    flow_log_group_name: Text | None = None
    kms_key_arn: str | None = None
    parked: bool = False
    pipeline: WatchedPipeline = field(default_factory=WatchedPipeline)
    server_log_group_name: Text | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ArgumentError for thresholds that never or always alarm."""
        database, pipeline = self.database, self.pipeline
        check(
            every(lambda one: fits(r"[^@\s]+@[^@\s]+\.[^@\s]+", one), self.alert_emails),
            'alert_emails must be addresses such as "ml-team@example.com".',
        )
        check(
            self.budget is None or self.budget.limit_usd > 0,
            "budget.limit_usd must be above 0, or leave budget out.",
        )
        check(
            database.free_storage_gib > 0
            and 0 < database.cpu_percent <= 100
            and database.maximum_connections > 0,
            "database needs free_storage_gib and maximum_connections above 0, and cpu_percent from "
            "1 to 100.",
        )
        check(
            fits(r"[a-z][a-z0-9-]{1,46}[a-z0-9]", self.name),
            "name must be 3 to 48 lower-case letters, digits and hyphens, for example "
            '"keyless-dev".',
        )
        check(
            pipeline.days_without_training in range(8),
            "pipeline.days_without_training must be 1 to 7 (CloudWatch evaluates no longer range), "
            "or 0 to switch it off.",
        )
        check(
            0 <= pipeline.rejected_row_percent <= 100,
            "pipeline.rejected_row_percent must be 0 (any rejected row alarms) to 100 (off).",
        )


class Observability(pulumi.ComponentResource):
    """Topic, alarms, budget and dashboard."""

    def __init__(
        self, name: str, args: ObservabilityArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make what watches the platform."""
        super().__init__("keyless:platform:Observability", name, None, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        self._alarms: list[pulumi.Output[str]] = []
        self._topic = self._make_topic()
        self.topic_arn = self._topic.arn
        self._watch_server()
        self._watch_database()
        for model in args.pipeline.models:
            self._watch_pipeline(model)
        if args.budget is not None:
            self._budget(args.budget)
        if args.dashboard_enabled:
            self._dashboard()
        self.register_outputs({"alarm_names": self._alarms, "topic_arn": self.topic_arn})

    def _make_topic(self) -> sns.Topic:
        name, args, account = self._name, self._args, self._account
        topic = sns.Topic(
            f"{name}-alerts",
            name=f"{args.name}-alerts",
            kms_master_key_id=args.kms_key_arn,
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )
        sns.TopicPolicy(
            f"{name}-alerts",
            arn=topic.arn,
            policy=document(
                allow(
                    "AlarmsAndBudgetsOfThisAccount",
                    ["sns:Publish"],
                    [account.arn("sns", f"{args.name}-alerts")],
                    principal={"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]},
                    when=equals("aws:SourceAccount", account.id),
                )
            ),
            opts=ResourceOptions(parent=self),
        )
        for address in args.alert_emails:
            sns.TopicSubscription(
                f"{name}-emails-{address}",
                topic=topic.arn,
                protocol="email",
                endpoint=address,
                opts=ResourceOptions(parent=self),
            )
        return topic

    def _alarm(
        self,
        resource: str,
        suffix: str,
        description: str,
        *after: pulumi.Resource,
        notifies_of: Sequence[str] = ("alarm", "ok"),
        **metric: Any,
    ) -> None:
        """An alarm that notifies the topic of the states in `notifies_of`."""
        actions: dict[str, Any] = {f"{state}_actions": [self._topic.arn] for state in notifies_of}
        alarm = cloudwatch.MetricAlarm(
            f"{self._name}-{resource}",
            name=f"{self._args.name}-{suffix}",
            alarm_description=description,
            tags=self._args.tags,
            opts=ResourceOptions(parent=self, depends_on=list(after)),
            **actions,
            **metric,
        )
        self._alarms.append(alarm.name)

    def _watch_server(self) -> None:
        args, log_group = self._args, self._args.server_log_group_name
        silence: dict[str, Any] = {
            "statistic": "Sum",
            "comparison_operator": "LessThanThreshold",
            "threshold": 1,
            "treat_missing_data": "missing",
            "notifies_of": ("alarm", "insufficient_data", "ok"),
        }
        # A parked server is missing by schedule.
        if args.parked:
            return
        self._alarm(
            "server-unhealthy",
            "server-unhealthy",
            "No MLflow server in service for 15 minutes: see the group's activity history for why "
            "none starts.",
            namespace="AWS/AutoScaling",
            metric_name="GroupInServiceInstances",
            dimensions={"AutoScalingGroupName": args.autoscaling_group_name},
            statistic="Maximum",
            comparison_operator="LessThanThreshold",
            threshold=1,
            period=300,
            evaluation_periods=3,
            treat_missing_data="missing",  # before the group's first minute there is none
        )
        if log_group is not None:
            # An instance in service may serve nothing. The watchdog writes a line every few minutes
            # while MLflow answers. An alarm without data does nothing until it has had some.
            heartbeat = cloudwatch.LogMetricFilter(
                f"{self._name}-heartbeat",
                name=f"{args.name}-server-heartbeat",
                log_group_name=log_group,
                pattern='"watchdog: MLflow is healthy"',  # as files/watchdog.py writes it
                metric_transformation={
                    "namespace": args.metrics_namespace,
                    "name": "ServerHeartbeat",
                    "value": "1",
                },
                opts=ResourceOptions(parent=self),
            )
            self._alarm(
                "server-silent",
                "server-silent",
                "Nothing was heard of a healthy MLflow for more than half an hour (the state is "
                'then "insufficient data"): its installation, MLflow itself, the log agent or the '
                "instance is dead. See the log group, and keyless doctor --aws.",
                heartbeat,
                namespace=args.metrics_namespace,
                metric_name="ServerHeartbeat",
                period=900,
                evaluation_periods=2,
                **silence,
            )
            # A server that never reported has no metric; the group's own shows an instance.
            self._alarm(
                "server-not-serving",
                "server-not-serving",
                "An instance was in service for an hour and no healthy MLflow was heard, also "
                "where there never was one: its installation, MLflow itself or the log agent "
                "failed. See the log group, and keyless doctor --aws.",
                heartbeat,
                comparison_operator="LessThanThreshold",
                threshold=1,
                evaluation_periods=4,
                treat_missing_data="missing",  # before the group's first minute there is none
                metric_queries=[
                    {
                        "id": "served",
                        "expression": "MAX([FILL(heartbeats, 0), 1 - instances]) + 0 * instances",
                        "label": "Heartbeats of a group in service",
                        "return_data": True,
                    },
                    {
                        "id": "heartbeats",
                        "metric": {
                            "namespace": args.metrics_namespace,
                            "metric_name": "ServerHeartbeat",
                            "stat": "Sum",
                            "period": 900,
                        },
                    },
                    {
                        "id": "instances",
                        "metric": {
                            "namespace": "AWS/AutoScaling",
                            "metric_name": "GroupInServiceInstances",
                            "dimensions": {"AutoScalingGroupName": args.autoscaling_group_name},
                            "stat": "Minimum",
                            "period": 900,
                        },
                    },
                ],
            )
        # A flow log whose role lacks a right ends in "Access error", and only its silence says so.
        if args.flow_log_group_name is not None:
            self._alarm(
                "flow-log-silent",
                "flow-log-silent",
                "No flow log was delivered for more than six hours (the state is then "
                '"insufficient data"): aws ec2 describe-flow-logs says why.',
                namespace="AWS/Logs",
                metric_name="IncomingLogEvents",
                dimensions={"LogGroupName": args.flow_log_group_name},
                period=3600,
                evaluation_periods=6,
                **silence,
            )

    def _watch_database(self) -> None:
        database = self._args.database
        alarms = {
            "connections": (
                f"More than {database.maximum_connections:g} connections: a client leaks them, or "
                "the server has too many workers.",
                ("DatabaseConnections", "Maximum", "GreaterThanThreshold"),
                database.maximum_connections,
                15,
            ),
            "cpu": (
                f"Database above {database.cpu_percent:g} % CPU for half an hour: a burstable "
                "class bills CPU credits beyond its baseline; choose a larger one or look for a "
                "heavy query.",
                ("CPUUtilization", "Average", "GreaterThanThreshold"),
                database.cpu_percent,
                30,
            ),
            "storage": (
                f"Less than {database.free_storage_gib:g} GiB free although storage grows by "
                "itself: raise storage.maximum_gib.",
                ("FreeStorageSpace", "Minimum", "LessThanThreshold"),
                database.free_storage_gib * GIBIBYTE,
                15,
            ),
        }
        for name, (
            description,
            (metric, statistic, comparison),
            threshold,
            minutes,
        ) in alarms.items():
            self._alarm(
                f"database-{name}",
                f"database-{name}",
                description,
                namespace="AWS/RDS",
                metric_name=metric,
                dimensions={"DBInstanceIdentifier": database.identifier},
                statistic=statistic,
                comparison_operator=comparison,
                threshold=threshold,
                period=300,
                evaluation_periods=minutes // 5,
                treat_missing_data="missing",  # a parked database has no metrics
            )

    def _watch_pipeline(self, model: str) -> None:
        args, pipeline = self._args, self._args.pipeline
        days, percent = pipeline.days_without_training, pipeline.rejected_row_percent
        ours = {"namespace": args.metrics_namespace, "dimensions": {"Model": model}}
        # Training publishes TrainingsDone when it ends well, also when it kept an unchanged model.
        if days > 0:
            self._alarm(
                f"no-training-{model}",
                f"no-training-{model}",
                f"No training of {model} ended well in more than {days} days (the state is then "
                '"insufficient data"): see the training workflow\'s last runs.',
                notifies_of=("alarm", "insufficient_data"),
                metric_name="TrainingsDone",
                statistic="Sum",
                comparison_operator="LessThanThreshold",
                threshold=1,
                period=DAY,
                evaluation_periods=days,
                datapoints_to_alarm=days,
                treat_missing_data="missing",  # before the first training there is none
                **ours,
            )
        if percent != 100:
            self._alarm(
                f"rejected-rows-{model}",
                f"rejected-rows-{model}",
                f"More than {percent:g} % of a day's rows for {model} were rejected: the manifest "
                "beside the predictions says why.",
                notifies_of=("alarm",),
                comparison_operator="GreaterThanThreshold",
                threshold=percent,
                evaluation_periods=1,
                treat_missing_data="notBreaching",  # no batch that day
                metric_queries=[
                    {
                        "id": "percent",
                        "expression": "100 * rejected / (rejected + predicted)",
                        "label": "Rejected rows (%)",
                        "return_data": True,
                    },
                    *(
                        {
                            "id": name,
                            "metric": {
                                "metric_name": metric,
                                "stat": "Sum",
                                "period": DAY,
                                **ours,
                            },
                        }
                        for name, metric in (
                            ("predicted", "RowsPredicted"),
                            ("rejected", "RowsRejected"),
                        )
                    ),
                ],
            )
        self._alarm(
            f"drift-{model}",
            f"drift-{model}",
            f"Monitoring asks for a new model of {model}: see its last report.",
            notifies_of=("alarm",),
            metric_name="RetrainNeeded",
            statistic="Maximum",
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            period=DAY,
            evaluation_periods=1,
            treat_missing_data="notBreaching",
            **ours,
        )

    def _budget(self, budget: Budget) -> None:
        """Counted by the environment's tag, once it is a cost allocation tag of the account."""
        notices = [("ACTUAL", percent) for percent in budget.actual_percentages]
        if budget.forecast_percentage > 0:
            notices.append(("FORECASTED", budget.forecast_percentage))
        budgets.Budget(
            f"{self._name}-month",
            name=self._args.name,
            budget_type="COST",
            limit_amount=f"{budget.limit_usd:g}",
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[
                {"name": "TagKeyValue", "values": [f"user:Environment${self._args.environment}"]}
            ],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "notification_type": kind,
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [self._topic.arn],
                }
                for kind, percent in notices
            ],
            tags=self._args.tags,
            opts=ResourceOptions(parent=self),
        )

    def _dashboard(self) -> None:
        """One page: server, database, pipeline."""
        args = self._args
        group = ["AutoScalingGroupName", args.autoscaling_group_name]
        database = ["DBInstanceIdentifier", args.database.identifier]
        charts: list[tuple[str, list[list[str]], str, int]] = [
            (
                "MLflow servers in service",
                [["AWS/AutoScaling", "GroupInServiceInstances", *group]],
                "Maximum",
                300,
            ),
            ("Server CPU (%)", [["AWS/EC2", "CPUUtilization", *group]], "Average", 300),
            ("Database CPU (%)", [["AWS/RDS", "CPUUtilization", *database]], "Average", 300),
            (
                "Database connections",
                [["AWS/RDS", "DatabaseConnections", *database]],
                "Maximum",
                300,
            ),
            (
                "Database free storage (bytes)",
                [["AWS/RDS", "FreeStorageSpace", *database]],
                "Minimum",
                300,
            ),
        ]
        for title, metrics, statistic in (
            ("Trainings", ["TrainingsDone"], "Sum"),
            ("Rows", ["RowsPredicted", "RowsRejected"], "Sum"),
            ("Drift", ["DriftedFraction", "RetrainNeeded"], "Maximum"),
        ):
            charts += [
                (
                    f"{title} of {model}",
                    [[args.metrics_namespace, metric, "Model", model] for metric in metrics],
                    statistic,
                    DAY,
                )
                for model in args.pipeline.models
            ]
        widgets = [
            {
                "type": "metric",
                "x": index % 3 * 8,
                "y": index // 3 * 6,
                "width": 8,
                "height": 6,
                "properties": {
                    "title": title,
                    "metrics": metrics,
                    "stat": statistic,
                    "period": period,
                    "region": self._account.region,
                    "view": "timeSeries",
                },
            }
            for index, (title, metrics, statistic, period) in enumerate(charts)
        ]
        cloudwatch.Dashboard(
            f"{self._name}-overview",
            dashboard_name=args.name,
            dashboard_body=json.dumps({"widgets": widgets}),
            opts=ResourceOptions(parent=self),
        )
