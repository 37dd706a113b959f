"""The Amazon Linux image of the server: pinned in a file, as it was applied, or the newest."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.files import write_whole
from scripts.names import launch_template
from scripts.stack.roots import variables_file

# Amazon publishes another image under this name every week or two.
# https://docs.aws.amazon.com/linux/al2023/ug/ec2.html
PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
_DEFINES_IMAGE = re.compile(r'(?m)^\s*"?image"?\s*[=:]')

Clients = Callable[[str], Any]


@dataclass(frozen=True)
class Image:
    """An image of one region; `released` is the day on which it became the newest."""

    id: str
    region: str
    released: str | None = None

    def variable(self) -> dict[str, str]:
        """What Terraform's variable `image` takes."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def pin_file(root: Path, environment: str) -> Path:
    """Where an environment's image is pinned, beside its other variables."""
    return root / "environments" / f"{environment}.image.tfvars.json"


def pinned(root: Path, environment: str) -> Image | None:
    """The pinned image; None if there is none. Raises UserError (exit code 2)."""
    file = pin_file(root, environment)
    try:
        held = json.loads(file.read_text())["image"]
        return Image(held["id"], held["region"], held.get("released"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise UserError(
            f"{file} does not pin an image",
            why=f"it must hold image.id and image.region; {type(wrong).__name__}: {wrong}",
            fix=f"delete it, then keyless image --aws -e {environment}",
            exit_code=2,
        ) from None


def pin(root: Path, environment: str, image: Image) -> Path:
    """Write the pin; returns the file."""
    file = pin_file(root, environment)
    write_whole(file, json.dumps({"image": image.variable()}, indent=2) + "\n")
    return file


def newest(clients: Clients, region: str) -> Image:
    """The image that Amazon's public parameter names now."""
    found = clients("ssm").get_parameter(Name=PARAMETER)["Parameter"]
    changed = found.get("LastModifiedDate")
    return Image(found["Value"], region, changed.date().isoformat() if changed else None)


def applied(clients: Clients, environment: str, region: str) -> Image | None:
    """The image that the environment's servers boot now; None before the first apply."""
    from botocore.exceptions import ClientError

    try:
        answer = clients("ec2").describe_launch_template_versions(
            LaunchTemplateName=launch_template(environment), Versions=["$Latest"]
        )
    except ClientError as failure:
        if failure.response["Error"]["Code"].startswith("InvalidLaunchTemplate"):
            return None
        raise
    [version] = answer["LaunchTemplateVersions"]
    return Image(version["LaunchTemplateData"]["ImageId"], region)


def image_variable(
    clients: Clients, region: str, root: Path, environment: str, *, local: bool, required: bool
) -> Mapping[str, str] | None:
    """The variable `image` of a plan: the same image from one plan to the next.

    The pinned one, else the one that the environment was applied with. Before its first apply an
    environment of the local cloud takes the newest. None where Terraform finds the variable by
    itself. Raises UserError (exit code 2) for a pin of another region and, if one is `required`,
    for an account without one.
    """
    if "TF_VAR_image" in os.environ or defines_image(root, environment):
        return None
    # Image ids of an account mean nothing to the local cloud.
    pin_ = None if local else pinned(root, environment)
    if pin_ is not None and pin_.region != region:
        raise UserError(
            f"The image of {environment} is pinned for {pin_.region}, and this is {region}",
            why="an image id belongs to one region",
            fix=f"keyless image --aws -e {environment}",
            exit_code=2,
        )
    found = pin_ or applied(clients, environment, region)
    if found is None and local:
        found = newest(clients, region)
    if found is None and required:
        raise UserError(
            f"The image of {environment}'s server is not pinned",
            why="Amazon releases one every week or two, so that what is approved and what is "
            "applied could differ",
            fix=f"keyless image --aws -e {environment}, then commit "
            f"terraform/platform/environments/{pin_file(root, environment).name}",
            exit_code=2,
        )
    return found.variable() if found else None


def defines_image(root: Path, environment: str) -> bool:
    """Whether an environment's own tfvars give the image."""
    return _DEFINES_IMAGE.search(variables_file(root, environment).read_text()) is not None
