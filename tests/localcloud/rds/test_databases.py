"""RDS's data plane, with a real PostgreSQL and a real client: who gets in, and who does not."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import psycopg2
import psycopg2.extensions
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from scripts.aws.credentials import Credentials
from scripts.console import UserError
from scripts.localcloud.authority import Authority
from scripts.localcloud.emulator import gaps
from scripts.localcloud.home import HOME_VARIABLE
from scripts.localcloud.rds.databases import Databases
from scripts.server import database
from tests.localcloud.rds.dataplane_host import REGION, FakeHost

pytestmark = pytest.mark.slow

MASTER = "keyless_master"
PASSWORD = "a'password with \\ and :"
Connection = psycopg2.extensions.connection


class Cloud:
    """The database plane of a fake host, with one instance and its users."""

    def __init__(self, home: Path) -> None:
        self.host = FakeHost(home)
        self.databases = Databases(self.host)
        self.databases.start()
        self.record = self.create("keyless-dev")
        self.address = str(self.record.address)
        self.port = self.databases.wait("keyless-dev", timeout=60)
        self.resource = (
            f"arn:aws:rds-db:{REGION}:{self.host.account_id}:dbuser:{self.record.dbi_resource_id}"
        )
        self.host.allowed.add(("server", f"{self.resource}/mlflow"))
        with self.admin() as admin, admin.cursor() as cursor:
            cursor.execute("CREATE ROLE mlflow LOGIN IN ROLE rds_iam PASSWORD 'known'")
            cursor.execute("CREATE ROLE team NOLOGIN IN ROLE rds_iam")
            cursor.execute("CREATE ROLE indirect LOGIN IN ROLE team PASSWORD 'known'")
            cursor.execute("CREATE ROLE plain LOGIN PASSWORD 'known'")
        admin.close()

    def create(self, identifier: str, **settings: Any) -> Any:
        return self.host.backend("rds").create_db_instance(
            {
                "db_instance_identifier": identifier,
                "db_instance_class": "db.t4g.micro",
                "engine": "postgres",
                "engine_version": "17.6",
                "allocated_storage": 20,
                "master_username": MASTER,
                "master_user_password": PASSWORD,
                "enable_iam_database_authentication": True,
                **settings,
            }
        )

    def admin(self) -> Connection:
        """A connection as AWS's superuser, past the front."""
        (instance,) = (
            instance
            for instance in self.databases._running.values()
            if instance.record is self.record
        )
        return instance.postgres.connect()

    def connect(self, user: str, password: str | None, **changes: Any) -> Connection:
        parameters: dict[str, Any] = {
            "user": user,
            "password": password,
            "host": self.address,
            "hostaddr": "127.0.0.1",
            "port": self.port,
            "dbname": "postgres",
            "sslmode": "verify-full",
            "sslrootcert": str(self.host.ca_bundle),
            "connect_timeout": 20,
            "passfile": "/nonexistent",
        }
        connection: Connection = psycopg2.connect(**(parameters | changes))
        return connection

    def token(
        self,
        credentials: Credentials,
        *,
        user: str = "mlflow",
        host: str | None = None,
        port: int = 5432,
        region: str = REGION,
        service: str = "rds-db",
        action: str = "connect",
        expires: int = 900,
        age: timedelta = timedelta(0),
    ) -> str:
        """Sign a token as the AWS SDK does, or with one thing wrong."""
        url = f"https://{host or self.address}:{port}/?Action={action}&DBUser={user}"
        request = AWSRequest(method="GET", url=url)
        keys = BotoCredentials(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        )
        with patch("botocore.auth.get_current_datetime", return_value=datetime.now(UTC) - age):
            SigV4QueryAuth(keys, service, region, expires=expires).add_auth(request)
        return str(request.url).removeprefix("https://")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    # As in the local cloud: each database has a resource id of its own.
    with gaps.filled():
        cloud = Cloud(tmp_path_factory.mktemp("cloud"))
        yield cloud
        cloud.databases.stop()


