"""The Terraform module planned, and the Pulumi component recorded, with the same arguments."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pulumi.parity import FACTS
from tests.terraform.conftest import PROJECT, Plan, Terraform, account, terraform

__all__ = ["account", "plan_modules", "recorded", "terraform"]


def plan_modules(
    terraform: Terraform, root: str, modules: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> Plan:
    """One plan of several modules, each (source, arguments), in a root of their own."""
    folder = write_root(terraform, root, modules)
    return terraform.planned(f"../{folder.name}", github=False)


def write_root(
    terraform: Terraform, root: str, modules: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> Path:
    """A root beside the copy of the code, with an output for each module."""
    folder = terraform.folder.parent / root
    folder.mkdir(exist_ok=True)
    content = {
        "module": {
            name: {"source": source} | dict(given) for name, (source, given) in modules.items()
        },
        "output": {name: {"value": f"${{module.{name}}}"} for name in modules},
    }
    (folder / "main.tf.json").write_text(json.dumps(content))
    return folder


def recorded(
    configurations: Mapping[str, Any], *, component: str | None, project: Path = PROJECT
) -> dict[str, Any]:
    """What Pulumi would make, by a process of the tools' environment, which alone has Pulumi."""
    request: dict[str, Any] = {"facts": FACTS, "configurations": configurations}
    if component:
        request["component"] = component
    done = subprocess.run(
        [str(_tools_python()), "-m", "scripts.pulumi_platform.recording"],
        cwd=project,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _tools_python() -> Path:
    """Fails, not skips: a check that does not run protects nothing."""
    for folder in (Path(f"{sys.prefix}-tools"), PROJECT / ".venv-tools"):
        if (found := folder / "bin" / "python").exists():
            return found
    pytest.fail("Pulumi is not installed: make install-tools")
