"""Finite automata over text: which strings do several patterns accept together?

A wildcard pattern is a regular language, so whether two sets of patterns accept the same strings
is decided, not sampled. docs/decisions/2026-11-23-automata-for-trust.md says why not with a solver.

A set of letters is an integer, a bit for each letter; a negative one holds all letters but some.
So is a set of states.
"""

from __future__ import annotations

import string
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

# Order of the letters is the order in which witnesses are preferred.
ALPHABET = string.ascii_lowercase + string.digits + "-_./@:%" + string.ascii_uppercase
# Next come the rest of ASCII that can be printed, and one letter that stands for all others.
_ORDER = ALPHABET + "".join(sorted(set(map(chr, range(32, 127))) - set(ALPHABET))) + "\u00e9"
_PLACE = {letter: place for place, letter in enumerate(_ORDER)}
MOST_STATES = 200_000

Letters = int
States = int
Edge = tuple[Letters, int]
ANY_LETTER: Letters = -1


class TooComplex(Exception):
    """The patterns have too many combinations to decide."""


def letters_of(listed: Iterable[str]) -> Letters:
    """A set of letters."""
    found = 0
    for letter in listed:
        found |= 1 << _PLACE.get(letter, len(_ORDER) + ord(letter))
    return found


def preferred(letters: Letters) -> str:
    """The letter of a set that a witness should have."""
    place = (letters & -letters).bit_length() - 1
    return _ORDER[place] if place < len(_ORDER) else chr(place - len(_ORDER))


def members(states: States) -> Iterator[int]:
    """The states of a set."""
    while states:
        lowest = states & -states
        yield lowest.bit_length() - 1
        states ^= lowest


@dataclass(frozen=True, eq=False)
class Language:
    """A nondeterministic automaton: `edges[state]` are (letters, next); `empty[state]` are nexts
    that need no letter. Starts in state 0 and accepts in the last one."""

    edges: tuple[tuple[Edge, ...], ...]
    empty: tuple[tuple[int, ...], ...]
    _moves: dict[States, tuple[tuple[Letters, States], ...]] = field(default_factory=dict)
    _closures: dict[int, States] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The accepting state."""
        return len(self.edges) - 1

    def _closure(self, state: int) -> States:
        """The set that is reached from a state without a letter."""
        known = self._closures.get(state)
        if known is None:
            known, todo = 1 << state, [state]
            while todo:
                for target in self.empty[todo.pop()]:
                    if not known >> target & 1:
                        known |= 1 << target
                        todo.append(target)
            self._closures[state] = known
        return known

    @property
    def start(self) -> States:
        """The states before the first letter."""
        return self._closure(0)

    def moves(self, states: States) -> tuple[tuple[Letters, States], ...]:
        """Where letters lead from a set of states; letters that lead nowhere are left out."""
        known = self._moves.get(states)
        if known is None:
            groups: list[tuple[Letters, States]] = []
            for state in members(states):
                for letters, to in self.edges[state]:
                    groups = _split(groups, letters, self._closure(to))
            known = self._moves[states] = tuple(groups)
        return known

    def ends(self, states: States) -> bool:
        """Whether the text may end in this set of states."""
        return bool(states >> self.last & 1)

    def accepts(self, text: str) -> bool:
        """Whether the whole text is in the language."""
        states = self.start
        for letter in text:
            one = letters_of(letter)
            states = next((to for letters, to in self.moves(states) if letters & one), 0)
        return self.ends(states)


def _split(
    groups: list[tuple[Letters, States]], letters: Letters, targets: States
) -> list[tuple[Letters, States]]:
    """Add an edge to disjoint groups of letters."""
    found = []
    for known, leading in groups:
        if shared := known & letters:
            found.append((shared, leading | targets))
            letters &= ~shared
        if rest := known & ~shared:
            found.append((rest, leading))
    if letters:
        found.append((letters, targets))
    return found


def one(letters: Letters) -> Language:
    """One letter out of a set."""
    return Language((((letters, 1),), ()), ((), ()))


def chars(letters: Iterable[str]) -> Language:
    """One of these letters."""
    return one(letters_of(letters))


def but(letters: Iterable[str]) -> Language:
    """One letter that is none of these."""
    return one(~letters_of(letters))


def text(literal: str, *, ignore_case: bool = False) -> Language:
    """Exactly this text."""
    edges: list[tuple[Edge, ...]] = []
    for index, letter in enumerate(literal):
        same = {letter.lower(), letter.upper()} if ignore_case else {letter}
        edges.append(((letters_of(same), index + 1),))
    return Language((*edges, ()), ((),) * (len(literal) + 1))


def then(*parts: Language) -> Language:
    """One after the other."""
    edges: list[tuple[Edge, ...]] = []
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
    edges: list[tuple[Edge, ...]] = [()]
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


NOTHING = either()


def network(
    count: int, parts: Iterable[tuple[int, Language, int]], ends: Iterable[int]
) -> Language:
    """The ways from node 0 to one of `ends`, each of whose steps is a text of the step's part."""
    edges: list[list[Edge]] = [[] for _ in range(count)]
    empty: list[list[int]] = [[] for _ in range(count)]
    for start, part, end in parts:
        base = len(edges)
        edges.extend([(on, to + base) for on, to in outgoing] for outgoing in part.edges)
        empty.extend([to + base for to in targets] for targets in part.empty)
        empty[start].append(base)
        empty[-1].append(end)
    return _with_end(edges, empty, ends)


