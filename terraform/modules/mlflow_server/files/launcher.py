"""Starts MLflow on this instance: finds the database, keeps its token fresh, runs the workers.

    python launcher.py /etc/keyless/server.json

Each permission set has a port of its own, and what may be done on a port is fixed here, when it is
opened. MLflow's processes import their code while the database is not there yet, and begin to serve
as soon as it is. No secret is in a command line or an environment: the token is in libpq's password
file, in a folder of memory that this service alone may read.
"""

import base64
import functools
import gzip
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

# A token lives 900 seconds; libpq reads the file at each new connection.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
REFRESH_SECONDS = 600
RETRY_SECONDS = 1
STOP_SECONDS = 20
Given = dict[str, Any]  # settings, and the contract, as JSON has them
Worker = subprocess.Popen[bytes]
stopping: list[int] = []  # the signals that asked for the end


def log(text: str) -> None:
    """Write a line to the journal."""
    print(f"launcher: {text}", flush=True)


def main() -> int:
    """Run the service until it is asked to end, or a worker ends by itself."""
    settings = json.loads(Path(sys.argv[1]).read_bytes())
    passfile = Path(os.environ["RUNTIME_DIRECTORY"], "pgpass")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    listeners = {name: listen(port) for name, port in ports(settings).items()}
    workers: list[Worker] = []
    try:
        folder = wait_for_code(settings, passfile.with_name("server"))
        workers += [spawn(folder, listeners, passfile) for _ in range(settings["workers"])]
        database = wait_for_platform(settings, workers)["database"]
        wait_for_database(settings, database, passfile, workers)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(uri(database).encode() + b"\n")
            worker.stdin.close()
        log(f"serving on 127.0.0.1: {', '.join(map(place, listeners.items()))}")
        keep_token_fresh(settings, database, passfile, workers)
    except Stopped:
        pass
    finally:
        died = stop(workers)
        passfile.unlink(missing_ok=True)
    log("stopped" if stopping else f"an MLflow process ended by itself: {died}")
    return 0 if stopping else 1


class Stopped(Exception):
    """The service is to end, or cannot go on without one of its workers."""


def pause(seconds: float, workers: list[Worker]) -> None:
    """Wait while all is well. Raises Stopped otherwise."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stopping or any(worker.poll() is not None for worker in workers):
            raise Stopped
        time.sleep(min(left, 0.2))


def ports(settings: Given) -> dict[str, int]:
    """Each permission set's port; a test of this file on a shared machine asks for free ones."""
    given = json.loads(os.environ.get("KEYLESS_MLFLOW_PORTS", "{}"))
    sets = settings["permission_sets"]
    return {name: given.get(name, one["port"]) for name, one in sets.items()}


def listen(port: int) -> socket.socket:
    """Take the port. Clients are refused until a worker listens on it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def place(opened: tuple[str, socket.socket]) -> str:
    """A set's name and port, for the log."""
    name, listener = opened
    return f"{name} {listener.getsockname()[1]}"


def spawn(folder: Path, listeners: dict[str, socket.socket], passfile: Path) -> Worker:
    """Start one MLflow process on the sockets."""
    environment = os.environ | {"PGPASSFILE": str(passfile)}
    numbers = {name: listener.fileno() for name, listener in listeners.items()}
    sockets = [f"{name}={number}" for name, number in numbers.items()]
    return subprocess.Popen(
        [sys.executable, str(folder / "worker.py"), sys.argv[1], *sockets],
        env=environment,
        stdin=subprocess.PIPE,
        pass_fds=list(numbers.values()),
    )


@functools.cache
def client(region: str, service: str) -> Any:
    """Make a client, once; botocore renews the role's credentials in it."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(region_name=region)
    if session.get_credentials() is None:
        raise RuntimeError("the instance has no credentials yet")
    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
    return session.client(service, config=config)  # type: ignore[call-overload]


def wait_for_code(settings: Given, folder: Path) -> Path:
    """Write the server's code where the workers find it, once it has the digest of the settings."""
    said = None
    while True:
        try:
            write_code(settings, folder)
            return folder
        except Exception as reason:  # noqa: BLE001 - whatever it is, it may pass
            said = say(f"waiting for the server's code: {reason}", said)
        pause(RETRY_SECONDS, [])


