"""`keyless destroy`: destroy an environment; its data only with --delete-data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import (
    Project,
    account_of,
    aws_option,
    check_environment,
    known_environments,
    pass_project,
    yes_option,
)
from scripts.commands.apply import github_option

if TYPE_CHECKING:
    from scripts.console import Phases


@click.command("destroy")
@click.option(
    "-e",
    "--environment",
    envvar="KEYLESS_ENVIRONMENT",
    required=True,
    callback=check_environment,
    shell_complete=known_environments,
    help="Environment to destroy (also KEYLESS_ENVIRONMENT); there is no default.",
)
@click.option(
    "--delete-data", is_flag=True, help="Empty the environment's buckets, every version of it."
)
@github_option
@yes_option
@aws_option
@pass_project
def destroy(
    project: Project,
    environment: str,
    delete_data: bool,
    github: str | None,
    yes: bool,
    aws: bool,
) -> None:
    """Destroy every resource of an environment; on an account it asks first.

    \b
    keyless destroy -e dev                       on the local cloud; stops if a bucket holds data
    keyless destroy -e dev --aws --delete-data   on your account, and the data too
    keyless destroy -e dev --aws --yes           for scripts

    Everything that would stop Terraform half-way is looked for before anything is destroyed:
    deletion protection, buckets that are not empty, a last snapshot of the same name. A protected
    environment is applied with TF_VAR_teardown=true first. What Terraform did not make stays:
    champions of record in the Parameter Store, and the bootstrap of the account.
    """
    from scripts.account import buckets as contents
    from scripts.account import deployment
    from scripts.account.environment import parse_repository, platform_stack
    from scripts.console import Phases
    from scripts.stack.binary import find_binary

    repository = parse_repository(github) if github else None
    account = account_of(project, environment, "apply", aws)
    stack = platform_stack(
        account,
        project.root,
        environment,
        find_binary(account.home),
        repository,
        image_required=False,
    )
    path = account.plan_file(environment).with_suffix(".destroy")
    try:
        with Phases() as phases, phases.phase("plan to destroy", account.caller) as phase:
            planned = deployment.make_plan(stack, environment, path, phase, destroy=True, aws=aws)
            s3 = account.client("s3")
            names = deployment.buckets(planned)
            full = [name for name in names if contents.holds_objects(s3, name)]
            taken = deployment.taken_snapshots(account.client("rds"), planned)
            deployment.require_destroyable(planned, () if delete_data else full, taken)
        if not planned.changes:
            click.echo(f"nothing to destroy: there is no {environment} in account {account.id}")
            return
        click.echo(deployment.destroy_warning(planned, full, delete_data), err=True)
        if aws and not yes:
            _ask(environment, account.id)
        with Phases() as phases:
            logged = contents.log_buckets(s3, names)
            logs = sorted(set(logged.values()))
            _empty(s3, [name for name in full if name not in logs], phases, account.caller)
            # Not before: where S3 refuses to delete the data, its access logs go on.
            contents.stop_logging(s3, logged)
            _empty(s3, logs if delete_data else [], phases, account.caller)
            with phases.phase(f"destroy {environment}", account.caller) as phase:
                done = deployment.apply_plan(
                    stack,
                    environment,
                    path,
                    phase,
                    f"{planned.command('destroy')} again",
                    aws=aws,
                )
    finally:
        deployment.drop_plan(path)
    # A plan of a destroyed environment is useless.
    deployment.drop_plan(account.plan_file(environment))
    click.echo(f"{done.removed} destroyed")


def _empty(s3: Any, buckets: Sequence[str], phases: Phases, caller: str) -> None:
    from scripts.account.buckets import empty

    for name in buckets:
        with phases.phase(f"empty {name}", caller) as phase:
            empty(s3, name, phase.event)


def _ask(environment: str, account: str) -> None:
    try:
        answer = click.prompt(
            f"To destroy {environment} in account {account}, type its name", err=True
        )
    except click.Abort:
        raise click.UsageError(
            "nobody answered; nothing was destroyed. Without a terminal: --yes"
        ) from None
    if answer.strip() != environment:
        raise click.UsageError(f"that is not {environment!r}; nothing was destroyed")
