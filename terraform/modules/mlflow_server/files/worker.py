"""One MLflow server process on a socket that the launcher opened.

    python worker.py SETTINGS SOCKET_NUMBER < one line: the database's address

It runs the command `mlflow server` itself, in one process instead of three: what that command
would start at its end, uvicorn with MLflow's application, was imported while the database was not
there yet and is run here. `mlflow server` imports everything two times, and only then.
"""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

# A tunnel may begin at any port of the client's machine.
ALLOWED_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"
# The metric filter of the observability module looks for these words.
REGISTERED = "worker: a model version was registered"
ENVIRONMENT = {
    "MLFLOW_SERVER_ALLOWED_HOSTS": ALLOWED_HOSTS,
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


# Connections that all workers together may hold: 40 % of what RDS allows its smallest class, which
# is LEAST(memory / 9531392, 5000) = 112 for 1 GiB. The alarm on connections lies above.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
CONNECTIONS = 44
# MLflow keeps one engine for tracking and one for the registry; a request holds up to three
# connections of one at once. Whoever lets more requests in than pool / 3 waits for himself.
ENGINES, HELD = 2, 3
# Answered from the database. Files go through MLflow without it, and may take minutes.
DATABASE_PATHS = ("/api/2.0/mlflow/", "/api/3.0/mlflow/", "/ajax-api/2.0/mlflow/",
                  "/ajax-api/3.0/mlflow/", "/graphql")  # fmt: skip
FILES = ("/upload-artifact", "/get-artifact", "/get-trace-artifact")


def limits(settings):
    """Requests at once in one worker, and the size of each of its two pools."""
    pool = max(HELD, CONNECTIONS // settings["workers"] // ENGINES)
    return pool // HELD, pool


def pool_variables(pool):
    """MLflow takes no overflow of 0 (it would mean the default of 10)."""
    return {
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(pool - 1),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "1",
    }


def gated(app, requests):
    """Let so many requests reach the database at once. Who waits, waits with a whole request, and
    has its answer whole before the next one's turn: a slow client takes no turn from others."""
    turn = asyncio.Semaphore(requests)

    async def answer(scope, receive, send):
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(DATABASE_PATHS) or path.endswith(FILES):
            await app(scope, receive, send)
            return
        received, more = [], True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client is gone
            received.append(message)
            more = message.get("more_body", False)
        received.reverse()
        kept = []

        async def replay():
            return received.pop() if received else await receive()

        async def keep(message):
            kept.append(message)

        async with turn:
            await app(scope, replay, keep)
        for message in kept:
            await send(message)

    return answer


def options(settings, address):
    if settings["artifact_access"] == "direct":
        # Clients read and write S3 themselves, each with its own role.
        artifacts = ["--default-artifact-root", settings["artifact_root"], "--no-serve-artifacts"]
    else:
        artifacts = ["--artifacts-destination", settings["artifact_root"]]
    place = ["--host", "127.0.0.1", "--port", str(settings["port"]), "--workers", "1"]
    return ["--backend-store-uri", address, "--allowed-hosts", ALLOWED_HOSTS, *place, *artifacts]


def telling(app):
    """Write a line for each model version that was registered; an alarm counts them."""

    async def told(scope, receive, send):
        async def answer(message):
            if message.get("status") == 200 and scope["path"].endswith("/model-versions/create"):
                print(REGISTERED, flush=True)
            await send(message)

        await app(scope, receive, answer if scope["type"] == "http" else send)

    return told


def main():
    settings = json.loads(Path(sys.argv[1]).read_bytes())
    listener = socket.socket(fileno=int(sys.argv[2]))
    requests, pool = limits(settings)
    os.environ.update(ENVIRONMENT | pool_variables(pool))

    import uvicorn  # first: MLflow's modules ask whether they are imported by a server
    from mlflow import cli, server
    from mlflow.server import fastapi_app

    def serve(command, extra_env, **_):
        if command[-1] != "mlflow.server.fastapi_app:app":
            raise RuntimeError(f"this version of MLflow starts another application: {command}")
        os.environ.update(extra_env)
        app = telling(gated(fastapi_app.app, requests))
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
        sys.exit()

    address = sys.stdin.readline().strip()
    if not address:
        return 1  # the launcher ended before the database was there
    server._exec_cmd = serve
    return cli.server.main(options(settings, address), standalone_mode=False)


if __name__ == "__main__":
    sys.exit(main())
