"""What serves MLflow on the instance, as a process on its four ports."""

from __future__ import annotations

import http.client
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import ROOT

SERVER = ROOT / "terraform" / "modules" / "mlflow_server" / "files" / "server"
SETS = ("read", "train", "promote", "operate")
API = "/api/2.0/mlflow"
START_SECONDS = 240
JSON = {"Content-Type": "application/json"}
RUN_OF_TRACE = "mlflow.sourceRun"

if str(SERVER) not in sys.path:
    sys.path.insert(0, str(SERVER))

# The same server with every control taken out: what must be refused is then done.
UNGUARDED = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import front, worker

def named(self, call, operation, method, headers):
    call.operation, call.changes = operation, True

front.Front.begin = named
front.Front.judge = lambda self, call, message, arguments: None
front.Front.judge_target = lambda self, call, arguments, headers: None
front.Front.after = lambda self, response: response
front.Database.follow = lambda self: None
front.Traces.follow = lambda self: None
sys.exit(worker.main())
"""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body or b"null")

    @property
    def refused(self) -> bool:
        """Whether the guard said no, in MLflow's own words."""
        return self.status == 403 and self.json["error_code"] == "PERMISSION_DENIED"


class Box:
    """Workers on free ports, as the launcher starts them; a port is known by its set's name."""

    def __init__(
        self,
        database: str,
        folder: Path,
        *,
        access: str = "proxied",
        guarded: bool = True,
        workers: int = 1,
    ) -> None:
        folder.mkdir(parents=True)
        self.root, self.log = folder / "artifacts", folder / "server.log"
        self.root.mkdir()
        listeners = {name: _listener() for name in SETS}
        self.ports = {name: one.getsockname()[1] for name, one in listeners.items()}
        settings = folder / "server.json"
        settings.write_text(json.dumps(self._settings(access)))
        script = [str(SERVER / "worker.py")] if guarded else ["-c", UNGUARDED, str(SERVER)]
        sockets = [f"{name}={one.fileno()}" for name, one in listeners.items()]
        with self.log.open("wb") as log:
            self.processes = [
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", *script, str(settings), *sockets],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[one.fileno() for one in listeners.values()],
                    cwd=folder,
                )
                for _ in range(workers)
            ]
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{database}\n".encode())
            process.stdin.close()
        for one in listeners.values():
            one.close()

    def _settings(self, access: str) -> dict[str, Any]:
        example: dict[str, Any] = json.loads((SERVER.parent / "server.example.json").read_text())
        return example | {"artifact_root": str(self.root), "artifact_access": access}

    def wait(self) -> Box:
        """Wait until it answers; returns itself."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert all(one.poll() is None for one in self.processes), self.log.read_text()[-3000:]
            try:
                if self.send("read", "GET", "/health").status == 200:
                    return self
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"no answer within {START_SECONDS} s: {self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it in order."""
        for one in self.processes:
            one.send_signal(signal.SIGTERM)
        assert [one.wait(60) for one in self.processes] == [0] * len(self.processes), (
            self.log.read_text()[-3000:]
        )

    def uri(self, name: str) -> str:
        """The address that MLflow's client takes."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def send(
        self,
        name: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """One request to the port of a set."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def call(self, by: str, path: str, method: str = "POST", /, **fields: Any) -> Answer:
        """One request of MLflow's REST API; the path is below /api/2.0/mlflow unless absolute."""
        place = path if path.startswith("/") else f"{API}/{path}"
        return self.send(by, method, place, json.dumps(fields).encode(), JSON)

    def ok(self, by: str, path: str, method: str = "POST", /, **fields: Any) -> Any:
        """The same, which has to succeed; returns the body."""
        answer = self.call(by, path, method, **fields)
        assert answer.status == 200, (path, answer)
        return answer.json

    def raw(self, name: str, sent: bytes) -> bytes:
        """Send bytes on one connection, and read until the server closes it or says no more."""
        with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=10) as connection:
            connection.sendall(sent)
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
            except TimeoutError:
                pass
            return received

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """What the guard wrote: its lines of one kind, "change" or "refused"."""
        found = [
            json.loads(line.partition("guard: ")[2])
            for line in self.log.read_text(errors="replace").splitlines()
            if line.startswith("guard: ")
        ]
        return [line for line in found if kind in line]


