"""Reads Terraform's language: blocks, and expressions that a scope gives a value.

https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scripts.iam.trust_lint.reading.literals import Unreadable, count
from scripts.iam.trust_lint.terraform import operations as do
from scripts.iam.trust_lint.terraform.operations import Scope

Value = Callable[[Scope], Any]


@dataclass(frozen=True)
class Expression:
    """An expression as it is written, and what gives its value in a scope."""

    text: str
    value: Value


@dataclass
class Body:
    """What stands between a block's braces."""

    attributes: dict[str, Expression] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """A block: `kind "label" { ... }`."""

    kind: str
    labels: tuple[str, ...]
    body: Body
    text: str


_COMMENT = r"(?:\#|//)[^\n]*|/\*.*?\*/"
_BEHIND = re.compile(r"(?:(?<!\s)\s+(?:#|//)[^\"\n]*)+$")  # comments behind an expression
_SPACES = re.compile(rf"(?:\s|{_COMMENT})*", re.DOTALL)
_SOFT = re.compile(rf"(?:[^\S\n]|{_COMMENT})*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][\w-]*(?:::[\w-]+)*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LABEL = re.compile(r'"([^"\n]*)"|([A-Za-z_][\w-]*)')
_HEREDOC = re.compile(
    r"<<(-?)([A-Za-z_][\w-]*)[ \t]*\r?\n(.*?)^[ \t]*\2[ \t]*$", re.DOTALL | re.MULTILINE
)
_BINARY = (("||",), ("&&",), ("==", "!="), ("<=", ">=", "<", ">"), ("+", "-"), ("*", "/", "%"))
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def body(text: str) -> Body:
    """The blocks of a file. Raises Unreadable."""
    return _Parser(text).body("")


def end_of_block(text: str, start: int) -> int:
    """Where the block ends that begins there. Raises Unreadable."""
    parser = _Parser(text, start)
    parser.entry(Body())
    return parser.at


def template(text: str) -> Value:
    """A text in which placeholders and directives stand, such as a file's. Raises Unreadable."""
    return _Template(text).value()


class _Parser:
    def __init__(self, text: str, at: int = 0) -> None:
        self.text, self.at = text, at
        self._free = [False]  # whether a new line means nothing here

    # Letters

    def _space(self, *, lines: bool | None = None) -> None:
        free = self._free[-1] if lines is None else lines
        match = (_SPACES if free else _SOFT).match(self.text, self.at)
        if match:
            count(1 + match.end() - self.at)
            self.at = match.end()

    def _next(self, *signs: str) -> str:
        """The sign that comes next, "" if none of them does."""
        self._space()
        for sign in signs:
            if self.text.startswith(sign, self.at):
                return sign
        return ""

    def _take(self, *signs: str) -> str:
        sign = self._next(*signs)
        self.at += len(sign)
        return sign

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise Unreadable(f"no {sign} at {self.at}")

    def _word(self, word: str) -> bool:
        self._space()
        match = _NAME.match(self.text, self.at)
        if not match or match[0] != word:
            return False
        self.at = match.end()
        return True

    # Blocks

    def body(self, end: str) -> Body:
        found = Body()
        while True:
            self._space(lines=True)
            if self.at >= len(self.text):
                if end:
                    raise Unreadable(f"no {end}")
                return found
            if end and self.text.startswith(end, self.at):
                self.at += 1
                return found
            self.entry(found)

    def entry(self, found: Body) -> None:
        start = self.at
        match = _LABEL.match(self.text, self.at)
        if not match:
            raise Unreadable(f"no name at {start}")
        self.at = match.end()
        if self._next("=") and not self._next("=="):
            self.at += 1
            found.attributes[match[1] or match[2]] = self.expression()
            self._space()
            if self.text[self.at : self.at + 1] not in ("", "\n", "\r", "}", ","):
                raise Unreadable(f"more than an expression at {self.at}")
            self._take(",")
            return
        labels = []
        self._space()
        while label := _LABEL.match(self.text, self.at):
            labels.append(label[1] if label[1] is not None else label[2])
            self.at = label.end()
            self._space()
        self._need("{")
        inner = self.body("}")
        found.blocks.append(
            Block(match[1] or match[2], tuple(labels), inner, self.text[start : self.at])
        )

    # Expressions

    def expression(self) -> Expression:
        self._space()
        start = self.at
        count(1)
        value = self._choice()
        return Expression(_BEHIND.sub("", self.text[start : self.at].strip()), value)

    def _choice(self) -> Value:
        self._space()
        start = self.at
        first = self._binary(0)
        if not self._take("?"):
            return first
        yes = self.expression().value
        self._need(":")
        no = self.expression().value
        return do.choice(first, yes, no, self.text[start : self.at])

    def _binary(self, level: int) -> Value:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while sign := self._next(*_BINARY[level]):
            if sign == "/" and self.text.startswith(("//", "/*"), self.at):
                break
            self.at += len(sign)
            self._space(lines=True)
            left = do.binary(sign, left, self._binary(level + 1))
        return left

    def _unary(self) -> Value:
        if sign := self._take("!", "-"):
            return do.unary(sign, self._unary())
        return self._traversal()

    def _traversal(self) -> Value:
        self._space()
        start = self.at
        value = self._primary()
        while True:
            text = self.text
            if text.startswith("...", self.at):
                return value
            if text.startswith("[*]", self.at) or text.startswith(".*", self.at):
                self.at += 3 if text[self.at] == "[" else 2
                value = do.splat(value, self._rest())
            elif text.startswith("[", self.at):
                index = self._inside("[", "]")
                value = do.index(value, index, text[start : self.at])
            elif match := re.compile(r"\s*\.([A-Za-z_][\w-]*|\d+)").match(text, self.at):
                if "\n" in match[0] and not self._free[-1]:
                    return value
                self.at = match.end()
                value = do.attribute(value, match[1], text[start : self.at])
            else:
                return value

    def _rest(self) -> list[tuple[Any, str]]:
        """What follows a splat, which is asked of each item."""
        found: list[tuple[Any, str]] = []
        while True:
            if match := re.compile(r"\.([A-Za-z_][\w-]*|\d+)").match(self.text, self.at):
                self.at = match.end()
                found.append((match[1], match[0]))
            elif self.text.startswith("[", self.at) and not self.text.startswith("[*]", self.at):
                start = self.at
                found.append((self._inside("[", "]"), self.text[start : self.at]))
            else:
                return found

    def _inside(self, opening: str, closing: str) -> Value:
        self._need(opening)
        self._free.append(True)
        value = self.expression().value
        self._need(closing)
        self._free.pop()
        return value

    def _primary(self) -> Value:
        here = self.text[self.at : self.at + 1]
        if here == '"':
            return self._string()
        if match := _HEREDOC.match(self.text, self.at):
            self.at = match.end()
            return _Template(_unindented(match[3]) if match[1] else match[3]).value()
        if here == "(":
            return self._inside("(", ")")
        if here == "[":
            return self._tuple()
        if here == "{":
            return self._object()
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            number = float(match[0]) if re.search(r"[.eE]", match[0]) else int(match[0])
            return do.constant(number)
        match = _NAME.match(self.text, self.at)
        if not match:
            raise Unreadable(f"nothing at {self.at}")
        start, self.at = self.at, match.end()
        if self.text.startswith("(", self.at):
            return self._call(match[0], start)
        return do.name(match[0])

    def _call(self, function: str, start: int) -> Value:
        self.at += 1
        self._free.append(True)
        given, spread = [], False
        while not self._take(")"):
            given.append(self.expression())
            spread = bool(self._take("..."))
            if not self._take(",") and not self._next(")"):
                raise Unreadable(f"no ) at {self.at}")
        self._free.pop()
        return do.call(
            function,
            [one.value for one in given],
            self.text[start : self.at],
            spread=spread,
        )

    def _string(self) -> Value:
        start = self.at + 1
        self.at = _end_of_string(self.text, start)
        return _Template(self.text[start : self.at - 1], quoted=True).value()

    def _tuple(self) -> Value:
        self.at += 1
        self._free.append(True)
        if self._word("for"):
            found = self._for("]")
        else:
            items = []
            while not self._take("]"):
                items.append(self.expression().value)
                if not self._take(",") and not self._next("]"):
                    raise Unreadable(f"no ] at {self.at}")
            found = do.items(items)
        self._free.pop()
        return found

    def _object(self) -> Value:
        self.at += 1
        self._space(lines=True)
        if self._word("for"):
            self._free.append(True)
            found = self._for("}")
            self._free.pop()
            return found
        entries: list[tuple[Value, Value]] = []
        self._free.append(False)
        while True:
            self._space(lines=True)
            if self._take("}"):
                break
            entries.append(self._pair())
        self._free.pop()
        return do.mapping(entries)

    def _pair(self) -> tuple[Value, Value]:
        match = re.compile(r"([A-Za-z_][\w-]*)[ \t]*(?=[=:](?!=))").match(self.text, self.at)
        if match:
            self.at = match.end()
            key = do.constant(match[1])
        else:
            key = self.expression().value
        if not self._take("=", ":"):
            raise Unreadable(f"no value at {self.at}")
        self._space(lines=True)
        value = self.expression().value
        self._take(",")
        return key, value

    def _for(self, closing: str) -> Value:
        names = [self._name()]
        if self._take(","):
            names.append(self._name())
        if not self._word("in"):
            raise Unreadable("a loop over nothing")
        over = self.expression()
        self._need(":")
        first = self.expression()
        value = None
        grouped = False
        if closing == "}":
            self._need("=>")
            value = self.expression().value
            grouped = bool(self._take("..."))
        test = self.expression() if self._word("if") else None
        self._need(closing)
        text = f"[for {', '.join(names)} in {over.text} : {first.text}"
        text += f" if {test.text}]" if test else "]"
        condition = test.value if test else None
        loop = do.Loop(names, over.value, text, first.value, value, condition, grouped)
        return do.loop(loop)

    def _name(self) -> str:
        self._space()
        match = _NAME.match(self.text, self.at)
        if not match:
            raise Unreadable(f"no name at {self.at}")
        self.at = match.end()
        return match[0]


def _end_of_string(text: str, at: int) -> int:
    """Where a text ends that begins behind its quote: behind the other one."""
    while at < len(text):
        count(1)
        if text[at] == "\\":
            at += 2
        elif text[at] == '"':
            return at + 1
        elif text.startswith(("$${", "%%{"), at):
            at += 3
        elif text.startswith(("${", "%{"), at):
            at = _end_of_place(text, at + 2)
        elif text[at] == "\n":
            break
        else:
            at += 1
    raise Unreadable("a text is not closed")


def _end_of_place(text: str, at: int) -> int:
    """Where a placeholder ends whose content begins here: behind its brace."""
    depth = 1
    while at < len(text):
        count(1)
        if text[at] == '"':
            at = _end_of_string(text, at + 1)
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if not depth:
            return at
    raise Unreadable("a placeholder is not closed")


def _unindented(text: str) -> str:
    lines = text.split("\n")
    deep = min((len(one) - len(one.lstrip()) for one in lines if one.strip()), default=0)
    return "\n".join(one[deep:] for one in lines)


class _Template:
    """A text with `${...}` and `%{...}`."""

    def __init__(self, text: str, *, quoted: bool = False) -> None:
        self._parts = _parts(text, quoted)
        self._next = 0

    def value(self) -> Value:
        found = self._until()
        if self._next < len(self._parts):
            raise Unreadable("a directive that nothing opens")
        return found

    def _until(self, *ends: str) -> Value:
        found: list[Value] = []
        texts: list[str] = []
        while self._next < len(self._parts):
            kind, written = self._parts[self._next]
            word = written.split(None, 1)[0] if kind == "%" and written else ""
            if word in ends:
                break
            self._next += 1
            if kind == "":
                found.append(do.constant(written))
                texts.append("")
            elif kind == "$":
                found.append(_whole(written))
                texts.append(written)
            elif word == "if":
                found.append(self._if(written[2:]))
                texts.append("")
            elif word == "for":
                found.append(self._loop(written[3:]))
                texts.append("")
            else:
                raise Unreadable(f"a directive {word}")
        return do.joined(found, alone=len(found) == 1 and bool(texts[0]))

    def _if(self, asked: str) -> Value:
        yes, no = self._until("else", "endif"), do.constant("")
        if self._parts[self._next : self._next + 1] and self._word() == "else":
            self._next += 1
            no = self._until("endif")
        self._close("endif")
        return do.choice(_whole(asked), yes, no, f"if {asked.strip()}")

    def _loop(self, written: str) -> Value:
        match = re.fullmatch(r"\s*([\w-]+)(?:\s*,\s*([\w-]+))?\s+in\s+(.*)", written, re.DOTALL)
        if not match:
            raise Unreadable("a loop over nothing")
        each = self._until("endfor")
        self._close("endfor")
        names = [one for one in match.groups()[:2] if one]
        over = match[3].strip()
        made = do.loop(do.Loop(names, _whole(over), over, each, None, None, False))
        return do.concatenated(made)

    def _word(self) -> str:
        kind, written = self._parts[self._next]
        return written.strip() if kind == "%" else ""

    def _close(self, word: str) -> None:
        if self._next >= len(self._parts) or self._word() != word:
            raise Unreadable(f"no {word}")
        self._next += 1


def _whole(text: str) -> Value:
    parser = _Parser(text)
    parser._free.append(True)
    value = parser.expression().value
    parser._space()
    if parser.at < len(text):
        raise Unreadable(f"more than an expression: {text}")
    return value


def _parts(text: str, quoted: bool) -> list[tuple[str, str]]:
    """Letters (""), placeholders ("$") and directives ("%") of a text, one after another."""
    found: list[tuple[str, str]] = []
    letters: list[str] = []
    at = 0
    trim = False

    def close(*, stripped: bool = False) -> None:
        written = "".join(letters)
        letters.clear()
        if stripped:
            written = written.rstrip()
        if written:
            found.append(("", written))

    while at < len(text):
        if text.startswith(("$${", "%%{"), at):
            letters.append(text[at + 1 : at + 3])
            at += 3
        elif text.startswith(("${", "%{"), at):
            end = _end_of_place(text, at + 2)
            inner = text[at + 2 : end - 1]
            close(stripped=inner.startswith("~"))
            trim = inner.endswith("~")
            found.append((text[at], inner.strip("~").strip()))
            at = end
            if trim:
                at += len(text[at:]) - len(text[at:].lstrip())
        elif quoted and text[at] == "\\":
            letters.append(_ESCAPES.get(text[at + 1 : at + 2], text[at + 1 : at + 2]))
            at += 2
        else:
            letters.append(text[at])
            at += 1
    close()
    return found
