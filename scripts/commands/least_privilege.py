"""`keyless least-privilege`: what every role used of what it may, and where it could lead."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.commands import Project, environment_option, pass_project

if TYPE_CHECKING:
    from scripts.iam.decision_log import Record
    from scripts.iam.ledger import Review
    from scripts.localcloud.home import Cloud


@click.command("least-privilege")
@environment_option
@click.option(
    "--log",
    "logs",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="Read this decision log, not the local cloud's. Repeatable: all are read.",
)
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
    diff: bool,
    as_json: bool,
) -> None:
    """Show what each role used of what it may, and prove that nothing leads further.

    \b
    keyless least-privilege             after `keyless up`: the whole log so far
    keyless least-privilege --diff      with the policies as they could be
    keyless least-privilege --json      for a script, every right named

    Four sets for each role, by action and resource: used; documented by AWS but not exercised
    locally, each with its page; unused; denied. Beside them: rights wider than they must be or
    outside the permissions boundary, weak trust, and every path to more rights. Ends with 1 if
    anything is unused, denied, too wide, or leads where it should not.
    """
    from scripts.console import UserError
    from scripts.iam.decision_log import LogError, read_log
    from scripts.iam.documents import PolicyError
    from scripts.iam.ledger import as_json as json_of
    from scripts.iam.ledger import as_text

    cloud = project.cloud()
    try:
        records = [record for log in logs or (cloud.decisions,) for record in read_log(log)]
        review = review_account(project, cloud, environment, records, with_diff=diff or as_json)
    except (LogError, PolicyError) as error:
        raise UserError("This cannot be measured", why=str(error), exit_code=2) from None
    click.echo(json_of(review) if as_json else as_text(review))
    if not review.clean:
        ctx.exit(1)


def review_account(
    project: Project,
    cloud: Cloud,
    environment: str,
    records: list[Record],
    *,
    with_diff: bool = True,
) -> Review:
    """Measure the roles of a running local account by a decision log."""
    from scripts.console import UserError
    from scripts.iam.escalation import read_designed, search, undesigned
    from scripts.iam.escalation.designed import modelled_steps
    from scripts.iam.escalation.live import read_estate
    from scripts.iam.ledger import Review, in_scope, measure, proposal, read_reviewed
    from scripts.iam.trust_lint import Setting, lint_all
    from scripts.iam.trust_lint.sources import read_account

    started = time.perf_counter()
    bucket = f"keyless-state-{cloud.account_id}-{cloud.region}"
    estate = read_estate(
        lambda service: project.administrator(cloud, service),
        cloud.account_id,
        cloud.region,
        [f"arn:aws:s3:::{bucket}/{environment}/platform.tfstate"],
    )
    roles = in_scope(estate.members, environment)
    if not roles:
        raise UserError(
            f"The local account has no roles of {environment!r}",
            why="Terraform has not applied it",
            mend="keyless up",
        )
    measured = measure(records, roles, read_reviewed(cloud.account_id, cloud.region, environment))
    found = search(estate)
    beyond = undesigned(found, read_designed())
    trust = [
        finding
        for finding in lint_all(list(read_account(estate.members, Setting("")).documents))
        if finding.severity != "note"
    ]
    pairs = zip(sorted(roles, key=lambda role: role.name), measured.ledgers, strict=True)
    diff = "\n".join(filter(None, (proposal(*pair) for pair in pairs))) if with_diff else ""
    return Review(
        measured,
        trust,
        [path for path in found if path not in beyond],
        beyond,
        len(modelled_steps()),
        cost_seconds(records),
        time.perf_counter() - started,
        diff,
        estate.unread,
    )


def cost_seconds(records: list[Record]) -> float:
    """How long it takes to write these records once more, which is what the log costs a flow."""
    with tempfile.TemporaryFile("w") as file:
        started = time.perf_counter()
        for record in records:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
        file.flush()
        return time.perf_counter() - started
