"""One controller of a rollout at a time: a lease that its holder renews, and a number that fences.

The lease is one object, changed by conditional writes alone. A holder that gives no sign of life
is followed after a while, measured on the follower's own clock. The number of the lease goes into
the policy, so a holder that stood still and comes back finds a policy that is not its own.
"""

import time
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.storage import KeyAbsentError, KeyChangedError, Store

STALE_SECONDS = 60.0


class _State(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    holder: str
    beat: int = 0
    released: bool = False


class Lease:
    """The right to change one model's policy by evidence. Not held when made."""

    def __init__(
        self,
        store: Store,
        key: str,
        holder: str,
        *,
        stale_seconds: float = STALE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._key, self._holder = store, key, holder
        self._stale, self._clock = stale_seconds, clock
        self._mine: _State | None = None
        self._etag: str | None = None
        self._since = clock()
        self.other = ""

    @property
    def number(self) -> int:
        """Of the lease that this process holds; 0 while it holds none."""
        return self._mine.number if self._mine else 0

    def hold(self, above: int = 0) -> bool:
        """Renew the lease, or take it where it is free; False while another process holds it.

        Its number will be `above` the one in the policy, also where the lease was lost or spoilt.
        """
        return self._renew(above) if self._mine else self._take(above)

    def release(self) -> None:
        """Let the next controller begin at once."""
        if self._mine is not None:
            self._write(self._mine.model_copy(update={"released": True}))
            self._mine = None

    def _renew(self, above: int) -> bool:
        assert self._mine is not None
        following = self._mine.model_copy(update={"beat": self._mine.beat + 1})
        if self._write(following):
            self._mine = following
            return True
        self._mine, self._etag, self._since = None, None, self._clock()
        return self._take(above)

    def _take(self, above: int) -> bool:
        try:
            found = self._store.read_newer(self._key, None)
        except KeyAbsentError:
            found = None
        if found is None:
            return self._begin(above + 1, None)
        data, stored = found
        try:
            state = _State.model_validate_json(data)
        except ValidationError:  # whoever held it, the policy has its number
            return self._begin(above + 1, stored.etag)
        if stored.etag != self._etag:
            self._etag, self._since = stored.etag, self._clock()
        stands_still = self._clock() - self._since > self._stale
        if state.released or stands_still:
            return self._begin(max(state.number, above) + 1, stored.etag)
        self.other = state.holder
        return False

    def _begin(self, number: int, etag: str | None) -> bool:
        state = _State(number=number, holder=self._holder)
        self._etag = etag
        if not self._write(state):
            self._etag = None
            return False
        self._mine = state
        return True

    def _write(self, state: _State) -> bool:
        try:
            stored = self._store.swap(self._key, state.model_dump_json().encode(), self._etag)
        except KeyChangedError:
            return False
        self._etag = stored.etag
        return True
