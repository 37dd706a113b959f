"""Proposes tightened policies: each statement without what was not used, as a Terraform diff."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator

from scripts.iam.account.identities import Identity
from scripts.iam.engine.documents import Statement
from scripts.iam.ledger.grants import Grant
from scripts.iam.ledger.measure import Ledger


def proposal(role: Identity, ledger: Ledger) -> str:
    """A unified diff of the role's statements in Terraform's language, "" if nothing is to change.

    A statement whose pairs of action and resource were used in part is split where it must be, so
    that the proposal allows the used pairs and no other.
    """
    unused = {grant.key for grant in ledger.unused}
    kept: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for grant in (*ledger.used, *(grant for grant, _ in ledger.documented)):
        kept[grant.policy, grant.statement].append(grant)
    lines: list[str] = []
    for policy in role.identity:
        for statement in policy.statements:
            place = (policy.name, statement.label)
            if not any(key[1:3] == place for key in unused):
                continue
            actions, resources = statement.actions or (), statement.resources or ()
            old = list(_block(statement, sorted(actions), sorted(resources)))
            new = [line for part in _split(statement, kept[place]) for line in part]
            name = policy.name.rpartition("/")[2]
            lines += difflib.unified_diff(
                old,
                new,
                fromfile=f"{ledger.role}/{name}/{statement.label}",
                tofile="tightened",
                lineterm="",
                n=len(old),
            )
    return "\n".join(lines)


def _split(statement: Statement, kept: Iterable[Grant]) -> Iterator[list[str]]:
    """Blocks that allow exactly these pairs: actions that share their resources stand together."""
    resources: dict[str, list[str]] = defaultdict(list)
    for grant in kept:
        resources[grant.action].append(grant.resource)
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for action, own in resources.items():
        together[tuple(sorted(own))].append(action)
    for number, (names, actions) in enumerate(sorted(together.items())):
        suffix = "" if number == 0 else str(number + 1)
        yield list(_block(statement, sorted(actions), names, suffix))


def _block(
    statement: Statement, actions: Iterable[str], resources: Iterable[str], suffix: str = ""
) -> Iterator[str]:
    yield "statement {"
    if statement.sid:
        yield f'  sid = "{statement.sid}{suffix}"'
    for name, values in (
        ("actions" if statement.actions is not None else "not_actions", actions),
        ("resources" if statement.resources is not None else "not_resources", resources),
    ):
        yield f"  {name} = ["
        yield from (f'    "{_escaped(value)}",' for value in values)
        yield "  ]"
    for condition in statement.conditions:
        values = ", ".join(f'"{_escaped(value)}"' for value in condition.values)
        yield "  condition {"
        yield f'    test     = "{condition.operator}"'
        yield f'    variable = "{condition.key}"'
        yield f"    values   = [{values}]"
        yield "  }"
    yield "}"


def _escaped(value: str) -> str:
    return value.replace("${", "$${")
