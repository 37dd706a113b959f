"""The ledger for people and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.iam.escalation import Path
from scripts.iam.ledger.grants import Grant
from scripts.iam.ledger.measure import Ledger, Measured
from scripts.iam.trust_lint import Finding

_SHOWN = 12


@dataclass(frozen=True)
class Review:
    """All that `keyless least-privilege` found. `cost` is the log's share of the flow's time."""

    measured: Measured
    trust: Sequence[Finding]
    designed: Sequence[Path]
    undesigned: Sequence[Path]
    steps: int
    cost_seconds: float
    analysis_seconds: float
    diff: str = ""
    unread: Sequence[str] = field(default=())

    @property
    def clean(self) -> bool:
        return self.measured.clean and not self.trust and not self.undesigned

    @property
    def cost(self) -> float:
        return self.cost_seconds / self.measured.seconds if self.measured.seconds else 0.0


def as_text(review: Review) -> str:
    """A table, what is wrong, the documented set with its pages, and the paths."""
    measured = review.measured
    lines = [
        f"Measured on the local cloud: {measured.decisions} decisions over "
        f"{measured.seconds:.0f} s.",
        "A right is one action on one resource of one statement.",
        "",
        *_table(measured.ledgers),
        "",
    ]
    for ledger in measured.ledgers:
        lines += _problems(ledger)
    lines += [f"trust: {one.origin}: {one.message} [{one.rule}]" for one in review.trust]
    lines += [*_documented(measured.ledgers), "", *_paths(review), ""]
    lines += [f"not searched: {one}" for one in review.unread]
    lines.append(
        f"cost: writing the log took {review.cost_seconds:.2f} s of {measured.seconds:.0f} s "
        f"({review.cost:.2%}); this analysis {review.analysis_seconds:.1f} s"
    )
    if review.diff:
        lines += ["", "tightened policies:", review.diff]
    lines += ["", "clean" if review.clean else "NOT clean: see above"]
    return "\n".join(lines)


def _table(ledgers: Sequence[Ledger]) -> list[str]:
    heads = ("role", "used", "documented", "unused", "denied", "too wide", "outside boundary")
    rows = [
        (
            ledger.role,
            *map(str, (len(ledger.used), len(ledger.documented), len(ledger.unused),
                       len(ledger.denied), len(ledger.weak), len(ledger.outside))),
        )
        for ledger in ledgers
    ]  # fmt: skip
    total = ("all", *(str(sum(int(row[column]) for row in rows)) for column in range(1, 7)))
    widths = [max(len(row[i]) for row in (heads, *rows, total)) for i in range(7)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows, total)
    ]


def _problems(ledger: Ledger) -> list[str]:
    lines = [f"unused: {_named(grant)}" for grant in ledger.unused[:_SHOWN]]
    if len(ledger.unused) > _SHOWN:
        lines.append(f"unused: {ledger.role}: and {len(ledger.unused) - _SHOWN} more (--json)")
    denied = Counter((one["action"], one["resource"], one["reason"]) for one in ledger.denied)
    lines += [
        f"denied: {ledger.role}: {action} on {resource}: {reason}"
        + (f" ({count} times)" if count > 1 else "")
        for (action, resource, reason), count in denied.items()
    ]
    lines += [f"too wide: {_named(weak.grant)}: {weak.why}" for weak in ledger.weak]
    return lines + [f"outside: {ledger.role}: {one}" for one in ledger.outside]


def _named(grant: Grant) -> str:
    return f"{grant.role}: {grant.action} on {grant.resource} ({grant.statement})"


def _documented(ledgers: Sequence[Ledger]) -> list[str]:
    entries = Counter(entry for ledger in ledgers for _, entry in ledger.documented)
    attempts = sum(ledger.attempts for ledger in ledgers)
    lines = [
        f"documented, not exercised locally: {sum(entries.values())} rights by {len(entries)} "
        "reviewed entries:"
    ]
    lines += [f"  {count:4} {entry.why} ({page(entry.page)})" for entry, count in entries.items()]
    lines.append(f"deliberate attempts that were denied, as they must be: {attempts}")
    return lines


def page(text: str) -> str:
    """The whole address of a page."""
    return text if text.startswith("https:") else f"https://docs.aws.amazon.com/{text}"


def _paths(review: Review) -> list[str]:
    lines = [
        f"escalation: {len(review.undesigned)} paths beyond the designed ones, by "
        f"{review.steps} modelled steps (scripts/iam/escalation/steps.yaml)"
    ]
    lines += [f"  PATH {_path(path)}" for path in review.undesigned]
    lines.append(f"designed paths: {len(review.designed)}")
    return lines + [f"  {_path(path)}" for path in review.designed]


def _path(path: Path) -> str:
    steps = " then ".join(step.rule for step in path.steps)
    return f"{path.start.rpartition('/')[2]} -> {path.end} by {steps}"


def as_json(review: Review) -> str:
    """The same, complete."""
    measured = review.measured
    return json.dumps(
        {
            "measured": "on the local cloud",
            "decisions": measured.decisions,
            "seconds": round(measured.seconds, 3),
            "clean": review.clean,
            "roles": [_ledger(ledger) for ledger in measured.ledgers],
            "trust": [one.as_dict() for one in review.trust],
            "paths": {
                "modelled_steps": review.steps,
                "undesigned": [_path(path) for path in review.undesigned],
                "designed": [_path(path) for path in review.designed],
                "not_searched": list(review.unread),
            },
            "cost": {
                "log_seconds": round(review.cost_seconds, 4),
                "share_of_flow": round(review.cost, 6),
                "analysis_seconds": round(review.analysis_seconds, 3),
            },
            "diff": review.diff,
        },
        indent=2,
    )


def _ledger(ledger: Ledger) -> dict[str, Any]:
    return {
        "role": ledger.role,
        "used": [_grant(grant) for grant in ledger.used],
        "documented": [
            _grant(grant) | {"why": entry.why, "page": page(entry.page)}
            for grant, entry in ledger.documented
        ],
        "unused": [_grant(grant) for grant in ledger.unused],
        "denied": [
            {name: one[name] for name in ("request_id", "action", "resource", "reason")}
            for one in ledger.denied
        ],
        "too_wide": [_grant(weak.grant) | {"why": weak.why} for weak in ledger.weak],
        "outside_boundary": ledger.outside,
        "deliberate_attempts": ledger.attempts,
    }


def _grant(grant: Grant) -> dict[str, str]:
    return {
        "policy": grant.policy,
        "statement": grant.statement,
        "action": grant.action,
        "resource": grant.resource,
    }
