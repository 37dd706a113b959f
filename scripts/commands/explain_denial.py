"""`keyless explain-denial`: which statement, or which absence, denied a request, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from scripts.commands import Project, aws_option, environment_option, json_option, pass_project

if TYPE_CHECKING:
    from rich.console import Console

    from scripts.iam.denial.changes import Change
    from scripts.iam.denial.denials import Denial
    from scripts.iam.denial.given import Given

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("explain-denial")
@click.argument("request_id", required=False)
@click.option(
    "--log",
    type=_FILE,
    help="Read this decision log, not the local cloud's.",
)
@click.option(
    "--message",
    type=click.File(encoding="utf-8", errors="replace"),
    help="Read AWS's AccessDenied messages in this file, or in what is pasted (-).",
)
@click.option(
    "--policy",
    "own",
    type=_FILE,
    multiple=True,
    help="With --message: a policy of the caller's own, in place of an account. Repeatable.",
)
@click.option("--boundary", type=_FILE, help="With --policy: the caller's permissions boundary.")
@click.option(
    "--resource-policy",
    "--trust",
    "asked",
    type=_FILE,
    multiple=True,
    help="With --message: the policy of what was asked for; of a role, its trust policy. "
    "Repeatable: each denial takes the one that fits.",
)
@click.option(
    "--session-policy",
    "session",
    type=_FILE,
    multiple=True,
    help="With --message: a policy that the session was given. Repeatable.",
)
@click.option(
    "--scp",
    type=_FILE,
    multiple=True,
    help="With --message: a service control policy of the organization's. Repeatable, for those "
    "of one level; without any Allow in them FullAWSAccess is taken as attached.",
)
@click.option(
    "--rcp",
    type=_FILE,
    multiple=True,
    help="With --message: a resource control policy. Repeatable, for those of one level.",
)
@click.option(
    "--endpoint-policy",
    "endpoint",
    type=_FILE,
    help="With --message: the policy of the VPC endpoint that the request took.",
)
@aws_option
@environment_option
@click.option("--all", "everything", is_flag=True, help="Show statements that came nowhere near.")
@json_option
@pass_project
def explain_denial(
    project: Project,
    request_id: str | None,
    log: Path | None,
    message: TextIO | None,
    own: tuple[Path, ...],
    boundary: Path | None,
    asked: tuple[Path, ...],
    session: tuple[Path, ...],
    scp: tuple[Path, ...],
    rcp: tuple[Path, ...],
    endpoint: Path | None,
    aws: bool,
    environment: str,
    everything: bool,
    as_json: bool,
) -> None:
    """Explain a denied request, with the smallest change that would allow it.

    \b
    keyless explain-denial              the last denied request, but for those tried on purpose
    keyless explain-denial 5c0f1e9a-... the one with that request id, as AWS's error names it
    keyless explain-denial --json       for a script
    keyless explain-denial --message -  what AWS said, pasted as it stands in a CI log; by the
                                        policies of the local cloud, with --aws by the account's,
                                        and without either by the words alone
    keyless explain-denial --message - --policy role.json --resource-policy bucket.json
                                        by policies in files, and without any account
    keyless explain-denial --aws        the last day's denials of the environment's roles, from
                                        CloudTrail, by the account's policies; it reads only

    Reads the decision log and, as the administrator, the policies of the running local cloud.
    The change is tried out with the policy engine before it is shown. A warning says where it
    would be dangerous. What AWS's message does not say is named, not guessed.
    """
    from scripts.commands._denial_given import explain_given
    from scripts.commands._denial_reported import explain_reported
    from scripts.console import stdout_console
    from scripts.iam.denial.given import Given

    if (message or aws) and (log or request_id):
        raise click.UsageError("REQUEST_ID and --log are for the local cloud's decision log")
    files = {"identity": own, "boundary": (boundary,) if boundary else (), "resource": asked,
             "session": session, "scp": scp, "rcp": rcp,
             "endpoint": (endpoint,) if endpoint else ()}  # fmt: skip
    if any(files.values()):
        if aws or not message:
            raise click.UsageError("policies in files are for --message, and without --aws")
        found = explain_given(message.read(), _given(files))
    elif message and not aws and not _has_cloud(project):
        found = explain_given(message.read(), Given())
    elif message or aws:
        found = explain_reported(project, message.read() if message else None, environment, aws=aws)
    else:
        found = _logged(project, request_id, log)
    if as_json:
        click.echo(json.dumps([denial.as_dict() for denial in found], indent=2))
        return
    console = stdout_console()
    for denial in found:
        show(denial, console, everything)


def _has_cloud(project: Project) -> bool:
    from scripts.localcloud.home import CloudDown, load

    try:
        load(project.home)
    except CloudDown:
        return False
    return True


def _given(files: Mapping[str, tuple[Path, ...]]) -> Given:
    from scripts.console import UserError
    from scripts.iam.denial.given import Given, document
    from scripts.iam.engine.documents import PolicyError

    try:
        return Given(**{
            kind: {str(file): document(file.read_text(encoding="utf-8"), str(file), whose=kind)
                   for file in paths}
            for kind, paths in files.items()
        })  # fmt: skip
    except (PolicyError, UnicodeDecodeError) as error:
        raise UserError("The policies cannot be read", why=str(error), exit_code=2) from None


def _logged(project: Project, request_id: str | None, log: Path | None) -> list[Denial]:
    """Explain what a decision log holds."""
    from scripts.console import UserError
    from scripts.iam.account.decision_log import LogError, read_log
    from scripts.iam.account.identities import read_identities
    from scripts.iam.account.resource_policies import ResourcePolicies
    from scripts.iam.denial.denials import NoSuchDenial, denied
    from scripts.iam.denial.denials import explain_denial as explained

    cloud = project.cloud()
    try:
        records = denied(read_log(log or cloud.decisions), request_id)
    except (LogError, NoSuchDenial) as error:
        probe = getattr(error, "probe", None)
        fix = (
            f"keyless explain-denial {probe.request_id}   "
            f"explains the last of them, {probe.action} by {probe.role or probe.principal}"
            if probe
            else ""
        )
        what = "There is no denial to explain"
        raise UserError(what, why=str(error), fix=fix, exit_code=2) from None
    members = read_identities(project.administrator(cloud, "iam"))
    policies = ResourcePolicies(lambda service: project.administrator(cloud, service))
    return [explained(record, members, policies) for record in records]


def show(denial: Denial, console: Console, everything: bool) -> None:
    """Print one denied permission."""
    from scripts.iam.denial.words import considered, decision

    record = denial.record
    for label, value in (
        ("request", f"{record.request_id} ({record.operation})"),
        ("principal", record.principal),
        ("action", record.action),
        ("resource", record.resource),
        ("denied", decision(denial.record)),
    ):
        console.print(f"{label:10} {value}", markup=False, soft_wrap=True)
    for note in denial.notes:
        console.print(f"{'note':10} {note}", markup=False, soft_wrap=True)
    lines = [*considered(denial.explanation.considered, everything)] if denial.explanation else []
    if lines:
        console.print("\nstatements considered", style="bold")
        for line in lines:
            console.print(f"  {line}", markup=False, soft_wrap=True)
    if denial.changes:
        title = "smallest change that would allow it"
        tried = "" if denial.proved else " (not proved: policies that decide were not looked at)"
        console.print(f"\n{title}{tried}", style="bold")
        for change in denial.changes:
            _show_change(change, console)
    console.print()


def _show_change(change: Change, console: Console) -> None:
    console.print(f"  {change.policy} ({change.kind}): {change.edit}", markup=False, soft_wrap=True)
    if change.statement is not None:
        for line in json.dumps(change.statement, indent=2, ensure_ascii=False).splitlines():
            console.print(f"    {line}", markup=False, soft_wrap=True)
    for warning in change.warnings:
        console.print(f"  warning: {warning}", style="bold red", markup=False, soft_wrap=True)
