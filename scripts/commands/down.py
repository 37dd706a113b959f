"""`keyless down`: remove everything of a local run."""

from __future__ import annotations

import click

from scripts.commands import Project, pass_project


@click.command()
@click.option(
    "--now",
    is_flag=True,
    help="End the processes and delete the state at once, without a terraform destroy.",
)
@pass_project
def down(project: Project, now: bool) -> None:
    """Destroy what `up` made, end every process of it, and delete its state.

    \b
    keyless down          as it would be done on AWS, then the processes and files
    keyless down --now    at once

    `terraform destroy` removes the resources in the reverse order first, as it would on AWS (with
    --now it is left out: the local account is gone with its process anyway). After a crash there
    is no account to destroy anything in, and `down` just cleans up. Labs end, too; what you wrote
    in them stays.
    """
    from scripts.console import Phases
    from scripts.labs.operations import Labs, refuse_in_lab
    from scripts.local_run.flow import exclusive
    from scripts.local_run.teardown import tear_down

    refuse_in_lab(project.home)
    if ended := Labs(project.home).end_all():
        click.echo(f"ended {ended} processes of labs; your files of them stay")
    if not project.home.exists():
        click.echo(f"nothing to end: {project.home} does not exist")
        return
    with exclusive(project.home), Phases() as phases:
        removed = tear_down(project.home, phases, destroy=not now)
    click.echo(f"removed: {removed}")
