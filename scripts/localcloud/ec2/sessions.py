"""Systems Manager's port sessions: a document of ours, a running instance, one fixed port."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.ec2.forward import Forward

if TYPE_CHECKING:
    from scripts.localcloud.ec2.instances import Instances
    from scripts.localcloud.host import Host
    from scripts.localcloud.rds.databases import Databases

# Without a document, and with these, Systems Manager opens a shell, a command or any port.
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class _Session:
    instance_id: str
    forward: Forward
    user_id: str


@dataclass(frozen=True)
class Target:
    """The far end of a session: a port of the instance, or of a host that it reaches."""

    host: str | None
    port: int


class Sessions:
    """Opens and closes sessions that the gateway has authorised.

    A real answer's StreamUrl is a websocket for the session-manager-plugin; here it is
    `tcp://127.0.0.1:PORT`, the near end itself.
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
    """

    def __init__(self, host: Host, databases: Databases, instances: Instances) -> None:
        self._host = host
        self._databases = databases
        self._instances = instances
        self._open: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def start_session(
        self, parameters: Mapping[str, Any], user_id: str = "keyless"
    ) -> dict[str, str]:
        """Open the port that the document names, on an instance that runs.

        The id begins with the name of the caller's session. By the tags, see `tags`, a policy
        knows whose it is.
        Raises AwsError: InvalidDocument, InvalidParameters, TargetNotConnected.
        """
        instance_id = str(parameters.get("Target", ""))
        document = self._document(str(parameters.get("DocumentName") or ""))
        target = resolve(document, parameters.get("Parameters") or {})
        if self._instances.find(instance_id) is None:
            raise AwsError("TargetNotConnected", f"{instance_id} is not connected.")
        forward = Forward(lambda: self._port(instance_id, target))
        session_id = f"{user_id.rpartition(':')[2]}-{secrets.token_hex(8)}"
        with self._lock:
            self._forget_ended()
            self._open[session_id] = _Session(instance_id, forward, user_id)
        return {
            "SessionId": session_id,
            "TokenValue": secrets.token_urlsafe(48),
            "StreamUrl": f"tcp://127.0.0.1:{forward.port}",
        }

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
            session.forward.stop()
        return {"SessionId": session_id}

    def stop(self) -> None:
        """Close every session."""
        with self._lock:
            sessions, self._open = list(self._open.values()), {}
        for session in sessions:
            session.forward.stop()

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
            return instance.mlflow_port(target.port)
        return self._databases.port(target.host, target.port)

    def _forget_ended(self) -> None:
        ended = [
            key for key, s in self._open.items() if self._instances.find(s.instance_id) is None
        ]
        for key in ended:
            self._open.pop(key).forward.stop()


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
    if pattern is not None and re.search(pattern.replace("$", r"\Z"), text) is None:
        raise AwsError("InvalidParameters", f"Parameter {name}: {text!r} does not match {pattern}.")
    return text


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)
