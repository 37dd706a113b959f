"""`keyless apply`: make the changes that were planned, and no others."""

from __future__ import annotations

import re

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

github_option = click.option(
    "--github",
    metavar="OWNER@ID/REPOSITORY@ID",
    envvar="KEYLESS_GITHUB",
    help="Repository that the roles trust (also KEYLESS_GITHUB); once applied, it is known.",
)


def _digest(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-f]{64}", value):
        raise click.BadParameter("it is 64 hexadecimal digits, as `keyless plan` prints them")
    return value


@click.command("apply")
@click.option(
    "--expect-digest",
    "digest",
    callback=_digest,
    metavar="DIGEST",
    help="Plan again, and stop unless the changes have this digest.",
)
@github_option
@yes_option
@environment_option
@aws_option
@pass_project
def apply(
    project: Project,
    environment: str,
    digest: str | None,
    github: str | None,
    yes: bool,
    aws: bool,
) -> None:
    """Apply the saved plan of an environment, and nothing else.

    \b
    keyless apply                     what the last `keyless plan` showed, on the local cloud
    keyless apply -e prod --aws       the same on your account, after a question
    keyless apply --expect-digest 3f9a... --yes    plan again; stop unless it is what was approved

    A saved plan can be applied once. Terraform refuses it when the state has changed since. With
    --expect-digest no file of an earlier run is used: the plan is made here, and compared.
    """
    from scripts.account.deployment import apply_plan, make_plan, require_digest, saved_note
    from scripts.account.environment import parse_repository, platform_stack
    from scripts.console import Phases
    from scripts.stack.binary import find_binary

    repository = parse_repository(github) if github else None
    account = account_of(project, environment, "apply", aws)
    path = account.plan_file(environment)
    stack = platform_stack(
        account, project.root, environment, find_binary(account.home), repository
    )
    note = None if digest else saved_note(account, environment)
    what = f"apply the plan of {note['made']}: {note['changes']}" if note else f"apply {digest}"
    agree(account, environment, what, yes=yes)
    with Phases() as phases:
        if digest is not None:
            path = path.with_suffix(".new")
            with phases.phase(f"plan {environment} again", account.caller) as phase:
                planned = make_plan(stack, environment, path, phase, aws=aws)
                try:
                    require_digest(planned, digest)
                except BaseException:
                    path.unlink(missing_ok=True)
                    raise
        with phases.phase(f"apply {environment}", account.caller) as phase:
            if note is not None:
                phase.event(f"plan of {note['made']}: {note['changes']}")
                stack.init()
            done = apply_plan(
                stack,
                environment,
                path,
                phase,
                f"{account.command(f'plan -e {environment}')}, then apply again",
                aws=aws,
            )
    click.echo(f"{done.added} created, {done.changed} changed, {done.removed} destroyed")
