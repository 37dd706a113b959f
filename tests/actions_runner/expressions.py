"""Expressions of GitHub Actions: `${{ … }}`, evaluated as GitHub does.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.actions_runner.values import (
    FUNCTIONS,
    ExpressionError,
    compare,
    parse_number,
    to_number,
    to_string,
    truthy,
)

STATUSFUNCTIONS = frozenset({"success", "failure", "always", "cancelled"})
_OPERATORS = ("==", "!=", "<=", ">=", "&&", "||", "!", "<", ">", "(", ")", "[", "]", ".", ",", "*")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))"
    r"|(?P<string>'(?:[^']|'')*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<operator>" + "|".join(re.escape(operator) for operator in _OPERATORS) + r"))"
)
_MARKED = re.compile(r"\$\{\{((?:'(?:[^']|'')*'|[^'}]|}(?!}))*)}}", re.DOTALL)


@dataclass(frozen=True)
class Status:
    """What success(), failure(), always() and cancelled() answer here; None: not available."""

    succeeded: bool
    failed: bool
    cancelled: bool


@dataclass(frozen=True)
class Scope:
    """What an expression may see at its place in the workflow."""

    contexts: Mapping[str, Any]
    status: Status | None = None
    hash_files: Callable[[tuple[str, ...]], str] | None = None


@dataclass(frozen=True)
class _Literal:
    value: Any


@dataclass(frozen=True)
class _Context:
    name: str


@dataclass(frozen=True)
class _Index:
    target: "_Node"
    key: "_Node | None"  # None is the `*` filter


@dataclass(frozen=True)
class _Call:
    function: str
    arguments: "tuple[_Node, ...]"


@dataclass(frozen=True)
class _Operation:
    operator: str
    operands: "tuple[_Node, ...]"


_Node = _Literal | _Context | _Index | _Call | _Operation


class _Filtered(list[Any]):
    """The outcome of `.*`: a further key applies to each of its items."""


def evaluate(text: str, scope: Scope) -> Any:
    """Evaluate one expression without its `${{ }}`. Raises ExpressionError."""
    return _value(_parse(text), scope)


def interpolate(value: Any, scope: Scope) -> Any:
    """Replace every `${{ }}` in a value; one that is nothing but an expression keeps its type."""
    if isinstance(value, Mapping):
        return {key: interpolate(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, scope) for inner in value]
    if not isinstance(value, str) or "${{" not in value:
        return value
    whole = _MARKED.fullmatch(value.strip())
    if whole:
        return evaluate(whole[1], scope)
    replaced = _MARKED.sub(lambda found: to_string(evaluate(found[1], scope)), value)
    if "${{" in _MARKED.sub("", value):
        raise ExpressionError(f"an expression is not closed in {value!r}")
    return replaced


def condition(value: Any, scope: Scope) -> bool:
    """Evaluate an `if`; without a status function it also needs success().

    Raises ExpressionError for text around `${{ }}`: GitHub takes that for a true string.
    """
    text = "" if value is None else to_string(value)
    marked = _MARKED.fullmatch(text.strip())
    if marked is None and "${{" in text:
        raise ExpressionError(f"text around an expression makes this condition true: {text!r}")
    node = _parse((marked[1] if marked else text) or "success()")
    if not STATUSFUNCTIONS.intersection(_functions(node)):
        node = _Operation("&&", (_Call("success", ()), node))
    return truthy(_value(node, scope))


def expressions_in(value: Any) -> Iterator[str]:
    """Every expression in a value, without its `${{ }}`."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from expressions_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions_in(inner)
    elif isinstance(value, str):
        yield from (found[1].strip() for found in _MARKED.finditer(value))


# parsing


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ExpressionError(f"cannot read {text[place:].strip()!r} in {text.strip()!r}")
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        place = match.end()
    return found


