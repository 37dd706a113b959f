"""Acme's MLflow: the server itself, with a port for each set of rights."""

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

PORTS = json.loads(os.environ["KEYLESS_MLFLOW_PORTS"])  # this machine's, by permission set
SETTINGS = json.loads(Path(sys.argv[1]).read_bytes())
FOLDER = Path(os.environ["RUNTIME_DIRECTORY"])
os.environ |= {
    "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{FOLDER}/mlflow.db",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": str(FOLDER / "artifacts"),
    "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost:*,127.0.0.1:*",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
app = importlib.import_module("mlflow.server").app  # reads those variables
READ = ("experiments/search", "experiments/get", "runs/search", "runs/get", "metrics/get-history")
WRITE = ("experiments/create", "runs/create", "runs/update", "runs/log-")
PATHS = {"reader": READ, "train": READ + WRITE}


def may(who: str, path: str) -> bool:
    """Whether a set of rights names this path of the API; what it does not name is refused."""
    name = path.removeprefix("/api/2.0/mlflow/")
    return path == "/health" or (name != path and name.startswith(PATHS[who]))


def with_rights(who: str) -> Callable[..., Iterable[bytes]]:
    """The application of one port: whoever reaches it has its rights, and IAM decides who does."""

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if not may(who, environ["PATH_INFO"]):
            start("403 Forbidden", [])
            return [b"this port does not allow it\n"]
        answer: Iterable[bytes] = app(environ, start)
        return answer

    return application


def main() -> None:
    """Serve every port until the process ends."""
    servers = [
        make_server("127.0.0.1", port, with_rights(who), threaded=True)
        for who, port in PORTS.items()
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
