"""What `keyless up` did, as one object that prints as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.tracking.results import AnyResult, PredictResult, PromoteResult
from scripts.console import Phases, duration
from scripts.iam.account.decision_log import Record, read_log
from scripts.local_run.attempts import Attempt
from scripts.stack.stack import Applied


@dataclass
class Summary:
    """The result of one run; durations in seconds."""

    bootstrap: Applied = field(default_factory=Applied)
    platform: Applied = field(default_factory=Applied)
    results: dict[str, AnyResult] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    tracking_uri: str = ""
    allowed: int = 0
    denied: list[Record] = field(default_factory=list)
    applies_seconds: float = 0.0
    after_apply_seconds: float = 0.0

    def count_decisions(self, log: Path, offset: int) -> None:
        """Count what the decision log holds from byte `offset` on."""
        records = read_log(log, offset)
        self.denied = [record for record in records if not record.allowed]
        self.allowed = len(records) - len(self.denied)

    @property
    def unexpected(self) -> Counter[tuple[str, str]]:
        """Denied (role, action) pairs that were no forbidden attempt, with their counts."""
        return Counter((str(one.role), one.action) for one in self.denied if not one.probe)

    def facts(self) -> list[tuple[str, str]]:
        """Label and value of each line of the closing table."""
        made = self.bootstrap.added + self.platform.added
        changed = self.bootstrap.changed + self.platform.changed
        rows = [
            ("resources", f"{made} created, {changed} changed"),
            ("requests", f"{self.allowed} allowed, {len(self.denied)} denied"),
        ]
        if self.unexpected:
            denied = ", ".join(f"{role}: {action}" for role, action in self.unexpected)
            rows.append(("", f"denied without being an attempt: {denied}"))
        for result in self.results.values():
            if isinstance(result, PromoteResult):
                rows.append(("champion", _champion(result)))
            elif isinstance(result, PredictResult):
                rows.append(("predictions", f"{result.rows} rows in {result.output}"))
        if self.tracking_uri:
            rows.append(("MLflow UI", self.tracking_uri))
        rows.append(
            (
                "time",
                f"{duration(self.applies_seconds)} in the two applies, "
                f"{duration(self.after_apply_seconds)} after the last one",
            )
        )
        return rows

    def as_dict(self, phases: Phases) -> dict[str, Any]:
        """Everything, for --json and the benchmark."""
        return {
            "phases": [
                {
                    "name": phase.name,
                    "role": phase.role,
                    "start_seconds": round(phase.started - phases.started, 3),
                    "seconds": round(phase.seconds, 3),
                    "outcome": phase.outcome,
                }
                for phase in phases.phases
            ],
            "seconds": round(phases.seconds, 3),
            "applies_seconds": round(self.applies_seconds, 3),
            "after_apply_seconds": round(self.after_apply_seconds, 3),
            "bootstrap": asdict(self.bootstrap),
            "platform": asdict(self.platform),
            "results": {name: result.values() for name, result in self.results.items()},
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "allowed": self.allowed,
            "denied": len(self.denied),
            "unexpected": [
                {"role": role, "action": action, "count": count}
                for (role, action), count in self.unexpected.items()
            ],
            "tracking_uri": self.tracking_uri,
        }


def _champion(promoted: PromoteResult) -> str:
    value = promoted.holdout_value
    measured = f", {promoted.metric} {value:.4f} on the holdout" if value is not None else ""
    return f"version {promoted.champion_version}{measured} ({promoted.sentence})"
