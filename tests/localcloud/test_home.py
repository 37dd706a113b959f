"""The state directory: certificates, the files by which the cloud is found, and the process."""

import json
import signal
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from moto.budgets.responses import BudgetsResponse
from moto.rds.models import DBInstance
from moto.s3.models import FakeBucket

from scripts.files import private_folder, write_private
from scripts.iam.account.decision_log import Record
from scripts.localcloud.access.decisions import DecisionLog
from scripts.localcloud.authority import Authority
from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.home import (
    HOME_VARIABLE,
    Cloud,
    CloudDown,
    administrator,
    alive,
    load,
)
from tests import ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def record(action: str, *, allowed: bool) -> Record:
    return Record(
        time=1.0,
        request_id="r",
        principal="p",
        role=None,
        service="s3",
        operation="GetObject",
        action=action,
        resource="*",
        keys={"aws:SourceIp": ("127.0.0.1",)},
        allowed=allowed,
    )


def test_the_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert mode(private_folder(tmp_path / "home")) == 0o700


def test_a_certificate_is_trusted_under_the_bundle_and_for_its_names_alone(tmp_path: Path) -> None:
    authority = Authority(private_folder(tmp_path))
    certificate, key = authority.issue("127.0.0.1", "localhost", "db.us-east-1.rds.amazonaws.com")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    for name, trusted in (("localhost", True), ("127.0.0.1", True), ("example.com", False)):
        assert handshake(server, authority.bundle, name) is trusted
    assert {mode(certificate), mode(key), mode(authority.bundle)} == {0o600}


def handshake(server: ssl.SSLContext, bundle: Path, name: str) -> bool:
    client = ssl.create_default_context(cafile=str(bundle))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    finished = 0
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
                finished += 1
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return finished >= 2


def test_the_key_of_the_authority_is_on_no_disk(tmp_path: Path) -> None:
    authority = Authority(private_folder(tmp_path))
    authority.issue("localhost")
    keys = [path for path in tmp_path.rglob("*") if b"PRIVATE KEY" in _content(path)]
    assert [path.name for path in keys] == ["localhost.key"]


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    one, other = (
        Authority(private_folder(tmp_path / "one")),
        Authority(private_folder(tmp_path / "other")),
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*one.issue("localhost"))
    assert handshake(server, one.bundle, "localhost")
    assert not handshake(server, other.bundle, "localhost")


def test_a_certificate_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Authority(private_folder(tmp_path)).issue()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")
    with pytest.raises(TypeError):
        write_private(path, 7)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert mode(path) == 0o600


def test_without_a_cloud_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    for find in (load, administrator):
        with pytest.raises(CloudDown, match="no local cloud runs") as down:
            find(tmp_path)
        assert down.value.fix == "keyless up"


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b'{"pid": "x"}'])
def test_a_damaged_file_is_no_running_cloud(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cloud.json").write_bytes(content)
    with pytest.raises(CloudDown, match="not readable") as down:
        load(tmp_path)
    assert down.value.fix == "keyless down"


def test_a_cloud_that_was_killed_is_noticed_even_if_its_number_is_in_use(tmp_path: Path) -> None:
    with LocalCloud(tmp_path) as cloud:
        me = psutil.Process()
        cloud.announce(me.pid, me.create_time())
        found = load(tmp_path)
        assert (found.endpoint, found.account_id) == (cloud.endpoint, cloud.account_id)
        assert administrator(tmp_path) == cloud.administrator
        cloud.announce(me.pid, me.create_time() - 1000)
        with pytest.raises(CloudDown, match="ended without cleaning up"):
            load(tmp_path)
    assert {mode(tmp_path / name) for name in ("cloud.json", "administrator.json")} == {0o600}


def test_one_process_runs_one_cloud() -> None:
    with LocalCloud(), pytest.raises(RuntimeError, match="already runs"):
        LocalCloud().start()


def test_a_cloud_starts_with_an_empty_account_and_new_keys() -> None:
    with LocalCloud() as first:
        first.backend("s3").create_bucket("left", first.region)
        key = first.administrator
    with LocalCloud() as second:
        assert "left" not in second.backend("s3").buckets
        assert second.administrator != key


def test_moto_is_left_as_it_was() -> None:
    def now() -> tuple[object, ...]:
        return (DBInstance.__init__, FakeBucket.get_permission, vars(BudgetsResponse).copy())

    before = now()
    with LocalCloud():
        assert now() != before
    assert now() == before


def test_decisions_are_in_the_file_in_order_and_counted(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl")
    sent = [record(f"s3:{number}", allowed=number % 3 == 0) for number in range(100)]
    for entry in sent:
        log.append(entry)
    assert log.read() == sent
    assert log.counts == (34, 66)
    log.stop()
    assert mode(log.path) == 0o600
    assert len(log.path.read_text().splitlines()) == 100


def test_stopping_writes_what_is_left(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl")
    log.append(record("s3:GetObject", allowed=True))
    log.stop()
    assert json.loads(log.path.read_text())["action"] == "s3:GetObject"


@pytest.mark.slow
def test_the_process_announces_itself_and_leaves_no_announcement(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.localcloud", "--home", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            cloud = wait_for(tmp_path, process)
            assert cloud.pid == process.pid
            second = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (second.returncode, "already runs" in second.stderr) == (1, True)
            assert load(tmp_path) == cloud
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    with pytest.raises(CloudDown):
        load(tmp_path)
    assert not (tmp_path / "administrator.json").exists()


def wait_for(home: Path, process: "subprocess.Popen[bytes]") -> Cloud:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return load(home)
        except CloudDown:
            time.sleep(0.05)
    raise AssertionError("the cloud did not start")


def test_a_process_that_is_gone_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        started = psutil.Process(process.pid).create_time()
    assert not alive(process.pid, started)


def test_a_clock_that_was_set_does_not_end_a_cloud(tmp_path: Path) -> None:
    environment = {HOME_VARIABLE: str(tmp_path)}
    # It tells that it runs: within `exec` there is a moment in which a process has no environment.
    sleep = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        sleep, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        another_hour = psutil.Process(process.pid).create_time() + 3600
        assert alive(process.pid, another_hour, tmp_path)
        assert not alive(process.pid, another_hour)
        assert not alive(process.pid, another_hour, tmp_path / "other")
        process.communicate()
