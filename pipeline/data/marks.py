"""Numbers as people write them: decimal marks, thousands, currencies, units.

An ambiguous number is never guessed: callers get both readings.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import BaseModel, ConfigDict

_AFFIXED = re.compile(
    r"([^\d.,+-]*)([+-]?[\d.,][\d.,'\u2019\u00a0\u202f ]*?(?:[eE][+-]?\d+)?)(\s*\D*)",
    re.ASCII,
)
_SIGNS = frozenset("$€£¥₹₽%‰°") | {"USD", "EUR", "GBP", "CHF", "JPY", "US$", "R$", "kr"}
_MANY = 20
MINUS = "\u2212"
_GROUPS = ("'", "\u2019", " ", "\u00a0", "\u202f")
# A unit such as kg, km/h, m² or °C: letters and signs, but no blank and no mark of a number.
_UNIT = re.compile(r"[^\s\d.,;:+-]*[^\W\d_][^\s\d.,;:+-]*")


class Marks(BaseModel):
    """How a column's numbers are written; `remove` is cut out before, such as "$" or "%"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal: str = "."
    thousands: str | None = None
    remove: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether numbers are written without any marks but the decimal point."""
        return self.decimal == "." and not self.thousands and not self.remove

    @cached_property
    def pattern(self) -> str:
        """A regular expression (RE2) of what is a number; blanks around it were cut before."""
        digits = r"\d+"
        if self.thousands:
            group = re.escape(self.thousands)
            digits = rf"(?:\d+|\d{{1,3}}(?:{group}\d{{3}})+)"
        point = re.escape(self.decimal)
        return rf"^[+-]?(?:{digits}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$"

    def cut(self, text: str) -> str:
        """A text without what is removed and without blanks around it, and with a plain minus."""
        for word in self.remove:
            text = text.replace(word, "")
        return text.replace(MINUS, "-").strip()

    def marked(self, text: str) -> bool:
        """Whether a text has what is removed, such as a percent sign."""
        return any(word in text for word in self.remove)

    def fits(self, text: str) -> bool:
        """Whether a text is a number in these marks."""
        # ASCII, as in RE2: Python's digits are those of every script.
        return re.match(self.pattern, self.cut(text), re.ASCII) is not None


PLAIN = Marks()


@dataclass
class Evidence:
    """How texts use decimal and thousands marks, from values with only one reading."""

    decimal_comma: bool = False
    decimal_point: bool = False
    grouped_by: set[str] = field(default_factory=set)
    ambiguous: set[str] = field(default_factory=set)

    def add(self, other: "Evidence") -> None:
        """Merge the evidence of other texts."""
        self.decimal_comma |= other.decimal_comma
        self.decimal_point |= other.decimal_point
        self.grouped_by |= other.grouped_by
        self.ambiguous |= other.ambiguous


def evidence(texts: Iterable[str]) -> Evidence:
    """Unambiguous uses of marks in these texts; texts that are not numbers are ignored."""
    found = Evidence()
    for text in texts:
        match = re.fullmatch(r"([+-]?\d[\d.,]*|[+-]?[.,]\d+)([eE][+-]?\d+)?", text, re.ASCII)
        if match is None:
            continue
        text, power = match[1], match[2]
        marks = re.sub(r"[^.,]", "", text)
        if not marks:
            continue
        last = marks[-1]
        tail = text.rpartition(last)[2]
        if len(set(marks)) == 2 and marks.count(last) == 1:  # 1.234,5
            found.grouped_by.add(marks[0])
            _decimal(found, last)
        elif len(marks) > 1 and len(set(marks)) == 1:  # 1.234.567
            found.grouped_by.add(last)
        elif len(marks) == 1 and (
            power or len(tail) != 3 or re.match(r"[+-]?(0|[.,]|\d{4})", text)
        ):
            _decimal(found, last)
        else:
            found.ambiguous.add(last)
    return found


def _decimal(found: Evidence, mark: str) -> None:
    if mark == ",":
        found.decimal_comma = True
    else:
        found.decimal_point = True


def readings(texts: list[str]) -> list[Marks]:
    """The marks under which all of these texts are numbers; several where that is not certain.

    Texts are cut of what stands around every number, such as a currency, a unit or a percent sign.
    """
    affixes = _affixes(texts)
    if affixes is None:
        return []
    bare = [Marks(remove=affixes).cut(text) for text in texts]
    said = evidence(bare)
    found = []
    for decimal, groups in ((".", (None, ",", *_GROUPS)), (",", (None, ".", *_GROUPS))):
        if (said.decimal_comma and decimal == ".") or (said.decimal_point and decimal == ","):
            continue
        for thousands in groups:
            marks = Marks(decimal=decimal, thousands=thousands, remove=affixes)
            if all(marks.fits(text) for text in texts):
                found.append(marks)
                break
    return found if len(found) < 2 or said.ambiguous else found[:1]


def _affixes(texts: list[str]) -> tuple[str, ...] | None:
    """What is not part of the number in these texts; None if they are not numbers alone.

    That is one currency or percent sign, or one unit after nearly all of many numbers: item 1 and
    item 2 are names.
    """
    found: Counter[tuple[str, bool]] = Counter()
    for text in texts:
        # A sign may stand before a currency: -$5 is $-5.
        text = re.sub(r"^([+-])([^\d.,+-]+)", r"\2\1", text.replace(MINUS, "-"))
        match = _AFFIXED.fullmatch(text)
        if match is None:
            return None
        for word, leads in ((match[1].strip(), True), (match[3].strip(), False)):
            if word:
                found[word, leads] += 1
    words = {word for word, _ in found}
    if len(words) > 1:
        return None
    for (word, leads), count in found.items():
        unit = not leads and _UNIT.fullmatch(word) and count >= max(0.9 * len(texts), _MANY + 1)
        if word not in _SIGNS and not unit:
            return None
    return tuple(words)
