"""Where the traffic policy lies, and how it is changed: by one conditional write.

The policy is one object, written with If-Match: of two writers that read the same version one
wins, and the other must look again. An SSM parameter, where the champion of record lies, has no
such write (docs/decisions explains the choice). Before a version is replaced it is copied to the
history, under its number, where nothing is overwritten.
"""

from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.model.place import Place
from pipeline.rollouts import policy as document
from pipeline.rollouts.policy import TrafficPolicy
from pipeline.storage import KeyAbsentError, KeyChangedError, KeyExistsError, Store


@dataclass(frozen=True)
class Read:
    """A policy as it was read; `etag` is for the next conditional read or write.

    `spoilt` says that what is in force is no policy, and this is the version before it.
    """

    policy: TrafficPolicy
    etag: str
    spoilt: bool = False


class PolicyChanged(Exception):
    """Another writer changed the policy first: read it again, then decide again."""


class Policies:
    """The policy of one model in a store, below `prefix` (which ends in the model's name)."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self.key = f"{prefix}/policy.json"
        self._history = f"{prefix}/history/"

    def read(self) -> Read | None:
        """The policy in force; None where there was never one."""
        try:
            return self.read_newer(None)
        except KeyAbsentError:
            return None
        except InputError as error:
            raise InputError(
                f"{error}; servers go on by the last version that they read, and keyless rollout "
                "abort ends its rollout"
            ) from None

    def last_good(self) -> Read | None:
        """As `read`; but what somebody made no policy is as if it still were the version before.

        Raises InputError where there was none before.
        """
        try:
            return self.read()
        except InputError:
            stored = self._store.read(self.key)[1]
            kept = self._store.keys(self._history)
            if not kept:
                raise InputError(
                    f"{self.key} is no traffic policy, and there was none before it: have an "
                    "administrator delete it (no role may), and the champion answers alone"
                ) from None
            last = document.parse(self._store.read(kept[-1])[0], kept[-1])
            return Read(last, stored.etag, spoilt=True)

    def read_newer(self, etag: str | None) -> Read | None:
        """The policy if it is not the one with this etag. Raises KeyAbsentError without one."""
        found = self._store.read_newer(self.key, etag)
        if found is None:
            return None
        return Read(document.parse(found[0], self.key), found[1].etag)

    def write(self, policy: TrafficPolicy, seen: Read | None) -> Read:
        """Put `policy` in force. Raises PolicyChanged unless `seen` is still what is in force."""
        number = seen.policy.version if seen else 0
        if policy.version != number + 1:
            raise ValueError(f"version {policy.version} cannot follow version {number}")
        if seen is not None:
            self._keep(seen.policy)
        data = _dump(policy)
        try:
            stored = self._store.swap(self.key, data, seen.etag if seen else None)
        except KeyChangedError:
            raise PolicyChanged(self.key) from None
        return Read(policy, stored.etag)

    def history(self) -> list[TrafficPolicy]:
        """Every version, oldest first, the one in force last. Lists the history's keys."""
        keys = self._store.keys(self._history)
        past = [document.parse(self._store.read(key)[0], key) for key in keys]
        current = self.read()
        return [*past, *([current.policy] if current else [])]

    def _keep(self, policy: TrafficPolicy) -> None:
        key = f"{self._history}{policy.version:06}.json"
        try:
            self._store.put(key, _dump(policy), if_absent=True)
        except KeyExistsError:
            return  # kept by a writer that then lost, or died, before it replaced this version


def _dump(policy: TrafficPolicy) -> bytes:
    return policy.model_dump_json(indent=1).encode()


def policies_of(place: Place) -> Policies:
    """This model's policy."""
    return Policies(place.store, place.key("rollouts"))
