"""The names of a program whose values somebody else gives: its functions' parameters, and fields.

A default is only what counts where nobody gives another value, so it is no constant.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from scripts.iam.trust_lint.reading.literals import Reader, Unreadable

_TOKEN = re.compile(
    r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"
    r"|//[^\n]*|#[^\n]*|/\*.*?\*/|[()\[\]{}]",
    re.DOTALL,
)
_OPENS = {")": "(", "]": "[", "}": "{"}
_NAMED = re.compile(r"\b(?:def|function|constructor)\s*\*?\s*\w*\s*(?:<[^()]*>)?\s*\Z")
_CONTROL = re.compile(r"\b(?:if|for|while|switch|catch|with)\s*\Z")
# What follows the parameters of a method or an arrow function.
_BODY = re.compile(r"\s*(?::[^;{}=()]*)?(?:=>|\{)")
_PATTERN = re.compile(r"(?:[(,]|\b(?:const|let|var))\s*\Z")
_PARAMETER = re.compile(
    r"[(,{]\s*(?:(?:public|private|protected|readonly)\s+)*(?P<name>[A-Za-z_]\w*)\??"
    r"(?:\s*:\s*[^=,(){}]+?)?\s*(?:(?P<default>=)(?![=>])|(?=[,)}:]))"
)
_FIELD = re.compile(
    r"^(?P<indent>[ \t]+)(?P<name>[A-Za-z_]\w*)[ \t]*:(?![^=\n]*\b(?:ClassVar|Final)\b)"
    r"[^=\n]+=(?![=>])",
    re.MULTILINE,
)
_CLASS = re.compile(r"[ \t]*class\b.*:[ \t]*(?:#.*)?\Z")


def _bare(token: re.Match[str]) -> str:
    whole = token[0]
    if len(whole) == 1:
        return whole
    return ('"' if whole[0] in "\"'`" else " ") * len(whole)


class Brackets:
    """The pairs of brackets of a text, but for those in its quotes and comments."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Without what stands in quotes and comments, each letter in its place.
        self.bare = _TOKEN.sub(_bare, text)
        self.pairs: list[tuple[int, int]] = []
        waiting: list[int] = []
        for token in _TOKEN.finditer(text):
            at, sign = token.start(), token[0]
            if sign in _OPENS.values():
                waiting.append(at)
            elif sign in _OPENS and any(text[one] == _OPENS[sign] for one in waiting[-50:]):
                # One that nothing closes, in a regular expression for instance, is passed over.
                while text[opened := waiting.pop()] != _OPENS[sign]:
                    pass
                self.pairs.append((opened, at))
        self.pairs.sort()
        self._places, self._innermost = [0], [-1]
        ends = [(start, start) for start, _ in self.pairs] + [(end, -1) for _, end in self.pairs]
        inside = [-1]
        for place, opened in sorted(ends):
            inside.append(opened) if opened >= 0 else inside.pop()
            self._places.append(place)
            self._innermost.append(inside[-1])

    def gives(self, at: int) -> bool:
        """Whether `NAME = VALUE` here gives an argument or a default, and sets no name."""
        opened = self._innermost[bisect_right(self._places, at) - 1]
        if opened < 0 or self._text[opened] == "[":
            return False
        return self._text[opened] == "(" or self._is_pattern(opened)

    def heads(self) -> Iterator[tuple[int, int]]:
        """The brackets that hold the parameters of a function, or names taken out of an object."""
        for start, end in self.pairs:
            before = self._text[max(0, start - 200) : start]
            if self._text[start] == "{":
                if self._is_pattern(start) and not before.rstrip().endswith(("(", ",")):
                    yield start, end
            elif self._text[start] == "(" and (
                _NAMED.search(before)
                or (_BODY.match(self._text, end + 1) and not _CONTROL.search(before))
            ):
                yield start, end

    def _is_pattern(self, opened: int) -> bool:
        return _PATTERN.search(self._text[max(0, opened - 20) : opened]) is not None


def fields(text: str) -> Iterator[re.Match[str]]:
    """The fields of Python's classes with a type and a default, which a constructor takes."""
    for match in _FIELD.finditer(text):
        for line in reversed(text[max(0, match.start() - 20_000) : match.start()].splitlines()):
            bare = line.lstrip()
            if bare and len(line) - len(bare) < len(match["indent"]):
                if _CLASS.match(line):
                    yield match
                break


def parameters(text: str, brackets: Brackets) -> dict[str, Any]:
    """The names whose values others give, with their defaults, None for one without any."""
    found: dict[str, Any] = {}
    given = [(match["name"], match.end()) for match in fields(text)]
    for start, end in brackets.heads():
        listed = _PARAMETER.finditer(brackets.bare, start, end + 1)
        given += [(one["name"], one.end() if one["default"] else -1) for one in listed]
    for name, at in given:
        try:
            value = Reader(text, at).value() if at >= 0 else None
        except Unreadable:
            value = None
        found[name] = value if found.get(name, value) == value else None
    return found
