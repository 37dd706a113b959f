"""Acme's service: counts customers, and shows previews of links."""

import json
import os
import sys
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from psycopg2 import connect

ssm = boto3.client("ssm")


def password() -> str:
    """Ask when it is needed: nobody but the role may, and no file has it."""
    found = ssm.get_parameter(Name=SETTINGS["password_parameter"], WithDecryption=True)
    return str(found["Parameter"]["Value"])


METADATA = "http://169.254.169.254"
SETTINGS = json.loads(Path(sys.argv[1]).read_bytes())


def customers() -> str:
    """Count them. The address and port of this machine stand for the database's own."""
    with (
        connect(
            host=SETTINGS["host"],
            dbname="shop",
            user="app",
            password=password(),
            sslmode="verify-full",
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*), max(name) FROM customers")
        return json.dumps(cursor.fetchone())


def preview(url: str) -> str:
    """Fetch a link. No laptop has 169.254.169.254: the local cloud's service stands for it."""
    here = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"].rstrip("/")
    if url.startswith(METADATA):
        url = here + url.removeprefix(METADATA)
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read(100_000).decode(errors="replace"))


class Handler(BaseHTTPRequestHandler):
    """Answers /health, /customers and /preview?url=LINK."""

    def do_GET(self) -> None:
        """Answer; what fails is shown."""
        path, _, query = self.path.partition("?")
        try:
            if path == "/customers":
                text = customers()
            elif path == "/preview":
                text = preview(urllib.parse.parse_qs(query)["url"][0])
            else:
                text = "ok"
            self.answer(200, text)
        except Exception as failure:  # noqa: BLE001 - the page shows it
            self.answer(502, f"{type(failure).__name__}: {failure}")

    def answer(self, status: int, text: str) -> None:
        """Send a text."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


ThreadingHTTPServer(("127.0.0.1", int(os.environ["KEYLESS_SERVING_PORT"])), Handler).serve_forever()
