"""Schemathesis sends a real server what its OpenAPI description allows, and what it forbids."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.pipeline.serving import models
from tests.pipeline.serving.running import Running, running

pytestmark = pytest.mark.slow
ROUTES = [
    ("POST", "/predict"),
    ("POST", "/invocations"),
    ("POST", "/feedback"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
]
# A route without body and parameters has nothing that one could get wrong.
CASES = [
    (method, path, mode)
    for method, path in ROUTES
    for mode in GenerationMode
    if method == "POST" or mode == GenerationMode.POSITIVE
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("store")
    models.promote(folder, "1", models.fitted())
    with running(folder) as found:
        yield found


@pytest.fixture(scope="module")
def description(server: Running) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def test_every_route_is_fuzzed(description: Any) -> None:
    listed = [found.ok() for found in description.get_all_operations()]

    assert sorted((each.method.upper(), each.path) for each in listed) == sorted(ROUTES)


def fills_gaps(body: Any) -> bool:
    """Whether rows lack columns that other rows have, or bring more: /invocations takes both.

    The description asks for whole rows: that each column must come in one row at least, it could
    only say by a clause for each column.
    """
    rows = next(iter(body.values())) if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return False
    names = set(models.features().columns)
    return names <= set().union(*rows) and any(set(row) != names for row in rows)


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_no_request_breaks_the_server(
    method: str, path: str, mode: GenerationMode, description: Any, server: Running
) -> None:
    operation = description[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=80,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        answer = case.call()
        # JSON Schema cannot say which texts are CSV with the model's columns, and which are times.
        unsaid = case.media_type == "text/csv" or "not a time" in answer.text
        left_out = [positive_data_acceptance] if unsaid else []
        if path == "/invocations" and fills_gaps(case.body):
            left_out.append(negative_data_rejection)
        case.validate_response(answer, excluded_checks=left_out)

    send()
    assert server.post("/invocations", {"instances": models.rows()}).status_code == 200
    assert server.metric("keyless_requests_total", status="500") == 0
