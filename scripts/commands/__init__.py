"""The verbs of `keyless`, one per file: the file's one `click` command is found by the file's name.

A verb's file imports only what `--help` needs; boto3, mlflow and the like are imported inside its
functions. The first line of the command's docstring is its line in `keyless --help`.

Every verb acts on the local cloud unless `--aws` or KEYLESS_AWS=1 names the caller's account, and
names its environment by `--environment`. One that changes a real account asks first (`agree`).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.names import platform_parameter

if TYPE_CHECKING:
    from pipeline.outputs import Platform
    from scripts.account.environment import Account
    from scripts.localcloud.home import Cloud


class Subverbs(click.Group):
    """A verb of verbs; its help shows their first sentences whole, where click cuts them short."""

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with the first sentence of its help."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, one.get_short_help_str(1000))
                    for name, one in sorted(self.commands.items())
                ]
            )


@dataclass(frozen=True)
class Project:
    """Where the command runs: the project's root and the state directory of its local cloud."""

    root: Path
    home: Path

    def cloud(self) -> Cloud:
        """Find the running local cloud. Raises `UserError` if none runs."""
        from scripts.console import UserError
        from scripts.localcloud.home import CloudDown, load

        try:
            return load(self.home)
        except CloudDown as down:
            from scripts.local_run.flow import busy

            if busy(self.home):
                raise UserError(
                    "The local cloud does not run",
                    why=f"`keyless up` or `keyless down` is at work in {self.home}",
                    fix="wait until it has ended",
                ) from None
            raise UserError("The local cloud does not run", why=str(down), fix=down.fix) from None

    def administrator(self, cloud: Cloud, service: str) -> Any:
        """Make a client of the local account's administrator."""
        from scripts.aws.sealed import client
        from scripts.localcloud.home import administrator

        return client(cloud, administrator(cloud.home), service)

    def local_platform(self, cloud: Cloud, environment: str) -> Platform:
        """Read what Terraform made in the local account. Raises `UserError` if nothing yet."""
        from botocore.exceptions import ClientError

        from pipeline.outputs import parse_platform
        from scripts.console import UserError

        name = platform_parameter(environment)
        try:
            answer = self.administrator(cloud, "ssm").get_parameter(Name=name)
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "ParameterNotFound":
                raise
            from scripts.labs.operations import is_lab_home
            from scripts.local_run.flow import busy

            if is_lab_home(self.home):
                raise UserError(
                    f"A lab's cloud has no platform {environment!r}",
                    why=f"KEYLESS_HOME of this shell is {self.home}, a lab's",
                    fix="unset KEYLESS_HOME, or use another terminal",
                ) from None
            made = "keyless up" if environment == "dev" else f"keyless plan -e {environment}"
            raise UserError(
                f"The local cloud has no platform {environment!r}",
                why=f"there is no parameter {name}; Terraform has not applied it",
                fix="wait until `keyless up` has ended" if busy(self.home) else made,
            ) from None
        return parse_platform(answer["Parameter"]["Value"], origin=f"the SSM parameter {name}")


def aws_platform(environment: str, file: Path | None = None) -> Platform:
    """Find the platform of the caller's own AWS account, in `load_platform`'s order."""
    from pipeline.outputs import load_platform

    return load_platform(file, environ={**os.environ, "KEYLESS_ENVIRONMENT": environment})


def callers_iam() -> Any:
    """An IAM client with the caller's own credentials."""
    import boto3

    return boto3.Session().client("iam")


def account_of(project: Project, environment: str, role: str, aws: bool) -> Account:
    """The caller's account, or the local cloud in the name of `role`."""
    from scripts.account.environment import callers_account, local_account

    if aws:
        return callers_account(project.home)
    return local_account(project.cloud(), project.root, environment, role)


def agree(account: Account, environment: str, what: str, *, yes: bool) -> None:
    """Name the real account and environment that `what` is about to change, and ask.

    The local cloud is changed without a question. Raises UsageError unless the answer is yes.
    """
    if not account.aws:
        return
    place = f"AWS account {account.id}, region {account.region}, environment {environment}"
    click.echo(f"{place}, as {account.caller}:\n{what}", err=True)
    if not yes:
        confirm()


def confirm() -> None:
    """Ask whether to go on. Raises UsageError unless the answer is yes."""
    try:
        agreed = click.confirm("Go on?", err=True)
    except click.Abort:
        raise click.UsageError(
            "nobody answered; nothing was changed. Without a terminal: --yes"
        ) from None
    if not agreed:
        raise click.UsageError("nothing was changed")


def check_environment(_: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse an invalid environment name before anything is asked or made."""
    for name in value if isinstance(value, tuple) else (value,):
        if name is not None and not ENVIRONMENT.fullmatch(name):
            raise click.BadParameter(
                f"{name!r} is not 2 to 12 lower-case letters and digits, such as dev",
                param=parameter,
            )
    return value


ON_AWS = "keyless.aws"
"""Where the command's context keeps whether the verb acts on a real account."""


def note_aws(context: click.Context, _: click.Parameter, aws: bool) -> bool:
    """Keep where the verb acts, for the advice of a failure."""
    context.meta[ON_AWS] = aws
    return aws


def known_environments(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Environments with a tfvars file, for the shell's completion."""
    root = Path(__file__).resolve().parents[2] / "terraform" / "platform" / "environments"
    return sorted(path.stem for path in root.glob(f"{begun}*.tfvars"))


def check_role(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Refuse a role that no job assumes before a cloud is looked for. Raises UserError."""
    from scripts.names import job_role

    return None if value is None else job_role(value).name


def known_roles(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Roles that a job assumes, for the shell's completion."""
    from scripts.names import job_roles

    return [role.name for role in job_roles() if role.name.startswith(begun)]


ENVIRONMENT = re.compile(r"[a-z][a-z0-9]{1,11}")
environment_option = click.option(
    "-e",
    "--environment",
    envvar="KEYLESS_ENVIRONMENT",
    default="dev",
    show_default=True,
    callback=check_environment,
    shell_complete=known_environments,
    help="Environment of the platform (also KEYLESS_ENVIRONMENT).",
)
aws_option = click.option(
    "--aws/--local",
    "aws",
    default=False,
    envvar="KEYLESS_AWS",
    callback=note_aws,
    help="Act on your AWS account, by your credentials (also KEYLESS_AWS=1), or on the local "
    "cloud.  [default: local]",
)
yes_option = click.option(
    "--yes", is_flag=True, help="Do not ask before a real account is changed."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
pass_project = click.make_pass_decorator(Project)
