"""`keyless models`: the versions of a model side by side, and its champions over time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from scripts.commands import (
    Project,
    aws_option,
    environment_option,
    json_option,
    pass_project,
)
from scripts.commands._step import run_step


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
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "models.json"
        arguments = [*([model] if model else []), "--result", str(result)]
        code = run_step(
            project,
            "models",
            [*arguments, *(["--html", str(html)] if html else [])],
            environment=environment,
            role="administrator",
            aws=aws,
            quiet=as_json,
        )
        if as_json and code == 0:
            click.echo(result.read_text(encoding="utf-8"), nl=False)
    context.exit(code)