class World:
    """Records to attack: a champion and a challenger, each from a finished run, and an open run."""

    def __init__(self, box: Box, name: str) -> None:
        self.box, self.name = box, name
        self.experiment = box.ok("operate", "experiments/create", name=name)["experiment_id"]
        self.finished, self.open = self.run(), self.run()
        self.model = self.logged_model(self.finished)
        box.ok("operate", "registered-models/create", name=name)
        for _ in range(2):
            source = f"models:/{self.model}"
            box.ok(
                "operate", "model-versions/create", name=name, source=source, model_id=self.model
            )
        self.trace = self.traced(RUN_OF_TRACE, self.finished)
        self.set_alias("champion", "1")
        self.set_alias("challenger", "2")
        box.ok("operate", "runs/log-metric", run_id=self.finished, key="m", value=1, timestamp=1)
        box.ok("operate", "runs/update", run_id=self.finished, status="FINISHED", end_time=2)

    def run(self) -> str:
        """A new run."""
        made = self.box.ok("operate", "runs/create", experiment_id=self.experiment, run_name="name")
        return str(made["run"]["info"]["run_id"])

    def logged_model(self, run: str, *, ready: bool = True) -> str:
        """A new logged model of a run."""
        given = {"experiment_id": self.experiment, "source_run_id": run, "name": "model"}
        made = self.box.ok("operate", "logged-models", **given)["model"]["info"]["model_id"]
        if ready:
            self.box.ok(
                "operate",
                f"logged-models/{made}",
                "PATCH",
                model_id=made,
                status="LOGGED_MODEL_READY",
            )
        return str(made)

    def traced(self, key: str, value: str) -> str:
        """A new trace with this metadata."""
        identity = f"tr-{secrets.token_hex(16)}"
        self.box.ok(
            "operate", "/api/3.0/mlflow/traces",
            **start_of_trace(self.experiment, identity, {key: value}),
        )  # fmt: skip
        return identity

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self.box.ok(
            "operate", "registered-models/alias", name=self.name, alias=alias, version=version
        )

    def alias(self, alias: str) -> str | None:
        """The version that an alias names."""
        path = f"{API}/registered-models/alias?name={self.name}&alias={alias}"
        answer = self.box.send("operate", "GET", path)
        return answer.json["model_version"]["version"] if answer.status == 200 else None

    def state(self) -> Any:
        """Everything that is recorded of this world, as the server tells it."""
        box, parts = self.box, []
        for path in (
            f"experiments/get?experiment_id={self.experiment}",
            f"runs/get?run_id={self.finished}",
            f"runs/get?run_id={self.open}",
            f"registered-models/get?name={self.name}",
            f"model-versions/get?name={self.name}&version=1",
            f"model-versions/get?name={self.name}&version=2",
            f"logged-models/{self.model}",
            f"metrics/get-history?run_id={self.finished}&metric_key=m",
        ):
            answer = box.send("operate", "GET", f"{API}/{path}")
            parts.append((path, answer.status, _without_times(answer.json)))
        named = {"experiment_id": self.experiment}
        where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": named}
        path = "/api/3.0/mlflow/traces/search"
        parts.append((path, 200, box.ok("operate", path, locations=[where])))
        found = box.ok("operate", "runs/search", experiment_ids=[self.experiment], run_view_type=3)
        parts.append(("runs", 200, len(found.get("runs", []))))
        found = box.ok("operate", "logged-models/search", experiment_ids=[self.experiment])
        parts.append(("models", 200, len(found.get("models", []))))
        parts.append(("aliases", 200, (self.alias("champion"), self.alias("challenger"))))
        files = sorted(str(path.relative_to(box.root)) for path in box.root.rglob("*"))
        parts.append(("files", 200, [one for one in files if self.finished in one]))
        return parts


def start_of_trace(
    experiment: str, identity: str, metadata: Mapping[str, str], **more: Any
) -> dict[str, Any]:
    """A request that starts a trace."""
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    info = {
        "trace_id": identity, "trace_location": location, "state": "OK",
        "request_time": "2026-01-01T00:00:00Z", "trace_metadata": dict(metadata), **more,
    }  # fmt: skip
    return {"trace": {"trace_info": info}}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_times(one)
            for key, one in value.items()
            if not key.startswith("last_update")
        }
    # A database gives rows in any order: aliases came in another one after a clean-up of its own.
    return sorted(map(_without_times, value), key=repr) if isinstance(value, list) else value


def _listener() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made


def request_bytes(
    path: str,
    fields: Mapping[str, Any],
    *,
    method: str = "POST",
    headers: Sequence[str] = (),
    host: str = "localhost",
) -> bytes:
    """A request as it stands on the wire."""
    body = json.dumps(fields).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
