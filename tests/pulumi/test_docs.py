"""docs/pulumi.md shows code that is there."""

from __future__ import annotations

import re
import textwrap

import pytest

from tests import ROOT

PAGE = (ROOT / "docs" / "pulumi.md").read_text(encoding="utf-8")
EXCERPTS = re.findall(r"<!-- excerpt: (\S+) -->\n\n((?:    .*\n|\n)+)", PAGE)


def plain(code: str) -> str:
    return "\n".join(line.strip() for line in code.splitlines())


def test_the_same_role_is_shown_in_both_languages() -> None:
    assert [path.rpartition(".")[2] for path, _ in EXCERPTS] == ["tf", "py"]
    assert all("vpc-flow-logs.amazonaws.com" in code for _, code in EXCERPTS)


@pytest.mark.parametrize(("path", "code"), EXCERPTS, ids=[path for path, _ in EXCERPTS])
def test_an_excerpt_stands_in_its_file(path: str, code: str) -> None:
    source = plain((ROOT / path).read_text(encoding="utf-8"))
    shown = textwrap.dedent(code).strip().split("\n\n")
    # A paragraph of the page may leave out what stands between it and the next.
    for paragraph in shown:
        assert plain(paragraph) in source, paragraph
