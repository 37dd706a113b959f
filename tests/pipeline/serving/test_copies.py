"""Copies stay within bounds, and what a client does wrong is blamed on no variant."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.rollouts.policy import Tally, TrafficPolicy
from pipeline.serving import copies
from pipeline.serving.config import Config, Served
from pipeline.serving.copies import Copies, Copy
from pipeline.serving.follower import Follower, _challenger
from pipeline.serving.gauges import Gauges, Tallies
from pipeline.serving.models import Wanted
from pipeline.serving.process import Call, ModelFailed, Reply
from pipeline.serving.slot import Slot
from pipeline.serving.traffic import Traffic

NOW = datetime(2026, 11, 28, tzinfo=UTC)
GOOD = Reply(200, b"{}", 1, 0.5, 0.25)
REFUSED = Reply(422, b"{}", 0, 0, 0)
FAILED = Reply(503, b"{}", 0, 0, 0)


class Model:
    """A slot whose model gives one answer, or fails where that is None."""

    def __init__(self, reply: Reply | None = GOOD) -> None:
        self.reply, self.ready = reply, True
        self.wanted: Wanted | None = Wanted("2", {}, {"experiment": "e1"})
        self.groups: list[list[Call]] = []
        self.asked = 0

    def on_trial(self, experiment: str) -> bool:
        return Slot.on_trial(cast("Slot", self), experiment)

    async def answer(self, _: Call) -> Reply:
        self.asked += 1
        if self.reply is None:
            raise ModelFailed("no")
        return self.reply

    try_answer = answer

    async def try_all(self, calls: Sequence[Call]) -> list[Reply | None]:
        self.groups.append(list(calls))
        return [self.reply] * len(calls)


class Side:
    """Traffic between two such models, and what was counted of it."""

    def __init__(self, champion: Reply | None = GOOD, challenger: Reply | None = GOOD) -> None:
        self.champion, self.challenger = Model(champion), Model(challenger)
        self.gauges, self.tallies = Gauges(), Tallies()
        slots = cast("tuple[Slot, Slot]", (self.champion, self.challenger))
        counts = (self.gauges, self.tallies)
        self.traffic = Traffic(*slots, *counts, set_name=None, most_copies=256, copies_pause=10)

    def answer(self, policy: TrafficPolicy, times: int = 1) -> list[tuple[int, str]]:
        """Status and variant of so many answers; copies are handed on."""
        self.traffic.policy = policy

        async def run() -> list[tuple[int, str]]:
            found = [await self.traffic.answer("json", b"{}", None, 0) for _ in range(times)]
            await until_empty(self.traffic.copies)
            return [(each.reply.status, each.variant) for each in found]

        return asyncio.run(run())

    def counted(self) -> dict[str, Tally]:
        taken = self.tallies.take()
        return {str(variant): tally for variant, tally in taken.get("e1", {}).items()}

    def outcomes(self) -> dict[str, float]:
        (family,) = self.gauges.copies.collect()
        return {
            sample.labels["outcome"]: sample.value
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value
        }


async def until_empty(queue: Copies) -> None:
    task = asyncio.create_task(queue.run())
    while queue.waiting:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.001)
    task.cancel()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "GATHER_SECONDS", 0.001)


def policy(kind: str = "canary", **changes: Any) -> TrafficPolicy:
    plans: dict[str, Any] = {
        "canary": {"strategy": {"kind": "canary"}, "share": 1.0},
        "shadow": {"strategy": {"kind": "champion_challenger"}, "shadow": True},
    }
    raw = {
        "model": "small",
        "version": 1,
        "experiment": "e1",
        "phase": "running",
        "challenger": {"model_version": "2", "run_id": "run", "files": {}},
        "champion_sequence": 1,
        "champion_version": "1",
        "loss": "error",
        "started_at": NOW,
        "progress": {"since": NOW},
        "changed_at": NOW,
        "changed_by": "test",
        "why": "test",
    }
    return TrafficPolicy.model_validate({**raw, **plans[kind], **changes})


def queued(model: Model, side: Side, sizes: Sequence[int], most: int = 256) -> Copies:
    queue = Copies(cast("Slot", model), side.gauges, side.tallies, most, 0.1)
    for number, size in enumerate(sizes):
        queue.add(Copy(Call(str(number), "json", b"x" * size, ""), "e1"))
    return queue


def test_copies_go_in_groups_of_few_requests_and_bytes() -> None:
    side, model = Side(), Model()
    large = copies.GROUP_BYTES // 2 + 1
    sizes = [10] * (copies.GROUP_REQUESTS + 6) + [large] * 2
    queue = queued(model, side, sizes, most=len(sizes))
    asyncio.run(until_empty(queue))

    assert [len(group) for group in model.groups] == [copies.GROUP_REQUESTS, 7, 1]
    assert side.outcomes() == {"answered": copies.GROUP_REQUESTS + 8}
    assert side.counted()["challenger"].requests == copies.GROUP_REQUESTS + 8


@pytest.mark.parametrize(("sizes", "kept"), [([10] * 300, 256), ([copies.MOST_BYTES // 4] * 9, 4)])
def test_what_waits_is_bounded_in_number_and_in_bytes(sizes: list[int], kept: int) -> None:
    side = Side()
    queue = queued(Model(), side, sizes)

    assert queue.waiting == kept
    assert side.outcomes() == {"dropped": len(sizes) - kept}


def test_a_challenger_that_is_not_there_is_blamed_for_nothing() -> None:
    side, model = Side(), Model()
    queue = queued(model, side, [10] * 3)
    model.ready = False
    asyncio.run(until_empty(queue))

    assert (model.groups, side.counted()) == ([], {})
    assert side.outcomes() == {"dropped": 3}


@pytest.mark.slow
def test_without_a_spare_core_the_challenger_works_a_part_of_the_time() -> None:
    class Slow(Model):
        async def try_all(self, calls: Sequence[Call]) -> list[Reply | None]:
            await asyncio.sleep(0.02)
            return await super().try_all(calls)

    async def groups_within(pauses: int, seconds: float) -> int:
        side, model = Side(), Slow()
        queue = Copies(cast("Slot", model), side.gauges, side.tallies, 10_000, 10, pauses)
        for number in range(10_000):
            queue.add(Copy(Call(str(number), "json", b"{}", ""), "e1"))
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(seconds)
        task.cancel()
        return len(model.groups)

    assert asyncio.run(groups_within(9, 0.5)) <= 3 < asyncio.run(groups_within(0, 0.5))


def test_copies_that_are_dropped_before_their_turn_are_no_group() -> None:
    async def run() -> None:
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0)
        queue.clear()
        await asyncio.sleep(0.02)
        assert queue._under_way is None
        assert not task.done()
        task.cancel()

    side, model = Side(), Model()
    queue = queued(model, side, [10] * 3)
    asyncio.run(run())

    assert side.outcomes() == {"dropped": 3}


def test_copies_of_a_rollout_that_ended_reach_no_other_challenger() -> None:
    side, model = Side(), Model()
    queue = queued(model, side, [10] * 3)
    model.wanted = Wanted("3", {}, {"experiment": "e2"})
    asyncio.run(until_empty(queue))

    assert (model.groups, side.counted()) == ([], {})


def test_a_challenger_that_hung_does_not_keep_the_next_one_waiting() -> None:
    class Hung(Model):
        async def try_all(self, calls: Sequence[Call]) -> list[Reply | None]:
            if self.reply is None:
                await asyncio.sleep(3600)
            return await super().try_all(calls)

    async def run() -> None:
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0.05)
        queue.clear()
        model.reply = GOOD
        queue.add(Copy(Call("next", "json", b"{}", ""), "e1"))
        while not model.groups:
            await asyncio.sleep(0.001)
        task.cancel()

    side, model = Side(), Hung(None)
    queue = queued(model, side, [10] * 3 * copies.GROUP_REQUESTS, most=3 * copies.GROUP_REQUESTS)
    asyncio.run(asyncio.wait_for(run(), 60))

    assert [[call.id for call in group] for group in model.groups] == [["next"]]


@pytest.mark.parametrize("reply", [GOOD, FAILED, None])
def test_a_copy_counts_for_the_challenger_and_changes_no_answer(reply: Reply | None) -> None:
    side = Side(challenger=reply)
    found = side.answer(policy("shadow"), times=3)

    assert found == [(200, "champion")] * 3
    counted = side.counted()
    assert (counted["champion"].requests, counted["challenger"].requests) == (3, 3)
    assert counted["challenger"].errors == (0 if reply is GOOD else 3)


@pytest.mark.parametrize("kind", ["shadow", "canary"])
def test_a_request_that_both_models_refuse_is_no_error_of_either(kind: str) -> None:
    """https://github.com/fluxcd/flagger/issues/8: a client's faults say nothing of a release."""
    side = Side(REFUSED, REFUSED)
    found = side.answer(policy(kind), times=3)

    assert {status for status, _ in found} == {422}
    assert side.counted() == {}


