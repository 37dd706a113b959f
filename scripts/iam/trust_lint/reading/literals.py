"""Reads objects and lists as JSON, Terraform, TypeScript and Python write them.

What is no literal, such as a variable, stays as the placeholder `${expression}`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

MOST_DEPTH = 60
# The key of an object that another one takes in here, `...name` or Python's `**name`.
SPREAD = "..."


class Unreadable(ValueError):
    """Text that is no literal here."""


class TooTangled(Exception):
    """Text that takes too long to read."""


class WrittenTwice(TooTangled):
    """A key of a policy that one object holds twice: IAM refuses it, and a reader takes one."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is written twice in one object; write it once")


class _Work:
    """How much was read, over again too: what nobody writes must not take for ever."""

    most, done = 400_000, 0


def begin() -> None:
    """Count from nothing, for the next text."""
    _Work.done = 0


@contextmanager
def apart() -> Iterator[None]:
    """Count what is read here by itself: it is kept, and another time takes nothing."""
    before, _Work.done = _Work.done, 0
    try:
        yield
    finally:
        _Work.done = before


def count(letters: int) -> None:
    """Add to what was read. Raises TooTangled."""
    _Work.done += letters
    if _Work.done > _Work.most:
        raise TooTangled("it takes too long to read")


class Call(NamedTuple):
    """A call in a text: its name, its arguments with their names, and where it stands."""

    name: str
    arguments: list[tuple[str, Any]]
    start: int
    end: int


