"""What runs on the box: hardened units, launcher, worker and watchdog."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy.engine import make_url

from tests import ROOT
from tests.localcloud.server_platform import FILES, settings

DATABASE = {
    "address": "keyless-dev.aaaaaaaaaa.us-east-1.rds.amazonaws.com",
    "port": 5432,
    "name": "mlflow",
    "user": "mlflow",
}
TOKEN = f"{DATABASE['address']}:5432/?Action=connect&back\\slash"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"box_{name.replace('/', '_')}", FILES / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("launcher")
    signer = SimpleNamespace(generate_db_auth_token=lambda *_: TOKEN)
    monkeypatch.setattr(module, "client", lambda *_: signer)
    for name in ("PGPORT", "PGHOSTADDR", "KEYLESS_MLFLOW_PORTS"):
        monkeypatch.delenv(name, raising=False)
    return module


# --- units -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["keyless-mlflow.service", "keyless-watchdog.service"])
@pytest.mark.parametrize(
    "setting",
    [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "CapabilityBoundingSet=",
        "DynamicUser=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallFilter=@system-service",
        "UMask=0077",
        "Restart=always",
        "StartLimitIntervalSec=0",
    ],
)
def test_a_long_running_service_is_confined(name: str, setting: str) -> None:
    assert setting in (FILES / name).read_text().splitlines()


def test_the_watchdog_may_pass_through_the_launchers_folder_and_nobody_may_list_it() -> None:
    modes = [
        re.findall("^RuntimeDirectoryMode=(.+)$", (FILES / name).read_text(), re.MULTILINE)
        for name in ("keyless-mlflow.service", "keyless-watchdog.service")
    ]
    assert modes == [["0711"], ["0700"]]


def test_the_two_services_do_not_share_a_user() -> None:
    users = [
        re.findall("^User=(.+)$", (FILES / f"keyless-{name}.service").read_text(), re.MULTILINE)
        for name in ("mlflow", "watchdog")
    ]
    assert users == [["keyless-mlflow"], ["keyless-watchdog"]]


def test_the_installation_takes_packages_by_hash_and_from_no_index() -> None:
    text = (FILES / "install.sh").read_text()
    for option in ("--no-index", "--require-hashes", "--only-binary :all:"):
        assert option in text
    assert "http" not in text


def test_the_install_script_is_valid_shell() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", str(FILES / "install.sh")], check=True)


# --- launcher --------------------------------------------------------------------------------


def test_the_password_file_escapes_what_libpq_would_read_as_a_separator(
    launcher: ModuleType, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    launcher.write_token(settings(), DATABASE, passfile)
    line = passfile.read_text().rstrip("\n")
    fields = [re.sub(r"\\(.)", r"\1", field) for field in re.split(r"(?<!\\):", line)]
    assert fields == [DATABASE["address"], "*", "mlflow", "mlflow", TOKEN]


def test_the_password_file_is_its_owners_alone_and_replaced_as_a_whole(
    launcher: ModuleType, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    launcher.write_token(settings(), DATABASE, passfile)
    first = passfile.stat().st_ino
    launcher.write_token(settings(), DATABASE, passfile)
    assert passfile.stat().st_mode & 0o777 == 0o600
    assert passfile.stat().st_ino != first
    assert list(tmp_path.iterdir()) == [passfile]


def test_the_address_verifies_the_server_and_holds_no_password(launcher: ModuleType) -> None:
    url = make_url(launcher.uri(DATABASE))
    assert (url.host, url.port, url.username, url.password) == (
        DATABASE["address"],
        5432,
        "mlflow",
        None,
    )
    assert dict(url.query) == {"sslmode": "verify-full"}
    assert "sslmode=verify-full" in launcher.dsn(DATABASE)
    assert "port=5432" in launcher.dsn(DATABASE)


def test_libpqs_own_port_comes_first(launcher: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "40000")
    assert make_url(launcher.uri(DATABASE)).port is None
    assert "port=" not in launcher.dsn(DATABASE)


def test_the_token_is_renewed_well_before_it_ends(launcher: ModuleType) -> None:
    assert launcher.REFRESH_SECONDS <= 900 * 2 / 3


def test_the_port_is_the_settings_unless_a_free_one_is_asked_for(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"read": 5000, "train": 5001, "promote": 5002, "operate": 5003}
    assert launcher.ports(settings()) == own
    monkeypatch.setenv("KEYLESS_MLFLOW_PORTS", '{"read": 0}')
    assert launcher.ports(settings()) == own | {"read": 0}


def test_the_socket_refuses_clients_until_a_worker_listens(
    launcher: ModuleType,
) -> None:
    with launcher.listen(0) as listener:
        address = listener.getsockname()
        assert address[0] == "127.0.0.1"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)


def test_it_says_once_what_it_waits_for(
    launcher: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([RuntimeError("no"), RuntimeError("no"), {"Parameter": {"Value": '{"a": 1}'}}])

    def get_parameter(**_: str) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    ssm = SimpleNamespace(get_parameter=get_parameter)
    monkeypatch.setattr(launcher, "client", lambda *_: ssm)
    monkeypatch.setattr(launcher, "RETRY_SECONDS", 0)
    assert launcher.wait_for_platform(settings(), []) == {"a": 1}
    assert capsys.readouterr().out == (
        "launcher: waiting for parameter /keyless/dev/platform: no\n"
    )


def packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content)).decode()


def test_the_servers_code_is_put_together_from_its_pieces(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = json.dumps({"worker.py": "print()", "permissions.toml": "[sets.read]"}).encode()
    text = packed(content)
    pieces = {"/a/0": text[:20], "/a/1": text[20:]}
    monkeypatch.setattr(launcher, "parameter", lambda _, name: pieces[name])
    wanted = {"parameters": list(pieces), "sha256": hashlib.sha256(content).hexdigest()}
    launcher.write_code(settings(code=wanted), tmp_path / "server")
    assert {path.name: path.read_text() for path in (tmp_path / "server").iterdir()} == json.loads(
        content
    )
    assert (tmp_path / "server").stat().st_mode & 0o777 == 0o700


def test_code_with_another_digest_is_not_written(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who may write the parameters, but not the launch template, cannot change the guard."""
    monkeypatch.setattr(launcher, "parameter", lambda *_: packed(b'{"worker.py": "evil"}'))
    wanted = {"parameters": ["/a/0"], "sha256": hashlib.sha256(b"what was planned").hexdigest()}
    with pytest.raises(RuntimeError, match="/a/0"):
        launcher.write_code(settings(code=wanted), tmp_path / "server")
    assert not (tmp_path / "server").exists()


