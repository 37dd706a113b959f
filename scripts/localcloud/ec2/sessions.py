"""Systems Manager's port sessions: a document of ours, a running instance, one fixed port."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.ec2.forward import LOOPBACK, Forward

if TYPE_CHECKING:
    from scripts.localcloud.access.principals import Caller
    from scripts.localcloud.ec2.instances import Instances
    from scripts.localcloud.host import Host
    from scripts.localcloud.rds.databases import Databases

_SEARCH = "import re, sys; sys.exit(re.search(sys.argv[1], sys.argv[2]) is None)"
_PATIENCE = 5.0
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class Target:
    """The far end of a session: a port of the instance, or of a host that it reaches."""

    host: str | None
    port: int


@dataclass
class _Session:
    instance_id: str
    target: Target
    user_id: str
    token: str = field(repr=False)
    forward: Forward | None = None
    expiry: threading.Timer | None = None

    def close(self) -> None:
        """End the channel, if it was opened."""
        if self.expiry is not None:
            self.expiry.cancel()
        if self.forward is not None:
            self.forward.stop()


class Sessions:
    """Opens and closes sessions that the gateway has authorised.

    Both ends ask: StartSession, and the data channel, which the client opens at the answer's
    StreamUrl with a signed request of its own. On AWS that is a websocket of the
    session-manager-plugin; here the answer is the port of loopback that stands for the near end.
    A channel ends with the credentials that opened it.
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
    """

    def __init__(self, host: Host, databases: Databases, instances: Instances) -> None:
        self._host = host
        self._databases = databases
        self._instances = instances
        self._open: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def start_session(self, parameters: Mapping[str, Any], caller: Caller) -> dict[str, str]:
        """Begin a session to the port that the document names, on an instance that is connected.

        The id begins with the name of the caller's session. By the tags, see `tags`, a policy
        knows whose it is.
        Raises AwsError: InvalidDocument, InvalidParameters, TargetNotConnected.
        """
        instance_id = str(parameters.get("Target", ""))
        document = self._document(str(parameters.get("DocumentName") or ""))
        target = resolve(document, parameters.get("Parameters") or {})
        instance = self._instances.find(instance_id)
        if instance is None or not instance.connected:
            raise AwsError("TargetNotConnected", f"{instance_id} is not connected.")
        session_id = f"{caller.user_id.rpartition(':')[2]}-{secrets.token_hex(8)}"
        token = secrets.token_urlsafe(48)
        with self._lock:
            self._forget_ended()
            self._open[session_id] = _Session(instance_id, target, caller.user_id, token)
        stream = f"{self._host.endpoint}/v1/data-channel/{session_id}?role=publish_subscribe"
        return {"SessionId": session_id, "TokenValue": token, "StreamUrl": stream}

    def open_data_channel(self, session_id: str, token: str, caller: Caller) -> dict[str, Any]:
        """Open the near end of a session: `{"host": ..., "port": ...}`.

        Raises AwsError if there is no such session, or the token is not the one that it began with.
        """
        with self._lock:  # at once: what is ended meanwhile would stay open for good
            session = self._open.get(session_id)
            if session is None or not hmac.compare_digest(session.token.encode(), token.encode()):
                raise AwsError(
                    "AccessDeniedException", "The token of the session is not valid.", 403
                )
            if session.forward is None:
                session.forward = Forward(lambda: self._port(session.instance_id, session.target))
                session.expiry = self._ending(session_id, caller)
            return {"host": LOOPBACK, "port": session.forward.port}

    def _ending(self, session_id: str, caller: Caller) -> threading.Timer | None:
        """What ends a channel with the credentials that opened it; None if they never expire."""
        expires = caller.session.credentials.expiration if caller.session else None
        if expires is None:
            return None
        left = max(0.0, (expires - datetime.now(UTC)).total_seconds())
        timer = threading.Timer(left, self.terminate_session, [{"SessionId": session_id}])
        timer.daemon = True
        timer.start()
        return timer

    def tags(self, session_id: str) -> dict[str, str] | None:
        """The two tags that AWS puts on a session; None if it is not open.

        https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-examples.html
        """
        with self._lock:
            session = self._open.get(session_id)
        if session is None:
            return None
        return {
            "aws:ssmmessages:session-id": session.user_id,
            "aws:ssmmessages:target-id": session.instance_id,
        }

    def terminate_session(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Close a session's port; one that is closed already is no error."""
        session_id = str(parameters.get("SessionId", ""))
        with self._lock:
            session = self._open.pop(session_id, None)
        if session is not None:
            session.close()
        return {"SessionId": session_id}

    def stop(self) -> None:
        """Close every session."""
        with self._lock:
            sessions, self._open = list(self._open.values()), {}
        for session in sessions:
            session.close()

    def _document(self, name: str) -> dict[str, Any]:
        documents = self._host.backend("ssm")._documents
        found = documents.get(name.rpartition(":document/")[2] or name)
        if found is None:
            raise AwsError("InvalidDocument", f"Document with name {name} does not exist.")
        content: dict[str, Any] = json.loads(found.get_default_version().content)
        return content

    def _port(self, instance_id: str, target: Target) -> int | None:
        """Where a connection goes now; None when the session's instance is gone."""
        instance = self._instances.find(instance_id)
        if instance is None:
            return None
        if target.host is None:
            return instance.local_port(target.port)
        return self._databases.port(target.host, target.port)

    def _forget_ended(self) -> None:
        ended = [
            key for key, s in self._open.items() if self._instances.find(s.instance_id) is None
        ]
        for key in ended:
            self._open.pop(key).close()


