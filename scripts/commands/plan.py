"""`keyless plan`: what Terraform would change in an environment, for people to read."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scripts.commands import (
    Project,
    account_of,
    aws_option,
    environment_option,
    json_option,
    pass_project,
)
from scripts.commands.apply import github_option

_file = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command("plan")
@click.option("--summary", type=_file, help="Write the summary here; only the digest is printed.")
@click.option("--changes", type=_file, help="Write the normalised list of changes here, as JSON.")
@json_option
@github_option
@environment_option
@aws_option
@pass_project
def plan(
    project: Project,
    environment: str,
    summary: Path | None,
    changes: Path | None,
    as_json: bool,
    github: str | None,
    aws: bool,
) -> None:
    """Show what Terraform would change, and save the plan for `keyless apply`.

    \b
    keyless plan                               dev on the local cloud, as the role plan-main
    keyless plan -e prod --aws                 prod on your account, with your AWS credentials
    keyless plan -e dev --aws --summary plan.md    for CI: prints only the digest

    Changes that bear on security come first: policies, trust, network paths, encryption, public
    access. No value that Terraform marks as sensitive is shown. The digest stands for the
    normalised list of changes: two plans of the same change have the same one, so that a reviewer
    can approve it and `keyless apply --expect-digest` can insist on it.
    """
    from scripts.account.deployment import keep_plan, make_plan
    from scripts.account.environment import parse_repository, platform_stack
    from scripts.console import Phases
    from scripts.files import write_whole
    from scripts.stack.binary import find_binary

    repository = parse_repository(github) if github else None
    account = account_of(project, environment, "plan-main", aws)
    stack = platform_stack(
        account, project.root, environment, find_binary(account.home), repository
    )
    with Phases() as phases, phases.phase(f"plan {environment}", account.caller) as phase:
        fresh = account.plan_file(environment).with_suffix(".new")
        # Without the state's lock: planning roles may only read.
        planned = make_plan(stack, environment, fresh, phase, lock=False, aws=aws)
        keep_plan(account, planned)
    if changes is not None:
        write_whole(changes, planned.change_list())
    if summary is not None:
        write_whole(summary, planned.summary())
        click.echo(planned.digest)
        return
    if as_json:
        click.echo(json.dumps(planned.as_dict(), indent=2))
        return
    click.echo(planned.summary())
    click.echo(f"digest {planned.digest}")
    if planned.changes:
        click.echo(f"apply  {planned.command('apply')}", err=True)
