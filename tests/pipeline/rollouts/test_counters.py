"""Counts of many servers are one sum, though their clocks differ by some minutes."""

from datetime import UTC, datetime, timedelta

import boto3
from moto import mock_aws

from pipeline.rollouts.observed.counters import CloudWatchCounters, total
from pipeline.rollouts.policy import Tally


@mock_aws
def test_counts_of_servers_whose_clocks_differ_by_minutes_are_summed() -> None:
    client = boto3.client("cloudwatch", region_name="us-east-1")
    counters, started = CloudWatchCounters(client, "Keyless", "small"), datetime.now(UTC)
    names = {"Model": "small", "Experiment": "e1", "Variant": "challenger"}
    for minutes in (-10, 10):
        client.put_metric_data(
            Namespace="Keyless",
            MetricData=[
                {
                    "MetricName": "VariantErrors",
                    "Dimensions": [{"Name": name, "Value": names[name]} for name in names],
                    "Timestamp": started + timedelta(minutes=minutes),
                    "Value": 3,
                }
            ],
        )
    counters.add("e1", {"challenger": Tally(errors=1), "champion": Tally(requests=5)})

    found = total(counters, "e1", started)
    assert found == {"challenger": Tally(errors=7), "champion": Tally(requests=5)}
