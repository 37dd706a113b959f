"""Which variant answers a request: a salted hash of its key, the same on every server."""

import hashlib

from pipeline.rollouts.policy import CHALLENGER, CHAMPION, TrafficPolicy, Variant

_RANGE = 1 << 64


def place(salt: str, key: str) -> float:
    """Where a key falls between 0 and 1, evenly and independently for each salt."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _RANGE


def assign(policy: TrafficPolicy, key: str) -> Variant:
    """The variant for a key. A share that grows moves keys to the challenger, and none back."""
    if policy.share <= 0 or not policy.live:
        return CHAMPION
    return CHALLENGER if place(policy.experiment, key) < policy.share else CHAMPION


def unit(policy: TrafficPolicy, key: str) -> str:
    """A key in logs: enough to tell keys apart, not what they say. Differs by experiment."""
    return hashlib.sha256(f"{policy.experiment}\0{key}".encode()).hexdigest()[:16]
