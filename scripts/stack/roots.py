"""The two Terraform roots: where their state is kept, and where providers come from."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.names import state_bucket, state_key
from scripts.stack.binary import Binary
from scripts.stack.stack import Stack


def platform_root(project: Path) -> Path:
    """The folder of `terraform/platform`."""
    return project / "terraform" / "platform"


def variables_file(root: Path, environment: str) -> Path:
    """The environment's tfvars. Raises UserError (exit code 2) that lists those there are."""
    folder = root / "environments"
    path = folder / f"{environment}.tfvars"
    if not re.fullmatch(r"[a-z][a-z0-9]{1,11}", environment) or not path.is_file():
        known = ", ".join(sorted(one.stem for one in folder.glob("*.tfvars")))
        raise UserError(
            f"There is no environment {environment!r}",
            why=f"terraform/platform/environments has {known}",
            fix=f"name one of these, or make {environment}.tfvars there",
            exit_code=2,
        )
    return path


def platform_stack(
    project: Path,
    environment: str,
    *,
    binary: Binary,
    account: str,
    region: str,
    process: Mapping[str, str],
    data_dir: Path,
    github: Mapping[str, Any] | None,
    image: Mapping[str, Any] | None,
    model_server: Mapping[str, Any] | None = None,
) -> Stack:
    """`terraform/platform` of one environment, its state in the account's bucket.

    `process` is the environment of Terraform's processes; `github`, `image` and `model_server` are
    None where Terraform finds that variable by itself. Raises UserError (exit code 2) for an
    environment without tfvars.
    """
    root = platform_root(project)
    return Stack(
        root,
        binary=binary,
        environment={**provider_cache(process), **process},
        data_dir=data_dir,
        variables={
            name: dict(value)
            for name, value in (
                ("github", github),
                ("image", image),
                ("model_server", model_server),
            )
            if value is not None
        },
        var_files=[variables_file(root, environment)],
        backend=backend(account, region, state_key(environment)),
    )


def backend(account: str, region: str, key: str) -> dict[str, str]:
    """Settings of the S3 backend for one state, with its own lock file.

    Without `encrypt`, which asks for AES256 whatever key the bucket has: its default encrypts.
    https://developer.hashicorp.com/terraform/language/backend/s3#encrypt
    """
    return {
        "bucket": state_bucket(account, region),
        "key": key,
        "region": region,
        "use_lockfile": "true",
    }


def provider_cache(process: Mapping[str, str]) -> dict[str, str]:
    """Keep downloaded providers beside the installed packages, so that a second run needs none.

    Nothing where the process's own settings say where providers come from.
    """
    configured = Path(process.get("HOME", "/nonexistent")) / ".terraformrc"
    if {"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"} & process.keys() or configured.is_file():
        return {}
    cache = Path(sys.prefix) / "terraform-plugins"
    cache.mkdir(exist_ok=True)
    return {"TF_PLUGIN_CACHE_DIR": str(cache)}


def without_registry(process: Mapping[str, str], binary: Binary, lock_file: Path) -> dict[str, str]:
    """Have `init` look into the cache of providers alone, once it has what the lock file names.

    With a cache alone Terraform still asks the registry which versions there are, and fails
    without a network: https://developer.hashicorp.com/terraform/cli/commands/init
    """
    cache = process.get("TF_PLUGIN_CACHE_DIR")
    host = "registry.opentofu.org" if binary.kind == "tofu" else "registry.terraform.io"
    named = re.findall(
        r'^provider "[^/"]+/([^"]+)" \{\s+version\s*=\s*"([^"]+)"',
        lock_file.read_text(),
        re.MULTILINE,
    )
    if not cache or not named:
        return {}
    there = all(
        any(Path(cache, host, name, version).glob("*/terraform-provider-*"))
        for name, version in named
    )
    return {"TF_CLI_ARGS_init": f"-plugin-dir={shlex.quote(cache)}"} if there else {}
