"""The resources and modules that Terraform's code writes, and which of them are repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# As `terraform fmt` lays them out: a block ends with a brace at the line's beginning.
_BLOCK = re.compile(
    r'^(resource|module) "([\w-]+)"(?: "([\w-]+)")? \{\n(.*?)^\}', re.MULTILINE | re.DOTALL
)
_REPEATED = re.compile(r"^  (count|for_each)\s*=", re.MULTILINE)
_SOURCE = re.compile(r'^  source\s*=\s*"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """A call of a module: the folder of its code, and by what it is repeated, if it is."""

    folder: Path
    repeated: str | None


@dataclass(frozen=True)
class Code:
    """What a folder writes: resources by type and name, modules by name."""

    resources: Mapping[tuple[str, str], str | None]
    modules: Mapping[str, Module]


@cache
def read(folder: Path) -> Code:
    """Read a folder's `.tf` files."""
    resources: dict[tuple[str, str], str | None] = {}
    modules: dict[str, Module] = {}
    for path in sorted(folder.glob("*.tf")):
        for block in _BLOCK.finditer(path.read_text(encoding="utf-8")):
            keyword, first, second, body = block.groups()
            found = _REPEATED.search(body)
            repeated = found[1] if found else None
            if keyword == "resource":
                resources[first, second] = repeated
            elif source := _SOURCE.search(body):
                modules[first] = Module((folder / source[1]).resolve(), repeated)
    return Code(resources, modules)
