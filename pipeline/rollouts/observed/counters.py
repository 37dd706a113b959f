"""Counts of many servers in one place, for one controller: CloudWatch, or a folder without AWS."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from pipeline.model.place import Place
from pipeline.rollouts.policy import CHALLENGER, CHAMPION, Tally, Variant
from pipeline.storage import FolderStore

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import (
        DimensionTypeDef,
        MetricDataQueryTypeDef,
        MetricDatumTypeDef,
    )

VARIANTS: tuple[Variant, ...] = (CHAMPION, CHALLENGER)
# CloudWatch's names of what a tally counts.
METRICS = {
    "requests": "VariantRequests",
    "errors": "VariantErrors",
    "slow": "VariantSlowAnswers",
    "rows": "VariantRows",
    "score_total": "VariantScoreSum",
    "score_squares": "VariantScoreSquares",
    "refused": "VariantRefusals",
}
# Points of a minute are kept for 15 days, of five minutes for 63 days, of an hour for 455 days.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
_KEPT = ((timedelta(days=14), 60), (timedelta(days=62), 300), (timedelta(days=455), 3600))
SKEW = timedelta(minutes=15)
"""By so much the clocks of servers and controller may differ: of others AWS takes no request.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""


class Counters(Protocol):
    """Where servers add their counts, and the controller reads the sums."""

    def add(self, experiment: str, tallies: Mapping[Variant, Tally]) -> None:
        """Add to the counts of an experiment."""
        ...

    def series(
        self, experiment: str, since: datetime
    ) -> list[tuple[datetime, Mapping[Variant, Tally]]]:
        """What was added, by period, oldest first."""
        ...


def total(counters: Counters, experiment: str, since: datetime) -> dict[Variant, Tally]:
    """Everything that was counted since an experiment began."""
    found = {variant: Tally() for variant in VARIANTS}
    for _, tallies in counters.series(experiment, since):
        for variant, tally in tallies.items():
            found[variant] += tally
    return found


class CloudWatchCounters:
    """Counts as metrics with the dimensions Model, Experiment and Variant."""

    def __init__(self, client: "CloudWatchClient", namespace: str, model: str) -> None:
        self._client, self._namespace, self._model = client, namespace, model

    def add(self, experiment: str, tallies: Mapping[Variant, Tally]) -> None:
        """One request for all that was counted; what is zero costs nothing."""
        now = datetime.now(UTC)
        data: list[MetricDatumTypeDef] = [
            {
                "MetricName": METRICS[name],
                "Dimensions": self._dimensions(experiment, variant),
                "Timestamp": now,
                "Value": float(value),
            }
            for variant, tally in tallies.items()
            for name, value in tally.model_dump().items()
            if value
        ]
        if data:
            self._client.put_metric_data(Namespace=self._namespace, MetricData=data)

    def series(
        self, experiment: str, since: datetime
    ) -> list[tuple[datetime, Mapping[Variant, Tally]]]:
        """Sums by period, longer ones the older the experiment is."""
        now = datetime.now(UTC)
        period = next((each for age, each in _KEPT if now - since < age), 3600)
        # No other experiment has this one's name, so a margin finds nothing that is not its own.
        start = datetime.fromtimestamp((since - SKEW).timestamp() // period * period, UTC)
        wanted = {f"{variant}_{name}": (variant, name) for variant in VARIANTS for name in METRICS}
        queries: list[MetricDataQueryTypeDef] = [
            {
                "Id": key,
                "MetricStat": {
                    "Metric": {
                        "Namespace": self._namespace,
                        "MetricName": METRICS[name],
                        "Dimensions": self._dimensions(experiment, variant),
                    },
                    "Period": period,
                    "Stat": "Sum",
                },
            }
            for key, (variant, name) in wanted.items()
        ]
        pages = self._client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries,
            StartTime=start,
            EndTime=now + SKEW + timedelta(seconds=period),
        )
        points: dict[datetime, dict[Variant, dict[str, float]]] = {}
        for page in pages:
            for result in page["MetricDataResults"]:
                variant, name = wanted[result["Id"]]
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    points.setdefault(at, {}).setdefault(variant, {})[name] = value
        return [
            (at, {variant: Tally(**counts) for variant, counts in points[at].items()})
            for at in sorted(points)
        ]

    def _dimensions(self, experiment: str, variant: Variant) -> "list[DimensionTypeDef]":
        return [
            {"Name": "Model", "Value": self._model},
            {"Name": "Experiment", "Value": experiment},
            {"Name": "Variant", "Value": variant},
        ]


class FolderCounters:
    """Counts as small files, one for each addition."""

    def __init__(self, store: FolderStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def add(self, experiment: str, tallies: Mapping[Variant, Tally]) -> None:
        """One more file."""
        now = datetime.now(UTC)
        document = {
            "at": now.isoformat(),
            "tallies": {variant: tally.model_dump() for variant, tally in tallies.items()},
        }
        key = f"{self._prefix}/{experiment}/{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}.json"
        self._store.put(key, json.dumps(document).encode())

    def series(
        self, experiment: str, since: datetime
    ) -> list[tuple[datetime, Mapping[Variant, Tally]]]:
        """Each addition with its time."""
        del since
        found: list[tuple[datetime, Mapping[Variant, Tally]]] = []
        for key in self._store.keys(f"{self._prefix}/{experiment}/"):
            document = json.loads(self._store.read(key)[0])
            tallies: dict[Variant, Tally] = {
                name: Tally(**counts) for name, counts in document["tallies"].items()
            }
            found.append((datetime.fromisoformat(document["at"]), tallies))
        return found


def counters_of(place: Place) -> Counters:
    """Where this model's servers and its controller count."""
    if place.platform is None:
        assert isinstance(place.store, FolderStore)
        return FolderCounters(place.store, f"counters/{place.model}")
    client = place.session.client("cloudwatch")
    return CloudWatchCounters(client, place.platform.metrics_namespace, place.model)
