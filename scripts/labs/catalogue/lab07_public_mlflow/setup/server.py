"""Acme's MLflow: the server itself, behind a login."""

import base64
import importlib
import json
import os
import sys
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
    "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
app = importlib.import_module("mlflow.server").app  # reads those variables
USERS = {"admin": "password1234"}  # MLflow's own default

Answer = Iterable[bytes]


def with_login(environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
    """Let whoever knows a login do everything."""
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    user, _, password = base64.b64decode(given).decode().partition(":")
    known = scheme == "Basic" and USERS.get(user) == password
    if environ["PATH_INFO"] != "/health" and not known:
        start("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="mlflow"')])
        return [b"log in\n"]
    answer: Iterable[bytes] = app(environ, start)
    return answer


make_server("127.0.0.1", PORTS["all"], with_login, threaded=True).serve_forever()
