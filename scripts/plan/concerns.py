"""Which planned changes bear on security, and on what: the first thing that a reviewer reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_ANYWHERE = ("0.0.0.0/0", "::/0")
TYPES = {
    "aws_iam_openid_connect_provider": "trust",
    "aws_iam_policy": "policy",
    "aws_iam_role_policy": "policy",
    "aws_iam_role_policy_attachment": "policy",
    "aws_iam_user": "long-lived identity",
    "aws_iam_access_key": "long-lived identity",
    "aws_key_pair": "long-lived identity",
    "aws_s3_bucket_policy": "policy",
    "aws_s3_bucket_acl": "public access",
    "aws_s3_bucket_public_access_block": "public access",
    "aws_s3_bucket_ownership_controls": "public access",
    "aws_s3_bucket_server_side_encryption_configuration": "encryption",
    "aws_s3_bucket_versioning": "recovery",
    "aws_sns_topic_policy": "policy",
    "aws_sqs_queue_policy": "policy",
    "aws_secretsmanager_secret_policy": "policy",
    "aws_kms_key_policy": "policy",
    "aws_kms_key": "encryption",
    "aws_kms_alias": "encryption",
    "aws_kms_grant": "encryption",
    "aws_security_group_rule": "network path",
    "aws_vpc_security_group_ingress_rule": "ingress",
    "aws_vpc_security_group_egress_rule": "egress",
    "aws_internet_gateway": "egress",
    "aws_nat_gateway": "egress",
    "aws_route": "egress",
    "aws_vpc_endpoint": "network path",
    "aws_vpc_peering_connection": "network path",
    "aws_ssm_document": "session document",
    "aws_flow_log": "audit",
    "aws_s3_bucket_logging": "audit",
}
"""Types of which every change counts, and what it bears on."""

ATTRIBUTES = {
    "assume_role_policy": "trust",
    "permissions_boundary": "permissions boundary",
    "policy": "policy",
    "ingress": "ingress",
    "egress": "egress",
    "cidr_blocks": "network path",
    "storage_encrypted": "encryption",
    "encrypted": "encryption",
    "kms_key_id": "encryption",
    "kms_key_arn": "encryption",
    "kms_master_key_id": "encryption",
    "master_user_secret_kms_key_id": "encryption",
    "publicly_accessible": "public access",
    "associate_public_ip_address": "public access",
    "map_public_ip_on_launch": "public access",
    "iam_database_authentication_enabled": "authentication",
    "manage_master_user_password": "authentication",
    "metadata_options": "authentication",
    "http_tokens": "authentication",
    "iam_instance_profile": "instance's role",
    "user_data": "what runs on the server",
    "deletion_protection": "recovery",
    "force_destroy": "recovery",
    "backup_retention_period": "recovery",
    "skip_final_snapshot": "recovery",
    "retention_in_days": "audit",
    "enabled_cloudwatch_logs_exports": "audit",
}
"""Attributes that count wherever they change, by any part of their path."""

# For new resources, report only these attributes, and only when set: providers fill in defaults.
_ON_CREATE = {"assume_role_policy", "policy", "ingress", "associate_public_ip_address"}
_UNSET = (None, False, "false", "", 0)


def bears_on(
    kind: str, action: str, change: Mapping[str, Any], attributes: Mapping[str, Any]
) -> tuple[str, ...]:
    """What a change of resource type `kind` bears on; alarming values come first, in words.

    `attributes` holds the changed ones by path, with None for a value that is not known yet.
    """
    found = list(_alarms(kind, _shown(change)))
    if kind == "aws_db_parameter_group" and action in ("change", "replace"):
        found += _waiting(change)
    if kind in TYPES:
        found.append(TYPES[kind])
    if action in ("destroy", "replace") and kind in ("aws_db_instance", "aws_s3_bucket"):
        found.insert(0, f"DATA: the {'database' if 'db' in kind else 'bucket'} goes, by {action}")
    for path, value in attributes.items():
        parts = path.split(".")
        if action == "create":
            trust = "assume_role_policy" in parts
            if value in _UNSET and not trust:
                continue
            parts = [part for part in parts if part in _ON_CREATE]
        found += [ATTRIBUTES[part] for part in parts if part in ATTRIBUTES]
    return tuple(dict.fromkeys(found))


def _shown(change: Mapping[str, Any]) -> dict[str, Any]:
    """The planned attributes without those that hold something sensitive."""
    after, secret = change.get("after"), change.get("after_sensitive")
    if secret is True or not isinstance(after, Mapping):
        return {}
    marks = secret if isinstance(secret, Mapping) else {}
    return {name: value for name, value in after.items() if marks.get(name) is not True}


def _alarms(kind: str, after: Mapping[str, Any]) -> Iterator[str]:
    """Values that deserve a second look whatever they were before."""
    cidrs = [after.get("cidr_ipv4"), after.get("cidr_ipv6"), *(after.get("cidr_blocks") or ())]
    inwards = kind == "aws_vpc_security_group_ingress_rule" or after.get("type") == "ingress"
    for rule in after.get("ingress") or () if kind == "aws_security_group" else ():
        cidrs += [*(rule.get("cidr_blocks") or ()), *(rule.get("ipv6_cidr_blocks") or ())]
        inwards = True
    if inwards and any(cidr in _ANYWHERE for cidr in cidrs):
        yield "OPEN: anyone on the internet may connect"
    if after.get("publicly_accessible") is True:
        yield "OPEN: the database gets a public address"
    naked = kind == "aws_ebs_volume" and after.get("encrypted") is False
    if naked or after.get("storage_encrypted") is False:
        yield "UNENCRYPTED storage"
    if (
        kind == "aws_s3_bucket_public_access_block"
        and not all(after.get(name) for name in _PUBLIC_BLOCKS)
        and after
    ):
        yield "OPEN: public access is not wholly blocked"
    for name in ("policy", "assume_role_policy"):
        yield from _wide(kind, name, after.get(name))


def _waiting(change: Mapping[str, Any]) -> Iterator[str]:
    """The static parameters that change: RDS applies them when somebody reboots the database.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html
    """
    before, after = (
        {one["name"]: one for one in (change.get(side) or {}).get("parameter") or ()}
        for side in ("before", "after")
    )
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    static = [
        name
        for name in sorted(changed)
        if (after.get(name) or before[name]).get("apply_method") == "pending-reboot"
    ]
    if static:
        yield f"WAITS: {', '.join(static)} counts only after a reboot of the database"


_PUBLIC_BLOCKS = (
    "block_public_acls",
    "block_public_policy",
    "ignore_public_acls",
    "restrict_public_buckets",
)


def _wide(kind: str, name: str, document: Any) -> Iterator[str]:
    """Statements that allow everyone, or everything; conditions are for the reader to judge."""
    try:
        statements = json.loads(document)["Statement"]
    except (TypeError, ValueError, KeyError):
        return
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") != "Allow":
            continue
        label = statement.get("Sid") or "without a sid"
        actions = statement.get("Action", ())
        for action in [actions] if isinstance(actions, str) else actions:
            if action == "*" or action.endswith(":*"):
                yield f"WIDE: statement {label} allows {action}"
        # An endpoint's policy names principals through conditions.
        if kind != "aws_vpc_endpoint" and not statement.get("Condition"):
            principal = statement.get("Principal")
            if principal == "*" or (isinstance(principal, dict) and "*" in principal.values()):
                yield f"WIDE: statement {label} allows everyone"
        if name == "assume_role_policy" and _oidc_wildcard(statement):
            yield f"WIDE: statement {label} trusts a wildcard subject"


def _oidc_wildcard(statement: Mapping[str, Any]) -> bool:
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, values in keys.items():
            each = [values] if isinstance(values, str) else values
            if key.endswith(":sub") and "Like" in operator and any("*" in one for one in each):
                return True
    return False
