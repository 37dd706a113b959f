"""`keyless bootstrap`: what an account needs once, before there is a platform."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import (
    Project,
    account_of,
    agree,
    aws_option,
    check_environment,
    known_environments,
    pass_project,
    yes_option,
)
from scripts.commands.apply import github_option

if TYPE_CHECKING:
    from scripts.account.environment import Account


@click.command("bootstrap")
@click.option(
    "-e",
    "--environment",
    "lasting",
    multiple=True,
    metavar="NAME",
    callback=check_environment,
    shell_complete=known_environments,
    help="Environment to prepare; may be given several times.  [default: KEYLESS_ENVIRONMENT]",
)
@click.option(
    "--disposable",
    multiple=True,
    metavar="NAME",
    callback=check_environment,
    shell_complete=known_environments,
    help="The same for one whose data its apply role may delete.",
)
@click.option(
    "--github-provider",
    type=click.Choice(["create", "existing"]),
    help="Make the account's OIDC provider for GitHub, or use the one there is.  [default: create]",
)
@github_option
@yes_option
@aws_option
@pass_project
def bootstrap(
    project: Project,
    lasting: tuple[str, ...],
    disposable: tuple[str, ...],
    github_provider: str | None,
    github: str | None,
    yes: bool,
    aws: bool,
) -> None:
    """Prepare an account: state bucket, GitHub provider, boundaries and roles.

    \b
    keyless bootstrap --aws --disposable dev -e prod \\
        --github octo-org@1001/keyless-mlops@2002
    keyless bootstrap --aws                           again: shows what differs, if anything
    keyless bootstrap --aws -e staging                one more; the others stay
    keyless bootstrap --aws --github-provider existing    the account has a provider already

    Once for an account and region, by an administrator. The state begins on this machine and is
    moved into the bucket that was made; the settings are kept beside it, so that the next
    administrator need not know them. Interrupted at any point, it goes on when run again.
    """
    from scripts.account import bootstrap
    from scripts.account.deployment import apply_plan, make_plan
    from scripts.account.environment import parse_repository
    from scripts.console import Phases
    from scripts.stack.binary import find_binary

    if both := set(lasting) & set(disposable):
        raise click.UsageError(f"{', '.join(sorted(both))}: either --environment or --disposable")
    if not lasting and not disposable:
        lasting = tuple(os.environ.get("KEYLESS_ENVIRONMENT", "").split())
    wanted = dict.fromkeys(lasting, False) | dict.fromkeys(disposable, True)
    repository = parse_repository(github) if github else None
    _not_ups(project, aws)
    account = account_of(project, "dev", "administrator", aws)
    if repository is None and not aws:
        repository = dict(account.github or {})
    folder = bootstrap.working_folder(account)
    with Phases() as phases, phases.phase("look at the account", account.caller) as phase:
        found = bootstrap.look(account, folder)
        phase.event(str(found))
    variables = bootstrap.settings(project.root, found, wanted, repository, github_provider)
    bootstrap.check(account, folder, found, variables.get("github_provider", "create"))
    work = bootstrap.Bootstrap(account, project.root, folder, find_binary(account.home), variables)
    stack = work.stack(found)
    if variables.get("github_provider") == "existing" and found.owns_provider:
        click.echo(
            "bootstrap made the account's GitHub provider; from now on it leaves it alone, and a "
            "teardown leaves it there",
            err=True,
        )
        agree(
            account,
            ", ".join(variables["environments"]),
            "take the provider out of the state",
            yes=yes,
        )
        with Phases() as phases, phases.phase("take the provider out of the state", account.caller):
            work.let_go_of_provider(stack)
    with Phases() as phases, phases.phase("plan bootstrap", account.caller) as phase:
        plan = folder / "bootstrap.tfplan"
        planned = make_plan(stack, "bootstrap", plan, phase, aws=aws)
    if planned.changes:
        click.echo(planned.summary(), err=True)
        agree(account, ", ".join(variables["environments"]), "make these changes", yes=yes)
    with Phases() as phases:
        if planned.changes:
            with phases.phase("apply bootstrap", account.caller) as phase:
                apply_plan(
                    stack,
                    "bootstrap",
                    plan,
                    phase,
                    f"{account.command('bootstrap')} again",
                    aws=aws,
                )
        with phases.phase("keep the state", account.caller) as phase:
            made = stack.outputs()
            work.keep(stack, found, phase.event)
    _show(made, account, changed=bool(planned.changes))


def _not_ups(project: Project, aws: bool) -> None:
    """`keyless up` keeps bootstrap's state itself; with it moved, `down` could not destroy."""
    from scripts.account.environment import how_to_bootstrap, made_by_up
    from scripts.console import UserError

    if not aws and made_by_up(project.home):
        raise UserError(
            "`keyless up` bootstrapped this local cloud already",
            why="it keeps the state for `keyless down`",
            fix="keyless plan goes on from here; for another environment than dev, "
            + how_to_bootstrap(project.home, "ENVIRONMENT"),
        )


def _show(made: Mapping[str, Any], account: Account, *, changed: bool) -> None:
    if not changed:
        click.echo("nothing to change")
    click.echo(f"state bucket     {made['state_bucket_name']}")
    click.echo(f"GitHub provider  {made['github_provider_arn']}")
    for name, environment in made["environments"].items():
        for role, arn in sorted(environment["role_arns"].items()):
            click.echo(f"{name:<16} {role:<10} {arn}")
    first = next(iter(made["environments"]))
    click.echo(f"next  {account.command(f'plan -e {first}')}", err=True)