def after(letter: str, language: Language) -> Language:
    """What follows a letter in the texts of a language that begin with it."""
    one = letters_of(letter)
    follows = (to for letters, to in language.moves(language.start) if letters & one)
    targets = tuple(members(next(follows, 0)))
    edges = tuple(tuple((on, to + 1) for on, to in outgoing) for outgoing in language.edges)
    empty = tuple(tuple(to + 1 for to in silent) for silent in language.empty)
    return Language(((), *edges), (tuple(to + 1 for to in targets), *empty))


def repeated(part: Language, *, least: int = 1) -> Language:
    """The part once or more often; `least` 0 allows none."""
    last = part.last
    empty = list(part.empty)
    empty[last] += (0,)
    loop = Language(part.edges, tuple(empty))
    return loop if least else either(text(""), loop)


def optional(part: Language) -> Language:
    """The part or nothing."""
    return either(text(""), part)


def pattern(value: str, *, wildcards: bool = True, ignore_case: bool = False) -> Language:
    """A policy value: `*` is any run of letters, the empty one too, and `?` any one letter."""
    pieces = []
    run = ""
    for letter in value:
        if wildcards and letter in "*?":
            pieces.append(text(run, ignore_case=ignore_case))
            run = ""
            any_one = one(ANY_LETTER)
            pieces.append(repeated(any_one, least=0) if letter == "*" else any_one)
        else:
            run += letter
    return then(*pieces, text(run, ignore_case=ignore_case))


def both(left: Language, right: Language) -> Language:
    """What both accept."""
    numbers: dict[tuple[int, int], int] = {(0, 0): 0}
    edges: list[list[Edge]] = [[]]
    empty: list[list[int]] = [[]]
    todo = deque([(0, 0)])

    def number(pair: tuple[int, int]) -> int:
        if pair not in numbers:
            numbers[pair] = len(numbers)
            edges.append([])
            empty.append([])
            todo.append(pair)
            _bounded(len(numbers))
        return numbers[pair]

    while todo:
        pair = todo.popleft()
        here, (one_state, other_state) = numbers[pair], pair
        for letters, to in left.edges[one_state]:
            for also, other_to in right.edges[other_state]:
                if shared := letters & also:
                    edges[here].append((shared, number((to, other_to))))
        empty[here] += [number((to, other_state)) for to in left.empty[one_state]]
        empty[here] += [number((one_state, to)) for to in right.empty[other_state]]
    end = numbers.get((left.last, right.last))
    return NOTHING if end is None else _useful(_with_end(edges, empty, [end]))


def outside(language: Language) -> Language:
    """What the language does not accept."""
    numbers: dict[States, int] = {language.start: 0}
    edges: list[list[Edge]] = [[]]
    todo = deque([language.start])
    while todo:
        states = todo.popleft()
        for letters, following in _all_moves(language, states):
            if following not in numbers:
                numbers[following] = len(numbers)
                edges.append([])
                todo.append(following)
                _bounded(len(numbers))
            edges[numbers[states]].append((letters, numbers[following]))
    ends = [number for states, number in numbers.items() if not language.ends(states)]
    return _useful(_with_end(edges, [[] for _ in edges], ends))


def _all_moves(language: Language, states: States) -> tuple[tuple[Letters, States], ...]:
    """The moves of a set of states, and the letters that lead nowhere."""
    moves = language.moves(states)
    rest = ANY_LETTER
    for letters, _ in moves:
        rest &= ~letters
    return (*moves, (rest, 0)) if rest else moves


def _bounded(count: int) -> None:
    if count > MOST_STATES:
        raise TooComplex(f"over {MOST_STATES} combinations of the patterns")


def _with_end(
    edges: Sequence[Sequence[Edge]], empty: list[list[int]], ends: Iterable[int]
) -> Language:
    """Add the accepting state."""
    for end in ends:
        empty[end].append(len(edges))
    return Language((*map(tuple, edges), ()), (*map(tuple, empty), ()))


