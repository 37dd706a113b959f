"""MLflow's database: its owner, its login and its schema, made by the master and safe to repeat."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from scripts.console import UserError
from scripts.names import RDS_CERTIFICATES

if TYPE_CHECKING:
    from psycopg2.extensions import connection

CREATOR = "keyless_creator"
MIGRATOR = "keyless_migrator"
T = TypeVar("T")
CONNECT_SECONDS = 30
# How long to wait for tables that somebody else uses.
LOCK_SECONDS = 30
# How long MLflow's first start may take to make its tables.
INITIAL_SECONDS = 180
# What PostgreSQL, its client and RDS say when a login fails, and the way out.
_CERTIFICATES = (
    f"curl --fail -O {RDS_CERTIFICATES}, then keyless database with --aws --ca global-bundle.pem"
)
_REFUSED = (
    ("root certificate", _CERTIFICATES),
    ("certificate verify failed", _CERTIFICATES),
    (
        "connection slots are reserved",
        SLOTS := "end sessions that hold connections, such as the "
        "server's (stop it for this moment), then run keyless database again",
    ),
    ("too many clients", SLOTS),
    (
        "PAM",
        "an administrator must take the master out of rds_iam: REVOKE rds_iam FROM the role "
        "that it is a member of",
    ),
    (
        "password authentication failed",
        "run keyless database again: RDS rotates this password, and "
        "the secret may have been read before the last time",
    ),
)
INDEXES = (
    "CREATE INDEX IF NOT EXISTS keyless_newest_runs ON runs "
    "(experiment_id, start_time DESC, run_uuid)",
)


@dataclass(frozen=True)
class Server:
    """Where PostgreSQL answers: connect to `address:port`, and verify the certificate of `host`."""

    host: str
    address: str
    port: int
    ca: str

    def connect(self, user: str, password: str, database: str, options: str = "") -> connection:
        """Open one connection. Raises psycopg2.OperationalError."""
        return psycopg2.connect(
            host=self.host,
            hostaddr=self.address,
            port=self.port,
            user=user,
            password=password,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=self.ca,
            options=options,
            connect_timeout=CONNECT_SECONDS,
            application_name="keyless database",
        )


@dataclass(frozen=True)
class Names:
    """The database, its owner (a role without login) and the server's login."""

    database: str = "mlflow"
    owner: str = "mlflow_owner"
    login: str = "mlflow"


class MasterLockedOut(UserError):
    """The master became a member of rds_iam, directly or not, and RDS takes no password of it."""


def create(
    server: Server,
    master: str,
    password: str,
    names: Names = Names(),
    tell: Callable[[str], None] = lambda _: None,
    before_upgrade: Callable[[str], object] = lambda _: None,
) -> None:
    """Make roles, database and schema as far as they are missing, and prove the master's login.

    `before_upgrade` is called with the old revision when tables that hold data are about to be
    changed; what it raises keeps them as they are. Raises UserError with the command that fixes it.
    """
    with closing(_master(server, master, password)) as login:
        if _create_owner(login, master, names):
            tell(f"created {names.owner}")
        if _create_database(login, names):
            tell(f"created the database {names.database}")
    tell("schema: reading MLflow's revisions")
    revision = _create_schema(server, master, password, names, before_upgrade)
    tell(f"schema at revision {revision}")
    # The server logs in as soon as its login is there, and would make the tables beside us.
    with closing(_master(server, master, password)) as login:
        if _create_login(login, master, names):
            tell(f"created {names.login}")
    with closing(_master(server, master, password)) as login:
        _prove(login, master, names)
    tell(f"a fresh login of {master} works; {names.login} logs in by IAM token alone")


def _master(server: Server, master: str, password: str) -> connection:
    try:
        return server.connect(master, password, "postgres")
    except psycopg2.OperationalError as refusal:
        why = " ".join(str(refusal).split())
        fix = next((fix for sign, fix in _REFUSED if sign in why), "keyless doctor")
        raise UserError(f"{master} cannot log in", why=why, fix=fix) from None


def _create_owner(master_login: connection, master: str, names: Names) -> bool:
    """Make the tables' owner, in one transaction; returns whether there was work."""
    owner = sql.Identifier(names.owner)
    with master_login, master_login.cursor() as cursor:
        missing = names.owner not in _roles(cursor, (names.owner,))
        if missing:
            cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(owner))
        cursor.execute(
            sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(
                owner, sql.Identifier(master)
            )
        )
    return missing


