"""Pulumi's import file from a Terraform state: every resource with its component as its parent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.migration.code import read
from scripts.migration.twins import TOKENS, component_type, dashed, import_id

PROJECT = "keyless-platform"
_STEP = re.compile(r'module\.([\w-]+)(?:\["([^"]*)"\]|\[\d+\])?')
Entry = dict[str, Any]


def import_file(state: Mapping[str, Any], root: Path, stack: str) -> dict[str, Any]:
    """What `pulumi import --file` reads, for a state as `terraform state pull` prints it.

    The provider of the program has to be in the stack by then: Pulumi cannot import one.
    https://www.pulumi.com/docs/iac/cli/commands/pulumi_import/
    Raises UserError (exit code 2) for what has no twin in Pulumi, and for another kind of file.
    """
    if state.get("version") != 4 or not isinstance(state.get("resources"), list):
        raise UserError(
            "This is no state of Terraform's",
            why="a state says version 4 and lists resources; a plan, the output of `terraform show "
            "-json` and a stack of Pulumi's do not",
            fix="terraform state pull > state.json, and give that file",
            exit_code=2,
        )
    top = {"type": component_type(root.name), "name": root.name, "component": True}
    components: dict[str, Entry] = {"": top}
    resources, unknown = [], []
    for address, entry, instance in managed(state):
        try:
            parent = _component(entry.get("module", ""), root, components)
            resources.append(_resource(entry, instance, parent))
        except LookupError as missing:
            unknown.append(f"{address} ({missing.args[0]})")
    if unknown:
        raise UserError(
            "The state holds what the Pulumi program does not make",
            why="\n".join(unknown),
            fix="move what is your own into a root of its own; `terraform apply` first where a "
            "replaced instance is left over",
            exit_code=2,
        )
    if not resources:
        raise UserError(
            "The state is empty", why="there is nothing to import", fix="keyless plan", exit_code=2
        )
    urn = f"urn:pulumi:{stack}::{PROJECT}::pulumi:providers:aws::aws"
    return {"nameTable": {"aws": urn}, "resources": [*components.values(), *resources]}


def managed(
    state: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Address, resource and instance of everything that Terraform manages."""
    for entry in state.get("resources", ()):
        for instance in entry["instances"] if entry["mode"] == "managed" else ():
            module = f"{entry['module']}." if "module" in entry else ""
            yield f"{module}{entry['type']}.{entry['name']}{_index(instance)}", entry, instance


def _index(instance: Mapping[str, Any]) -> str:
    key = instance.get("index_key")
    return "" if key is None else f"[{json.dumps(key)}]"


def _component(module: str, root: Path, known: dict[str, Entry]) -> Entry:
    """The component of a module's address; it and those above it become known."""
    folder, path, found = root, "", known[""]
    for step in _STEP.finditer(module):
        path += f".{step[0]}"
        called = read(folder).modules.get(step[1])
        if called is None:
            raise LookupError(f"no module {step[1]} in the kit")
        folder = called.folder
        above = "" if found is known[""] else found["name"]
        name = _joined(above, dashed(step[1]), step[2])
        parent, kind = found["name"], component_type(folder.name)
        found = known.setdefault(
            path, {"type": kind, "name": name, "component": True, "parent": parent}
        )
    return found


def _resource(entry: Mapping[str, Any], instance: Mapping[str, Any], parent: Entry) -> Entry:
    kind = entry["type"]
    if kind not in TOKENS:
        raise LookupError(f"no component makes a {kind}")
    if "deposed" in instance:
        raise LookupError("it is replaced and not yet deleted")
    key = instance.get("index_key")
    above = parent["name"] if "parent" in parent else ""
    name = _joined(above, dashed(entry["name"]), key if isinstance(key, str) else None)
    token = TOKENS[kind]
    return {
        "type": token,
        # One name for each in this file; the program's own is the logical one.
        "name": name + token.rpartition(":")[2],
        "logicalName": name,
        "id": import_id(kind, instance["attributes"]),
        "parent": parent["name"],
        "provider": "aws",
    }


def _joined(*words: str | None) -> str:
    return "-".join(word for word in words if word)
