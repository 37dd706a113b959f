"""The instance metadata service: one endpoint per instance, version 2, and its role alone."""

from __future__ import annotations

import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scripts.aws.credentials import Credentials
from scripts.localcloud.access.errors import Answer
from scripts.localcloud.access.incoming import Incoming
from scripts.localcloud.server import Server

_log = logging.getLogger(__name__)
LONGEST_TTL_SECONDS = 21600
# AWS hands out new credentials at least five minutes before the old ones end.
RENEWAL = timedelta(minutes=5)
TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105 - the header's name
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
# The service answers under each of its versions, as clients of that time ask.
VERSIONS = (
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01",
    "2008-09-01", "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25",
    "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02", "2018-03-28",
    "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23",
    "2021-07-15", "2022-09-24",
)  # fmt: skip
_now = time.monotonic


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
    enabled: bool = True


class Metadata:
    """Serves one instance on a free loopback port.

    `credentials` makes a new session of the instance's role, as version "1.0" or "2.0" delivers it
    (the session carries which); it is called again when one nears its end, or has `ended` before.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """

    def __init__(
        self,
        identity: Identity | Callable[[], Identity],
        credentials: Callable[[str], Credentials],
        ended: Callable[[Credentials], bool] = lambda _: False,
    ) -> None:
        self._identity = identity
        self._make = credentials
        self._ended = ended
        self._current: dict[str, Credentials] = {}
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()
        self._server = Server(self._handle, threads=2)
        self.port = self._server.port
        self._server.start()

    @property
    def identity(self) -> Identity:
        """The instance as it is now: its options may change while it runs."""
        return self._identity() if callable(self._identity) else self._identity

    @property
    def endpoint(self) -> str:
        """The address that stands for 169.254.169.254."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Close the port."""
        self._server.stop()

    def new_token(self, seconds: int) -> str:
        """A session token that is good for some seconds."""
        token, now = secrets.token_urlsafe(40), _now()
        with self._lock:
            self._tokens = {known: end for known, end in self._tokens.items() if end > now}
            self._tokens[token] = now + seconds
        return token

    def knows(self, token: str | None) -> bool:
        """Whether a token was issued here and has not ended."""
        with self._lock:
            return token is not None and self._tokens.get(token, 0) > _now()

    def read(self, path: str, delivery: str = "2.0") -> bytes | None:
        """The answer to a GET by version "1.0" or "2.0", None for 404. A directory lists what is
        in it."""
        version, _, rest = path.removeprefix("/").partition("/")
        if path.strip("/") == "":
            return "\n".join((*VERSIONS, "latest")).encode()
        if version not in VERSIONS and version != "latest":
            return None
        name = rest.removesuffix("/")
        tree = _tree(self, delivery)
        if name in tree:
            return tree[name]()
        names = _children(tree, name)
        return "\n".join(names).encode() if names else None

    def role_credentials(self, delivery: str) -> Credentials:
        """The role's session for this version, renewed in time."""
        with self._lock:
            current = self._current.get(delivery)
            if current is None or self._ends(current):
                current = self._current[delivery] = self._make(delivery)
            return current

    def _ends(self, current: Credentials) -> bool:
        ends = current.expiration
        return self._ended(current) or (ends is not None and ends - datetime.now(UTC) < RENEWAL)

    def _handle(self, incoming: Incoming) -> Answer:
        if incoming.refusal is not None:
            return _answer(400)
        identity = self.identity
        if not identity.enabled:
            return _answer(403)
        if incoming.method == "PUT":
            return self._put(incoming)
        if incoming.method not in ("GET", "HEAD"):
            return _answer(405)
        given = incoming.headers.get(TOKEN.lower())
        needed = identity.tokens_required or given is not None
        if needed and not self.knows(given):
            return _answer(401)
        try:
            found = self.read(incoming.path, "1.0" if given is None else "2.0")
            if self.identity.role_name != identity.role_name:  # the name that was asked for
                found = None
        except Exception as error:  # noqa: BLE001 - the role cannot be assumed: no answer
            _log.warning("the metadata service has no answer to %s: %r", incoming.path, error)
            found = None
        return _answer(404) if found is None else _answer(200, found)

    def _put(self, incoming: Incoming) -> Answer:
        """Issue a token. A request that came through a proxy gets none."""
        if incoming.path != "/latest/api/token":
            return _answer(404)
        if "x-forwarded-for" in incoming.headers:
            return _answer(403)
        wanted = incoming.headers.get(TTL.lower(), "")
        if not re.fullmatch("[0-9]{1,5}", wanted, re.ASCII) or not (
            1 <= int(wanted) <= LONGEST_TTL_SECONDS
        ):
            return _answer(400)
        return _answer(200, self.new_token(int(wanted)).encode(), {TTL: wanted})


def _answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    length = {"Content-Length": str(len(body))}
    return Answer(status, {"Content-Type": "text/plain", **length, **(headers or {})}, body)


def _children(tree: Iterable[str], directory: str) -> list[str]:
    """What a directory lists: files by their names, directories with a slash behind."""
    prefix = f"{directory}/" if directory else ""
    found = set()
    for path in tree:
        if path.startswith(prefix):
            name, slash, _ = path[len(prefix) :].partition("/")
            found.add(f"{name}{slash}" if directory else name)
    return sorted(found)


def _tree(service: Metadata, delivery: str) -> dict[str, Callable[[], bytes]]:
    """Paths below a version and what makes their answers: credentials only when asked for."""
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
    texts = {
        "meta-data/ami-id": identity.image_id,
        "meta-data/instance-id": identity.instance_id,
        "meta-data/instance-type": identity.instance_type,
        "meta-data/placement/availability-zone": identity.zone,
        "meta-data/placement/region": identity.region,
        **{f"meta-data/tags/instance/{key}": value for key, value in identity.tags.items()},
        "dynamic/instance-identity/document": json.dumps(document),
    }
    tree = {path: _constant(text.encode()) for path, text in texts.items()}
    if identity.user_data:
        tree["user-data"] = _constant(identity.user_data)
    if identity.role_name is not None:
        tree["meta-data/iam/info"] = _constant(
            json.dumps({"Code": "Success", "InstanceProfileArn": identity.profile_arn}).encode()
        )
        role = f"meta-data/iam/security-credentials/{identity.role_name}"
        tree[role] = lambda: _document(service.role_credentials(delivery))
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
