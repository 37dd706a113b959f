"""`keyless outputs`: the contract that Terraform wrote for the pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from scripts.commands import (
    Project,
    aws_option,
    aws_platform,
    environment_option,
    json_option,
    pass_project,
)


@click.command("outputs")
@environment_option
@aws_option
@click.option(
    "--platform",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this file instead of asking anyone.",
)
@json_option
@pass_project
def outputs(
    project: Project, environment: str, aws: bool, file: Path | None, as_json: bool
) -> None:
    """Show what Terraform made: the contract that the pipeline reads.

    \b
    keyless outputs                          the local platform, line by line
    keyless outputs --json > platform.json   for KEYLESS_PLATFORM or --platform
    keyless outputs --aws                    your account: its SSM parameter, else Terraform
    """
    if aws or file is not None:
        platform = aws_platform(environment, file)
    else:
        platform = project.local_platform(project.cloud(), environment)
    if as_json:
        click.echo(platform.model_dump_json(indent=2))
        return
    lines = dict(flatten(json.loads(platform.model_dump_json())))
    width = max(map(len, lines))
    for name, value in lines.items():
        click.echo(f"{name:{width}}  {'' if value is None else value}")


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every leaf of a nested object by its dotted path."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flatten(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner
