"""The traffic policy: one document per model that says which variant answers which request."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import InputError
from pipeline.model.champion import PinnedFile
from pipeline.rollouts.stats.sequential import Sums

Variant = Literal["champion", "challenger"]
CHAMPION: Variant = "champion"
CHALLENGER: Variant = "challenger"
Set = Literal["blue", "green"]
Loss = Literal["error", "brier", "absolute", "squared", "value"]
Phase = Literal["running", "paused", "succeeded", "completed", "rolled_back", "aborted"]
LIVE: tuple[Phase, ...] = ("running", "paused", "succeeded")
"""Phases in which the challenger takes part; in the others the champion answers alone."""

_Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Challenger(_Frozen):
    """The model on trial, fixed by the versions and digests of its files as a champion is."""

    model_version: str
    run_id: str
    files: Mapping[str, PinnedFile]


class Guards(_Frozen):
    """What rolls the challenger back. Each bound must be exceeded with confidence 1 - alpha.

    The excess of errors and of slow answers is a difference of fractions of requests, the score
    shift is in standard deviations of the champion's score, the outcome loss in the units of the
    strategy's loss.
    """

    error_excess: _Share = 0.01
    slow_ms: float = Field(default=250.0, gt=0)
    slow_excess: _Share = 0.02
    score_shift: float = Field(default=0.5, gt=0)
    outcome_loss: float = Field(default=0.05, gt=0)
    alpha: float = Field(default=0.01, gt=0, lt=0.5)


class Step(_Frozen):
    """A share of the traffic, held for a time and for so many requests to the challenger."""

    share: float = Field(gt=0, le=1)
    hold_seconds: float = Field(default=600, ge=0)
    min_requests: int = Field(default=200, ge=1)


def default_steps() -> list[Step]:
    """Shares of traffic of a canary: 1, 5, 25, 50 and 100 %."""
    return [Step(share=share) for share in (0.01, 0.05, 0.25, 0.5, 1.0)]


class ChampionChallenger(_Frozen):
    """The challenger answers nobody; outcomes of both on the same requests are compared."""

    kind: Literal["champion_challenger"] = "champion_challenger"
    min_feedback: int = Field(default=500, ge=50)
    hold_seconds: float = Field(default=3600, ge=0)


class Canary(_Frozen):
    """The challenger's share grows step by step while the guards hold."""

    kind: Literal["canary"] = "canary"
    steps: list[Step] = Field(default_factory=default_steps, min_length=1)

    @model_validator(mode="after")
    def _growing(self) -> Self:
        shares = [step.share for step in self.steps]
        if sorted(set(shares)) != shares:
            raise ValueError("the shares of a canary's steps must grow from step to step")
        if shares[-1] != 1:
            raise ValueError("the last step of a canary must have share = 1")
        return self


class AbTest(_Frozen):
    """Two variants side by side, judged by a sequential test of their mean loss.

    `planned` is the sample size from the calculator, in units (keys) of both arms together; the
    test ends undecided at `most` units. `ratio_alpha` is the level of the sample-ratio check.
    """

    kind: Literal["ab"] = "ab"
    share: float = Field(default=0.5, gt=0, lt=1)
    effect: float = Field(gt=0)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    planned: int = Field(ge=100)
    most: int = Field(ge=100)
    ratio_alpha: float = Field(default=0.001, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.most < self.planned:
            raise ValueError("most must be at least planned, or the test cannot have its power")
        return self


class BlueGreen(_Frozen):
    """The challenger on the idle set of servers, verified, then given all traffic at once."""

    kind: Literal["blue_green"] = "blue_green"
    target: Set
    replayed: int = Field(default=200, ge=1)
    bake_seconds: float = Field(default=600, ge=0)
    min_requests: int = Field(default=200, ge=1)


Strategy = Annotated[ChampionChallenger | Canary | AbTest | BlueGreen, Field(discriminator="kind")]


class Tally(_Frozen):
    """What one variant did since the rollout began; servers only ever add to it.

    `requests` are those that the variant was to answer, `errors` those that it failed (the champion
    then answered for it), `slow` answers over the guard's slow_ms. Scores are of rows. `refused`
    counts servers that would not load the model: its digest, types or signature were wrong.
    """

    requests: float = 0
    errors: float = 0
    slow: float = 0
    rows: float = 0
    score_total: float = 0.0
    score_squares: float = 0.0
    refused: float = 0

    def __sub__(self, other: "Tally") -> "Tally":
        ours, theirs = self.model_dump(), other.model_dump()
        return Tally(**{name: value - theirs[name] for name, value in ours.items()})

    def __add__(self, other: "Tally") -> "Tally":
        ours, theirs = self.model_dump(), other.model_dump()
        return Tally(**{name: value + theirs[name] for name, value in ours.items()})

    @property
    def scores(self) -> Sums:
        """Count, sum and sum of squares of the scores."""
        return Sums(self.rows, self.score_total, self.score_squares)


class Progress(_Frozen):
    """How far the rollout is: the step, since when, and what was counted when it began."""

    step: int = Field(default=0, ge=0)
    since: datetime
    before: Mapping[Variant, Tally] = {}


class TrafficPolicy(_Frozen):
    """One model's policy. `version` counts its changes, from 1.

    `share` is the challenger's part of the answers, `shadow` its copy of the requests. The
    experiment's id salts the assignment, so that each experiment draws anew. `loss` is what an
    outcome costs: a wrong label (error), the squared distance of the probabilities (brier), of the
    number (absolute, squared), or minus the outcome itself (value). `lease` is the number
    of the controller that may change this version.
    """

    schema_version: Literal[1] = 1
    model: str
    version: int = Field(ge=1)
    experiment: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    phase: Phase
    strategy: Strategy
    challenger: Challenger
    champion_sequence: int = Field(ge=1)
    champion_version: str
    guards: Guards = Guards()
    loss: Loss
    sticky_header: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    share: _Share = 0.0
    shadow: bool = False
    active_set: Set = "blue"
    started_at: datetime
    progress: Progress
    lease: int = Field(default=0, ge=0)
    changed_at: datetime
    changed_by: str
    why: str

    @property
    def live(self) -> bool:
        """Whether the rollout still goes on."""
        return self.phase in LIVE

    def variant_of_set(self, name: Set | None) -> Variant:
        """Which model a set of servers holds while blue/green is under way."""
        plan = self.strategy
        on_trial = self.live and isinstance(plan, BlueGreen) and name == plan.target
        return CHALLENGER if on_trial else CHAMPION

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.live and (self.share or self.shadow):
            raise ValueError(f"a rollout that is {self.phase} leaves no traffic to the challenger")
        if isinstance(self.strategy, ChampionChallenger | BlueGreen) and self.share:
            raise ValueError(f"{self.strategy.kind} splits no traffic: share must be 0")
        if self.shadow and not isinstance(self.strategy, ChampionChallenger):
            raise ValueError(f"{self.strategy.kind} copies no traffic: shadow must be false")
        return self


def parse(document: bytes | str | Mapping[str, Any], origin: str) -> TrafficPolicy:
    """Read a policy. Raises InputError that names each fault."""
    try:
        if isinstance(document, bytes | str):
            return TrafficPolicy.model_validate_json(document)
        return TrafficPolicy.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'document'}: {fault['msg']}"
            for fault in error.errors()[:5]
        )
        raise InputError(f"{origin} is no traffic policy: {faults}") from None
