"""The engine against AWS's documented answers, and against its own explanation of them."""

from __future__ import annotations

import pytest

from scripts.iam.engine import explain
from tests.iam.conformance.loader import Case, load_cases

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

CASES = load_cases()
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@by_name
def test_the_engine_gives_the_documented_answer(case: Case) -> None:
    assert case.answer() == case.expected, f"{case.name}: see {case.page}"


@by_name
def test_the_explanation_agrees_with_the_decision(case: Case) -> None:
    explanation = explain(case.request, case.policies())
    if explanation.decision is None:
        assert case.expected == "unsupported"
        assert explanation.unsupported
        assert any(f.unsupported for c in explanation.considered for f in c.failures)
        return
    decision = explanation.decision
    assert decision.reason.name == case.expected
    matched = {(c.policy, c.statement) for c in explanation.considered if c.matched}
    if decision.statement is not None:
        assert (decision.policy, decision.statement) in matched


def test_there_are_at_least_two_hundred_cases_and_each_names_its_page() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 200
    assert all(case.page for case in CASES)
