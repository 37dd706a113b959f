"""Who answers a request: the policy's variant, the champion where the challenger fails."""

import asyncio
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.rollouts.assignment import assign, unit
from pipeline.rollouts.policy import CHALLENGER, CHAMPION, BlueGreen, Set, TrafficPolicy, Variant
from pipeline.serving.copies import Copies, Copy
from pipeline.serving.gauges import Gauges, Tallies
from pipeline.serving.process import Busy, Call, ModelFailed, Reply
from pipeline.serving.slot import Slot

# A challenger that takes longer than this many times slow_ms has failed; the champion answers.
_PATIENCE = 4
_LEAST_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Response:
    """The answer to one request, and which variant gave it."""

    reply: Reply
    variant: Variant
    prediction_id: str


class Traffic:
    """The two models of a server and the policy between them."""

    def __init__(
        self,
        champion: Slot,
        challenger: Slot,
        gauges: Gauges,
        tallies: Tallies,
        *,
        set_name: Set | None,
        most_copies: int,
        copies_pause: float,
    ) -> None:
        self.champion, self.challenger = champion, challenger
        self.policy: TrafficPolicy | None = None
        self._gauges, self._tallies = gauges, tallies
        self._set = set_name
        self.copies = Copies(challenger, gauges, tallies, most_copies, copies_pause)

    async def answer(self, kind: str, body: bytes, key: str | None, started: float) -> Response:
        """Answer one request under the policy that is in force as it arrives.

        Raises Busy or ModelFailed when not even the champion can answer.
        """
        policy, prediction_id = self.policy, new_id()
        call = Call(prediction_id, kind, body, datetime.now(UTC).isoformat())
        if policy is None or not policy.live:
            return await self._by_champion(call, None, started)
        key = key or prediction_id
        assigned = self._assigned(policy, key)
        call = replace(
            call, experiment=policy.experiment, assigned=assigned, unit=unit(policy, key)
        )
        if assigned == CHALLENGER:
            return await self._by_challenger(call, policy, started)
        found = await self._by_champion(call, policy, started)
        # Only now, so that nothing of it comes before the answer. What the champion refuses or
        # fails says nothing of the challenger.
        if policy.shadow and found.reply.status == 200:
            self.copies.add(Copy(call, policy.experiment))
        return found

    def _assigned(self, policy: TrafficPolicy, key: str) -> Variant:
        if isinstance(policy.strategy, BlueGreen):
            return policy.variant_of_set(self._set)
        return assign(policy, key)

    async def _by_champion(
        self, call: Call, policy: TrafficPolicy | None, started: float
    ) -> Response:
        try:
            reply = await self.champion.answer(call)
        except (ModelFailed, Busy):
            if policy is not None:
                self._tallies.add(policy.experiment, CHAMPION, requests=1, errors=1)
            raise
        self._count(policy, CHAMPION, reply, started)
        return Response(reply, CHAMPION, call.id)

    async def _by_challenger(self, call: Call, policy: TrafficPolicy, started: float) -> Response:
        """The challenger's answer; where it has none in time, the champion's."""
        if not self.challenger.on_trial(policy.experiment):
            # Not its fault: it is being loaded. Refusals are counted where they happen.
            return await self._by_champion(call, None, started)
        patience = max(_PATIENCE * policy.guards.slow_ms / 1000, _LEAST_PATIENCE_SECONDS)
        try:
            reply = await asyncio.wait_for(self.challenger.try_answer(call), patience)
        except (ModelFailed, Busy, TimeoutError) as failure:
            slow = int(isinstance(failure, TimeoutError))
            self._tallies.add(policy.experiment, CHALLENGER, requests=1, errors=1, slow=slow)
            self._gauges.fallbacks.inc()
            return await self._by_champion(call, None, started)
        if _refused(reply):
            return await self._after_refusal(call, policy, reply)
        self._count(policy, CHALLENGER, reply, started)
        if reply.status == 503:
            self._gauges.fallbacks.inc()
            return await self._by_champion(call, None, started)
        return Response(reply, CHALLENGER, call.id)

    async def _after_refusal(self, call: Call, policy: TrafficPolicy, reply: Reply) -> Response:
        """A request that the challenger refuses is its error only where the champion answers it."""
        found = Response(reply, CHALLENGER, call.id)
        try:
            champions = await self._by_champion(call, None, time.perf_counter())
        except (ModelFailed, Busy):
            return found
        if champions.reply.status != 200:
            return found
        self._tallies.add(policy.experiment, CHALLENGER, requests=1, errors=1)
        self._gauges.fallbacks.inc()
        return champions

    def _count(
        self, policy: TrafficPolicy | None, variant: Variant, reply: Reply, started: float
    ) -> None:
        seconds = time.perf_counter() - started
        self._gauges.seconds.labels(variant).observe(seconds)
        self._gauges.rows.labels(variant).inc(reply.rows)
        if policy is None or _refused(reply):
            return
        self._tallies.add(
            policy.experiment,
            variant,
            requests=1,
            errors=int(reply.status != 200),
            slow=int(seconds * 1000 > policy.guards.slow_ms),
            rows=reply.rows,
            score_total=reply.score_total,
            score_squares=reply.score_squares,
        )


def _refused(reply: Reply) -> bool:
    """Whether the request is at fault. One client that sends many such is no fault of a variant."""
    return 400 <= reply.status < 500


def new_id() -> str:
    """A prediction's id; it begins with the day, so that its log is found without a search."""
    return f"{datetime.now(UTC):%Y%m%d}-{uuid.uuid4().hex}"
