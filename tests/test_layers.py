"""The walls between the rooms, read off every import: lazy and type-checking ones too."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests import ROOT

LARGEST_FOLDER = 15
# One verb or service a file: they grow with the project, and each is still found by its name.
ONE_FILE_A_THING = {"scripts/commands", "scripts/iam/requests/services"}
STEPS = [
    f"pipeline.{path.stem}"
    for path in sorted((ROOT / "pipeline").glob("*.py"))
    if "@step" in path.read_text(encoding="utf-8")
]
ANALYSES = [f"scripts.iam.{room}" for room in ("denial", "escalation", "ledger", "trust_lint")]
ROOMS = sorted(
    f"scripts.{path.name}"
    for path in (ROOT / "scripts").iterdir()
    if (path / "__init__.py").exists() and path.name != "commands"
)
WALLS = [
    ("pipeline", "scripts"),
    ("pipeline.rollouts", "pipeline.serving"),
    ("scripts.iam.engine", "scripts.iam.requests"),
    ("scripts.iam.requests", "scripts.iam.engine"),
    ("scripts.iam", "scripts.localcloud"),
    ("scripts.localcloud", "pipeline"),
    ("scripts.localcloud", "scripts.local_run"),
    ("scripts.stack", "scripts.account"),
    ("scripts.stack", "scripts.local_run"),
    *((analysis, "scripts.localcloud") for analysis in ANALYSES),
    *((room, "scripts.commands") for room in ROOMS),
    *((one, other) for one in STEPS for other in STEPS if one != other),
]
"""Who must not import whom, be it by way of others."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("pipeline", "scripts", cache_dir=None)


def test_there_are_rooms_and_steps_to_look_at() -> None:
    assert {"pipeline.ingest", "pipeline.promote", "pipeline.rollback"} <= set(STEPS)
    assert {"scripts.iam", "scripts.localcloud", "scripts.stack"} <= set(ROOMS)


@pytest.mark.parametrize(("importer", "imported"), WALLS)
def test_a_room_does_not_import_what_is_behind_its_wall(
    graph: grimp.ImportGraph, importer: str, imported: str
) -> None:
    chains = graph.find_shortest_chains(importer=importer, imported=imported, as_packages=True)
    assert sorted(chains) == []


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert circle(imports) == []


def circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """The modules of one circle; none if there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def test_a_lazy_import_and_one_for_types_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "circular"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("def late() -> None:\n    from circular import two\n")
    (package / "two.py").write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from circular import one\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = grimp.build_graph("circular", cache_dir=None)
    imports = {name: made.find_modules_directly_imported_by(name) for name in made.modules}
    assert set(circle(imports)) == {"circular.one", "circular.two"}


def test_no_folder_holds_more_files_than_a_reader_can_survey() -> None:
    tracked = [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("scripts/**/*.py")]
    tracked += [*ROOT.glob("tests/**/*.py"), *ROOT.glob("terraform/**/files/*.py")]
    folders: dict[str, int] = {}
    for path in tracked:
        if ".".join(path.relative_to(ROOT).with_suffix("").parts) in STEPS:
            continue  # one step a file, likewise
        folder = path.parent.relative_to(ROOT).as_posix()
        folders[folder] = folders.get(folder, 0) + 1
    full = {folder: count for folder, count in folders.items() if count > LARGEST_FOLDER}
    assert {folder for folder in full if folder not in ONE_FILE_A_THING} == set()


def test_every_end_to_end_test_lies_where_make_test_looks_for_it() -> None:
    word = "mark." + "e2e"
    marked = {path.parent for path in (ROOT / "tests").rglob("*.py") if word in path.read_text()}
    assert marked == {ROOT / "tests" / "e2e"}
