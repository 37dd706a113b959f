"""`keyless lint-trust`: who could assume a role through GitHub and should not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.commands import Project, aws_option, pass_project

if TYPE_CHECKING:
    from scripts.iam.account.identities import Identities
    from scripts.iam.trust_lint import Setting
    from scripts.iam.trust_lint.sources import Input

NOT_JUDGED = 3
"""Exit status where a policy or a part of it was not judged, and nothing worse was found."""


@click.command("lint-trust")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--plan",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Terraform plan: the output of `terraform show -json FILE`.",
)
@click.option("--account", is_flag=True, help="Every role of the running local account.")
@aws_option
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="SUBJECT",
    help="What is meant to be accepted; then exactly that is proved or refuted. Repeatable.",
)
@click.option(
    "--subject-format",
    type=click.Choice(["immutable", "names"]),
    help="immutable: the repositories were made after 15 July 2026, so names alone are a finding.",
)
@click.option(
    "--audience", "audiences", multiple=True, help="An audience that is meant. Repeatable."
)
@click.option(
    "--github-only",
    is_flag=True,
    help="Pass over providers that are not GitHub's; else they are named as not judged.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sarif", is_flag=True, help="Print SARIF 2.1.0 for code scanning.")
@pass_project
@click.pass_context
def lint_trust(
    ctx: click.Context,
    project: Project,
    /,
    paths: tuple[Path, ...],
    plan: Path | None,
    account: bool,
    aws: bool,
    subjects: tuple[str, ...],
    subject_format: str | None,
    audiences: tuple[str, ...],
    github_only: bool,
    as_json: bool,
    sarif: bool,
) -> None:
    """Find who could assume a role through GitHub that should not.

    \b
    keyless lint-trust trust.json                       a policy, `aws iam get-role`
    keyless lint-trust role.tf                          or a template, CDK, a script with it
    keyless lint-trust infra                            every such file below a folder
    keyless lint-trust --plan plan.json                 every role of a Terraform plan
    keyless lint-trust --account                        every role of the local account
    keyless lint-trust --account --aws --sarif          every role of yours, for code scanning
    keyless lint-trust trust.json --subject repo:octo-org@1001/app@2002:environment:prod

    Each finding says who could use it and what to write instead. Patterns are decided by finite
    automata: one subject is printed that is accepted and should not be. Ends with 0 where
    everything was judged and only notes were found, 1 with errors or warnings, 2 where the input
    is no trust policy, 3 where something was not judged.
    """
    from scripts.console import UserError, stderr_console
    from scripts.iam.engine.documents import PolicyError
    from scripts.iam.trust_lint import Setting, lint_all
    from scripts.iam.trust_lint.report import as_json as json_of
    from scripts.iam.trust_lint.report import as_sarif, as_text
    from scripts.iam.trust_lint.sources import InputError

    if as_json and sarif:
        raise click.UsageError("--json and --sarif exclude each other")
    setting = Setting(
        origin="",
        subjects=subjects,
        immutable=subject_format == "immutable",
        audiences=audiences or Setting("").audiences,
        github_only=github_only,
    )
    try:
        # A root with many modules takes ten seconds and more.
        with stderr_console().status("reading and judging"):
            read = _read(project, paths, plan, account or aws, aws, setting)
            judged = lint_all(list(read.documents))
    except (InputError, PolicyError) as error:
        raise UserError("This cannot be linted", why=str(error), exit_code=2) from None
    if sarif:
        click.echo(as_sarif(judged.findings, (*judged.not_judged, *read.unknown)))
        for line in (*judged.not_judged, *read.unknown):
            click.echo(f"not judged: {line}", err=True)
    else:
        click.echo((json_of if as_json else as_text)(judged, read.documents, read.unknown))
    if any(finding.severity != "note" for finding in judged.findings):
        ctx.exit(1)
    if judged.not_judged or read.unknown:
        ctx.exit(NOT_JUDGED)


def _read(
    project: Project,
    paths: tuple[Path, ...],
    plan: Path | None,
    account: bool,
    aws: bool,
    setting: Setting,
) -> Input:
    from scripts.iam.trust_lint.sources import InputError, read_account, read_paths

    if sum((bool(paths), plan is not None, account)) != 1:
        raise click.UsageError("give one of PATH, --plan FILE and --account")
    if account:
        return read_account(account_identities(project, aws), setting)
    if plan is None:
        return read_paths(paths, setting)
    read = read_paths([plan], setting)
    if not read.documents and not read.unknown:
        raise InputError(f"{plan}: no role in it")
    return read


def account_identities(project: Project, aws: bool) -> Identities:
    """Read the identities of the local account, or of the caller's own. Raises UserError."""
    from botocore.exceptions import ClientError

    from scripts.console import UserError
    from scripts.iam.account.identities import read_identities

    if not aws:
        return read_identities(project.administrator(project.cloud(), "iam"))

    import boto3

    # boto3 alone reads AWS_DEFAULT_REGION only; the region tells IAM's partition.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    try:
        return read_identities(session.client("iam"))
    except ClientError as failure:
        error = failure.response.get("Error", {})
        raise UserError(
            "AWS did not list the account's roles",
            why=f"{error.get('Code')}: {error.get('Message')}",
            fix="sign in with iam:GetAccountAuthorizationDetails (the managed policy "
            "SecurityAudit has it), then keyless lint-trust --account --aws again",
        ) from None