def test_a_request_that_only_the_challenger_refuses_is_its_error_and_gets_an_answer() -> None:
    side = Side(GOOD, REFUSED)

    assert side.answer(policy()) == [(200, "champion")]
    assert side.counted()["challenger"] == Tally(requests=1, errors=1)


def test_the_model_of_a_rollout_that_ended_answers_for_no_other() -> None:
    """https://github.com/kserve/kserve/issues/2130: one ends, and the next begins before a look."""
    side = Side()

    assert side.answer(policy(experiment="e2")) == [(200, "champion")]
    assert side.challenger.asked == 0
    assert side.tallies.take() == {}


def test_a_copy_that_only_the_challenger_refuses_is_its_error() -> None:
    side = Side(GOOD, REFUSED)

    assert side.answer(policy("shadow")) == [(200, "champion")]
    assert side.counted()["challenger"] == Tally(requests=1, errors=1)


Follow = Callable[[], Follower]


@pytest.fixture
def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follow:
    """A server's follower, whose models' processes end while they load."""

    async def show(self: Slot, wanted: Wanted) -> None:
        raise ModelFailed("its process ended while it loaded")

    monkeypatch.setattr(Slot, "show", show)
    return lambda: Follower(
        Config(Served("small", None, tmp_path), tmp_path / "state", "server"), Gauges(), Tallies()
    )


