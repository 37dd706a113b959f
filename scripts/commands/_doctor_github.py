"""`keyless doctor --github`: each condition of a role's trust policy on a token's claims."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import Project, callers_iam

if TYPE_CHECKING:
    from scripts.github.advice import Answer
    from scripts.github.trust import Judged
    from scripts.iam.engine.documents import Policy


@dataclass(frozen=True)
class Asked:
    """Which role, and where claims and trust come from; None: the job, and IAM."""

    role: str | None
    claims: Path | None
    trust: Path | None
    aws: bool
    as_json: bool


def explain_denial(project: Project, asked: Asked) -> int:
    """Print why the token may assume the role or not; returns the exit code."""
    from scripts.github import trust as denial
    from scripts.github.advice import Answer, advise, others

    claims = denial.read_claims(asked.claims) if asked.claims else _job_claims()
    if asked.role is None:
        if asked.trust is not None:
            raise click.UsageError("--trust is the policy of a role: name it with --role")
        click.echo(json.dumps(claims, indent=2, sort_keys=True))
        click.echo("Keep this for --claims FILE, and name the role with --role.", err=True)
        return 0
    arn, trust = _trust(project, asked, asked.role)
    judged = denial.judge(arn, trust, claims)
    answer = (
        Answer((), also=others(trust)) if judged.allowed else advise(arn, trust, claims, judged)
    )
    remark = "; ".join(filter(None, (denial.remark_on(claims), judged.remark)))
    if asked.as_json:
        shown = {"role": arn, **asdict(judged), "remark": remark, **asdict(answer)}
        click.echo(json.dumps(shown, indent=2))
    else:
        _show(arn, claims, judged, answer, remark)
    return 0 if judged.allowed else 1


def _job_claims() -> dict[str, Any]:
    from scripts.aws.web_identity import runner_token
    from scripts.github.trust import decode

    bundle = os.environ.get("AWS_CA_BUNDLE")
    return decode(runner_token(os.environ, ca_bundle=Path(bundle) if bundle else None))


def _trust(project: Project, asked: Asked, role: str) -> tuple[str, Policy]:
    """The role's whole ARN and its trust policy. Raises UserError."""
    from scripts.console import UserError
    from scripts.github.trust import ROLE, read_trust, trust_policy

    known = ROLE.fullmatch(role)
    name = known["name"] if known else role
    if asked.trust is not None:
        trust = read_trust(asked.trust, name)
        return (role if known else f"arn:aws:iam::{_account(trust)}:role/{name}"), trust
    iam = callers_iam() if asked.aws else project.administrator(project.cloud(), "iam")
    try:
        found = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        raise UserError(
            f"There is no role {name} in this account",
            why="it is made by terraform/bootstrap (plan, plan-main, apply) or terraform/platform",
            fix="see whose account it is: aws sts get-caller-identity",
        ) from None
    if known and found["Arn"] != role:
        raise UserError(
            f"{name} of this account is not {role}",
            why=f"the credentials here are of an account whose role is {found['Arn']}",
            fix="use the other account's credentials, or --trust FILE",
            exit_code=2,
        )
    return str(found["Arn"]), trust_policy(found["AssumeRolePolicyDocument"], name)


def _account(trust: Policy) -> str:
    """The account of the provider that a policy trusts; zeros where it trusts none."""
    for statement in trust.statements:
        for arn in (statement.principals or {}).get("Federated", ()):
            if arn.count(":") >= 5:
                return arn.split(":")[4]
    return "0" * 12


def _show(arn: str, claims: Mapping[str, Any], judged: Judged, answer: Answer, remark: str) -> None:
    from rich.text import Text

    from scripts.console import ascii_only, stdout_console

    console = stdout_console()
    held, failed = ("ok", "x ") if ascii_only(console) else ("✓", "✗")
    console.print(Text(f"role     {arn}"), soft_wrap=True)
    console.print(Text(f"subject  {claims.get('sub')}\n"), soft_wrap=True)
    width = max((len(one.key) for one in judged.conditions), default=0)
    for one in judged.conditions:
        got = ", ".join(one.got) or "nothing"
        mark = Text(held, style="green") if one.holds else Text(failed, style="bold red")
        line = Text.assemble(mark, f" {one.key:{width}}  ", "got    " if not one.holds else "", got)
        console.print(line, soft_wrap=True)
        if not one.holds:
            indent = " " * (width + 3 + len(held))
            operator = "" if one.operator == "StringEquals" else f"{one.operator} "
            wanted = " or ".join(one.wanted)
            console.print(Text(f"{indent}wanted {operator}{wanted}"), soft_wrap=True)
    if remark:
        console.print(Text(remark, style="yellow"), soft_wrap=True)
    verdict = "lets this job in" if judged.allowed else "refuses this job"
    console.print(Text(f"\nThe role {verdict}.", style="bold"))
    for difference in answer.differs:
        console.print(Text(f"- {difference}"), soft_wrap=True)
    if answer.also:
        console.print(Text(f"It also lets in {answer.also}: keyless lint-trust says more."))
    if answer.advice:
        console.print(
            "\nTried: the role then lets this job in, and nobody new but whom the advice names:"
        )
        for advice in answer.advice:
            console.print(Text(f"- {advice}", style="green"), soft_wrap=True)
    elif not judged.allowed:
        console.print("\nNo change was found that lets this job in and nobody else.")
