"""A model server as a process of its own, and load that notices every lost request."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.pipeline.serving import models

ROOT = Path(__file__).resolve().parents[3]
# The server's pauses, shortened: a policy is looked at every 0.2 s, a champion every 0.5 s.
PACE = 0.1
PATIENCE_SECONDS = 180.0
NOISE = ("Task was destroyed", "Exception in callback", "Traceback")


@dataclass
class Running:
    """A started server; `folder` is its store."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        return requests.post(f"{self.url}{path}", content, headers=sent, timeout=PATIENCE_SECONDS)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=PATIENCE_SECONDS)

    def models(self) -> dict[str, str]:
        found: dict[str, str] = self.get("/ready").json()["models"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(folder: Path, *options: str, state: Path | None = None) -> Iterator[Running]:
    """Start a server on a local folder and wait until it is ready."""
    port = free_port()
    log = folder / f"server-{port}.log"
    command = [sys.executable, "-m", "pipeline.serving", "--model", models.NAME]
    places = ["--local", str(folder), "--state", str(state or folder / f"state-{port}")]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COV_"))
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(*command, *places, "--port", str(port), "--pace", str(PACE)),
                *("--trusted-type", models.ODD, *options),
            ],
            cwd=ROOT,
            env=kept,
            stdout=output,
            stderr=output,
        )
    found = Running(folder, port, process, log)
    try:
        wait_until(lambda: _ready(found), f"the server is ready\n{log.read_text()}")
        yield found
    finally:
        found.stop(signal.SIGTERM)
    # What is left to the garbage collector closes connections that are no longer its own.
    said = log.read_text()
    noise = [line for line in said.splitlines() if line.startswith(NOISE)]
    assert noise == [], f"the server's log:\n{said}"


def _ready(server: Running) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return server.get("/ready").status_code == 200
    except requests.ConnectionError:
        return False


@dataclass
class Load:
    """Requests without a pause from several threads; every answer is kept."""

    url: str
    body: bytes
    threads: int = 4
    answers: list[tuple[int, str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._running = [threading.Thread(target=self._send) for _ in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join()

    def wait(self, more: int) -> None:
        """Until so many more answers came."""
        target = len(self.answers) + more
        wait_until(lambda: len(self.answers) >= target, f"{more} more answers")

    def _send(self) -> None:
        headers = {"Content-Type": "application/json"}
        with requests.Session() as session:
            while not self._stop.is_set():
                started = time.perf_counter()
                try:
                    answer = session.post(
                        f"{self.url}/invocations", self.body, headers=headers, timeout=60
                    )
                except requests.RequestException as error:
                    self.failures.append(repr(error))
                    continue
                self.seconds.append(time.perf_counter() - started)
                version = answer.json().get("model_version", "")
                self.answers.append(
                    (answer.status_code, version, answer.headers.get("X-Variant", ""))
                )

    def check(self) -> None:
        """Every request got its answer."""
        assert self.failures == []
        wrong = [answer for answer in self.answers if answer[0] != 200]
        assert wrong == [], wrong[:3]
