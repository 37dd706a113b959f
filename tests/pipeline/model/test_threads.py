"""Work side by side: what is stored, in which order, and what is raised when something fails."""

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import threads
from pipeline.model.threads import side_by_side

WAIT_SECONDS = 30


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 3)


def _nothing() -> None:
    pass


def _same(item: int) -> int:
    return item


def _failing_at(places: set[int], name: str) -> Callable[[int], int]:
    def call(item: int) -> int:
        if item in places:
            raise ValueError(f"{name} {item}")
        return item

    return call


def test_results_are_stored_in_the_order_of_the_items_whichever_is_ready_first() -> None:
    second_is_ready = threading.Event()
    stored: list[int] = []

    def work(item: int) -> int:
        if item == 0:
            assert second_is_ready.wait(WAIT_SECONDS)
        if item == 1:
            second_is_ready.set()
        return item * 10

    side_by_side(range(20), work, stored.append, _nothing)
    assert stored == [item * 10 for item in range(20)]


def test_as_many_items_are_in_work_at_once_as_there_are_cores_and_no_more_are_held() -> None:
    together = threading.Barrier(3, timeout=WAIT_SECONDS)
    drawn, stored, held = 0, 0, 0

    def items() -> Iterator[int]:
        nonlocal drawn, held
        for item in range(30):
            drawn += 1
            held = max(held, drawn - stored)
            yield item

    def store(_: int) -> None:
        nonlocal stored
        stored += 1

    def work(item: int) -> int:
        together.wait()
        return item

    side_by_side(items(), work, store, _nothing)
    assert (drawn, stored, held) == (30, 30, 3)


def test_each_thread_begins_before_it_works() -> None:
    begun: set[int] = set()

    def work(_: int) -> bool:
        return threading.get_ident() in begun

    results: list[bool] = []
    side_by_side(range(9), work, results.append, lambda: begun.add(threading.get_ident()))
    assert results == [True] * 9


@given(
    in_drawing=st.one_of(st.none(), st.integers(0, 12)),
    in_work=st.sets(st.integers(0, 12)),
    in_storing=st.sets(st.integers(0, 12)),
)
def test_of_several_failures_the_first_items_is_raised_and_nothing_after_it_is_stored(
    in_drawing: int | None, in_work: set[int], in_storing: set[int]
) -> None:
    def items() -> Iterator[int]:
        for item in range(10):
            if item == in_drawing:
                raise ValueError(f"drawing {item}")
            yield item

    # What fails first at an item is what comes first on its way.
    failures = {item: f"storing {item}" for item in in_storing if item < 10}
    failures |= {item: f"work {item}" for item in in_work if item < 10}
    if in_drawing is not None and in_drawing < 10:
        failures = {item: why for item, why in failures.items() if item < in_drawing}
        failures[in_drawing] = f"drawing {in_drawing}"
    stored: list[int] = []
    fail = _failing_at(in_storing, "storing")

    def store(item: int) -> None:
        stored.append(fail(item))

    def run() -> None:
        side_by_side(items(), _failing_at(in_work, "work"), store, _nothing)

    if not failures:
        run()
        assert stored == list(range(10))
        return
    first = min(failures)
    with pytest.raises(ValueError, match=f"^{failures[first]}$"):
        run()
    assert stored == list(range(first))


def test_nothing_is_stored_when_a_thread_cannot_begin() -> None:
    def begin() -> None:
        raise RuntimeError("no library")

    stored: list[int] = []
    with pytest.raises(RuntimeError):
        side_by_side(range(3), _same, stored.append, begin)
    assert stored == []


def test_no_items_are_no_error() -> None:
    stored: list[int] = []
    side_by_side([], _same, stored.append, _nothing)
    assert stored == []


def test_an_interruption_ends_work_that_would_go_on_for_ever() -> None:
    def store(item: int) -> None:
        if item == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        side_by_side(itertools.count(), _same, store, _nothing)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("ThreadPool"):
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()
