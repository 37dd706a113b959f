"""`keyless token`: mint a GitHub token here, read its claims, and see which roles trust it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import (
    Project,
    check_role,
    environment_option,
    json_option,
    known_roles,
    pass_project,
)

if TYPE_CHECKING:
    from scripts.localcloud.home import Cloud


@dataclass(frozen=True)
class Verdict:
    """Whether a role's trust policy lets the token in, and if not, what does not fit."""

    role: str
    trusted: bool
    reason: str


@click.command("token")
@click.option(
    "--role",
    callback=check_role,
    shell_complete=known_roles,
    help="Start from the job that may assume this role, such as train.",
)
@click.option("--repository", metavar="OWNER/NAME", help="Repository of the job.")
@click.option("--repository-id", metavar="ID", help="Its immutable id.")
@click.option("--owner-id", "repository_owner_id", metavar="ID", help="The owner's immutable id.")
@click.option("--ref", help="Full ref: refs/heads/main, refs/tags/v1, refs/pull/7/merge.")
@click.option(
    "--github-environment",
    "github_environment",
    help="GitHub environment of the job; hides the ref in the subject.",
)
@click.option("--event", "event_name", help="Event: push, pull_request, schedule, ...")
@click.option("--head", "head_repository", help="Where a pull request comes from, if a fork.")
@click.option("--workflow-ref", "job_workflow_ref", help="job_workflow_ref of the job.")
@click.option("--actor", help="Who started it.")
@click.option(
    "--subject-format",
    type=click.Choice(["immutable", "names"]),
    help="names: as in repositories made before 15 July 2026.",
)
@click.option(
    "--subject-template",
    metavar="CLAIM,...",
    help="A customised subject: its claims in order, such as repo,job_workflow_ref.",
)
@click.option(
    "--issuer",
    metavar="URL",
    help="An enterprise's own issuer, GHE.com's or a server's: https://HOST/_services/token.",
)
@click.option("--audience", default="sts.amazonaws.com", show_default=True)
@click.option("--raw", is_flag=True, help="Print the token itself and nothing else.")
@json_option
@environment_option
@pass_project
def token(
    project: Project,
    /,
    role: str | None,
    audience: str,
    raw: bool,
    as_json: bool,
    environment: str,
    github_environment: str | None,
    **described: str | None,
) -> None:
    """Mint a token of the local GitHub issuer and show its claims.

    \b
    keyless token --role train                         the job that may assume train
    keyless token --role apply --ref refs/heads/side   the same from another branch
    keyless token --role train --repository-id 9999    a name that was registered again
    keyless token --event pull_request --head a/fork   refused, as GitHub refuses it
    keyless token --role train --subject-template repo,job_workflow_ref
    keyless token --raw --role plan                    the token alone, for a script

    Below the claims stands each role's answer by its trust policy, and what did not fit. The
    token is signed with a key of the local cloud: AWS itself does not accept it.
    """
    import jwt

    from scripts.aws.web_identity import github_token

    cloud = project.cloud()
    described["environment"] = github_environment
    given: dict[str, Any] = {name: value for name, value in described.items() if value is not None}
    if template := given.get("subject_template"):
        given["subject_template"] = [claim.strip() for claim in template.split(",")]
    job = _job_of(role, cloud, project, environment) | given
    minted = github_token(cloud, job, audience=audience)
    if raw:
        click.echo(minted)
        return
    # Fresh from the issuer; the point is to read it.
    claims: dict[str, Any] = jwt.decode(minted, options={"verify_signature": False})
    found = list(verdicts(project, cloud, claims))
    if as_json:
        roles = [asdict(verdict) for verdict in found]
        click.echo(json.dumps({"claims": claims, "roles": roles}, indent=2))
        return
    show(claims, found)


def _job_of(role: str | None, cloud: Cloud, project: Project, environment: str) -> dict[str, Any]:
    if role is None:
        return {}
    from scripts.local_run.actors import Actors

    return Actors(cloud, environment, project.root).job(role)


def verdicts(project: Project, cloud: Cloud, claims: Mapping[str, Any]) -> Iterator[Verdict]:
    """Judge the claims by every role's trust policy that speaks of the token's provider."""
    from scripts.github.issuers import provider_of
    from scripts.github.trust import judge, trusted_providers
    from scripts.iam.engine import parse_policy

    iam = project.administrator(cloud, "iam")
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            trust = parse_policy(role["AssumeRolePolicyDocument"], name="trust", kind="trust")
            if provider_of(claims) in trusted_providers(trust):
                found = judge(role["Arn"], trust, claims)
                why = f"statement {found.statement}" if found.allowed else "; ".join(found.reasons)
                yield Verdict(role["RoleName"], found.allowed, why)


def show(claims: Mapping[str, Any], found: list[Verdict]) -> None:
    """Print the claims, marking those a trust policy can see, then each role's answer."""
    from rich.table import Table
    from rich.text import Text

    from scripts.console import stdout_console
    from scripts.github.issuers import evaluated_claims, provider_of

    console = stdout_console()
    visible = set(evaluated_claims(provider_of(claims)))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("claim", no_wrap=True)
    table.add_column("value", overflow="fold")
    first = [name for name in ("iss", "aud", "sub") if name in claims]
    for name in [*first, *sorted(set(claims) - set(first))]:
        style = "bold" if name in visible else "dim"
        table.add_row(Text(name, style=style), Text(str(claims[name]), style=style))
    console.print(table)
    console.print("\nBold claims are condition keys in a trust policy; AWS shows it no others.\n")
    if not found:
        console.print("The local account has no role for this token's provider yet: keyless up")
        return
    roles = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    roles.add_column("role", no_wrap=True)
    roles.add_column("answer", no_wrap=True)
    roles.add_column("because", overflow="fold")
    for verdict in sorted(found, key=lambda verdict: (not verdict.trusted, verdict.role)):
        answer = Text("allow", style="green") if verdict.trusted else Text("deny", style="red")
        roles.add_row(Text(verdict.role), answer, Text(verdict.reason, style="dim"))
    console.print(roles)