def current_user(connection: Connection) -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            (user,) = cursor.fetchone() or ("",)
            return str(user)
    finally:
        connection.close()


def pid_of(cloud: Cloud, identifier: str = "keyless-dev") -> int:
    statuses = cloud.databases.status()
    (pid,) = (status["pid"] for status in statuses if status["identifier"] == identifier)
    return int(pid)


def refused(cloud: Cloud, message: str, user: str, password: str | None, **changes: Any) -> None:
    with pytest.raises(psycopg2.OperationalError, match=message):
        cloud.connect(user, password, **changes).close()


def test_a_token_of_a_role_that_may_connect_opens_the_database(cloud: Cloud) -> None:
    token = cloud.token(cloud.host.session("server"))
    assert current_user(cloud.connect("mlflow", token)) == "mlflow"


def test_the_sdks_own_token_opens_the_database(cloud: Cloud) -> None:
    import boto3

    session = cloud.host.session("server")
    client = boto3.client(
        "rds",
        region_name=REGION,
        aws_access_key_id=session.access_key_id,
        aws_secret_access_key=session.secret_access_key,
        aws_session_token=session.session_token,
    )
    token = client.generate_db_auth_token(cloud.address, 5432, "mlflow", REGION)
    assert len(token) > 1500
    assert current_user(cloud.connect("mlflow", token)) == "mlflow"


def test_the_decision_names_the_instance_and_the_user(cloud: Cloud) -> None:
    cloud.connect("mlflow", cloud.token(cloud.host.session("server"))).close()
    arn, need = cloud.host.asked[-1]
    assert arn == f"arn:aws:sts::{cloud.host.account_id}:assumed-role/server/test"
    assert (need.action, need.resource) == ("rds-db:connect", f"{cloud.resource}/mlflow")


def test_the_master_enters_by_password(cloud: Cloud) -> None:
    assert current_user(cloud.connect(MASTER, PASSWORD)) == MASTER


def test_the_master_has_the_attributes_that_rds_gives(cloud: Cloud) -> None:
    connection = cloud.connect(MASTER, PASSWORD)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False, True, True)
    connection.close()


def test_a_user_outside_rds_iam_enters_by_password(cloud: Cloud) -> None:
    assert current_user(cloud.connect("plain", "known")) == "plain"


TOKEN_ATTACKS: dict[str, Callable[[Cloud], str]] = {
    "garbage": lambda cloud: "garbage",
    "a known password": lambda cloud: "known",
    "expired": lambda cloud: cloud.token(cloud.host.session("server"), age=timedelta(seconds=901)),
    "longer than 15 minutes": lambda cloud: cloud.token(cloud.host.session("server"), expires=901),
    "from the future": lambda cloud: cloud.token(
        cloud.host.session("server"), age=timedelta(minutes=-10)
    ),
    "of another host": lambda cloud: cloud.token(
        cloud.host.session("server"), host="keyless-prod.aaaaaaaaaa.us-east-1.rds.amazonaws.com"
    ),
    "of another port": lambda cloud: cloud.token(cloud.host.session("server"), port=5433),
    "of another user": lambda cloud: cloud.token(cloud.host.session("server"), user="indirect"),
    "of another region": lambda cloud: cloud.token(
        cloud.host.session("server"), region="eu-west-1"
    ),
    "for another service": lambda cloud: cloud.token(
        cloud.host.session("server"), service="rds"
    ),
    "for another action": lambda cloud: cloud.token(
        cloud.host.session("server"), action="describe"
    ),
    "of a role without rds-db:connect": lambda cloud: cloud.token(cloud.host.session("train")),
    "of an expired session": lambda cloud: cloud.token(
        cloud.host.session("server", lifetime=timedelta(seconds=-1))
    ),
    "without its session token": lambda cloud: cloud.token(
        without_token(cloud.host.session("server"))
    ),
    "signed with another secret": lambda cloud: cloud.token(
        with_secret(cloud.host.session("server"))
    ),
    "with a changed user": lambda cloud: re.sub(
        "DBUser=indirect", "DBUser=mlflow", cloud.token(cloud.host.session("server"),
        user="indirect"),
    ),
    "with the user twice": lambda cloud: cloud.token(cloud.host.session("server"))
    + "&DBUser=mlflow",
}  # fmt: skip


