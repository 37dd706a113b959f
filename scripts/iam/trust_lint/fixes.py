"""A change of a statement that a finding advises: written down, and tried before it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scripts.iam.engine.documents import Condition, Policy
from scripts.iam.trust_lint.decide.statement import Trusting


@dataclass(frozen=True)
class Fix:
    """What to write, in words and as the statement's conditions after the change.

    `actions` are the statement's after the change, None if they stay.
    """

    text: str
    conditions: tuple[Condition, ...]
    actions: tuple[str, ...] | None = None

    def applied(self, one: Trusting) -> Trusting:
        """The statement after the change, in its policy."""
        statement = replace(
            one.statement,
            conditions=self.conditions,
            actions=one.statement.actions if self.actions is None else self.actions,
        )
        statements = tuple(
            statement if known is one.statement else known for known in one.policy.statements
        )
        policy = Policy(one.policy.name, one.policy.kind, one.policy.version, statements)
        return Trusting(statement, one.provider, policy)


def added(one: Trusting, operator: str, key: str, values: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions with one more."""
    return (*one.statement.conditions, Condition(operator, key, tuple(values)))


def without(one: Trusting, *gone: Condition) -> tuple[Condition, ...]:
    """The conditions without some."""
    return tuple(found for found in one.statement.conditions if found not in gone)


def exchanged(one: Trusting, old: Condition, new: Condition) -> tuple[Condition, ...]:
    """The conditions with another in the place of one."""
    return tuple(new if found == old else found for found in one.statement.conditions)
