"""The table of pains in docs/pipeline.md is whole, and its tests exist."""

import re

import pytest

from pipeline.model.place import LOCAL_PREFIXES
from tests import ROOT

PAINS = 14
_ROW = re.compile(r"^\| (\d+)\. [^|]+\|[^|]+\|([^|]+)\|$", re.MULTILINE)


def _rows() -> dict[int, list[str]]:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    return {int(number): re.findall(r"`(test_\w+)`", tests) for number, tests in _ROW.findall(page)}


def test_every_pain_has_its_row() -> None:
    assert list(_rows()) == list(range(1, PAINS + 1))


def test_every_pain_names_tests_and_they_exist() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))
    for number, tests in _rows().items():
        assert tests, f"pain {number} names no test"
        assert set(tests) <= known, f"pain {number} names {sorted(set(tests) - known)}"


@pytest.mark.parametrize("name", [".github/workflows/predict.yml", "docs/pipeline.md"])
def test_a_batch_that_is_named_as_a_key_lies_where_predict_may_read(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"[\w/]*inputs/bikes/", text)
    assert named
    assert all(key.startswith(LOCAL_PREFIXES.inputs) for key in named), named