# --- worker ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "wanted"),
    [
        ("direct", ["--default-artifact-root", "s3://b/mlflow", "--no-serve-artifacts"]),
        ("proxied", ["--artifacts-destination", "s3://b/mlflow"]),
    ],
)
def test_who_needs_s3_rights_follows_from_the_settings(access: str, wanted: list[str]) -> None:
    given = settings(artifact_access=access, artifact_root="s3://b/mlflow")
    assert load("server/worker").options(given, "postgresql://")[-len(wanted) :] == wanted


@pytest.mark.parametrize("workers", range(1, 8))
def test_requests_at_once_fit_the_connections_they_hold(workers: int) -> None:
    """Below the alarm on connections, and below what RDS allows its smallest class."""
    worker = load("server/worker")
    requests, pool = worker.limits({"workers": workers})
    assert 1 <= requests * worker.HELD <= pool
    assert workers * worker.ENGINES * pool <= worker.CONNECTIONS < 60 < 2**30 // 9531392
    text = (FILES.parents[1] / "observability" / "variables.tf").read_text()
    assert re.search(r"maximum_connections = optional\(number, 60\)", text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("ffffffffffff", "the schema ffffffffffff was made by an MLflow newer than "),
        ("cc1f77228345", "the schema cc1f77228345 is older than this MLflow's "),
        (None, ""),
    ],
)
def test_a_schema_that_mlflow_does_not_serve_is_told_apart(
    tmp_path: Path, revision: str | None, said: str
) -> None:
    import sqlite3

    from mlflow.store.db import utils

    address = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(address)) as made, made:
        made.execute("CREATE TABLE alembic_version (version_num varchar(32))")
        found = revision or utils._get_latest_schema_revision()  # type: ignore[no-untyped-call]
        made.execute("INSERT INTO alembic_version VALUES (?)", (found,))
    assert load("server/worker").misfit(f"sqlite:///{address}").startswith(said)
    assert bool(load("server/worker").misfit(f"sqlite:///{address}")) is bool(said)


def test_dangerous_features_are_off() -> None:
    environment = load("server/worker").ENVIRONMENT
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "*" not in environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


# --- watchdog --------------------------------------------------------------------------------


class Box:
    """MLflow's health and the metadata service of an instance, on one server."""

    def __init__(self) -> None:
        self.status = 200
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                known = self.headers.get("X-aws-ec2-metadata-token") == "token"
                document = path == "/latest/dynamic/instance-identity/document" and known
                self.answer(
                    200 if document else box.status if path == "/health" else 401,
                    '{"instanceId": "i-1"}' if document else "",
                )

            def do_PUT(self) -> None:
                self.answer(200, "token")

            def answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    made = Box()
    monkeypatch.setenv("KEYLESS_MLFLOW_PORTS", json.dumps({"read": made.port}))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{made.port}")
    yield made
    made.close()


