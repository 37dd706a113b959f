"""How many threads numerical libraries may use."""

from contextlib import AbstractContextManager

_LARGE_ROWS = 50_000


def limited(rows: int) -> AbstractContextManager[object]:
    """One thread for work on few rows, all of them for many.

    Threads of small work mostly wait for each other; on cores that are shared with other processes
    that costs up to fifty times what it gives.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    most = 1 if rows < _LARGE_ROWS else None
    limits: AbstractContextManager[object] = threadpool_limits(limits=most)
    return limits


def one_each() -> None:
    """Keep the calling thread's numerical work to itself, until it ends.

    OpenMP counts threads for each thread that calls it, so a pool's workers must each say so.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="openmp")


def cores() -> int:
    """Cores that this process may use; containers and affinity count."""
    from joblib import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())
