"""How many threads numerical libraries may use, and work on several threads."""

import itertools
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_LARGE_ROWS = 50_000
_M_TOP_PAD, _KEPT_BYTES = -2, 64 << 20  # -2 as in glibc's malloc.h


def limited(rows: int) -> AbstractContextManager[object]:
    """One thread for work on few rows, all of them for many.

    Threads of small work mostly wait for each other; on cores that are shared with other processes
    that costs up to fifty times what it gives.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    most = 1 if rows < _LARGE_ROWS else None
    limits: AbstractContextManager[object] = threadpool_limits(limits=most)
    return limits


@contextmanager
def one_each() -> Iterator[Callable[[], None]]:
    """Limit each thread that calls what is yielded to one thread; a pool's workers call it first.

    OpenMP limits are per calling thread, so each worker sets its own.
    """
    from threadpoolctl import ThreadpoolController

    # Finding the libraries takes some milliseconds, so the workers do not each look for them.
    libraries = ThreadpoolController()

    def begin() -> None:
        libraries.limit(limits=1, user_api="openmp")

    with libraries.limit(limits=1):
        yield begin


def keep_freed_memory() -> None:
    """Let the C library keep what was freed for what comes next, 64 MiB for each thread.

    By default glibc returns it to the kernel, to be cleared and mapped anew page by page: with
    arrays of some MiB that come and go with each item, that is a tenth of the time. Other C
    libraries stay as they are. https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    import ctypes

    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_TOP_PAD, _KEPT_BYTES)


def cores() -> int:
    """Cores that this process may use; containers and affinity count."""
    from joblib import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())


def side_by_side(
    items: Iterable[_In],
    work: Callable[[_In], _Out],
    store: Callable[[_Out], None],
    begin: Callable[[], None],
) -> None:
    """Work on items with a thread for each core, and store what comes of them in order.

    `begin` is called first by each thread. Of several failures the first item's is raised.
    """
    line = _Line(items, work, store)
    with ThreadPoolExecutor(cores(), initializer=begin) as pool:
        try:
            running = {pool.submit(line.follow) for _ in range(cores())}
            while running:
                # A signal that comes just before a wait is only acted on when the wait is over.
                done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
                for thread in done:
                    thread.result()
        finally:
            line.stop()


class _Line(Generic[_In, _Out]):
    """Items, drawn by one thread at a time and stored by one at a time, in order.

    A thread takes an item the whole way, so that it stays in that core's cache, and no more items
    are held than threads follow.
    """

    def __init__(
        self,
        items: Iterable[_In],
        work: Callable[[_In], _Out],
        store: Callable[[_Out], None],
    ) -> None:
        self._items, self._places = iter(items), itertools.count()
        self._work, self._store = work, store
        self._drawing, self._turn = threading.Lock(), threading.Condition()
        self._stored, self._stopped = 0, False

    def follow(self) -> None:
        while self._take_one():
            pass

    def stop(self) -> None:
        with self._turn:
            self._stopped = True
            self._turn.notify_all()

    def _take_one(self) -> bool:
        with self._drawing:
            place, drawn = next(self._places), _attempt(lambda: next(self._items))
        if isinstance(drawn.exception(), StopIteration):
            return False
        worked = _attempt(lambda: self._work(drawn.result()))
        with self._turn:
            self._turn.wait_for(lambda: self._stopped or self._stored == place)
            if self._stopped:
                return False
            try:
                self._store(worked.result())
                self._stored += 1
            except BaseException:
                self._stopped = True
                raise
            finally:
                self._turn.notify_all()
        return True


def _attempt(function: Callable[[], _Out]) -> Future[_Out]:
    """What a call came to: its result, or what it raised."""
    attempt: Future[_Out] = Future()
    try:
        attempt.set_result(function())
    except Exception as failure:  # noqa: BLE001 - raised when its turn comes
        attempt.set_exception(failure)
    return attempt
