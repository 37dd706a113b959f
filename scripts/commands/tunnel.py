"""`keyless tunnel`: a port of this machine that leads to the MLflow server or its database."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click

from scripts.commands import (
    Project,
    aws_option,
    aws_platform,
    check_role,
    environment_option,
    known_roles,
    pass_project,
)
from scripts.names import opener, roles
from scripts.signals import handled, passed_on

if TYPE_CHECKING:
    from pipeline.outputs import Platform
    from scripts.server.sessions import Clients

Document = Literal["read", "train", "promote", "operate", "database"]
FIRST_PORT = {"database": 5432}
FAR_END_SECONDS = 900
"""A new instance installs for minutes, and its watchdog gives it as long."""
ENDS = (signal.SIGINT, signal.SIGTERM)
"""How long COMMAND may take to end once asked: GitHub kills 2.5 s after it has asked us."""


@dataclass(frozen=True)
class Route:
    """Where a tunnel leads, and as whom: the environment is what COMMAND gets."""

    platform: Platform
    clients: Clients
    who: str
    environment: Mapping[str, str]
    aws_cli: Mapping[str, str] | None = None
    ca_bundle: Path | None = None
    renew: Callable[[], bool] | None = None
    look_at: str = "keyless doctor"


def _job_or_administrator(
    context: click.Context, parameter: click.Parameter, role: str | None
) -> str | None:
    """What people alone may open, the administrator opens."""
    return role if role == "administrator" else check_role(context, parameter, role)


@click.command("tunnel")
@click.option(
    "--document",
    type=click.Choice(get_args(Document)),
    default=None,
    help="What to open: the database, or MLflow with this permission set (docs/mlflow-access.md).  "
    "[default: what ROLE may open, else read]",
)
@click.option(
    "--role",
    callback=_job_or_administrator,
    shell_complete=known_roles,
    help="Role that opens it locally.  [default: the one that may]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=None,
    help="Port on this machine, 0 for any.  [default: 5000 or 5432 if free, else any]",
)
@click.option(
    "--wait",
    type=click.IntRange(0),
    default=FAR_END_SECONDS,
    show_default=True,
    help="Seconds that the instance's agent, and then what it leads to, may take to answer.",
)
@environment_option
@aws_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_project
@click.pass_context
def tunnel(
    ctx: click.Context,
    project: Project,
    document: Document | None,
    role: str | None,
    port: int | None,
    wait: int,
    environment: str,
    aws: bool,
    command: tuple[str, ...],
) -> None:
    """Open the MLflow UI, or run COMMAND with a connection to the server.

    \b
    keyless tunnel                                    then open http://127.0.0.1:5000
    keyless tunnel --document train -- python my.py   MLFLOW_TRACKING_URI is set for it
    keyless tunnel --role train -- python my.py       the same: train may open that one
    keyless tunnel --document database -- psql        PGHOSTADDR, PGPORT, ... are set for it
    keyless tunnel --aws                              your account; needs ssm:StartSession

    An instance that has just booted is waited for, and COMMAND starts once the server behind the
    session answers. A session that drops is opened again behind the same port. In a GitHub job,
    credentials that expire are renewed; elsewhere the tunnel closes with an error. With COMMAND the
    session ends when it ends, and so does this command, with its exit code. SIGTERM ends all three.
    """
    from scripts.console import stderr_console
    from scripts.server import readiness
    from scripts.server.sessions import open_session
    from scripts.server.tunnel import Tunnel

    if aws and role is not None:
        raise click.UsageError("--role is for the local cloud; on AWS you are who you signed in as")
    if document is None:
        document = own_document(role)
    route = (
        aws_route(environment)
        if aws
        else local_route(project, environment, role or local_opener(document))
    )
    name = route.platform.sessions.documents[document]
    tags = route.platform.mlflow.instance_tags
    parameters = {"host": route.platform.database.address} if document == "database" else {}
    console = stderr_console()

    def say(text: str) -> None:
        console.print(text, style="dim", markup=False, soft_wrap=True)

    stop = threading.Event()
    with (
        ended_in_order(),
        Tunnel(
            lambda: open_session(
                route.clients, name, tags, parameters=parameters, aws_cli=route.aws_cli
            ),
            port=first_free(FIRST_PORT.get(document, 5000)) if port is None else port,
            wait_seconds=wait,
            renew=route.renew,
            on_event=say,
            on_failure=stop.set,
        ) as opened,
    ):
        variables = client_variables(document, opened.port, route)
        if command:
            readiness.await_ready(
                readiness.postgresql if document == "database" else readiness.mlflow,
                opened.port,
                seconds=wait,
                say=say,
                fix=route.look_at,
                failed=lambda: opened.failure,
            )
            code = run(command, {**route.environment, **variables})
            if opened.failure and code:
                raise opened.failure
            ctx.exit(code)
        set_when_asked_to_stop(stop)
        console.print(f"Session open as {route.who} on {name}.", markup=False)
        for key, value in variables.items():
            click.echo(f"{key}={value}")
        console.print("Ctrl-C ends it.", style="dim")
        stop.wait()
        if opened.failure:
            raise opened.failure


def own_document(role: str | None) -> Document:
    """What a role may open; `read` for people. Raises UsageError for a role that opens nothing."""
    known = roles().get(role or "")
    if known is None:
        return "read"
    found: Document | None = next((one for one in get_args(Document) if known.session == one), None)
    if found is None:
        able = ", ".join(name for name, one in roles().items() if one.session)
        raise click.UsageError(
            f"{role} opens no session; {able} do. To see AWS refuse it, name a --document"
        )
    return found


def local_opener(document: Document) -> str:
    """The role that may open it; what people alone may open, the administrator opens."""
    return "administrator" if document == "operate" else opener(document).name


def local_route(project: Project, environment: str, role: str) -> Route:
    """Assume the role through the local issuer; an administrator has credentials already."""
    from scripts.aws.sealed import client
    from scripts.local_run.actors import Actors
    from scripts.localcloud.home import administrator

    cloud = project.cloud()
    platform = project.local_platform(cloud, environment)
    actors = Actors(cloud, environment, project.root)
    if role == "administrator":
        own = administrator(project.home)
        child = actors.marked_environment(own)
        return Route(platform, partial(client, cloud, own), role, child, ca_bundle=cloud.ca_bundle)
    # Denied here rather than behind the first connection.
    child = actors.process_environment(role)
    return Route(
        platform,
        lambda service: actors.client(role, service),
        role,
        child,
        ca_bundle=cloud.ca_bundle,
    )


def aws_route(environment: str) -> Route:
    """Use the caller's own credentials, whatever boto3 and the AWS CLI find."""
    from scripts.aws.renewal import Caller

    platform = aws_platform(environment)
    caller = Caller.from_environment(os.environ, platform.region)
    return Route(
        platform,
        caller.client,
        "yourself",
        dict(os.environ),
        caller.environment,
        renew=caller.renew,
        look_at=f"aws logs tail /{platform.prefix}/mlflow --since 1h",
    )


