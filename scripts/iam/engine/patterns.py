"""Wildcards and policy variables: the text patterns that policies are written in.

Rules: IAM User Guide, "Variables and tags" (reference_policies_variables) and "Resource"
(reference_policies_elements_resource).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from scripts.iam.engine.errors import PolicyError, Unsupported

Values = Mapping[str, tuple[str, ...]]  # condition keys in lower case
Test = Callable[[str], bool]


class Wild(Enum):
    """A wildcard of a pattern, as opposed to the same character meant literally."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True)
class Variable:
    """`${key}` or `${key, 'default'}`; the key is in lower case."""

    key: str
    default: str | None


Token = str | Wild | Variable
Plain = str | Wild  # what is left of a token once variables have their values
Components = tuple[tuple[Token, ...], ...]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_.@=+/-]+:[A-Za-z0-9_.@=+/:-]+", re.ASCII)
_PARTS = re.compile(r"\s*([^,'\s]+)\s*(?:,\s*'([^']*)'\s*)?")


def tokens(text: str, *, variables: bool, wildcards: bool = True) -> tuple[Token, ...]:
    """Split a policy value into literal text, wildcards and variables.

    `variables` is true for Version 2012-10-17 where the element takes variables; without it
    `${...}` is plain text, as AWS treats it under Version 2008-10-17.

    Raises PolicyError for a malformed variable.
    """
    result: list[Token] = []
    position = 0
    if variables:
        for match in _VARIABLE.finditer(text):
            _plain(text[position : match.start()], wildcards, result, variables=True)
            result.append(_variable(match.group(1)))
            position = match.end()
    _plain(text[position:], wildcards, result, variables=variables)
    return tuple(result)


def _plain(text: str, wildcards: bool, result: list[Token], *, variables: bool) -> None:
    if variables and "${" in text:
        raise PolicyError(f"the variable in {text!r} is not closed; write ${{key}}")
    if not wildcards:
        if text:
            result.append(text)
        return
    for part in re.split(r"([*?])", text):
        if part in ("*", "?"):
            result.append(Wild(part))
        elif part:
            result.append(part)


def _variable(inner: str) -> Token:
    if inner in ("*", "?", "$"):
        return inner  # ${*}, ${?} and ${$} are the characters themselves
    match = _PARTS.fullmatch(inner)
    if not match or not _NAME.fullmatch(match.group(1)):
        raise PolicyError(
            f"${{{inner}}} is not a policy variable; write ${{service:key}} or "
            "${service:key, 'default'}, without spaces in the key"
        )
    return Variable(match.group(1).lower(), match.group(2))


def expand(pattern: tuple[Token, ...], context: Values) -> tuple[Plain, ...] | None:
    """Put the request's values in place of the variables; None where a variable has no value.

    A value is literal text: a `*` inside it is not a wildcard.

    Raises Unsupported for a key with several values, which AWS does not take as a variable.
    """
    result: list[Plain] = []
    for token in pattern:
        if not isinstance(token, Variable):
            result.append(token)
            continue
        values = context.get(token.key, ())
        if len(values) > 1:
            raise Unsupported(
                f"the variable ${{{token.key}}} has {len(values)} values in this request; "
                "a key with several values cannot be a policy variable"
            )
        if values:
            if not values[0]:
                raise Unsupported(
                    f"the variable ${{{token.key}}} is an empty string in this request; AWS "
                    "documents variables with a value and without one, not this case"
                )
            result.append(values[0])
        elif token.default is not None:
            result.append(token.default)
        else:
            return None
    return tuple(result)


def variable_keys(pattern: tuple[Token, ...]) -> frozenset[str]:
    """The condition keys that a pattern reads, in lower case."""
    return frozenset(token.key for token in pattern if isinstance(token, Variable))


def literal(pattern: tuple[Plain, ...]) -> str:
    """The text of a pattern in which wildcard characters are ordinary ones."""
    return "".join(token.value if isinstance(token, Wild) else token for token in pattern)


