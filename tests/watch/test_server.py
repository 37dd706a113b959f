"""Who gets the page and who does not, and that it needs nothing from elsewhere."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.watch.server import FILES, HOST, PAGE, WatchServer
from tests.watch.test_tail import record

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WatchServer]:
    log = record(1) + record(2, resource=HOSTILE, allowed=False, reason="no identity-based policy")
    (tmp_path / "decisions.jsonl").write_bytes(log)
    with WatchServer(tmp_path) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def get(
    server: WatchServer, path: str, *, method: str = "GET", hosts: list[str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        for host in [f"{HOST}:{server.server_port}"] if hosts is None else hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def asked(server: WatchServer, question: str) -> tuple[int, dict[str, Any]]:
    status, _, content = get(server, f"/{server.token}/{question}")
    return status, json.loads(content)


@pytest.mark.parametrize("name", [*FILES, "decisions", "explain?at=0", "story", "none"])
@pytest.mark.parametrize("token", ["", "x", "{token}x", "{short}", "%00", "é"])
def test_without_the_token_nothing_is_answered(server: WatchServer, name: str, token: str) -> None:
    given = token.format(token=server.token, short=server.token[:-1])
    connection = f"/{given}/{name}".encode().decode("latin-1")
    status, _, content = get(server, connection.replace("\u00c3\u00a9", "%C3%A9"))
    assert status == 403
    assert b"request-1" not in content
    assert server.token.encode() not in content


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["evil.example:{port}"],
        ["{host}"],
        ["{host}:1"],
        ["127.0.0.1.evil.example:{port}"],
        ["{host}:{port}", "evil.example"],
        [],
    ],
)
def test_another_name_that_leads_here_is_refused(server: WatchServer, hosts: list[str]) -> None:
    given = [one.format(host=HOST, port=server.server_port) for one in hosts]
    status, _, content = get(server, f"/{server.token}/decisions", hosts=given)
    assert status == 403
    assert b"request-1" not in content


def test_localhost_is_this_machine(server: WatchServer) -> None:
    assert get(server, f"/{server.token}/", hosts=[f"localhost:{server.server_port}"])[0] == 200


def test_it_listens_on_loopback_alone(server: WatchServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_two_pages_have_two_tokens_of_their_own(tmp_path: Path) -> None:
    with WatchServer(tmp_path) as one, WatchServer(tmp_path) as other:
        assert one.token != other.token
        assert len(one.token) >= 32


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_it_only_shows(server: WatchServer, method: str) -> None:
    assert get(server, f"/{server.token}/decisions", method=method)[0] == 501


def test_a_browser_is_told_to_load_nothing_else(server: WatchServer) -> None:
    for name in (*FILES, "decisions"):
        status, headers, _ = get(server, f"/{server.token}/{name}")
        assert status == 200
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Cache-Control"] == "no-store"


def test_no_file_of_the_page_names_another_host() -> None:
    for name, _ in FILES.values():
        text = (PAGE / name).read_text()
        assert "//" not in re.sub(r"(?m)^\s*//.*$|; // .*$", "", text)
        assert "url(" not in text
        assert "@import" not in text
    links = re.findall(r'(?:src|href)="([^"]+)"', (PAGE / "index.html").read_text())
    assert {link for link in links if link != "data:,"} == {"watch.js", "watch.css"}


def test_the_page_says_who_was_denied_what_and_by_which_statement(server: WatchServer) -> None:
    status, found = asked(server, "decisions")
    assert status == 200
    assert [(line["who"], line["allowed"]) for line in found["lines"]] == [
        ("train", True),
        ("train", False),
    ]
    assert found["lines"][1]["resource"] == HOSTILE
    assert found["running"] is False
    assert asked(server, f"decisions?log={found['log']}&after={found['end']}")[1]["lines"] == []


@pytest.mark.parametrize("after", ["x", "-1", "1e9", "9" * 40, "٣"])
def test_a_place_that_is_no_number_is_refused(server: WatchServer, after: str) -> None:
    from urllib.parse import quote

    assert asked(server, f"decisions?after={quote(after)}")[0] == 400


def test_a_decision_that_is_gone_is_not_explained(server: WatchServer) -> None:
    assert asked(server, "explain?log=other&at=0")[0] == 404
    assert asked(server, "explain?at=1")[0] == 404


def test_without_a_cloud_the_explanation_says_so(server: WatchServer) -> None:
    log = asked(server, "decisions")[1]["log"]
    status, found = asked(server, f"explain?log={log}&at=0")
    assert status == 409
    assert "does not run" in found["error"]


def test_a_question_that_fails_leaves_the_page_running(
    server: WatchServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ValueError("damaged")

    server.story = broken
    assert asked(server, "story") == (500, {"error": "ValueError: damaged"})
    assert asked(server, "decisions")[0] == 200
    assert "damaged" in capsys.readouterr().err
