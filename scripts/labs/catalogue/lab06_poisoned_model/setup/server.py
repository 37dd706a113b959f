"""Acme's model server: loads the champion, and predicts."""

import json
import os
import pickle
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3

BUCKET = json.loads(Path(sys.argv[1]).read_bytes())["bucket"]
s3 = boto3.client("s3")


def predict(x: float) -> float:
    """Load the champion and ask it."""
    body = s3.get_object(Bucket=BUCKET, Key="champion/model.pkl")["Body"].read()
    return pickle.loads(body)(x)  # type: ignore[no-any-return]  # noqa: S301 - the flaw of this lab


class Handler(BaseHTTPRequestHandler):
    """Answers /health and /predict?x=NUMBER."""

    def do_GET(self) -> None:
        """Answer; what fails is shown."""
        path, _, query = self.path.partition("?")
        try:
            if path == "/predict":
                x = float(urllib.parse.parse_qs(query)["x"][0])
                self.answer(200, {"prediction": predict(x)})
            else:
                self.answer(200, {"health": "ok"})
        except Exception as failure:  # noqa: BLE001 - the caller sees it
            self.answer(500, {"error": f"{type(failure).__name__}: {failure}"})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        """Send a JSON object."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


ThreadingHTTPServer(("127.0.0.1", int(os.environ["KEYLESS_SERVING_PORT"])), Handler).serve_forever()
