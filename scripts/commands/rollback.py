"""`keyless rollback`: put the previous champion back."""

from __future__ import annotations

from pathlib import Path

import click

from scripts.commands import (
    Project,
    account_of,
    agree,
    aws_option,
    environment_option,
    pass_project,
    yes_option,
)
from scripts.commands._step import named_settings, run_step, settings_option


@click.command("rollback")
@click.option("--reason", required=True, help="Why; it is kept with the decision.")
@settings_option
@yes_option
@environment_option
@aws_option
@pass_project
@click.pass_context
def command(
    context: click.Context,
    project: Project,
    reason: str,
    settings: Path | None,
    yes: bool,
    environment: str,
    aws: bool,
) -> None:
    """Put the previous champion back, in one step and on record.

    \b
    keyless rollback --reason "complaints from support"
    keyless rollback --reason "…" --settings models/bikes.toml    another model
    keyless rollback --reason "…" --aws     in your account, as the promote role, with a tunnel
    """
    arguments = [*named_settings(settings), "--reason", reason]
    if aws:
        account = account_of(project, environment, "promote", aws)
        agree(account, environment, "put the previous champion back", yes=yes)
    context.exit(
        run_step(project, "rollback", arguments, environment=environment, role="promote", aws=aws)
    )
