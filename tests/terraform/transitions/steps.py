"""Valid settings of every variable, and what a step from one to another destroys.

Settings of one variable are far from one another. `DESTROYED` has a row for each variable of which
some step destroys something: the steps, by the places of the settings, and patterns of addresses
without their indexes. What no row names is changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.terraform.conftest import CERTIFICATE

Settings = Mapping[str, Sequence[Any]]
Rows = Mapping[str, Mapping[str, Sequence[str]]]

_ROLE = "arn:aws:iam::123456789012:role/administrator"
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
GITHUB = {
    "owner": "octo-org",
    "owner_id": "1001",
    "repository": "keyless-mlops",
    "repository_id": "2002",
}
_OTHERS = {
    "owner": "someone-else",
    "owner_id": "3003",
    "repository": "other",
    "repository_id": "4004",
}

PLATFORM: Settings = {
    "artifact_access": ["direct", "proxied"],
    "artifact_store": [
        {},
        {
            "access_logs": {"enabled": False},
            "force_destroy": True,
            "version_deleter_arns": [_ROLE],
            "lifecycle_rules": {
                "abort_uploads_after_days": 3,
                "infrequent_access_days": 60,
                "expire_old_versions_days": 90,
                "kept_old_versions_per_file": 5,
            },
        },
        {"access_logs": {"retention_days": 30}},
    ],
    # Off again keeps the database's key, so that on again replaces nothing.
    "customer_managed_key": [False, True, True],
    "database": [
        {},
        {
            "apply_immediately": True,
            "backup": {"retention_days": 35, "window": "05:00-06:00", "final_snapshot": False},
            "deletion_protection": False,
            "engine_version": "17.6",
            "instance_class": "db.m7g.large",
            "log_retention_days": 90,
            "maintenance_window": "mon:07:00-mon:08:00",
            "monitoring": {"interval_seconds": 30, "performance_insights": True},
            "parameters": {
                "log_min_duration_statement": {"value": "500"},
                "shared_buffers": {"value": "32768", "static": True},
            },
            "storage": {"allocated_gib": 50, "maximum_gib": 500},
        },
        {"multi_az": True},
    ],
    "egress": ["public_ip", "endpoints", "nat"],
    "environment": ["dev"],  # another name is another state: see the test of its own
    "github": [GITHUB, _OTHERS, {**GITHUB, "subject_format": "names"}],
    "image": [
        None,
        {"id": "ami-00000000000000001", "region": "us-east-1", "released": "2026-01-01"},
        {"id": "ami-00000000000000002", "region": "us-east-1"},
    ],
    "job_workflow_refs": [{}, {"train": "o/r/.github/workflows/train.yml@refs/heads/main"}],
    "model_server": [
        None,
        {"certificate_arn": CERTIFICATE, "model": "breast-cancer"},
        {
            "certificate_arn": f"{CERTIFICATE}0",
            "model": "other",
            "capacity": {"minimum": 2, "maximum": 6, "cpu_percent": 50},
            "clients": {
                "cidrs": {"office": "10.0.0.0/8"},
                "security_group_ids": {"app": "sg-00000000000000001"},
            },
            "cpu_credits": "standard",
            "deletion_protection": True,
            "instance_type": "t4g.medium",
            "logs": {"enabled": False, "retention_days": 7},
            "trusted_types": ["numpy.dtype"],
            "volume": {"size_gib": 32},
        },
    ],
    # A range that differs is refused: see the test of its own.
    "network": [
        {"cidr_block": "10.40.0.0/16"},
        {"flow_logs": {"enabled": False}, "nat_gateway_per_zone": True},
        {
            "availability_zones": ["us-east-1a", "us-east-1b"],
            "private_subnet_cidrs": ["10.40.0.0/20", "10.40.16.0/20"],
            "public_subnet_cidrs": ["10.40.128.0/20", "10.40.144.0/20"],
            "reserved_cidrs": ["192.168.0.0/16"],
            "flow_logs": {"traffic": "REJECT", "retention_days": 7},
        },
    ],
    "observability": [
        {},
        {
            "alert_emails": ["ml-team@example.com"],
            "budget": {
                "limit_usd": 10,
                "actual_percentages": [50],
                "forecast_percentage": 90,
            },
            "dashboard_enabled": False,
            "database": {"free_storage_gib": 2, "cpu_percent": 70, "maximum_connections": 70},
        },
        {
            "pipeline": {
                "days_without_training": 3,
                "models": ["other"],
                "rejected_row_percent": 5,
            }
        },
    ],
    "park": [False, True, False],
    "server": [
        {},
        {
            "cpu_credits": "unlimited",
            "instance_type": "t4g.large",
            "logs": {"enabled": False, "retention_days": 7},
            "port": 5001,
            "volume": {"size_gib": 32},
            "watchdog": {"grace_seconds": 600, "interval_seconds": 60, "failures": 3},
            "workers": 4,
        },
    ],
    "tags": [{}, {"Team": "ml"}],
    "teardown": [False, True],
    "working_hours": [
        {},
        {"days": "MON-SAT", "start": "08:00", "stop": "18:00", "time_zone": "Europe/Vienna"},
    ],
}

_ALARM = "module.observability.aws_cloudwatch_metric_alarm"
_BUCKET = "module.artifact_store.aws_s3_bucket"
_EGRESS = "module.*_server.aws_vpc_security_group_egress_rule"
PLATFORM_DESTROYS: Rows = {
    "artifact_store": {
        "0>1 2>1": [
            *(f"{_BUCKET}{kind}.access_logs" for kind in ("", "_lifecycle_configuration")),
            *(f"{_BUCKET}_{kind}.access_logs" for kind in ("ownership_controls", "policy")),
            *(f"{_BUCKET}_{kind}.access_logs" for kind in ("public_access_block", "versioning")),
            f"{_BUCKET}_server_side_encryption_configuration.access_logs",
            f"{_BUCKET}_logging.artifacts",
        ]
    },
    "customer_managed_key": {"0>1 0>2": ["module.metadata_store.aws_db_instance.database"]},
    "database": {"1>0 1>2": ["module.metadata_store.aws_iam_role*.monitoring"]},
    "egress": {
        "0>1 2>1": [
            f"{_EGRESS}.https",
            "module.network.aws_internet_gateway.main",
            "module.network.aws_route.internet",
            "module.network.aws_route_table*.public",
            "module.network.aws_subnet.public",
        ],
        "1>0 1>2": [
            f"{_EGRESS}.prefix_lists",
            f"{_EGRESS}.security_groups",
            "module.network.aws_security_group.endpoints",
            "module.network.aws_vpc_endpoint.interface",
            "module.network.aws_vpc_security_group_ingress_rule.endpoints",
        ],
        "2>0 2>1": [
            "module.network.aws_eip.nat",
            "module.network.aws_nat_gateway.main",
            "module.network.aws_route.nat",
        ],
    },
    "model_server": {
        "1>0 2>0": [
            "module.model_server.*",
            "module.workload_roles.module.role.aws_iam_role*.github",
        ],
        "1>2": ["module.model_server.aws_cloudwatch_log_group.serve"],
        "2>1": ["module.model_server.aws_vpc_security_group_ingress_rule.client*"],
    },
    "network": {
        "0>1 2>1": [
            "module.network.aws_cloudwatch_log_group.flow_logs",
            "module.network.aws_flow_log.vpc",
            "module.network.aws_iam_role*.flow_logs",
        ],
        "0>2 2>0": ["module.network.aws_flow_log.vpc"],
        "0>1 0>2": [f"{_ALARM}.flow_log_silent"],
    },
    "observability": {
        "0>1 2>1": ["module.observability.aws_cloudwatch_dashboard.overview"],
        "1>0 1>2": [
            "module.observability.aws_budgets_budget.month",
            "module.observability.aws_sns_topic_subscription.emails",
        ],
        "0>2 1>2 2>0 2>1": [
            f"{_ALARM}.{name}" for name in ("drift", "no_training", "rejected_rows")
        ],
    },
    "park": {
        "0>1 2>1": [
            f"{_ALARM}.{name}"
            for name in ("server_not_serving", "server_silent", "server_unhealthy")
        ],
        "1>0 1>2": [
            "module.metadata_store.aws_iam_role*.parking",
            "module.metadata_store.aws_scheduler_schedule.parking",
            "module.mlflow_server.aws_autoscaling_schedule.parking",
        ],
    },
    "server": {
        "0>1": [
            "module.mlflow_server.aws_cloudwatch_log_group.server",
            "module.observability.aws_cloudwatch_log_metric_filter.heartbeat",
        ]
    },
}

DEV = {"allow_data_deletion": True}
BOOTSTRAP: Settings = {
    # Whatever would let a key go is refused: see the test of its own.
    "environments": [
        {"dev": DEV, "prod": {"customer_managed_key": True}},
        {
            "dev": {"model_servers": True, "kms_key_arn": KEY, "pulumi": True},
            "prod": {},
            "test": DEV,
        },
    ],
    "github": [GITHUB, {**_OTHERS, "subject_format": "names"}],
    "github_provider": ["create"],  # letting go of it is refused: see the test of its own
    "state": [
        {},
        {"kms_key_arn": KEY, "force_destroy": True, "expire_old_versions_days": 90},
    ],
    "tags": [{}, {"Team": "ml"}],
}
BOOTSTRAP_DESTROYS: Rows = {
    "environments": {
        "1>0": [
            "module.environment.aws_iam_policy.*",
            "module.environment.module.role.aws_iam_role*.github",
            "module.environment_key.aws_kms_alias.data",
        ]
    },
    "state": {"1>0": ["aws_s3_bucket_lifecycle_configuration.state"]},
}