def client_variables(document: Document, port: int, route: Route) -> dict[str, str]:
    """Name the port as the client at the near end reads it: MLflow's, or libpq's."""
    if document != "database":
        return {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    variables = {
        # The certificate is checked against the name, the connection goes to the address.
        "PGHOST": route.platform.database.address,
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": str(port),
        "PGDATABASE": route.platform.database.name,
        "PGSSLMODE": "verify-full",
    }
    if route.ca_bundle is not None:
        variables["PGSSLROOTCERT"] = str(route.ca_bundle)
    return variables


def first_free(port: int) -> int:
    """Take the usual port if nobody listens on it, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def run(command: tuple[str, ...], environment: Mapping[str, str]) -> int:
    """Run the user's command to its end, also when it is cut short; returns its exit code."""
    from scripts.console import UserError

    try:
        process = subprocess.Popen(command, env=dict(environment))
    except OSError as failure:
        raise UserError(
            f"{command[0]} cannot be run", why=str(failure.strerror), exit_code=2
        ) from None
    try:
        with passed_on(process):
            code = _awaited(process)
    except BaseException:
        process.kill()
        process.wait()
        raise
    # A shell's convention for a process that a signal ended.
    return code if code >= 0 else 128 - code


def _awaited(process: subprocess.Popen[bytes]) -> int:
    """Wait, waking now and then: the kernel may hand the second of two signals to a thread of the
    tunnel, and then nothing would wake the one in which Python handles it."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=1)


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Close what is open before a signal ends us; by default SIGTERM would leave the session."""

    def stop(number: int, _: object) -> None:
        for one in ENDS:
            # A second one must not cut the closing short.
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)

    with handled(dict.fromkeys(ENDS, stop)):
        yield


def set_when_asked_to_stop(stop: threading.Event) -> None:
    """Let Ctrl-C, or a request to end, set the event from here on."""
    for number in ENDS:
        signal.signal(number, lambda *_: stop.set())