def without_token(credentials: Credentials) -> Credentials:
    return Credentials(credentials.access_key_id, credentials.secret_access_key)


def with_secret(credentials: Credentials) -> Credentials:
    return Credentials(credentials.access_key_id, "wrong", credentials.session_token)


@pytest.mark.parametrize("attack", TOKEN_ATTACKS)
def test_a_bad_token_is_refused_as_rds_refuses_it(cloud: Cloud, attack: str) -> None:
    token = TOKEN_ATTACKS[attack](cloud)
    refused(cloud, 'FATAL:  PAM authentication failed for user "mlflow"', "mlflow", token)


def test_a_member_of_rds_iam_is_asked_for_a_password(cloud: Cloud) -> None:
    refused(cloud, "no password supplied", "mlflow", None)


def test_a_member_by_way_of_another_role_needs_a_token_too(cloud: Cloud) -> None:
    refused(cloud, "PAM authentication failed", "indirect", "known")


def test_the_password_of_an_rds_iam_member_counts_again_outside_rds_iam(cloud: Cloud) -> None:
    """The control is the membership: without it the known password opens the database."""
    with cloud.admin() as admin, admin.cursor() as cursor:
        cursor.execute("REVOKE rds_iam FROM mlflow")
    admin.close()
    try:
        assert current_user(cloud.connect("mlflow", "known")) == "mlflow"
    finally:
        with cloud.admin() as admin, admin.cursor() as cursor:
            cursor.execute("GRANT rds_iam TO mlflow")
        admin.close()


def test_a_client_without_tls_is_refused(cloud: Cloud) -> None:
    token = cloud.token(cloud.host.session("server"))
    message = 'no pg_hba.conf entry for host "127.0.0.1", user "mlflow", database "postgres", no'
    refused(cloud, message, "mlflow", token, sslmode="disable")


def test_a_client_that_trusts_another_authority_hangs_up(cloud: Cloud, tmp_path: Path) -> None:
    other = Authority(tmp_path).bundle
    token = cloud.token(cloud.host.session("server"))
    refused(cloud, "certificate verify failed", "mlflow", token, sslrootcert=str(other))
    # Without verification the wrong authority is not noticed: verify-full is the control.
    open_door = cloud.connect("mlflow", token, sslmode="require", sslrootcert="/nonexistent")
    assert current_user(open_door) == "mlflow"


@pytest.mark.parametrize(
    ("wrong", "fix"),
    [
        ("no file", "curl --fail -O https://truststore.pki.rds.amazonaws.com"),
        ("no certificate", "curl --fail -O https://truststore.pki.rds.amazonaws.com"),
        ("another authority", "curl --fail -O https://truststore.pki.rds.amazonaws.com"),
        ("the password before a rotation", "run keyless database again: RDS rotates"),
        ("no slot", "end sessions that hold connections"),
    ],
)
def test_a_login_of_the_master_that_fails_says_what_to_do(
    cloud: Cloud, tmp_path: Path, wrong: str, fix: str
) -> None:
    """`keyless doctor` looks at none of these."""
    (tmp_path / "empty.pem").write_text("")
    files = {
        "no file": tmp_path / "none.pem",
        "no certificate": tmp_path / "empty.pem",
        "another authority": Path(Authority(tmp_path).bundle),
    }
    ca = files.get(wrong, cloud.host.ca_bundle)
    server = database.Server(cloud.address, "127.0.0.1", cloud.port, str(ca))
    held: list[Connection] = []
    if wrong == "no slot":
        with contextlib.suppress(psycopg2.OperationalError):
            while len(held) < 200:
                held.append(cloud.connect("plain", "known"))
    password = "old" if "rotation" in wrong else PASSWORD
    try:
        with pytest.raises(UserError) as told:
            database.create(server, MASTER, password)
    finally:
        for connection in held:
            connection.close()
    assert fix in told.value.fix, told.value
    assert "\n" not in told.value.why


