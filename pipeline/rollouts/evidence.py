"""What is known of a rollout so far: all that a decision rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.rollouts.policy import CHALLENGER, CHAMPION, Tally, TrafficPolicy, Variant
from pipeline.rollouts.stats.sequential import LEAST, Sums


@dataclass(frozen=True)
class Verdict:
    """What the promotion rule, or the check of an idle set, came to."""

    passed: bool
    sentence: str


@dataclass(frozen=True)
class Evidence:
    """Counts since the rollout began, outcomes that came back, and the champion of record now.

    `losses` and `units` are of keys: one loss for each key whose outcome came, one unit for each
    key that was assigned. `paired` has challenger minus champion on the same request. `promotion`
    is the promotion rule's verdict on the feedback, once there is enough of it; `verified` that of
    the check of the idle set. `odd` counts outcomes that say nothing and are left out. `lost` says
    that the challenger's files are no longer those that its trial began with.
    """

    tallies: Mapping[Variant, Tally] = field(default_factory=dict)
    losses: Mapping[Variant, Sums] = field(default_factory=dict)
    units: Mapping[Variant, int] = field(default_factory=dict)
    paired: Sums = field(default_factory=Sums)
    promotion: Verdict | None = None
    verified: Verdict | None = None
    odd: int = 0
    lost: str | None = None
    champion_sequence: int = 0
    champion_version: str = ""

    def tally(self, variant: Variant) -> Tally:
        """What was counted of one variant."""
        return self.tallies.get(variant, Tally())

    def of_step(self, policy: TrafficPolicy) -> tuple[Tally, Tally]:
        """Challenger and champion since the step began.

        A champion that hardly answers in this step is taken with what it did before.
        """
        before = policy.progress.before
        challenger = self.tally(CHALLENGER) - before.get(CHALLENGER, Tally())
        champion = self.tally(CHAMPION) - before.get(CHAMPION, Tally())
        return challenger, champion if champion.requests >= LEAST else self.tally(CHAMPION)
