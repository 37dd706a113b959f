"""Guards: bounds that the challenger must not be found beyond, whatever else it does well."""

import math
from dataclasses import dataclass

from pipeline.rollouts.evidence import Evidence
from pipeline.rollouts.policy import CHALLENGER, CHAMPION, ChampionChallenger, TrafficPolicy
from pipeline.rollouts.stats.sequential import LEAST, Estimate, Sums, of_difference, of_mean

# Guards are looked at all the time, and must find a fault early: their intervals are narrowest
# at so many observations.
PLANNED = 400


@dataclass(frozen=True)
class Check:
    """One guard: the estimate that it looks at, its bound, and whether it is broken."""

    name: str
    estimate: Estimate
    limit: float
    broken: bool
    sentence: str


def check(policy: TrafficPolicy, evidence: Evidence) -> list[Check]:
    """Every guard of the policy, on what is known. A broken one rolls the challenger back."""
    challenger, champion = evidence.of_step(policy)
    guards = policy.guards
    return [
        _refused(evidence.tally(CHALLENGER).refused),
        _excess(
            "errors",
            Sums.proportion(challenger.errors, challenger.requests),
            Sums.proportion(champion.errors, champion.requests),
            guards.error_excess,
            guards.alpha,
        ),
        _excess(
            f"answers over {guards.slow_ms:g} ms",
            Sums.proportion(challenger.slow, challenger.requests),
            Sums.proportion(champion.slow, champion.requests),
            guards.slow_excess,
            guards.alpha,
        ),
        _shift(challenger.scores, champion.scores, guards.score_shift, guards.alpha),
        _outcomes(policy, evidence),
    ]


def _refused(count: float) -> Check:
    return Check(
        "load",
        Estimate(count, count, count, count),
        0,
        count > 0,
        f"{count:.0f} servers refused to load the challenger" if count else "loaded",
    )


def _excess(name: str, challenger: Sums, champion: Sums, limit: float, alpha: float) -> Check:
    """The challenger's fraction must not exceed the champion's by more than the limit."""
    found = of_difference(challenger, champion, alpha, PLANNED)
    return Check(
        name,
        found,
        limit,
        found.low > limit,
        _too_few(name, "answers", challenger.count, champion.count)
        or f"{name}: {_percent(challenger.mean)} against {_percent(champion.mean)}, "
        f"excess at least {_percent(found.low)}, allowed {_percent(limit)}",
    )


def _shift(challenger: Sums, champion: Sums, limit: float, alpha: float) -> Check:
    """The mean score must not move, in standard deviations of the champion's."""
    found = of_difference(challenger, champion, alpha, PLANNED)
    spread = math.sqrt(champion.variance)
    least = max(found.low, -found.high, 0.0)
    shift = least / spread if spread else (math.inf if least > 0 else 0.0)
    return Check(
        "score shift",
        found,
        limit,
        shift > limit,
        _too_few("score shift", "rows", challenger.count, champion.count)
        or f"score shift: mean {challenger.mean:.4f} against {champion.mean:.4f}, at least "
        f"{shift:.2f} standard deviations, allowed {limit:g}",
    )


def _outcomes(policy: TrafficPolicy, evidence: Evidence) -> Check:
    """The loss on outcomes that came back must not exceed the champion's by more than the limit."""
    limit, alpha = policy.guards.outcome_loss, policy.guards.alpha
    if isinstance(policy.strategy, ChampionChallenger):
        counts = [evidence.paired.count]
        found = of_mean(evidence.paired, alpha, PLANNED)
    else:
        challenger, champion = (
            evidence.losses.get(variant, Sums()) for variant in (CHALLENGER, CHAMPION)
        )
        counts = [challenger.count, champion.count]
        found = of_difference(challenger, champion, alpha, PLANNED)
    return Check(
        "outcome loss",
        found,
        limit,
        found.low > limit,
        _too_few("outcome loss", "outcomes", *counts)
        or f"outcome loss: {found.value:+.4f} on {found.count:.0f} outcomes, at least "
        f"{found.low:+.4f}, allowed {limit:+g}",
    )


def _too_few(name: str, what: str, *counts: float) -> str | None:
    """In words what is no number yet; None where there is one."""
    if min(counts) >= LEAST:
        return None
    shown = " and ".join(f"{count:.0f}" for count in counts)
    return f"{name}: {shown} {what} are too few to tell, {LEAST} are needed"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
