"""Why a request in the decision log was allowed, and what would have denied it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from scripts.iam.account.decision_log import Record
from scripts.iam.account.identities import Identities
from scripts.iam.denial.denials import ResourcePolicy, asked, without
from scripts.iam.engine import (
    Explanation,
    Held,
    PolicySet,
    Request,
    Unsupported,
    evaluate,
    explain,
)

# Another value of a key is tried only where the operator compares text.
_TEXT = ("StringEquals", "StringLike", "StringEqualsIgnoreCase", "ArnEquals", "ArnLike")


@dataclass(frozen=True)
class Tried:
    """A change of the policies or of the request, and the engine's answer to it."""

    what: str
    allowed: bool
    answer: str


@dataclass(frozen=True)
class Allowance:
    """An allowed permission explained. `tried` is empty where the policies now deny it."""

    record: Record
    explanation: Explanation
    tried: tuple[Tried, ...] = ()
    notes: tuple[str, ...] = ()


def explain_allowed(
    record: Record, members: Identities, resource_policy: ResourcePolicy
) -> Allowance:
    """Explain one allowed permission by the policies as they are now."""
    request, policies, _ = asked(record, members, resource_policy)
    found = explain(request, policies)
    if found.unsupported:
        return Allowance(record, found, notes=(found.unsupported,))
    if found.decision is None or not found.decision.allowed:
        return Allowance(record, found, notes=("the policies as they are now would deny it",))
    if found.decision.statement is None:
        return Allowance(record, found, notes=("the account's root user needs no policy",))
    return Allowance(record, found, tuple(_try(request, policies, found)))


def _try(request: Request, policies: PolicySet, found: Explanation) -> Iterator[Tried]:
    """Take away the Allows that apply, one by one and together; then what their conditions read."""
    allows = [one for one in found.considered if one.matched and one.effect == "Allow"]
    for one in allows:
        place = f"without statement {one.statement} of {one.policy}"
        yield _answered(place, request, without(policies, [(one.policy, one.statement)]))
    if len(allows) > 1:
        names = [(one.policy, one.statement) for one in allows]
        yield _answered("without any of these statements", request, without(policies, names))
    for held in dict.fromkeys(held for one in allows for held in one.held):
        yield _answered(f"if the request had no {held.key}", _with(request, held.key, ()), policies)
        if (other := _another(held)) is not None:
            what = f"if {held.key} were {other[0]!r}"
            yield _answered(what, _with(request, held.key, other), policies)


def _another(held: Held) -> tuple[str, ...] | None:
    """Another value of a condition's key; None where the operator does not compare text."""
    operator = held.operator.rpartition(":")[2].removesuffix("IfExists")
    if operator == "Bool" and held.actual:
        return ("false" if held.actual[0].lower() == "true" else "true",)
    return ("something-else",) if operator in _TEXT else None


def _with(request: Request, key: str, values: tuple[str, ...]) -> Request:
    kept = {name: had for name, had in request.context.items() if name.lower() != key.lower()}
    return replace(request, context=kept | ({key: values} if values else {}))


def _answered(what: str, request: Request, policies: PolicySet) -> Tried:
    try:
        decision = evaluate(request, policies)
    except Unsupported as error:
        return Tried(what, False, f"not judged: {error}")
    if decision.allowed:
        by = f", by statement {decision.statement} of {decision.policy}"
        return Tried(what, True, f"still allowed{by if decision.statement else ''}")
    by = f", by statement {decision.statement} of {decision.policy}" if decision.statement else ""
    return Tried(what, False, f"denied: {decision.reason}{by}")
