"""A twentieth attack: one call that keeps everybody else waiting, and what it was near."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.ec2.sessions import resolve
from tests.localcloud.clients import Account
from tests.localcloud.test_eleventh import told

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow


def test_a_call_for_too_many_metrics_is_refused(account: Account) -> None:
    """ "The maximum number of data points returned from a single call is 1,440. If you request more
    than 1,440 data points, CloudWatch returns an error."

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
    """
    watch, end = account.client("cloudwatch"), datetime.now(UTC)
    of_metric: dict[str, Any] = {"Namespace": "n20", "MetricName": "m"}
    watch.put_metric_data(Namespace="n20", MetricData=[{"MetricName": "m", "Value": 1.0}])

    def points(days: int, period: int) -> str:
        asked = {"StartTime": end - timedelta(days=days), "EndTime": end, "Period": period}
        return told(watch.get_metric_statistics, **of_metric, **asked, Statistics=["Sum"])

    assert [points(1, 60), points(2, 60), points(9000, 1)] == [
        "",
        *2 * ["InvalidParameterCombination"],
    ]

    def periods(days: int, period: int) -> str:
        stat = {"Metric": of_metric, "Period": period, "Stat": "Sum"}
        return told(
            watch.get_metric_data,
            StartTime=end - timedelta(days=days),
            EndTime=end,
            MetricDataQueries=[{"Id": "a", "MetricStat": stat}],
        )

    assert [periods(14, 60), periods(9000, 1)] == ["", "LocalCloudNotImplemented"]


def test_a_metric_has_values_and_a_time_that_are_such(account: Account) -> None:
    """ "Values must be in the range of -2^360 to 2^360", "as much as two weeks before the current
    date, and as much as 2 hours after"; storage resolutions are 1 and 60.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
    """
    put, now, wrong = (
        account.client("cloudwatch").put_metric_data,
        datetime.now(UTC),
        "InvalidParameterValue",
    )
    for datum, code in (
        ({"Value": 2.0**361}, wrong),
        ({"Value": 1.0, "Timestamp": now - timedelta(days=15)}, wrong),
        ({"Value": 1.0, "Timestamp": now + timedelta(hours=3)}, wrong),
        ({"Value": 1.0, "StorageResolution": 7}, wrong),
        ({"Values": [1.0], "Counts": [-1.0]}, wrong),
        ({"Values": [1.0] * 151}, wrong),
        ({"Values": [1.0], "Counts": [1e12]}, "LocalCloudNotImplemented"),
        ({"Values": [1.0, 2.0], "Counts": [3.0, 4.0], "Timestamp": now - timedelta(days=13)}, ""),
    ):
        assert told(put, Namespace="n20", MetricData=[{"MetricName": "v", **datum}]) == code, datum


def test_nobody_asks_for_more_machines_or_addresses_than_there_could_be(account: Account) -> None:
    """InstanceLimitExceeded: "You've reached the limit on the number of instances you can run
    concurrently"; no type of instance has more than 50 addresses an interface.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html
    """
    ec2 = account.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    launch: dict[str, Any] = {"ImageId": image, "InstanceType": "t3.micro"}
    many = told(ec2.run_instances, **launch, MinCount=1000, MaxCount=1000)
    assert many == "InstanceLimitExceeded"
    for count, code in ((10**9, "PrivateIpAddressLimitExceeded"), (3, "")):
        asked = {"SubnetId": subnet, "SecondaryPrivateIpAddressCount": count}
        assert told(ec2.create_network_interface, **asked) == code
    ec2.create_launch_template(LaunchTemplateName="of-20", LaunchTemplateData=launch)
    group: dict[str, Any] = {
        "AutoScalingGroupName": "of-20",
        "LaunchTemplate": {"LaunchTemplateName": "of-20"},
        "VPCZoneIdentifier": subnet,
        "MinSize": 0,
        "MaxSize": 10**9,
    }
    scaling = account.client("autoscaling")
    many = told(scaling.create_auto_scaling_group, **group, DesiredCapacity=10**9)
    assert many == "LocalCloudNotImplemented"
    assert told(scaling.create_auto_scaling_group, **group, DesiredCapacity=0) == ""


def test_a_document_is_as_small_as_it_looks(account: Account) -> None:
    """Nested aliases are few letters and more than the memory; nesting has an end in any reader."""
    create = account.client("ssm").create_document
    names = "abcdefghi"
    laughs = 'schemaVersion: "2.2"\na: &a [x, x, x, x, x, x, x, x, x]\n' + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in pairwise(names)
    )
    kind: dict[str, Any] = {"Name": "laughs", "DocumentType": "Command"}
    assert told(create, **kind, Content=laughs, DocumentFormat="YAML") == "LocalCloudNotImplemented"
    deep = '{"a":' * 9000 + "1" + "}" * 9000
    assert told(create, **kind, Content=deep) == "InvalidDocumentContent"
    assert told(create, **kind, Content=f'"{"x" * 70_000}"') == "MaxDocumentSizeExceeded"


def test_a_pattern_that_tries_all_ways_ends() -> None:
    """As https://owasp.org/www-community/attacks/Regular_expression_Denial_of_Service_-_ReDoS."""
    document = {
        "schemaVersion": "1.0",
        "sessionType": "Port",
        "parameters": {"portNumber": {"type": "String", "allowedPattern": "^(a+)+$"}},
        "properties": {"portNumber": "{{ portNumber }}"},
    }
    began = time.monotonic()
    with pytest.raises(AwsError, match="does not match"):
        resolve(json.loads(json.dumps(document)), {"portNumber": ["a" * 60 + "!"]})
    assert time.monotonic() - began < 30
