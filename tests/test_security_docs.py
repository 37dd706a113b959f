"""The security pages say what is so: tests they name exist, tables hold every rule and step."""

from __future__ import annotations

import ast
import re

import pytest

from scripts.iam.escalation.designed import modelled_steps
from scripts.iam.trust_lint import RULES
from tests import ROOT

MODEL = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", MODEL)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_the_threat_model_names_exists(file: str, name: str) -> None:
    module = ast.parse((ROOT / file).read_text())
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    assert name in functions
    # A test that may be left out executes nothing.
    marks = " ".join(map(ast.dump, [*functions[name].decorator_list, *module.body[:8]]))
    assert "skip" not in marks
    assert "xfail" not in marks


def test_every_mitigation_names_a_test() -> None:
    rows = [line for line in MODEL.splitlines() if line.startswith("| ")]
    mitigations = [row for row in rows if not row.startswith(("| threat |", "|---"))]
    assert len(mitigations) >= 25
    for row in mitigations:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row), row


def test_every_rule_of_the_linter_is_documented_with_its_severity() -> None:
    page = (ROOT / "docs" / "lint-trust.md").read_text()
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.severity} |" in page


def test_every_modelled_step_is_documented() -> None:
    page = (ROOT / "docs" / "least-privilege.md").read_text()
    for name in modelled_steps():
        assert f"| `{name}` |" in page


def test_the_security_page_says_how_to_report() -> None:
    assert "Report a vulnerability" in (ROOT / "SECURITY.md").read_text()
