"""`keyless run`: one step of the pipeline with settings of one's own, under the step's role."""

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

ROLES = {
    "ingest": "ingest",
    "train": "train",
    "register": "train",
    "evaluate": "promote",
    "promote": "promote",
    "rollback": "promote",
    "predict": "predict",
    "monitor": "monitor",
}
"""Steps of the pipeline, and the role that each runs under."""


@click.command("run", context_settings={"ignore_unknown_options": True})
@settings_option
@yes_option
@environment_option
@aws_option
@click.argument("step", type=click.Choice(list(ROLES)))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_project
@click.pass_context
def command(
    context: click.Context,
    project: Project,
    settings: Path | None,
    yes: bool,
    environment: str,
    aws: bool,
    step: str,
    arguments: tuple[str, ...],
) -> None:
    """Run one STEP of the pipeline, with your settings, under its role.

    \b
    keyless run ingest --settings mine/bikes.toml
    keyless run train --settings mine/bikes.toml
    keyless run promote --settings mine/bikes.toml
    keyless run predict --settings mine/bikes.toml --input mine/june.csv
    keyless run train --settings mine/bikes.toml --aws     in your account, with a tunnel

    In the local cloud the step runs under the role that its job has on GitHub, with a session to
    MLflow if the role may open one; paths are seen from the current folder. With --aws it runs as
    you, and MLFLOW_TRACKING_URI must name the tunnel. ARGUMENTS go to the step: `python -m
    pipeline.STEP --help` lists them.
    """
    named = named_settings(settings)
    if aws:
        account = account_of(project, environment, ROLES[step], aws)
        agree(account, environment, f"run the step {step}", yes=yes)
    context.exit(
        run_step(
            project,
            step,
            [*named, *arguments],
            environment=environment,
            role=ROLES[step],
            aws=aws,
            folder=Path.cwd(),
        )
    )
