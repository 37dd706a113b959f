"""A world of virtual requests: what servers and users would do under a policy, and what is counted.

The clock is virtual; each look at the evidence lets five seconds of traffic go by.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pipeline.rollouts.evidence import Evidence, Verdict
from pipeline.rollouts.policy import AbTest, BlueGreen, Tally, TrafficPolicy, Variant
from pipeline.rollouts.stats.sequential import Sums

from .conftest import START

if TYPE_CHECKING:
    from numpy.random import Generator


@dataclass(frozen=True)
class Behaviour:
    """How a model does: fractions of errors, of slow answers and of wrong labels, mean score."""

    errors: float = 0.001
    slow: float = 0.01
    wrong: float = 0.1
    score: float = 0.4


@dataclass
class World:
    """Traffic of `rate` requests between two looks, each from a key of its own."""

    challenger: Behaviour = Behaviour()
    champion: Behaviour = Behaviour()
    rate: int = 100
    seed: int = 0
    verified: Verdict | None = None
    now: datetime = START
    record: tuple[int, str] = (1, "1")
    tallies: dict[Variant, Tally] = field(default_factory=dict)
    losses: dict[Variant, Sums] = field(default_factory=dict)
    units: dict[Variant, int] = field(default_factory=dict)
    paired: Sums = field(default_factory=Sums)
    refused: int = 0

    def __post_init__(self) -> None:
        self.random: Generator = np.random.default_rng(self.seed)

    def clock(self) -> datetime:
        return self.now

    def gather(self, policy: TrafficPolicy) -> Evidence:
        self.now += timedelta(seconds=5)
        for variant, count in self._split(policy).items():
            self._answer(variant, count, policy)
        if policy.shadow:
            self._shadow()
        challenger = self.tallies.get("challenger", Tally())
        return Evidence(
            tallies={
                **self.tallies,
                "challenger": challenger.model_copy(update={"refused": self.refused}),
            },
            losses=self.losses,
            units=self.units,
            paired=self.paired,
            verified=self.verified,
            champion_sequence=self.record[0],
            champion_version=self.record[1],
        )

    def _split(self, policy: TrafficPolicy) -> dict[Variant, int]:
        if isinstance(policy.strategy, BlueGreen):
            return {policy.variant_of_set(policy.active_set): self.rate}
        challenger = int(self.random.binomial(self.rate, policy.share if policy.live else 0))
        return {"champion": self.rate - challenger, "challenger": challenger}

    def _answer(self, variant: Variant, count: int, policy: TrafficPolicy) -> None:
        does = self.challenger if variant == "challenger" else self.champion
        self._count(variant, does, count)
        wrong = self.random.binomial(count, does.wrong)
        self.losses[variant] = self.losses.get(variant, Sums()) + Sums.proportion(wrong, count)
        if isinstance(policy.strategy, AbTest):
            self.units[variant] = self.units.get(variant, 0) + count

    def _shadow(self) -> None:
        self._count("challenger", self.challenger, self.rate)
        difference = self.random.binomial(1, self.challenger.wrong, self.rate) - (
            self.random.binomial(1, self.champion.wrong, self.rate)
        )
        self.paired += Sums.of(difference.tolist())

    def _count(self, variant: Variant, does: Behaviour, count: int) -> None:
        scores = self.random.normal(does.score, 0.2, count)
        self.tallies[variant] = self.tallies.get(variant, Tally()) + Tally(
            requests=count,
            errors=self.random.binomial(count, does.errors),
            slow=self.random.binomial(count, does.slow),
            rows=count,
            score_total=float(scores.sum()),
            score_squares=float((scores**2).sum()),
        )