def _useful(language: Language) -> Language:
    """The same without the states that lead to no end."""
    useful = _leading_to(language.last, language.edges, language.empty) | {0}
    order = {state: index for index, state in enumerate(sorted(useful))}
    return Language(
        tuple(
            tuple((letters, order[to]) for letters, to in language.edges[state] if to in order)
            for state in order
        ),
        tuple(tuple(order[to] for to in language.empty[state] if to in order) for state in order),
    )


def _leading_to(
    final: int, edges: Sequence[Sequence[Edge]], empty: Sequence[Sequence[int]]
) -> set[int]:
    before = defaultdict(set)
    for state, (outgoing, silent) in enumerate(zip(edges, empty, strict=True)):
        for to in (*silent, *(to for _, to in outgoing)):
            before[to].add(state)
    found, todo = {final}, [final]
    while todo:
        for state in before[todo.pop()] - found:
            found.add(state)
            todo.append(state)
    return found


def replaced(language: Language, letter: str, by: str) -> Language:
    """The same texts with every occurrence of one letter written otherwise."""
    edges: list[list[Edge]] = [[] for _ in language.edges]
    empty = [list(targets) for targets in language.empty]
    alone = letters_of(letter)
    ends = [language.last]
    for state, outgoing in enumerate(language.edges):
        for letters, to in outgoing:
            if kept := letters & ~alone:
                edges[state].append((kept, to))
            if letters & alone:
                edges[state].append((letters_of(by[0]), len(edges)))
                for following in by[1:]:
                    edges.append([(letters_of(following), len(edges) + 1)])
                    empty.append([])
                edges.append([])
                empty.append([to])
    return _with_end(edges, empty, ends)


def inserted(language: Language, before: str, extra: Language, end: Language) -> Language:
    """The same texts with `extra` before every letter `before`, and `end` at the end."""
    edges: list[list[Edge]] = [[] for _ in language.edges]
    empty = [list(targets) for targets in language.empty]
    alone = letters_of(before)

    def spliced(state: int, part: Language) -> int:
        base = len(edges)
        edges.extend([(on, to + base) for on, to in outgoing] for outgoing in part.edges)
        empty.extend([to + base for to in targets] for targets in part.empty)
        empty[state].append(base)
        return len(edges) - 1

    for state, outgoing in enumerate(language.edges):
        for letters, to in outgoing:
            if kept := letters & ~alone:
                edges[state].append((kept, to))
            if letters & alone:
                edges[spliced(state, extra)].append((alone, to))
    return _with_end(edges, empty, [spliced(language.last, end)])


@dataclass(frozen=True)
class Operand:
    """A language, or with `negated` everything outside it."""

    language: Language
    negated: bool = False

    def accepts(self, text: str) -> bool:
        """Whether the operand takes the whole text."""
        return self.language.accepts(text) is not self.negated

    def holds(self, states: States) -> bool:
        """Whether a text that ends in these states is accepted."""
        return self.language.ends(states) is not self.negated

    def moves(self, states: States) -> tuple[tuple[Letters, States], ...]:
        """Where each letter leads that can still lead to an end."""
        return (_all_moves if self.negated else Language.moves)(self.language, states)

    @cached_property
    def accepted(self) -> Language:
        """The language that the operand stands for."""
        return outside(self.language) if self.negated else self.language


def common_word(operands: Sequence[Operand]) -> str | None:
    """The shortest text that every operand accepts, None if there is no such text.

    Walks the product of the automata, each made deterministic on the way, breadth first; letters
    that no automaton tells apart are tried once. Raises TooComplex beyond MOST_STATES.
    """
    start = tuple(operand.language.start for operand in operands)
    seen = {start}
    todo = deque([(start, "")])
    while todo:
        states, word = todo.popleft()
        if all(operand.holds(own) for operand, own in zip(operands, states, strict=True)):
            return word
        for letters, following in _common_moves(operands, states):
            if following not in seen:
                seen.add(following)
                _bounded(len(seen))
                todo.append((following, word + preferred(letters)))
    return None


def _common_moves(
    operands: Sequence[Operand], states: tuple[States, ...]
) -> list[tuple[Letters, tuple[States, ...]]]:
    """Where letters lead that no operand refuses, the preferred letters first."""
    found: list[tuple[Letters, tuple[States, ...]]] = [(ANY_LETTER, ())]
    for operand, own in zip(operands, states, strict=True):
        moves = operand.moves(own)
        found = [
            (shared, (*targets, to))
            for letters, targets in found
            for own_letters, to in moves
            if (shared := letters & own_letters)
        ]
    return sorted(found, key=lambda move: move[0] & -move[0])


def same(left: Sequence[Language], right: Sequence[Language]) -> tuple[str | None, str | None]:
    """Compare two unions: a word of the left alone and one of the right alone, None if none."""
    some, other = either(*left), either(*right)
    return (
        common_word([Operand(some), Operand(other, negated=True)]),
        common_word([Operand(other), Operand(some, negated=True)]),
    )
