"""Terraform's import blocks from the state of a Pulumi stack: every resource with its address."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.migration.code import read
from scripts.migration.twins import TYPES, component_type, dashed, import_id, snake_case

ROOTS = ("bootstrap", "platform")
Resource = Mapping[str, Any]


def import_blocks(stack: Mapping[str, Any], terraform: Path) -> tuple[str, dict[str, str]]:
    """The root of a stack, and the id of each resource by its address in that root.

    `stack` is what `pulumi stack export` prints, or what Pulumi keeps in its bucket; `terraform`
    is the folder of the roots. Raises UserError (exit code 2) for what Terraform does not make.
    """
    resources = _resources(stack)
    components = {each["urn"]: each for each in resources if not each.get("custom")}
    root = _root(components.values())
    found, unknown = {}, []
    for resource in resources:
        if not resource.get("custom") or resource["type"].startswith("pulumi:"):
            continue
        try:
            address = _address(resource, components, terraform / root)
            found[address] = _id(resource)
        except LookupError as missing:
            unknown.append(f"{resource['type']} {_name(resource)} ({missing.args[0]})")
    if unknown:
        raise UserError(
            "The stack holds what Terraform's code does not make",
            why="\n".join(unknown),
            fix="move what is your own into a stack of its own; `pulumi up` first where a replaced "
            "resource is left over",
            exit_code=2,
        )
    return root, found


def rendered(ids: Mapping[str, str]) -> str:
    """Import blocks, for a file beside the root's others."""
    return "\n".join(
        f"import {{\n  to = {address}\n  id = {_quoted(found)}\n}}\n"
        for address, found in sorted(ids.items())
    )


def _quoted(text: str) -> str:
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")


def _resources(stack: Mapping[str, Any]) -> list[Resource]:
    kept = stack.get("deployment") or (stack.get("checkpoint") or {}).get("latest") or {}
    found = kept.get("resources") if isinstance(kept, Mapping) else None
    if not found:
        raise UserError(
            "This is no state of a Pulumi stack with resources in it",
            why="neither deployment.resources nor checkpoint.latest.resources holds any",
            fix="pulumi stack export --file stack.json, and give that file",
            exit_code=2,
        )
    return list(found)


def _root(components: Iterable[Resource]) -> str:
    made = {each["type"] for each in components}
    for root in ROOTS:
        if component_type(root) in made:
            return root
    raise UserError(
        "This stack is none of the kit's",
        why=f"it holds neither {' nor '.join(component_type(root) for root in ROOTS)}",
        fix="export the stack of scripts/pulumi_platform",
        exit_code=2,
    )


def _address(resource: Resource, components: Mapping[str, Resource], root: Path) -> str:
    if resource.get("delete"):
        raise LookupError("it is replaced and not yet deleted")
    kind = TYPES.get(resource["type"])
    if kind is None:
        raise LookupError("no module makes this type")
    folder, path, above = root, "", ""
    for component in _above(resource, components):
        modules = read(folder).modules
        step, name = _found(
            {each: called.repeated for each, called in modules.items()}, component, above
        )
        path, above, folder = f"{path}module.{step}.", _name(component), modules[name].folder
    named = {name: how for (each, name), how in read(folder).resources.items() if each == kind}
    return f"{path}{kind}.{_found(named, resource, above)[0]}"


def _above(resource: Resource, components: Mapping[str, Resource]) -> list[Resource]:
    """The components that a resource is in, without the one that is the root."""
    found: list[Resource] = []
    parent = components.get(resource.get("parent", ""))
    while parent is not None and parent["type"].startswith("keyless:"):
        found.insert(0, parent)
        parent = components.get(parent.get("parent", ""))
    if not found:
        raise LookupError("it is in no component")
    return found[1:]


def _found(known: Mapping[str, str | None], resource: Resource, above: str) -> tuple[str, str]:
    """Terraform's name with its index, and without: the longest that the name begins with."""
    rest = _name(resource).removeprefix(f"{above}-" if above else "")
    for name in sorted(known, key=len, reverse=True):
        key = rest.removeprefix(f"{dashed(name)}-")
        if known[name] == "for_each" and key != rest:
            return f"{name}[{_quoted(key)}]", name
        if known[name] != "for_each" and rest == dashed(name):
            return (f"{name}[0]" if known[name] == "count" else name), name
    raise LookupError(f"nothing in the code is called {rest}")


def _id(resource: Resource) -> str:
    outputs = {snake_case(name): value for name, value in resource.get("outputs", {}).items()}
    try:
        return import_id(TYPES[resource["type"]], outputs | {"id": resource["id"]})
    except LookupError as missing:
        raise LookupError(f"its state has no {missing.args[0]}") from None


def _name(resource: Resource) -> str:
    return str(resource["urn"].rpartition("::")[2])