class Watch:
    """Runs the watchdog over a list of health answers; keeps what it reports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.module = load("watchdog")
        self.reports = 0
        self.checks = 0
        self._file = tmp_path / "server.json"
        self._patch = monkeypatch
        self._launcher = tmp_path / "keyless-mlflow"
        self._launcher.mkdir()
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "keyless-watchdog"))

    def over(
        self,
        health: list[bool],
        *,
        grace: float,
        reported: bool = True,
        attempts: Callable[[int], int | None] = lambda _: None,
    ) -> int:
        """`attempts`: when the launcher last tried, by check; None: it does not wait."""

        def healthy(_: int) -> bool:
            if self.checks == len(health):
                raise KeyboardInterrupt
            self.checks += 1
            if (when := attempts(self.checks)) is not None:
                (self._launcher / "waiting").touch()
                os.utime(self._launcher / "waiting", (when, when))
            return health[self.checks - 1]

        def report(_: str) -> bool:
            self.reports += 1
            return reported

        limits = {"grace_seconds": grace, "interval_seconds": 0, "failures": 3}
        self._file.write_text(json.dumps(settings(watchdog=limits)))
        self._patch.setattr(self.module, "healthy", healthy)
        self._patch.setattr(self.module, "report", report)
        self._patch.setattr(sys, "argv", ["watchdog.py", str(self._file)])
        with contextlib.suppress(KeyboardInterrupt):
            self.module.main()
        return self.reports


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Watch:
    return Watch(monkeypatch, tmp_path)


def test_a_server_that_dies_is_reported_after_the_failures_in_a_row(watch: Watch) -> None:
    assert watch.over([True, False, False, False, False], grace=900) == 1
    assert watch.checks == 4


def test_a_server_that_recovers_is_not_reported(watch: Watch) -> None:
    assert watch.over([True, False, False, True, False, False], grace=900) == 0


def test_a_server_that_waits_for_its_database_is_left_alone_in_the_grace_period(
    watch: Watch,
) -> None:
    assert watch.over([False] * 10, grace=900) == 0


@pytest.mark.parametrize("health", [[False] * 20, [True] + [False] * 20])
def test_a_server_whose_launcher_still_tries_the_database_is_never_reported(
    watch: Watch, health: list[bool]
) -> None:
    """The fault: a database that was away for a day had its server replaced all the time."""
    assert watch.over(health, grace=-1, attempts=lambda check: check) == 0


def test_a_launcher_that_stopped_trying_is_reported(watch: Watch) -> None:
    assert watch.over([False] * 10, grace=-1, attempts=lambda check: min(check, 4)) == 1
    assert watch.checks == 7


def test_the_launcher_tells_the_watchdog_at_each_attempt(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keyless-mlflow").mkdir()
    watchdog = load("watchdog")
    seen: list[int | None] = []

    def as_seen_by_the_watchdog() -> int | None:
        with monkeypatch.context() as patch:
            patch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "keyless-watchdog"))
            found: int | None = watchdog.last_attempt()
            return found

    def pause(*_: object) -> None:
        seen.append(as_seen_by_the_watchdog())
        if len(seen) == 3:
            raise launcher.Stopped

    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "keyless-mlflow"))
    monkeypatch.setattr(launcher, "pause", pause)
    with launcher.listen(0) as closed, pytest.raises(launcher.Stopped):
        nowhere = DATABASE | {"address": "127.0.0.1", "port": closed.getsockname()[1]}
        launcher.wait_for_database(settings(), nowhere, tmp_path / "pgpass", [])
    assert len(set(seen)) == 3 and None not in seen


@pytest.mark.parametrize(("code", "told"), [("ParameterNotFound", True), ("AccessDenied", False)])
def test_only_a_contract_that_is_not_written_yet_is_waited_for_without_end(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, told: bool
) -> None:
    failure = type(code, (Exception,), {})

    def stop(*_: object) -> None:
        raise launcher.Stopped

    def refuse(*_: object) -> str:
        raise failure

    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(launcher, "parameter", refuse)
    monkeypatch.setattr(launcher, "pause", stop)
    with pytest.raises(launcher.Stopped):
        launcher.wait_for_platform(settings(), [])
    assert (tmp_path / "waiting").exists() == told


def test_a_server_that_never_starts_is_reported_after_the_grace_period(watch: Watch) -> None:
    assert watch.over([False] * 10, grace=-1) == 1


def test_a_healthy_server_says_so_now_and_then(
    watch: Watch, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch.module, "HEARTBEAT_SECONDS", 0)
    watch.over([True, False, True], grace=900)
    said = capsys.readouterr().out.splitlines()
    assert said.count("watchdog: MLflow is healthy") == 2


def test_the_line_of_a_healthy_server_is_the_one_that_the_alarm_counts(watch: Watch) -> None:
    alarms = (ROOT / "terraform" / "modules" / "observability" / "alarms.tf").read_text()
    assert f"watchdog: {watch.module.HEALTHY}" in alarms


def test_a_healthy_server_does_not_fill_its_log(
    watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch.over([True] * 20, grace=900)
    assert capsys.readouterr().out.count("MLflow is healthy") == 1


def test_a_report_that_fails_is_tried_again(watch: Watch) -> None:
    assert watch.over([True] + [False] * 5, grace=900, reported=False) == 3


@pytest.mark.parametrize(("status", "well"), [(200, True), (500, False), (503, False)])
def test_health_is_what_mlflow_answers(box: Box, status: int, well: bool) -> None:
    box.status = status
    assert load("watchdog").healthy(box.port) is well


def test_a_closed_port_is_not_healthy(box: Box) -> None:
    box.server.server_close()
    assert load("watchdog").healthy(box.port) is False


def test_the_instance_is_named_by_version_2_of_the_metadata_service(box: Box) -> None:
    assert load("watchdog").identity()["instanceId"] == "i-1"
