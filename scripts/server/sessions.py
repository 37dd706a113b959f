"""A session to the MLflow server or its database, opened by a document of ours."""

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
from typing import IO, Any

from scripts.aws.data_channel import NotLocal, open_data_channel
from scripts.console import UserError

Clients = Callable[[str], Any]
"""Makes a boto3 client of a service under the caller's role."""

LOOPBACK = "127.0.0.1"
START_SECONDS = 60
CONNECT_SECONDS = 300
"""How long an instance's SSM agent may take to register; after a boot it takes 30 to 90 s."""
POLL_SECONDS = 3.0
STOP_SECONDS = 10


# https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html; EC2's is RequestExpired.
EXPIRED = re.compile(r"\b(?:ExpiredToken(?:Exception)?|RequestExpired)\b")
# What the plugin says when its data channel is refused after StartSession was allowed.
REFUSED_CHANNEL = re.compile(r"\b403\b|bad handshake|OpenDataChannel")
DATA_CHANNEL_REFUSED = (
    "allow the role ssmmessages:OpenDataChannel: session-manager-plugin signs the data channel "
    "since 1.2.764.0"
)


class CredentialsExpired(UserError):
    """The caller's credentials are no longer valid, and nothing here can renew them."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "The credentials of this tunnel have expired",
            why=f"{why}; a session cannot be resumed with them",
            fix="aws sso login   (in a job: run the job again), then open the tunnel again",
        )


def has_expired(failure: BaseException) -> bool:
    """Whether a call failed because the caller's credentials are over."""
    from botocore import exceptions

    if isinstance(failure, exceptions.ClientError):
        return EXPIRED.fullmatch(failure.response["Error"]["Code"]) is not None
    over = (
        CredentialsExpired,
        exceptions.UnauthorizedSSOTokenError,
        exceptions.SSOTokenLoadError,
        exceptions.TokenRetrievalError,
    )
    if isinstance(failure, exceptions.CredentialRetrievalError):
        return "expired" in str(failure).lower()
    return isinstance(failure, over)


class NotConnected(UserError):
    """The instance is there, and its SSM agent has not registered yet."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(
            f"{instance_id} is not connected to Systems Manager",
            why="its agent registers 30 to 90 s after the boot, if it may and finds a way to AWS",
            fix="keyless doctor --aws",
        )


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
    wait_seconds: float = 0.0,
    say: Callable[[str], None] | None = None,
) -> AbstractContextManager[Session]:
    """Open a session on the newest running instance with these tags; ends with the block.

    `document` fixes the port at the far end, and takes the `parameters` that it declares. The local
    cloud opens the near end itself; for AWS, `aws_cli` is the environment (credentials, region) in
    which `aws ssm start-session` runs. An instance whose agent has not registered yet is waited for
    at most `wait_seconds`; `say` gets a line then.

    Raises `NotConnected` if it does not register in time, `UserError` if no instance runs or a
    program is missing, botocore's ClientError if the role may not.
    """

    def open_() -> AbstractContextManager[Session]:
        instance_id = find_instance(clients("ec2"), tags)
        if aws_cli is None:
            return _local_session(clients("ssm"), document, instance_id, parameters or {})
        return _aws_session(document, instance_id, parameters or {}, aws_cli)

    return _when_connected(open_, wait_seconds, say)


@contextmanager
def _when_connected(
    open_: Callable[[], AbstractContextManager[Session]],
    seconds: float,
    say: Callable[[str], None] | None,
) -> Iterator[Session]:
    with contextlib.ExitStack() as ended:
        yield patiently(lambda: ended.enter_context(open_()), seconds, say or (lambda _: None))


def patiently(
    open_: Callable[[], Session],
    seconds: float,
    say: Callable[[str], None],
    pause: Callable[[float], object] = time.sleep,
) -> Session:
    """Open a session, again and again while the instance's agent has not registered."""
    began = time.monotonic()
    while True:
        try:
            return open_()
        except NotConnected as failure:
            waited = time.monotonic() - began
            if waited >= seconds:
                raise
            say(f"{failure.what} yet; waited {waited:.0f} of at most {seconds:.0f} s")
        pause(POLL_SECONDS)


def find_instance(ec2: Any, tags: Mapping[str, str]) -> str:
    """Find the newest running instance that carries all of `tags`.

    Raises `NotConnected` if one is about to run, `UserError` if there is none.
    """
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(tags.items())]
    filters.append({"Name": "instance-state-name", "Values": ["pending", "running"]})
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    found = [
        instance
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    running = [one for one in found if one["State"]["Name"] == "running"]
    if found and not running:
        raise NotConnected(str(found[0]["InstanceId"]))
    if not running:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
        raise UserError(
            "No instance to open a session on",
            why=f"nothing runs with the tags {wanted}; a replacement may be starting",
            fix="keyless up",
        )
    newest = max(running, key=lambda instance: instance["LaunchTime"])
    return str(newest["InstanceId"])


@contextmanager
def _local_session(
    ssm: Any, document: str, instance_id: str, parameters: Mapping[str, str]
) -> Iterator[Session]:
    from botocore.exceptions import ClientError

    try:
        answer = ssm.start_session(
            Target=instance_id,
            DocumentName=document,
            Parameters={name: [value] for name, value in parameters.items()},
        )
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] == "TargetNotConnected":
            raise NotConnected(instance_id) from None
        raise
    try:
        host, port = _near_end(ssm, answer)
        yield Session(answer["SessionId"], instance_id, host, port)
    finally:
        ssm.terminate_session(SessionId=answer["SessionId"])


def _near_end(ssm: Any, answer: Mapping[str, str]) -> tuple[str, int]:
    from botocore.exceptions import ClientError

    try:
        return open_data_channel(ssm, answer)
    except NotLocal as foreign:
        raise UserError(
            "This session is not one of the local cloud",
            why=f"{foreign}, which needs session-manager-plugin",
            fix="keyless tunnel --aws",
        ) from None
    except ClientError as refusal:
        if has_expired(refusal):
            raise
        raise UserError(
            "The session did not open", why=str(refusal), fix=DATA_CHANNEL_REFUSED
        ) from None


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
            session_id = _await_port(process, port, instance_id)
            yield Session(session_id, instance_id, LOOPBACK, port, process)
        finally:
            _end_group(process)


def _program(name: str, environment: Mapping[str, str]) -> str:
    for needed in ("session-manager-plugin", name):
        found = shutil.which(needed, path=environment.get("PATH"))
        if found is None:
            raise UserError(
                f"{needed} is needed for a session on AWS and was not found",
                fix="keyless doctor --aws",
            )
    return found or name


def _await_port(process: subprocess.Popen[str], port: int, instance_id: str) -> str:
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
    heard = " ".join(filter(None, said))
    if "(TargetNotConnected)" in heard:
        raise NotConnected(instance_id)
    if expired := EXPIRED.search(heard):
        raise CredentialsExpired(expired[0])
    raise UserError(
        "The session did not open",
        why=heard or f"nothing was heard for {START_SECONDS} s",
        fix=DATA_CHANNEL_REFUSED if REFUSED_CHANNEL.search(heard) else "keyless doctor --aws",
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
