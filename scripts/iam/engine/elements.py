"""What a policy document is made of, as written: statements and their conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Condition:
    """One operator and key of a Condition block, as written; the values are alternatives."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One statement. Of each pair such as actions and not_actions, one is None."""

    sid: str | None
    index: int
    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    principals: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)
    not_principals: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)
    conditions: tuple[Condition, ...] = ()
    # Why AWS would not take this statement; whatever it might be about cannot be decided.
    unreadable: str | None = None

    @property
    def label(self) -> str:
        """The Sid, or "#" and the index (counted from 0) of a statement without one."""
        return self.sid or f"#{self.index}"
