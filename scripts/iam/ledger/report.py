"""The ledger for people and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scripts.iam.escalation import Path, read_designed
from scripts.iam.ledger.grants import Grant
from scripts.iam.ledger.measure import Ledger, Measured
from scripts.iam.trust_lint import Finding

_SHOWN = 12
_WIDTH = 100

Span = Literal["whole flow", "a log", "so far"]
_SPANS: Mapping[Span, str] = {
    "whole flow": "from an empty account to a destroyed platform",
    "a log": "of a decision log",
    "so far": "of a flow that goes on",
}


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
    span: Span = "whole flow"

    @property
    def clean(self) -> bool:
        """Whether roles, trust policies and escalation paths are as they should be."""
        return not any(self.counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """What is not as it should be, by kind. What a flow that goes on has not used yet may
        still be used."""
        ledgers = self.measured.ledgers
        return {
            "unused": 0 if self.span == "so far" else self.measured.unused,
            "denied": sum(len(ledger.denied) for ledger in ledgers),
            "too wide": sum(len(ledger.weak) for ledger in ledgers),
            "outside a boundary": sum(len(ledger.outside) for ledger in ledgers),
            "weak trust": len(self.trust),
            "paths beyond the designed": len(self.undesigned),
        }

    @property
    def cost(self) -> float:
        """The log's cost as a share of the flow's time."""
        return self.cost_seconds / self.measured.seconds if self.measured.seconds else 0.0


def as_text(review: Review) -> str:
    """The verdict, a table, what is wrong, the documented set with its pages, and the paths."""
    measured = review.measured
    lines = [
        f"Least privilege, measured on the local cloud: {_verdict(review)}",
        f"{measured.decisions} decisions over {measured.seconds:.0f} s, {_SPANS[review.span]}.",
        "A right is one action on one resource of one statement.",
        "",
        *_table(measured.ledgers),
        *_by_others(measured.ledgers),
        "",
    ]
    unused = "not used yet" if review.span == "so far" else "unused"
    problems = [line for ledger in measured.ledgers for line in _problems(ledger, unused)]
    problems += [f"trust: {one.origin}: {one.message} [{one.rule}]" for one in review.trust]
    if measured.unused and review.span != "whole flow":
        problems.append(
            "What only the destruction needs is not used before it; without --so-far and --log the "
            "whole flow is measured."
        )
    lines += [*_wrapped(problems), *([""] if problems else [])]
    lines += [*_documented(measured.ledgers), "", *_paths(review), ""]
    lines += _wrapped(
        [
            f"Trust policies with a finding of lint-trust: {len(review.trust)}.",
            "Denied as they must be, probes: "
            f"{sum(ledger.denied_probes for ledger in measured.ledgers)}.",
            f"Cost: the log takes {review.cost_seconds:.2f} s of these {measured.seconds:.0f} s "
            f"({review.cost:.2%}), this analysis {review.analysis_seconds:.1f} s after them.",
        ]
    )
    if review.diff:
        lines += ["", "Tightened policies:", review.diff]
    return "\n".join(lines)


def _verdict(review: Review) -> str:
    if not review.clean:
        found = ", ".join(f"{n} {what}" for what, n in review.counts.items() if n)
        return f"NOT clean ({found})"
    if review.span == "so far" and review.measured.unused:
        return f"clean so far (not used yet: {review.measured.unused})"
    return "clean"


def _wrapped(lines: Iterable[str], first: str = "", later: str = "  ") -> list[str]:
    """Lines of at most _WIDTH columns; an ARN or address is never broken."""
    return [
        piece
        for line in lines
        for piece in textwrap.wrap(
            line,
            _WIDTH,
            initial_indent=first,
            subsequent_indent=later,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


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


def _by_others(ledgers: Sequence[Ledger]) -> list[str]:
    counts = [f"{_short(one.role)} {one.by_others}" for one in ledgers if one.by_others]
    if not counts:
        return []
    named = ", ".join(counts)
    return _wrapped([f"Used by another role alone, through a policy that both have: {named}."])


def _problems(ledger: Ledger, unused_is: str) -> list[str]:
    unused: dict[tuple[str, str], list[str]] = {}
    for grant in ledger.unused:
        unused.setdefault((grant.action, grant.statement), []).append(grant.resource)
    lines = [
        f"{unused_is}: {ledger.role}: {action} on {_some(resources)} ({statement})"
        for (action, statement), resources in [*unused.items()][:_SHOWN]
    ]
    if len(unused) > _SHOWN:
        lines.append(
            f"{unused_is}: {ledger.role}: and {len(unused) - _SHOWN} more actions (--json)"
        )
    denied = Counter((one.action, one.resource, one.reason) for one in ledger.denied)
    lines += [
        f"denied: {ledger.role}: {action} on {resource}: {reason}"
        + (f" ({count} times)" if count > 1 else "")
        for (action, resource, reason), count in denied.items()
    ]
    lines += [f"too wide: {_named(weak.grant)}: {weak.why}" for weak in ledger.weak]
    return lines + [f"outside: {ledger.role}: {one}" for one in ledger.outside]


def _some(resources: Sequence[str]) -> str:
    more = f" and {len(resources) - 1} more" if len(resources) > 1 else ""
    return resources[0] + more


def _named(grant: Grant) -> str:
    return f"{grant.role}: {grant.action} on {grant.resource} ({grant.statement})"


def _documented(ledgers: Sequence[Ledger]) -> list[str]:
    entries = Counter(entry for ledger in ledgers for _, entry in ledger.documented)
    holders = {
        entry: [
            _short(one.role) for one in ledgers if entry in [known for _, known in one.documented]
        ]
        for entry in entries
    }
    lines = _wrapped(
        [
            f"Documented by AWS, not exercised locally: {sum(entries.values())} rights, for "
            f"{len(entries)} reviewed reasons (--json names each right):"
        ]
    )
    for entry, count in entries.most_common():
        lines += _wrapped([f"{', '.join(holders[entry])}: {entry.why}"], f"{count:5}  ", " " * 7)
        lines.append(f"{'':7}{page(entry.page)}")
    return lines


def _short(role: str) -> str:
    """The role's name without the prefix that all of an environment's share."""
    return role.rpartition("/")[2].split("-", 2)[-1]


def page(text: str) -> str:
    """The whole address of a page."""
    return text if text.startswith("https:") else f"https://docs.aws.amazon.com/{text}"


def _paths(review: Review) -> list[str]:
    lines = [
        f"Escalation: {len(review.undesigned)} paths beyond the designed, by {review.steps} "
        "modelled steps (scripts/iam/escalation/steps.yaml)."
    ]
    lines += [f"  PATH {_path(path)}" for path in review.undesigned]
    lines += [f"  not searched: {one}" for one in review.unread]
    lines.append(f"Designed paths: {len(review.designed)}, each reviewed (designed.yaml):")
    known = read_designed()
    groups: dict[tuple[str, str, str], list[str]] = {}
    for path in review.designed:
        why = next((entry.why for entry in known if entry.covers(path)), "")
        steps = " then ".join(step.rule for step in path.steps)
        groups.setdefault((_short(path.start), steps, why), []).append(_end(path.end))
    said = ""
    for (start, steps, why), ends in sorted(groups.items(), key=lambda item: item[0][::2]):
        lines += _wrapped([f"{start}: {why}"], "  ", "    ") if f"{start}: {why}" != said else []
        said = f"{start}: {why}"
        lines += _wrapped([f"{steps}: {', '.join(sorted(ends))}"], "    ", "      ")
    return lines


def _end(end: str) -> str:
    """Where a path leads, short: a role's name, or what is done with which resource."""
    verb, _, arn = end.rpartition(" ")
    name = _short(arn) if ":role/" in arn else arn.split(":", 5)[-1]
    return f"{verb} {name}".strip()


def _path(path: Path) -> str:
    steps = " then ".join(step.rule for step in path.steps)
    return f"{path.start.rpartition('/')[2]} -> {path.end} by {steps}"


def as_json(review: Review) -> str:
    """The same, complete."""
    measured = review.measured
    return json.dumps(
        {
            "measured": "on the local cloud",
            "whole_flow": review.span == "whole flow",
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
            {
                "request_id": one.request_id,
                "action": one.action,
                "resource": one.resource,
                "reason": one.reason,
            }
            for one in ledger.denied
        ],
        "too_wide": [_grant(weak.grant) | {"why": weak.why} for weak in ledger.weak],
        "outside_boundary": ledger.outside,
        "denied_probes": ledger.denied_probes,
        "used_by_others_alone": ledger.by_others,
    }


def _grant(grant: Grant) -> dict[str, str]:
    return {
        "policy": grant.policy,
        "statement": grant.statement,
        "action": grant.action,
        "resource": grant.resource,
    }
