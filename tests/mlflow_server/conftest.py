"""Two servers on one PostgreSQL: one as it is installed, one with every control taken out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.localcloud.rds.postgres import SUPERUSER, Postgres
from tests.mlflow_server.box import Box


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty database."""
    home = tmp_path_factory.mktemp("database")
    server = Postgres(home / "postgres", home=home, master="master", password="not-used")
    server.start()
    try:
        yield f"postgresql+psycopg2://{SUPERUSER}@/postgres?host={server.socket_directory}"
    finally:
        server.stop()


@pytest.fixture(scope="session")
def box(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """The server as it is installed; artifacts go through it, so that they are judged, too."""
    made = Box(database, tmp_path_factory.mktemp("guarded") / "box").wait()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def unguarded(box: Box, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """The same without the guard, on the tables that the other one made."""
    made = Box(database, tmp_path_factory.mktemp("unguarded") / "box", guarded=False).wait()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what tests write."""
    return tmp_path_factory.mktemp("files")
