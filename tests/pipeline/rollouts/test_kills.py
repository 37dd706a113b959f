"""A controller that is killed at any moment is followed by another, and nothing happens twice."""

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from pipeline.rollouts.control.controller import Controller
from pipeline.rollouts.control.lease import Lease
from pipeline.rollouts.evidence import Evidence, Verdict
from pipeline.rollouts.policies import Policies
from pipeline.rollouts.policy import Set, TrafficPolicy
from pipeline.storage import FolderStore, Stored

from .conftest import MakePolicy
from .world import Behaviour, World

STEPS = [{"share": share, "hold_seconds": 10, "min_requests": 50} for share in (0.2, 0.6, 1.0)]
GREEN = {"kind": "blue_green", "target": "green", "bake_seconds": 20}
SHADOW = {"kind": "champion_challenger", "hold_seconds": 30}
AB = {"kind": "ab", "effect": 0.1, "planned": 600, "most": 4000}
PLANS: dict[str, dict[str, Any]] = {
    "canary": {"strategy": {"kind": "canary", "steps": STEPS}, "share": 0.2},
    "blue_green": {"strategy": GREEN, "share": 0.0},
    "champion_challenger": {"strategy": SHADOW, "share": 0.0, "shadow": True},
    "ab": {"strategy": AB, "share": 0.5, "guards": {"outcome_loss": 0.2}},
}
ENDS = {
    "good": (Behaviour(wrong=0.02), "succeeded"),
    "bad": (Behaviour(wrong=0.6), "rolled_back"),
}


pytestmark = pytest.mark.slow


class Killed(BaseException):
    """The process ended here; nothing of it can catch this."""


@dataclass
class Fate:
    """Ends the process at the moment with this number, among those at which it may end."""

    at: int
    passed: int = 0

    def moment(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            raise Killed


class MortalStore(FolderStore):
    """Its user may end before and after each write."""

    def __init__(self, root: Path, fate: Fate) -> None:
        super().__init__(root)
        self.fate = fate

    @override
    def swap(self, key: str, data: bytes, etag: str | None) -> Stored:
        if key.endswith("lease.json") and b'"beat":0' not in data:  # one of very many signs of life
            return super().swap(key, data, etag)
        self.fate.moment()
        found = super().swap(key, data, etag)
        self.fate.moment()
        return found

    @override
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> Stored:
        if not if_absent:  # a part of swap
            return super().put(key, data)
        self.fate.moment()
        found = super().put(key, data, if_absent=True)
        self.fate.moment()
        return found


@dataclass
class Front:
    """A load balancer that outlives its controllers."""

    fate: Fate
    active: list[Set] = field(default_factory=lambda: ["blue"])
    seen: int = 0

    def agree(self, policy: TrafficPolicy) -> None:
        if policy.version == self.seen:
            return
        self.fate.moment()
        if self.active[-1] != policy.active_set:
            self.active.append(policy.active_set)
        self.fate.moment()
        self.seen = policy.version


@dataclass
class Judged(World):
    """With the verdicts that the strategies wait for."""

    def gather(self, policy: TrafficPolicy) -> Evidence:
        found = super().gather(policy)
        ready = (self.now - policy.started_at).total_seconds() > 20
        rule = Verdict(True, "it is better") if found.paired.count >= 500 else None
        verified = Verdict(True, "verified") if ready else None
        return Evidence(**{**vars(found), "promotion": rule, "verified": verified})


@pytest.mark.parametrize("strategy", PLANS)
@pytest.mark.parametrize("challenger", ENDS)
def test_a_controller_killed_at_any_moment_is_followed_and_no_step_is_taken_twice(
    strategy: str, challenger: str, tmp_path: Path, make_policy: MakePolicy
) -> None:
    behaviour, phase = ENDS[challenger]
    whole = _taken(_play(tmp_path / "whole", make_policy(**PLANS[strategy]), behaviour, 0)[0])
    assert whole[-1][0] == phase
    for at in count(1):
        folder = tmp_path / str(at)
        history, front, killed = _play(folder, make_policy(**PLANS[strategy]), behaviour, at)
        assert [policy.version for policy in history] == list(range(1, len(history) + 1))
        assert _taken(history) == whole, f"killed at moment {at}"
        assert front.active[-1] == history[-1].active_set
        assert len(front.active) <= (3 if phase == "rolled_back" else 2)
        if not killed:
            break
    assert at > 8


def _play(
    folder: Path, policy: TrafficPolicy, behaviour: Behaviour, at: int
) -> tuple[list[TrafficPolicy], Front, bool]:
    """Run a controller that ends at a moment, then another a minute later, which ends it all."""
    fate = Fate(at)
    store, world, front = MortalStore(folder, fate), Judged(behaviour), Front(fate)
    policies, ticking, killed = Policies(store, "rollouts/small"), [0.0], False
    Policies(FolderStore(folder), "rollouts/small").write(policy, None)

    def controller(name: str) -> Controller:
        lease = Lease(store, "rollouts/small/lease.json", name, clock=lambda: ticking[0])
        return Controller(policies, lease, world, who=name, front=front, clock=world.clock)

    try:
        controller("first").run(0, lambda _: None, lambda _: None)
    except Killed:
        killed = True
        second = controller("second")
        second.look()
        ticking[0] += 61
        second.run(0, lambda _: None, lambda _: None)
    return policies.history(), front, killed


def _taken(history: list[TrafficPolicy]) -> list[tuple[str, float, str]]:
    """The steps without the changes of controllers."""
    steps = [(one.phase, one.share, one.active_set) for one in history]
    return [step for place, step in enumerate(steps) if place == 0 or step != steps[place - 1]]