def _create_login(master_login: connection, master: str, names: Names) -> bool:
    """Make the server's login, in one transaction; returns whether there was work.

    Since PostgreSQL 16 whoever creates a role is a member of it for good. Were the master to
    create the login, it would through it be a member of rds_iam, and RDS would take its password
    no longer. So a role that exists for this moment only creates the login; dropping it drops its
    membership.
    https://www.postgresql.org/docs/16/sql-createrole.html
    """
    owner, login, creator = map(sql.Identifier, (names.owner, names.login, CREATOR))
    with master_login, master_login.cursor() as cursor:
        missing = names.login not in _roles(cursor, (names.login,))
        if missing:
            cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN CREATEROLE").format(creator))
            cursor.execute(
                sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(
                    creator, sql.Identifier(master)
                )
            )
            cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(creator))
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(login))
            # Whatever the server makes belongs to the owner, as what this command makes does.
            cursor.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(login, owner))
            cursor.execute("RESET ROLE")
            cursor.execute(sql.SQL("DROP ROLE {}").format(creator))
        cursor.execute(sql.SQL("GRANT {} TO {}").format(owner, login))
        cursor.execute(sql.SQL("GRANT rds_iam TO {}").format(login))
    return missing


def _roles(cursor: Any, names: tuple[str, ...]) -> set[str]:
    cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(names),))
    return {row[0] for row in cursor.fetchall()}


def _create_database(master_login: connection, names: Names) -> bool:
    master_login.autocommit = True  # CREATE DATABASE runs in no transaction
    database, owner = sql.Identifier(names.database), sql.Identifier(names.owner)
    with master_login.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (names.database,))
        missing = cursor.fetchone() is None
        if missing:
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
        cursor.execute(sql.SQL("SET ROLE {}").format(owner))
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    return missing


def _create_schema(
    server: Server,
    master: str,
    password: str,
    names: Names,
    before_upgrade: Callable[[str], object],
) -> str:
    """Bring MLflow's tables to the revision of the installed MLflow; returns it."""
    import sqlalchemy
    from mlflow.store.db import utils as untyped
    from mlflow.store.tracking.dbmodels import models

    utils: Any = untyped
    assert models.SqlRun is not None  # the tables are known once this is imported
    with _as_migrator(server, master, password, names) as connect:
        # Connections come from `creator`, so no password is in an address that may be logged.
        engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=connect)
        try:
            revision = bring_up_to_date(utils, engine, before_upgrade)
            add_indexes(engine)
            return revision
        finally:
            engine.dispose()


@contextmanager
def _as_migrator(
    server: Server, master: str, password: str, names: Names
) -> Iterator[Callable[[], connection]]:
    """Sessions that may act as the tables' owner and as nobody else.

    The server owns its tables, so whoever takes the server over can leave a trigger or a view
    there that runs in the session that migrates them, and `RESET ROLE` would make it the master's
    in a session that the master opened. The migrator's password lives as long as this block.
    """
    role, owner = sql.Identifier(MIGRATOR), sql.Identifier(names.owner)
    with closing(_master(server, master, password)) as login:
        login.autocommit = True
        own = secrets.token_urlsafe(32)
        with login.cursor() as cursor:
            if MIGRATOR not in _roles(cursor, (MIGRATOR,)):
                cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
            cursor.execute(
                sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(owner, role)
            )
            # Hashed here, as psql does: a statement may be logged.
            hashed = encrypt_password(own, MIGRATOR, login, "scram-sha-256")
            cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD %s").format(role), (hashed,))
            try:
                yield lambda: server.connect(
                    MIGRATOR, own, names.database, options=f"-c role={names.owner}"
                )
            finally:
                # What was planted may have changed the password, or made the role own something,
                # which would keep it from being dropped.
                cursor.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(role))


def add_indexes(engine: Any) -> None:
    """Make what MLflow's tables lack for its commonest search, where it is not there yet.

    Without it PostgreSQL reads and sorts every run of an experiment to show the newest 50.
    """
    with _bounded(engine), engine.begin() as connection:
        for statement in INDEXES:
            connection.exec_driver_sql(statement)


def bring_up_to_date(utils: Any, engine: Any, before_upgrade: Callable[[str], object]) -> str:
    """Make or upgrade the tables by `mlflow.store.db.utils`; returns their revision.

    MLflow does not promise that a migration can be rolled back, so `before_upgrade` comes first
    when there is something to migrate: https://mlflow.org/docs/latest/api_reference/cli.html#mlflow-db-upgrade
    Raises UserError for tables that a newer MLflow made, that somebody holds a lock on, or whose
    migration fails.
    """
    with _bounded(engine):
        if utils._is_empty_database(engine):
            utils._initialize_tables(engine)
        else:
            found, latest = _revision(utils, engine), utils._get_latest_schema_revision()
            if found != latest:
                _must_be_older(utils, found, latest)
                _must_be_free(engine)
                kept = before_upgrade(found)
                _upgrade(utils, engine, found, kept)
        return str(utils._get_schema_version(engine))


