"""`keyless bootstrap`: what an account needs once, before there is a platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from scripts.commands import Project, pass_project
from scripts.commands.apply import account_of, github_option, local_option


@click.command("bootstrap")
@click.option(
    "--environment",
    "lasting",
    multiple=True,
    metavar="NAME",
    help="Environment to prepare; may be given several times.",
)
@click.option(
    "--disposable",
    multiple=True,
    metavar="NAME",
    help="The same for one whose data its apply role may delete.",
)
@click.option(
    "--github-provider",
    type=click.Choice(["create", "existing"]),
    help="Make the account's OIDC provider for GitHub, or use the one there is.  [default: create]",
)
@click.option("--yes", is_flag=True, help="Do not ask before anything is changed.")
@github_option
@local_option
@pass_project
def bootstrap(
    project: Project,
    lasting: tuple[str, ...],
    disposable: tuple[str, ...],
    github_provider: str | None,
    yes: bool,
    github: str | None,
    local: bool,
) -> None:
    """Prepare an account: state bucket, GitHub provider, boundaries, plan and apply roles.

    \b
    keyless bootstrap --disposable dev --environment prod \\
        --github octo-org@1001/keyless-mlops@2002
    keyless bootstrap                                 again: shows what differs, if anything
    keyless bootstrap --environment staging           one more; the others stay
    keyless bootstrap --github-provider existing      the account has a provider already

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
    wanted = dict.fromkeys(lasting, False) | dict.fromkeys(disposable, True)
    repository = parse_repository(github) if github else None
    _not_ups(project, local)
    account = account_of(project, "dev", "administrator", local)
    if repository is None and local:
        repository = dict(account.github or {})
    folder = bootstrap.working_folder(account, local)
    with Phases() as phases, phases.phase("look at the account", account.caller) as phase:
        found = bootstrap.look(account, folder)
        phase.event(str(found))
    variables = bootstrap.settings(project.root, found, wanted, repository, github_provider)
    bootstrap.check(account, folder, found, variables.get("github_provider", "create"))
    work = bootstrap.Bootstrap(account, project.root, folder, find_binary(account.home), variables)
    stack = work.stack(found)
    with Phases() as phases, phases.phase("plan bootstrap", account.caller) as phase:
        plan = folder / "bootstrap.tfplan"
        planned = make_plan(stack, "bootstrap", plan, phase)
    if planned.changes:
        click.echo(planned.summary(), err=True)
        if not yes:
            _ask(account.id)
    with Phases() as phases:
        if planned.changes:
            with phases.phase("apply bootstrap", account.caller) as phase:
                apply_plan(stack, "bootstrap", plan, phase, "keyless bootstrap again")
        with phases.phase("keep the state", account.caller) as phase:
            made = stack.outputs()
            work.keep(stack, found, phase.event)
    _show(made, changed=bool(planned.changes), local=local)


def _not_ups(project: Project, local: bool) -> None:
    """`keyless up` keeps bootstrap's state itself; with it moved, `down` could not destroy."""
    from scripts.console import UserError

    if local and (project.home / "terraform" / "bootstrap.tfstate").exists():
        raise UserError(
            "`keyless up` bootstrapped this local cloud already",
            why="it keeps the state for `keyless down`",
            mend="keyless plan dev --local goes on from here",
        )


def _ask(account: str) -> None:
    try:
        agreed = click.confirm(f"Change account {account} so?", err=True)
    except click.Abort:
        raise click.UsageError(
            "nobody answered; nothing was changed. Without a terminal: --yes"
        ) from None
    if not agreed:
        raise click.UsageError("nothing was changed")


def _show(made: Mapping[str, Any], *, changed: bool, local: bool) -> None:
    if not changed:
        click.echo("nothing to change")
    click.echo(f"state bucket     {made['state_bucket_name']}")
    click.echo(f"GitHub provider  {made['github_provider_arn']}")
    for name, environment in made["environments"].items():
        for role, arn in sorted(environment["role_arns"].items()):
            click.echo(f"{name:<16} {role:<10} {arn}")
    first = next(iter(made["environments"]))
    click.echo(f"next  keyless plan {first}{' --local' if local else ''}", err=True)
