"""Finite automata over subjects: which strings do several patterns accept together?

A wildcard pattern is a regular language, so whether two sets of patterns accept the same subjects
is decided, not sampled. docs/decisions/2026-11-23-automata-for-trust.md says why not with a solver.
"""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Order of the letters is the order in which witnesses are preferred.
ALPHABET = string.ascii_lowercase + string.digits + "-_./@:%" + string.ascii_uppercase
_OTHERS = "".join(sorted(set(map(chr, range(32, 127))) - set(ALPHABET))) + "\u00e9"
LETTERS = ALPHABET + _OTHERS
MOST_STATES = 200_000


class TooComplex(Exception):
    """The patterns have too many combinations to decide."""


@dataclass(frozen=True)
class Language:
    """A nondeterministic automaton: `edges[state]` are (letters, next); `empty[state]` are nexts
    that need no letter. Starts in state 0 and accepts in the last one."""

    edges: tuple[tuple[tuple[frozenset[str], int], ...], ...]
    empty: tuple[tuple[int, ...], ...]

    @property
    def last(self) -> int:
        """The accepting state."""
        return len(self.edges) - 1

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        """The states together with all that need no letter to be reached."""
        found, todo = set(states), list(states)
        while todo:
            for target in self.empty[todo.pop()]:
                if target not in found:
                    found.add(target)
                    todo.append(target)
        return frozenset(found)

    def start(self) -> frozenset[int]:
        """The states before the first letter."""
        return self.closure([0])

    def step(self, states: frozenset[int], letter: str) -> frozenset[int]:
        """Where a letter leads from a set of states."""
        return self.closure(
            [to for state in states for letters, to in self.edges[state] if letter in letters]
        )

    def accepts(self, text: str) -> bool:
        """Whether the whole text is in the language."""
        states = self.start()
        for letter in text:
            states = self.step(states, letter)
        return self.last in states


ANY_LETTER = frozenset(LETTERS)


def chars(letters: Iterable[str]) -> Language:
    """One letter out of a set."""
    return Language((((frozenset(letters), 1),), ()), ((), ()))


def text(literal: str, *, ignore_case: bool = False) -> Language:
    """Exactly this text."""
    edges: list[tuple[tuple[frozenset[str], int], ...]] = []
    for index, letter in enumerate(literal):
        same = {letter.lower(), letter.upper()} if ignore_case else {letter}
        edges.append(((frozenset(same), index + 1),))
    return Language((*edges, ()), ((),) * (len(literal) + 1))


def then(*parts: Language) -> Language:
    """One after the other."""
    edges: list[tuple[tuple[frozenset[str], int], ...]] = []
    empty: list[tuple[int, ...]] = []
    for index, part in enumerate(parts):
        base = len(edges)
        edges += [tuple((on, to + base) for on, to in outgoing) for outgoing in part.edges]
        empty += [tuple(to + base for to in targets) for targets in part.empty]
        if index < len(parts) - 1:
            empty[-1] += (len(edges),)
    return Language(tuple(edges), tuple(empty))


def either(*parts: Language) -> Language:
    """Any one of them; none of them if there are none."""
    edges: list[tuple[tuple[frozenset[str], int], ...]] = [()]
    empty: list[tuple[int, ...]] = [()]
    ends = []
    for part in parts:
        base = len(edges)
        empty[0] += (base,)
        edges += [tuple((on, to + base) for on, to in outgoing) for outgoing in part.edges]
        empty += [tuple(to + base for to in targets) for targets in part.empty]
        ends.append(len(edges) - 1)
    for end in ends:
        empty[end] += (len(edges),)
    return Language((*edges, ()), (*empty, ()))


def repeated(part: Language, *, least: int = 1) -> Language:
    """The part once or more often; `least` 0 allows none."""
    last = part.last
    empty = list(part.empty)
    empty[last] += (0,)
    loop = Language(part.edges, tuple(empty))
    return loop if least else either(text(""), loop)


def pattern(value: str, *, wildcards: bool = True, ignore_case: bool = False) -> Language:
    """A policy value: `*` is any run of letters, the empty one too, and `?` any one letter."""
    pieces = []
    run = ""
    for letter in value:
        if wildcards and letter in "*?":
            pieces.append(text(run, ignore_case=ignore_case))
            run = ""
            one = chars(ANY_LETTER)
            pieces.append(repeated(one, least=0) if letter == "*" else one)
        else:
            run += letter
    return then(*pieces, text(run, ignore_case=ignore_case))


@dataclass(frozen=True)
class Operand:
    """A language, or with `negated` everything outside it."""

    language: Language
    negated: bool = False

    def holds(self, states: frozenset[int]) -> bool:
        """Whether a text that ends in these states is in the operand."""
        return (self.language.last in states) is not self.negated


def common_word(operands: Sequence[Operand]) -> str | None:
    """The shortest text that every operand accepts, None if there is no such text.

    Walks the product of the automata, each made deterministic on the way, breadth first; letters
    that no automaton tells apart are tried once. Raises TooComplex beyond MOST_STATES.
    """
    letters = _distinct_letters(operands)
    start = tuple(operand.language.start() for operand in operands)
    seen = {start}
    todo = deque([(start, "")])
    while todo:
        states, word = todo.popleft()
        if all(operand.holds(own) for operand, own in zip(operands, states, strict=True)):
            return word
        for letter in letters:
            following = tuple(
                operand.language.step(own, letter)
                for operand, own in zip(operands, states, strict=True)
            )
            if following in seen or _hopeless(operands, following):
                continue
            seen.add(following)
            if len(seen) > MOST_STATES:
                raise TooComplex(f"over {MOST_STATES} combinations of the patterns")
            todo.append((following, word + letter))
    return None


def _hopeless(operands: Sequence[Operand], states: tuple[frozenset[int], ...]) -> bool:
    return any(
        not own and not operand.negated for operand, own in zip(operands, states, strict=True)
    )


def _distinct_letters(operands: Sequence[Operand]) -> list[str]:
    """One letter of each class that no edge of any automaton tells apart."""
    sets = {on for operand in operands for outgoing in operand.language.edges for on, _ in outgoing}
    found: dict[tuple[bool, ...], str] = {}
    ordered = sorted(sets, key=sorted)
    beyond = {letter for on in sets for letter in on if letter not in ANY_LETTER}
    for letter in [*LETTERS, *sorted(beyond)]:
        found.setdefault(tuple(letter in on for on in ordered), letter)
    return list(found.values())


def same(left: Sequence[Language], right: Sequence[Language]) -> tuple[str | None, str | None]:
    """Compare two unions: a word of the left alone and one of the right alone, None if none."""
    one, other = either(*left), either(*right)
    return (
        common_word([Operand(one), Operand(other, negated=True)]),
        common_word([Operand(other), Operand(one, negated=True)]),
    )
