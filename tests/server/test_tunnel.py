"""Sessions and the port that outlives them, against servers and programs of this test."""

import contextlib
import socket
import socketserver
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from scripts.aws.data_channel import NotLocal
from scripts.console import UserError
from scripts.server.sessions import (
    CredentialsExpired,
    NotConnected,
    Session,
    find_instance,
    free_port,
    open_session,
)
from scripts.server.tunnel import Tunnel

DENIED = "AccessDeniedException"
TAGS = {"Environment": "dev", "Role": "mlflow"}

pytestmark = pytest.mark.slow


class Echo(socketserver.ThreadingTCPServer):
    """Answers every line with its own name and the line."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(name.encode() + b":" + line)

        super().__init__(("127.0.0.1", 0), Handler)
        self.port = int(self.server_address[1])
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class Account:
    """ec2 and ssm of an account whose instances run echo servers."""

    def __init__(self) -> None:
        self.instances: list[dict[str, Any]] = []
        self.filters: list[dict[str, Any]] = []
        self.open: dict[str, tuple[str, str]] = {}
        self.port = 0
        self.refuse: str | None = None
        self.unregistered = 0  # how many more calls find the agent not registered yet

    def clients(self, service: str) -> Any:
        return self

    def get_paginator(self, operation: str) -> Any:
        assert operation == "describe_instances"
        return self

    def paginate(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        self.filters = parameters["Filters"]
        for instance in self.instances:
            yield {"Reservations": [{"Instances": [instance]}]}

    def start_session(self, **parameters: str) -> dict[str, str]:
        code = self.refuse
        if self.unregistered:
            self.unregistered -= 1
            code = "TargetNotConnected"
        if code:
            error = {"Error": {"Code": code, "Message": "no"}}
            raise ClientError(error, "StartSession")  # type: ignore[arg-type]
        name = f"session-{len(self.open)}"
        self.open[name] = (parameters["Target"], parameters["DocumentName"])
        return {"SessionId": name, "StreamUrl": "https://127.0.0.1/v1/data-channel/s"}

    def terminate_session(self, **parameters: str) -> None:
        del self.open[parameters["SessionId"]]


def instance(name: str, day: int, state: str = "running") -> dict[str, Any]:
    launched = datetime(2026, 1, day, tzinfo=UTC)
    return {"InstanceId": name, "LaunchTime": launched, "State": {"Name": state}}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account()

    def near_end(_: Any, __: Any) -> tuple[str, int]:
        return "127.0.0.1", made.port

    monkeypatch.setattr("scripts.server.sessions.open_data_channel", near_end)
    made.instances = [instance("i-old", 1), instance("i-new", 3), instance("i-middle", 2)]
    return made


@pytest.fixture
def echo() -> Iterator[Callable[[str], Echo]]:
    with contextlib.ExitStack() as servers:

        def start(name: str) -> Echo:
            server = Echo(name)
            servers.callback(server.end)
            return server

        yield start


def ask(port: int, line: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"{line}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode().strip()


def test_the_newest_running_instance_with_the_tags_is_the_target(account: Account) -> None:
    assert find_instance(account, TAGS) == "i-new"
    assert account.filters == [
        {"Name": "tag:Environment", "Values": ["dev"]},
        {"Name": "tag:Role", "Values": ["mlflow"]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]


def test_no_instance_is_told_with_the_tags_that_were_looked_for(account: Account) -> None:
    account.instances = []
    with pytest.raises(UserError, match="Environment=dev, Role=mlflow"):
        find_instance(account, TAGS)


def test_a_local_session_names_the_document_and_ends_with_the_block(account: Account) -> None:
    account.port = 4321
    with open_session(account.clients, "our-document", TAGS) as session:
        assert account.open == {"session-0": ("i-new", "our-document")}
        assert (session.host, session.port) == ("127.0.0.1", 4321)
    assert account.open == {}


def test_a_session_ends_when_the_block_fails(account: Account) -> None:
    account.port = 4321
    with pytest.raises(RuntimeError), open_session(account.clients, "our-document", TAGS):
        raise RuntimeError
    assert account.open == {}


@pytest.mark.parametrize(
    ("failure", "what", "fix"),
    [
        (
            NotLocal("its stream is wss://ssmmessages.us-east-1.amazonaws.com"),
            "session-manager-plugin",
            "keyless tunnel --aws",
        ),
        (
            ClientError({"Error": {"Code": "AccessDeniedException"}}, "OpenDataChannel"),
            "AccessDenied",
            "ssmmessages:OpenDataChannel",
        ),
    ],
)
def test_a_near_end_that_does_not_open_ends_the_session(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    what: str,
    fix: str,
) -> None:
    def refused(*_: Any) -> None:
        raise failure

    monkeypatch.setattr("scripts.server.sessions.open_data_channel", refused)
    with (
        pytest.raises(UserError, match=what) as told,
        open_session(account.clients, "our-document", TAGS),
    ):
        pass
    assert fix in told.value.fix
    assert account.open == {}


def test_a_refusal_comes_through_as_aws_says_it(account: Account) -> None:
    account.refuse = DENIED
    with pytest.raises(ClientError, match="AccessDeniedException"):
        Tunnel(lambda: open_session(account.clients, "d", TAGS)).__enter__()


def test_a_tunnel_carries_data_both_ways(account: Account, echo: Callable[[str], Echo]) -> None:
    account.port = echo("first").port
    with Tunnel(lambda: open_session(account.clients, "d", TAGS)) as tunnel:
        assert ask(tunnel.port, "hello") == "first:hello"
        assert ask(tunnel.port, "x" * 300_000) == "first:" + "x" * 300_000
        assert tunnel.sessions_opened == 1
    assert account.open == {}


def test_a_dropped_session_is_replaced_behind_the_same_port(
    account: Account, echo: Callable[[str], Echo]
) -> None:
    events: list[str] = []
    first = echo("first")
    account.port = first.port
    with Tunnel(lambda: open_session(account.clients, "d", TAGS), on_event=events.append) as tunnel:
        assert ask(tunnel.port, "hello") == "first:hello"
        first.end()
        account.port = echo("second").port
        account.instances.append(instance("i-replacement", 9))
        assert ask(tunnel.port, "again") == "second:again"
        assert list(account.open.values()) == [("i-replacement", "d")]
    assert events == ["the session dropped; opening another", "connected again, to i-replacement"]


def test_a_session_that_cannot_be_replaced_yet_is_tried_again(
    account: Account, echo: Callable[[str], Echo]
) -> None:
    first = echo("first")
    account.port = first.port
    waiting = threading.Event()

    def heard(text: str) -> None:
        if text.startswith("not yet"):
            account.refuse = None
            waiting.set()

    with Tunnel(lambda: open_session(account.clients, "d", TAGS), on_event=heard) as tunnel:
        first.end()
        account.port = echo("second").port
        account.refuse = DENIED
        assert ask(tunnel.port, "again") == "second:again"
        assert waiting.is_set()


def test_a_session_whose_process_ended_is_replaced_without_a_connection() -> None:
    class Ended:
        def poll(self) -> int:
            return 1

    reopened = threading.Event()
    opened: list[Session] = []

    @contextmanager
    def open_() -> Iterator[Session]:
        process: Any = None if opened else Ended()
        opened.append(Session(f"s-{len(opened)}", "i", "127.0.0.1", 1, process))
        if len(opened) == 2:
            reopened.set()
        yield opened[-1]

    with Tunnel(open_):
        assert reopened.wait(20)


def test_a_port_that_is_taken_is_wrong_usage(account: Account, echo: Callable[[str], Echo]) -> None:
    taken = echo("taken").port
    with pytest.raises(UserError, match="cannot be used") as raised:
        Tunnel(lambda: open_session(account.clients, "d", TAGS), port=taken).__enter__()
    assert raised.value.exit_code == 2
    assert account.open == {}


def test_a_tunnel_leaves_no_thread_and_no_port(
    account: Account, echo: Callable[[str], Echo]
) -> None:
    account.port = echo("first").port
    with Tunnel(lambda: open_session(account.clients, "d", TAGS)) as tunnel:
        port = tunnel.port
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tunnel-")]
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_an_instance_that_is_about_to_run_is_not_connected_yet(account: Account) -> None:
    account.instances = [instance("i-starting", 4, "pending")]
    with pytest.raises(NotConnected, match="i-starting"):
        find_instance(account, TAGS)
    account.instances.append(instance("i-runs", 1))
    assert find_instance(account, TAGS) == "i-runs"


def test_an_agent_that_registers_after_the_boot_is_waited_for_with_a_word(
    account: Account, echo: Callable[[str], Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.server.sessions.POLL_SECONDS", 0.01)
    account.port = echo("first").port
    account.unregistered = 3
    events: list[str] = []
    with Tunnel(lambda: open_session(account.clients, "d", TAGS), on_event=events.append) as tunnel:
        assert ask(tunnel.port, "hello") == "first:hello"
    assert len(events) == 3
    assert events[0].startswith("i-new is not connected to Systems Manager yet; waited 0 of")
    account.unregistered = 1
    with open_session(account.clients, "d", TAGS, wait_seconds=9, say=events.append):
        assert len(events) == 4


def test_an_agent_that_never_registers_is_given_up_and_what_to_look_at_is_named(
    account: Account,
) -> None:
    account.unregistered = 99
    with pytest.raises(NotConnected, match="i-new is not connected") as raised:
        Tunnel(lambda: open_session(account.clients, "d", TAGS), wait_seconds=0).__enter__()
    assert raised.value.fix == "keyless doctor --aws"


def test_expired_credentials_close_the_tunnel_and_say_so(
    account: Account, echo: Callable[[str], Echo]
) -> None:
    first = echo("first")
    account.port = first.port
    over = threading.Event()
    with Tunnel(lambda: open_session(account.clients, "d", TAGS), on_failure=over.set) as tunnel:
        first.end()
        account.refuse = "ExpiredTokenException"
        # Nobody is kept waiting for what cannot come back.
        with contextlib.suppress(OSError):  # reset, or closed before it was shut down
            assert ask(tunnel.port, "again") == ""
        assert over.wait(20)
        assert isinstance(tunnel.failure, CredentialsExpired)
        assert "aws sso login" in tunnel.failure.fix
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", tunnel.port), timeout=1)


def test_credentials_that_can_be_renewed_carry_the_tunnel_on(
    account: Account, echo: Callable[[str], Echo]
) -> None:
    first = echo("first")
    account.port = first.port

    def renew() -> bool:
        account.refuse = None
        return True

    with Tunnel(lambda: open_session(account.clients, "d", TAGS), renew=renew) as tunnel:
        first.end()
        account.port = echo("second").port
        account.refuse = "ExpiredTokenException"
        assert ask(tunnel.port, "again") == "second:again"
        assert tunnel.failure is None


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "RequestExpired"])
def test_a_first_session_with_expired_credentials_says_to_sign_in(
    account: Account, code: str
) -> None:
    account.refuse = code
    with pytest.raises(CredentialsExpired, match=code):
        Tunnel(lambda: open_session(account.clients, "d", TAGS)).__enter__()


AWS = """#!{python}
import json, os, signal, socket, sys
arguments = dict(zip(sys.argv[3::2], sys.argv[4::2]))
json.dump([sys.argv[1:3], arguments, os.environ.get("AWS_ACCESS_KEY_ID")], open({record!r}, "w"))
if {said!r}:
    print({said!r})
    sys.exit(254)
