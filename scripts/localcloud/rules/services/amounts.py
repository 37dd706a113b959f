"""How much one call may ask for: moto counts one by one, and nobody else is answered meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends
from scripts.localcloud.rules.lesser import named

# As many as a new account once had; AWS counts processors today.
MOST_INSTANCES = 20
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html
_MOST_ADDRESSES = 50
_ADDRESSES = frozenset(
    {"Ipv4PrefixCount", "Ipv6AddressCount", "Ipv6PrefixCount", "SecondaryPrivateIpAddressCount"}
)
_MOST_POINTS = 1_440
# Comparisons, some seconds' worth.
_MOST_WORK = 100_000_000
_MOST_SAMPLES = 10_000
_MOST_METRICS, _MOST_VALUES, _LARGEST_VALUE = 1_000, 150, 2.0**360
_OLDEST, _NEWEST = timedelta(weeks=2), timedelta(hours=2)
_RESOLUTIONS = (1, 60)
_SHORT_PERIODS, _MINUTE = (1, 5, 10, 20, 30), 60


def launch(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html"""
    least, count = reading.parameters.get("MinCount", 1), reading.parameters.get("MaxCount", 1)
    if not 1 <= least <= count:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({least}) for parameter minCount is invalid: it is at least 1, and at most "
            f"maxCount ({count}).",
        )
    if count > MOST_INSTANCES:
        raise AwsError(
            "InstanceLimitExceeded",
            f"You have requested more instances ({count}) than your current instance limit of "
            f"{MOST_INSTANCES} allows for the specified instance type.",
        )


def addresses(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    for name, count in named(reading.parameters):
        if name in _ADDRESSES and isinstance(count, int) and not 0 <= count <= _MOST_ADDRESSES:
            raise AwsError(
                "PrivateIpAddressLimitExceeded",
                f"{name} is {count}; no network interface has more than {_MOST_ADDRESSES}",
            )


def group(reading: Reading, _: Backends) -> None:
    """AWS takes any size, and launches what it can."""
    given = reading.parameters
    if max(given.get("MinSize") or 0, given.get("DesiredCapacity") or 0) > MOST_INSTANCES:
        raise AwsError(
            "LocalCloudNotImplemented",
            f"The local cloud has no scaling groups of more than {MOST_INSTANCES} instances",
        )


def statistics(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html"""
    given = reading.parameters
    points = _points(given, given["Period"])
    if points > _MOST_POINTS:
        raise AwsError(
            "InvalidParameterCombination",
            f"You have requested up to {points:,} datapoints, which exceeds the limit of "
            f"{_MOST_POINTS:,}. You may reduce the datapoints requested by increasing Period, or "
            "decreasing the time range.",
        )


def metrics(reading: Reading, backends: Backends) -> None:
    """Moto looks through all metrics for each period, whether it has any or not."""
    given = reading.parameters
    periods = [
        (query.get("MetricStat") or query).get("Period") or 1
        for query in given["MetricDataQueries"]
    ]
    known = len(backends("cloudwatch", reading.request.region).get_all_metrics())
    if sum(_points(given, one) for one in periods) * (1 + known) > _MOST_WORK:
        raise AwsError(
            "LocalCloudNotImplemented",
            "The local cloud does not look at so many periods in one call: ask for longer ones, or "
            "for a shorter time",
        )


def _points(given: Mapping[str, Any], period: int) -> int:
    if period % _MINUTE and period not in _SHORT_PERIODS:
        raise AwsError(
            "InvalidParameterValue",
            "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60",
        )
    return int((given["EndTime"] - given["StartTime"]).total_seconds()) // period


def data(reading: Reading, _: Backends) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html"""
    data, now = reading.parameters.get("MetricData") or (), datetime.now(UTC)
    if len(data) > _MOST_METRICS:
        raise AwsError(
            "InvalidParameterValue", f"The collection MetricData has more than {_MOST_METRICS}."
        )
    for datum in data:
        values, counts = datum.get("Values") or (), datum.get("Counts") or ()
        at = datum.get("Timestamp") or now
        numbers = (*values, *counts, datum.get("Value") or 0)
        wrong = (
            "Values" if len(values) > _MOST_VALUES
            else "Counts" if any(count < 0 for count in counts)
            else "Value" if any(abs(number) > _LARGEST_VALUE for number in numbers)
            else "StorageResolution" if datum.get("StorageResolution", 1) not in _RESOLUTIONS
            else "Timestamp" if not now - _OLDEST <= at <= now + _NEWEST
            else None
        )  # fmt: skip
        if wrong:
            raise AwsError(
                "InvalidParameterValue", f"The parameter MetricData.member.{wrong} is not valid."
            )
        if sum(counts) > _MOST_SAMPLES:
            raise AwsError(
                "LocalCloudNotImplemented",
                f"The local cloud keeps at most {_MOST_SAMPLES} samples of a metric in one call",
            )
