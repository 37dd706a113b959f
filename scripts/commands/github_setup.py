"""`keyless github-setup`: set a repository up as the trust policies expect it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import (
    Project,
    aws_option,
    callers_iam,
    check_environment,
    confirm,
    json_option,
    known_environments,
    pass_project,
    yes_option,
)
from scripts.names import role_name

if TYPE_CHECKING:
    from scripts.github.repository import Facts
    from scripts.github.setup import Change, Wanted
    from scripts.github.verify import TrustOf, Verdict


@click.command("github-setup")
@click.option("--repository", metavar="OWNER/NAME", help="Repository.  [default: this folder's]")
@click.option(
    "-e",
    "--environment",
    "environments",
    multiple=True,
    envvar="KEYLESS_ENVIRONMENT",
    default=("dev",),
    show_default=True,
    callback=check_environment,
    shell_complete=known_environments,
    help="Environment of the platform (also KEYLESS_ENVIRONMENT); may be given again.",
)
@click.option("--account-id", required=True, metavar="ID", help="AWS account, twelve digits.")
@click.option("--region", help="AWS region.  [default: AWS_REGION, else your profile's]")
@click.option(
    "--reviewer",
    "reviewers",
    multiple=True,
    metavar="USER|ORG/TEAM",
    help="Who approves apply, database and promote; may be given again.  [default: you]",
)
@click.option(
    "--approvals",
    type=click.IntRange(0, 10),
    default=1,
    show_default=True,
    help="Approvals that a pull request needs; 0 where you are alone.",
)
@click.option(
    "--rds-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="RDS's certificates as you fetched them: the database workflow takes no others.",
)
@click.option("--model-servers", is_flag=True, help="Also make the environments of rollouts.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@click.option("--verify", is_flag=True, help="Try each role's token on the role.")
@json_option
@yes_option
@aws_option
@pass_project
def github_setup(
    project: Project,
    repository: str | None,
    environments: tuple[str, ...],
    account_id: str,
    region: str | None,
    reviewers: tuple[str, ...],
    approvals: int,
    rds_ca: Path | None,
    model_servers: bool,
    dry_run: bool,
    verify: bool,
    as_json: bool,
    yes: bool,
    aws: bool,
) -> None:
    """Set up the repository's environments as the trust policies expect.

    \b
    keyless github-setup --account-id 111122223333 --dry-run
    keyless github-setup --account-id 111122223333 --reviewer octo-org/platform
    keyless github-setup --account-id 111122223333 --dry-run --verify --aws

    Uses gh, as you are logged in. A second run changes nothing. --verify reads each role's trust
    policy (iam:GetRole) and says which condition of which role would refuse the job's token.
    """
    from scripts.account.environment import callers_region
    from scripts.github import setup
    from scripts.github.api import Gh
    from scripts.github.repository import read_facts

    _check_input(account_id)
    pinned = None if rds_ca is None else _digest(rds_ca)
    gh = Gh()
    gh.check()
    facts = read_facts(gh, repository or gh.repository())
    setup.check_available(facts)
    wanted = setup.Wanted(
        tuple(dict.fromkeys(environments)),
        account_id,
        region or callers_region(),
        setup.find_reviewers(gh, reviewers),
        approvals,
        pinned,
        ("model_server",) if model_servers else (),
    )
    _warn(facts)
    pending = setup.changes(gh, facts, wanted)
    if not as_json:
        _show(facts, pending, dry_run)
    if pending and not dry_run:
        _agree(facts, wanted, pending, yes=yes)
        for change in pending:
            setup.apply(gh, change)
            click.echo(f"done: {change.what}", err=as_json)
    verdicts = _verdicts(project, facts, wanted.environments, account_id, aws) if verify else []
    if as_json:
        click.echo(json.dumps(_document(facts, pending, verdicts), indent=2))
    else:
        click.echo("\nFor terraform/bootstrap and terraform/platform (github.auto.tfvars.json):")
        click.echo(json.dumps({"github": facts.terraform}, indent=2))
        for verdict in verdicts:
            click.echo(_line(verdict))
    _require(verdicts)


def _check_input(account_id: str) -> None:
    import re

    if not re.fullmatch(r"\d{12}", account_id):
        raise click.UsageError(f"--account-id takes twelve digits, not {account_id!r}")


def _digest(file: Path) -> str:
    """SHA-256 of a bundle of certificate authorities. Raises UserError for what is none."""
    import hashlib

    from scripts.server.wheelhouse import certificates

    return hashlib.sha256(certificates(file, lambda _: None)).hexdigest()


def _warn(facts: Facts) -> None:
    if facts.secrets:
        names = ", ".join(facts.secrets)
        click.echo(
            f"warning: the repository holds secrets that nothing here needs: {names}", err=True
        )
    if facts.subject_format == "names":
        click.echo(
            "warning: subjects carry names alone; a rename or transfer adds ids, which the roles "
            "then refuse. Better, before the first apply:\n"
            f"  gh api --method PUT repos/{facts.name}/actions/oidc/customization/sub "
            "-F use_default=true -F use_immutable_subject=true",
            err=True,
        )


def _agree(facts: Facts, wanted: Wanted, pending: Sequence[Change], *, yes: bool) -> None:
    """Name the repository and its environments, and ask. Raises UsageError unless agreed."""
    names = ", ".join(wanted.environments)
    click.echo(f"GitHub repository {facts.name}, environments {names}:", err=True)
    for change in pending:
        click.echo(f"  {change.what}", err=True)
    if not yes:
        confirm()


def _document(
    facts: Facts, pending: Sequence[Change], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    return {
        "repository": facts.name,
        "github": facts.terraform,
        "changes": [asdict(change) for change in pending],
        "verified": [asdict(verdict) for verdict in verdicts],
    }


def _show(facts: Facts, pending: Sequence[Change], dry_run: bool) -> None:
    click.echo(f"{facts.name}: owner {facts.owner_id}, repository {facts.id}, ", nl=False)
    click.echo(f"subjects with {'ids' if facts.subject_format == 'immutable' else 'names alone'}")
    if not pending:
        click.echo("Nothing to change.")
    elif dry_run:
        for change in pending:
            click.echo(f"would make: {change.what}")
            click.echo(f"    gh api --method {change.method} {change.path}", nl=False)
            click.echo("" if change.body is None else f" --input - <<< '{_compact(change.body)}'")


def _compact(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":")).replace("'", "'\\''")


def _verdicts(
    project: Project, facts: Facts, environments: Sequence[str], account: str, aws: bool
) -> list[Verdict]:
    from scripts.github.verify import verify

    iam = callers_iam() if aws else project.administrator(project.cloud(), "iam")
    return verify(facts, environments, account, _trust_reader(iam))


def _require(verdicts: Sequence[Verdict]) -> None:
    """Raises UserError where a role would refuse its own job."""
    from scripts.console import UserError

    refused = [verdict for verdict in verdicts if verdict.state == "refused"]
    if refused:
        raise UserError(
            f"{len(refused)} of {len(verdicts)} roles would refuse their own job",
            why="see what each wanted and got above",
            fix="apply terraform/bootstrap and terraform/platform with the github values above",
        )


def _line(verdict: Verdict) -> str:
    name = role_name(verdict.environment, verdict.role)
    said = {"matches": "matches", "refused": "REFUSED", "absent": "not there yet"}[verdict.state]
    return "\n".join(
        [f"{said:14}{name:28}{verdict.subject}", *(f"{'':14}{why}" for why in verdict.reasons)]
    )


def _trust_reader(iam: Any) -> TrustOf:
    from botocore.exceptions import ClientError

    def read(name: str) -> Mapping[str, Any] | None:
        try:
            document = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchEntity":
                return None
            raise
        found: Mapping[str, Any] = document
        return found

    return read
