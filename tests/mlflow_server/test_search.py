"""MLflow's commonest search over many runs, and what each search must not do again."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from mlflow.entities import ViewType

from scripts.server.database import add_indexes
from tests.mlflow_server.box import SERVER, Box

# MLflow's own store, in this process, says this of itself.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The ``noload`` loader")]

RUNS = """
INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage,
                  artifact_uri, experiment_id)
SELECT md5('search-' || n), 'run', 'LOCAL', 'u', 'FINISHED', n, 'active', '', {experiment}
FROM generate_series(1, 20000) AS n
"""


@pytest.fixture(scope="module")
def engine(box: Box, database: str) -> Iterator[Any]:
    made = sqlalchemy.create_engine(database)
    yield made
    with made.begin() as connection:
        connection.exec_driver_sql("DROP INDEX IF EXISTS keyless_newest_runs")
    made.dispose()


@pytest.fixture(scope="module")
def plan(engine: Any, box: Box, database: str, folder: Path) -> Callable[[], str]:
    """PostgreSQL's plan for what MLflow's store sends when the newest runs are asked for."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    experiment = box.ok("operate", "experiments/create", name="many runs")["experiment_id"]
    with engine.begin() as connection:
        connection.exec_driver_sql(RUNS.format(experiment=int(experiment)))
        connection.exec_driver_sql("ANALYZE runs")
    make: Any = SqlAlchemyStore
    store = make(database, folder.as_uri())
    sent: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM runs" in statement:
            sent.append((statement, parameters))

    sqlalchemy.event.listen(store.engine, "before_cursor_execute", listen)
    found = store.search_runs([experiment], "", ViewType.ACTIVE_ONLY, 50)
    assert [run.info.start_time for run in found][:2] == [20000, 19999]
    ((statement, parameters),) = sent

    def explain() -> str:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
            return "\n".join(rows)

    return explain


def cost(plan: str) -> float:
    """What PostgreSQL expects the whole plan to cost, in its own units."""
    found = re.match(r"Limit +\(cost=[\d.]+\.\.([\d.]+)", plan)
    assert found, plan
    return float(found[1])


def test_the_newest_runs_are_read_by_an_index_and_without_it_every_run_is(
    engine: Any, plan: Callable[[], str]
) -> None:
    sorts_all = plan()
    for _ in range(2):
        add_indexes(engine)
    reads_newest = plan()
    assert "using keyless_newest_runs" in reads_newest
    assert cost(sorts_all) > 10 * cost(reads_newest)


ASKED = """
import sys
sys.path.insert(0, sys.argv[1])
import worker
from mlflow.server import handlers
from mlflow.protos.service_pb2 import SearchRuns

class Store:
    def search_runs(self, **_):
        return []

handlers._get_tracking_store = Store
worker.without_passwords() if {calls} else None
tried = []
sys.meta_path.insert(0, type("Finder", (), {{"find_spec": staticmethod(
    lambda name, path=None, target=None: tried.append(name))}}))
try:
    handlers.search_runs_impl(SearchRuns(experiment_ids=["1"]))
    tried.clear()
    handlers.search_runs_impl(SearchRuns(experiment_ids=["1"]))
except AttributeError:
    pass
print("mlflow.server.auth" in tried)
"""


@pytest.mark.parametrize("control", [True, False])
def test_no_search_tries_to_import_mlflows_password_plug_in(control: bool) -> None:
    program = ASKED.format(calls=control)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(SERVER)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-1] == str(not control)
