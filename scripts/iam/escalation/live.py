"""Reads an account for the escalation search, as its administrator."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from scripts.iam.account.identities import authorization_details
from scripts.iam.account.resource_policies import Client, ResourcePolicies
from scripts.iam.escalation.inventory import Asset, Inventory, inventory


def read_estate(
    client: Client,
    account: str,
    region: str,
    states: Iterable[str],
    without: Collection[str] = (),
) -> Inventory:
    """Read identities, what carries their roles, and secrets, states and keys with their policies.

    `states` are ARNs. `without` names services of which the account has nothing, to be passed over
    and reported: `lambda` is the one that it may name.
    """
    details = authorization_details(client("iam"))
    holders = {
        profile["Arn"]: role["Arn"]
        for role in details["RoleDetailList"]
        for profile in role.get("InstanceProfileList", ())
    }
    prefix = f"arn:aws:ec2:{region}:{account}"
    found = inventory(
        {
            "account": account,
            "region": region,
            "iam": details,
            "instances": _instances(client("ec2"), holders, prefix),
            "templates": _templates(client("ec2"), holders, prefix, account),
            "functions": [] if "lambda" in without else _functions(client("lambda")),
            "secrets": _secrets(client("secretsmanager")),
            "states": [{"arn": arn} for arn in states],
            "keys": _keys(client("kms")),
            "security_groups": _security_groups(client("ec2"), prefix),
            "unread": ["functions: this account serves no Lambda, so it has none"]
            if "lambda" in without
            else [],
        }
    )
    policy_of = ResourcePolicies(client)

    def opened(assets: Iterable[Asset]) -> tuple[Asset, ...]:
        return tuple(replace(asset, policy=policy_of(asset.arn)) for asset in assets)

    return replace(
        found,
        secrets=opened(found.secrets),
        states=opened(found.states),
        keys=opened(found.keys),
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


def _functions(functions: Any) -> list[dict[str, Any]]:
    return [
        {
            "arn": function["FunctionArn"],
            "role": function["Role"],
            "tags": functions.list_tags(Resource=function["FunctionArn"]).get("Tags", {}),
        }
        for page in functions.get_paginator("list_functions").paginate()
        for function in page["Functions"]
    ]


def _security_groups(ec2: Any, prefix: str) -> list[dict[str, Any]]:
    return [
        {"arn": f"{prefix}:security-group/{group['GroupId']}", "tags": _tags(group)}
        for page in ec2.get_paginator("describe_security_groups").paginate()
        for group in page["SecurityGroups"]
    ]


def _keys(kms: Any) -> list[dict[str, Any]]:
    """The customer's keys; nobody can change the policy of one that AWS manages."""
    found = []
    for page in kms.get_paginator("list_keys").paginate():
        for listed in page["Keys"]:
            key = kms.describe_key(KeyId=listed["KeyId"])["KeyMetadata"]
            if key["KeyManager"] != "CUSTOMER":
                continue
            tags = kms.list_resource_tags(KeyId=listed["KeyId"]).get("Tags", ())
            found.append(
                {"arn": key["Arn"], "tags": {tag["TagKey"]: tag["TagValue"] for tag in tags}}
            )
    return found
