"""The controller: watches one rollout and takes each next step, until it ends.

It keeps nothing that it could not read again, so a killed one is followed by another. What it
decides becomes true by the conditional write of the policy; the load balancer is made to agree
afterwards, and again at every look.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pipeline.errors import first_line, may_pass
from pipeline.rollouts.control.lease import STALE_SECONDS, Lease
from pipeline.rollouts.evidence import Evidence
from pipeline.rollouts.policies import Policies, PolicyChanged, Read
from pipeline.rollouts.policy import TrafficPolicy
from pipeline.rollouts.strategies import Hold, Move, advance, apply, decide, stop

LONGEST_OUTAGE_SECONDS = 600.0
"""A controller that cannot look for so long ends with the error."""


def steady_clock() -> Callable[[], datetime]:
    """The time of day as it goes on from now, whatever the machine's clock is set to later.

    A clock that jumps ahead would end a step before its time.
    """
    at, began = datetime.now(UTC), time.monotonic()
    return lambda: at + timedelta(seconds=time.monotonic() - began)


class Sources(Protocol):
    """Where evidence comes from."""

    def gather(self, policy: TrafficPolicy) -> Evidence:
        """What was measured of each variant since the policy began."""


class Front(Protocol):
    """The load balancer before the two sets of servers."""

    def agree(self, policy: TrafficPolicy) -> None:
        """Make it what the policy says; nothing changes where that is so already."""
        ...


@dataclass(frozen=True)
class Look:
    """What one look came to. `ended` says that there is nothing more to watch."""

    policy: TrafficPolicy | None
    evidence: Evidence | None
    sentence: str
    ended: bool = False
    moved: bool = False

    @property
    def rests(self) -> bool:
        """Whether the controller has nothing left to do: it ended, or waits for promote."""
        succeeded = self.policy is not None and self.policy.phase == "succeeded"
        return self.ended or succeeded


class Controller:
    """Takes the steps of one model's rollout; `who` signs the changes."""

    def __init__(
        self,
        policies: Policies,
        lease: Lease,
        sources: Sources,
        *,
        who: str,
        front: Front | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._policies, self._lease, self._sources = policies, lease, sources
        self._who, self._front, self._clock = who, front, clock or steady_clock()

    def look(self) -> Look:
        """Look once, and take the next step if it is due."""
        seen = self._policies.read()
        if seen is None:
            return Look(None, None, "there is no rollout", ended=True)
        if not seen.policy.live:
            self._agree(seen.policy)
            return Look(seen.policy, None, f"{seen.policy.phase}: {seen.policy.why}", ended=True)
        if not self._lease.hold(seen.policy.lease):
            return Look(
                seen.policy,
                None,
                f"another controller has the lease: {self._lease.other}; this one follows when it "
                f"has seen no sign of that for {STALE_SECONDS:.0f} s",
            )
        try:
            return self._step(self._own(seen))
        except PolicyChanged:
            return Look(seen.policy, None, "somebody else changed the policy: looking again")

    def run(
        self,
        every: float,
        tell: Callable[[Look], None],
        wait: Callable[[float], None],
        *,
        seconds: float = math.inf,
    ) -> Look:
        """Look every so many seconds until the rollout ends, has succeeded, or time is up.

        While AWS is not reached, the rollout stays as it is and is looked at again.
        """
        began = reached = time.monotonic()
        try:
            while True:
                last = time.monotonic() - began + every > seconds
                try:
                    found = self.look()
                except Exception as error:
                    if last or not _may_wait(error, reached):
                        raise
                    tell(
                        Look(None, None, f"nothing changes until AWS answers: {first_line(error)}")
                    )
                    wait(every)
                    continue
                reached = time.monotonic()
                tell(found)
                if found.rests or reached - began + every > seconds:
                    self._lease.release()
                    return found
                wait(every)
        except KeyboardInterrupt:
            self._lease.release()
            raise

    def _own(self, seen: Read) -> Read:
        """The policy under this lease; a controller that still believes in its own fails now."""
        policy = seen.policy
        if policy.lease == self._lease.number:
            return seen
        if policy.lease > self._lease.number:
            raise PolicyChanged("a later controller has taken over")
        taken = policy.model_copy(
            update={
                "version": policy.version + 1,
                "lease": self._lease.number,
                "changed_at": self._clock(),
                "changed_by": self._who,
                "why": f"controller {self._lease.number} takes over"
                if policy.lease
                else f"controller {self._lease.number} begins",
            }
        )
        return self._policies.write(taken, seen)

    def _step(self, seen: Read) -> Look:
        self._agree(seen.policy)
        evidence = self._sources.gather(seen.policy)
        decision = decide(seen.policy, evidence, self._clock())
        if isinstance(decision, Hold):
            return Look(seen.policy, evidence, decision.why)
        changed = self._policies.write(self._applied(seen, decision, evidence), seen).policy
        self._agree(changed)
        return Look(changed, evidence, decision.why, ended=not changed.live, moved=True)

    def _applied(self, seen: Read, move: Move, evidence: Evidence) -> TrafficPolicy:
        return apply(seen.policy, move, evidence, self._clock(), self._who)

    def _agree(self, policy: TrafficPolicy) -> None:
        if self._front is not None:
            self._front.agree(policy)


def _may_wait(error: Exception, reached: float) -> bool:
    return may_pass(error) and time.monotonic() - reached <= LONGEST_OUTAGE_SECONDS


class NotNow(Exception):
    """A person asked for what the rollout's state does not allow; the message says why."""


def by_hand(
    policies: Policies,
    sources: Sources,
    verb: str,
    why: str,
    who: str,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> TrafficPolicy:
    """A person's advance, pause or abort: the same conditional write, without the lease.

    An abort also replaces what is no policy. Raises NotNow where there is nothing to do it to.
    """
    while True:
        seen = policies.last_good() if verb == "abort" else policies.read()
        if seen is None or not (seen.policy.live or seen.spoilt):
            state = f"is {seen.policy.phase}" if seen else "does not exist"
            raise NotNow(f"the rollout {state}: there is nothing to {verb}")
        evidence = sources.gather(seen.policy) if verb == "advance" else Evidence()
        move = _wish(seen.policy, verb, why, evidence)
        if isinstance(move, Hold):
            raise NotNow(move.why)
        try:
            return policies.write(apply(seen.policy, move, evidence, clock(), who), seen).policy
        except PolicyChanged:
            time.sleep(0.1)


def _wish(policy: TrafficPolicy, verb: str, why: str, evidence: Evidence) -> Move | Hold:
    if verb == "abort":
        # What was spoilt began a rollout that switched nothing yet: the one before it had ended.
        return stop(policy, "aborted", why) if policy.live else Move(policy.phase, why)
    if verb == "advance":
        return advance(policy, evidence, why)
    if policy.phase != "running":
        return Hold(f"the rollout is {policy.phase}: only a running one can be paused")
    return Move("paused", why)
