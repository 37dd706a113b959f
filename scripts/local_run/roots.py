"""The two Terraform roots as the local run applies them: who, with which variables and state."""

from __future__ import annotations

import os
from typing import Any

from pipeline.settings import load_settings, settings_path
from scripts.account.image import image_variable
from scripts.local_run.actors import Actors
from scripts.localcloud.elb.balancers import CERTIFICATE
from scripts.localcloud.home import administrator
from scripts.stack import roots
from scripts.stack.binary import Binary
from scripts.stack.stack import Stack

# A local cloud that does not answer will not get better by asking again.
FEW_RETRIES = {"AWS_MAX_ATTEMPTS": "3"}


def model_server(actors: Actors) -> dict[str, Any]:
    """The variable `model_server` of the local run, with the local account's one certificate."""
    cloud = actors.cloud
    return {
        "certificate_arn": f"arn:aws:acm:{cloud.region}:{cloud.account_id}:{CERTIFICATE}",
        "model": load_settings(settings_path(None, os.environ)).model,
    }


def bootstrap_stack(actors: Actors, binary: Binary, *, model_servers: bool = False) -> Stack:
    """`terraform/bootstrap` as the administrator, its state in a file of the home."""
    home = actors.cloud.home
    disposable = {"allow_data_deletion": True, "model_servers": model_servers}
    process = actors.marked_environment(administrator(home), FEW_RETRIES)
    return Stack(
        actors.project / "terraform" / "bootstrap",
        binary=binary,
        environment={**roots.provider_cache(process), **process},
        data_dir=home / "terraform" / "bootstrap",
        variables={
            "environments": {actors.environment: disposable},
            "github": actors.repository.as_variable(),
            "state": {"force_destroy": True},
        },
        state=home / "terraform" / "bootstrap.tfstate",
    )


def platform_stack(
    actors: Actors, binary: Binary, role: str = "apply", *, model_servers: bool = False
) -> Stack:
    """`terraform/platform` as the apply or a plan role through OIDC, its state in the bucket."""
    cloud = actors.cloud
    image = image_variable(
        lambda service: actors.client(role, service),
        cloud.region,
        roots.platform_root(actors.project),
        actors.environment,
        local=True,
        required=True,
    )
    return roots.platform_stack(
        actors.project,
        actors.environment,
        binary=binary,
        account=cloud.account_id,
        region=cloud.region,
        process=actors.marked_environment(actors.credentials(role), FEW_RETRIES),
        data_dir=cloud.home / "terraform" / "platform",
        github=actors.repository.as_variable(),
        image=image,
        model_server=model_server(actors) if model_servers else None,
    )