def test_a_client_that_expects_another_host_hangs_up(cloud: Cloud) -> None:
    token = cloud.token(cloud.host.session("server"))
    other = "keyless-prod.aaaaaaaaaa.us-east-1.rds.amazonaws.com"
    message = f'server certificate for "{cloud.address}" does not match host name "{other}"'
    refused(cloud, message, "mlflow", token, host=other)
    # verify-ca checks no name: with it the wrong server would get the token.
    assert current_user(cloud.connect("mlflow", token, host=other, sslmode="verify-ca")) == "mlflow"


def test_a_wrong_master_password_is_refused(cloud: Cloud) -> None:
    refused(cloud, f'password authentication failed for user "{MASTER}"', MASTER, "wrong")


def test_a_token_is_no_password_for_the_master(cloud: Cloud) -> None:
    cloud.host.allowed.add(("server", f"{cloud.resource}/{MASTER}"))
    token = cloud.token(cloud.host.session("server"), user=MASTER)
    refused(cloud, "password authentication failed", MASTER, token)


def test_awss_own_superuser_cannot_enter(cloud: Cloud) -> None:
    refused(cloud, 'pg_hba.conf rejects connection .* user "rdsadmin"', "rdsadmin", "x")


def test_an_unknown_user_is_refused_by_password(cloud: Cloud) -> None:
    refused(cloud, "password authentication failed", "nobody_here", "x")


def test_what_the_master_makes_never_runs_as_the_superuser(cloud: Cloud) -> None:
    """The look at the master's memberships once found the master's own operators first."""
    with contextlib.closing(cloud.connect(MASTER, PASSWORD)) as master:
        master.autocommit = True
        with master.cursor() as cursor:
            cursor.execute(
                "CREATE SCHEMA rdsadmin; CREATE SEQUENCE rdsadmin.ran;"
                "CREATE FUNCTION rdsadmin.same(a oid, b regrole) RETURNS bool LANGUAGE sql AS "
                "$$ SELECT nextval('rdsadmin.ran') > 0 AND a = b::oid $$;"
                "CREATE OPERATOR rdsadmin.= "
                "(LEFTARG = oid, RIGHTARG = regrole, FUNCTION = rdsadmin.same)"
            )
            cloud.connect(MASTER, PASSWORD).close()
            cursor.execute("SELECT is_called FROM rdsadmin.ran")
            assert cursor.fetchone() == (False,)
            cursor.execute("DROP SCHEMA rdsadmin CASCADE")


def test_a_master_that_joins_rds_iam_locks_itself_out(cloud: Cloud) -> None:
    """On PostgreSQL 16+ a role that the master made counts: its maker is a member of it."""
    master = cloud.connect(MASTER, PASSWORD)
    master.autocommit = True
    with master.cursor() as cursor:
        cursor.execute("CREATE ROLE trap LOGIN")
        current_user(cloud.connect(MASTER, PASSWORD))
        cursor.execute("GRANT rds_iam TO trap")
        refused(cloud, "PAM authentication failed", MASTER, PASSWORD)
        cursor.execute("DROP ROLE trap")
    master.close()
    assert current_user(cloud.connect(MASTER, PASSWORD)) == MASTER


def test_iam_authentication_must_be_switched_on(cloud: Cloud) -> None:
    token = cloud.token(cloud.host.session("server"))
    with patch.object(cloud.record, "enable_iam_database_authentication", new=False):
        refused(cloud, "PAM authentication failed", "mlflow", token)


