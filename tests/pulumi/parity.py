"""A Terraform plan and a Pulumi recording of one module, brought to one form and compared.

Both become {address: properties}, an address and a property named as Terraform names them. A
reference to another resource's id reads "${address}", and `depends_on` is a property too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.iam.engine.documents import Statement, parse_policy
from tests.terraform.conftest import Plan

# Of the plan's account, which is moto's.
FACTS = {"account_id": "123456789012", "partition": "aws", "region": "us-east-1"}

# https://www.pulumi.com/registry/packages/aws/api-docs/s3/ names both for each.
TYPES = {
    "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2": (
        "aws_s3_bucket_lifecycle_configuration"
    ),
    "aws:s3/bucketLoggingV2:BucketLoggingV2": "aws_s3_bucket_logging",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "aws_s3_bucket_ownership_controls",
    "aws:s3/bucketPolicy:BucketPolicy": "aws_s3_bucket_policy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "aws_s3_bucket_public_access_block",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": (
        "aws_s3_bucket_server_side_encryption_configuration"
    ),
    "aws:s3/bucketV2:BucketV2": "aws_s3_bucket",
    "aws:s3/bucketVersioningV2:BucketVersioningV2": "aws_s3_bucket_versioning",
}
# Pulumi names a block that may occur several times in the plural.
SINGULAR = {"rules": "rule", "transitions": "transition"}
# Not blocks, though they look alike.
MAPS = {"tags"}
_NONE = object()
# What the provider plans where nobody gives a value. pulumi-aws runs the same provider, but the
# mock monitor does not ask it. So this value counts as none, on both sides; any other one counts.
PROVIDER_DEFAULTS: dict[str, Any] = {
    "aws_s3_bucket_lifecycle_configuration.transition_default_minimum_object_size": (
        "all_storage_classes_128K"
    ),
    "aws_s3_bucket_lifecycle_configuration.rule.expiration.expired_object_delete_marker": False,
}

# https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/runtime/rpc.py: what stands for
# a value that a preview does not know.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Properties = dict[str, Any]
Made = dict[str, Any]  # Properties by address


def differences(left: Made, right: Made) -> list[str]:
    """Where two sides differ: "address" for a resource of one side alone, or "address.property"."""
    found = sorted(left.keys() ^ right.keys())
    for address in sorted(left.keys() & right.keys()):
        ours, theirs = left[address], right[address]
        found += [
            f"{address}.{name}"
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]
    return found


def planned(plan: Plan, module: str) -> Made:
    """What Terraform would make of one module call, and under "outputs" what it would tell."""
    called = plan.content["configuration"]["root_module"]["module_calls"][module]["module"]
    written = {each["address"]: each for each in called["resources"] if each["mode"] == "managed"}
    made = {}
    for change in plan.content["resource_changes"]:
        if change.get("module_address") == f"module.{module}" and change["mode"] == "managed":
            address = f"{change['type']}.{change['name']}"
            made[address] = _planned(change, written[address])
    output = plan.content["output_changes"][module]
    expressions = {name: each["expression"] for name, each in called["outputs"].items()}
    told = dict(output["after"]) | _references(output["after_unknown"], expressions)
    return made | {"outputs": _comparable(told, "outputs")}


def _planned(change: Mapping[str, Any], written: Mapping[str, Any]) -> Properties:
    given = dict(change["change"]["after"])
    if given.get("tags_all") == given.get("tags"):
        given.pop("tags_all", None)  # with the provider's default tags, of which a test has none
    given |= _references(change["change"]["after_unknown"], written["expressions"])
    given["depends_on"] = _addresses(
        [*written.get("depends_on", []), *_all_references(written["expressions"])]
    )
    found: Properties = _comparable(given, change["type"])
    return found


def _references(unknown: Any, expressions: Mapping[str, Any]) -> Properties:
    """Arguments that are given, but as something that only an apply knows."""
    return {
        name: _reference(expression["references"][0])
        for name, expression in expressions.items()
        if isinstance(unknown, dict) and unknown.get(name) is True
    }


def _all_references(expressions: Any) -> Iterable[str]:
    if isinstance(expressions, dict):
        for name, value in expressions.items():
            yield from value if name == "references" else _all_references(value)
    elif isinstance(expressions, list):
        for each in expressions:
            yield from _all_references(each)


def _addresses(references: Iterable[str]) -> list[str]:
    """The resources among references, without an index or an attribute."""
    found = (re.match(r"aws_\w+\.\w+", reference) for reference in references)
    return sorted({address[0] for address in found if address})


def _reference(text: str) -> str:
    return f"${{{text.replace('[0]', '').removesuffix('.id')}}}"


def registered(recording: Mapping[str, Any]) -> Made:
    """What a recorded component made of Pulumi's own resources, and "outputs"."""
    made = {}
    for resource in recording["resources"]:
        address = _address(f"{resource['type']}::{resource['name']}")
        if address:
            given = _as_terraform(resource["inputs"])
            after = (_address(name) for name in resource["dependencies"])
            given["depends_on"] = sorted(address for address in after if address)
            made[address] = _comparable(given, address.partition(".")[0])
    (outputs,) = (
        told for name, told in recording["outputs"].items() if name.startswith("keyless:")
    )
    return made | {"outputs": _comparable(_as_terraform(outputs), "outputs")}


