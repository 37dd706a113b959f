"""What the operators of Terraform's language do, with values that may not be known.

https://developer.hashicorp.com/terraform/language/expressions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scripts.iam.trust_lint.reading.literals import count, is_word
from scripts.iam.trust_lint.terraform.functions import FUNCTIONS
from scripts.iam.trust_lint.terraform.values import (
    Invalid,
    NotGiven,
    Several,
    Unknown,
    is_open,
    plain,
    source_of,
    text_of,
)


class Scope(Protocol):
    """Where names stand for something."""

    def name(self, name: str) -> Any:
        """What a name stands for."""

    def with_names(self, names: Mapping[str, Any]) -> Scope:
        """The same with further names."""

    def told(self, line: str) -> None:
        """Keep what is to be said of a value."""

    def decided(self, asked: str) -> bool | None:
        """What is taken for a condition whose value is not known; None if nothing is."""

    def unasked(self, value: Value) -> Any:
        """A value here in which no condition is taken to go either way."""


Value = Callable[[Scope], Any]
_WORDS = {"true": True, "false": False, "null": None}


def constant(value: Any) -> Value:
    """A value that is written."""
    return lambda _: value


def name(word: str) -> Value:
    """What a name stands for, or a value with a name of its own."""
    if word in _WORDS:
        return constant(_WORDS[word])
    return lambda scope: scope.name(word)


def items(values: Sequence[Value]) -> Value:
    """A list."""
    return lambda scope: [one(scope) for one in values]


def mapping(entries: Sequence[tuple[Value, Value]]) -> Value:
    """An object."""

    def value(scope: Scope) -> Any:
        found: dict[Any, Any] = {}
        for key, one in entries:
            name = _key(key(scope))
            if name in found and is_word(name):
                scope.told(
                    f"{name!r} is written twice in one object, of which Terraform keeps the later "
                    "alone; write it once"
                )
            found[name] = one(scope)
        return found

    return value


def _key(value: Any) -> Any:
    return value if isinstance(value, Unknown) else text_of(value)


def attribute(of: Value, wanted: str, text: str) -> Value:
    """What stands behind a dot."""

    def value(scope: Scope) -> Any:
        return attribute_of(of(scope), wanted, text)

    return value


def attribute_of(found: Any, wanted: str, text: str) -> Any:
    """An attribute of a value. Raises Invalid where it has none."""
    if isinstance(found, Unknown):
        return Unknown(f"{found.text}.{wanted}")
    if isinstance(found, dict):
        if wanted in found:
            return found[wanted]
        if any(isinstance(key, Unknown) for key in found):
            return Unknown(text)
        raise Invalid(f"no {wanted}")
    if isinstance(found, list) and wanted.isdigit():
        return index_of(found, int(wanted), text)
    if hasattr(found, "attribute"):
        return found.at(int(wanted)) if wanted.isdigit() else found.attribute(wanted)
    raise Invalid(f"no {wanted} of {type(found).__name__}")


def index(of: Value, wanted: Value, text: str) -> Value:
    """What stands in brackets."""

    def value(scope: Scope) -> Any:
        return index_of(of(scope), wanted(scope), text)

    return value


def index_of(found: Any, key: Any, text: str) -> Any:
    """An item of a list or an object. Raises Invalid where there is none."""
    if isinstance(found, Unknown):
        return Unknown(text if isinstance(key, Unknown) else f"{found.text}[{plain(key)!r}]"
                       if isinstance(key, str) else f"{found.text}[{plain(key)}]")  # fmt: skip
    if hasattr(found, "at"):
        return found.at(key)
    if isinstance(found, Several):
        return found[0]
    if isinstance(key, Unknown):
        same = [*found.values()] if isinstance(found, dict) else found
        return same[0] if same and all(one == same[0] for one in same) else Unknown(text)
    if isinstance(found, dict):
        return attribute_of(found, text_of(key), text)
    if isinstance(found, list):
        try:
            return found[int(key)]
        except (IndexError, ValueError, TypeError):
            raise Invalid(f"no item {key}") from None
    raise Invalid(f"no item of {type(found).__name__}")


def splat(of: Value, rest: Sequence[tuple[Any, str]]) -> Value:
    """The same of each item: `[*]` and what follows it."""

    def value(scope: Scope) -> Any:
        found = of(scope)
        if isinstance(found, Unknown):
            return _same_form(found, [_followed(found, rest, scope)])
        if found is None:
            return []
        each = found.each() if hasattr(found, "each") else found
        listed = each if isinstance(each, list) else [each]
        return _same_form(listed, [_followed(one, rest, scope) for one in listed])

    return value


def _same_form(of: Any, made: list[Any]) -> list[Any]:
    return Several(made) if isinstance(of, Several | Unknown) else made


def _followed(value: Any, rest: Sequence[tuple[Any, str]], scope: Scope) -> Any:
    for step, text in rest:
        if isinstance(step, str):
            value = attribute_of(value, step, text)
        else:
            value = index_of(value, step(scope), text)
    return value


def choice(asked: Value, yes: Value, no: Value, whole: str) -> Value:
    """`asked ? yes : no`."""

    def value(scope: Scope) -> Any:
        found = asked(scope)
        if isinstance(found, Unknown):
            return _either(scope, found.text, yes, no, whole)
        return (yes if truth(found) else no)(scope)

    return value


def _valid(values: Iterable[Value], scope: Scope) -> Iterator[Any]:
    for one in values:
        try:
            yield one(scope)
        except Invalid:
            continue


def _either(scope: Scope, text: str, yes: Value, no: Value, whole: str) -> Any:
    """What a choice gives whose condition is not known."""
    values = []
    for one in (yes, no):
        try:
            # The outer condition is asked before those within.
            values.append(scope.unasked(one))
        except Invalid:
            continue
    if not values:
        raise Invalid(whole)
    if len(values) == 1:
        return next(_valid((yes, no), scope))
    if plain(values[0]) == plain(values[1]):
        return values[0]
    # Of two providers the one that is known, like the keys that are compared.
    known = [one for one in values if isinstance(one, str) and ":oidc-provider/" in one]
    if len(known) == 1 and any(isinstance(one, Unknown) or one is None for one in values):
        return known[0]
    if all("_openid_connect_provider" in str(one) for one in values):
        return values[0]  # one and the same, made here or elsewhere
    # What is not known may be empty: `x != null ? x : []` is x.
    given = [one for one in values if isinstance(one, Unknown) and one.text in text]
    if len(given) == 1 and any(one in (None, "", [], {}) for one in values):
        return given[0]
    decided = scope.decided(text)
    if decided is None:
        return Unknown(whole)
    return (yes if decided else no)(scope)


def truth(value: Any) -> bool:
    """A value as a condition. Raises Invalid for what is none."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise Invalid(f"{value!r} is no condition")


