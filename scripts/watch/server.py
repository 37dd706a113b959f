"""Serves the page on loopback to whoever knows its token, and to nobody else."""

from __future__ import annotations

import hmac
import json
import secrets
import sys
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scripts.iam.account.decision_log import Record
from scripts.localcloud import home as localhome
from scripts.localcloud.home import CloudDown
from scripts.watch import tail

HOST = "127.0.0.1"
PAGE = Path(__file__).resolve().parent / "page"
FILES = {
    "": ("index.html", "text/html"),
    "watch.js": ("watch.js", "text/javascript"),
    "watch.css": ("watch.css", "text/css"),
}
HEADERS = {
    # The page loads its own two files and asks its own server; anything else is a fault.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ADMINISTRATOR = "AWSReservedSSO_"
"""How the roles of people begin, as AWS's Identity Center names them."""
Story = Callable[[], dict[str, Any] | None]


class WatchServer(ThreadingHTTPServer):
    """The page of one home's local cloud. `story` is a lab's; None for a plain cloud."""

    daemon_threads = True

    def __init__(self, home: Path, story: Story = lambda: None, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.home = home
        self.story = story
        self.token = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        """Where to look, with the token."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> set[str]:
        """What a browser that was led here says in its Host header: never another name."""
        return {f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no failure."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    protocol_version = "HTTP/1.1"
    server_version = "keyless"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        """Answer the page, its files and its questions."""
        if self.headers.get_all("Host") not in [[host] for host in self.server.hosts]:
            # A name that was made to lead here (DNS rebinding) shows its own in the header.
            self._refuse("this page is for 127.0.0.1 only")
            return
        asked = urlsplit(self.path)
        token, _, name = asked.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse("no token, or not this page's: use the address that was printed")
            return
        if name in FILES:
            file, kind = FILES[name]
            self._answer(200, (PAGE / file).read_bytes(), kind)
            return
        question = _QUESTIONS.get(name)
        if question is None:
            self._json(404, {"error": "there is no such page"})
            return
        try:
            self._json(*question(self.server, parse_qs(asked.query)))
        except Exception as failure:  # noqa: BLE001 - one question fails, the page goes on
            traceback.print_exc()
            self._json(500, {"error": f"{type(failure).__name__}: {failure}"})

    def _refuse(self, why: str) -> None:
        self.close_connection = True
        self._json(403, {"error": why})

    def _json(self, status: int, content: Any) -> None:
        self._answer(status, json.dumps(content).encode(), "application/json")

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Write no log: addresses hold the token."""


Asked = dict[str, list[str]]
Answer = tuple[int, dict[str, Any]]


def _decisions(server: WatchServer, asked: Asked) -> Answer:
    log, after = asked.get("log", [""])[0], _number(asked, "after")
    if after is None:
        return 400, {"error": "after is a number of bytes"}
    found = tail.read(server.home / localhome.DECISIONS_FILE, log, after)
    return 200, {
        "log": found.log,
        "end": found.end,
        "fresh": found.fresh,
        "left_out": found.left_out,
        "unreadable": found.unreadable,
        "running": _runs(server.home),
        "lines": [_row(line) for line in found.lines],
    }


def _row(line: tail.Line) -> dict[str, Any]:
    record = line.record
    return {
        "at": line.at,
        "time": record.time,
        "request_id": record.request_id,
        "who": _who(record),
        "principal": record.principal,
        "administrator": (record.role or "").startswith(ADMINISTRATOR),
        "action": record.action,
        "resource": record.resource,
        "allowed": record.allowed,
        "reason": record.reason,
        "policy": record.policy,
        "statement": record.statement,
        "via": record.via,
        "probe": record.probe,
    }


def _who(record: Record) -> str:
    """A role's name; of a job that has no role yet, the subject of its token."""
    if record.role is not None:
        return record.role
    host = record.principal.partition(":oidc-provider/")[2]
    subject = record.keys.get(f"{host}:sub", ()) if host else ()
    return subject[0] if subject else record.principal.rpartition(":")[2]


def _explain(server: WatchServer, asked: Asked) -> Answer:
    place = _number(asked, "at")
    record = None
    if place is not None:
        path = server.home / localhome.DECISIONS_FILE
        record = tail.at(path, asked.get("log", [""])[0], place)
    if record is None:
        return 404, {"error": "this decision is no longer in the log; the cloud began another one"}
    try:
        cloud = localhome.load(server.home)
    except CloudDown:
        return 409, {"error": "the local cloud does not run; its policies are gone with it"}
    # boto3 is large, and a page that nobody asks needs none.
    from scripts.watch.explained import explained

    return 200, explained(cloud, record)


def _story(server: WatchServer, _: Asked) -> Answer:
    return 200, {"lab": server.story()}


def _number(asked: Asked, name: str) -> int | None:
    text = asked.get(name, ["0"])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _runs(home: Path) -> bool:
    try:
        localhome.load(home)
    except CloudDown:
        return False
    return True


_QUESTIONS: dict[str, Callable[[WatchServer, Asked], Answer]] = {
    "decisions": _decisions,
    "explain": _explain,
    "story": _story,
}
