"""Judges the evidence of a flow: the ledger, the escalation search and the trust policies."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.console import UserError
from scripts.iam.account.decision_log import Record
from scripts.iam.escalation import read_designed, search, undesigned
from scripts.iam.escalation.designed import modelled_steps
from scripts.iam.ledger import Review, in_scope, measure, proposal, read_reviewed
from scripts.iam.trust_lint import Setting, lint_all
from scripts.iam.trust_lint.sources import read_account

if TYPE_CHECKING:
    from scripts.local_run.whole_flow import Evidence


def judge(evidence: Evidence, environment: str, *, with_diff: bool = True) -> Review:
    """Measure the platform's roles of one environment. Raises UserError if there are none."""
    started = time.perf_counter()
    inventory, records = evidence.inventory, evidence.records
    roles = in_scope(inventory.members, environment)
    if not roles:
        raise UserError(
            f"The local account has no roles of {environment!r}",
            why="Terraform has not applied it",
            fix="keyless up, or keyless least-privilege without --so-far and --log",
        )
    reviewed = read_reviewed(evidence.account, evidence.region, environment)
    measured = measure(records, roles, reviewed)
    found = search(inventory)
    beyond = undesigned(found, read_designed())
    trusts = lint_all(list(read_account(inventory.members, Setting("")).documents))
    trust = [finding for finding in trusts.findings if finding.severity != "note"]
    pairs = zip(sorted(roles, key=lambda role: role.name), measured.ledgers, strict=True)
    diff = "\n".join(filter(None, (proposal(*pair) for pair in pairs))) if with_diff else ""
    return Review(
        measured,
        trust,
        [path for path in found if path not in beyond],
        beyond,
        len(modelled_steps()),
        log_seconds(records),
        time.perf_counter() - started,
        diff,
        inventory.unread,
        evidence.span,
    )


def log_seconds(records: Sequence[Record]) -> float:
    """How long the local cloud's own log takes for these decisions: what it costs their flow."""
    from scripts.localcloud.access.decisions import DecisionLog

    with tempfile.TemporaryDirectory() as folder:
        log = DecisionLog(Path(folder) / "decisions.jsonl")
        started = time.perf_counter()
        for record in records:
            log.append(record)
        log.flush()
        taken = time.perf_counter() - started
        log.stop()
    return taken
