"""`keyless audit`: who trained a model, on what, who promoted it, where it predicted."""

from __future__ import annotations

import click

from scripts.commands import (
    Project,
    aws_option,
    environment_option,
    json_option,
    pass_project,
)
from scripts.commands._step import show_step


@click.command("audit")
@click.argument("model")
@json_option
@environment_option
@aws_option
@pass_project
@click.pass_context
def command(
    context: click.Context,
    project: Project,
    model: str,
    as_json: bool,
    environment: str,
    aws: bool,
) -> None:
    """Show who trained a model, on what, who promoted it and what it predicted.

    \b
    keyless audit breast-cancer                its champion of record
    keyless audit breast-cancer@challenger     by alias
    keyless audit breast-cancer@3              by version
    """
    # No role of the pipeline reads all of it: trained by one, promoted by another, used by a third.
    context.exit(
        show_step(
            project,
            "audit",
            [model],
            as_json=as_json,
            environment=environment,
            role="administrator",
            aws=aws,
        )
    )
