"""Reads an account for the escalation search, as its administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scripts.iam.escalation.estate import Estate, estate

Client = Callable[[str], Any]  # service name -> boto3 client


def read_estate(client: Client, account: str, region: str, states: Iterable[str]) -> Estate:
    """Read identities, instances, launch templates, secrets and keys; `states` are ARNs."""
    details: dict[str, list[Any]] = {}
    for page in client("iam").get_paginator("get_account_authorization_details").paginate():
        for name in ("RoleDetailList", "UserDetailList", "GroupDetailList", "Policies"):
            details.setdefault(name, []).extend(page.get(name, ()))
    holders = {
        profile["Arn"]: role["Arn"]
        for role in details["RoleDetailList"]
        for profile in role.get("InstanceProfileList", ())
    }
    prefix = f"arn:aws:ec2:{region}:{account}"
    return estate(
        {
            "account": account,
            "region": region,
            "iam": details,
            "instances": _instances(client("ec2"), holders, prefix),
            "templates": _templates(client("ec2"), holders, prefix, account),
            "secrets": _secrets(client("secretsmanager")),
            "states": [{"arn": arn} for arn in states],
            "unread": ("functions", "KMS keys"),
        }
    )


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}


def _instances(ec2: Any, holders: Mapping[str, str], prefix: str) -> list[dict[str, Any]]:
    return [
        {
            "arn": f"{prefix}:instance/{item['InstanceId']}",
            "role": holders[item["IamInstanceProfile"]["Arn"]],
            "tags": _tags(item),
        }
        for group in ec2.describe_instances()["Reservations"]
        for item in group["Instances"]
        if item.get("IamInstanceProfile", {}).get("Arn") in holders
    ]


def _templates(
    ec2: Any, holders: Mapping[str, str], prefix: str, account: str
) -> list[dict[str, Any]]:
    found = []
    for template in ec2.describe_launch_templates()["LaunchTemplates"]:
        versions = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"]
        profile = versions[0]["LaunchTemplateData"].get("IamInstanceProfile", {})
        name = profile.get("Arn") or (
            f"arn:aws:iam::{account}:instance-profile/{profile.get('Name')}"
        )
        if name in holders:
            arn = f"{prefix}:launch-template/{template['LaunchTemplateId']}"
            found.append({"arn": arn, "role": holders[name], "tags": _tags(template)})
    return found


def _secrets(manager: Any) -> list[dict[str, Any]]:
    return [
        {"arn": secret["ARN"], "tags": _tags(secret)}
        for page in manager.get_paginator("list_secrets").paginate()
        for secret in page["SecretList"]
    ]
