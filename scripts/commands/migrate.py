"""`keyless migrate`: the import file of Pulumi or Terraform from the state of the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import Project, account_of, aws_option, environment_option, pass_project

if TYPE_CHECKING:
    from scripts.account.environment import Account

_read = click.Path(dir_okay=False, path_type=Path)
_write = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command("migrate")
@click.option(
    "--to",
    "target",
    type=click.Choice(["pulumi", "terraform"]),
    required=True,
    help="Which of the two is to manage the resources.",
)
@click.option(
    "--bootstrap", is_flag=True, help="The account's bootstrap, in place of an environment."
)
@click.option(
    "--from",
    "source",
    type=_read,
    help="Read this state: of `terraform state pull`, or `pulumi stack export`.  [default: the "
    "account's bucket]",
)
@click.option(
    "--output",
    type=_write,
    help="Write this file.  [default: pulumi-import.json, or imports.tf]",
)
@environment_option
@aws_option
@pass_project
def migrate(
    project: Project,
    target: str,
    bootstrap: bool,
    source: Path | None,
    output: Path | None,
    environment: str,
    aws: bool,
) -> None:
    """Write the import file of Pulumi for what Terraform made, or vice versa.

    \b
    keyless migrate --to pulumi -e prod --aws          pulumi-import.json from Terraform's state
    keyless migrate --to terraform --from stack.json   imports.tf from a stack that was exported

    Nothing is changed: neither a state nor a resource. Every resource of the state gets an entry
    with the id that its import asks for; a resource that the other side does not make is named,
    and nothing is written. docs/pulumi.md says what to do before and after.
    """
    from scripts.files import write_whole

    stack = "bootstrap" if bootstrap else environment
    state = _state(project, target, stack, source, environment, aws)
    if target == "pulumi":
        from scripts.migration.to_pulumi import import_file

        root = project.root / "terraform" / ("bootstrap" if bootstrap else "platform")
        made = import_file(state, root, stack)
        output = output or Path("pulumi-import.json")
        write_whole(output, json.dumps(made, indent=2) + "\n")
        _report(len([one for one in made["resources"] if "id" in one]), output)
        _next(
            f"pulumi up --stack {stack} --target '{made['nameTable']['aws']}'",
            f"pulumi import --stack {stack} --file {output.resolve()} --protect=false "
            "--generate-code=false",
            f"pulumi preview --stack {stack} --diff",
        )
        return
    from scripts.migration.to_terraform import import_blocks, rendered

    where, ids = import_blocks(state, project.root / "terraform")
    output = output or Path("imports.tf")
    write_whole(output, rendered(ids))
    _report(len(ids), output)
    _next(f"mv {output} terraform/{where}/", f"terraform -chdir=terraform/{where} plan")


def _state(
    project: Project, target: str, stack: str, source: Path | None, environment: str, aws: bool
) -> dict[str, Any]:
    from scripts.console import UserError

    try:
        if source is None:
            text = _kept(account_of(project, environment, "plan-main", aws), target, stack)
        else:
            text = source.read_text(encoding="utf-8")
        found = json.loads(text)
    except FileNotFoundError:
        raise UserError(f"There is no file {source}", exit_code=2) from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(
            f"{source or 'The object in the bucket'} is no state",
            why="it is not a JSON object",
            fix="terraform state pull > state.json, or pulumi stack export --file stack.json",
            exit_code=2,
        )
    return found


def _kept(account: Account, target: str, stack: str) -> str:
    """What the account's bucket keeps of Terraform's state, or of Pulumi's."""
    from botocore.exceptions import ClientError

    from scripts.account.bootstrap import STATE_KEY
    from scripts.console import UserError
    from scripts.names import pulumi_state_key, state_key

    terraforms = STATE_KEY if stack == "bootstrap" else state_key(stack)
    key = terraforms if target == "pulumi" else pulumi_state_key(stack)
    address = f"s3://{account.state_bucket}/{key}"
    try:
        answer = account.client("s3").get_object(Bucket=account.state_bucket, Key=key)
    except ClientError as failure:
        raise UserError(
            f"There is no state to read at {address}",
            why=str(failure),
            fix="give the state as a file: --from, with what `terraform state pull` or `pulumi "
            "stack export` printed",
            exit_code=2,
        ) from None
    text: str = answer["Body"].read().decode()
    return text


def _report(count: int, output: Path) -> None:
    click.echo(f"{count} resources: {output}")


def _next(*commands: str) -> None:
    click.echo("Next, as docs/pulumi.md explains it:", err=True)
    for command in commands:
        click.echo(f"  {command}", err=True)
