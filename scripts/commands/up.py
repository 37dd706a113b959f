"""`keyless up`: the whole platform on this machine, from nothing to a promoted model."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.commands import Project, pass_project

if TYPE_CHECKING:
    from scripts.local_run.summary import Summary


@click.command()
@click.option(
    "--model-servers/--no-model-servers",
    default=None,
    help="Also make servers that answer with the model, for keyless rollout.  [default: as before]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of tables.")
@pass_project
def up(project: Project, model_servers: bool | None, as_json: bool) -> None:
    """Start the local cloud, apply the platform, train, promote and predict.

    \b
    keyless up                     what `make up` runs
    keyless up --model-servers     also servers that answer with the model, for keyless rollout

    Everything runs on this machine: real Terraform against a local AWS with IAM switched on, a
    real PostgreSQL and a real MLflow server. Each step works under its own role, assumed with a
    GitHub-shaped OIDC token. Nothing of ~/.aws or of AWS_* in your environment is read.

    Run it again at any time: it changes only what differs; after a crash it resumes or rebuilds.
    `keyless down` removes everything.
    """
    from scripts.console import INTERRUPTED, Phases, UserError, stdout_console
    from scripts.labs.operations import refuse_in_lab
    from scripts.local_run.flow import Flow, exclusive, save_timings

    refuse_in_lab(project.home)
    with exclusive(project.home), Phases() as phases:
        flow = Flow(project.home, phases, model_servers=model_servers)
        try:
            summary = flow.run()
        except KeyboardInterrupt:
            then = "goes on" if flow.goes_on() else "builds a new cloud"
            raise UserError(
                "`keyless up` was interrupted",
                why="what it started and made so far is still there",
                fix=f"keyless up   ({then}), or keyless down   (removes it)",
                exit_code=INTERRUPTED,
            ) from None
        finally:
            save_timings(project.home, phases, flow.summary)
    console = stdout_console()
    if as_json:
        import json

        click.echo(json.dumps(summary.as_dict(phases), indent=2))
        return
    console.print()
    console.print(phases.table())
    _print_result(summary, rollouts=bool(model_servers))


def _print_result(summary: Summary, *, rollouts: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from scripts.console import stdout_console

    console = stdout_console()
    if summary.attempts:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("refused")
        table.add_column("who")
        table.add_column("tried to")
        for attempt in summary.attempts:
            table.add_row(Text(attempt.refusal, style="green"), attempt.who, attempt.what)
        console.print()
        console.print(table)
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in summary.facts():
        facts.add_row(label, value)
    console.print()
    console.print(facts)
    console.print()
    console.print("Next")
    for command, why in (
        *_found_by_the_shell(),
        ("keyless whoami --role train", "what the training job may do, and what not"),
        ("keyless token --role train", "the token it does it with"),
        *[("keyless rollout demo canary", "a new model comes into use step by step")] * rollouts,
        ("make down", "remove everything"),
    ):
        console.print(f"  {command:<40}{why}", highlight=False)


def _found_by_the_shell() -> list[tuple[str, str]]:
    """What lets the shell find keyless, where it does not yet."""
    script = Path(sys.prefix) / "bin" / "activate"
    if shutil.which("keyless") or not script.is_file():
        return []
    shown = script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script
    return [(f"source {shlex.quote(str(shown))}", "so that this shell finds keyless")]
