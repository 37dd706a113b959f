"""The check of an idle set: waited for while it starts, failed by one wrong answer."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.rollouts.observed.verify import REQUESTS, START_LIMIT, IdleSet
from pipeline.rollouts.policy import TrafficPolicy
from pipeline.serving.config import Served

from .conftest import MakePolicy

pytestmark = pytest.mark.slow

PLAN = {"kind": "blue_green", "target": "green", "replayed": 5}


class Servers:
    """An idle set of one server: what it has loaded, and how it answers."""

    def __init__(self) -> None:
        self.models = {"challenger": "2"}
        self.ready, self.fails_on = 200, ""
        self.asked: list[tuple[str, str]] = []
        idle = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(idle.ready, {"models": idle.models})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                idle.asked.append((self.path, body))
                broken = idle.fails_on and idle.fails_on in body
                self._answer(500 if broken else 200, {"error": "no such column"})

            def _answer(self, status: int, value: Any) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def idle() -> Iterator[Servers]:
    found = Servers()
    yield found
    found.stop()


@pytest.fixture
def place(tmp_path: Path) -> Served:
    """A model with two requests that were kept as they came."""
    found = Served("small", folder=tmp_path)
    kept = [{"kind": "row", "body": '{"a": 1}'}, {"kind": "csv", "body": "a\n2\n"}]
    found.store.put(found.key("predictions", REQUESTS, "1.json"), json.dumps(kept).encode())
    return found


@pytest.fixture
def policy(make_policy: MakePolicy) -> Callable[..., TrafficPolicy]:
    def begun(ago: timedelta = timedelta()) -> TrafficPolicy:
        since = datetime.now(UTC) - ago
        return make_policy(strategy=PLAN, share=0.0, progress={"since": since})

    return begun


def test_a_set_that_answers_what_was_asked_before_passes(
    idle: Servers,
    place: Served,
    policy: Callable[..., TrafficPolicy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):  # which knows no way to this machine's own ports
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    found = IdleSet(place, idle.url).verify(policy())
    assert found is not None and found.passed
    assert "5 replayed requests were answered" in found.sentence
    assert idle.asked[:2] == [("/predict", '{"a": 1}'), ("/invocations", "a\n2\n")]


def test_one_request_that_fails_fails_the_set(
    idle: Servers, place: Served, policy: Callable[..., TrafficPolicy]
) -> None:
    idle.fails_on = "2"
    found = IdleSet(place, idle.url).verify(policy())
    assert found is not None and not found.passed
    assert "failed on request 2 of 5" in found.sentence and "no such column" in found.sentence


def test_a_set_that_starts_is_waited_for_and_not_for_ever(
    idle: Servers, place: Served, policy: Callable[..., TrafficPolicy]
) -> None:
    """Servers of an idle set start with the rollout: at first nobody listens, then 503 comes."""
    late = policy(START_LIMIT)
    nobody = IdleSet(place, "http://127.0.0.1:1")
    assert nobody.verify(policy()) is None
    found = nobody.verify(late)
    assert found is not None and not found.passed and "does not answer" in found.sentence
    idle.ready = 503
    assert IdleSet(place, idle.url).verify(policy()) is None
    idle.ready, idle.models = 200, {"champion": "1"}
    assert IdleSet(place, idle.url).verify(policy()) is None
    found = IdleSet(place, idle.url).verify(late)
    assert found is not None and "no version 2 loaded" in found.sentence
    assert idle.asked == []


def test_without_requests_to_replay_the_check_waits_for_some(
    idle: Servers, tmp_path: Path, policy: Callable[..., TrafficPolicy]
) -> None:
    fresh = IdleSet(Served("small", folder=tmp_path), idle.url)
    assert fresh.verify(policy()) is None
    found = fresh.verify(policy(START_LIMIT))
    assert found is not None and "no recent requests" in found.sentence
