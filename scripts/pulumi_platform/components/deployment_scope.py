"""What the policies of one environment's deployment name: its resources, by ARN or by tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.pulumi_platform.basics import Account, Conditions, Statement, Text, allow, equals


def actions_of(service: str, names: str) -> list[str]:
    """Actions of a service, written as words."""
    return [f"{service}:{name}" for name in names.split()]


@dataclass
class Scope:
    """One environment in one account and region."""

    account: Account
    environment: str
    state_bucket: str
    state_key: str
    state_kms_key_arn: str | None
    pulumi_prefix: str | None
    kms_key_arn: Text | None
    allow_data_deletion: bool
    platform_role_names: Sequence[str]
    services: Mapping[str, str]

    def __post_init__(self) -> None:
        """Work out the names."""
        account, self.prefix = self.account, f"keyless-{self.environment}"
        where = f"{account.id}-{account.region}"
        everywhere = f"arn:{account.partition}"
        self.state = account.bucket(self.state_bucket)
        self.pulumi_state = f"{self.state}/{self.pulumi_prefix}/.pulumi/*"
        self.artifacts = account.bucket(f"{self.prefix}-artifacts-{where}")
        self.access_logs = account.bucket(f"{self.prefix}-access-logs-{where}")
        self.database = self.rds(f"db:{self.prefix}")
        self.parameter_groups = self.rds(f"pg:{self.prefix}-*")
        self.subnet_group = self.rds(f"subgrp:{self.prefix}")
        self.final_snapshot = self.rds(f"snapshot:{self.prefix}-final")
        self.option_groups = self.rds("og:default:*")
        self.managed_secrets = account.arn("secretsmanager", "secret:rds!db-*")
        self.third_party = account.arn("secretsmanager", f"secret:{self.prefix}-third-party-*")
        self.keys = account.arn("kms", "key/*")
        self.alarms = account.arn("cloudwatch", f"alarm:{self.prefix}-*")
        self.dashboard = f"{everywhere}:cloudwatch::{account.id}:dashboard/{self.prefix}"
        self.topic = account.arn("sns", f"{self.prefix}-alerts")
        self.budget = f"{everywhere}:budgets::{account.id}:budget/{self.prefix}"
        self.billing_view = f"{everywhere}:billing::{account.id}:billingview/primary"
        self.schedules = account.arn("scheduler", f"schedule/default/{self.prefix}-*")
        self.documents = self.ssm(f"document/{self.prefix}-*")
        # Parameters without a secret.
        self.plain_parameters = [
            self.ssm(f"parameter/keyless/{self.environment}/{name}")
            for name in ("platform", "server/*")
        ]
        self.log_groups = [
            account.arn("logs", f"log-group:{path}/{self.prefix}/*")
            for path in ("", "/aws/rds/instance")
        ]
        # Each by its whole name, so that none of those made here is among them.
        self.platform_roles = [
            account.iam(f"role/{self.prefix}-{name}") for name in self.platform_role_names
        ]
        self.instance_profiles = [
            account.iam(f"instance-profile/{self.prefix}-{name}")
            for name, service in self.services.items()
            if service == "ec2.amazonaws.com"
        ]
        self.groups = [self.group(f"serve-{each}") for each in ("blue", "green")]
        self.balancer = self._balancing(f"loadbalancer/app/{self.prefix}-serve/*")
        self.listener = self._balancing(f"listener/app/{self.prefix}-serve/*")
        self.target_groups = self._balancing(f"targetgroup/{self.prefix}-serve-*/*")

    def ec2(self, kind: str) -> str:
        """Everything of a kind; EC2's ids are AWS's choice."""
        return self.account.arn("ec2", f"{kind}/*")

    def ec2s(self, kinds: str) -> list[str]:
        """Everything of several kinds, written as words."""
        return [self.ec2(kind) for kind in kinds.split()]

    def rds(self, resource: str) -> str:
        """ARN of something of RDS."""
        return self.account.arn("rds", resource)

    def ssm(self, resource: str) -> str:
        """ARN of something of Systems Manager."""
        return self.account.arn("ssm", resource)

    def group(self, suffix: str) -> str:
        """ARN of an Auto Scaling group, whatever its id."""
        name = f"autoScalingGroupName/{self.prefix}-{suffix}"
        return self.account.arn("autoscaling", f"autoScalingGroup:*:{name}")

    def _balancing(self, resource: str) -> str:
        return self.account.arn("elasticloadbalancing", resource)

    @property
    def requested(self) -> Conditions:
        """What is made carries the environment's tag."""
        return equals("aws:RequestTag/Environment", self.environment)

    @property
    def tagged(self) -> Conditions:
        """What is used, changed or deleted carries the environment's tag."""
        return equals("aws:ResourceTag/Environment", self.environment)

    @property
    def tagged_if_any(self) -> Conditions:
        """What is used carries no other environment's tag."""
        return {"StringEqualsIfExists": {"aws:ResourceTag/Environment": self.environment}}

    def with_key(
        self, sid: str, actions: str, when: Conditions | None = None, key: Text | None = None
    ) -> list[Statement]:
        """A statement on the environment's key, or another; none without one."""
        arn = key or self.kms_key_arn
        return [] if arn is None else [allow(sid, actions_of("kms", actions), [arn], when=when)]

    def with_state_key(self, sid: str, actions: str) -> list[Statement]:
        """A statement on the state's key, through S3; none without one."""
        if self.state_kms_key_arn is None:
            return []
        through = equals("kms:ViaService", self.account.endpoint("s3"))
        return self.with_key(sid, actions, through, self.state_kms_key_arn)
