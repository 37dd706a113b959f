"""Read Terraform's language: a file becomes blocks, and each expression a function of its names.

Syntax: https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md, without what no module here
writes: heredocs, template directives and expansion of arguments. Those are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.pulumi_platform.operations import (
    FUNCTIONS,
    OPERATORS,
    EvaluationError,
    HclError,
    attribute,
    boolean,
    guarded,
    item,
    splat,
    text_of,
)

Names = Mapping[str, Any]
Expression = Callable[[Names], Any]

_IGNORED = r"[ \t\r]|\#[^\n]*|//[^\n]*|/\*.*?\*/"
_SPACE = re.compile(f"(?:{_IGNORED})*", re.DOTALL)
_SPACE_AND_LINES = re.compile(f"(?:{_IGNORED}|\n)*", re.DOTALL)
_TOKEN = re.compile(
    r"\d+(?:\.\d+)?|[A-Za-z_][\w-]*|&&|\|\||==|!=|>=|<=|=>|\.\.\.|<<|[-+*/%!<>=?:.,(){}\[\]\"\n]"
)
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_PLAIN = re.compile(r'[^"\\$%]+')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_PRECEDENCE = (("||",), ("&&",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))
_LITERALS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Body:
    """What stands between braces: arguments by name, and blocks in their order."""

    arguments: dict[str, Expression] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def of(self, kind: str) -> Iterator[Block]:
        """The blocks of one kind."""
        return (block for block in self.blocks if block.kind == kind)


@dataclass(frozen=True)
class Block:
    """`kind "label" "label" { ... }`."""

    kind: str
    labels: tuple[str, ...]
    body: Body


def parse(text: str, *, name: str = "text") -> Body:
    """Read a file. Raises HclError that names the line."""
    return _Parser(text, name).file()


def parse_expression(text: str, *, name: str = "expression") -> Expression:
    """Read one expression. Raises HclError."""
    parser = _Parser(text, name)
    found = parser.expression()
    parser.expect("")
    return found


class _Parser:
    """Recursive descent without a separate lexer, since templates nest in strings."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name, self.at = text, name, 0
        self.space = _SPACE
        self.openings: Mapping[str, Callable[[], Expression]] = {
            '"': self.string,
            "(": self.parenthesis,
            "[": self.sequence,
            "{": self.mapping,
        }

    # Tokens

    def peek(self) -> str:
        """The next token; "" at the end."""
        found = self.space.match(self.text, self.at)
        self.at = found.end() if found else self.at
        if self.at == len(self.text):
            return ""
        token = _TOKEN.match(self.text, self.at)
        if token is None:
            raise self.error(f"{self.text[self.at]!r} is not understood")
        return token[0]

    def take(self) -> str:
        token = self.peek()
        self.at += len(token)
        return token

    def accept(self, *tokens: str) -> str | None:
        """Take the next token if it is one of these."""
        return self.take() if self.peek() in tokens else None

    def expect(self, *tokens: str) -> str:
        found = self.peek()
        if found not in tokens:
            raise self.error(f"expected {' or '.join(map(repr, tokens))}, found {found!r}")
        return self.take()

    def identifier(self) -> str:
        token = self.take()
        if not _NAME.fullmatch(token):
            raise self.error(f"expected a name, found {token!r}")
        return token

    def error(self, problem: str) -> HclError:
        line = self.text.count("\n", 0, self.at) + 1
        return HclError(f"{self.name}, line {line}: {problem}")

    def across_lines(self, read: Callable[[], Any], end: str) -> Any:
        """Read with newlines as mere space, up to and with the closing token."""
        before, self.space = self.space, _SPACE_AND_LINES
        found = read()
        self.peek()
        if not self.text.startswith(end, self.at):
            raise self.error(f"expected {end!r}")
        self.space = before
        self.at += len(end)
        return found

    # Blocks

    def file(self) -> Body:
        return self.body("")

    def body(self, end: str) -> Body:
        body = Body()
        while True:
            while self.accept("\n"):
                pass
            if self.accept(end) is not None:
                return body
            name = self.identifier()
            if self.accept("="):
                body.arguments[name] = self.expression()
            else:
                body.blocks.append(self.block(name))
            if self.peek() != end:
                self.expect("\n")

    def block(self, kind: str) -> Block:
        labels = []
        while not self.accept("{"):
            labels.append(self.label())
        return Block(kind, tuple(labels), self.body("}"))

    def label(self) -> str:
        if not self.accept('"'):
            return self.identifier()
        return str(self.string()({}))

    # Expressions, loosest first

    def expression(self) -> Expression:
        condition = self.binary(0)
        if not self.accept("?"):
            return condition
        yes = self.expression()
        self.expect(":")
        no = self.expression()
        return lambda names: yes(names) if boolean(condition(names)) else no(names)

    def binary(self, level: int) -> Expression:
        if level == len(_PRECEDENCE):
            return self.unary()
        left = self.binary(level + 1)
        while sign := self.accept(*_PRECEDENCE[level]):
            left = _joined(sign, left, self.binary(level + 1))
        return left

    def unary(self) -> Expression:
        if self.accept("!"):
            negated = self.unary()
            return lambda names: not boolean(negated(names))
        if self.accept("-"):
            number = self.unary()
            return lambda names: OPERATORS["-"](0, number(names))
        return self.postfix(self.primary())

    def postfix(self, value: Expression) -> Expression:
        while sign := self.accept(".", "["):
            if sign == ".":
                value = _attribute_of(value, self.identifier())
            elif self.text.startswith("*]", self.at):
                self.at += 2
                return self.rest_of_each(value)
            else:
                value = _item_of(value, self.across_lines(self.expression, "]"))
        return value

    def rest_of_each(self, value: Expression) -> Expression:
        """What follows a splat applies to every element."""
        rest = self.postfix(lambda names: names[""])
        return lambda names: [rest({**names, "": each}) for each in splat(value(names))]

    def primary(self) -> Expression:
        found = self.take()
        if found in self.openings:
            return self.openings[found]()
        if found[:1].isdigit():
            return _constant(float(found) if "." in found else int(found))
        if not _NAME.fullmatch(found):
            raise self.error(f"{found!r} is not understood here")
        if found in _LITERALS:
            return _constant(_LITERALS[found])
        return self.call(found) if self.accept("(") else _name(found)

    def parenthesis(self) -> Expression:
        found: Expression = self.across_lines(self.expression, ")")
        return found

    def string(self) -> Expression:
        """What follows an opening quote, up to the closing one."""
        parts: list[str | Expression] = []
        while True:
            rest = self.text[self.at : self.at + 3]
            if rest.startswith('"'):
                self.at += 1
                return _template(parts)
            if plain := _PLAIN.match(self.text, self.at):
                parts.append(plain[0])
                self.at = plain.end()
            elif rest in ("$${", "%%{"):
                parts.append(rest[1:])
                self.at += 3
            elif rest.startswith("${"):
                self.at += 2
                parts.append(self.across_lines(self.expression, "}"))
            elif rest.startswith("\\") and rest[1:2] in _ESCAPES:
                parts.append(_ESCAPES[rest[1]])
                self.at += 2
            elif rest[:1] in ("$", "%") and rest[1:2] != "{":
                parts.append(rest[0])
                self.at += 1
            else:
                raise self.error(f"{rest!r} is not understood in a string")

    def sequence(self) -> Expression:
        def read() -> Expression:
            if self.accept("for"):
                return self.comprehension("]")
            items = list(self.separated("]"))
            return lambda names: [each(names) for each in items]

        found: Expression = self.across_lines(read, "]")
        return found

    def separated(self, end: str) -> Iterator[Expression]:
        while self.peek() != end:
            yield self.expression()
            if not self.accept(","):
                return

    def mapping(self) -> Expression:
        def read() -> Expression:
            if self.accept("for"):
                return self.comprehension("}")
            pairs = []
            while self.peek() != "}":
                pairs.append(self.pair())
                self.accept(",")
            return lambda names: {str(key(names)): value(names) for key, value in pairs}

        found: Expression = self.across_lines(read, "}")
        return found

    def pair(self) -> tuple[Expression, Expression]:
        start = self.at
        key: Expression
        if _NAME.fullmatch(token := self.take()):
            key = _constant(token)
        else:
            self.at = start
            key = self.primary()
        self.expect("=", ":")
        return key, self.expression()

    def comprehension(self, end: str) -> Expression:
        variables = [self.identifier()]
        if self.accept(","):
            variables.append(self.identifier())
        self.expect("in")
        source = self.expression()
        self.expect(":")
        first = self.expression()
        second = self.expression() if end == "}" and self.expect("=>") else None
        kept = self.expression() if self.accept("if") else _constant(True)

        def each(names: Names) -> Iterator[Names]:
            for key, value in _entries(source(names)):
                bound = (key, value) if len(variables) == 2 else (value,)
                inner = {**names, **dict(zip(variables, bound, strict=True))}
                if boolean(kept(inner)):
                    yield inner

        if second is None:
            return lambda names: [first(inner) for inner in each(names)]
        return lambda names: {str(first(inner)): second(inner) for inner in each(names)}

    def call(self, function: str) -> Expression:
        arguments: list[Expression] = self.across_lines(lambda: list(self.separated(")")), ")")
        where = self.error(f"{function}() is not supported")
        if function in ("try", "can"):
            return _attempt(function, arguments)

        def called(names: Names) -> Any:
            found = names.get(f"{function}()", FUNCTIONS.get(function))
            if found is None:
                raise where
            return guarded(function, found, *(argument(names) for argument in arguments))

        return called