def _address(name: str) -> str | None:
    """Terraform's address of a resource named type::component-name; None for a component."""
    kind, _, called = name.rpartition("::")
    if kind.startswith("keyless:"):
        return None
    return f"{TYPES[kind]}.{called.partition('-')[2]}"


def _as_terraform(value: Any, name: str = "") -> Any:
    if isinstance(value, dict) and name not in MAPS:
        properties = {}
        for key, each in value.items():
            snake = re.sub(r"([A-Z])", lambda letter: f"_{letter[1].lower()}", key)
            snake = SINGULAR.get(snake, snake)
            below = _as_terraform(each, snake)
            alone = isinstance(each, dict) and snake not in MAPS
            properties[snake] = [below] if alone else below
        return properties
    if isinstance(value, list):
        return [_as_terraform(each) for each in value]
    if isinstance(value, str) and value.endswith(".id") and value.startswith("aws:"):
        return f"${{{_address(value.removesuffix('.id'))}}}"
    return value


def _comparable(value: Any, path: str = "") -> Any:
    """Without what is not set, and policies as their meaning; `path` is type.block.property."""
    if path.endswith(("aws_s3_bucket_policy.policy", ".bucket_policy")) and value != UNKNOWN:
        return meaning(value)
    if isinstance(value, list):
        return [_comparable(each, path) for each in value]
    if not isinstance(value, dict):
        return None if PROVIDER_DEFAULTS.get(path, _NONE) == value else value
    kept = {name: _comparable(each, f"{path}.{name}") for name, each in value.items()}
    return {name: each for name, each in kept.items() if each not in (None, "", [], {})}


def meaning(policy: str) -> tuple[str, dict[str, Any]]:
    """A resource policy's statements by Sid, each without an order that means nothing."""
    parsed = parse_policy(policy, name="bucket policy", kind="resource")
    return parsed.version, {each.label: _unordered(each) for each in parsed.statements}


def _unordered(statement: Statement) -> Properties:
    return {
        name: set(value) if isinstance(value, tuple) else value
        for name, value in vars(statement).items()
        if name not in ("conditions", "index", "principals", "not_principals")
    } | {
        "conditions": {
            (each.operator, each.key, frozenset(each.values)) for each in statement.conditions
        },
        "principals": _sets(statement.principals),
        "not_principals": _sets(statement.not_principals),
    }


def _sets(principals: Mapping[str, Iterable[str]] | None) -> dict[str, set[str]]:
    return {kind: set(named) for kind, named in (principals or {}).items()}
