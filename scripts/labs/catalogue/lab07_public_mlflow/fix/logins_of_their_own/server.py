"""Acme's MLflow: the server itself, behind a login for each role."""

import base64
import hmac
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
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


ssm = boto3.client("ssm")
PASSWORDS = {
    who: ssm.get_parameter(Name=f"/lab/mlflow/{who}", WithDecryption=True)["Parameter"]["Value"]
    for who in PATHS
}


def with_login(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Let each user do what the rights of its role name."""
    path = environ["PATH_INFO"]
    given = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Basic ")
    user, _, password = base64.b64decode(given).decode().partition(":")
    known = hmac.compare_digest(PASSWORDS.get(user, "").encode(), password.encode())
    if path != "/health" and not (known and user in PASSWORDS):
        start("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="mlflow"')])
        return [b"log in\n"]
    if path != "/health" and not may(user, path):
        start("403 Forbidden", [])
        return [b"this user may not\n"]
    answer: Iterable[bytes] = app(environ, start)
    return answer


make_server("127.0.0.1", PORTS["all"], with_login, threaded=True).serve_forever()