_SPACE = re.compile(r"(?:[\s]|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_SOFT = re.compile(r"(?:[^\S\n]|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_HEREDOC = re.compile(r"<<[-~]?[\"']?(\w+)[\"']?[^\n]*\n(.*?)\n[ \t]*\1\b", re.DOTALL)
_KEY = re.compile(r"[A-Za-z_$][\w.$-]*")
PLACE = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")
_PREFIX = re.compile(r"(?:[rbfRBF]{1,2}|[A-Za-z_][\w.]*)(?=[\"'`])")
_RENDERS = re.compile(r"(?:\w+\.)*(?:jsonencode|stringify|dumps|of)\s*\(\s*(?=[\[{])")
_GOES_ON = re.compile(r"[ \t]*\n\s*(?:[?.]|:\s|&&|\|\|)")
_FILLS, _FILLS_VERBS = re.compile(r"\s*\.format\("), re.compile(r"[ \t]*%[ \t]*(?=[\w(\"'])")
_TRIMS = re.compile(r"\s*\.(?:strip|trim|trimIndent|stripIndent)\(\s*\)")
_CALLED = re.compile(r"\s*\??\.\w+\(")
_PLUS, _PLUS_BEFORE = re.compile(r"\s*\+\s*(?=[^\s+=])"), re.compile(r"(?<!\+)\+[ \t]*\Z")
_CHOICE = re.compile(r"\?|\|\||&&|\b(?:if|or|and)\b|[<>=]")
# Python's `value if condition else other`.
_CONDITION = re.compile(r"\s*\bif\b(?=[^\n:]*\n?[^\n:]*\belse\b)")
_CONDITION_BEHIND = re.compile(r"[ \t]*\bif\b(?=[^\n:]*\belse\b)")
_FORMAT = re.compile(r"(?:\w+\.)*[Ss]printf\(\s*(?=[\"`])")
_MAP = re.compile(r"([A-Za-z_][\w.]*)\.(?:flatM|m)ap\(")
_LOOP = re.compile(r"for\s+(?:\w+\s*,\s*)?(\w+)\s+in\s+([^\n\]]*?)")
# As IAM writes them: what else a file holds is its own language's.
_IAMS = re.compile(
    r"Version|Statement|Sid|Effect|(?:Not)?(?:Action|Principal|Resource)|Condition|Federated"
    r"|(?:For\w+:)?(?:String|Arn|Bool|Null|Numeric|Date|IpAddress|NotIp)\w*|[\w./-]+:\w+"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def once(key: str, known: Container[str]) -> None:
    """See that a key of a policy is not yet in its object. Raises WrittenTwice."""
    if key in known and is_word(key):
        raise WrittenTwice(key)


def is_word(key: Any) -> bool:
    """Whether a key is one of a policy's."""
    return isinstance(key, str) and _IAMS.fullmatch(key) is not None


def placeholder(expression: str) -> str:
    """An expression as it stands in a text."""
    inner = " ".join(expression.split())
    whole = inner.startswith("${") and inner.endswith("}") and inner.count("${") == 1
    return inner if whole else f"${{{inner}}}"


def texts(value: Any) -> Iterator[str]:
    """The texts in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value:
            yield from texts(one)
        for one in value.values() if isinstance(value, Mapping) else ():
            yield from texts(one)


def spread(read: Mapping[str, Any]) -> dict[str, Any]:
    """An object with what it takes in in its place, where that is an object; the later key wins."""
    found: dict[str, Any] = {}
    for key, value in read.items():
        if key.startswith(SPREAD) and isinstance(value, Mapping):
            found |= spread(value)
        else:
            found[key] = value
    return found


def each_of(value: Any, name: str, items: str) -> Any:
    """A value with the list that a loop goes through in place of the loop's own name."""
    if isinstance(value, list):
        return [each_of(one, name, items) for one in value]
    if isinstance(value, dict):
        return {each_of(key, name, items): each_of(one, name, items) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    own = re.compile(rf"(?<![\w.]){re.escape(name)}\b(?![\w.]*\s*\()")
    return PLACE.sub(lambda match: own.sub(lambda _: items.strip(), match[0]), value)


class Reader:
    """Reads one literal after another from a text."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text, self.at = text, at
        self._depth = self._brackets = 0

    def value(self) -> Any:
        """The literal that begins here. Raises Unreadable."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise Unreadable("nested too deeply")
        try:
            self.space()
            start = self.at
            read = self._one()
            if self.text[start : self.at][-1:] in ('"', "'", "`") and isinstance(read, str):
                read = self._filled(read, start)
            while isinstance(read, str) and self._joined():
                read += _text(self._one())
            inside = self._depth > 1 or self._brackets  # where a new line means nothing
            if match := (_CONDITION if inside else _CONDITION_BEHIND).match(self.text, self.at):
                self.at = match.end()
                self._skip_to_word("else")
                self.value()
                return placeholder(self.text[start : self.at])
            if isinstance(read, list) and self._goes_on(".map", ".concat", "+"):
                raise Unreadable("a list that goes on")
            return read
        finally:
            self._depth -= 1

    def _filled(self, read: str, start: int) -> str:
        """A text with what a program puts into it behind it."""
        if match := _FILLS.match(self.text, self.at):
            self.at = match.end()
            given = self.arguments()
            return _in_braces(read, given)
        if match := _FILLS_VERBS.match(self.text, self.at):
            self.at = match.end()
            several = self.text.startswith("(", self.at)
            self.at += several
            listed = [one for _, one in self.arguments()] if several else [self._one()]
            rest = iter(listed)
            return re.sub(VERB, lambda verb: str(next(rest, verb[0])), read)
        if _TRIMS.match(self.text, self.at):
            self.at = self.text.index(")", self.at) + 1
        elif _CALLED.match(self.text, self.at):
            self._expression()
            return placeholder(self.text[start : self.at])
        return read

    def _joined(self) -> bool:
        """Whether a text goes on: behind a plus, or as Python's next literal."""
        start = self.at
        self.space()
        if self.text.startswith("+", self.at):
            self.at += 1
            self.space()
            return True
        if self._brackets and re.compile(r"[fr]?[\"']").match(self.text, self.at):
            return True
        self.at = start
        return False

    def _skip_to_word(self, word: str) -> None:
        match = outside(self.text, re.compile(rf"\b{word}\b"), self.at)
        if match is None:
            raise Unreadable(f"no {word}")
        self.at = match.end()

    def _goes_on(self, *signs: str) -> bool:
        match = _SPACE.match(self.text, self.at)
        return self.text.startswith(signs, match.end() if match else self.at)

    def _bracketed(self) -> Any:
        """A value in brackets, or else an expression that begins with some."""
        start = self.at
        self.at += 1
        self._brackets += 1
        try:
            read = self.value()
            self._close(")")
        except Unreadable:
            self.at = start
            return self._expression()
        finally:
            self._brackets -= 1
        if self._goes_on("=>", ".", "[", "?"):
            self.at = start
            return self._expression()
        return read

    def _arrow(self) -> Any:
        """What a function of TypeScript makes of each item, and the item's name."""
        match = re.compile(r"\s*\(?\s*(\w+)[^()=>]*\)?\s*=>\s*(\{\s*return\b)?").match(
            self.text, self.at
        )
        if not match:
            raise Unreadable("no function")
        self.at = match.end()
        read = self.value()
        if match[2]:
            self._skip_to("}")
        self._skip_to(")")
        return match[1], read

    def _one(self) -> Any:
        here = self.text[self.at : self.at + 1]
        if here == "{":
            return self.body(self.at + 1)
        if here == "[":
            return self._list()
        if here in "\"'`" and here:
            return self._string(formatted=False)
        if here == "(":
            return self._bracketed()
        if here == "<":
            count(1000)  # its end is looked for far away
        if match := _HEREDOC.match(self.text, self.at):
            self.at = match.end()
            return match[2]
        if match := _PREFIX.match(self.text, self.at):
            self.at = match.end()
            return self._string(formatted="f" in match[0].lower()[:2] and len(match[0]) < 3)
        if match := _RENDERS.match(self.text, self.at):
            self.at = match.end()
            read = self.value()
            self._close(")")
            return read
        if match := _FORMAT.match(self.text, self.at):
            self.at = match.end()
            return self.arguments()[0][1]  # what is formatted has its values already
        if match := _MAP.match(self.text, self.at):
            self.at = match.end()
            name, read = self._arrow()
            made = each_of(read, name, match[1])
            return made if isinstance(made, list) else [made]
        return self._expression()

    def space(self) -> None:
        """Skip blanks and comments."""
        match = _SPACE.match(self.text, self.at)
        end = match.end() if match else self.at
        count(1 + end - self.at)
        self.at = end

    def _close(self, closing: str) -> None:
        """Skip to behind a closing bracket."""
        self.space()
        while self.text[self.at : self.at + 1] == ",":
            self.at += 1
            self.space()
        if not self.text.startswith(closing, self.at):
            raise Unreadable(f"no {closing} at {self.at}")
        self.at += 1

    def arguments(self) -> list[tuple[str, Any]]:
        """The arguments of a call, behind its bracket: their names, "" without one, and values."""
        found = []
        while not self._ends(")"):
            name = re.compile(r"([A-Za-z_]\w*)\s*=(?![=>])").match(self.text, self.at)
            if name:
                self.at = name.end()
            found.append((name[1] if name else "", self.value()))
            self._separator()
        return found

    def _ends(self, closing: str) -> bool:
        self.space()
        if self.at >= len(self.text):
            raise Unreadable(f"no {closing}")
        if self.text.startswith(closing, self.at):
            self.at += 1
            return True
        return False

    def _separator(self) -> None:
        self.space()
        if self.text[self.at : self.at + 1] in (",", ";"):
            self.at += 1

    def _list(self) -> list[Any]:
        self.at += 1
        self.space()
        if loop := re.compile(rf"{_LOOP.pattern}\s*:(?!:)").match(self.text, self.at):
            self.at = loop.end()
            read = [each_of(self.value(), loop[1], loop[2])]
            self._skip_to("]")
            return read
        found = []
        while not self._ends("]"):
            if match := re.compile(r"\.\.\.|\*(?=[A-Za-z_\[])").match(self.text, self.at):
                self.at = match.end()
            value = self.value()
            self.space()
            if loop := re.compile(rf"{_LOOP.pattern}\s*(?=\]|\bif\b)").match(self.text, self.at):
                self._skip_to("]")
                return [each_of(value, loop[1], loop[2])]
            found.append(value)
            self._separator()
        return found

    def _skip_to(self, closing: str) -> None:
        while not self._ends(closing):
            self._balanced()

    def body(self, at: int) -> dict[str, Any]:
        """The object or block whose brace was before `at`."""
        self.at = at
        found: dict[str, Any] = {}
        while not self._ends("}"):
            self._entry(found)
            self._separator()
        return found

    def _entry(self, found: dict[str, Any]) -> None:
        if match := re.compile(r"\.\.\.|\*\*").match(self.text, self.at):
            self.at = match.end()
            found[f"{SPREAD}{len(found)}"] = self.value()
            return
        key = self._key()
        soft = _SOFT.match(self.text, self.at)
        self.at = soft.end() if soft else self.at
        if match := re.compile(r"\s*(?:=>|[:=](?!=))").match(self.text, self.at):
            self.at = match.end()
            once(key, found)
            found[key] = self.value()
        elif re.compile(r"\s*[,}]").match(self.text, self.at):
            found[key] = placeholder(key)  # TypeScript's { name }
        else:
            raise Unreadable(f"no value at {self.at}")

    def _key(self) -> str:
        here = self.text[self.at : self.at + 1]
        if here in ("[", "("):
            self.at += 1
            key = _text(self.value())
            self._close(_CLOSING[here])
            return key
        if here and here in "\"'`":
            return self._string(formatted=False)
        if match := re.compile(r"[rbfRBF]{1,2}(?=[\"'])").match(self.text, self.at):
            self.at = match.end()
            return self._string(formatted="f" in match[0].lower())
        match = _KEY.match(self.text, self.at)
        if not match:
            raise Unreadable(f"no key at {self.at}")
        self.at = match.end()
        return match[0]

    def _string(self, *, formatted: bool) -> str:
        quote = self.text[self.at]
        long = self.text.startswith(quote * 3, self.at)
        end = quote * 3 if long else quote
        self.at += len(end)
        found = []
        while not self.text.startswith(end, self.at):
            here = self.text[self.at : self.at + 1]
            if not here or (here == "\n" and quote != "`" and not long):
                raise Unreadable("a text is not closed")
            if here == "\\":
                follows = self.text[self.at + 1 : self.at + 2]
                found.append(_ESCAPES.get(follows, follows))
                self.at += 2
            elif self.text.startswith("$(", self.at):
                start = self.at  # a shell's command, with quotes of its own
                self.at += 1
                self._balanced()
                found.append(self.text[start : self.at])
            elif self.text.startswith("${", self.at) or (formatted and here == "{"):
                start = self.at + (1 if here == "{" else 2)
                self.at = start
                # A # or // is no comment here.
                while not self.text.startswith("}", self.at):
                    if self.at >= len(self.text):
                        raise Unreadable("a placeholder is not closed")
                    self._balanced()
                self.at += 1
                found.append(placeholder(self.text[start : self.at - 1]))
            else:
                found.append(here)
                self.at += 1
        self.at += len(end)
        count(len(found))
        return "".join(found)

    def _balanced(self) -> None:
        """Skip one letter, or what stands in brackets or quotes."""
        count(1)
        here = self.text[self.at : self.at + 1]
        if here in _CLOSING:
            self.at += 1
            self._skip_to(_CLOSING[here])
        elif here and here in "\"'`":
            self._string(formatted=False)
        else:
            self.at += 1

    def _expression(self) -> Any:
        """Something that is no literal, up to the end of the line or of what it stands in."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ",;\n}])":
            self._balanced()
            if _GOES_ON.match(self.text, self.at) or _PLUS_BEFORE.search(
                self.text, max(start, self.at - 80), self.at
            ):
                self.space()
        written = self.text[start : self.at].strip()
        if not written:
            raise Unreadable(f"nothing at {start}")
        return _word(written)


def _word(written: str) -> Any:
    if "+" in written and any(quote in written for quote in "\"'`"):
        parts = _parts(written)
        if len(parts) > 1 and any(part[:1] in ('"', "'", "`") for part in parts):
            return "".join(_text(Reader(part).value()) for part in parts)  # a text that is joined
    known: dict[str, Any] = {"true": True, "True": True, "false": False, "False": False}
    if written in known:
        return known[written]
    if re.fullmatch(r"\d+", written):
        return int(written)
    return placeholder(written)


def _parts(written: str) -> list[str]:
    """The operands of pluses that stand in no brackets; none where the expression chooses."""
    reader = Reader(written)
    parts, begin = [], 0
    try:
        while reader.at < len(written):
            if match := _PLUS.match(written, reader.at):
                parts.append(written[begin : reader.at])
                begin = reader.at = match.end()
            elif _CHOICE.match(written, reader.at):
                return []
            else:
                reader._balanced()
    except Unreadable:
        return []
    return [*parts, written[begin:]]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    raise Unreadable("an object in a text")


VERB = r"%(?:\[\d+\])?[sdvq](?!\w)"


def _in_braces(text: str, given: list[tuple[str, Any]]) -> str:
    """Python's `str.format`."""
    placed = [one for name, one in given if not name]
    named = {name: one for name, one in given if name}
    rest = iter(placed)

    def value(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] == "":
            found = next(rest, match[0])
        elif match[1].isdigit():
            found = placed[int(match[1])] if int(match[1]) < len(placed) else match[0]
        else:
            found = named.get(match[1], match[0])
        return str(found)

    return re.sub(r"\{\{|\}\}|\{(\w*)\}", value, text)


def formatted(text: str) -> str:
    """A text in which every literal that a program formats has the arguments in their places."""
    for match in reversed([*_FORMAT.finditer(text)]):
        reader = Reader(text, match.end())
        try:
            [_, *arguments] = reader.arguments()
        except (Unreadable, ValueError):
            continue
        rest = iter(one for _, one in arguments)
        written = text[match.end() : reader.at]

        def filled(verb: re.Match[str], rest: Iterator[Any] = rest) -> str:
            value = next(rest, verb[0])
            return value if isinstance(value, str) else verb[0]

        text = text[: match.end()] + re.sub(VERB, filled, written) + text[reader.at :]
    return text


def object_around(text: str, inside: int) -> tuple[dict[str, Any] | None, int]:
    """The smallest object that can be read and holds this place of a text, and where it ends."""
    at = inside
    for _ in range(MOST_DEPTH):
        at = text.rfind("{", 0, at)
        if at < 0:
            return None, inside
        reader = Reader(text)
        try:
            read = reader.body(at + 1)
        except Unreadable:
            continue
        if reader.at > inside:
            return read, reader.at
    return None, inside


def outside(text: str, sign: re.Pattern[str], at: int = 0) -> re.Match[str] | None:
    """The first place of a sign that stands in no quotes or brackets of an expression."""
    reader = Reader(text, at)
    try:
        while reader.at < len(text) and text[reader.at] not in ")]}":
            if match := sign.match(text, reader.at):
                return match
            reader._balanced()
    except Unreadable:
        pass
    return None


def calls(text: str, name: re.Pattern[str]) -> Iterator[Call]:
    """The calls of functions or classes with such a name, with their arguments."""
    for match in name.finditer(text):
        reader = Reader(text, match.end())
        try:
            yield Call(match[1], reader.arguments(), match.start(), reader.at)
        except Unreadable:
            continue
