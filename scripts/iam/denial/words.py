"""An explained decision in words: the statement that decided, and why the others did not."""

from __future__ import annotations

from scripts.iam.account.decision_log import Record
from scripts.iam.denial.deny import reason
from scripts.iam.engine import Considered, Failure


def decision(record: Record) -> str:
    """Say what decided: the statement, or which kind of policy had no Allow."""
    if record.statement:
        return f"{record.reason}: statement {record.statement} of {record.policy}"
    return f"{record.reason}" + (f" ({record.policy})" if record.policy else "")


def considered(found: tuple[Considered, ...], everything: bool) -> list[str]:
    """A line a statement; those about other actions are only counted."""
    near = [one for one in found if everything or not _elsewhere(one)]
    lines = [
        f"{one.effect:5} {one.kind:8} {one.policy} / {one.statement}: "
        + (applies(one) if one.matched else "; ".join(map(describe, one.failures)))
        for one in near
    ]
    if away := len(found) - len(near):
        counted = f"{away} statement{'s' * (away > 1)}"
        lines.append(
            f"and {counted} about other actions" if near else f"{counted}, none about this action"
        )
    return lines


def applies(one: Considered) -> str:
    """Say that a statement applies, and of a Deny, or where that is not sure, by what."""
    sure = all(held.known for held in one.held)
    if not one.held or (sure and one.effect == "Allow"):
        return "applies"
    return ("applies: " if sure else "may apply: ") + "; ".join(map(reason, one.held))


def _elsewhere(one: Considered) -> bool:
    return any(failure.element in ("Action", "NotAction") for failure in one.failures)


def describe(failure: Failure) -> str:
    """Say what one element wanted, and what the request had."""
    has = ", ".join(failure.actual) or "nothing"
    wanted = " or ".join(value or '""' for value in failure.wanted)
    name = f"{failure.key} {failure.operator}" if failure.key else failure.element
    return failure.unsupported or f"{name} wants {wanted}, not {has}"