port = int(arguments["--parameters"].removeprefix("localPortNumber="))
listener = socket.create_server(("127.0.0.1", port))
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
# In one write, as a pipe delivers it.
print(f"Starting session with SessionId: octo-1\\nPort {{port}} opened for sessionId octo-1.\\n"
      "Waiting for connections...", flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nfrom aws\\n")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1024):
        pass
    connection.close()
"""


def programs(folder: Path, *, said: str = "", plugin: bool = True) -> dict[str, str]:
    """A PATH with an `aws` that plays its plugin too; with `said` it says that and fails."""
    record = str(folder / "record.json")
    text = AWS.format(python=sys.executable, record=record, said=said)
    for name in ("aws", "session-manager-plugin") if plugin else ("aws",):
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    return {"PATH": str(folder), "AWS_ACCESS_KEY_ID": "ASIAROLE"}


def test_on_aws_the_cli_runs_our_document_in_the_roles_environment(
    account: Account, tmp_path: Path
) -> None:
    environment = programs(tmp_path)
    with open_session(account.clients, "our-document", TAGS, aws_cli=environment) as session:
        assert session.session_id == "octo-1"
        with socket.create_connection((session.host, session.port)) as connection:
            assert connection.recv(100).endswith(b"from aws\n")
        assert not session.ended
        process = session.process
    assert process is not None
    assert process.returncode == 0
    assert not psutil.pid_exists(process.pid)
    assert (tmp_path / "record.json").read_text() == (
        '[["ssm", "start-session"], {"--target": "i-new", "--document-name": "our-document", '
        f'"--parameters": "localPortNumber={session.port}"}}, "ASIAROLE"]'
    )


@pytest.mark.parametrize(
    ("said", "kind", "fix"),
    [
        (f"An error occurred ({DENIED}) when calling the StartSession operation: no", DENIED,
         "keyless doctor --aws"),
        ("An error occurred (TargetNotConnected) when calling the StartSession operation: i-new "
         "is not connected.", "i-new is not connected", "keyless doctor --aws"),
        ("An error occurred (ExpiredTokenException) when calling the StartSession operation: The "
         "security token included in the request is expired", "have expired", "aws sso login"),
        ("Cannot perform start session: Failed to open data channel with error: websocket: bad "
         "handshake", "bad handshake", "ssmmessages:OpenDataChannel"),
    ],
)  # fmt: skip
def test_on_aws_what_the_cli_says_is_told_with_the_way_out(
    account: Account, tmp_path: Path, said: str, kind: str, fix: str
) -> None:
    environment = programs(tmp_path, said=said)
    with (
        pytest.raises(UserError, match=kind) as raised,
        open_session(account.clients, "d", TAGS, aws_cli=environment),
    ):
        pass
    assert fix in raised.value.fix


def test_on_aws_a_missing_plugin_is_named(account: Account, tmp_path: Path) -> None:
    environment = programs(tmp_path, plugin=False)
    with (
        pytest.raises(UserError, match="session-manager-plugin is needed") as raised,
        open_session(account.clients, "d", TAGS, aws_cli=environment),
    ):
        pass
    assert raised.value.fix == "keyless doctor --aws"


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
