"""The two Terraform roots as the local run applies them: who, with which variables and state."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from scripts.local_run.actors import Actors, Repository
from scripts.localcloud.home import administrator
from scripts.names import state_bucket, state_key
from scripts.stack.binary import Binary
from scripts.stack.stack import Stack

DISPOSABLE = {"force_destroy": True}


def bootstrap_stack(actors: Actors, binary: Binary) -> Stack:
    """`terraform/bootstrap` as the administrator, its state in a file of the home."""
    home = actors.cloud.home
    return Stack(
        actors.project / "terraform" / "bootstrap",
        binary=binary,
        environment=actors.marked_environment(administrator(home), _terraform_settings()),
        data_dir=home / "terraform" / "bootstrap",
        variables={
            "environments": {actors.environment: {"allow_data_deletion": True}},
            "github": _github(actors.repository),
            "state": DISPOSABLE,
        },
        state=home / "terraform" / "bootstrap.tfstate",
    )


def platform_stack(actors: Actors, binary: Binary, role: str = "apply") -> Stack:
    """`terraform/platform` as the apply or a plan role through OIDC, its state in the bucket."""
    home, cloud = actors.cloud.home, actors.cloud
    root = actors.project / "terraform" / "platform"
    return Stack(
        root,
        binary=binary,
        environment=actors.marked_environment(actors.credentials(role), _terraform_settings()),
        data_dir=home / "terraform" / "platform",
        variables={"github": _github(actors.repository)},
        var_files=[root / "environments" / f"{actors.environment}.tfvars"],
        backend={
            "bucket": state_bucket(cloud.account_id, cloud.region),
            "key": state_key(actors.environment),
            "region": cloud.region,
            "encrypt": "true",
            "use_lockfile": "true",
        },
    )


def _github(repository: Repository) -> dict[str, Any]:
    return {
        "owner": repository.owner,
        "owner_id": repository.owner_id,
        "repository": repository.name,
        "repository_id": repository.id,
    }


def _terraform_settings() -> dict[str, str]:
    """Few retries, and where providers come from.

    A local cloud that does not answer will not get better by asking again. Without a configuration
    of the caller's, downloaded providers are kept beside the installed packages, so that a second
    run downloads nothing.
    """
    settings = {"AWS_MAX_ATTEMPTS": "3"}
    if "TF_CLI_CONFIG_FILE" in os.environ or "TF_PLUGIN_CACHE_DIR" in os.environ:
        return settings  # both pass the seal
    personal = Path.home() / ".terraformrc"
    if personal.exists():
        return settings | {"TF_CLI_CONFIG_FILE": str(personal)}
    cache = Path(sys.prefix) / "terraform-plugins"
    cache.mkdir(exist_ok=True)
    return settings | {"TF_PLUGIN_CACHE_DIR": str(cache)}
