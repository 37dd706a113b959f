"""Which blocks of modules were judged through files that call them, and in which order to read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

Chain = tuple[tuple[Path | None, str], ...]
"""A block by the blocks that lead to it, each with its module's folder: calls, then itself."""

TERRAFORM = frozenset({".tf", ".tofu"})
_COMMENT = re.compile(r"^[ \t]*(?:#|//).*", re.MULTILINE)
# Whose defaults count is whoever calls the module elsewhere.
_EXAMPLES = frozenset({"example", "examples", "fixtures", "tests"})
_TEST = "test"  # an environment, too, unless it stands in the module
_FOLDER = re.compile(r"\bsource\s*=\s*\"(\.[^\"\n]*)\"")


class Callers:
    """What the files that were read so far have made of blocks of the modules that they call."""

    def __init__(self) -> None:
        self._reached: dict[Chain, set[tuple[Chain, str]]] = {}
        self._made: dict[Chain, set[tuple[Chain, str]]] = {}
        self.left_out: set[Path] = set()  # files of which a block was judged through others
        self.texts: dict[Path, set[str]] = {}
        """What `file` and `templatefile` made of files."""

    def note(self, chain: Chain, place: str, *, made: bool) -> None:
        """Keep that a block was reached at a place, and whether a policy of it could be read."""
        for at in range(1, len(chain)):
            # A module that calls itself is none, and an example shows one way of many.
            if chain[at][0] != chain[0][0] and not _is_example(chain[0][0], chain[at][0]):
                self._reached.setdefault(chain[at:], set()).add((chain, place))
                if made:
                    self._made.setdefault(chain[at:], set()).add((chain, place))

    def judge(self, chain: Chain) -> bool:
        """Whether a policy could be read wherever a caller makes the block, at least once."""
        return chain in self._made and self._made[chain] == self._reached[chain]


def _is_example(caller: Path | None, called: Path | None) -> bool:
    """Whether a folder shows or tests the module of another."""
    if caller is None or called is None:
        return False
    beyond = set(caller.parts) - set(called.parts)
    return not beyond.isdisjoint(_EXAMPLES) or (_TEST in beyond and called in caller.parents)


def callers_first(files: Iterable[Path]) -> list[Path]:
    """The files, each behind those of the modules that call its own, and Terraform's first."""
    homes = {file: file.parent.resolve() for file in files}
    stack, entered = sorted(set(homes.values()), reverse=True), set[Path]()
    done: dict[Path, None] = {}
    while stack:
        home = stack[-1]
        if home in entered:
            stack.pop()
            done.setdefault(home)
        else:
            entered.add(home)
            stack += sorted(_called(home) - entered)
    order = {home: at for at, home in enumerate(reversed(done))}
    return sorted(homes, key=lambda file: (file.suffix not in TERRAFORM, order[homes[file]], file))


def _called(home: Path) -> set[Path]:
    """The folders that the Terraform files of a folder speak of as modules' sources."""
    found: set[Path] = set()
    for file in (*home.glob("*.tf"), *home.glob("*.tofu")):
        with suppress(OSError, UnicodeDecodeError, RuntimeError):  # such as a loop of links
            text = _COMMENT.sub("", file.read_text())
            found |= {(home / path).resolve() for path in _FOLDER.findall(text)}
    return found
