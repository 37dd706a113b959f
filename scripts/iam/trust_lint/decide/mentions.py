"""Whom and what a statement names: owners, repositories, ids, refs, environments, workflows.

A token is a stranger's where the statement lets it in and names nothing of it. The literal text
before a wildcard counts as a name, so that `octo-org*` names octo-org and admits strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from scripts.iam.trust_lint.decide.automata import (
    Language,
    both,
    either,
    outside,
    pattern,
    text,
    then,
)
from scripts.iam.trust_lint.decide.grammar import CLAIMS, OWNER, REPOSITORY
from scripts.iam.trust_lint.decide.statement import Compared, Trusting

Which = Literal["named", "other", "any"]
_KINDS = (
    "owners",
    "repositories",
    "owner_ids",
    "ids",
    "refs",
    "environments",
    "workflows",
    "beginnings",
    "shown",
)
_NAME = r"[\w.-]*"
_REPO = re.compile(
    rf"repo:(?P<owner>{_NAME})(?:@(?P<owner_id>\d*))?[*?]*"
    rf"(?:/[*?]*(?P<name>{_NAME})(?:@(?P<id>\d*))?(?P<open>[*?]?))?"
)
_CLAIM = re.compile(
    r"(?:^|:)(?P<claim>repository|repository_owner|repository_id|repository_owner_id"
    r"|ref|environment|job_workflow_ref):(?P<value>[^:*?]*)(?P<open>[*?]?)"
)


@dataclass(frozen=True)
class Mentions:
    """What the conditions of a statement name. Names are in lower case: GitHub ignores case.

    `beginnings` are those of the workflows that a wildcard follows; `shown` are the repositories as
    a reader should see them.
    """

    owners: frozenset[str] = frozenset()
    repositories: frozenset[str] = frozenset()
    owner_ids: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    refs: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    workflows: frozenset[str] = frozenset()
    beginnings: frozenset[str] = frozenset()
    shown: tuple[str, ...] = ()
    pull_requests: bool = False

    def repository(self, owner: Which = "any", name: Which = "any") -> Language:
        """`owner/repository` of named, other or any owners and names, whatever their case."""
        return then(
            _these(owner, self.owners, OWNER, ignore_case=True),
            text("/"),
            _these(name, self.repositories, REPOSITORY, ignore_case=True),
        )

    def own(self, claim: str) -> Language | None:
        """The values of a claim that are named; None, which is no limit, if none is."""
        values: frozenset[str] = getattr(self, _MEANS[claim])
        return _these("named", values, CLAIMS[claim]) if values else None

    def other(self, claim: str) -> Language | None:
        """The values of a claim that are not named; None, which is no limit, if none is named."""
        values: frozenset[str] = getattr(self, _MEANS[claim])
        return _these("other", values, CLAIMS[claim]) if values else None

    @cached_property
    def strange_workflow(self) -> Language | None:
        """Workflows that are not named and begin in no way that is."""
        other = self.other("job_workflow_ref")
        patterns = [pattern(f"{value}*") for value in sorted(self.beginnings)]
        return both(other, outside(either(*patterns))) if other and patterns else other


@lru_cache(maxsize=1024)
def _these(
    which: Which, values: frozenset[str], grammar: Language, *, ignore_case: bool = False
) -> Language:
    if which == "any" or not values:
        return grammar
    named = either(*(text(value, ignore_case=ignore_case) for value in sorted(values)))
    return both(grammar, named if which == "named" else outside(named))


def mentions(one: Trusting) -> Mentions:
    """What a statement names, in its conditions on subject and claims."""
    found: dict[str, dict[str, None]] = {kind: {} for kind in _KINDS}
    pull_requests = False
    for compared in _naming(one):
        for value in compared.values:
            claim = compared.claim
            head = _head(value)
            cut = head != value
            said = _subject(value) if claim == "sub" else _claim(claim, head, cut=cut)
            for kind, name in said:
                if name:
                    found[kind][name] = None
            pull_requests |= claim == "sub" and "pull_request" in value.split(":")
    shown = tuple(found.pop("shown"))
    names = {kind: frozenset(values) for kind, values in found.items()}
    return Mentions(**names, shown=shown, pull_requests=pull_requests)


def _naming(one: Trusting) -> Iterator[Compared]:
    """The conditions that say who gets in: those of the Allow, and what a Deny excepts."""
    yield from (found for found in one.compared if not found.negated)
    for deny in one.denies:
        yield from (found for found in one.claims_of(deny) if found.negated)


def _head(value: str) -> str:
    return re.split(r"[*?]", value, maxsplit=1)[0]


def _subject(value: str) -> Iterator[tuple[str, str]]:
    for match in _REPO.finditer(value):
        owner, name = match["owner"], match["name"] or ""
        yield "owners", owner.lower()
        yield "owner_ids", match["owner_id"] or ""
        yield "repositories", name.lower()
        yield "ids", match["id"] or ""
        # A name that a wildcard follows is the beginning of one.
        more = "*" if match["open"] and match["id"] is None else ""
        yield "shown", f"{owner}/{name}{more}" if owner and name else ""
    for match in _CLAIM.finditer(value):
        value = match["value"].replace("%3A", ":")
        yield from _claim(match["claim"], value, cut=bool(match["open"]))


def _claim(claim: str, value: str, *, cut: bool) -> Iterator[tuple[str, str]]:
    if claim == "repository":
        owner, _, name = value.partition("/")
        yield "owners", owner.lower()
        yield "repositories", name.lower()
        yield "shown", value if name else ""
    elif claim in _MEANS:
        yield _MEANS[claim], value.lower() if claim == "repository_owner" else value
        if claim == "job_workflow_ref" and cut:
            yield "beginnings", value


_MEANS = {
    "repository_owner": "owners",
    "repository_owner_id": "owner_ids",
    "repository_id": "ids",
    "ref": "refs",
    "environment": "environments",
    "job_workflow_ref": "workflows",
}
