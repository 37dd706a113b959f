"""What happens next in a rollout, decided from policy and evidence alone."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.rollouts import guards
from pipeline.rollouts.evidence import Evidence
from pipeline.rollouts.policy import (
    CHALLENGER,
    CHAMPION,
    AbTest,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Phase,
    Progress,
    Set,
    TrafficPolicy,
)
from pipeline.rollouts.stats import ratio
from pipeline.rollouts.stats.sequential import LEAST, Estimate, Sums, of_difference


@dataclass(frozen=True)
class Move:
    """A change of the policy, and why. What is None stays."""

    phase: Phase
    why: str
    step: int | None = None
    share: float | None = None
    active_set: Set | None = None


@dataclass(frozen=True)
class Hold:
    """Nothing changes yet; the sentence says what is waited for."""

    why: str


def decide(policy: TrafficPolicy, evidence: Evidence, now: datetime) -> Move | Hold:
    """The next change of a live policy, or what is waited for."""
    if not policy.live:
        return Hold(f"the rollout is {policy.phase}")
    if evidence.champion_version == policy.challenger.model_version:
        return _completed(policy)
    if evidence.champion_sequence != policy.champion_sequence:
        return stop(
            policy,
            "aborted",
            f"the champion of record became version {evidence.champion_version}, which is not "
            "what the challenger was compared with",
        )
    if evidence.lost:
        return stop(policy, "rolled_back", evidence.lost)
    broken = [check.sentence for check in guards.check(policy, evidence) if check.broken]
    if broken:
        return stop(policy, "rolled_back", f"guard broken: {'; '.join(broken)}")
    if policy.phase == "paused":
        return Hold("the rollout is paused; the guards are watched")
    if policy.phase == "succeeded":
        return Hold("waiting for promote to make the challenger the champion of record")
    found = _STRATEGIES[policy.strategy.kind](policy, evidence, now)
    if isinstance(found, Hold) and evidence.odd:
        return Hold(
            f"{found.why}; {evidence.odd} outcomes are left out: they are no class of the model, "
            "or no number where one is needed"
        )
    return found


def stop(policy: TrafficPolicy, phase: Phase, why: str) -> Move:
    """The champion answers alone again, from the set of servers that it never left."""
    back: Set | None = None
    if isinstance(policy.strategy, BlueGreen):
        back = other(policy.strategy.target)
    return Move(phase, why, share=0.0, active_set=back)


def other(name: Set) -> Set:
    """The other of the two sets of servers."""
    return "green" if name == "blue" else "blue"


def apply(
    policy: TrafficPolicy, move: Move, evidence: Evidence, now: datetime, who: str
) -> TrafficPolicy:
    """The next version of the policy."""
    progress = policy.progress
    if move.step is not None:
        progress = Progress(step=move.step, since=now, before=evidence.tallies)
    live = move.phase in ("running", "paused", "succeeded")
    changes = {
        "version": policy.version + 1,
        "phase": move.phase,
        "progress": progress,
        "share": policy.share if move.share is None else move.share,
        "shadow": policy.shadow and live,
        "active_set": move.active_set or policy.active_set,
        "changed_at": now,
        "changed_by": who,
        "why": move.why,
    }
    return TrafficPolicy.model_validate(policy.model_copy(update=changes).model_dump())


def loss_difference(policy: TrafficPolicy, evidence: Evidence) -> Estimate | None:
    """An A/B test's effect so far: challenger's mean loss minus champion's."""
    if not isinstance(policy.strategy, AbTest):
        return None
    return of_difference(
        evidence.losses.get(CHALLENGER, Sums()),
        evidence.losses.get(CHAMPION, Sums()),
        policy.strategy.alpha,
        policy.strategy.planned,
    )


def advance(policy: TrafficPolicy, evidence: Evidence, why: str) -> Move | Hold:
    """The next step at once, by a person's decision; the guards stay."""
    plan = policy.strategy
    if policy.phase == "paused":
        return Move("running", why, step=policy.progress.step)
    if policy.phase != "running":
        return Hold(f"the rollout is {policy.phase}: there is no next step")
    if isinstance(plan, Canary):
        return _next_step(policy, plan, why)
    if isinstance(plan, BlueGreen) and policy.progress.step == 0:
        if evidence.verified is None or not evidence.verified.passed:
            return Hold("the idle set is not verified yet")
        return _switch(plan, why)
    return Hold(f"{plan.kind} has no step to skip: its evidence decides")


def _completed(policy: TrafficPolicy) -> Move:
    return Move(
        "completed",
        f"version {policy.challenger.model_version} is the champion of record",
        share=0.0,
        active_set=policy.active_set,
    )