def resolve(document: Mapping[str, Any], given: Mapping[str, Any]) -> Target:
    """Fill a Session document's parameters in, and return the far end that it fixes.

    Raises AwsError: InvalidDocument for a document that is no port session, InvalidParameters for
    a value that is missing, not declared, or outside the declared pattern.
    https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-schema.html
    """
    if document.get("schemaVersion") != "1.0" or document.get("sessionType") != "Port":
        raise AwsError("InvalidDocument", "The document is not a Session document of type Port.")
    declared: Mapping[str, Any] = document.get("parameters") or {}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise AwsError(
            "InvalidParameters", f"Document does not declare the parameters: {', '.join(unknown)}."
        )
    values = {name: _value(name, rule, given.get(name)) for name, rule in declared.items()}
    properties: Mapping[str, Any] = document.get("properties") or {}
    port = _fill(str(properties.get("portNumber", "")), values)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise AwsError("InvalidParameters", f"portNumber {port!r} is not a port.")
    host = _fill(str(properties.get("host") or ""), values)
    return Target(host if host not in ("", "localhost", "127.0.0.1") else None, int(port))


def _value(name: str, rule: Mapping[str, Any], given: Any) -> str:
    values = [str(value) for value in given] if isinstance(given, list) else []
    if given is not None and len(values) != 1:
        raise AwsError("InvalidParameters", f"Parameter {name} takes a list of one value.")
    value = values[0] if values else rule.get("default")
    if value is None:
        raise AwsError("InvalidParameters", f"Parameter {name} has no value.")
    text = str(value)
    allowed = rule.get("allowedValues")
    if allowed is not None and text not in map(str, allowed):
        raise AwsError("InvalidParameters", f"Parameter {name}: {text!r} is not an allowed value.")
    pattern = rule.get("allowedPattern")
    # As Systems Manager does, look anywhere: a pattern without anchors allows more than it says.
    if pattern is not None and not _found(pattern.replace("$", r"\Z"), text):
        raise AwsError("InvalidParameters", f"Parameter {name}: {text!r} does not match {pattern}.")
    return text


def _found(pattern: str, text: str) -> bool:
    """Whether a caller's pattern is in a text, as long as that takes little time.

    In a process of its own: one that tries all ways would let nothing else in this one run.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _SEARCH, pattern, text],
            timeout=_PATIENCE,
            check=False,
        )
    except (subprocess.TimeoutExpired, ValueError):  # a zero is in neither
        return False
    return done.returncode == 0


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)
