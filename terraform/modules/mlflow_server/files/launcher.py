"""Starts MLflow on this instance: finds the database, keeps its token fresh, runs the workers.

    python launcher.py /etc/keyless/server.json

MLflow's processes import their code while the database is not there yet, and begin to serve as
soon as it is. No secret is in a command line or an environment: the token is in libpq's password
file, in a folder of memory that this service alone may read.
"""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

# A token lives 900 seconds; libpq reads the file at each new connection.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
REFRESH_SECONDS = 600
RETRY_SECONDS = 1
STOP_SECONDS = 20
stopping = []  # the signals that asked for the end


def log(text):
    print(f"launcher: {text}", flush=True)


def main():
    settings = json.loads(Path(sys.argv[1]).read_bytes())
    passfile = Path(os.environ["RUNTIME_DIRECTORY"], "pgpass")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    listener = listen(settings)
    workers = [spawn(listener, passfile) for _ in range(settings["workers"])]
    try:
        database = wait_for_platform(settings, workers)["database"]
        wait_for_database(settings, database, passfile, workers)
        for worker in workers:
            worker.stdin.write(uri(database).encode() + b"\n")
            worker.stdin.close()
        log(f"serving on 127.0.0.1:{listener.getsockname()[1]}")
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


def pause(seconds, workers):
    """Wait while all is well. Raises Stopped otherwise."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stopping or any(worker.poll() is not None for worker in workers):
            raise Stopped
        time.sleep(min(left, 0.2))


def port_of(settings):
    """The settings' port; a test of this file on a shared machine may ask for a free one."""
    return int(os.environ.get("KEYLESS_MLFLOW_PORT", settings["port"]))


def listen(settings):
    """Take the port. Clients are refused until a worker listens on it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port_of(settings)))
    return listener


def spawn(listener, passfile):
    environment = os.environ | {"PGPASSFILE": str(passfile)}
    worker = Path(__file__).with_name("worker.py")
    command = [sys.executable, str(worker), sys.argv[1], str(listener.fileno())]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]
    )


@functools.cache
def client(region, service):
    """Make a client, once; botocore renews the role's credentials in it."""
    import boto3
    from botocore.config import Config

    session = boto3.Session(region_name=region)
    if session.get_credentials() is None:
        raise RuntimeError("the instance has no credentials yet")
    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
    return session.client(service, config=config)


def wait_for_platform(settings, workers):
    """Read the contract; Terraform writes it when the database is there."""
    name = settings["platform_parameter"]
    said = None
    while True:
        try:
            found = client(settings["region"], "ssm").get_parameter(Name=name)["Parameter"]["Value"]
            return json.loads(found)
        except Exception as reason:  # noqa: BLE001 - whatever it is, it may pass
            said = say(f"waiting for parameter {name}: {reason}", said)
        pause(RETRY_SECONDS, workers)


def say(text, said):
    if text != said:
        log(text)
    return text


def wait_for_database(settings, database, passfile, workers):
    import psycopg2

    said = None
    while True:
        try:
            write_token(settings, database, passfile)
            psycopg2.connect(dsn(database), passfile=str(passfile), connect_timeout=5).close()
            return
        except Exception as reason:  # noqa: BLE001 - whatever it is, it may pass
            said = say(f"waiting for database {database['address']}: {reason}".strip(), said)
        pause(RETRY_SECONDS, workers)


def keep_token_fresh(settings, database, passfile, workers):
    wait = REFRESH_SECONDS
    while True:
        pause(wait, workers)
        try:
            write_token(settings, database, passfile)
            wait = REFRESH_SECONDS
        except Exception as reason:  # noqa: BLE001 - the old token is good for minutes
            log(f"no fresh token: {reason}")
            wait = RETRY_SECONDS * 10


def write_token(settings, database, passfile):
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


def dsn(database):
    """libpq's own variables may give port and address: then neither is named here."""
    port = "" if "PGPORT" in os.environ else f"port={database['port']} "
    return (
        f"host={database['address']} {port}dbname={database['name']} user={database['user']} "
        "sslmode=verify-full"
    )


def uri(database):
    port = "" if "PGPORT" in os.environ else f":{database['port']}"
    user, name = quote(database["user"], safe=""), quote(database["name"], safe="")
    return f"postgresql+psycopg2://{user}@{database['address']}{port}/{name}?sslmode=verify-full"


def stop(workers):
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