def write_code(settings: Given, folder: Path) -> None:
    """User data has no room for it, so Terraform keeps it in parameters, in pieces."""
    wanted = settings["code"]
    packed = "".join(parameter(settings, name) for name in wanted["parameters"])
    content = gzip.decompress(base64.b64decode(packed))
    if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
        raise RuntimeError(f"{wanted['parameters'][0]} has not the digest of the settings")
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in json.loads(content).items():
        (folder / name).write_text(text)


def wait_for_platform(settings: Given, workers: list[Worker]) -> Given:
    """Read the contract; Terraform writes it when the database is there."""
    name = settings["platform_parameter"]
    said = None
    while True:
        try:
            contract: Given = json.loads(parameter(settings, name))
            return contract
        except Exception as reason:  # noqa: BLE001 - whatever it is, it may pass
            said = say(f"waiting for parameter {name}: {reason}", said)
            # Terraform has not come so far; any other failure may be this instance's own.
            if type(reason).__name__ == "ParameterNotFound":
                tell_watchdog()
        pause(RETRY_SECONDS, workers)


def parameter(settings: Given, name: str) -> str:
    """The value of an SSM parameter."""
    answer = client(settings["region"], "ssm").get_parameter(Name=name)
    return str(answer["Parameter"]["Value"])


def tell_watchdog() -> None:
    """Touch the file by which the watchdog knows a server that waits from a dead one."""
    Path(os.environ["RUNTIME_DIRECTORY"], "waiting").touch()


def say(text: str, said: str | None) -> str:
    """Log what is new to say."""
    if text != said:
        log(text)
    return text


def wait_for_database(
    settings: Given, database: Given, passfile: Path, workers: list[Worker]
) -> None:
    """Wait until a login with a fresh token succeeds."""
    import psycopg2

    said = None
    while True:
        try:
            write_token(settings, database, passfile)
            psycopg2.connect(dsn(database), passfile=str(passfile), connect_timeout=5).close()
            return
        except Exception as reason:  # noqa: BLE001 - whatever it is, it may pass
            said = say(f"waiting for database {database['address']}: {reason}".strip(), said)
            tell_watchdog()
        pause(RETRY_SECONDS, workers)


def keep_token_fresh(
    settings: Given, database: Given, passfile: Path, workers: list[Worker]
) -> None:
    """Renew the token until the service ends."""
    wait = REFRESH_SECONDS
    while True:
        pause(wait, workers)
        try:
            write_token(settings, database, passfile)
            wait = REFRESH_SECONDS
        except Exception as reason:  # noqa: BLE001 - the old token is good for minutes
            log(f"no fresh token: {reason}")
            wait = RETRY_SECONDS * 10


def write_token(settings: Given, database: Given, passfile: Path) -> None:
    """Sign a token and put it, whole or not at all, where libpq finds it."""
    token = client(settings["region"], "rds").generate_db_auth_token(
        database["address"], database["port"], database["user"], settings["region"]
    )
    fields = (database["address"], "*", database["name"], database["user"], token)
    line = ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields)
    fresh = passfile.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(f"{line}\n")
    fresh.replace(passfile)


def dsn(database: Given) -> str:
    """libpq's own variables may give port and address: then neither is named here."""
    port = "" if "PGPORT" in os.environ else f"port={database['port']} "
    return (
        f"host={database['address']} {port}dbname={database['name']} user={database['user']} "
        "sslmode=verify-full"
    )


def uri(database: Given) -> str:
    """SQLAlchemy's address of the database, without a password."""
    port = "" if "PGPORT" in os.environ else f":{database['port']}"
    user, name = quote(database["user"], safe=""), quote(database["name"], safe="")
    return f"postgresql+psycopg2://{user}@{database['address']}{port}/{name}?sslmode=verify-full"


def stop(workers: list[Worker]) -> list[int]:
    """End the workers, gently first; return how each that had ended by itself did so."""
    died = [worker.returncode for worker in workers if worker.poll() is not None]
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    end = time.monotonic() + STOP_SECONDS
    for worker in workers:
        try:
            worker.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    return died


if __name__ == "__main__":
    sys.exit(main())
