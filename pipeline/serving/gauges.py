"""The server's own metrics: for Prometheus, and counts for the rollout's controller."""

import threading
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pipeline.rollouts.policy import Tally, Variant

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Gauges:
    """Everything that /metrics shows, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "keyless_requests",
            "Requests by route, status and the variant that answered.",
            ["route", "status", "variant"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "keyless_request_seconds",
            "Time from the request's last byte to the answer.",
            ["variant"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.rows = Counter(
            "keyless_predicted_rows", "Rows predicted.", ["variant"], registry=self.registry
        )
        self.fallbacks = Counter(
            "keyless_fallbacks",
            "Requests of the challenger that the champion answered.",
            registry=self.registry,
        )
        self.copies = Counter(
            "keyless_copies",
            "Requests copied to the challenger, by what came of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "keyless_refused_models",
            "Models and policies that were not taken up, by kind.",
            ["kind"],
            registry=self.registry,
        )
        self.swaps = Counter(
            "keyless_model_swaps", "Models taken up.", ["variant"], registry=self.registry
        )
        self.version = Gauge(
            "keyless_model_version",
            "1 for the model that answers.",
            ["variant", "version"],
            registry=self.registry,
        )
        self.policy = Gauge(
            "keyless_policy_version", "Version of the traffic policy.", registry=self.registry
        )
        self.feedback = Counter(
            "keyless_feedback", "Outcomes acknowledged.", registry=self.registry
        )
        self.unsent = Gauge(
            "keyless_unsent_files",
            "Files of predictions that wait for their upload.",
            registry=self.registry,
        )


class Tallies:
    """Counts by experiment and variant since they were last taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, Variant], Counts[str]] = defaultdict(Counts)

    def add(self, experiment: str, variant: Variant, **counts: float) -> None:
        """Add to what is sent next; the names are those of a Tally."""
        with self._lock:
            known = self._counts[experiment, variant]
            for name, value in counts.items():
                known[name] += value  # type: ignore[assignment]

    def take(self) -> dict[str, dict[Variant, Tally]]:
        """What was counted; the counts begin anew."""
        with self._lock:
            taken, self._counts = self._counts, defaultdict(Counts)
        found: dict[str, dict[Variant, Tally]] = {}
        for (experiment, variant), counts in taken.items():
            found.setdefault(experiment, {})[variant] = Tally(**counts)
        return found

    def give_back(self, experiment: str, tallies: Mapping[Variant, Tally]) -> None:
        """Add what could not be sent to what comes next."""
        for variant, tally in tallies.items():
            self.add(experiment, variant, **tally.model_dump())
