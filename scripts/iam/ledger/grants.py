"""A role's grants: one for each action, resource pattern and statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from scripts.iam.account.identities import Identity
from scripts.iam.engine.documents import Condition, Policy
from scripts.iam.engine.patterns import expand, glob, tokens
from scripts.iam.engine.statements import CompiledStatement, Facts, compile_statement
from scripts.iam.trust_lint.decide.automata import Language, Operand, common_word, either, pattern


@dataclass(frozen=True)
class Grant:
    """An Allow for one action (or action pattern) and one resource pattern.

    `odd` is set where the statement has NotAction or NotResource: then `action` or `resource`
    says what is left out.
    """

    role: str
    policy: str
    statement: str
    action: str
    resource: str
    conditions: tuple[Condition, ...]
    odd: str | None
    compiled: CompiledStatement

    def matches(self, facts: Facts) -> bool:
        """Whether it allows a request, as far as one policy can."""
        return bool(self.compiled.applies(facts))

    @cached_property
    def exact(self) -> str | None:
        """The action in lower case, None for a pattern or an exclusion."""
        return None if self.odd or set("*?") & set(self.action) else self.action.lower()

    def narrower_than(self, other: Grant) -> bool:
        """Whether everything it allows the other one allows as well, and not the reverse."""
        if other.odd or self.odd:
            return bool(other.odd) and not self.odd
        if not _action_in(self.action, other.action):
            return False
        if not included(self.resource, other.resource):
            return False
        if self.resource != other.resource or self.action.lower() != other.action.lower():
            return True
        return set(other.conditions) < set(self.conditions)

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What makes two grants different."""
        return (self.role, self.policy, self.statement, self.action, self.resource)


def grants(role: Identity) -> list[Grant]:
    """Every grant of a role's identity policies."""
    return [grant for policy in role.identity for grant in _of_policy(role.name, policy)]


def _of_policy(role: str, policy: Policy) -> Iterator[Grant]:
    variables = policy.version == "2012-10-17"
    for statement in policy.statements:
        if statement.effect != "Allow":
            continue
        odd = statement.not_actions is not None or statement.not_resources is not None
        for action in statement.actions or statement.not_actions or ():
            for resource in statement.resources or statement.not_resources or ("*",):
                one = statement
                if statement.actions is not None:
                    one = replace(one, actions=(action,))
                if statement.resources is not None:
                    one = replace(one, resources=(resource,))
                element = "NotAction" if statement.not_actions is not None else "NotResource"
                yield Grant(
                    role,
                    policy.name,
                    statement.label,
                    action,
                    resource,
                    statement.conditions,
                    element if odd else None,
                    compile_statement(one, variables=variables),
                )


def _action_in(action: str, other: str) -> bool:
    return action.lower() == other.lower() or included(action.lower(), other.lower())


@lru_cache(maxsize=65536)
def included(inner: str, outer: str) -> bool:
    """Whether every text like one pattern is like the other one too."""
    if inner == outer or outer == "*":
        return True
    if not set("*?") & set(inner):
        return glob(expand(tokens(outer, variables=False), {}) or ())(inner)
    return within(inner, (outer,))


@lru_cache(maxsize=65536)
def within(inner: str, outers: tuple[str, ...]) -> bool:
    """Whether every text like a pattern is like one of the others."""
    if inner in outers or "*" in outers:
        return True
    if not outers:
        return False
    if not set("*?") & set(inner):
        return any(included(inner, outer) for outer in outers)
    whole: Language = either(*map(pattern, outers))
    return common_word([Operand(pattern(inner)), Operand(whole, negated=True)]) is None
