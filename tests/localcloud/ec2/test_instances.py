"""A server from its launch template to its answer: role, token, database, health, replacement."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import requests
from botocore.exceptions import ClientError

from scripts.aws import sealed
from scripts.aws.credentials import Credentials
from scripts.aws.data_channel import TOKEN_HEADER, open_data_channel
from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.home import HOME_VARIABLE
from scripts.server import database
from tests.local_run.written import written
from tests.localcloud.server_platform import (
    DOCUMENT,
    MASTER,
    PREFIX,
    ServerPlatform,
    await_true,
    document,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerPlatform]:
    """Server, database and schema made side by side, as in an apply; then the contract."""
    home = tmp_path_factory.mktemp("home") / ".keyless"
    with LocalCloud(home, data_plane=True) as cloud:
        made = ServerPlatform(cloud)
        made.create_server(workers=1)
        made.create_database()
        made.create_schema()
        made.publish()
        made.healthy_instance()
        made.connected_instance()
        yield made


def get(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if host is not None:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def processes(platform: ServerPlatform) -> list[psutil.Process]:
    found = []
    for pid in platform.instance()["processes"].values():
        process = psutil.Process(pid)
        found += [process, *process.children(recursive=True)]
    return found


def root(platform: ServerPlatform) -> Path:
    return platform.cloud.home / "instances" / str(platform.instance()["id"]) / "root"


SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"


def test_the_server_answers_from_the_database(platform: ServerPlatform) -> None:
    status, body = get(platform.instance()["ports"]["read"], SEARCH)
    assert status == 200
    (experiment,) = json.loads(body)["experiments"]
    assert experiment["artifact_location"].startswith("s3://keyless-dev-artifacts-")


def test_the_server_connects_as_the_iam_user_and_acts_as_the_owner(
    platform: ServerPlatform,
) -> None:
    get(platform.instance()["ports"]["read"], SEARCH)
    with (
        platform.plane.databases._running[platform.database["DbiResourceId"]].postgres.connect(
            "mlflow"
        ) as admin,
        admin.cursor() as cursor,
    ):
        cursor.execute("SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = 'mlflow'")
        assert {row[0] for row in cursor.fetchall()} == {"mlflow", "rdsadmin"}
        cursor.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchall() == [("mlflow_owner",)]
    admin.close()


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1:5000", "localhost", "127.0.0.1"])
def test_a_client_may_come_through_any_port_of_its_machine(
    platform: ServerPlatform, host: str
) -> None:
    assert get(platform.instance()["ports"]["read"], SEARCH, host)[0] == 200


def test_another_host_name_is_refused(platform: ServerPlatform) -> None:
    """DNS rebinding: a web page whose name turns to 127.0.0.1 must not talk to MLflow."""
    assert get(platform.instance()["ports"]["read"], SEARCH, "attacker.example:5000")[0] == 403


def test_the_server_listens_on_loopback_alone(platform: ServerPlatform) -> None:
    listening = {
        connection.laddr.ip
        for process in processes(platform)
        for connection in process.net_connections(kind="inet")
        if connection.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}


def test_no_secret_is_in_a_command_line_or_an_environment(platform: ServerPlatform) -> None:
    (passfile,) = root(platform).glob("run/*/pgpass")
    token = passfile.read_text().rpartition("X-Amz-Signature=")[2].strip()
    assert passfile.stat().st_mode & 0o777 == 0o600
    assert len(token) == 64
    for process in processes(platform):
        seen = " ".join([*process.cmdline(), *process.environ().values()])
        assert token not in seen
        assert "X-Amz-Signature" not in seen
        assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & process.environ().keys()


def test_every_process_carries_the_mark_that_leftovers_are_found_by(
    platform: ServerPlatform,
) -> None:
    home = str(platform.cloud.home.absolute())
    assert {process.environ()[HOME_VARIABLE] for process in processes(platform)} == {home}


def test_no_secret_is_in_a_log(platform: ServerPlatform) -> None:
    logs = [file for file in written(platform.cloud.home) if file.path.suffix == ".log"]
    assert logs
    for log in logs:
        text = log.content.decode()
        assert "X-Amz-Security-Token" not in text
        assert platform.master_password() not in text


def test_a_session_opens_the_servers_port_and_closes_it(platform: ServerPlatform) -> None:
    ssm = platform.client("ssm")
    opened = ssm.start_session(Target=platform.instance()["id"], DocumentName=DOCUMENT)
    _, port = open_data_channel(ssm, opened)
    assert get(port, SEARCH)[0] == 200
    ssm.terminate_session(SessionId=opened["SessionId"])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


# Both ends of a session


def a_role(
    platform: ServerPlatform, name: str, *statements: dict[str, Any], minutes: float = 60
) -> Any:
    """A client of SSM with a session of a new role, which lives so long."""
    cloud, iam = platform.cloud, platform.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [trust | {"Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
    own = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(own))
    [role] = [one for one in cloud.backend("iam").roles.values() if one.name == name]
    caller = cloud._principals.open_session(role, "job", timedelta(minutes=minutes))
    assert caller.session is not None
    return sealed.client(cloud, caller.session.credentials, "ssm")


START = {"Action": ["ssm:StartSession", "ssm:TerminateSession"], "Resource": "*"}
SESSIONS = "arn:aws:ssm:*:*:session/*"


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    with pytest.raises(ClientError) as failed:
        call(*arguments, **named)
    return str(failed.value.response["Error"]["Code"])


def begin(platform: ServerPlatform, ssm: Any) -> dict[str, str]:
    opened: dict[str, str] = ssm.start_session(
        Target=platform.instance()["id"], DocumentName=DOCUMENT
    )
    return opened


def test_a_client_that_may_start_a_session_may_not_open_its_channel(
    platform: ServerPlatform,
) -> None:
    """Without the second right StartSession succeeds, and the tunnel behind it fails."""
    ssm = a_role(platform, "starts-only", START)
    opened = begin(platform, ssm)
    assert refused(open_data_channel, ssm, opened) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("name", "resource", "opens"),
    [
        ("by-session", SESSIONS, True),
        ("by-name", "arn:aws:ssm:*:*:session/job-*", True),
        ("another", "arn:aws:ssm:*:*:session/other-*", False),
    ],
)
def test_the_channel_is_a_right_on_the_session(
    platform: ServerPlatform, name: str, resource: str, opens: bool
) -> None:
    channel = {"Action": "ssmmessages:OpenDataChannel", "Resource": resource}
    ssm = a_role(platform, name, START, channel)
    opened = begin(platform, ssm)
    if opens:
        assert get(open_data_channel(ssm, opened)[1], SEARCH)[0] == 200
    else:
        assert refused(open_data_channel, ssm, opened) == "AccessDeniedException"


def test_a_channel_needs_the_sessions_own_token(platform: ServerPlatform) -> None:
    ssm = platform.client("ssm")
    opened = begin(platform, ssm) | {"TokenValue": "guessed"}
    assert refused(open_data_channel, ssm, opened) == "AccessDeniedException"


def test_a_channel_needs_a_signature(platform: ServerPlatform) -> None:
    opened = begin(platform, platform.client("ssm"))
    headers = {TOKEN_HEADER: opened["TokenValue"]}
    answer = requests.get(
        opened["StreamUrl"], headers=headers, verify=str(platform.cloud.ca_bundle), timeout=10
    )
    assert answer.status_code >= 400
    assert "port" not in answer.text


def test_a_channel_ends_with_the_credentials_that_opened_it(platform: ServerPlatform) -> None:
    channel = {"Action": "ssmmessages:OpenDataChannel", "Resource": SESSIONS}
    ssm = a_role(platform, "short-lived", START, channel, minutes=5 / 60)
    _, port = open_data_channel(ssm, begin(platform, ssm))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as tunnel:
        tunnel.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = b""
        # The credentials expire under the open connection, and it ends.
        while some := tunnel.recv(65536):
            heard += some
        assert heard.startswith(b"HTTP/1.1 200")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert refused(begin, platform, ssm) == "ExpiredTokenException"


def test_a_channel_accepts_and_then_closes_where_nothing_listens(platform: ServerPlatform) -> None:
    """As the plugin does: a client learns nothing from the connection alone."""
    platform.create_document("keyless-dev-nothing-session", document("9"))
    ssm = platform.client("ssm")
    opened = ssm.start_session(
        Target=platform.instance()["id"], DocumentName="keyless-dev-nothing-session"
    )
    _, port = open_data_channel(ssm, opened)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as tunnel:
        assert tunnel.recv(1) == b""


def test_an_instance_is_not_connected_until_its_agent_has_registered(
    platform: ServerPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssm, target = platform.client("ssm"), str(platform.instance()["id"])
    assert ssm.get_connection_status(Target=target)["Status"] == "connected"
    monkeypatch.setattr(platform.cloud, "agent_seconds", 3600.0)
    assert ssm.get_connection_status(Target=target)["Status"] == "notconnected"
    assert refused(begin, platform, ssm) == "TargetNotConnected"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Parameters": {"portNumber": ["22"]}}, "InvalidParameters"),
        ({"DocumentName": "keyless-dev-unknown"}, "InvalidDocument"),
        ({"Target": "i-00000000000000000"}, "TargetNotConnected"),
    ],
)
def test_a_session_elsewhere_is_refused(
    platform: ServerPlatform, change: dict[str, Any], code: str
) -> None:
    request = {"Target": platform.instance()["id"], "DocumentName": DOCUMENT} | change
    with pytest.raises(ClientError) as refusal:
        platform.client("ssm").start_session(**request)
    assert refusal.value.response["Error"]["Code"] == code


def test_a_document_to_the_database_reaches_it_through_the_instance(
    platform: ServerPlatform,
) -> None:
    address = platform.database["Endpoint"]["Address"]
    platform.create_document("keyless-dev-database-session", document("5432", host=address))
    ssm = platform.client("ssm")
    opened = ssm.start_session(
        Target=platform.instance()["id"], DocumentName="keyless-dev-database-session"
    )
    server = platform.database_server()
    _, port = open_data_channel(ssm, opened)
    through = database.Server(server.host, "127.0.0.1", port, server.ca)
    through.connect(MASTER, platform.master_password(), "postgres").close()
    ssm.terminate_session(SessionId=opened["SessionId"])


def test_the_schema_can_be_made_again(platform: ServerPlatform) -> None:
    told = platform.create_schema()
    assert not [line for line in told if line.startswith("created")]
    assert told[-1].startswith("a fresh login")


def test_a_master_that_makes_the_login_itself_is_locked_out(platform: ServerPlatform) -> None:
    """What `keyless database` avoids with a role for the moment; here it is left out."""
    server, password = platform.database_server(), platform.master_password()
    master = server.connect(MASTER, password, "postgres")
    master.autocommit = True
    with master.cursor() as cursor:
        cursor.execute("CREATE ROLE careless LOGIN")
        cursor.execute("GRANT rds_iam TO careless")
        with pytest.raises(psycopg2.OperationalError, match="PAM authentication failed"):
            server.connect(MASTER, password, "postgres")
        cursor.execute("DROP ROLE careless")
    master.close()
    server.connect(MASTER, password, "postgres").close()


def test_a_worker_that_dies_is_started_again(platform: ServerPlatform) -> None:
    worker = next(p for p in processes(platform) if "worker.py" in " ".join(p.cmdline()))
    worker.kill()
    await_true(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert platform.healthy_instance()["id"] == platform.instance()["id"]


def test_a_terminated_instance_is_replaced_and_its_processes_end(
    platform: ServerPlatform,
) -> None:
    old, old_processes = platform.instance(), processes(platform)
    ssm = platform.client("ssm")
    _, port = open_data_channel(ssm, ssm.start_session(Target=old["id"], DocumentName=DOCUMENT))
    platform.client("autoscaling").set_instance_health(
        InstanceId=old["id"], HealthStatus="Unhealthy"
    )
    platform.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=old["id"], ShouldDecrementDesiredCapacity=False
    )
    await_true(lambda: platform.plane.instances.find(old["id"]) is None)
    await_true(lambda: not any(process.is_running() for process in old_processes))
    with pytest.raises((OSError, urllib.error.URLError)):
        get(port, "/health")
    assert platform.healthy_instance()["id"] != old["id"]
    assert not (platform.cloud.home / "instances" / old["id"] / "root").exists()


def test_the_instances_role_is_all_that_its_credentials_are(platform: ServerPlatform) -> None:
    metadata = platform.instance()["metadata"]

    def call(path: str, method: str = "GET", **headers: str) -> str:
        named = {f"X-aws-ec2-metadata-{name}": value for name, value in headers.items()}
        request = urllib.request.Request(f"{metadata}/latest/{path}", method=method, headers=named)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    token = call("api/token", "PUT", **{"token-ttl-seconds": "60"})
    path = f"meta-data/iam/security-credentials/{PREFIX}-server"
    found = json.loads(call(path, token=token))
    credentials = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])
    key = platform.cloud.identify(credentials.access_key_id, credentials.session_token)
    assert key.caller.principal.arn == (
        f"arn:aws:sts::{platform.account_id}:assumed-role/{PREFIX}-server/"
        f"{platform.instance()['id']}"
    )
    session = key.caller.session
    assert session is not None
    instance = f"arn:aws:ec2:{platform.cloud.region}:{platform.account_id}:instance/"
    assert session.keys["ec2:SourceInstanceARN"] == (f"{instance}{platform.instance()['id']}",)
    assert session.keys["ec2:RoleDelivery"] == ("2.0",)
    assert session.keys["aws:Ec2InstanceSourceVpc"][0].startswith("vpc-")
    assert session.keys["aws:Ec2InstanceSourcePrivateIPv4"][0].count(".") == 3
