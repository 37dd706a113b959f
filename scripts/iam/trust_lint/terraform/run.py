"""Values of Terraform with the questions that they hang on: conditions, and defaults that count."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.iam.trust_lint.terraform.callers import Callers

_COMPARED = re.compile(r"(.+) (==|!=) ([^=!&|?]+)")


def _opposite(asked: str) -> str:
    """The condition that holds where another does not, "" if that would have to be worked out."""
    if not re.search(r"&&|\|\||\?", asked) and (match := _COMPARED.fullmatch(asked)):
        return f"{match[1]} {'!=' if match[2] == '==' else '=='} {match[3]}"
    if re.fullmatch(r"!?[\w.]+", asked):
        return asked.removeprefix("!") if asked[0] == "!" else f"!{asked}"
    return ""


Asked = tuple[str, str, "bool | None"]
"""A question that a value hangs on: its kind, what it is about, and the answer."""


class Run:
    """What the modules of a root share while policies are read: the answers to questions.

    The questions are which way a condition goes that is not known, and whether a default counts. A
    value is kept with the questions that it asked, and found again while their answers are the
    same.
    """

    MOST = 3

    def __init__(self, callers: Callers | None = None) -> None:
        self.callers = callers or Callers()
        self.left_out = False  # whether a block was judged through callers
        self.folders: dict[Path, Any] = {}  # modules that were read, by their folder
        self.empty: tuple[str, ...] = ()  # defaults that stand for no value
        self.without: frozenset[str] = frozenset()  # variables whose defaults are left out
        self.taken: dict[str, bool] = {}  # which way conditions go
        self._asks = True
        self._asked: list[Asked] = []
        self._kept: dict[Any, list[tuple[Any, tuple[Asked, ...]]]] = {}
        self._doing: list[Any] = []
        self._cut = 0  # how often something was asked for that was under way itself

    def ask(self, kind: str, about: str) -> bool | None:
        """The answer to a question; what is only told has none."""
        answer = None
        if kind == "way":
            answer = self._known_way(about)
            if answer is None and len(self.taken) < self.MOST:
                answer = self.taken[about] = True
        elif kind == "known way":
            answer = self._known_way(about)
        elif kind == "without":
            answer = about in self.without
        elif kind == "empty":
            answer = about in self.empty
        self._asked.append((kind, about, answer))
        return answer

    def way(self, asked: str) -> bool | None:
        """Which way a condition goes in this variant, None if there are too many of them."""
        return self.ask("way" if self._asks else "known way", " ".join(asked.split()))

    def _known_way(self, about: str) -> bool | None:
        opposite = self.taken.get(_opposite(about))
        return self.taken.get(about) if opposite is None else not opposite

    def unasked(self, value: Callable[[], Any]) -> Any:
        """A value in which no further condition is taken to go either way."""
        was, self._asks = self._asks, False
        try:
            return value()
        finally:
            self._asks = was

    def next(self) -> bool:
        """Go on to the next variant; False behind the last one."""
        while self.taken:
            text, way = self.taken.popitem()
            if way:
                self.taken[text] = False
                return True
        return False

    def traced(self, value: Callable[[], Any]) -> tuple[Any, tuple[Asked, ...]]:
        """A value, and the questions that it hangs on."""
        start = len(self._asked)
        made = value()
        self._asked[start:] = asked = tuple(dict.fromkeys(self._asked[start:]))
        return made, asked

    def once(self, name: Any, value: Callable[[], Any], within: Any = None) -> Any:
        """A value by a name of its own; `within` itself it is something else."""
        name = (name, self._asks)
        kept = self._kept.setdefault(name, [])
        for made, asked in kept:
            if all(self.ask(kind, about) == answer for kind, about, answer in asked):
                return made
        if name in self._doing:
            self._cut += 1
            return within
        cut = self._cut
        self._doing.append(name)
        try:
            made, asked = self.traced(value)
        finally:
            self._doing.pop()
        if self._cut == cut or not self._doing:
            kept.append((made, asked))
        return made