def test_copies_switched_off_and_on_leave_the_challenger_loaded(follow: Follow) -> None:
    """The benchmark does so; a load within a turn made its p99."""
    on = policy("shadow")
    off = on.model_copy(update={"shadow": False})
    config = follow()._config
    wanted = [_challenger(each, config) for each in (on, off)]

    assert wanted[0] is not None and wanted[1] is not None
    assert wanted[0].identity == wanted[1].identity


def test_a_challenger_that_never_loads_is_refused_after_a_few_attempts(follow: Follow) -> None:
    """Else no request would reach it, and its rollout would wait for ever, without a word."""
    follower = follow()
    follower.traffic.policy = policy()
    wanted = Wanted("2", {}, {})

    async def look(times: int) -> int:
        failed = 0
        for _ in range(times):
            try:
                await follower._show(follower.traffic.challenger, wanted, "challenger")
            except ModelFailed:
                failed += 1
        return failed

    assert asyncio.run(look(6)) == 2
    assert follower._tallies.take()["e1"]["challenger"].refused == 1


def test_a_champion_is_tried_again_as_long_as_nobody_else_can_answer(follow: Follow) -> None:
    follower = follow()

    async def look() -> None:
        for _ in range(6):
            with pytest.raises(ModelFailed):
                await follower._show(follower.traffic.champion, Wanted("1", {}, {}), "champion")

    asyncio.run(look())
