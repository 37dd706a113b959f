"""What the rollouts' tests share: a policy of each strategy, and evidence for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.rollouts.policy import TrafficPolicy

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
MakePolicy = Callable[..., TrafficPolicy]


@pytest.fixture
def make_policy() -> MakePolicy:
    """A running canary, with some fields changed: make_policy(share=0.5)."""

    def make(**changes: Any) -> TrafficPolicy:
        raw: dict[str, Any] = {
            "model": "small",
            "version": 1,
            "experiment": "e1",
            "phase": "running",
            "strategy": {
                "kind": "canary",
                "steps": [
                    {"share": share, "hold_seconds": 60, "min_requests": 50}
                    for share in (0.05, 0.5, 1.0)
                ],
            },
            "challenger": {"model_version": "2", "run_id": "run", "files": {}},
            "champion_sequence": 1,
            "champion_version": "1",
            "loss": "error",
            "share": 0.05,
            "started_at": START,
            "progress": {"since": START},
            "changed_at": START,
            "changed_by": "somebody",
            "why": "test",
        }
        return TrafficPolicy.model_validate({**raw, **changes})

    return make
