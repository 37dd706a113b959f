"""`keyless image`: pin the Amazon Linux image that an environment's server boots."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from scripts.commands import Project, account_of, aws_option, environment_option, pass_project

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.account.image import Image


@click.command("image")
@click.option(
    "--proposal",
    is_flag=True,
    help="Write nothing; print the newest image as one line of JSON if it is not the pinned one.",
)
@environment_option
@aws_option
@pass_project
def image(project: Project, proposal: bool, environment: str, aws: bool) -> None:
    """Pin the newest Amazon Linux 2023 in a file of the environment.

    \b
    keyless image --aws                     writes environments/dev.image.tfvars.json
    keyless image -e prod --aws             the same for prod
    keyless image                           shows the local cloud's; a plan there keeps what it has
    keyless image --aws --proposal          for CI: print the pin that a pull request should make

    Amazon releases an image every week or two. A plan that took the newest by itself would differ
    between its approval and its apply, and replace the server with an unrelated change. The
    workflow drift-infra proposes the next image.
    """
    from scripts.account import image as images
    from scripts.stack.roots import platform_root, variables_file

    root = platform_root(project.root)
    variables_file(root, environment)
    account = account_of(project, environment, "plan-main", aws)
    found = images.newest(account.client, account.region)
    if not aws:
        held = images.applied(account.client, environment, account.region)
        click.echo(f"applied  {held.id if held else 'nothing yet'}")
        click.echo(f"newest   {found.id}")
        return
    before = images.pinned(root, environment)
    same = before is not None and (before.id, before.region) == (found.id, found.region)
    if proposal and not same:
        click.echo(json.dumps({"image": found.variable()}))
    elif same and not proposal:
        click.echo(f"{found.id} is pinned already and is the newest in {found.region}")
    elif not proposal:
        _say(before, found, images.pin(root, environment, found), project.root)


def _say(before: Image | None, found: Image, file: Path, root: Path) -> None:
    was = f"{before.id} of {before.released or 'an unknown day'}" if before else "none"
    click.echo(f"was  {was}")
    click.echo(f"now  {found.id} of {found.released or 'an unknown day'}, {found.region}")
    click.echo(f"commit {file.relative_to(root)}", err=True)
