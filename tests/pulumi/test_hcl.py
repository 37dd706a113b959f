"""Terraform's language as far as the components' modules use it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.pulumi_platform.hcl import parse, parse_expression
from scripts.pulumi_platform.operations import EvaluationError, HclError

NAMES = {
    "var": {"name": "kit", "none": None, "days": 7, "on": True, "list": ["a", "b"], "map": {"k": 1}}
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("1.5", 1.5),
        ("-var.days", -7),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 2 - 3", 5),
        ("7 % 4", 3),
        ("true == 1", False),
        ("1 == 1.0", True),
        ('var.name == "kit" && !var.on || var.days >= 7', True),
        ('var.none == null ? "AES256" : "aws:kms"', "AES256"),
        ("var.days > 0 ? [var.days] : []", [7]),
        ('"${var.name}-${var.days}-${var.on}"', "kit-7-true"),
        ('"${var.list}"', ["a", "b"]),
        (r'"a\"b\\c\n"', 'a"b\\c\n'),
        ('"$${kept} $5 100%"', "${kept} $5 100%"),
        ('"${var.on ? "yes" : "no"}"', "yes"),
        ("var.list[1]", "b"),
        ('var.map["k"]', 1),
        ("var.none[*]", []),
        ("var.name[*]", ["kit"]),
        ("length(var.list[*])", 2),
        ("one([])", None),
        ('[for each in var.list : "${each}!" if each != "a"]', ["b!"]),
        ("{ for key, value in var.map : value => key }", {"1": "k"}),
        ('{ a = 1, "b" = [1, 2,] }', {"a": 1, "b": [1, 2]}),
        ("[\n  1, # first\n  2, // second\n  /* no */ 3,\n]", [1, 2, 3]),
        ("max(1, 3, 2)", 3),
        ("floor(1.7) == 1", True),
        ("alltrue([])", True),
        ('split(":", "a:b")[1]', "b"),
        ("try(var.missing, var.none[0], 3)", 3),
        ("can(var.list[2])", False),
        ('can(regex("^[a-z]+$", var.name))', True),
        ('can(regex("^[a-z]+$", "kit\\n"))', False),
    ],
)
def test_an_expression_has_the_value_that_terraform_gives_it(text: str, value: object) -> None:
    assert parse_expression(text)(NAMES) == value


@pytest.mark.parametrize(
    "text",
    [
        "!var.name",
        "1 / 0",
        '"x${var.none}"',
        "length(var.days)",
        "one(var.list)",
        'regex("x", var.name)',
        'split(":", var.none)',
        "try(var.missing)",
        "var.list[-1]",
        "var.list[2]",
        "var.missing",
        "var.name + 1",
        "var.name ? 1 : 2",
        "var.none.name",
        "var.on + 1",
    ],
)
def test_what_has_no_value_for_terraform_has_none_here(text: str) -> None:
    with pytest.raises(EvaluationError):
        parse_expression(text)(NAMES)


@pytest.mark.parametrize(
    "text", ["templatefile(var.name)", "other.name", 'regex("(a)", "a")', 'regex("a$b", "a")']
)
def test_what_is_not_supported_is_not_taken_for_a_missing_value(text: str) -> None:
    expression = parse_expression(f"try({text}, 1)")
    with pytest.raises(HclError):
        expression(NAMES)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a = 1\nb = <<EOT\n", "line 2"),
        ("a = max(list...)", "line 1"),
        ('a = "%{if x}"', "line 1"),
        ('a = "open', "line 1"),
        ("a = [1, 2", "line 1"),
        ("block {\n  a = 1", "line 2"),
        ("a = 1 b = 2", "line 1"),
        ("a = ?", "line 1"),
        ("a = @", "line 1"),
    ],
)
def test_code_that_is_not_understood_is_refused_with_its_line(text: str, where: str) -> None:
    with pytest.raises(HclError, match=f"^text, {where}: "):
        parse(text)


def test_blocks_keep_their_labels_order_and_nesting() -> None:
    body = parse(
        'resource "aws_s3_bucket" "logs" {\n'
        '  # why\n  count = 1\n\n  rule {}\n  rule { id = "b" }\n}\n'
    )
    (block,) = body.blocks
    assert (block.kind, block.labels) == ("resource", ("aws_s3_bucket", "logs"))
    assert [inner.body.arguments.keys() for inner in block.body.of("rule")] == [set(), {"id"}]
    assert block.body.arguments["count"]({}) == 1


@given(st.text(st.characters(exclude_characters='"\\$%\r', exclude_categories=["Cs"])))
def test_a_plain_string_is_itself(text: str) -> None:
    assert parse_expression(f'"{text}"')({}) == text


@given(st.recursive(st.integers() | st.booleans() | st.none(), lambda inner: st.lists(inner)))
def test_lists_are_read_as_they_are_written(value: object) -> None:
    text = str(value).replace("True", "true").replace("False", "false").replace("None", "null")
    assert parse_expression(text)({}) == value
