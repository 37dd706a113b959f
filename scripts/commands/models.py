"""`keyless models`: the versions of a model side by side, and its champions over time."""

from __future__ import annotations

from pathlib import Path

import click

from scripts.commands import (
    Project,
    aws_option,
    environment_option,
    json_option,
    pass_project,
)
from scripts.commands._step import show_step


@click.command("models")
@click.argument("model", required=False)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path, resolve_path=True),
    help="Write a page to this file, too.",
)
@json_option
@environment_option
@aws_option
@pass_project
@click.pass_context
def command(
    context: click.Context,
    project: Project,
    model: str | None,
    html: Path | None,
    as_json: bool,
    environment: str,
    aws: bool,
) -> None:
    """Show a model's versions side by side, and its champions over time.

    \b
    keyless models                              the model of pipeline/pipeline.toml
    keyless models bikes --html bikes.html      as a page, with parameters and all metrics
    keyless models bikes --json

    A version is the champion, was champion, was rolled back, was kept out by a decision, or was not
    judged yet; each with the reason.
    """
    # No role of the pipeline reads all of it: trained by one, promoted by another.
    context.exit(
        show_step(
            project,
            "models",
            [*([model] if model else []), *(["--html", str(html)] if html else [])],
            as_json=as_json,
            environment=environment,
            role="administrator",
            aws=aws,
        )
    )
