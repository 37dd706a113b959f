"""Sessions to the MLflow server or its database: opened by a document of ours, kept open."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

from scripts.console import UserError

Clients = Callable[[str], Any]
"""Makes a boto3 client of a service under the caller's role."""

LOOPBACK = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 10
LONGEST_WAIT_SECONDS = 30.0
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Session:
    """An open session: connect to `host:port` on this machine to reach the far end."""

    session_id: str
    instance_id: str
    host: str
    port: int
    process: subprocess.Popen[str] | None = None

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended; a local one shows it by refusing a connection."""
        return self.process is not None and self.process.poll() is not None


def open_session(
    clients: Clients,
    document: str,
    tags: Mapping[str, str],
    *,
    parameters: Mapping[str, str] | None = None,
    aws_cli: Mapping[str, str] | None = None,
) -> AbstractContextManager[Session]:
    """Open a session on the newest running instance with these tags; ends with the block.

    `document` fixes the port at the far end, and takes the `parameters` that it declares. The local
    cloud opens the near end itself; for AWS, `aws_cli` is the environment (credentials, region) in
    which `aws ssm start-session` runs.

    Raises `UserError` if no instance runs or a program is missing, botocore's ClientError if the
    role may not.
    """
    instance_id = find_instance(clients("ec2"), tags)
    if aws_cli is None:
        return _local_session(clients("ssm"), document, instance_id, parameters or {})
    return _aws_session(document, instance_id, parameters or {}, aws_cli)


def find_instance(ec2: Any, tags: Mapping[str, str]) -> str:
    """Find the newest running instance that carries all of `tags`. Raises `UserError` if none."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(tags.items())]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    running = [
        instance
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    if not running:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
        raise UserError(
            "No instance to open a session on",
            why=f"nothing runs with the tags {wanted}; a replacement may be starting",
            mend="keyless up",
        )
    newest = max(running, key=lambda instance: instance["LaunchTime"])
    return str(newest["InstanceId"])


@contextmanager
def _local_session(
    ssm: Any, document: str, instance_id: str, parameters: Mapping[str, str]
) -> Iterator[Session]:
    answer = ssm.start_session(
        Target=instance_id,
        DocumentName=document,
        Parameters={name: [value] for name, value in parameters.items()},
    )
    try:
        stream = urlsplit(answer["StreamUrl"])
        if stream.scheme != "tcp" or not stream.hostname or not stream.port:
            raise UserError(
                "This session is not one of the local cloud",
                why=f"its stream is {stream.scheme}://…, which needs session-manager-plugin",
                mend="keyless tunnel --aws",
            )
        yield Session(answer["SessionId"], instance_id, stream.hostname, stream.port)
    finally:
        ssm.terminate_session(SessionId=answer["SessionId"])


@contextmanager
def _aws_session(
    document: str,
    instance_id: str,
    parameters: Mapping[str, str],
    environment: Mapping[str, str],
) -> Iterator[Session]:
    """Run the AWS CLI and its plugin, which hold the near end of the port."""
    port = free_port()
    near_end = ("localPortNumber", str(port))
    with subprocess.Popen(
        [
            _program("aws", environment),
            *("ssm", "start-session", "--target", instance_id, "--document-name", document),
            "--parameters",
            ",".join(f"{key}={value}" for key, value in [*parameters.items(), near_end]),
        ],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, so that the CLI and its plugin can be ended together.
        start_new_session=True,
    ) as process:
        try:
            session_id = _await_port(process, port)
            yield Session(session_id, instance_id, LOOPBACK, port, process)
        finally:
            _end_group(process)


def _program(name: str, environment: Mapping[str, str]) -> str:
    for needed in ("session-manager-plugin", name):
        found = shutil.which(needed, path=environment.get("PATH"))
        if found is None:
            raise UserError(
                f"{needed} is needed for a session on AWS and was not found",
                mend="keyless doctor --aws",
            )
    return found or name


