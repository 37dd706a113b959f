"""`keyless destroy`: take an environment out of an account, data only if that is said too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import Project, pass_project
from scripts.commands.apply import account_of, github_option, local_option

if TYPE_CHECKING:
    from scripts.console import Phases


@click.command("destroy")
@click.argument("environment")
@click.option(
    "--yes-destroy",
    "confirmed",
    metavar="NAME",
    help="The environment's name once more, in place of the question.",
)
@click.option(
    "--delete-data", is_flag=True, help="Empty the environment's buckets, every version of it."
)
@github_option
@local_option
@pass_project
def destroy(
    project: Project,
    environment: str,
    confirmed: str | None,
    delete_data: bool,
    github: str | None,
    local: bool,
) -> None:
    """Destroy every resource of an environment; asks for its name first.

    \b
    keyless destroy dev                          asks, and stops if a bucket holds data
    keyless destroy dev --delete-data            the data too
    keyless destroy dev --yes-destroy dev        for scripts

    Everything that would stop Terraform half-way is looked for before anything is destroyed:
    deletion protection, and buckets that are not empty. A protected environment is applied with
    TF_VAR_teardown=true first. What Terraform did not make is not taken along: champions of
    record in the Parameter Store, and the bootstrap of the account.
    """
    from scripts.account import buckets as contents
    from scripts.account import deployment
    from scripts.account.environment import parse_repository, platform_stack
    from scripts.console import Phases
    from scripts.stack.binary import find_binary

    if confirmed is not None and confirmed != environment:
        raise click.BadParameter(
            f"it says {confirmed!r}, but the environment is {environment!r}",
            param_hint="--yes-destroy",
        )
    repository = parse_repository(github) if github else None
    account = account_of(project, environment, "apply", local)
    stack = platform_stack(
        account, project.root, environment, find_binary(account.home), repository
    )
    path = account.plan_file(environment).with_suffix(".destroy")
    try:
        with Phases() as phases, phases.phase("plan to destroy", account.caller) as phase:
            planned = deployment.make_plan(stack, environment, path, phase, destroy=True)
            s3 = account.client("s3")
            names = deployment.buckets(planned)
            full = [name for name in names if contents.holds_objects(s3, name)]
            deployment.require_destroyable(planned, () if delete_data else full)
        if not planned.changes:
            click.echo(f"nothing to destroy: there is no {environment} in account {account.id}")
            return
        click.echo(deployment.destroy_warning(planned, full, delete_data), err=True)
        _ask(environment, account.id, confirmed)
        with Phases() as phases:
            logged = contents.log_buckets(s3, names)
            logs = sorted(set(logged.values()))
            _empty(s3, [name for name in full if name not in logs], phases, account.caller)
            # Not before: where S3 refuses to delete the data, its access logs go on.
            contents.stop_logging(s3, logged)
            _empty(s3, logs if delete_data else [], phases, account.caller)
            with phases.phase(f"destroy {environment}", account.caller) as phase:
                done = deployment.apply_plan(
                    stack, environment, path, phase, f"keyless destroy {environment} again"
                )
    finally:
        deployment.drop_plan(path)
    # A plan of what is gone is of no use to anybody.
    deployment.drop_plan(account.plan_file(environment))
    click.echo(f"{done.removed} destroyed")


def _empty(s3: Any, buckets: Sequence[str], phases: Phases, caller: str) -> None:
    from scripts.account.buckets import empty

    for name in buckets:
        with phases.phase(f"empty {name}", caller) as phase:
            empty(s3, name, phase.event)


def _ask(environment: str, account: str, confirmed: str | None) -> None:
    if confirmed is not None:
        return
    try:
        answer = click.prompt(
            f"To destroy {environment} in account {account}, type its name", err=True
        )
    except click.Abort:
        raise click.UsageError(
            f"nobody answered; nothing was destroyed. Without a terminal: "
            f"--yes-destroy {environment}"
        ) from None
    if answer.strip() != environment:
        raise click.UsageError(f"that is not {environment!r}; nothing was destroyed")