class _Parser:
    """Precedence climbing: || under && under equality under comparison under ! under access."""

    LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="))

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0

    def parse(self) -> _Node:
        node = self.level(0)
        if self.place != len(self.tokens):
            raise self.unexpected()
        return node

    def level(self, depth: int) -> _Node:
        if depth == len(self.LEVELS):
            return self.unary()
        node = self.level(depth + 1)
        while operator := self.take(*self.LEVELS[depth]):
            node = _Operation(operator, (node, self.level(depth + 1)))
        return node

    def unary(self) -> _Node:
        if self.take("!"):
            return _Operation("!", (self.unary(),))
        return self.access(self.primary())

    def access(self, node: _Node) -> _Node:
        while operator := self.take(".", "["):
            if operator == "." and self.take("*"):
                node = _Index(node, None)
            elif operator == ".":
                node = _Index(node, _Literal(self.expect("name")))
            elif self.take("*"):
                self.close("]")
                node = _Index(node, None)
            else:
                key = self.level(0)
                self.close("]")
                node = _Index(node, key)
        return node

    def primary(self) -> _Node:
        if self.take("("):
            node = self.level(0)
            self.close(")")
            return node
        kind, text = self.tokens[self.place] if self.place < len(self.tokens) else ("", "")
        self.place += 1
        if kind == "number":
            return _Literal(parse_number(text))
        if kind == "string":
            return _Literal(text[1:-1].replace("''", "'"))
        if kind != "name":
            self.place -= 1
            raise self.unexpected()
        if text in ("true", "false", "null"):
            return _Literal({"true": True, "false": False, "null": None}[text])
        if not self.take("("):
            return _Context(text)
        arguments: list[_Node] = []
        while not self.take(")"):
            if arguments:
                self.close(",")
            arguments.append(self.level(0))
        return _Call(text, tuple(arguments))

    def take(self, *operators: str) -> str | None:
        if self.place < len(self.tokens):
            kind, text = self.tokens[self.place]
            if kind == "operator" and text in operators:
                self.place += 1
                return text
        return None

    def expect(self, kind: str) -> str:
        if self.place < len(self.tokens) and self.tokens[self.place][0] == kind:
            self.place += 1
            return self.tokens[self.place - 1][1]
        raise self.unexpected()

    def close(self, operator: str) -> None:
        if not self.take(operator):
            raise self.unexpected()

    def unexpected(self) -> ExpressionError:
        rest = " ".join(text for _, text in self.tokens[self.place :]) or "the end"
        return ExpressionError(f"unexpected {rest!r} in {self.text.strip()!r}")


def _parse(text: str) -> _Node:
    return _Parser(text).parse()


def _functions(node: _Node) -> Iterator[str]:
    match node:
        case _Call(function, arguments):
            yield function.lower()
            for argument in arguments:
                yield from _functions(argument)
        case _Operation(_, operands):
            for operand in operands:
                yield from _functions(operand)
        case _Index(target, key):
            yield from _functions(target)
            if key is not None:
                yield from _functions(key)


# evaluation


def _value(node: _Node, scope: Scope) -> Any:
    match node:
        case _Literal(value):
            return value
        case _Context(name):
            for known, value in scope.contexts.items():
                if known.lower() == name.lower():
                    return value
            raise ExpressionError(f"unrecognised named value {name!r} at this place")
        case _Index(target, key):
            return _index(_value(target, scope), None if key is None else _value(key, scope), key)
        case _Call(function, arguments):
            return _call(function, arguments, scope)
        case _Operation(operator, operands):
            return _operate(operator, operands, scope)


def _operate(operator: str, operands: tuple[_Node, ...], scope: Scope) -> Any:
    left = _value(operands[0], scope)
    if operator == "!":
        return not truthy(left)
    # The two logical operators answer with one of their operands, and stop early.
    if operator in ("&&", "||"):
        return left if truthy(left) is (operator == "||") else _value(operands[1], scope)
    return compare(operator, left, _value(operands[1], scope))


def _index(target: Any, key: Any, node: _Node | None) -> Any:
    if node is None:
        if isinstance(target, Mapping):
            return _Filtered(target.values())
        return _Filtered(target) if isinstance(target, list) else _Filtered()
    if isinstance(target, _Filtered) and not isinstance(key, float):
        return _Filtered(found for item in target if (found := _index(item, key, node)) is not None)
    if isinstance(target, Mapping):
        wanted = to_string(key).lower()
        return next((value for name, value in target.items() if str(name).lower() == wanted), None)
    if isinstance(target, list):
        number = to_number(key)
        inside = number == number and 0 <= number < len(target)
        return target[int(number)] if inside else None
    return None


def _call(function: str, arguments: tuple[_Node, ...], scope: Scope) -> Any:
    name = function.lower()
    if name in STATUSFUNCTIONS:
        if scope.status is None:
            raise ExpressionError(f"{function}() is only known in an if condition")
        answers = {
            "success": scope.status.succeeded and not scope.status.cancelled,
            "failure": scope.status.failed and not scope.status.cancelled,
            "always": True,
            "cancelled": scope.status.cancelled,
        }
        return answers[name]
    values = [_value(argument, scope) for argument in arguments]
    if name == "hashfiles":
        if scope.hash_files is None:
            raise ExpressionError("hashFiles() is only known in steps")
        return scope.hash_files(tuple(to_string(value) for value in values))
    known = FUNCTIONS.get(name)
    if known is None:
        raise ExpressionError(f"unrecognised function {function!r}")
    least, most, implementation = known
    if not least <= len(values) <= most:
        raise ExpressionError(f"{function}() takes {least} to {most} values, not {len(values)}")
    return implementation(*values)
