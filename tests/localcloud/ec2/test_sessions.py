"""Session documents: what they fix stays fixed, what they declare may be chosen."""

from __future__ import annotations

import hmac
import json
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.principals import ANONYMOUS
from scripts.localcloud.ec2 import sessions
from scripts.localcloud.ec2.sessions import Sessions, Target, resolve
from tests.localcloud.server_platform import document

DATABASE = r"^keyless-dev\.[a-z0-9]+\.us-east-1\.rds\.amazonaws\.com$"
ADDRESS = "keyless-dev.aaaaaaaaaa.us-east-1.rds.amazonaws.com"


def database_document(pattern: str = DATABASE) -> dict[str, Any]:
    made = document("5432", host="{{ host }}")
    made["parameters"]["host"] = {"type": "String", "allowedPattern": pattern}
    return made


def code(content: dict[str, Any], given: dict[str, Any]) -> str:
    with pytest.raises(AwsError) as refusal:
        resolve(content, given)
    return refusal.value.code


def test_a_document_fixes_the_port_of_the_instance() -> None:
    assert resolve(document("5000"), {"localPortNumber": ["8080"]}) == Target(None, 5000)


def test_a_document_may_leave_the_host_to_a_pattern() -> None:
    assert resolve(database_document(), {"host": [ADDRESS]}) == Target(ADDRESS, 5432)


@pytest.mark.parametrize("given", [{"portNumber": ["22"]}, {"host": ["10.0.0.1"]}])
def test_a_parameter_that_the_document_does_not_declare_is_refused(given: dict[str, Any]) -> None:
    assert code(document("5000"), given) == "InvalidParameters"


def test_a_document_that_declares_the_port_lets_the_caller_choose_it() -> None:
    """The control of the test above: AWS's own AWS-StartPortForwardingSession declares it."""
    stock = document("{{ portNumber }}")
    stock["parameters"]["portNumber"] = {"type": "String"}
    assert resolve(stock, {"portNumber": ["22"]}) == Target(None, 22)


@pytest.mark.parametrize(
    "host",
    [
        "keyless-prod.aaaaaaaaaa.us-east-1.rds.amazonaws.com",
        f"{ADDRESS}.attacker.example",
        f"{ADDRESS}\n",
        "keyless-devXaaaa.us-east-1.rds.amazonaws.com",
        "169.254.169.254",
        "",
    ],
)
def test_a_host_outside_the_pattern_is_refused(host: str) -> None:
    assert code(database_document(), {"host": [host]}) == "InvalidParameters"


def test_a_pattern_without_anchors_lets_more_in() -> None:
    """Systems Manager looks anywhere in the value, so the anchors are the control."""
    loose = database_document(DATABASE.strip("^$"))
    foreign = f"{ADDRESS}.attacker.example"
    assert resolve(loose, {"host": [foreign]}).host == foreign


@pytest.mark.parametrize(
    "given",
    [{}, {"host": []}, {"host": [ADDRESS, ADDRESS]}, {"host": ADDRESS}],
    ids=["absent", "empty", "two", "not a list"],
)
def test_a_declared_parameter_needs_one_value(given: dict[str, Any]) -> None:
    assert code(database_document(), given) == "InvalidParameters"


@pytest.mark.parametrize("port", ["", "0", "65536", "ssh", "{{ other }}"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    assert code(document(port), {}) == "InvalidParameters"


@pytest.mark.parametrize(
    "change", [{"sessionType": "Standard_Stream"}, {"schemaVersion": "2.2"}], ids=str
)
def test_a_document_for_a_shell_opens_no_session(change: dict[str, Any]) -> None:
    assert code(document("5000") | change, {}) == "InvalidDocument"


def test_a_session_that_ends_while_its_channel_opens_leaves_no_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = json.dumps(document("5000"))
    made = SimpleNamespace(get_default_version=lambda: SimpleNamespace(content=content))
    host: Any = SimpleNamespace(
        endpoint="", backend=lambda _: SimpleNamespace(_documents={"tunnel": made})
    )
    instances: Any = SimpleNamespace(find=lambda _: SimpleNamespace(connected=True))
    open_sessions = Sessions(host, instances, instances)
    begun = open_sessions.start_session({"DocumentName": "tunnel"}, ANONYMOUS)
    identity = {"SessionId": begun["SessionId"]}
    ending = threading.Thread(target=open_sessions.terminate_session, args=(identity,))

    def meanwhile(one: bytes, other: bytes) -> bool:
        ending.start()
        ending.join(0.05)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(sessions, "hmac", SimpleNamespace(compare_digest=meanwhile))
    near = open_sessions.open_data_channel(begun["SessionId"], begun["TokenValue"], ANONYMOUS)
    ending.join()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((near["host"], near["port"])).close()