def unary(sign: str, of: Value) -> Value:
    """A value with a sign before it."""

    def value(scope: Scope) -> Any:
        found = of(scope)
        if isinstance(found, Unknown):
            return Unknown(f"{sign}{found.text}")
        return not truth(found) if sign == "!" else -number(found)

    return value


def number(value: Any) -> Any:
    """A value as a number. Raises Invalid for what is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d+(?:\.\d+)?", value):
        return float(value) if "." in value else int(value)
    raise Invalid(f"{value!r} is no number")


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": lambda left, right: left % right,
}


def binary(sign: str, left: Value, right: Value) -> Value:
    """Two values and what stands between them."""

    def value(scope: Scope) -> Any:
        first = left(scope)
        if sign in ("&&", "||"):
            return _both(sign, first, right, scope)
        second = right(scope)
        if sign in ("==", "!="):
            same = _same(first, second)
            return _compared(first, sign, second) if same is None else same == (sign == "==")
        if isinstance(first, Unknown) or isinstance(second, Unknown):
            return _compared(first, sign, second)
        try:
            return _ARITHMETIC[sign](number(first), number(second))
        except ZeroDivisionError:
            raise Invalid("divided by nothing") from None

    return value


def _compared(first: Any, sign: str, second: Any) -> Unknown:
    return Unknown(f"{source_of(first)} {sign} {source_of(second)}")


def _both(sign: str, first: Any, right: Value, scope: Scope) -> Any:
    ends = sign == "||"
    if not isinstance(first, Unknown) and truth(first) is ends:
        return ends
    second = right(scope)
    if not isinstance(second, Unknown) and truth(second) is ends:
        return ends
    if isinstance(first, Unknown) and isinstance(second, Unknown):
        return _compared(first, sign, second)
    return (
        first if isinstance(first, Unknown) else second if isinstance(second, Unknown) else not ends
    )


def _same(first: Any, second: Any) -> bool | None:
    """Whether two values are equal, None if that is not known."""
    first, second = ("" if isinstance(one, NotGiven) else one for one in (first, second))
    for one, other in ((first, second), (second, first)):
        if one is None and not isinstance(other, Unknown) and other is not None:
            return False  # what is written is not null
        if one == "" and isinstance(other, str) and re.sub(r"\$\{[^{}]*\}", "", other):
            return False
    if is_open(first) or is_open(second):
        return None
    return bool(plain(first) == plain(second))


def joined(parts: Sequence[Value], *, alone: bool) -> Value:
    """The parts of a text, or the value of one placeholder alone."""
    if alone:
        return parts[0]
    return lambda scope: "".join(_printed(one(scope)) for one in parts)


def _printed(value: Any) -> str:
    return "" if value is None else text_of(value)


def concatenated(made: Value) -> Value:
    """The texts of a list, one after another."""

    def value(scope: Scope) -> Any:
        found = made(scope)
        if isinstance(found, Several | Unknown):
            return Unknown("for ...")
        return "".join(text_of(one) for one in found)

    return value


@dataclass(frozen=True)
class Loop:
    """A `for` expression; without a value it makes a list of its key."""

    names: list[str]
    over: Value
    text: str  # of a list
    key: Value
    value: Value | None
    condition: Value | None
    grouped: bool


def loop(written: Loop) -> Value:
    """What a `for` expression makes."""

    def value(scope: Scope) -> Any:
        over = written.over(scope)
        made: list[tuple[Any, Any]] = []
        several = isinstance(over, Several | Unknown)
        for key, one in pairs(over):
            count(1)
            names = dict(zip(reversed(written.names), (one, key), strict=False))
            inner = scope.with_names(names)
            if written.condition is not None:
                asked = written.condition(inner)
                if isinstance(asked, Unknown):
                    several = True
                elif not truth(asked):
                    continue
            first = written.key(inner)
            made.append((first, written.value(inner) if written.value else None))
        if written.value is None and isinstance(over, Unknown):
            # A function's call on an item that has no name outside of the loop.
            made = [(_as_written(one, written.text), None) for one, _ in made]
        return _gathered(written, made, several=several)

    return value


def _as_written(item: Any, text: str) -> Any:
    return Unknown(text) if isinstance(item, Unknown) and item.text.endswith(")") else item


def _gathered(written: Loop, made: list[tuple[Any, Any]], *, several: bool) -> Any:
    if written.value is None:
        listed = [one for one, _ in made]
        return Several(listed) if several else listed
    found: dict[Any, Any] = {}
    for key, one in made:
        key = _key(key)
        if written.grouped:
            found.setdefault(key, []).append(one)
        else:
            found[key] = one
    return found


def pairs(over: Any) -> list[tuple[Any, Any]]:
    """The keys and values of what a loop goes through. Raises Invalid."""
    if isinstance(over, Unknown):
        return [(Unknown(f"each key of {over.text}"), over)]
    if hasattr(over, "each"):
        over = over.each()
    if isinstance(over, dict):
        return list(over.items())
    if isinstance(over, list):
        return list(enumerate(over))
    raise Invalid(f"a loop over {type(over).__name__}")


def call(function: str, given: Sequence[Value], text: str, *, spread: bool) -> Value:
    """A call, of which only `try`, `can` and their like look at what Terraform refuses."""

    def value(scope: Scope) -> Any:
        count(1)
        if function in ("try", "can"):
            return _tried(function, given, scope)
        arguments = [one(scope) for one in given]
        several = False
        if spread:
            last = arguments.pop()
            if isinstance(last, Unknown):
                return Unknown(text)
            several = isinstance(last, Several)
            arguments += last
        if function in ("file", "templatefile"):
            read = scope.name(function)
            return read(*arguments) if callable(read) else Unknown(text)
        found = FUNCTIONS.get(function)
        if found is None:
            return Unknown(text)
        try:
            made = found(*arguments)
        except (TypeError, AttributeError, ValueError, IndexError, KeyError) as error:
            raise Invalid(f"{function}: {error}") from None
        if made is NotImplemented:
            return Unknown(f"{function}({', '.join(source_of(one) for one in arguments)})")
        return Several(made) if several and isinstance(made, list) else made

    return value


def _tried(function: str, given: Sequence[Value], scope: Scope) -> Any:
    for one in given:
        try:
            found = one(scope)
        except Invalid:
            continue
        return True if function == "can" else found
    if function == "can":
        return False
    raise Invalid("nothing to fall back on")
