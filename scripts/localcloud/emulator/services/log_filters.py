"""Filter patterns of logs as CloudWatch reads them; moto takes most of them for "everything".

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from moto.logs import models

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\w+))(?=\s|$)')


class NotModelled(ValueError):
    """A pattern of fields, by JSON or by place, or a regular expression."""


@dataclass(frozen=True)
class Pattern:
    """Terms that a message must have, may not have, or of which it has one."""

    needed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def matches(self, message: str) -> bool:
        """Whether a message is one of those that the pattern is for."""
        if any(term in message for term in self.excluded):
            return False
        if self.needed or not self.optional:  # beside others optional terms do not count
            return all(term in message for term in self.needed)
        return any(term in message for term in self.optional)


def pattern(text: str) -> Pattern:
    """Read a pattern of terms; raises NotModelled, or ValueError where it is none."""
    if text.strip().startswith(("{", "[", "%")):
        raise NotModelled("fields and regular expressions in a filter pattern")
    found: dict[str, list[str]] = {"": [], "-": [], "?": []}
    place = 0
    while text[place:].strip():
        term = _TERM.match(text, place)
        if term is None:
            raise ValueError(f"Invalid character(s) in term '{text[place:].strip()}'")
        quoted = term[2] is not None
        found[term[1]].append(re.sub(r"\\(.)", r"\1", term[2]) if quoted else term[3])
        place = term.end()
    return Pattern(tuple(found[""]), tuple(found["-"]), tuple(found["?"]))


@contextmanager
def read() -> Iterator[None]:
    """Let moto's search look at events by them while the context lasts."""
    with patch.object(models, "EventMessageFilter", lambda text: pattern(text or "")):
        yield
