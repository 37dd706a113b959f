"""Terraform's side: what it would make if AWS told each resource's name as its id and ARN.

`terraform test` applies the roots with every resource overridden, so AWS is asked nothing but data
sources (which moto answers), and policies are rendered by the real provider.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

from tests.pulumi.names import computed, logical_name
from tests.terraform.conftest import Terraform

Arguments = Mapping[str, Any]
TOGETHER = "parity"


def applied(
    terraform: Terraform,
    roots: Mapping[str, Mapping[str, Arguments]],
    regions: Mapping[str, str],
) -> dict[str, dict[str, dict[str, Any]]]:
    """The state of each root (of the copy) for each set of variables, as `terraform show -json`.

    `regions` holds the sets of another region than the environment's. All are modules of one
    configuration: to start Terraform and its provider anew for each takes minutes.
    """
    # One process of the provider is in the region that it was told last.
    terraform = replace(terraform, provider={})
    modules, folder = {}, terraform.folder / TOGETHER
    for root, sets in roots.items():
        for name, given in sets.items():
            source = _root_of_region(terraform, root, regions.get(name))
            modules[f"{root}_{name}"] = {"source": f"../{source}", **given}
    told = {each: {"value": f"${{module.{each}}}"} for each in modules}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "main.tf.json").write_text(json.dumps({"module": modules, "output": told}))
    terraform.init(TOGETHER)
    done = terraform.run(TOGETHER, "plan", "-input=false", "-out=tfplan", "-lock=false")
    assert done.code == 0, done.text
    changes = terraform.shown(TOGETHER)["resource_changes"]
    run = {"command": "apply", "override_resource": [*_overrides(changes)]}
    (folder / "all.tftest.json").write_text(json.dumps({"run": {"all": run}}))
    state = _tested(terraform, TOGETHER)
    parts = {each["address"]: each for each in state["root_module"]["child_modules"]}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for root, sets in roots.items():
        for name in sets:
            module = f"module.{root}_{name}"
            outputs = state["outputs"][f"{root}_{name}"]["value"]
            found.setdefault(root, {})[name] = {
                "root_module": _within(parts[module], module),
                "outputs": {key: {"value": value} for key, value in outputs.items()},
                "planned": {
                    each["address"].removeprefix(f"{module}."): each["change"]
                    for each in changes
                    if each["address"].startswith(f"{module}.")
                },
            }
    return found


def _root_of_region(terraform: Terraform, root: str, region: str | None) -> str:
    """The folder of a root whose provider works in a region: a copy, if it is another one."""
    if region is None:
        return root
    name = f"{root}-{region}"
    copied = shutil.ignore_patterns(".terraform", "*.tfplan", TOGETHER)
    shutil.copytree(terraform.folder / root, terraform.folder / name, ignore=copied)
    override = {"provider": {"aws": {"region": region}}}
    (terraform.folder / name / "region_override.tf.json").write_text(json.dumps(override))
    return name


def _within(part: Mapping[str, Any], module: str) -> dict[str, Any]:
    """A module's part of a state, with addresses as if it were the root."""
    found: dict[str, Any] = json.loads(json.dumps(part).replace(f'"{module}.', '"'))
    return found


