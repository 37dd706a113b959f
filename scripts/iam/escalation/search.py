"""The search: from every identity, everything that it can become, read or write."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from scripts.iam.account.identities import Identity
from scripts.iam.engine.documents import Policy, parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal
from scripts.iam.escalation.estate import ADMINISTRATOR, Estate

_EVERYTHING = parse_policy(
    {
        "Version": "2012-10-17",
        "Statement": {"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"},
    },
    name="everything",
    kind="identity",
)


@dataclass(frozen=True)
class Actor:
    """An identity that the caller acts as; `rewritten` once it may write its own policies,
    `unbounded` once its boundary is gone."""

    arn: str
    rewritten: bool = False
    unbounded: bool = False

    @property
    def label(self) -> str:
        extra = [
            word
            for word, there in (
                ("any policy", self.rewritten),
                ("no boundary", self.unbounded),
            )
            if there
        ]
        return self.arn + (f" ({', '.join(extra)})" if extra else "")


@dataclass(frozen=True)
class Step:
    """One step of a path: the rule of steps.yaml, from where to where, and what allows it."""

    rule: str
    start: str
    end: str
    detail: str


@dataclass(frozen=True)
class Path:
    """How an identity reaches an end, in the fewest steps."""

    start: str
    end: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class View:
    """The account as one actor sees it: who it is and which policies decide its requests."""

    estate: Estate
    actor: Actor
    member: Identity

    @cached_property
    def principal(self) -> Principal:
        return self.member.principal

    @cached_property
    def policies(self) -> PolicySet:
        return PolicySet(
            identity=(_EVERYTHING,) if self.actor.rewritten else self.member.identity,
            boundary=None if self.actor.unbounded else self.member.boundary,
        )

    def with_resource(self, policy: Policy | None) -> PolicySet:
        """The policies beside a resource's own."""
        if policy is None:
            return self.policies
        return replace(self.policies, resource=(policy,))

    @property
    def is_administrator(self) -> bool:
        return self.actor.rewritten and self.policies.boundary is None


Edge = tuple[Step, Actor | None]


def paths(estate: Estate, start: Identity) -> list[Path]:
    """The shortest path to everything that an identity reaches beyond its own name."""
    from scripts.iam.escalation.edges import edges

    begin = Actor(start.arn)
    seen: dict[str, tuple[Step, ...]] = {}
    todo: deque[tuple[Actor, tuple[Step, ...]]] = deque([(begin, ())])
    visited = {begin}
    while todo:
        actor, way = todo.popleft()
        member = estate.members.members.get(actor.arn)
        if member is None:
            continue
        view = View(estate, actor, member)
        if view.is_administrator:
            seen.setdefault(ADMINISTRATOR, way)
            continue
        for step, following in edges(view):
            if step.end != start.arn:
                seen.setdefault(step.end, (*way, step))
            if following is not None and following not in visited:
                visited.add(following)
                todo.append((following, (*way, step)))
    return [Path(start.arn, end, steps) for end, steps in sorted(seen.items())]


def is_administrator(member: Identity) -> bool:
    """Whether an identity has every right from the start, so that it can win nothing."""
    if member.boundary is not None:
        return False
    return any(
        statement.effect == "Allow"
        and statement.actions is not None
        and {"*", "*:*"} & set(statement.actions)
        and statement.resources == ("*",)
        and not statement.conditions
        for policy in member.identity
        for statement in policy.statements
    )


def search(estate: Estate) -> list[Path]:
    """Every path of every identity that is not an administrator already."""
    return list(_all(estate))


def _all(estate: Estate) -> Iterator[Path]:
    for member in estate.members.members.values():
        if not is_administrator(member):
            yield from paths(estate, member)
