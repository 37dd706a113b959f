"""How a rollout begins: [rollout] of the settings, and the first version of its policy."""

import secrets
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import InputError
from pipeline.rollouts.policy import (
    AbTest,
    BlueGreen,
    Canary,
    Challenger,
    ChampionChallenger,
    Guards,
    Loss,
    Progress,
    Set,
    Strategy,
    TrafficPolicy,
)
from pipeline.rollouts.stats.power import Design, Size, sample_size

STRATEGIES = ("champion_challenger", "canary", "ab", "blue_green")
# The largest standard deviation that a loss of 0 or 1 can have.
_WORST_SPREAD = 0.5


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AbSettings(_Section):
    """What an A/B test is to find; see stats/power.py for the sample size that follows.

    `effect` is the smallest difference of mean losses that matters, `spread` the standard deviation
    of one loss. The test ends undecided at `most` keys, by default twice the sample size.
    """

    share: float = Field(default=0.5, gt=0, lt=1)
    effect: float = Field(default=0.05, gt=0)
    spread: float = Field(default=_WORST_SPREAD, gt=0)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    power: float = Field(default=0.8, gt=0, lt=1)
    most: int | None = Field(default=None, ge=100)
    ratio_alpha: float = Field(default=0.001, gt=0, lt=0.5)

    @property
    def size(self) -> Size:
        """Keys that the test needs, in both arms together."""
        design = Design(self.effect, self.spread, self.spread, self.share, self.alpha, self.power)
        return sample_size(design)

    def plan(self) -> AbTest:
        """The test as the policy has it."""
        planned = max(self.size.sequential, 100)
        return AbTest(
            share=self.share,
            effect=self.effect,
            alpha=self.alpha,
            planned=planned,
            most=self.most or 2 * planned,
            ratio_alpha=self.ratio_alpha,
        )


class BlueGreenSettings(_Section):
    """How the idle set is checked, and how long the other one waits after the switch."""

    replayed: int = Field(default=200, ge=1)
    bake_seconds: float = Field(default=600, ge=0)
    min_requests: int = Field(default=200, ge=1)


class RolloutSettings(_Section):
    """[rollout] of pipeline.toml. `loss` is by default error for classes, absolute for numbers."""

    sticky_header: str | None = None
    loss: Loss | None = None
    guards: Guards = Guards()
    champion_challenger: ChampionChallenger = ChampionChallenger()
    canary: Canary = Canary()
    ab: AbSettings = AbSettings()
    blue_green: BlueGreenSettings = BlueGreenSettings()

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if self.canary.steps[0].share == 1:
            raise ValueError(
                "the first step of a canary must have share < 1: without answers of the champion "
                "the guards have nothing to compare with"
            )
        return self

    def plan(self, strategy: str, active: Set) -> Strategy:
        """The plan of a strategy; blue/green goes to the set that is idle."""
        if strategy == "champion_challenger":
            return self.champion_challenger
        if strategy == "canary":
            return self.canary
        if strategy == "ab":
            return self.ab.plan()
        target: Set = "green" if active == "blue" else "blue"
        return BlueGreen(target=target, **self.blue_green.model_dump())


def first_policy(
    model: str,
    strategy: str,
    settings: RolloutSettings,
    challenger: Challenger,
    champion: tuple[int, str],
    seen: TrafficPolicy | None,
    *,
    classes: bool,
    who: str,
    why: str,
) -> TrafficPolicy:
    """The policy that starts a rollout. `champion` is the record's sequence and version.

    Raises InputError while another rollout is under way: one whose challenger is the champion of
    record is not, though no controller has completed it.
    """
    if seen is not None and seen.live and seen.challenger.model_version != champion[1]:
        raise InputError(
            f"a rollout of version {seen.challenger.model_version} is {seen.phase}: abort it "
            "first, or promote it"
        )
    if challenger.model_version == champion[1]:
        raise InputError(f"version {champion[1]} is the champion of record already")
    active: Set = seen.active_set if seen else "blue"
    plan, now = settings.plan(strategy, active), datetime.now(UTC)
    return TrafficPolicy(
        model=model,
        version=seen.version + 1 if seen else 1,
        experiment=f"{strategy.replace('_', '-')}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        phase="running",
        strategy=plan,
        challenger=challenger,
        champion_sequence=champion[0],
        champion_version=champion[1],
        guards=settings.guards,
        loss=settings.loss or ("error" if classes else "absolute"),
        sticky_header=settings.sticky_header,
        share=_first_share(plan),
        shadow=isinstance(plan, ChampionChallenger),
        active_set=active,
        started_at=now,
        progress=Progress(since=now),
        lease=seen.lease if seen else 0,
        changed_at=now,
        changed_by=who,
        why=why,
    )


def _first_share(plan: Strategy) -> float:
    if isinstance(plan, Canary):
        return plan.steps[0].share
    return plan.share if isinstance(plan, AbTest) else 0.0
