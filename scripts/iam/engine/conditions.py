"""Condition operators: what a policy's Condition block says about a request's context.

Rules: IAM User Guide, "Condition operators" (reference_policies_elements_condition_operators),
"Multivalued context keys" (reference_policies_condition-single-vs-multi-valued-context-keys) and
"Variables and tags" (reference_policies_variables).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from scripts.iam.engine.errors import PolicyError, Unsupported, all_hold, any_holds
from scripts.iam.engine.patterns import (
    Plain,
    Test,
    Token,
    Values,
    arn_components,
    arn_like,
    expand,
    expand_components,
    glob,
    literal,
    tokens,
    variable_keys,
)
from scripts.iam.engine.typed_values import (
    binary,
    boolean,
    date,
    network,
    number,
    same_ignoring_case,
)

SetOperator = Literal["ForAllValues", "ForAnyValue"]
Match = Callable[[str, Values], bool]  # (value of the request, context) -> does it match?


@dataclass(frozen=True)
class _Family:
    """How one operator compares: how a policy value becomes a test, and whether it is negated."""

    make: Callable[[str], Test] | None  # for values without variables or wildcards
    build: Callable[[tuple[Plain, ...]], Test] | None  # for text that may carry variables
    wildcards: bool = False
    arn: bool = False  # compared component by component
    negated: bool = False


def _equals(pattern: tuple[Plain, ...]) -> Test:
    return literal(pattern).__eq__


def _equals_ignoring_case(pattern: tuple[Plain, ...]) -> Test:
    return same_ignoring_case(literal(pattern))


_FAMILIES = {
    "StringEquals": _Family(None, _equals),
    "StringNotEquals": _Family(None, _equals, negated=True),
    "StringEqualsIgnoreCase": _Family(None, _equals_ignoring_case),
    "StringNotEqualsIgnoreCase": _Family(None, _equals_ignoring_case, negated=True),
    "StringLike": _Family(None, glob, wildcards=True),
    "StringNotLike": _Family(None, glob, wildcards=True, negated=True),
    "ArnEquals": _Family(None, None, wildcards=True, arn=True),
    "ArnLike": _Family(None, None, wildcards=True, arn=True),
    "ArnNotEquals": _Family(None, None, wildcards=True, arn=True, negated=True),
    "ArnNotLike": _Family(None, None, wildcards=True, arn=True, negated=True),
    "NumericEquals": _Family(number("=="), None),
    "NumericNotEquals": _Family(number("=="), None, negated=True),
    "NumericLessThan": _Family(number("<"), None),
    "NumericLessThanEquals": _Family(number("<="), None),
    "NumericGreaterThan": _Family(number(">"), None),
    "NumericGreaterThanEquals": _Family(number(">="), None),
    "DateEquals": _Family(date("=="), None),
    "DateNotEquals": _Family(date("=="), None, negated=True),
    "DateLessThan": _Family(date("<"), None),
    "DateLessThanEquals": _Family(date("<="), None),
    "DateGreaterThan": _Family(date(">"), None),
    "DateGreaterThanEquals": _Family(date(">="), None),
    "Bool": _Family(boolean, None),
    "BinaryEquals": _Family(binary, None),
    "IpAddress": _Family(network, None),
    "NotIpAddress": _Family(network, None, negated=True),
}

OPERATORS = (*_FAMILIES, "Null")
_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?")


@dataclass(frozen=True)
class Operator:
    """A condition operator taken apart: `ForAnyValue:` + `StringLike` + `IfExists`."""

    base: str
    sets: SetOperator | None
    if_exists: bool


def parse_operator(text: str) -> Operator:
    """Take an operator apart. Raises PolicyError, with the nearest known one, if it is unknown."""
    match = _OPERATOR.fullmatch(text)
    if match and match.group(2) in OPERATORS:
        prefix, base, suffix = match.groups()
        if base == "Null" and (prefix or suffix):
            raise PolicyError(
                f"{text!r} does not exist: Null takes neither IfExists nor a set operator; "
                "write Null"
            )
        return Operator(base, cast("SetOperator | None", prefix), suffix is not None)
    bare = text.rpartition(":")[2]
    known = {name.lower(): name for name in (*OPERATORS, *(f"{o}IfExists" for o in _FAMILIES))}
    near = difflib.get_close_matches(bare.lower(), known, n=1)
    hint = f"; did you mean {known[near[0]]}?" if near else f"; known: {', '.join(OPERATORS)}"
    raise PolicyError(f"unknown condition operator {text!r}{hint}")


@dataclass(frozen=True)
class CompiledCondition:
    """One operator and key of a Condition block, ready to be asked."""

    operator: str
    key: str
    values: tuple[str, ...]
    variables: frozenset[str]  # the keys that the values read, in lower case
    holds: Callable[[Values], bool]


def compile_condition(
    operator: str, key: str, values: tuple[str, ...], *, variables: bool
) -> CompiledCondition:
    """Turn one operator, key and its values into a test of a context with lower-case keys.

    Raises PolicyError for an unknown operator or a value of the wrong type. The test raises
    Unsupported where AWS's outcome is not modelled.
    """
    parsed = parse_operator(operator)
    lower = key.lower()
    if parsed.base == "Null":
        return CompiledCondition(operator, key, values, frozenset(), _null(lower, values))
    family = _FAMILIES[parsed.base]
    if parsed.base == "Bool" and len(values) > 1:
        raise PolicyError("Bool takes one value, true or false")
    matches: list[Match] = []
    read: set[str] = set()
    for value in values:
        match, keys = _matcher(parsed.base, family, value, variables)
        matches.append(match)
        read.update(keys)
    holds = _holds(parsed, family.negated, lower, matches)
    return CompiledCondition(operator, key, values, frozenset(read), holds)


def _matcher(
    base: str, family: _Family, value: str, variables: bool
) -> tuple[Match, frozenset[str]]:
    if family.make is not None:
        if variables and "${" in value:
            raise PolicyError(
                f"{base} takes no policy variable, but has {value!r}; only the String and Arn "
                "operators do"
            )
        constant = family.make(value)
        return lambda actual, _context: constant(actual), frozenset()
    pattern = tokens(value, variables=variables, wildcards=family.wildcards)
    keys = variable_keys(pattern)
    make = _arn_maker(pattern) if family.arn else _text_maker(pattern, family.build)
    if not keys:
        fixed = make({})
        assert fixed is not None
        return lambda actual, _context: fixed(actual), keys

    def match(actual: str, context: Values) -> bool:
        # A variable without a value is null, and nothing is equal or like null.
        test = make(context)
        return test is not None and test(actual)

    return match, keys


def _text_maker(
    pattern: tuple[Token, ...], build: Callable[[tuple[Plain, ...]], Test] | None
) -> Callable[[Values], Test | None]:
    assert build is not None

    def make(context: Values) -> Test | None:
        expanded = expand(pattern, context)
        return None if expanded is None else build(expanded)

    return make


def _arn_maker(pattern: tuple[Token, ...]) -> Callable[[Values], Test | None]:
    components = arn_components(pattern)

    def make(context: Values) -> Test | None:
        expanded = expand_components(components, context)
        return None if expanded is None else arn_like(expanded)

    return make


def _null(key: str, values: tuple[str, ...]) -> Callable[[Values], bool]:
    if len(values) != 1 or values[0].lower() not in ("true", "false"):
        raise PolicyError(f"Null takes one value, true or false, not {', '.join(values)!r}")
    absent = values[0].lower() == "true"
    return lambda context: (not context.get(key)) is absent


def _holds(
    operator: Operator, negated: bool, key: str, matches: list[Match]
) -> Callable[[Values], bool]:
    def single(actual: str, context: Values) -> bool:
        return any_holds(matches, actual, context) is not negated

    if operator.sets == "ForAllValues":
        return _for_all(key, single)
    if operator.sets == "ForAnyValue":
        return _for_any(key, single, absent=operator.if_exists)
    return _one(key, single, absent=operator.if_exists or negated)


def _one(key: str, single: Match, *, absent: bool) -> Callable[[Values], bool]:
    """Without set operator: an absent key is true for negated operators and for IfExists."""

    def holds(context: Values) -> bool:
        actual = context.get(key)
        if not actual:
            return absent
        if len(actual) > 1:
            raise Unsupported(
                f"the key {key} has {len(actual)} values in this request; compare it with "
                "ForAnyValue or ForAllValues"
            )
        return single(actual[0], context)

    return holds


def _for_all(key: str, single: Match) -> Callable[[Values], bool]:
    """ForAllValues: true for an absent key and for a null data set, such as an empty string."""

    def holds(context: Values) -> bool:
        actual = context.get(key, ())
        if not any(actual):
            return True
        return all_hold([partial(single, value) for value in actual], context)

    return holds


def _for_any(key: str, single: Match, *, absent: bool) -> Callable[[Values], bool]:
    """ForAnyValue: false for an absent key, but for IfExists, and for a null data set."""

    def holds(context: Values) -> bool:
        actual = context.get(key)
        if not actual:
            return absent
        if not any(actual):
            return False
        return any_holds([partial(single, value) for value in actual], context)

    return holds
