"""Keeps a server's models and policy what the record and the policy say, within seconds."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from pipeline.errors import InputError, StepFailed
from pipeline.model.champion import Champion
from pipeline.rollouts.policies import policies_of
from pipeline.rollouts.policy import (
    CHALLENGER,
    CHAMPION,
    BlueGreen,
    ChampionChallenger,
    TrafficPolicy,
    Variant,
)
from pipeline.serving.config import Config
from pipeline.serving.gauges import Gauges, Tallies
from pipeline.serving.models import ModelFiles, Wanted
from pipeline.serving.process import Load, ModelFailed, ModelRefused
from pipeline.serving.slot import Slot
from pipeline.serving.traffic import Traffic
from pipeline.storage import KeyAbsentError

log = logging.getLogger(__name__)
# Where there is no policy yet, every look is a listing too, which S3 charges ten times as much.
_WITHOUT_POLICY = 4
# A process that ends while it loads, for want of memory for one, may do better the next time.
_MOST_LOADS = 3


class Follower:
    """Looks at record and policy again and again; a look that fails changes nothing."""

    def __init__(self, config: Config, gauges: Gauges, tallies: Tallies) -> None:
        self._config, self._gauges, self._tallies = config, gauges, tallies
        self._files = ModelFiles(config.place.store, config.state / "models")
        self._policies = policies_of(config.place)
        self._etag: str | None = None
        self._record: Champion | None = None
        self._refused: set[tuple[str, str, str]] = set()
        self._failed_loads: Counter[tuple[str, str, str]] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self._looks_to_skip = 0
        hang = config.limits.hang_seconds
        self.traffic = Traffic(
            Slot(CHAMPION, self._load, hang_seconds=hang),
            Slot(CHALLENGER, self._load, hang_seconds=hang),
            gauges,
            tallies,
            set_name=config.set_name,
            most_copies=config.limits.copies,
            copies_pause=config.pace.copies,
        )

    async def start(self) -> None:
        """Look once, then go on looking."""
        await asyncio.gather(
            self._guarded("policy", self.look_at_policy),
            self._guarded("champion", self.look_at_champion),
        )
        pace = self._config.pace
        self._tasks = [
            asyncio.create_task(self.traffic.copies.run()),
            asyncio.create_task(self._again(pace.policy, "policy", self.look_at_policy)),
            asyncio.create_task(self._again(pace.champion, "champion", self.look_at_champion)),
        ]

    async def close(self) -> None:
        """Stop looking and end the models after their last answers."""
        for task in self._tasks:
            task.cancel()
        self.traffic.copies.clear()
        await asyncio.gather(self.traffic.champion.close(), self.traffic.challenger.close())

    async def look_at_champion(self) -> None:
        """Take up the champion of record if it is another one."""
        record = (await asyncio.to_thread(self._config.place.records.read))[0]
        if record is not None:
            self._record = record
            try:
                await self._show(self.traffic.champion, _champion(record, self._config), CHAMPION)
            finally:
                await self._end_rollout()

    async def look_at_policy(self) -> None:
        """Take up the policy if it is a newer one, and its challenger."""
        if self._looks_to_skip:
            self._looks_to_skip -= 1
            return
        try:
            newer = await asyncio.to_thread(self._policies.read_newer, self._etag)
        except KeyAbsentError:
            self.traffic.policy, self._etag = None, None
            self._looks_to_skip = _WITHOUT_POLICY
            self.traffic.copies.clear()
            await self.traffic.challenger.clear()
            return
        if newer is None:
            await self._show_challenger(self.traffic.policy)
            return
        policy = newer.policy
        if policy.model != self._config.place.model:
            raise InputError(f"the policy is of the model {policy.model}")
        self._etag = newer.etag
        self._gauges.policy.set(policy.version)
        await self._follow(self._in_force(policy))

    async def _follow(self, policy: TrafficPolicy) -> None:
        # A rollout that ends frees the traffic first; one that begins waits for its model.
        self.traffic.policy = policy
        if not policy.shadow:
            self.traffic.copies.clear()
        await self._show_challenger(policy)

    async def _end_rollout(self) -> None:
        policy = self.traffic.policy
        if policy is not None and (ended := self._in_force(policy)) is not policy:
            log.warning("the champion of record changed: the rollout ends here")
            await self._follow(ended)

    def _in_force(self, policy: TrafficPolicy) -> TrafficPolicy:
        """The policy, ended where the champion of record is a later one than it began with.

        A controller would write this, but there may be none: it ends when a rollout has succeeded,
        and its challenger may be promoted and rolled back long after.
        """
        record = self._record
        if not policy.live or record is None or record.sequence <= policy.champion_sequence:
            return policy
        return policy.model_copy(update={"phase": "aborted", "share": 0.0, "shadow": False})

    async def _show_challenger(self, policy: TrafficPolicy | None) -> None:
        slot = self.traffic.challenger
        wanted = _challenger(policy, self._config) if policy else None
        if wanted is None:
            if slot.wanted is not None:
                self.traffic.copies.clear()
                await slot.clear()
            return
        assert policy is not None
        slot.background = _in_background(policy)
        await self._show(slot, wanted, CHALLENGER)

    async def _show(self, slot: Slot, wanted: Wanted, variant: Variant) -> None:
        """Let a slot hold a model. One that was refused is not tried again.

        Raises ModelFailed where it could not be loaded and will be tried again.
        """
        held = slot.wanted.identity if slot.wanted else None
        if wanted.identity in (held, *self._refused):
            return
        last = slot.wanted
        try:
            await slot.show(wanted)
        except (ModelRefused, ModelFailed, StepFailed) as refusal:
            if isinstance(refusal, ModelFailed) and self._may_try_again(wanted, slot, variant):
                raise
            self._refused.add(wanted.identity)
            self._gauges.refusals.labels(variant).inc()
            policy = self.traffic.policy
            if variant == CHALLENGER and policy is not None:
                self._tallies.add(policy.experiment, CHALLENGER, refused=1)
            log.error("version %s is refused as %s: %s", wanted.version, variant, refusal)
            return
        if last is not None:
            self._gauges.version.labels(variant, last.version).set(0)
        self._gauges.version.labels(variant, wanted.version).set(1)
        self._gauges.swaps.labels(variant).inc()
        log.warning("version %s answers as %s", wanted.version, variant)
        kept = [each.wanted for each in (self.traffic.champion, self.traffic.challenger)]
        await asyncio.to_thread(
            self._files.forget_all_but, [wanted for wanted in kept if wanted is not None]
        )

    def _may_try_again(self, wanted: Wanted, slot: Slot, variant: Variant) -> bool:
        """After a few attempts it is refused, unless nobody else can answer."""
        self._failed_loads[wanted.identity] += 1
        alone = variant == CHAMPION and slot.wanted is None
        return alone or self._failed_loads[wanted.identity] < _MOST_LOADS

    async def _load(self, wanted: Wanted) -> Load:
        header = {
            "trusted": list(self._config.trusted_types),
            "max_rows": self._config.limits.rows,
            "journal": str(self._config.state / "journal"),
            "journal_rows": self._config.limits.rows * 5,
        }
        return await asyncio.to_thread(self._files.load, wanted, header)

    async def _again(self, pause: float, what: str, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(pause)
            await self._guarded(what, look)

    async def _guarded(self, what: str, look: Callable[[], Awaitable[None]]) -> None:
        """Whatever goes wrong at a look, the server goes on with what it has."""
        try:
            await look()
        except (InputError, StepFailed, ModelFailed) as failure:
            self._gauges.refusals.labels(what).inc()
            log.warning("the %s is not taken up: %s", what, failure)
        except Exception:  # an unreachable AWS, whatever its library calls it
            log.exception("the %s could not be looked at", what)


def _champion(record: Champion, config: Config) -> Wanted:
    return Wanted(
        record.model_version,
        record.files,
        _note(
            config,
            record.model_version,
            record.run_id,
            champion_sequence=record.sequence,
            reference=record.reference.model_dump() if record.reference else None,
        ),
    )


def _challenger(policy: TrafficPolicy, config: Config) -> Wanted | None:
    """The model on trial, where this server takes part in the trial."""
    if not policy.live:
        return None
    if isinstance(policy.strategy, BlueGreen) and config.set_name != policy.strategy.target:
        return None
    model = policy.challenger
    note = _note(
        config,
        model.model_version,
        model.run_id,
        champion_sequence=0,
        reference=None,
        shadow=_in_background(policy),
        experiment=policy.experiment,
    )
    return Wanted(model.model_version, model.files, note)


def _in_background(policy: TrafficPolicy) -> bool:
    """By the strategy, not by whether copies are on just now: a model loaded stays as it is."""
    return isinstance(policy.strategy, ChampionChallenger)


def _note(config: Config, version: str, run_id: str, **more: Any) -> dict[str, Any]:
    """What is kept beside the predictions of a model."""
    return {
        "model": config.place.model,
        "model_version": version,
        "run_id": run_id,
        "server": config.server,
        "shadow": False,
        **more,
    }
