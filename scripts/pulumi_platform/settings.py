"""What Terraform's files say of an environment: kept once, read by both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from hcl2.api import loads
from pulumi.runtime import get_config_env
from pulumi.runtime.config import CONFIG

from scripts.pulumi_platform.basics import check

TERRAFORM = Path(__file__).resolve().parents[2] / "terraform"

# Where a stack works, and as whom: the settings of the AWS provider that are passed on.
PROVIDER = {
    "allowedAccountIds": "allowed_account_ids",
    "assumeRole": "assume_role",
    "forbiddenAccountIds": "forbidden_account_ids",
    "profile": "profile",
    "region": "region",
}


def provider() -> dict[str, Any]:
    """What the stack says as aws:NAME, for a provider that the program makes.

    Pulumi reads it for the default provider alone: here it would be ignored, and another account or
    region be used than the stack names. Raises ArgumentError for what is not passed on.
    """
    config = pulumi.Config("aws")
    named = [
        each.removeprefix("aws:")
        for each in {**get_config_env(), **CONFIG.get()}
        if each.startswith("aws:")
    ]
    for name in named:
        check(
            name in PROVIDER,
            f"aws:{name} is not read; there are: aws:{', aws:'.join(PROVIDER)}. Credentials come "
            "from the environment or the profile, tags from the arguments.",
        )
    return {
        PROVIDER[name]: config.get(name)
        if name in ("profile", "region")
        else config.get_object(name)
        for name in named
    }


def environment_values(environment: str, terraform: Path = TERRAFORM) -> dict[str, Any]:
    """The literals of environments/NAME.tfvars, and the image that `keyless image` pinned.

    Raises ArgumentError where there is no such file, or where it holds more than literals.
    """
    folder = terraform / "platform" / "environments"
    path = folder / f"{environment}.tfvars"
    known = ", ".join(sorted(each.stem for each in folder.glob("*.tfvars")))
    check(
        path.is_file(),
        f"terraform/platform/environments has no {environment}.tfvars (it has {known}): make it, "
        "or write the arguments into the stack, as keyless-platform:platform.",
    )
    # This parser wraps what stands at the top in a list.
    found = {
        name: _literal(value, name)
        for name, (value,) in loads(path.read_text(encoding="utf-8")).items()
    }
    return found | _json(folder / f"{environment}.image.tfvars.json")


def github(root: str, terraform: Path = TERRAFORM) -> dict[str, Any]:
    """The repository and its ids, from the file in which docs/github.md has them kept.

    Raises ArgumentError where there is none.
    """
    found = _json(terraform / root / "github.auto.tfvars.json")
    check(
        "github" in found,
        f"The repository is not known: terraform/{root}/github.auto.tfvars.json is not there. "
        "keyless github-setup prints what belongs in it; or write the stack's own, as "
        "keyless-platform:github.",
    )
    return found


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _literal(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {key.strip('"'): _literal(each, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, list):
        return [_literal(each, path) for each in value]
    check(
        not (isinstance(value, str) and "${" in value),
        f"{path} is an expression of Terraform's language; write the value itself.",
    )
    return value