def _tested(terraform: Terraform, root: str) -> dict[str, Any]:
    """The state that the only run of a root's test makes."""
    found: dict[str, Any] | None = None
    errors = []
    with subprocess.Popen(
        [terraform.binary, "test", "-json", "-verbose"],
        cwd=terraform.folder / root,
        env=dict(terraform.environment),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            # The provider's whole schema comes last in each line: 100 MB that nobody reads.
            head, cut, _ = text.partition(',"provider_schemas":')
            line = json.loads(f"{head}}}}}" if cut else text)
            if "test_state" in line:
                found = line["test_state"]
                # What follows takes a minute: it destroys what nobody made. The provider goes too.
                os.killpg(process.pid, signal.SIGKILL)
                break
            if line.get("@level") == "error":
                errors.append(f"{line['@message']} {line.get('diagnostic')}")
    assert found is not None, "\n".join(errors)
    return found


def _overrides(changes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for change in changes:
        if change["mode"] == "managed":
            name = logical_name(re.sub(r"^module\.\w+\.", "", change["address"]))
            unknown = change["change"]["after_unknown"]
            told = {
                key: value
                for key, value in computed(change["type"], name).items()
                if unknown.get(key) is True
            }
            yield {"target": change["address"], "values": told}


# What data sources told Terraform is what Pulumi's functions of these names answer.
_FUNCTIONS = {
    "aws_availability_zones": "getAvailabilityZones",
    "aws_caller_identity": "getCallerIdentity",
    "aws_default_tags": "getDefaultTags",
    "aws_ec2_instance_type_offerings": "getInstanceTypeOfferings",
    "aws_iam_openid_connect_provider": "getOpenIdConnectProvider",
    "aws_kms_alias": "getAlias",
    "aws_partition": "getPartition",
    "aws_region": "getRegion",
    "aws_ssm_parameter": "getParameter",
}


def answers(state: Mapping[str, Any]) -> dict[str, Any]:
    """The account's facts, as Pulumi's functions answer them."""
    found: dict[str, Any] = {}
    for resource in resources(state, "data"):
        if resource["type"] in _FUNCTIONS:
            values = {
                re.sub("_([a-z])", lambda part: part[1].upper(), key): value
                for key, value in resource["values"].items()
                if value is not None
            }
            if "clientIdList" in values:
                values["clientIdLists"] = values.pop("clientIdList")
            found[_FUNCTIONS[resource["type"]]] = values
    return found


def resources(state: Mapping[str, Any], mode: str = "managed") -> Iterator[dict[str, Any]]:
    """Every resource of a state."""

    def below(module: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield from module.get("resources", [])
        for child in module.get("child_modules", []):
            yield from below(child)

    for resource in below(state["root_module"]):
        if resource["mode"] == mode:
            yield resource


@cache
def written(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What a folder's files write: the tree of names of each type.name, and modules' sources."""
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for path in sorted(folder.glob("*.tf")):
        content = hcl2.loads(path.read_text())
        for block in content.get("resource", []):
            for kind, labelled in block.items():
                for name, body in labelled.items():
                    after = [_bare(each) for each in body.get("depends_on", [])]
                    tree = _tree(body) | {"depends_on": after, "lifecycle": _lifecycle(body)}
                    found[f"{_bare(kind)}.{_bare(name)}"] = tree
        for block in content.get("module", []):
            for name, body in block.items():
                sources[_bare(name)] = _bare(body["source"])
    return found, sources


def folder_of(root: Path, address: str) -> Path:
    """The folder whose code writes the resource at an address."""
    folder = root
    for module in re.findall(r"module\.([\w-]+)", address):
        folder = (folder / written(folder)[1][module]).resolve()
    return folder


def tree_of(root: Path, address: str) -> dict[str, Any]:
    """What the code writes of the resource at an address."""
    tree: dict[str, Any] = written(folder_of(root, address))[0][".".join(resource_of(address))]
    return tree


def everything(root: Path) -> set[str]:
    """Folder.type.name of every resource that the code of a root and its modules writes."""
    resources_, sources = written(root)
    found = {f"{root.name}.{each}" for each in resources_}
    for source in sources.values():
        found |= everything((root / source).resolve())
    return found


def resource_of(address: str) -> tuple[str, str]:
    """Type and name of the resource at an address."""
    rest = re.sub(r'^(?:module\.[\w-]+(?:\["[^"]*"\]|\[\d+\])?\.)*', "", address)
    kind, _, name = re.sub(r"\[.*", "", rest).partition(".")
    return kind, name


def _lifecycle(body: Mapping[str, Any]) -> dict[str, Any]:
    """What happens to what is there already: ignored arguments, protection, which comes first."""
    told: dict[str, Any] = {}
    for block in body.get("lifecycle", []):
        told |= block
    return {
        "ignored": {_bare(each) for each in told.get("ignore_changes", [])},
        "protected": bool(told.get("prevent_destroy", False)),
        "new_one_first": bool(told.get("create_before_destroy", False)),
    }


def _bare(text: str) -> str:
    return text.removeprefix("${").removesuffix("}").strip('"')


def _tree(body: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> None for an argument, a tree for a block; dynamic ones too."""
    tree: dict[str, Any] = {}
    for raw, value in body.items():
        key = _bare(raw)
        if key.startswith("__") or key in ("lifecycle", "count", "for_each", "depends_on"):
            continue
        if key == "dynamic":
            for name, dynamic in ((name, each) for block in value for name, each in block.items()):
                for content in dynamic["content"]:
                    tree[_bare(name)] = (tree.get(_bare(name)) or {}) | _tree(content)
        elif (
            isinstance(value, list)
            and value
            and isinstance(value[0], dict)
            and "__is_block__" in value[0]
        ):
            for each in value:
                tree[key] = (tree.get(key) or {}) | _tree(each)
        else:
            tree[key] = None
    return tree
