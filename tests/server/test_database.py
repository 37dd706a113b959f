"""The schema's upgrade: a snapshot comes first, and without one the tables stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import boto3
import psycopg2
import pytest
from moto import mock_aws

from scripts.commands.database import keep_snapshot
from scripts.console import UserError
from scripts.localcloud.rds.postgres import SUPERUSER, Postgres
from scripts.server import database
from scripts.server.database import bring_up_to_date


class Tables:
    """MLflow's own functions over a database that is nothing but its revision."""

    def __init__(self, revision: str | None) -> None:
        self.revision = revision
        self.done: list[str] = []

    def _is_empty_database(self, _: Any) -> bool:
        return self.revision is None

    def _initialize_tables(self, _: Any) -> None:
        self.revision = "new"
        self.done.append("initialised")

    def _get_schema_version(self, _: Any) -> str | None:
        return self.revision

    def _get_latest_schema_revision(self) -> str:
        return "new"

    def _upgrade_db(self, _: Any) -> None:
        self.revision = "new"
        self.done.append("upgraded")


def nowhere() -> Any:
    """An engine that nothing connects by."""
    import sqlalchemy

    return sqlalchemy.create_engine("sqlite://")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables below are no database: what is asked of one is tested on a real one."""
    monkeypatch.setattr(database, "_must_be_older", lambda *_: None)
    monkeypatch.setattr(database, "_must_be_free", lambda _: None)


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize(
    ("revision", "done"),
    [(None, ["initialised"]), ("new", []), ("old", ["snapshot of old", "upgraded"])],
)
def test_a_snapshot_comes_before_tables_change_and_only_then(
    revision: str | None, done: list[str]
) -> None:
    tables = Tables(revision)
    found = bring_up_to_date(
        tables, nowhere(), lambda old: tables.done.append(f"snapshot of {old}")
    )
    assert (found, tables.done) == ("new", done)


@pytest.mark.usefixtures("judged")
def test_without_a_snapshot_the_tables_stay_as_they_are() -> None:
    def refuse(_: str) -> None:
        raise UserError("no snapshot")

    tables = Tables("old")
    with pytest.raises(UserError, match="no snapshot"):
        bring_up_to_date(tables, nowhere(), refuse)
    assert (tables.revision, tables.done) == ("old", [])


@pytest.fixture
def rds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("rds", region_name="us-east-1")
        client.create_db_instance(
            DBInstanceIdentifier="keyless-dev",
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="keyless_master",
            ManageMasterUserPassword=True,
        )
        yield client


@pytest.mark.slow
def test_the_snapshot_is_of_this_database_and_can_be_restored(rds: Any) -> None:
    told: list[str] = []
    name = keep_snapshot(rds, "keyless-dev", "cfd24bdc0731", told.append)
    (found,) = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
    assert name.startswith("keyless-dev-schema-cfd24bdc0731-")
    assert (found["DBInstanceIdentifier"], found["Status"]) == ("keyless-dev", "available")
    assert told == [f"snapshot {name}, before the schema is upgraded"]


@pytest.mark.parametrize(
    ("state", "words"),
    [("failed", "stays at old"), ("creating", "the snapshot is creating, after")],
)
def test_a_snapshot_that_does_not_become_available_stops_the_upgrade(
    state: str, words: str
) -> None:
    rds = SimpleNamespace(
        create_db_snapshot=lambda **_: None,
        describe_db_snapshots=lambda **_: {"DBSnapshots": [{"Status": state}]},
    )
    with pytest.raises(UserError, match=words):
        keep_snapshot(rds, "keyless-dev", "old", lambda _: None, seconds=-1)


OLD = "cc1f77228345"  # of MLflow 1.28


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL with the roles of RDS."""
    home = tmp_path_factory.mktemp("pg")
    server = Postgres(home / "rds", home=home, master="master", password="x")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def engine(server: Postgres) -> Iterator[Any]:
    """A database with a table and a revision, and none of MLflow's other tables."""
    import sqlalchemy

    def in_public() -> Any:
        return psycopg2.connect(
            host=str(server.socket_directory), user=SUPERUSER, dbname="postgres"
        )

    made = sqlalchemy.create_engine("postgresql+psycopg2://", creator=in_public)
    with made.begin() as connection:
        for text in ("CREATE TABLE alembic_version (version_num varchar(32))",
                     "INSERT INTO alembic_version VALUES ('none')",
                     "CREATE TABLE experiments (a int)"):  # fmt: skip
            connection.execute(sqlalchemy.text(text))
    yield made
    made.dispose()


