"""`keyless database`: MLflow's database, its logins and its schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.commands import (
    Project,
    account_of,
    agree,
    aws_option,
    environment_option,
    pass_project,
    yes_option,
)
from scripts.names import RDS_CERTIFICATES, prefix, server_tags, session_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scripts.server.sessions import Clients


@dataclass(frozen=True)
class Access:
    """How this command reaches AWS and the database."""

    clients: Clients
    ca: Path
    aws_cli: Mapping[str, str] | None


@click.command()
@yes_option
@environment_option
@aws_option
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="PGSSLROOTCERT",
    help="Certificates that the database's must be signed by (also PGSSLROOTCERT); with --aws.",
)
@click.option(
    "--wait",
    type=click.IntRange(0),
    default=900,
    show_default=True,
    help="Seconds to wait for the instance to be available.",
)
@pass_project
def database(
    project: Project, yes: bool, environment: str, aws: bool, ca: Path | None, wait: int
) -> None:
    """Create or upgrade MLflow's database, its owner, its login and its tables.

    Run it once after the first apply, and again after an upgrade of MLflow; it does what is
    missing. Tables that hold data are changed only after a snapshot of the database. It works
    under the database role: the master's password is read from the secret that RDS manages, used
    for this, and kept nowhere. The server's login has no password: it proves itself with an IAM
    token.

    \b
    keyless database
    keyless database -e prod --aws --ca global-bundle.pem
    """
    from scripts.console import stderr_console
    from scripts.server import database, readiness
    from scripts.server.sessions import open_session

    console = stderr_console()

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    access = _on_aws(ca) if aws else _locally(project, environment)
    if aws:
        account = account_of(project, environment, "database", aws)
        agree(account, environment, "prepare MLflow's database, or upgrade it", yes=yes)
    identifier, tags = prefix(environment), server_tags(environment)
    instance = database.wait_for(lambda: _available(access.clients("rds"), identifier), tell, wait)
    database.wait_for(lambda: _reachable(access.clients("ec2"), tags), tell, wait)
    master, password = _master(access.clients("secretsmanager"), instance)
    with open_session(
        access.clients,
        session_document(environment, "database"),
        tags,
        parameters={"host": instance["Endpoint"]["Address"]},
        aws_cli=access.aws_cli,
        wait_seconds=wait,
        say=tell,
    ) as session:
        readiness.await_ready(
            readiness.postgresql,
            session.port,
            seconds=wait,
            say=tell,
            fix="keyless doctor --aws" if aws else "keyless doctor",
        )
        server = database.Server(
            host=instance["Endpoint"]["Address"],
            address=session.host,
            port=session.port,
            ca=str(access.ca),
        )
        database.create(
            server,
            master,
            password,
            tell=tell,
            before_upgrade=lambda found: keep_snapshot(
                access.clients("rds"), instance["DBInstanceIdentifier"], found, tell
            ),
        )


def _locally(project: Project, environment: str) -> Access:
    from scripts.local_run.actors import Actors

    cloud = project.cloud()
    actors = Actors(cloud, environment, project.root)
    return Access(lambda service: actors.client("database", service), cloud.ca_bundle, None)


def _on_aws(ca: Path | None) -> Access:
    import os

    import boto3

    if ca is None:
        raise click.UsageError(
            f"with --aws, name RDS's certificates: curl -O {RDS_CERTIFICATES}, "
            "then --ca global-bundle.pem"
        )
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    return Access(lambda service: session.client(service), ca, dict(os.environ))  # type: ignore[call-overload]


def _available(rds: Any, identifier: str) -> dict[str, Any] | str:
    try:
        found = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
    except rds.exceptions.DBInstanceNotFoundFault:
        return f"the database instance {identifier} does not exist yet"
    state = found["DBInstanceStatus"]
    return dict(found) if state == "available" else f"the database instance is {state}"


def _reachable(ec2: Any, tags: Mapping[str, str]) -> list[str] | str:
    from scripts.console import UserError
    from scripts.server.sessions import find_instance

    try:
        return [find_instance(ec2, tags)]
    except UserError:
        return "the server, through which the database is reached, does not run yet"


def keep_snapshot(
    rds: Any, identifier: str, revision: str, tell: Callable[[str], None], seconds: float = 1800
) -> str:
    """Take a snapshot before the schema leaves `revision`, and wait until it can be restored.

    Returns its name, which the role's policy expects to begin with `<identifier>-schema-`. Raises
    UserError when it does not become available.
    """
    from datetime import UTC, datetime

    from scripts.console import UserError
    from scripts.server import database

    name = f"{identifier}-schema-{revision}-{datetime.now(UTC):%Y%m%d%H%M%S}".lower()
    tell(f"snapshot {name}, before the schema is upgraded")
    rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=identifier)

    def look() -> list[str] | str:
        state = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]["Status"]
        if state == "failed":
            raise UserError(
                f"the snapshot {name} failed, so the schema stays at {revision}",
                fix="look at the database's events, then run keyless database again",
            )
        return [name] if state == "available" else f"the snapshot is {state}"

    return database.wait_for(look, tell, seconds)[0]


def _master(secrets: Any, instance: Mapping[str, Any]) -> tuple[str, str]:
    arn = instance["MasterUserSecret"]["SecretArn"]
    secret = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    return secret["username"], secret["password"]
