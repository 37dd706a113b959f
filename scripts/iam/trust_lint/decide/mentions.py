"""Whom and what a statement names: owners, repositories, ids, refs, environments, workflows.

A token is a stranger's where the statement lets it in and names nothing of it. The literal text
before a wildcard counts as a name, so that `octo-org*` names octo-org and admits strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from scripts.iam.trust_lint.decide.automata import (
    Language,
    both,
    either,
    outside,
    pattern,
    text,
    then,
)
from scripts.iam.trust_lint.decide.grammar import CLAIMS, DIGITS, OWNER, REPOSITORY
from scripts.iam.trust_lint.decide.statement import Compared, Trusting

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

    @cached_property
    def other_owners(self) -> Language:
        """`owner/repository` of owners that are not named."""
        return then(_not(self.owners, OWNER), text("/"), REPOSITORY)

    @cached_property
    def named(self) -> Language:
        """`owner/repository` as named; where an owner or repository is not, any."""
        return then(_of(self.owners, OWNER), text("/"), _of(self.repositories, REPOSITORY))

    @cached_property
    def of_the_owners(self) -> Language:
        """`owner/repository` of the named owners."""
        return then(_of(self.owners, OWNER), text("/"), REPOSITORY)

    @cached_property
    def other_repositories(self) -> Language:
        """`owner/repository` of the named owners, but for the named repositories."""
        return then(_of(self.owners, OWNER), text("/"), _not(self.repositories, REPOSITORY))

    @cached_property
    def other_names(self) -> Language:
        """`owner/repository` of any owner, but for the named repositories."""
        return then(OWNER, text("/"), _not(self.repositories, REPOSITORY))

    @cached_property
    def own_owner_id(self) -> Language:
        """The named owners' ids; any, if none is named."""
        return _either(self.owner_ids, DIGITS)

    @cached_property
    def other_owner_id(self) -> Language:
        """Ids of owners that are not named."""
        return _beyond(self.owner_ids, DIGITS)

    @cached_property
    def own_id(self) -> Language:
        """The named repositories' ids; any, if none is named."""
        return _either(self.ids, DIGITS)

    @cached_property
    def other_id(self) -> Language:
        """Ids of repositories that are not named."""
        return _beyond(self.ids, DIGITS)

    @cached_property
    def other_ref(self) -> Language:
        """Refs that are not named."""
        return _beyond(self.refs, CLAIMS["ref"])

    @cached_property
    def other_environment(self) -> Language:
        """Environments that are not named."""
        return _beyond(self.environments, CLAIMS["environment"])

    @cached_property
    def own_environment(self) -> Language:
        """The named environments; any, if none is named."""
        return _either(self.environments, CLAIMS["environment"])

    @cached_property
    def other_workflow(self) -> Language:
        """Workflows that are not named."""
        return _beyond(self.workflows, CLAIMS["job_workflow_ref"])

    @cached_property
    def strange_workflow(self) -> Language:
        """Workflows that are not named and begin in no way that is."""
        patterns = [pattern(f"{value}*") for value in sorted(self.beginnings)]
        return (
            both(self.other_workflow, outside(either(*patterns)))
            if patterns
            else (self.other_workflow)
        )


def _of(names: frozenset[str], grammar: Language) -> Language:
    if not names:
        return grammar
    return both(grammar, either(*(text(name, ignore_case=True) for name in sorted(names))))


def _not(names: frozenset[str], grammar: Language) -> Language:
    named = either(*(text(name, ignore_case=True) for name in sorted(names)))
    return both(grammar, outside(named)) if names else grammar


def _either(values: frozenset[str], grammar: Language) -> Language:
    return both(grammar, either(*map(text, sorted(values)))) if values else grammar


def _beyond(values: frozenset[str], grammar: Language) -> Language:
    return both(grammar, outside(either(*map(text, sorted(values))))) if values else grammar


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
