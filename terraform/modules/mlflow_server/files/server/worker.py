"""One MLflow server process on the sockets that the launcher opened, one for each permission set.

    python worker.py SETTINGS SET=NUMBER... < one line: the database's address

It runs the command `mlflow server` itself, in one process instead of three: what that command
would start at its end, uvicorn with MLflow's application, was imported while the database was not
there yet and is run here. `mlflow server` imports everything two times, and only then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from front import Front
    from guard import Permissions

Given = dict[str, Any]  # settings, as JSON has them
# A tunnel may begin at any port of the client's machine.
ALLOWED_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"
ENVIRONMENT = {
    "MLFLOW_SERVER_ALLOWED_HOSTS": ALLOWED_HOSTS,
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    # A search's regular expression may take PostgreSQL years; else none took a second so far.
    "PGOPTIONS": "-c statement_timeout=20s",
}
STOP_SECONDS = 10
# Connections of one port: a process may have 1,024 files open, and there are four ports.
MOST_CONNECTIONS, LARGEST_HEAD = 200, 1 << 20
LARGEST_TEXT = 8192  # bytes of an error: MLflow logs a header of a refused request as it came
# Connections that all workers together may hold: 40 % of what RDS allows its smallest class, which
# is LEAST(memory / 9531392, 5000) = 112 for 1 GiB. The alarm on connections lies above.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
CONNECTIONS = 44
# MLflow keeps one engine for tracking and one for the registry; a request holds up to three
# connections of one at once. Whoever lets more requests in than pool / 3 waits for himself.
ENGINES, HELD = 2, 3


def limits(settings: Given) -> tuple[int, int]:
    """Requests at once in one worker, and the size of each of its two pools."""
    pool = max(HELD, CONNECTIONS // settings["workers"] // ENGINES)
    return pool // HELD, pool


def pool_variables(pool: int) -> dict[str, str]:
    """MLflow takes no overflow of 0 (it would mean the default of 10)."""
    return {
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(pool - 1),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "1",
    }


def options(settings: Given, address: str) -> list[str]:
    """Settings of `mlflow server`."""
    if settings["artifact_access"] == "direct":
        # Clients read and write S3 themselves, each with its own role.
        artifacts = ["--default-artifact-root", settings["artifact_root"], "--no-serve-artifacts"]
    else:
        artifacts = ["--artifacts-destination", settings["artifact_root"]]
    place = ["--host", "127.0.0.1", "--workers", "1"]
    return ["--backend-store-uri", address, "--allowed-hosts", ALLOWED_HOSTS, *place, *artifacts]


def misfit(address: str) -> str:
    """Why this MLflow does not serve from the database's tables, in a sentence; else nothing."""
    import mlflow
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    tools: Any = utils
    found = tools._get_schema_version(tools.create_sqlalchemy_engine(address))
    latest = tools._get_latest_schema_revision()
    if found == latest:
        return ""
    known = ScriptDirectory.from_config(tools._get_alembic_config(db_url="")).walk_revisions()
    if found in {one.revision for one in known}:
        return f"the schema {found} is older than this MLflow's {latest}: run keyless database"
    return (
        f"the schema {found} was made by an MLflow newer than {mlflow.__version__}, which knows "
        f"{latest} at most: install that release, or restore the snapshot from before"
    )


class Others:
    """The error output of all but the guard: no text of a client passes for the record, gets
    between its lines, or fills the disk that it is on."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write with every mark of the record taken away, in one piece of bounded size."""
        shown = text.replace("guard: ", "guard, ").encode(errors="backslashreplace")
        if len(shown) > LARGEST_TEXT:
            shown = shown[:LARGEST_TEXT] + b" ...\n"
        os.write(self.stream.fileno(), shown)
        return len(text)


def without_passwords() -> None:
    """Say that MLflow's password plug-in is absent.

    Each search of runs imports it anew, and fails each time for want of its packages, which takes
    more time than the search. A module that is known to be absent fails at once.
    """
    sys.modules["mlflow.server.auth"] = None  # type: ignore[assignment]


def permissions(settings: Given) -> Permissions:
    """The permission sets of the settings."""
    from guard import Permissions

    roles = {name: given["roles"] for name, given in settings["permission_sets"].items()}
    return Permissions(roles, settings["artifact_root"])


def bounded() -> Any:
    """uvicorn's protocol, with bounds on a port's connections and on what comes before a body.

    uvicorn would take whatever parser is installed, and they differ in what they let through.
    httptools refuses a request with two lengths, where h11 believes one of them and goes on.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Bounded(HttpToolsProtocol):
        head: int | None = 0  # bytes of it so far; None when it is complete

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.abort()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.head = 0

        def on_headers_complete(self) -> None:
            self.head = None
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.head is not None:
                self.head += len(data)
                if self.head > LARGEST_HEAD:
                    self.transport.abort()

    return Bounded


async def serve(front: Front, listeners: dict[str, socket.socket]) -> None:
    """One uvicorn for each socket: the application of a port knows no other port's rights."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # one handler stops them all

    servers = []
    for name, listener in listeners.items():
        config = uvicorn.Config(
            front.application(front.permissions.sets[name]),
            http=bounded(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        servers.append((Server(config), listener))

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in servers))


def main() -> int:
    """Import MLflow, wait for the database's address, and serve."""
    sys.stderr = cast("TextIO", Others(sys.stderr))
    settings = json.loads(Path(sys.argv[1]).read_bytes())
    given = (argument.split("=") for argument in sys.argv[2:])
    listeners = {name: socket.socket(fileno=int(number)) for name, number in given}
    requests, pool = limits(settings)
    os.environ.update(ENVIRONMENT | pool_variables(pool))
    # Without a target the UI's list of its models is empty; with one the server would call it.
    os.environ.pop("MLFLOW_DEPLOYMENTS_TARGET", None)

    import uvicorn  # noqa: F401 - first: MLflow's modules ask whether a server imports them
    from front import Front
    from mlflow import cli, server
    from mlflow.server import fastapi_app

    def run(command: list[str], extra_env: dict[str, str], **_: Any) -> None:
        if command[-1] != "mlflow.server.fastapi_app:app":
            raise RuntimeError(f"this version of MLflow starts another application: {command}")
        os.environ.update(extra_env)
        front = Front(server.app, permissions(settings), fastapi_app.app, requests)
        asyncio.run(serve(front, listeners))
        sys.exit()

    without_passwords()
    address = sys.stdin.readline().strip()
    if not address:
        return 1  # the launcher ended before the database was there
    server._exec_cmd = run  # type: ignore[attr-defined,assignment]
    try:
        cli.server.main(options(settings, address), standalone_mode=False)
    except SystemExit as ended:
        if ended.code and (why := misfit(address)):
            print(f"worker: {why}", file=sys.stderr, flush=True)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
