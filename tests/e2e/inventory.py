"""What stands in an account, by kind and name: to be compared before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Clients = Callable[[str], Any]

# Kind -> service, operation of boto3, where the list is, what names an entry, further arguments.
LISTS: dict[str, tuple[str, str, str, str, dict[str, Any]]] = {
    "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName", {}),
    "dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName", {}),
    "group": ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups",
              "AutoScalingGroupName", {}),
    "vpc": ("ec2", "describe_vpcs", "Vpcs", "VpcId", {}),
    "subnet": ("ec2", "describe_subnets", "Subnets", "SubnetId", {}),
    "route table": ("ec2", "describe_route_tables", "RouteTables", "RouteTableId", {}),
    "security group": ("ec2", "describe_security_groups", "SecurityGroups", "GroupId", {}),
    "endpoint": ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", {}),
    "interface": ("ec2", "describe_network_interfaces", "NetworkInterfaces",
                  "NetworkInterfaceId", {}),
    "flow log": ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId", {}),
    "internet gateway": ("ec2", "describe_internet_gateways", "InternetGateways",
                         "InternetGatewayId", {}),
    "nat gateway": ("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId", {}),
    "template": ("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateName", {}),
    "policy": ("iam", "list_policies", "Policies", "Arn", {"Scope": "Local"}),
    "profile": ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName", {}),
    "provider": ("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn", {}),
    "log group": ("logs", "describe_log_groups", "logGroups", "logGroupName", {}),
    "database": ("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier", {}),
    "subnet group": ("rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName",
                     {}),
    "parameter group": ("rds", "describe_db_parameter_groups", "DBParameterGroups",
                        "DBParameterGroupName", {}),
    "snapshot": ("rds", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier", {}),
    "bucket": ("s3", "list_buckets", "Buckets", "Name", {}),
    "topic": ("sns", "list_topics", "Topics", "TopicArn", {}),
    "parameter": ("ssm", "describe_parameters", "Parameters", "Name", {}),
    "document": ("ssm", "list_documents", "DocumentIdentifiers", "Name",
                 {"Filters": [{"Key": "Owner", "Values": ["Self"]}]}),
}  # fmt: skip


def standing(clients: Clients, account: str) -> set[tuple[str, str]]:
    """Every resource of the account as (kind, name), whatever made it.

    Left out is what AWS makes for itself: service-linked roles and its own keys.
    """
    found = {(kind, name) for kind in LISTS for name in _names(clients, kind)}
    budgets = clients("budgets").describe_budgets(AccountId=account).get("Budgets", [])
    found |= {("budget", budget["BudgetName"]) for budget in budgets}
    found |= {
        ("role", role["RoleName"])
        for role in _pages(clients("iam"), "list_roles", "Roles")
        if not role["Path"].startswith("/aws-")
    }
    found |= set(_instances(clients("ec2")))
    found |= set(_keys(clients("kms")))
    return found | set(_secrets(clients("secretsmanager")))


def _names(clients: Clients, kind: str) -> Iterator[str]:
    service, operation, where, name, arguments = LISTS[kind]
    for entry in _pages(clients(service), operation, where, **arguments):
        # AWS shows an endpoint for a while after it is gone, and its own parameters to everybody.
        if entry.get("State") != "deleted" and not str(entry[name]).startswith("/aws/service/"):
            yield str(entry[name])


def _pages(service: Any, operation: str, where: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    if service.can_paginate(operation):
        for page in service.get_paginator(operation).paginate(**arguments):
            yield from page[where]
    else:
        yield from getattr(service, operation)(**arguments)[where]


def _instances(ec2: Any) -> Iterator[tuple[str, str]]:
    for group in _pages(ec2, "describe_instances", "Reservations"):
        for instance in group["Instances"]:
            if instance["State"]["Name"] != "terminated":
                yield "instance", instance["InstanceId"]


def _keys(kms: Any) -> Iterator[tuple[str, str]]:
    aliases = list(_pages(kms, "list_aliases", "Aliases"))
    its_own = [one for one in aliases if one["AliasName"].startswith("alias/aws/")]
    yield from (("key alias", one["AliasName"]) for one in aliases if one not in its_own)
    for entry in _pages(kms, "list_keys", "Keys"):
        if entry["KeyId"] not in {one.get("TargetKeyId") for one in its_own}:
            key = kms.describe_key(KeyId=entry["KeyId"])["KeyMetadata"]
            yield f"key ({key['KeyState']})", key["KeyId"]


def _secrets(manager: Any) -> Iterator[tuple[str, str]]:
    for secret in _pages(manager, "list_secrets", "SecretList", IncludePlannedDeletion=True):
        kind = "secret (to be deleted)" if secret.get("DeletedDate") else "secret"
        yield kind, secret["Name"]
