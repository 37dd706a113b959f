"""Patterns and conditions beyond the conformance cases: exactness, hostile input and speed."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.iam.engine import PolicyError, Unsupported
from scripts.iam.engine.conditions import OPERATORS, compile_condition, parse_operator
from scripts.iam.engine.patterns import Variable, Wild, expand, glob, resource_like, tokens

SMALL = "ab*?"


def pattern(text: str) -> tuple[str | Wild, ...]:
    expanded = expand(tokens(text, variables=False), {})
    assert expanded is not None
    return expanded


def by_definition(text: str, value: str) -> bool:
    """What a pattern means, by trying every way to match it."""
    if not text:
        return not value
    if text[0] == "*":
        return by_definition(text[1:], value) or (bool(value) and by_definition(text, value[1:]))
    return bool(value) and text[0] in ("?", value[0]) and by_definition(text[1:], value[1:])


@given(st.text(SMALL, max_size=8), st.text("ab", max_size=8))
def test_a_pattern_matches_what_its_definition_says(text: str, value: str) -> None:
    assert glob(pattern(text))(value) is by_definition(text, value)


@given(st.text(max_size=12))
def test_a_text_without_wildcards_matches_itself_alone(text: str) -> None:
    plain = re.sub(r"[*?]", "", text)
    assert glob(pattern(plain))(plain)
    assert not glob(pattern(plain))(plain + "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("*a" * 2000 + "b", "a" * 100_000),
        ("a*" * 2000 + "b", "a" * 100_000),
        ("?*" * 500 + "b", "a" * 100_000),
        ("*" * 5000 + "b", "a" * 100_000),
    ],
)
def test_no_pattern_makes_matching_slow(text: str, value: str) -> None:
    start = time.process_time()
    assert not glob(pattern(text))(value)
    assert time.process_time() - start < 5


def test_a_resource_pattern_with_many_stars_is_not_slow() -> None:
    test = resource_like(pattern("arn:aws:sqs:" + "*a" * 12 + "b:1:x"))
    start = time.process_time()
    assert not test("arn:aws:sqs:" + "a" * 2000 + ":1:y")
    assert time.process_time() - start < 5


def test_variables_are_split_with_their_defaults() -> None:
    found = tokens("a${aws:UserName}${aws:PrincipalTag/Team, 'all, of it'}${$}*", variables=True)
    assert found == (
        "a",
        Variable("aws:username", None),
        Variable("aws:principaltag/team", "all, of it"),
        "$",
        Wild.ANY,
    )


@pytest.mark.parametrize("base", [name for name in OPERATORS if name != "Null"])
@pytest.mark.parametrize("sets", [None, "ForAllValues", "ForAnyValue"])
@pytest.mark.parametrize("suffix", ["", "IfExists"])
def test_every_operator_is_taken_apart(base: str, sets: str | None, suffix: str) -> None:
    parsed = parse_operator(f"{sets}:{base}{suffix}" if sets else base + suffix)
    assert (parsed.base, parsed.sets, parsed.if_exists) == (base, sets, bool(suffix))


@pytest.mark.parametrize(
    "text",
    ["", "StringEqualsIfExistsIfExists", "ForAllValues:", "ForAnyValue:ForAnyValue:StringLike",
     "StringEquals ", "StringLike\n", "IfExists", "ForAllValues:Null", "BoolNotEquals"],
)  # fmt: skip
def test_what_is_no_operator_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"operator|does not exist"):
        parse_operator(text)


def test_an_ipv4_client_of_an_ipv6_socket_is_that_client() -> None:
    inside = compile_condition("IpAddress", "aws:SourceIp", ("127.0.0.0/8",), variables=True)
    assert inside.holds({"aws:sourceip": ("::ffff:127.0.0.1",)})


def test_one_unknown_value_does_not_hide_another_that_settles_it() -> None:
    any_of = compile_condition("ForAnyValue:NumericLessThan", "x:Sizes", ("10",), variables=True)
    assert any_of.holds({"x:sizes": ("many", "5")})
    with pytest.raises(Unsupported, match="'many' is not a number"):
        any_of.holds({"x:sizes": ("many", "50")})
    all_of = compile_condition("ForAllValues:NumericLessThan", "x:Sizes", ("10",), variables=True)
    assert not all_of.holds({"x:sizes": ("many", "50")})
    with pytest.raises(Unsupported, match="'many' is not a number"):
        all_of.holds({"x:sizes": ("many", "5")})