@lru_cache(maxsize=8192)
def glob(pattern: tuple[Plain, ...]) -> Test:
    """A test of whole strings against `*` (any run, the empty one too) and `?` (one character)."""
    if not any(isinstance(token, Wild) for token in pattern):
        return literal(pattern).__eq__
    if pattern == (Wild.ANY,):
        return _anything
    if pattern[-1] is Wild.ANY and not any(isinstance(token, Wild) for token in pattern[:-1]):
        prefix = literal(pattern[:-1])
        return lambda value: value.startswith(prefix)
    compiled = re.compile(_expression(pattern, "."), re.DOTALL)
    return lambda value: compiled.fullmatch(value) is not None


def _anything(_value: str) -> bool:
    return True


def _expression(pattern: tuple[Plain, ...], one: str) -> str:
    """A regular expression without backtracking between stars, so no pattern is slow.

    The first place where the text between two stars fits is always good enough, hence the
    atomic groups; only the text after the last star is tied to the end.
    """
    pieces: list[str] = [""]
    for token in pattern:
        if token is Wild.ANY:
            pieces.append("")
        else:
            pieces[-1] += one if isinstance(token, Wild) else re.escape(token)
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    inner = "".join(f"(?>{one}*?{piece})" for piece in middle if piece)
    return f"{first}{inner}{one}*{last}"


def arn_components(pattern: tuple[Token, ...]) -> Components:
    """The pattern cut at its first five colons; fewer parts where it has fewer colons."""
    parts: list[list[Token]] = [[]]
    for token in pattern:
        if not isinstance(token, str):
            parts[-1].append(token)
            continue
        pieces = token.split(":", 6 - len(parts))
        if pieces[0]:
            parts[-1].append(pieces[0])
        parts.extend([piece] if piece else [] for piece in pieces[1:])
    return tuple(tuple(part) for part in parts)


def expand_components(
    components: Components, context: Values
) -> tuple[tuple[Plain, ...], ...] | None:
    """expand() for each component of an ARN, so that a colon in a value cannot move the rest."""
    result = []
    for component in components:
        expanded = expand(component, context)
        if expanded is None:
            return None
        result.append(expanded)
    return tuple(result)


@lru_cache(maxsize=8192)
def arn_like(components: tuple[tuple[Plain, ...], ...]) -> Test:
    """A test of ARNs, each of the six components on its own (ArnLike, ArnEquals).

    Source: IAM User Guide, "Condition operators", section on ARN operators.
    """
    if len(components) != 6:
        shown = ":".join(literal(component) for component in components)

        def refuse(_value: str) -> bool:
            raise Unsupported(
                f"{shown!r} under an Arn operator has {len(components)} of an ARN's six "
                "components; write all six, or use StringLike"
            )

        return refuse
    tests = [glob(component) for component in components]

    def test(value: str) -> bool:
        parts = value.split(":", 5)
        return len(parts) == 6 and all(
            check(part) for check, part in zip(tests, parts, strict=True)
        )

    return test


@lru_cache(maxsize=8192)
def resource_like(pattern: tuple[Plain, ...]) -> Test:
    """A test of resource ARNs, whose stars AWS lets run past a colon.

    AWS documents that for a star at the end of one of the ARN's components only. Where another
    wildcard would have to run past one of the first five colons, the outcome is not documented
    and the test raises Unsupported.
    """
    loose = glob(pattern)
    components = [expand(component, {}) or () for component in arn_components(pattern)]
    if len(components) < 6 or not any(
        isinstance(token, Wild)
        for component in components[:5]
        for token in (component if component[-1:] != (Wild.ANY,) else component[:-1])
    ):
        return loose
    expression = ":".join(
        [_component(component) for component in components[:5]] + [_expression(components[5], ".")]
    )
    strict = re.compile(expression, re.DOTALL)

    def test(value: str) -> bool:
        if not loose(value):
            return False
        if strict.fullmatch(value):
            return True
        raise Unsupported(
            f"whether {literal(pattern)!r} matches {value!r} depends on a wildcard running past "
            "a colon, which AWS documents only for a star that ends a component of the ARN"
        )

    return test


def _component(component: tuple[Plain, ...]) -> str:
    # Plain groups, not atomic ones: a trailing star may have to give characters back here.
    crossing = component[-1:] == (Wild.ANY,)
    inner = component[:-1] if crossing else component
    text = "".join(
        {Wild.ANY: "[^:]*", Wild.ONE: "[^:]"}[token]
        if isinstance(token, Wild)
        else re.escape(token)
        for token in inner
    )
    return text + (".*" if crossing else "")
