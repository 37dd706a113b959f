"""States of both sides for tests: one made of the other, as each writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.migration.to_pulumi import managed

STACK, PROJECT = "dev", "keyless-platform"


def pulumi_state(entries: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """What `pulumi stack export` prints of a stack that has imported a file of entries.

    The resources' outputs are Terraform's attributes under Pulumi's names: both providers are the
    same code. https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export/
    """
    urns: dict[str, str] = {}
    chains: dict[str, str] = {}
    resources: list[dict[str, Any]] = []
    attributes = [instance["attributes"] for _, _, instance in managed(state)]
    values = iter(attributes)
    top = f"urn:pulumi:{STACK}::{PROJECT}::pulumi:pulumi:Stack::{PROJECT}-{STACK}"
    resources.append({"urn": top, "custom": False, "type": "pulumi:pulumi:Stack"})
    provider = entries["nameTable"]["aws"]
    resources.append(
        {"urn": provider, "custom": True, "type": "pulumi:providers:aws", "id": "1", "outputs": {}}
    )
    for entry in entries["resources"]:
        above = entry.get("parent")
        chain = f"{chains[above]}${entry['type']}" if above else entry["type"]
        name = entry.get("logicalName", entry["name"])
        urn = f"urn:pulumi:{STACK}::{PROJECT}::{chain}::{name}"
        urns[entry["name"]], chains[entry["name"]] = urn, chain
        made = {"urn": urn, "type": entry["type"], "parent": urns[above] if above else top}
        if entry.get("component"):
            resources.append(made | {"custom": False})
        else:
            given = next(values)
            outputs = {camel_case(key): value for key, value in given.items()}
            resources.append(made | {"custom": True, "id": given["id"], "outputs": outputs})
    return {"version": 3, "deployment": {"resources": resources}}


def camel_case(name: str) -> str:
    """bucket_key_enabled -> bucketKeyEnabled."""
    return re.sub("_([a-z0-9])", lambda found: found[1].upper(), name)


def terraform_state(resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What `terraform state pull` prints, of resources as `terraform show -json` lists them."""
    found = []
    for each in resources:
        module = each["address"].rpartition(f"{each['type']}.{each['name']}")[0].rstrip(".")
        instance = {"attributes": each["values"]}
        if "index" in each:
            instance["index_key"] = each["index"]
        entry = {key: each[key] for key in ("mode", "type", "name")} | {"instances": [instance]}
        found.append(entry | ({"module": module} if module else {}))
    return {"version": 4, "resources": found}
