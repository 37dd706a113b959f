"""Every resource type, data source, argument and attribute that the Terraform code uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

from tests import ROOT

META = {"count", "for_each", "depends_on", "lifecycle", "provider"}


def files() -> list[Path]:
    """The code, without what Terraform downloaded."""
    found = (ROOT / "terraform").rglob("*.tf")
    return sorted(path for path in found if ".terraform" not in path.parts)


@cache
def used() -> dict[str, set[str]]:
    """Type ("data." before a data source's) -> arguments, nested ones by their dotted path."""
    types: dict[str, set[str]] = {}
    for path in files():
        with path.open() as stream:
            content = hcl2.load(stream)
        for block, prefix in (("resource", ""), ("data", "data.")):
            for entry in content.get(block, ()):
                for kind, instances in _named(entry):
                    for _, body in _named(instances):
                        types.setdefault(f"{prefix}{kind}", set()).update(_paths(body))
    return types


def _named(block: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in block.items():
        if not name.startswith("__"):
            yield name.strip('"'), value


def _paths(body: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in _named(body):
        if not prefix and name in META:
            continue
        if name == "dynamic":
            for entry in value:
                for inner, block in _named(entry):
                    yield f"{prefix}{inner}"
                    for content in block.get("content", ()):
                        yield from _paths(content, f"{prefix}{inner}.")
            continue
        yield f"{prefix}{name}"
        blocks = value if isinstance(value, list) else []
        for block in blocks:
            if isinstance(block, dict) and "__is_block__" in block:
                yield from _paths(block, f"{prefix}{name}.")


def read() -> dict[str, set[str]]:
    """Type -> attributes that some expression reads."""
    pattern = re.compile(r"\b((?:data\.)?aws_\w+)\.\w+(?:\[[^\]]*\])?\.([a-z_]+)\b(?!\()")
    found: dict[str, set[str]] = {}
    for path in files():
        text = re.sub(r"(?m)#.*$", "", path.read_text())
        for kind, attribute in pattern.findall(text):
            found.setdefault(kind, set()).add(attribute)
    return found
