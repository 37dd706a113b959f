"""The automata against brute force: every short text, and the policy engine's own wildcards."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.iam.engine.patterns import expand, glob, tokens
from scripts.iam.trust_lint.decide.automata import (
    Operand,
    both,
    but,
    chars,
    common_word,
    either,
    inserted,
    outside,
    pattern,
    repeated,
    replaced,
    same,
    text,
    then,
)

LETTERS = "ab:"
WORDS = ["".join(word) for size in range(5) for word in product(LETTERS, repeat=size)]
patterns = st.text(alphabet="ab:*?", max_size=6)


def engine(value: str, word: str) -> bool:
    """Whether the policy engine's StringLike matches."""
    return glob(expand(tokens(value, variables=False), {}) or ())(word)


@given(patterns)
def test_a_pattern_accepts_what_the_engine_matches(value: str) -> None:
    language = pattern(value)
    for word in WORDS:
        assert language.accepts(word) is engine(value, word)


@given(patterns, patterns)
def test_a_common_word_is_one_and_the_shortest(left: str, right: str) -> None:
    word = common_word([Operand(pattern(left)), Operand(pattern(right))])
    both = [one for one in WORDS if engine(left, one) and engine(right, one)]
    if word is None:
        assert both == []
    else:
        assert engine(left, word)
        assert engine(right, word)
        assert all(len(word) <= len(one) for one in both)


@given(patterns, patterns)
def test_what_one_pattern_has_beyond_another_is_found(left: str, right: str) -> None:
    word = common_word([Operand(pattern(left)), Operand(pattern(right), negated=True)])
    beyond = [one for one in WORDS if engine(left, one) and not engine(right, one)]
    if word is None:
        assert beyond == []
    else:
        assert engine(left, word)
        assert not engine(right, word)


@pytest.mark.parametrize(
    ("left", "right"),
    [(["a*", "b"], ["b", "a", "a*?"]), (["**"], ["*"]), (["?*", ""], ["*"]), ([], [])],
)
def test_equal_unions_have_no_word_apart(left: list[str], right: list[str]) -> None:
    assert same([*map(pattern, left)], [*map(pattern, right)]) == (None, None)


def test_unequal_unions_have_a_word_on_the_side_that_is_larger() -> None:
    assert same([pattern("a*")], [pattern("ab*")]) == ("a", None)
    assert same([pattern("ab*")], [pattern("a*"), text("c")]) == (None, "a")


def test_case_can_be_ignored() -> None:
    assert pattern("aB*", ignore_case=True).accepts("Abc")
    assert not pattern("aB*").accepts("abc")


def test_repetition_and_choice() -> None:
    language = then(repeated(chars("ab"), least=0), either(text("x"), text("yz")))
    assert language.accepts("x")
    assert language.accepts("abbayz")
    assert not language.accepts("ab")
    assert not either().accepts("")


def test_letters_outside_the_usual_ones_are_told_apart() -> None:
    word = common_word([Operand(either(text("\u00fc"), text("\u00e4"))), Operand(text("\u00e4"))])
    assert word == "\u00e4"


@given(patterns, patterns)
def test_what_both_accept_and_what_one_leaves_out(left: str, right: str) -> None:
    shared, beyond = both(pattern(left), pattern(right)), outside(pattern(left))
    for word in WORDS:
        assert shared.accepts(word) is (engine(left, word) and engine(right, word))
        assert beyond.accepts(word) is not engine(left, word)


@given(patterns)
def test_a_letter_is_written_otherwise_and_a_text_put_before_it(value: str) -> None:
    language = both(pattern(value), repeated(chars(LETTERS), least=0))
    otherwise, longer = replaced(language, ":", "%3"), inserted(language, ":", text("@"), text("b"))
    for word in WORDS:
        assert otherwise.accepts(word.replace(":", "%3")) is engine(value, word)
        assert longer.accepts(word.replace(":", "@:") + "b") is engine(value, word)
    assert not any(otherwise.accepts(word) for word in WORDS if ":" in word)


def test_letters_that_nothing_names_are_letters_too() -> None:
    assert pattern("*").accepts("\u4e2d\u00e9")
    assert common_word([Operand(pattern("?")), Operand(but(map(chr, range(128))))]) == "\u00e9"
