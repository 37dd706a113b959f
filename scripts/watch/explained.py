"""One decision explained: every statement, the one that decided, and what would change it."""

from __future__ import annotations

from typing import Any

from scripts.aws.sealed import client
from scripts.iam.account.decision_log import PROBE_AGENT, Record
from scripts.iam.account.identities import read_identities
from scripts.iam.account.resource_policies import ResourcePolicies
from scripts.iam.denial.allowed import explain_allowed
from scripts.iam.denial.denials import Denial, explain_denial
from scripts.iam.denial.words import applies, decision, describe
from scripts.iam.engine import Considered, Explanation
from scripts.localcloud.home import Cloud, administrator


def explained(cloud: Cloud, record: Record) -> dict[str, Any]:
    """Explain a decision by the policies as they are now, as the account's administrator."""

    def ask(service: str) -> Any:
        # Marked as a probe: looking is no work of the platform.
        return client(cloud, administrator(cloud.home), service, user_agent_extra=PROBE_AGENT)

    members, policies = read_identities(ask("iam")), ResourcePolicies(ask)
    if record.allowed:
        allowance = explain_allowed(record, members, policies)
        return _page(record, allowance.explanation, allowance.notes) | {
            "title": "what would deny it",
            "changes": [{"what": one.what, "answer": one.answer} for one in allowance.tried],
        }
    denial = explain_denial(record, members, policies)
    return _page(record, denial.explanation, denial.notes) | {
        "title": "smallest change that would allow it",
        "changes": _changes(denial),
    }


def _page(
    record: Record, explanation: Explanation | None, notes: tuple[str, ...]
) -> dict[str, Any]:
    considered = explanation.considered if explanation else ()
    return {
        "decided": decision(record),
        "keys": {name: list(values) for name, values in sorted(record.keys.items())},
        "considered": [_statement(one) for one in considered],
        "notes": list(notes),
    }


def _statement(one: Considered) -> dict[str, Any]:
    return {
        "policy": one.policy,
        "kind": one.kind,
        "statement": one.statement,
        "effect": one.effect,
        "applies": one.matched,
        "near": not any(failure.element in ("Action", "NotAction") for failure in one.failures),
        "why": applies(one) if one.matched else "; ".join(map(describe, one.failures)),
    }


def _changes(denial: Denial) -> list[dict[str, Any]]:
    return [
        {
            "what": f"{change.policy} ({change.kind}): {change.edit}",
            "statement": change.statement,
            "answer": "; ".join(f"warning: {warning}" for warning in change.warnings),
        }
        for change in denial.changes
    ]
