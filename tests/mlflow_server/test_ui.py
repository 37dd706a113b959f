"""MLflow's own pages in a real browser, on the port of each set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import find, page
from tests.mlflow_server.box import SETS, Box, World

pytestmark = pytest.mark.slow

# What the pages ask for on every visit and no port offers; they do without it.
OFF = {"get_config", "get_providers"}


@pytest.fixture(scope="module")
def browser() -> str:
    """The browser; without one these tests are skipped and say so, and in CI they fail."""
    return find("MLflow's pages were")


@pytest.fixture(scope="module")
def world(box: Box) -> World:
    made = World(box, "shown")
    box.ok("operate", "runs/update", run_id=made.finished, run_name="the-finished-run")
    return made


PAGES = [
    # Lists have 25 on their first page, and other tests make experiments and models of theirs.
    ("read", "/experiments?experimentSearchFilter={name}", "#/experiments/{experiment}"),
    ("read", "/experiments/{experiment}/runs", "the-finished-run"),
    ("read", "/experiments/{experiment}/runs/{finished}", "the-finished-run"),
    ("read", "/models?searchInput={name}", "#/models/{name}"),
    ("read", "/models/{name}/versions/1", "champion"),
    *((name, "/models/{name}", "challenger") for name in SETS if name != "read"),
]


@pytest.mark.parametrize(("by", "path", "shown"), PAGES)
def test_a_page_shows_its_records_and_asks_for_nothing_that_is_refused(
    box: Box, world: World, browser: str, tmp_path: Path, by: str, path: str, shown: str
) -> None:
    before, logged = len(box.lines("refused")), len(box.log.read_text())
    text = page(browser, f"{box.uri(by)}/#{path.format(**vars(world))}", tmp_path)
    assert shown.format(**vars(world)) in text
    assert "PERMISSION_DENIED" not in text
    refused = {line["refused"] for line in box.lines("refused")[before:]}
    assert refused <= OFF
    # Other tests share the server, and MLflow logs whole what its store was not allowed.
    assert "Traceback" not in box.log.read_text()[logged:]
