"""Every endpoint of the locked MLflow is classified; a new one fails here until it is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from guard import RULES, Permissions

from scripts.maintenance import mlflow_access
from scripts.maintenance.mlflow_access import Endpoint
from tests import ROOT
from tests.mlflow_server.box import SERVER

pytestmark = pytest.mark.slow

# In a process of its own: MLflow's modules warn when they are imported.
HANDLERS = """
import ast, inspect, json, sys, textwrap
sys.path.insert(0, sys.argv[1])
import uvicorn
from front import LOADED, NAMED
from guard import RULES
from mlflow.server import handlers
from mlflow.server.graphql.graphql_schema_extensions import schema

parsed = {}
for message, handler in handlers.HANDLERS.items():
    name = handler.__name__.lstrip("_")
    if name in {*RULES, *NAMED}:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(handler))))
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        made = [n.args[0].func.id for n in calls
                if getattr(n.func, "id", "") == "_get_request_message"]
        parsed.setdefault(name, []).append([message.__name__, made])
graph = schema.graphql_schema
fields = [*graph.query_type.fields, *graph.mutation_type.fields]
print(json.dumps({"parsed": parsed, "fields": sorted(set(fields)),
                  "loaded": sorted({*LOADED, *NAMED})}))
"""


@pytest.fixture(scope="module")
def found() -> list[Endpoint]:
    return mlflow_access.endpoints()


@pytest.fixture(scope="module")
def mlflow() -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HANDLERS, str(SERVER)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_no_endpoint_is_unknown(found: list[Endpoint]) -> None:
    permissions = Permissions({})
    known = permissions.allowed.keys() | permissions.off.keys()
    unknown = sorted({one.operation for one in found} - known)
    assert not unknown, f"name these in permissions.toml: {', '.join(unknown)}"
    assert len([one for one in found if one.application == "Flask"]) > 400
    assert len([one for one in found if one.application == "FastAPI"]) > 60


def test_no_operation_is_listed_that_mlflow_does_not_have(found: list[Endpoint]) -> None:
    permissions = Permissions({})
    listed = permissions.allowed.keys() | permissions.off.keys()
    assert listed == {one.operation for one in found}


def test_the_uis_twin_of_a_path_may_be_called_by_the_same_sets(found: list[Endpoint]) -> None:
    permissions = Permissions({})
    places: dict[tuple[str, str], set[frozenset[str]]] = {}
    for one in found:
        path = one.path.removeprefix("^").replace("/ajax-api/", "/api/")
        sets = permissions.allowed.get(one.operation, frozenset())
        places.setdefault((one.method, path), set()).add(sets)
    assert {place: sets for place, sets in places.items() if len(sets) > 1} == {}


def test_a_request_is_judged_as_the_message_that_its_handler_parses(
    mlflow: dict[str, dict[str, list[tuple[str, list[str]]]]],
) -> None:
    """The rule looks at fields of one message; the handler must act on that very message."""
    assert mlflow["parsed"].keys() >= RULES.keys()
    for operation, handled in mlflow["parsed"].items():
        assert len(handled) == 1, operation
        ((message, made),) = handled
        assert made == [message], operation


def test_graphql_has_only_fields_that_read(mlflow: dict[str, list[str]]) -> None:
    """GraphQL is one operation that every set may call: a new mutation fails here."""
    assert mlflow["fields"] == [
        "mlflowGetExperiment",
        "mlflowGetMetricHistoryBulkInterval",
        "mlflowGetRun",
        "mlflowListArtifacts",
        "mlflowSearchDatasets",
        "mlflowSearchModelVersions",
        "mlflowSearchRuns",
        "test",
        "testMutation",
    ]


def test_the_page_of_operations_is_the_generated_one(found: list[Endpoint]) -> None:
    assert mlflow_access.PAGE.read_text() == mlflow_access.table(found), (
        "run python -m scripts.maintenance.mlflow_access"
    )
