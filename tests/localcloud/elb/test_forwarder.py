"""The forwarding load balancer: weights, health, and what a client sees of dead targets."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from scripts.localcloud.elb.forwarder import Forwarder, Group

pytestmark = pytest.mark.slow


class Target:
    """A server that answers with its name; `status` is what its health check says."""

    def __init__(self, name: str) -> None:
        self.status = 200
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.answer(target.status if self.path == "/ready" else 200, name.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                said = f"{name} {self.path} {self.headers['X-Test']} ".encode() + body
                self.answer(201, said)

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Target", name)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def targets() -> Iterator[dict[str, Target]]:
    found = {name: Target(name) for name in ("blue", "green", "second")}
    yield found
    for target in found.values():
        target.stop()


Listen = Callable[[list[Group]], str]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Start a listener on a list of groups, which the test may change afterwards."""
    open_ones: list[Forwarder] = []

    def start(groups: list[Group]) -> str:
        forwarder = Forwarder(lambda: list(groups), None)
        forwarder.start()
        open_ones.append(forwarder)
        wanted = [port for group in groups for port in group.ports]
        deadline = time.monotonic() + 20
        while not all(map(forwarder.healthy, wanted)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return f"http://127.0.0.1:{forwarder.port}"

    yield start
    for forwarder in open_ones:
        forwarder.stop()


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def group(*targets: Target, weight: int = 1, name: str = "group") -> Group:
    ports = tuple(target.port for target in targets)
    return Group(name, weight, ports, "/ready", interval=0.05)


def seen(address: str, count: int) -> Counter[str]:
    with requests.Session() as session:
        return Counter(session.get(f"{address}/x", timeout=20).text for _ in range(count))


def test_a_request_is_passed_on_as_it_came(listen: Listen, targets: dict[str, Target]) -> None:
    address = listen([group(targets["blue"])])
    found = requests.post(f"{address}/a/b?c=d%20e", b"body", headers={"X-Test": "1"}, timeout=20)

    assert (found.status_code, found.text) == (201, "blue /a/b?c=d%20e 1 body")
    assert found.headers["X-Target"] == "blue"


def test_traffic_follows_the_weights(listen: Listen, targets: dict[str, Target]) -> None:
    groups = [group(targets["blue"], weight=3), group(targets["green"], weight=1, name="green")]
    found = seen(listen(groups), 400)

    assert set(found) == {"blue", "green"}
    assert abs(found["green"] - 100) < 4 * (400 * 0.25 * 0.75) ** 0.5


def test_weights_that_change_count_at_once(listen: Listen, targets: dict[str, Target]) -> None:
    groups = [group(targets["blue"], weight=100), group(targets["green"], weight=0, name="green")]
    address = listen(groups)
    assert seen(address, 10) == {"blue": 10}
    groups[:] = [
        group(targets["blue"], weight=0),
        group(targets["green"], weight=100, name="green"),
    ]

    assert seen(address, 10) == {"green": 10}


def test_an_unhealthy_target_gets_nothing(listen: Listen, targets: dict[str, Target]) -> None:
    address = listen([group(targets["blue"], targets["second"])])
    targets["second"].status = 503
    deadline = time.monotonic() + 20
    while len(seen(address, 10)) > 1:
        assert time.monotonic() < deadline


def test_a_group_of_unhealthy_targets_is_used_all_the_same(
    listen: Listen, targets: dict[str, Target]
) -> None:
    address = listen([group(targets["blue"])])
    targets["blue"].status = 503
    time.sleep(0.3)  # several checks fail meanwhile

    assert seen(address, 5) == {"blue": 5}


def test_a_listener_without_targets_is_unavailable(listen: Listen) -> None:
    assert requests.get(listen([]), timeout=20).status_code == 503


def test_a_target_that_is_gone_loses_no_request(listen: Listen, targets: dict[str, Target]) -> None:
    groups = [group(targets["blue"])]
    address = listen(groups)
    groups[0] = Group("group", 1, (closed_port(), targets["blue"].port), "/ready", interval=0.05)

    assert seen(address, 50) == {"blue": 50}


def test_without_any_target_the_answer_is_an_error_of_the_gateway(
    listen: Listen, targets: dict[str, Target]
) -> None:
    groups = [group(targets["blue"])]
    address = listen(groups)
    groups[0] = Group("group", 1, (closed_port(),), "/ready", interval=0.05)

    assert requests.get(address, timeout=20).status_code == 502
