"""MLflow's artifact server, started with the session of its role, and requests to it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.files import write_private
from scripts.iam.account.decision_log import LogError, Record, read_log
from scripts.labs.running import LabRun
from scripts.labs.trial import Refused
from scripts.localcloud import home as localhome

ARTIFACTS = "artifacts/"
CHAMPION = "champion/model.txt"
OF_A_RUN = "runs/1/model.txt"
NAME = "mlflow"
SESSION = "mlflow-session"
"""In the lab's home: the credentials that the server reads, once its role exists."""
LOG = "mlflow.log"
ROLE = "lab-mlflow"
LOG_SECONDS = 10.0
"""The log is written behind the requests."""
OFF = "off: artifacts go straight to S3"
FRESH_SECONDS = 1800
"""A session lasts an hour; the server gets a new one when a check finds it older than this."""
START_SECONDS = 120


def ask(home: Path, address: str, method: str, path: str, body: bytes | None = None) -> str:
    """Ask the artifact server. Raises Refused where it serves none or its role was refused.

    MLflow answers 500 for what its role may not, and 200 for a deletion that S3 refused: the
    decision log of the lab's `home` says which it was.
    """
    log = home / localhome.DECISIONS_FILE
    before = log.stat().st_size
    if not address.startswith("http"):
        raise Refused("MLflow serves no artifacts")
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow-artifacts/artifacts/{path}", data=body, method=method
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            said = str(answer.read().decode())
        patience = 1.0 if method == "DELETE" else 0.0
        failure = None
    except urllib.error.HTTPError as error:
        failure, patience, said = error, LOG_SECONDS, ""
        error.close()
    if patience and (denied := _denied(log, before, path, patience)):
        raise Refused(f"{denied.role} was denied {denied.action} on {denied.resource}")
    if failure is not None:
        raise failure
    return said


def _denied(log: Path, before: int, path: str, seconds: float) -> Record | None:
    """The denial of the server's role about a path since then, as soon as it is in the log."""
    deadline = time.monotonic() + seconds
    while True:
        found = []
        with suppress(LogError):
            found = [
                one
                for one in read_log(log, before)
                if one.role == ROLE and not one.allowed and one.resource.endswith(path)
            ]
        if found or time.monotonic() > deadline:
            return found[0] if found else None
        time.sleep(0.05)


def address(run: LabRun) -> str:
    """Where the artifact server is, or that there is none."""
    found = run.record.kept.get(NAME)
    return str(found["address"]) if found else OFF


def follow(run: LabRun, mode: str, session: Credentials | None) -> None:
    """Start, renew or stop the server, as the parameter says. Raises UserError."""
    found: dict[str, Any] = run.record.kept.get(NAME) or {}
    running = bool(found) and localhome.alive(found["pid"], found["started"], run.home)
    has_session = (run.home / SESSION).exists()
    fresh = running and time.time() - found["started"] < FRESH_SECONDS
    if mode == "proxied" and has_session and fresh:
        return
    wanted = mode == "proxied" and session is not None
    if running and (has_session or not wanted):
        _stop(found["pid"])
        running = False
    if not running:
        run.record.kept.pop(NAME, None)
    if wanted:
        assert session is not None
        _hand_over(run, session)
        if not running:
            begin(run)
        _await(run)
    run.save()
    run.give("mlflow.txt", address(run) + "\n")


def begin(run: LabRun) -> None:
    """Start the server; it may load before its role exists, and reads its session when asked."""
    run.record.kept[NAME] = _start(run)
    run.save()


def _hand_over(run: LabRun, session: Credentials) -> None:
    keys = session.environment().items()
    lines = [f"{name.lower()} = {value}" for name, value in keys]
    write_private(run.home / SESSION, "\n".join(["[default]", *lines, ""]))


def _stop(pid: int) -> None:
    process = psutil.Process(pid)
    family = [*process.children(recursive=True), process]
    for one in family:
        one.kill()
    psutil.wait_procs(family, timeout=30)


def _start(run: LabRun) -> dict[str, object]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    destination = f"s3://lab-models-{run.account_id}/{ARTIFACTS.rstrip('/')}"
    options = ["--artifacts-only", "--artifacts-destination", destination, "--workers", "1"]
    variables = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Else it starts eight more processes, for jobs of language models.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "AWS_SHARED_CREDENTIALS_FILE": str(run.home / SESSION),
    }
    log = run.home / LOG
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--port", str(port), *options],
            cwd=run.home,
            env=run.environment(None, variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process.returncode = 0  # it outlives us on purpose: Popen need not warn of it
    return {
        "pid": process.pid,
        "started": psutil.Process(process.pid).create_time(),
        "address": f"http://127.0.0.1:{port}",
    }


def _await(run: LabRun) -> None:
    """Wait until the server answers. Raises UserError."""
    found = run.record.kept[NAME]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and localhome.alive(found["pid"], found["started"], run.home):
        try:
            with opener.open(f"{found['address']}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    why = (run.home / LOG).read_text(errors="replace")[-800:]
    raise UserError("MLflow's artifact server did not start", why=why)