@contextmanager
def _bounded(engine: Any) -> Iterator[None]:
    """Wait for nobody's lock without an end, whatever MLflow asks of the tables.

    Raises UserError, which names who holds the lock.
    """
    import sqlalchemy

    def limit(connection: Any) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")

    sqlalchemy.event.listen(engine, "begin", limit)
    try:
        yield
    except sqlalchemy.exc.OperationalError as error:
        if not isinstance(error.orig, psycopg2.errors.LockNotAvailable):
            raise
        raise UserError(
            f"another session holds a lock on MLflow's tables; after {LOCK_SECONDS} s nothing was "
            f"changed{_holders(engine)}",
            fix="stop the server or end that session, then run keyless database again",
        ) from None
    finally:
        sqlalchemy.event.remove(engine, "begin", limit)


def _revision(utils: Any, engine: Any) -> str:
    """The tables' revision. Tables without one are just being made, by the server's first start."""
    deadline = time.monotonic() + INITIAL_SECONDS
    while (found := utils._get_schema_version(engine)) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"there are tables without a revision, after {INITIAL_SECONDS} s of waiting",
                why="somebody's first start of MLflow was interrupted while it made them",
                fix="if they hold nothing, drop the database, then run keyless database again",
            )
        time.sleep(1)
    return str(found)


def _must_be_older(utils: Any, found: str, latest: str) -> None:
    """Refuse a revision that this MLflow does not know: it comes from a newer one."""
    import mlflow
    from alembic.script import ScriptDirectory

    known = ScriptDirectory.from_config(utils._get_alembic_config(db_url=""))
    if found not in {one.revision for one in known.walk_revisions()}:
        raise UserError(
            f"the database was made by a newer MLflow: its revision {found} is unknown to MLflow "
            f"{mlflow.__version__}, whose newest is {latest}; nothing was changed",
            fix="install the release of MLflow that made it, or restore the snapshot that was "
            "taken before that upgrade",
        )


def _must_be_free(engine: Any) -> None:
    """Refuse tables that another session keeps locked, before a snapshot is taken for nothing."""
    import sqlalchemy

    tables = sqlalchemy.text(
        "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables "
        "WHERE schemaname = current_schema()"
    )
    with engine.connect() as connection:
        names = connection.execute(tables).scalar()
        connection.execute(sqlalchemy.text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
        connection.rollback()


def _holders(engine: Any) -> str:
    """Who holds locks on tables here, for a message."""
    import sqlalchemy

    asked = sqlalchemy.text(
        "SELECT DISTINCT a.pid, a.usename, a.state FROM pg_locks l JOIN pg_stat_activity a USING "
        "(pid) WHERE l.relation IS NOT NULL AND l.granted AND a.pid <> pg_backend_pid() "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND a.xact_start IS NOT NULL ORDER BY a.pid LIMIT 5"
    )
    with engine.connect() as connection:
        rows = connection.execute(asked).fetchall()
    found = ", ".join(f"process {pid} of {user or 'another user'} ({state or 'state hidden'})"
                      for pid, user, state in rows)  # fmt: skip
    return f": {found}" if found else ""


def _upgrade(utils: Any, engine: Any, found: str, kept: object) -> None:
    """Migrate; a failure is one sentence, with the snapshot to go back to."""
    import sqlalchemy
    from alembic.util.exc import CommandError

    try:
        utils._upgrade_db(engine)
    except (sqlalchemy.exc.SQLAlchemyError, CommandError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        now = utils._get_schema_version(engine)
        raise UserError(
            f"the migration from revision {found} failed: {reason}; the database is at {now}",
            why="" if str(now) == found else "a part of the migration was kept",
            fix="compare the tables with those that MLflow had at that revision"
            + (f"; the snapshot {kept} was taken before" if kept else ""),
        ) from error


def _prove(master_login: connection, master: str, names: Names) -> None:
    """Check with a fresh login that the master is no member of the login's groups."""
    with master_login, master_login.cursor() as cursor:
        cursor.execute(
            "SELECT pg_has_role(%s, %s, 'MEMBER'), pg_has_role(%s, 'rds_iam', 'MEMBER')",
            (master, names.login, names.login),
        )
        found = cursor.fetchone()
        assert found is not None
        master_is_login, login_is_iam = found
    if master_is_login:
        raise MasterLockedOut(
            f"{master} is a member of {names.login}, and so of rds_iam",
            why="RDS asks a member of rds_iam for a token; this login worked, the next may not",
            fix=f"drop the login (DROP ROLE {names.login}) and run keyless database again",
        )
    if not login_is_iam:
        raise UserError(
            f"{names.login} is not a member of rds_iam",
            why="GRANT rds_iam had no effect",
            fix="run keyless database again",
        )


def wait_for(look: Callable[[], T | str], tell: Callable[[str], None], seconds: float) -> T:
    """Await what `look` finds; a string is its word on why there is nothing yet.

    Raises UserError with that word after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while isinstance(found := look(), str):
        if time.monotonic() > deadline:
            raise UserError(
                f"{found}, after {seconds:.0f} s of waiting",
                fix="wait for the apply to end, then run keyless database again",
            )
        tell(found)
        time.sleep(1)
    return found