def test_plain_text_behind_the_tls_request_is_not_taken_as_encrypted(cloud: Cloud) -> None:
    """CVE-2021-23214: bytes slipped in before the handshake must not become a query."""
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=20) as raw:
        raw.sendall(struct.pack("!ii", 8, 80877103) + b"\0\0\0\x08smuggled")
        assert raw.recv(1) == b"S"
        rest = b"".join(iter(lambda: _received(raw), b""))
        assert rest[:1] in (b"", b"\x15")  # closed, with a TLS alert at most


def _received(raw: socket.socket) -> bytes:
    try:
        return raw.recv(4096)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("garbage", [b"\0" * 8, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64])
def test_garbage_is_hung_up_on(cloud: Cloud, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=20) as raw:
        raw.sendall(garbage)
        assert _received(raw) == b""


CANCELLING = """
import sys, threading, psycopg2
connection = psycopg2.connect(sys.argv[1], password="known")
threading.Timer(0.3, connection.cancel).start()
try:
    connection.cursor().execute("SELECT pg_sleep(60)")
except psycopg2.errors.QueryCanceled:
    print("cancelled")
"""


def test_a_running_query_can_be_cancelled(cloud: Cloud) -> None:
    # In a process of its own: psycopg2 keeps the interpreter locked while it cancels.
    dsn = (
        f"host={cloud.address} hostaddr=127.0.0.1 port={cloud.port} dbname=postgres user=plain "
        f"sslmode=verify-full sslrootcert={cloud.host.ca_bundle}"
    )
    command = [sys.executable, "-c", CANCELLING, dsn]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "cancelled\n"


def test_many_rows_pass_both_ways(cloud: Cloud) -> None:
    connection = cloud.connect("plain", "known")
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(%s), repeat('x', 5000000)", ("y" * 3_000_000,))
        length, text = cursor.fetchone() or (0, "")
    connection.close()
    assert (length, len(text)) == (3_000_000, 5_000_000)


def test_postgres_listens_on_its_socket_alone(cloud: Cloud) -> None:
    sockets = psutil.Process(pid_of(cloud)).net_connections(kind="inet")
    assert [found for found in sockets if found.status == "LISTEN"] == []


def test_a_killed_server_comes_back_with_its_data(cloud: Cloud) -> None:
    pid = pid_of(cloud)
    psutil.Process(pid).kill()
    token = cloud.token(cloud.host.session("server"))
    deadline = time.monotonic() + 30
    while True:
        try:
            assert current_user(cloud.connect("mlflow", token)) == "mlflow"
            break
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert pid_of(cloud) != pid


def test_each_instance_has_a_resource_id_of_its_own(cloud: Cloud) -> None:
    other = cloud.create("keyless-prod")
    cloud.databases.wait("keyless-prod", timeout=60)
    try:
        assert re.fullmatch("db-[A-Z2-7]{26}", other.dbi_resource_id)
        assert other.dbi_resource_id != cloud.record.dbi_resource_id
        token = cloud.token(cloud.host.session("server"), host=other.address)
        port = cloud.databases.port(other.address, 5432)
        with pytest.raises(psycopg2.OperationalError):
            cloud.connect("mlflow", token, host=other.address, port=port)
    finally:
        del cloud.host.backend("rds").databases["keyless-prod"]


def test_the_server_carries_the_mark_that_leftovers_are_found_by(cloud: Cloud) -> None:
    environment = psutil.Process(pid_of(cloud)).environ()
    assert environment[HOME_VARIABLE] == str(cloud.host.home.absolute())


