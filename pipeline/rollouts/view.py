"""A rollout as lines for a terminal, and as plain values for machines."""

import math
from datetime import UTC, datetime
from typing import Any

from pipeline.rollouts import guards
from pipeline.rollouts.control.controller import Look
from pipeline.rollouts.evidence import Evidence
from pipeline.rollouts.observed.counters import VARIANTS
from pipeline.rollouts.policy import AbTest, BlueGreen, Canary, ChampionChallenger, TrafficPolicy
from pipeline.rollouts.stats import ratio
from pipeline.rollouts.strategies import loss_difference


def lines(look: Look) -> list[str]:
    """What one look at a rollout came to."""
    policy = look.policy
    if policy is None:
        return [look.sentence]
    found = [
        f"{title(policy)}: {policy.phase}, policy version {policy.version}",
        f"{traffic(policy)}",
    ]
    if look.evidence is not None:
        found += table(look.evidence)
        found += [
            f"{'BROKEN' if check.broken else 'holds ':6}  {check.sentence}"
            for check in guards.check(policy, look.evidence)
        ]
        found += test_of(policy, look.evidence)
    return [*found, look.sentence]


def title(policy: TrafficPolicy) -> str:
    """Strategy, model and both versions."""
    return (
        f"{policy.strategy.kind} of {policy.model}, version {policy.challenger.model_version} "
        f"against champion {policy.champion_version}"
    )


def traffic(policy: TrafficPolicy) -> str:
    """Who answers what now."""
    if not policy.live:
        return "the champion answers everything"
    plan = policy.strategy
    if isinstance(plan, ChampionChallenger):
        return "the champion answers everything; the challenger gets a copy"
    if isinstance(plan, BlueGreen):
        return f"the {policy.active_set} set answers everything; {plan.target} has the challenger"
    step = ""
    if isinstance(plan, Canary):
        step = f", step {policy.progress.step + 1} of {len(plan.steps)}"
    return f"the challenger answers {policy.share:.0%}{step}"


def table(evidence: Evidence) -> list[str]:
    """Counts of both variants, side by side."""
    names = ("requests", "errors", "slow", "mean score", "outcomes", "loss")
    widths = (10, 9, 9, 12, 10, 9)
    head = "".join(name.rjust(width) for name, width in zip(names, widths, strict=True))
    rows = [" " * 12 + head]
    for variant in VARIANTS:
        tally, losses = evidence.tally(variant), evidence.losses.get(variant)
        score = f"{tally.scores.mean:.4f}" if tally.rows else "-"
        count = f"{losses.count:.0f}" if losses else "-"
        loss = f"{losses.mean:.4f}" if losses and losses.count else "-"
        rows.append(
            f"{variant:12}{tally.requests:>10.0f}{tally.errors:>9.0f}{tally.slow:>9.0f}"
            f"{score:>12}{count:>10}{loss:>9}"
        )
    return rows


def test_of(policy: TrafficPolicy, evidence: Evidence) -> list[str]:
    """The statistics of the strategy, if it has any beside the guards."""
    plan = policy.strategy
    if isinstance(plan, ChampionChallenger):
        return [f"paired outcomes: {evidence.paired.count:.0f} of {plan.min_feedback}"]
    found = loss_difference(policy, evidence)
    if found is None or not isinstance(plan, AbTest):
        return []
    balance = ratio.check(evidence.units, {"challenger": plan.share, "champion": 1 - plan.share})
    effect = (
        f"{found.value:+.4f}, {1 - plan.alpha:.0%} interval {found.low:+.4f} to {found.high:+.4f}"
        if math.isfinite(found.high)
        else "too few outcomes of a variant to tell"
    )
    return [
        f"effect on the loss: {effect}, on {found.count:.0f} of {plan.planned} planned keys",
        f"sample ratio: {balance.shown}, p = {balance.p_value:.3g}",
    ]


def values(look: Look) -> dict[str, Any]:
    """The same for machines: policy, counts, guards and statistics."""
    found: dict[str, Any] = {"sentence": look.sentence, "ended": look.ended, "moved": look.moved}
    if look.policy is None:
        return found
    found["policy"] = look.policy.model_dump(mode="json")
    if look.evidence is not None:
        found["tallies"] = {name: look.evidence.tally(name).model_dump() for name in VARIANTS}
        found["guards"] = [
            {"name": check.name, "broken": check.broken, "sentence": check.sentence}
            for check in guards.check(look.policy, look.evidence)
        ]
        found["statistics"] = test_of(look.policy, look.evidence)
    return found


def history(policies: list[TrafficPolicy]) -> list[str]:
    """One line for each version: when, who, what and why."""
    return [
        f"{policy.version:>4}  {when(policy.changed_at)}  {policy.phase:11}  "
        f"{share(policy):>4.0%}  {policy.changed_by}: {policy.why}"
        for policy in policies
    ]


def share(policy: TrafficPolicy) -> float:
    """The challenger's part of the answers; a set that is active answers everything."""
    plan = policy.strategy
    if isinstance(plan, BlueGreen):
        return float(policy.live and policy.active_set == plan.target)
    return policy.share


def when(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
