"""A third evaluator's opinion on every conformance case: no difference is unexplained."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from tests import ROOT
from tests.iam.conformance.loader import Case, load_cases
from tests.iam.conformance.third_opinion import (
    EXPLAINED,
    PACKAGE,
    PROGRAM,
    ask,
    question_of,
    why_absent,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_absent()), reason=why_absent() or "it is there"),
]


class Opinion(NamedTuple):
    """The cases that were asked, and of those the ones on which the two differ."""

    asked: list[Case]
    differing: list[Case]


@pytest.fixture(scope="module")
def opinion() -> Opinion:
    asked = [(case, one) for case in load_cases() if (one := question_of(case)) is not None]
    answers = ask([one for _, one in asked])
    assert [answer["error"] for answer in answers if "error" in answer] == []
    differing = [
        case
        for (case, _), answer in zip(asked, answers, strict=True)
        if (answer["result"] == "Allowed") != (case.expected == "ALLOWED")
    ]
    return Opinion([case for case, _ in asked], differing)


def test_every_difference_is_explained(opinion: Opinion) -> None:
    unexplained = [
        f"{case.name}: {case.expected} by {case.page}"
        for case in opinion.differing
        if not any(part in case.name for part in EXPLAINED)
    ]
    assert unexplained == []


def test_every_explanation_is_still_needed(opinion: Opinion) -> None:
    needless = [
        part for part in EXPLAINED if not any(part in case.name for case in opinion.differing)
    ]
    assert needless == []


def test_most_cases_are_compared(opinion: Opinion) -> None:
    assert len(opinion.asked) >= 600
    assert len(opinion.differing) < 0.1 * len(opinion.asked)


def test_the_documentation_gives_these_figures(opinion: Opinion) -> None:
    page = (ROOT / "docs" / "policy-engine.md").read_text()
    agreed = len(opinion.asked) - len(opinion.differing)
    assert f"It agrees on {agreed} and differs on {len(opinion.differing)}," in page


def test_the_compared_version_is_the_locked_one() -> None:
    wanted = json.loads((PROGRAM.parent / "package.json").read_text())["dependencies"]
    lock = json.loads((PROGRAM.parent / "package-lock.json").read_text())
    installed = json.loads((PACKAGE / "package.json").read_text())
    assert installed["version"] == wanted["@cloud-copilot/iam-simulate"]
    for name, entry in lock["packages"].items():
        if name:
            assert entry["version"] == wanted[name.removeprefix("node_modules/")]
            assert entry["integrity"].startswith("sha512-")
            assert "resolved" not in entry
