"""The expression evaluator, against the rules and examples in GitHub's documentation."""

from typing import Any

import pytest

from tests.actions_runner.expressions import (
    Scope,
    Status,
    condition,
    evaluate,
    expressions_in,
    interpolate,
)
from tests.actions_runner.values import ExpressionError

CONTEXTS = {
    "github": {"ref": "refs/heads/main", "event": {"labels": [{"name": "a"}, {"name": "b"}]}},
    "inputs": {"environment": "", "count": 3.0, "on": True},
    "matrix": {"python": "3.11"},
    "vars": {"LIST": '["dev", "prod"]'},
}


def scope(**status: bool) -> Scope:
    defaults = {"succeeded": True, "failed": False, "cancelled": False}
    return Scope(CONTEXTS, Status(**(defaults | status)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.ref", "refs/heads/main"),
        ("GITHUB.REF", "refs/heads/main"),
        ("github['ref']", "refs/heads/main"),
        ("github.nothing", None),
        ("github.nothing.deeper", None),
        ("github.event.labels[1].name", "b"),
        ("github.event.labels[7].name", None),
        ("join(github.event.labels.*.name, '/')", "a/b"),
        ("contains(github.event.labels.*.name, 'A')", True),
        ("inputs.environment || 'dev'", "dev"),
        ("inputs.count > 2 && 'many' || 'few'", "many"),
        ("'Main' == 'main'", True),
        ("null == ''", True),
        ("true == 'true'", False),
        ("'1' == 1", True),
        ("1.50 == 1.5", True),
        ("0xff", 255.0),
        ("-2.5e1", -25.0),
        ("'it''s'", "it's"),
        ("!inputs.on || !!inputs.on", True),
        ("1 < 2 == true", True),
        ("'b' > 'A'", True),
        ("'abc' < 5", False),
        ("startsWith(github.ref, 'REFS/heads')", True),
        ("endsWith(github.ref, 'side')", False),
        ("contains('refs', 'EF')", True),
        ("format('{{{0}}} of {1}', 'x', 2)", "{x} of 2"),
        ("fromJSON(vars.LIST)[0]", "dev"),
        ("toJSON(inputs.count)", "3"),
        ('fromJSON(\'{"a": {"b": 1}}\').a.b', 1),
        ("always()", True),
        ("success() && failure()", False),
    ],
)
def test_an_expression_has_the_value_that_github_documents(text: str, value: Any) -> None:
    assert evaluate(text, scope()) == value


@pytest.mark.parametrize(
    "text",
    [
        "secrets.TOKEN",
        "nothing",
        "github.ref ==",
        "(github.ref",
        "github.ref github.ref",
        'github.ref == "double"',
        "shout('a')",
        "contains('a')",
        "format('{1}', 'a')",
        "fromJSON('{')",
        "hashFiles('**/lock')",
        "a + b",
        "",
    ],
)
def test_what_is_not_known_fails(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, scope())


def test_status_functions_exist_only_where_there_is_a_status() -> None:
    with pytest.raises(ExpressionError, match="only known in an if"):
        evaluate("success()", Scope(CONTEXTS))


@pytest.mark.parametrize(
    ("text", "status", "runs"),
    [
        (None, {}, True),
        (None, {"succeeded": False, "failed": True}, False),
        ("inputs.on", {}, True),
        ("inputs.on", {"succeeded": False, "failed": True}, False),
        ("${{ inputs.on }}", {"succeeded": False, "failed": True}, False),
        ("always()", {"succeeded": False, "failed": True}, True),
        ("failure()", {"succeeded": False, "failed": True}, True),
        ("failure() && inputs.environment", {"succeeded": False, "failed": True}, False),
        ("cancelled()", {"cancelled": True}, True),
        ("success()", {"cancelled": True}, False),
        (False, {}, False),
    ],
)
def test_a_condition_needs_success_unless_it_asks_for_a_status(
    text: Any, status: dict[str, bool], runs: bool
) -> None:
    assert condition(text, scope(**status)) is runs


def test_text_around_an_expression_in_a_condition_is_refused() -> None:
    with pytest.raises(ExpressionError, match="makes this condition true"):
        condition("${{ false }} || false", scope())


def test_a_lone_expression_keeps_its_type_and_others_become_text() -> None:
    found = interpolate(
        {"list": "${{ fromJSON(vars.LIST) }}", "text": "n=${{ inputs.count }}!", "n": 4}, scope()
    )
    assert found == {"list": ["dev", "prod"], "text": "n=3!", "n": 4}


def test_closing_braces_inside_a_string_do_not_end_an_expression() -> None:
    assert interpolate("${{ format('{0}}}', 'a') }}", scope()) == "a}"


def test_an_unclosed_expression_is_refused() -> None:
    with pytest.raises(ExpressionError, match="not closed"):
        interpolate("a ${{ github.ref", scope())


def test_expressions_are_found_wherever_they_are() -> None:
    found = list(expressions_in({"a": ["${{ b }}", {"c": "x ${{ d.e }} ${{ f }}"}], "g": 1}))
    assert found == ["b", "d.e", "f"]
