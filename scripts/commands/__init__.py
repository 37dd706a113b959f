"""The verbs of `keyless`, one per file: the file's one `click` command is found by the file's name.

A verb's file imports only what `--help` needs; boto3, mlflow and the like are imported inside its
functions. The first line of the command's docstring is its line in `keyless --help`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.names import platform_parameter

if TYPE_CHECKING:
    from pipeline.outputs import Platform
    from scripts.localcloud.home import Cloud


@dataclass(frozen=True)
class Project:
    """Where the command runs: the project's root and the state directory of its local cloud."""

    root: Path
    home: Path

    def cloud(self) -> Cloud:
        """Find the running local cloud. Raises `UserError` if none runs."""
        from scripts.console import UserError
        from scripts.localcloud.home import CloudDown, load

        try:
            return load(self.home)
        except CloudDown as down:
            raise UserError(
                "The local cloud does not run", why=str(down), mend="keyless up"
            ) from None

    def administrator(self, cloud: Cloud, service: str) -> Any:
        """Make a client of the local account's administrator."""
        from scripts.aws.sealed import client
        from scripts.localcloud.home import administrator

        return client(cloud, administrator(cloud.home), service)

    def local_platform(self, cloud: Cloud, environment: str) -> Platform:
        """Read what Terraform made in the local account. Raises `UserError` if nothing yet."""
        from botocore.exceptions import ClientError

        from pipeline.outputs import parse_platform
        from scripts.console import UserError

        name = platform_parameter(environment)
        try:
            answer = self.administrator(cloud, "ssm").get_parameter(Name=name)
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "ParameterNotFound":
                raise
            raise UserError(
                f"The local cloud has no platform {environment!r}",
                why=f"there is no parameter {name}; Terraform has not applied it",
                mend="keyless up",
            ) from None
        return parse_platform(answer["Parameter"]["Value"], origin=f"the SSM parameter {name}")


def aws_platform(environment: str, file: Path | None = None) -> Platform:
    """Find the platform of the caller's own AWS account, in `load_platform`'s order."""
    from pipeline.outputs import load_platform

    return load_platform(file, environ={**os.environ, "KEYLESS_ENVIRONMENT": environment})


environment_option = click.option(
    "--environment",
    envvar="KEYLESS_ENVIRONMENT",
    default="dev",
    show_default=True,
    help="Environment of the platform (also KEYLESS_ENVIRONMENT).",
)
aws_option = click.option(
    "--aws", is_flag=True, help="Use your AWS account and credentials, not the local cloud."
)
pass_project = click.make_pass_decorator(Project)