def _waits(policy: TrafficPolicy, seconds: float, now: datetime) -> str | None:
    left = timedelta(seconds=seconds) - (now - policy.progress.since)
    return f"{left.total_seconds():.0f} s more" if left > timedelta() else None


def _champion_challenger(policy: TrafficPolicy, evidence: Evidence, now: datetime) -> Move | Hold:
    plan = policy.strategy
    assert isinstance(plan, ChampionChallenger)
    if evidence.promotion is None:
        return Hold(f"{evidence.paired.count:.0f} of {plan.min_feedback} paired outcomes came")
    if wait := _waits(policy, plan.hold_seconds, now):
        return Hold(f"enough outcomes came; holding for {wait}")
    if evidence.promotion.passed:
        return Move("succeeded", evidence.promotion.sentence)
    return stop(policy, "rolled_back", evidence.promotion.sentence)


def _canary(policy: TrafficPolicy, evidence: Evidence, now: datetime) -> Move | Hold:
    plan = policy.strategy
    assert isinstance(plan, Canary)
    step = plan.steps[policy.progress.step]
    answered = evidence.of_step(policy)[0].requests
    if answered < step.min_requests:
        return Hold(f"{answered:.0f} of {step.min_requests} requests at {step.share:.0%}")
    if wait := _waits(policy, step.hold_seconds, now):
        return Hold(f"{answered:.0f} requests at {step.share:.0%}; holding for {wait}")
    return _next_step(policy, plan, f"{answered:.0f} requests at {step.share:.0%}, guards held")


def _next_step(policy: TrafficPolicy, plan: Canary, why: str) -> Move:
    following = policy.progress.step + 1
    if following == len(plan.steps):
        return Move("succeeded", why)
    return Move("running", why, step=following, share=plan.steps[following].share)


def _ab(policy: TrafficPolicy, evidence: Evidence, now: datetime) -> Move | Hold:
    del now
    plan = policy.strategy
    assert isinstance(plan, AbTest)
    shares = {CHALLENGER: plan.share, CHAMPION: 1 - plan.share}
    balance = ratio.check(evidence.units, shares)
    if balance.p_value < plan.ratio_alpha:
        return stop(
            policy,
            "aborted",
            f"sample ratio: {balance.shown} instead of {plan.share:.0%} to the challenger "
            f"(p = {balance.p_value:.2g}); assignment or logging prefers one arm, so no effect "
            "can be believed",
        )
    found = loss_difference(policy, evidence)
    assert found is not None
    shown = (
        f"loss {found.value:+.4f} ({1 - plan.alpha:.0%} interval {found.low:+.4f} to "
        f"{found.high:+.4f}) on {found.count:.0f} keys"
        if math.isfinite(found.high)
        else f"too few outcomes of a variant, on {found.count:.0f} keys of both"
    )
    if found.high < 0:
        return Move("succeeded", f"the challenger is better: {shown}")
    if found.low > 0:
        return stop(policy, "rolled_back", f"the challenger is worse: {shown}")
    if found.count >= plan.most:
        return stop(policy, "rolled_back", f"undecided, so the champion stays: {shown}")
    return Hold(f"undecided: {shown}, planned {plan.planned}, at most {plan.most}")


def _blue_green(policy: TrafficPolicy, evidence: Evidence, now: datetime) -> Move | Hold:
    plan = policy.strategy
    assert isinstance(plan, BlueGreen)
    if policy.progress.step == 0:
        if evidence.verified is None:
            return Hold(f"the {plan.target} set is not verified yet")
        if not evidence.verified.passed:
            return stop(policy, "rolled_back", evidence.verified.sentence)
        # After the switch it answers nothing more that the guards could compare with.
        known = evidence.tally(CHAMPION).requests
        if known < LEAST:
            return Hold(f"{known:.0f} of {LEAST} answers of the champion to compare with")
        return _switch(plan, evidence.verified.sentence)
    answered = evidence.of_step(policy)[0].requests
    if answered < plan.min_requests:
        return Hold(f"{answered:.0f} of {plan.min_requests} requests on {plan.target}")
    if wait := _waits(policy, plan.bake_seconds, now):
        return Hold(f"{answered:.0f} requests on {plan.target}; holding for {wait}")
    return Move("succeeded", f"{answered:.0f} requests on {plan.target}, guards held")


def _switch(plan: BlueGreen, why: str) -> Move:
    return Move("running", why, step=1, active_set=plan.target)


_STRATEGIES = {
    "champion_challenger": _champion_challenger,
    "canary": _canary,
    "ab": _ab,
    "blue_green": _blue_green,
}
