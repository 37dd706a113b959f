"""The pages: every link leads somewhere, and the indexes list every page and record."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.names import roles
from tests import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "terraform/**/*.md", "tests/**/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
    if ".terraform" not in path.parts
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", without_code(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(page: Path) -> str:
    return re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))


def dead_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(without_code(page)):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One heading\n[a](#one-heading) [b](#another) [c](gone.md) [d](https://x.org)"
    )
    assert list(dead_links(page)) == ["#another", "gone.md"]


@pytest.mark.parametrize("folder", ["docs", "docs/decisions", "docs/outside"])
def test_an_index_lists_every_page_of_its_folder(folder: str) -> None:
    index = ROOT / folder / "README.md"
    listed = {link.partition("#")[0] for link in LINK.findall(index.read_text(encoding="utf-8"))}
    there = {path.name for path in index.parent.glob("*.md")} - {"README.md"}
    assert there <= listed


def test_the_page_of_roles_lists_each_role_and_no_other() -> None:
    page = (ROOT / "docs" / "roles.md").read_text(encoding="utf-8")
    first = re.findall(r"(?m)^\| ([a-z][^|(]*?)(?: \([^|]*)? \|", page)
    listed = [name for cell in first[1:] for name in cell.split(", ")]
    assert sorted(listed) == sorted(roles())


def test_the_readme_names_every_module() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    there = {path.parent.name for path in ROOT.glob("terraform/modules/*/main.tf")}
    assert {name for name in there if not re.search(rf"\b{name}\b", text)} == set()
