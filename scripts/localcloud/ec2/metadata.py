"""The instance metadata service: one endpoint per instance, version 2, and its role alone."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripts.aws.credentials import Credentials

LONGEST_TTL_SECONDS = 21600
# AWS hands out new credentials at least five minutes before the old ones end.
RENEWAL = timedelta(minutes=5)
TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105 - the header's name
TTL = "X-aws-ec2-metadata-token-ttl-seconds"


@dataclass(frozen=True)
class Identity:
    """What an instance may learn about itself. `role_name` None: no instance profile."""

    instance_id: str
    image_id: str
    instance_type: str
    account_id: str
    region: str
    zone: str
    tags: Mapping[str, str]
    user_data: bytes
    role_name: str | None
    profile_arn: str | None
    tokens_required: bool = True


class Metadata:
    """Serves one instance on a free loopback port.

    `credentials` makes a new session of the instance's role; it is called again when one nears its
    end. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """

    def __init__(self, identity: Identity, credentials: Callable[[], Credentials]) -> None:
        self.identity = identity
        self._make = credentials
        self._current: Credentials | None = None
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """The address that stands for 169.254.169.254."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def new_token(self, seconds: int) -> str:
        """A session token that is good for some seconds."""
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._tokens[token] = time.monotonic() + seconds
        return token

    def knows(self, token: str | None) -> bool:
        """Whether a token was issued here and has not ended."""
        with self._lock:
            return token is not None and self._tokens.get(token, 0) > time.monotonic()

    def read(self, path: str) -> bytes | None:
        """The answer to a GET, None for 404."""
        return _tree(self).get(path)

    def role_credentials(self) -> Credentials:
        """The role's session, renewed in time."""
        with self._lock:
            current = self._current
            if current is None or (
                current.expiration is not None and current.expiration - datetime.now(UTC) < RENEWAL
            ):
                current = self._current = self._make()
            return current


class _Lazy(dict[str, Callable[[], bytes]]):
    """Paths and what makes their answers; credentials are made only when they are asked for."""

    def get(self, path: str) -> bytes | None:  # type: ignore[override]
        make = super().get(path) or super().get(path + "/")
        return make() if make else None


def _tree(service: Metadata) -> _Lazy:
    identity = service.identity
    document = {
        "accountId": identity.account_id,
        "architecture": "arm64",
        "availabilityZone": identity.zone,
        "imageId": identity.image_id,
        "instanceId": identity.instance_id,
        "instanceType": identity.instance_type,
        "region": identity.region,
        "version": "2017-09-30",
    }
    meta = "/latest/meta-data/"
    texts = {
        meta + "ami-id": identity.image_id,
        meta + "instance-id": identity.instance_id,
        meta + "instance-type": identity.instance_type,
        meta + "placement/availability-zone": identity.zone,
        meta + "placement/region": identity.region,
        meta + "tags/instance/": "\n".join(sorted(identity.tags)),
        **{meta + f"tags/instance/{key}": value for key, value in identity.tags.items()},
        "/latest/dynamic/instance-identity/document": json.dumps(document),
    }
    tree = _Lazy({path: _constant(text.encode()) for path, text in texts.items()})
    if identity.user_data:
        tree["/latest/user-data"] = _constant(identity.user_data)
    if identity.role_name is not None:
        credentials = meta + "iam/security-credentials/"
        tree[meta + "iam/info"] = _constant(
            json.dumps({"Code": "Success", "InstanceProfileArn": identity.profile_arn}).encode()
        )
        tree[credentials] = _constant(identity.role_name.encode())
        tree[credentials + identity.role_name] = lambda: _document(service.role_credentials())
    return tree


def _constant(answer: bytes) -> Callable[[], bytes]:
    return lambda: answer


def _document(found: Credentials) -> bytes:
    assert found.expiration is not None
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": _timestamp(datetime.now(UTC)),
            "Type": "AWS-HMAC",
            "AccessKeyId": found.access_key_id,
            "SecretAccessKey": found.secret_access_key,
            "Token": found.session_token,
            "Expiration": _timestamp(found.expiration),
        }
    ).encode()


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(BaseHTTPRequestHandler):
    service: Metadata
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Issue a token. A request that came through a proxy gets none."""
        if self.path != "/latest/api/token":
            self._answer(404)
        elif "X-Forwarded-For" in self.headers:
            self._answer(403)
        else:
            self._token(self.headers.get(TTL, ""))

    def _token(self, wanted: str) -> None:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= LONGEST_TTL_SECONDS:
            self._answer(400)
            return
        token = self.service.new_token(int(wanted))
        self._answer(200, token.encode(), {TTL: wanted})

    def do_GET(self) -> None:
        """Answer who has a token; without one only if the instance still allows version 1."""
        given = self.headers.get(TOKEN)
        needed = self.service.identity.tokens_required or given is not None
        if needed and not self.service.knows(given):
            self._answer(401)
            return
        try:
            answer = self.service.read(self.path)
        except Exception:  # noqa: BLE001 - the role cannot be assumed: the path has no answer
            answer = None
        self._answer(404 if answer is None else 200, answer or b"")

    def _answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: a path may name a role, and nobody reads it."""
