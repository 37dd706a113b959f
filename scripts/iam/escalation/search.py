"""The search: from every identity, everything that it can become, read or write."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from scripts.iam.account.identities import Identity
from scripts.iam.escalation.edges import edges
from scripts.iam.escalation.inventory import ADMINISTRATOR, Inventory
from scripts.iam.escalation.view import Actor, Step, View


@dataclass(frozen=True)
class Path:
    """How an identity reaches an end, in the fewest steps."""

    start: str
    end: str
    steps: tuple[Step, ...]


def paths(inventory: Inventory, start: Identity) -> list[Path]:
    """The shortest path to everything that an identity reaches beyond its own name."""
    begin = Actor(start.arn)
    seen: dict[str, tuple[Step, ...]] = {}
    todo: deque[tuple[Actor, tuple[Step, ...]]] = deque([(begin, ())])
    visited = {begin}
    while todo:
        actor, way = todo.popleft()
        member = inventory.members.members.get(actor.arn)
        if member is None:
            continue
        view = View(inventory, actor, member)
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


def search(inventory: Inventory) -> list[Path]:
    """Every path of every identity that is not an administrator already."""
    return list(_all(inventory))


def _all(inventory: Inventory) -> Iterator[Path]:
    for member in inventory.members.members.values():
        if not is_administrator(member):
            yield from paths(inventory, member)
