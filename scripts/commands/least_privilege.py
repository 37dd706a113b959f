"""`keyless least-privilege`: which rights each role used, and what they could lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.commands import Project, environment_option, pass_project

if TYPE_CHECKING:
    from scripts.local_run.whole_flow import Evidence


@click.command("least-privilege")
@environment_option
@click.option(
    "--log",
    "logs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Read this decision log and the running local cloud's roles. Repeatable: all are read.",
)
@click.option("--so-far", is_flag=True, help="Read what the running local cloud has logged so far.")
@click.option("--diff", is_flag=True, help="Also print the tightened policies as a diff.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, complete.")
@pass_project
@click.pass_context
def least_privilege(
    ctx: click.Context,
    project: Project,
    /,
    environment: str,
    logs: tuple[Path, ...],
    so_far: bool,
    diff: bool,
    as_json: bool,
) -> None:
    """Show which rights each role used, and search for paths to more rights.

    \b
    keyless least-privilege             the whole flow, then the verdict: about four minutes
    keyless least-privilege --so-far    after `keyless up`: judge its log so far
    keyless least-privilege --diff      with tightened policies
    keyless least-privilege --json      for a script, every right named

    Without --log and --so-far it applies, trains, promotes, predicts and destroys in a local cloud
    of its own, beside the one of `keyless up`, and leaves nothing behind.

    Four sets for each role, by action and resource: used; documented by AWS but not exercised
    locally, each with its page; unused; denied. Beside them: rights wider than they must be or
    outside the permissions boundary, weak trust, and every path to more rights. Ends with 1 if
    anything is unused, denied, too wide, or leads where it should not; with --so-far what is not
    used yet does not count.
    """
    from scripts.console import UserError
    from scripts.iam.account.decision_log import LogError
    from scripts.iam.engine.documents import PolicyError
    from scripts.iam.ledger import as_json as json_of
    from scripts.iam.ledger import as_text
    from scripts.local_run.security_review import judge

    if logs and so_far:
        raise click.UsageError("--log and --so-far exclude each other")
    try:
        from_log = bool(logs) or so_far
        evidence = _logged(project, environment, logs) if from_log else _measured(environment)
        review = judge(evidence, environment, with_diff=diff or as_json)
    except (LogError, PolicyError) as error:
        raise UserError("This cannot be measured", why=str(error), exit_code=2) from None
    click.echo(json_of(review) if as_json else as_text(review))
    if not review.clean:
        ctx.exit(1)


def _logged(project: Project, environment: str, logs: tuple[Path, ...]) -> Evidence:
    """What the running cloud's roles may, and what a log says that they did. Raises LogError."""
    from scripts.iam.account.decision_log import LogError, read_log
    from scripts.local_run.whole_flow import Evidence, inventory_of

    cloud = project.cloud()
    records = [record for log in logs or (cloud.decisions,) for record in read_log(log)]
    inventory = inventory_of(cloud, environment)
    named = [one.principal.split(":") for one in records if one.role]
    accounts = {parts[4] for parts in named if len(parts) > 5}
    if others := sorted(accounts - {cloud.account_id}):
        raise LogError(
            f"the log is of account {', '.join(others)}, the running local cloud is account "
            f"{cloud.account_id}; give a log of that one"
        )
    return Evidence(
        cloud.account_id, cloud.region, inventory, records, "a log" if logs else "so far"
    )


def _measured(environment: str) -> Evidence:
    """Run the whole flow in a home of its own."""
    from scripts.console import Phases, UserError
    from scripts.local_run import whole_flow

    if environment != "dev":
        raise click.UsageError(
            f"the local flow is that of dev, not of {environment}; for another environment that "
            "the running local cloud holds, add --so-far"
        )
    with whole_flow.home_of_its_own() as home, Phases() as phases:
        phases.event(f"a local cloud of its own, in {home}")
        try:
            return whole_flow.run(home, phases, environment)
        except UserError as failure:
            raise UserError(
                f"The flow to measure failed: {failure.what}",
                why=failure.why,
                fix="keyless up, which keeps its logs; then keyless least-privilege again",
                exit_code=failure.exit_code,
            ) from None