def test_a_deleted_instance_leaves_nothing(cloud: Cloud) -> None:
    cloud.create("keyless-gone")
    port = cloud.databases.wait("keyless-gone", timeout=60)
    pid = pid_of(cloud, "keyless-gone")
    gone = cloud.host.backend("rds").databases.pop("keyless-gone")
    folder = cloud.host.home / "rds" / gone.dbi_resource_id
    assert folder.exists()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) or folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_rotated_managed_password_is_the_masters(cloud: Cloud) -> None:
    record = cloud.create(
        "keyless-managed", master_user_password=None, manage_master_user_password=True
    )
    port = cloud.databases.wait("keyless-managed", timeout=60)
    secrets = cloud.host.backend("secretsmanager")

    def password() -> str:
        import json

        value = secrets.get_secret_value(record.master_user_secret.secret_arn, None, None)
        return str(json.loads(value["SecretString"])["password"])

    def connect() -> str:
        return current_user(cloud.connect(MASTER, password(), host=record.address, port=port))

    try:
        assert connect() == MASTER
        old = password()
        secrets.put_secret_value(
            secret_id=record.master_user_secret.secret_arn,
            secret_string='{"username": "keyless_master", "password": "rotated"}',
            secret_binary=None,
            client_request_token="a" * 32,
            version_stages=["AWSCURRENT"],
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                assert connect() == MASTER
                break
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        with pytest.raises(psycopg2.OperationalError):
            cloud.connect(MASTER, old, host=record.address, port=port)
    finally:
        del cloud.host.backend("rds").databases["keyless-managed"]


def test_a_name_of_64_bytes_is_nobodys(cloud: Cloud) -> None:
    """PostgreSQL would take its first 63 bytes for the user."""
    name = "u" * 63
    with cloud.admin() as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN IN ROLE rds_iam")
    admin.close()
    for user in (name, f"{name}x"):
        cloud.host.allowed.add(("server", f"{cloud.resource}/{user}"))
    server = cloud.host.session("server")
    cloud.connect(name, cloud.token(server, user=name)).close()
    longer = f"{name}x"
    refused(cloud, "PAM authentication failed", longer, cloud.token(server, user=longer))


@pytest.mark.parametrize(("protocols", "served"), [(["postgresql"], True), ([], False)])
def test_a_client_of_postgresql_17_shakes_hands_at_once(
    cloud: Cloud, protocols: list[str], served: bool
) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    plain = socket.create_connection(("127.0.0.1", cloud.port), timeout=10)
    with context.wrap_socket(plain) as client:
        body = struct.pack("!i", 196608) + b"user\0plain\0database\0postgres\0\0"
        with contextlib.suppress(OSError):
            client.sendall(struct.pack("!i", len(body) + 4) + body)
            assert (client.recv(1) == b"R") is served
            return
        assert not served


def test_a_master_with_a_capital_letter_enters_its_own_database(cloud: Cloud) -> None:
    """ "If this parameter is specified, an additional database with this name is created."

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
    """
    named = cloud.create("keyless-capital", master_username="KeylessMaster", db_name="Of_Its_Own")
    port = cloud.databases.wait("keyless-capital", timeout=60)
    try:
        way = {"host": named.address, "port": port, "dbname": "Of_Its_Own"}
        assert current_user(cloud.connect("KeylessMaster", PASSWORD, **way)) == "KeylessMaster"
    finally:
        del cloud.host.backend("rds").databases["keyless-capital"]


def test_a_renamed_database_has_a_certificate_of_its_new_address(cloud: Cloud) -> None:
    """A client verifies that the host name is the one in the certificate.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
    """
    renamed = cloud.create("keyless-before")
    cloud.databases.wait("keyless-before", timeout=60)
    try:
        cloud.host.backend("rds").modify_db_instance(
            "keyless-before",
            {"new_db_instance_identifier": "keyless-after", "apply_immediately": True},
        )
        port = cloud.databases.wait("keyless-after", timeout=60)
        assert "keyless-after" in renamed.address
        way = {"host": renamed.address, "port": port}
        assert current_user(cloud.connect(MASTER, PASSWORD, **way)) == MASTER
    finally:
        del cloud.host.backend("rds").databases["keyless-after"]