def _await_port(process: subprocess.Popen[str], port: int) -> str:
    """Follow what the plugin says until it listens; return the session's id."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True).start()
    said: list[str] = []
    deadline = time.monotonic() + START_SECONDS
    with contextlib.suppress(queue.Empty):
        while (line := lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            said.append(line)
            # It says "Port N opened for sessionId ID." and then "Waiting for connections...".
            if opened := re.search(rf"Port {port} opened for session[iI]d (\S+?)\.?$", line):
                return opened.group(1)
    raise UserError(
        "The session did not open",
        why=" ".join(filter(None, said)) or f"nothing was heard for {START_SECONDS} s",
        mend="keyless doctor --aws",
    )


def _read_lines(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Hand on every line, then None; reads to the end so that the writer never blocks."""
    for line in stream:
        lines.put(line.strip())
    lines.put(None)


def _end_group(process: subprocess.Popen[str]) -> None:
    """Interrupt as Ctrl-C does, so that the plugin ends the session; insist if it does not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def free_port() -> int:
    """Let the system pick a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Tunnel:
    """One port of this machine that stays the same while the sessions behind it come and go.

        with Tunnel(lambda: open_session(clients, document, tags), port=5000) as tunnel:
            print(tunnel.port)

    A session that has ended or refuses a connection is replaced by a new one, on whichever
    instance carries the tags then. `port=0` takes a free one.
    """

    def __init__(
        self,
        open_: Callable[[], AbstractContextManager[Session]],
        *,
        port: int = 0,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        self.port = port
        self.sessions_opened = 0
        self._open = open_
        self._on_event = on_event or (lambda _: None)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._ended = contextlib.ExitStack()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Tunnel:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._bind()
            # The first session's refusal is the caller's to hear, at once.
            self._replace()
        except BaseException:
            self._listener.close()
            raise
        self.port = self._listener.getsockname()[1]
        for target in (self._accept, self._watch):
            thread = threading.Thread(target=target, name=f"tunnel-{target.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        # Closing a listener does not wake who accepts on it; shutting it down does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1):
            pass
        self._listener.close()
        for thread in self._threads:
            thread.join()
        with self._lock:
            self._ended.close()

    def _bind(self) -> None:
        try:
            self._listener.bind((LOOPBACK, self.port))
        except (OSError, OverflowError) as failure:
            raise UserError(
                f"Port {self.port} cannot be used here",
                why=str(failure),
                mend="keyless tunnel --port 0   (takes a free one)",
                exit_code=2,
            ) from None
        self._listener.listen()

    def _replace(self) -> Session:
        """Open a session in place of the present one. Called with the lock held, or before."""
        with contextlib.suppress(Exception):
            # The old one may have gone with its instance.
            self._ended.close()
        self._session = self._ended.enter_context(self._open())
        self.sessions_opened += 1
        return self._session

    def _reconnected(self, broken: Session | None) -> Session | None:
        """Replace `broken` unless another thread did; try until it succeeds or we stop."""
        with self._lock:
            if self._session is not broken:
                return self._session
            wait = 1.0
            self._on_event("the session dropped; opening another")
            while not self._stopping.is_set():
                try:
                    session = self._replace()
                except Exception as failure:  # noqa: BLE001 - told, and tried again
                    self._on_event(f"not yet: {failure}")
                    self._stopping.wait(wait)
                    wait = min(2 * wait, LONGEST_WAIT_SECONDS)
                else:
                    self._on_event(f"connected again, to {session.instance_id}")
                    return session
        return None

    def _watch(self) -> None:
        while not self._stopping.wait(1.0):
            session = self._session
            if session is not None and session.ended:
                self._reconnected(session)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._stopping.is_set():
                near.close()
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near:
            far = self._connect()
            if far is None:
                return
            with far:
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join()

    def _connect(self) -> socket.socket | None:
        session = self._session
        for wait in (0.0, 1.0, 2.0, 4.0):
            # A new session may lead to a server that is still starting.
            if session is None or self._stopping.wait(wait):
                return None
            try:
                return socket.create_connection((session.host, session.port), timeout=10)
            except OSError:
                session = self._reconnected(session)
        return None


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends, then tell the sink so."""
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