def _constant(value: Any) -> Expression:
    return lambda _: value


def _name(name: str) -> Expression:
    def found(names: Names) -> Any:
        if name not in names:
            raise HclError(f"{name} is not known here")
        return names[name]

    return found


def _attribute_of(value: Expression, name: str) -> Expression:
    return lambda names: attribute(value(names), name)


def _item_of(value: Expression, index: Expression) -> Expression:
    return lambda names: item(value(names), index(names))


def _joined(sign: str, left: Expression, right: Expression) -> Expression:
    if sign == "&&":
        return lambda names: boolean(left(names)) and boolean(right(names))
    if sign == "||":
        return lambda names: boolean(left(names)) or boolean(right(names))
    return lambda names: guarded(sign, OPERATORS[sign], left(names), right(names))


def _template(parts: Sequence[str | Expression]) -> Expression:
    if len(parts) == 1 and callable(parts[0]):
        return parts[0]  # "${x}" alone keeps the type of x
    return lambda names: "".join(
        part if isinstance(part, str) else text_of(part(names)) for part in parts
    )


def _attempt(function: str, arguments: Sequence[Expression]) -> Expression:
    def attempted(names: Names) -> Any:
        for argument in arguments:
            try:
                value = argument(names)
            except EvaluationError:
                continue
            return True if function == "can" else value
        if function == "can":
            return False
        raise EvaluationError("no argument of try() could be evaluated")

    return attempted


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return iter(value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return iter(enumerate(value))
    raise EvaluationError("for needs a list or a map")
