"""The schema's upgrade: a snapshot comes first, and without one the tables stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.commands.database import keep_snapshot
from scripts.console import UserError
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


@pytest.mark.parametrize(
    ("revision", "done"),
    [(None, ["initialised"]), ("new", []), ("old", ["snapshot of old", "upgraded"])],
)
def test_a_snapshot_comes_before_tables_change_and_only_then(
    revision: str | None, done: list[str]
) -> None:
    tables = Tables(revision)
    found = bring_up_to_date(tables, None, lambda old: tables.done.append(f"snapshot of {old}"))
    assert (found, tables.done) == ("new", done)


def test_without_a_snapshot_the_tables_stay_as_they_are() -> None:
    def refuse(_: str) -> None:
        raise UserError("no snapshot")

    tables = Tables("old")
    with pytest.raises(UserError, match="no snapshot"):
        bring_up_to_date(tables, None, refuse)
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
