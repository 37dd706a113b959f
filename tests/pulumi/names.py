"""One name for a resource of Terraform's and its twin of Pulumi's, and what both answer for it."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from scripts.migration.twins import TYPES, snake_case

__all__ = ["computed", "logical_name", "snake_case", "terraform_type"]


def terraform_type(token: str) -> str:
    """Terraform's type of a token such as aws:s3/bucketV2:BucketV2. KeyError for a new one."""
    return TYPES[token]


def logical_name(address: str, within: str = "") -> str:
    """Pulumi's name of a resource at Terraform's address.

    module.network.aws_subnet.private["1"] is network-private-1; of a module by itself, named it,
    aws_subnet.private["1"] is it-private-1.
    """
    parts = re.findall(
        r'(?:module\.)?([\w-]+)(?:\.([\w-]+))?(?:\["([^"]*)"\]|\[\d+\])?\.?', address
    )
    words = [within] if within else []
    modules = re.findall(r'module\.([\w-]+)(?:\["([^"]*)"\]|\[\d+\])?', address)
    for module, key in modules:
        words += [module.replace("_", "-"), key]
    rest = re.sub(r'^(?:module\.[\w-]+(?:\["[^"]*"\]|\[\d+\])?\.)*', "", address)
    found = re.fullmatch(r'[\w-]+\.([\w-]+)(?:\["([^"]*)"\]|\[\d+\])?', rest)
    assert found and parts, address
    words += [found[1].replace("_", "-"), found[2] or ""]
    return "-".join(word for word in words if word)


def computed(kind: str, name: str) -> dict[str, Any]:
    """What AWS would tell of a resource, made of its name, so that references show whose."""
    which = f"{kind}::{name}"
    digest = hashlib.sha256(which.encode()).hexdigest()
    arn = f"arn:aws:made:us-east-1:123456789012:{which}"
    found: dict[str, Any] = {"id": f"{which}.id", "arn": arn}
    match kind:
        case "aws_kms_key":
            found["arn"] = f"arn:aws:kms:us-east-1:123456789012:key/{digest[:32]}"
        case "aws_iam_policy":
            found["arn"] = f"arn:aws:iam::123456789012:policy/{which}"
        case "aws_db_instance":
            found |= {
                "address": f"{which}.address",
                "resource_id": f"{which}.resource_id",
                "master_user_secret": [
                    {"secret_arn": f"{arn}.secret", "secret_status": "active", "kms_key_id": "-"}
                ],
            }
        case "aws_lb":
            found["dns_name"] = f"{which}.dns_name"
        case "aws_vpc_endpoint":
            found["prefix_list_id"] = f"{which}.prefix_list_id"
        case "aws_launch_template":
            found |= {"id": f"lt-{digest[:17]}", "latest_version": 7}
    return found
