"""The check of an idle set before it gets traffic: a smoke test, then replayed requests."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.model.place import Place
from pipeline.rollouts.evidence import Verdict
from pipeline.rollouts.policy import BlueGreen, TrafficPolicy

REQUESTS = "_requests"
"""Where servers keep a sample of requests as they came, below the model's predictions."""
START_LIMIT = timedelta(minutes=30)
"""A set that cannot be checked so long after the rollout began has failed."""
_SECONDS = 30.0
# The way to the idle set begins on this machine: no proxy knows it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class IdleSet:
    """Checks the servers at `url`, an address that leads to the idle set alone."""

    place: Place
    url: str

    def verify(self, policy: TrafficPolicy) -> Verdict | None:
        """What the check came to; None while there is time left for what it waits for.

        Servers of an idle set start with the rollout: they install packages and load the model.
        """
        assert isinstance(policy.strategy, BlueGreen)
        requests = self._recent(policy.strategy.replayed)
        lacking = self._lacking(policy, requests)
        if lacking is None:
            return self._replay(requests, policy)
        if datetime.now(UTC) - policy.progress.since < START_LIMIT:
            return None
        minutes = START_LIMIT.total_seconds() / 60
        return Verdict(False, f"after {minutes:.0f} minutes {lacking}")

    def _lacking(self, policy: TrafficPolicy, requests: list[dict[str, str]]) -> str | None:
        """What the check still waits for; None once it can be made."""
        try:
            loaded = self._get("/ready")["models"].get("challenger")
        except (OSError, ValueError) as error:
            return f"the idle set at {self.url} does not answer: {_reason(error)}"
        if loaded != policy.challenger.model_version:
            return f"the idle set has no version {policy.challenger.model_version} loaded"
        return None if requests else "there are no recent requests to replay on the idle set"

    def _replay(self, requests: list[dict[str, str]], policy: TrafficPolicy) -> Verdict:
        """Every request must be answered, and no more of them slowly than the guard allows."""
        slow = 0
        for number, request in enumerate(requests):
            started = time.perf_counter()
            try:
                self._post(request["kind"], request["body"].encode())
            except (OSError, ValueError) as error:
                return Verdict(
                    False,
                    f"the idle set failed on request {number + 1} of {len(requests)} replayed "
                    f"ones: {_reason(error)}",
                )
            slow += (time.perf_counter() - started) * 1000 > policy.guards.slow_ms
        # One answer may be slow by chance, such as the first one.
        most = max(policy.guards.slow_excess * len(requests), 1)
        limit = f"{policy.guards.slow_ms:g} ms"
        sentence = f"{len(requests)} replayed requests were answered, {slow} of them over {limit}"
        return Verdict(slow <= most, sentence)

    def _recent(self, count: int) -> list[dict[str, str]]:
        """Requests that the champion answered lately, as clients sent them, newest first."""
        found: list[dict[str, str]] = []
        for key in reversed(self.place.store.keys(self.place.key("predictions", REQUESTS, ""))):
            found += json.loads(self.place.store.read(key)[0])
            if len(found) >= count:
                break
        # Few requests are replayed again and again: it is the idle set that is to be warmed up.
        return [found[place % len(found)] for place in range(count)] if found else []

    def _get(self, path: str) -> Any:
        with _DIRECT.open(f"{self.url}{path}", timeout=_SECONDS) as answer:
            return json.loads(answer.read())

    def _post(self, kind: str, body: bytes) -> None:
        path = "/predict" if kind == "row" else "/invocations"
        media = "text/csv" if kind == "csv" else "application/json"
        request = urllib.request.Request(f"{self.url}{path}", body, {"Content-Type": media})
        with _DIRECT.open(request, timeout=_SECONDS) as answer:
            answer.read()


def _reason(error: Exception) -> str:
    """An error with what the server said."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code}: {error.read(500).decode(errors='replace')}"
    return str(error)