def upgraded(engine: Any, revision: str) -> list[str]:
    """Try to upgrade tables of a revision; what was done before it was given up."""
    import sqlalchemy

    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE alembic_version SET version_num = :found"), {"found": revision}
        )
    done = attempted(engine)
    with engine.connect() as connection:
        now = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version"))
        assert now.scalar() == revision
    return done


def attempted(engine: Any) -> list[str]:
    """Try to upgrade the tables as they are; what was done before it was given up."""
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels import models

    assert models.SqlRun is not None
    done: list[str] = []

    def keep(found: str) -> str:
        done.append(found)
        return "the-snapshot"

    try:
        bring_up_to_date(utils, engine, keep)
    except UserError as error:
        done.append(f"{error} {error.fix}")
    return done


@pytest.mark.slow
def test_a_schema_newer_than_mlflow_is_told_and_left_alone(engine: Any) -> None:
    [told] = upgraded(engine, "ffffffffffff")
    assert "made by a newer MLflow: its revision ffffffffffff" in told
    assert "nothing was changed" in told


@pytest.mark.slow
def test_a_migration_that_fails_is_told_with_its_snapshot(engine: Any) -> None:
    snapshot, told = upgraded(engine, OLD)
    assert snapshot == OLD
    assert f"the migration from revision {OLD} failed" in told
    assert f"the database is at {OLD}" in told
    assert "the snapshot the-snapshot was taken before" in told


@pytest.mark.slow
@pytest.mark.parametrize("table", ["experiments", "alembic_version"])
def test_a_lock_is_waited_for_a_while_and_its_holder_named(
    engine: Any, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    import sqlalchemy

    monkeypatch.setattr(database, "LOCK_SECONDS", 1)
    assert upgraded(engine, OLD)[0] == OLD  # nothing is locked
    with engine.connect() as holder:
        holder.execute(sqlalchemy.text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        pid = holder.execute(sqlalchemy.text("SELECT pg_backend_pid()")).scalar()
        [told] = attempted(engine)
        holder.rollback()
    assert "another session holds a lock on MLflow's tables" in told
    assert f"process {pid} of" in told


# What whoever took the server over may leave in its tables: it looks for the rights of the session.
PLANTED = """\
CREATE TABLE proof (found text);
CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SET ROLE NONE;
  BEGIN
    CREATE ROLE backdoor LOGIN CREATEROLE PASSWORD 'known';
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;
  ALTER ROLE CURRENT_USER PASSWORD 'stolen';
  SET ROLE mlflow_owner;
  INSERT INTO proof VALUES (session_user);
  RETURN NEW;
END $$;
CREATE TABLE alembic_version (version_num text);
INSERT INTO alembic_version VALUES ('old');
CREATE TRIGGER planted AFTER UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION planted();
"""


@dataclass(frozen=True)
class Unix(database.Server):
    """The same server by its socket, without TLS."""

    socket: str = ""

    def connect(self, user: str, password: str, database: str, options: str = "") -> Any:
        return psycopg2.connect(
            host=self.socket, user=user, password=password, dbname=database, options=options
        )


@pytest.mark.slow
@pytest.mark.parametrize("by_master", [False, True])
def test_what_the_server_left_in_its_tables_has_none_of_the_masters_rights(
    server: Postgres, by_master: bool
) -> None:
    """Also without the control: in a session of the master's the same trigger is the master."""
    there = Unix("", "", 0, "", str(server.socket_directory))
    names = database.Names(database=f"mlflow{by_master}".lower())
    with closing(there.connect("master", "x", "postgres")) as login:
        database._create_owner(login, "master", names)
        database._create_database(login, names)
    acting = f"-c role={names.owner}"
    with closing(there.connect("master", "x", names.database, acting)) as attacker, attacker:
        attacker.cursor().execute(PLANTED)

    @contextmanager
    def as_master() -> Iterator[Callable[[], Any]]:
        yield lambda: there.connect("master", "x", names.database, acting)

    migrating = as_master() if by_master else database._as_migrator(there, "master", "x", names)
    with migrating as connect, closing(connect()) as session, session:
        session.cursor().execute("UPDATE alembic_version SET version_num = 'new'")

    with closing(server.connect(names.database)) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT found FROM public.proof")
        assert cursor.fetchall() == [("master" if by_master else database.MIGRATOR,)]
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'backdoor'")
        assert cursor.fetchone() == (int(by_master),)
    for password in ("stolen", ""):
        with pytest.raises(psycopg2.OperationalError):
            there.connect(database.MIGRATOR, password, names.database)
