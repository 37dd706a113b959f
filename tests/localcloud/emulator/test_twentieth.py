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
from tests.localcloud.clients import Account, statement
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


def test_a_tag_of_a_policy_or_provider_is_changed_by_its_own_name(account: Account) -> None:
    """Of these "tag keys are case sensitive", so that a Deny that names `Stage` protects it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#case-sensitivity
    """
    iam = account.client("iam")
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement("s3:GetObject")]})
    first, second = {"Key": "Stage", "Value": "prod"}, {"Key": "stage", "Value": "dev"}
    made = iam.create_policy(PolicyName="of-20", PolicyDocument=text, Tags=[first])["Policy"]
    provider = iam.create_open_id_connect_provider(Url="https://twenty.example.com", Tags=[first])
    for name, thing in (
        ("policy", {"PolicyArn": made["Arn"]}),
        ("open_id_connect_provider", provider),
    ):
        of_thing = {k: v for k, v in thing.items() if k.endswith("Arn")}
        getattr(iam, f"tag_{name}")(**of_thing, Tags=[second])
        getattr(iam, f"untag_{name}")(**of_thing, TagKeys=["STAGE"])
        assert getattr(iam, f"list_{name}_tags")(**of_thing)["Tags"] == [first, second]
        getattr(iam, f"untag_{name}")(**of_thing, TagKeys=["stage"])
        assert getattr(iam, f"list_{name}_tags")(**of_thing)["Tags"] == [first]


def _denying(service: str, condition: dict[str, Any], resource: str = "*") -> str:
    """A policy that lets the account in, and denies by a condition."""
    everybody: dict[str, Any] = {"Principal": "*", "Action": f"{service}:*", "Resource": resource}
    allow = {"Effect": "Allow", **everybody, "Principal": {"AWS": "471835269042"}}
    deny = {"Effect": "Deny", **everybody, "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]})


def test_a_policy_that_nobody_can_judge_is_not_stored(account: Account) -> None:
    """The account's root is always let in on AWS, where no sign-in as root is here.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html
    """
    s3, kms, topics = (account.client(name) for name in ("s3", "kms", "sns"))
    secrets, refused = account.client("secretsmanager"), "LocalCloudUnsupportedPolicy"
    arn, key = "arn:aws:s3:::judged-20", kms.create_key()["KeyMetadata"]["KeyId"]
    s3.create_bucket(Bucket="judged-20")
    secrets.create_secret(Name="judged-20", SecretString="x")
    topic = topics.create_topic(Name="judged-20")["TopicArn"]
    unjudged = {"BinaryEquals": {"aws:userid": "QUJD"}}
    judged = {"StringEquals": {"aws:userid": "nobody"}}
    of_type = {"StringEquals": {"secretsmanager:resource/Type": "x"}}
    for condition, code in ((unjudged, refused), (judged, "")):
        policy = _denying("s3", condition, arn)
        assert told(s3.put_bucket_policy, Bucket="judged-20", Policy=policy) == code
        policy = _denying("kms", condition)
        assert told(kms.put_key_policy, KeyId=key, Policy=policy) == code
        assert told(kms.create_key, Policy=policy) == code
        attribute = {"AttributeName": "Policy", "AttributeValue": _denying("sns", condition, topic)}
        assert told(topics.set_topic_attributes, TopicArn=topic, **attribute) == code
    for condition, code in ((unjudged, refused), (of_type, refused), (judged, "")):
        policy = _denying("secretsmanager", condition)
        put = secrets.put_resource_policy
        assert told(put, SecretId="judged-20", ResourcePolicy=policy) == code
    assert told(s3.delete_bucket_policy, Bucket="judged-20") == ""
    assert told(secrets.delete_resource_policy, SecretId="judged-20") == ""
    assert told(topics.delete_topic, TopicArn=topic) == ""


def test_a_tag_does_not_make_a_policy_one_that_nobody_can_judge(account: Account) -> None:
    """Whoever may tag alone kept everybody from a secret whose policy reads a tag of its key."""
    secrets, kms = account.client("secretsmanager"), account.client("kms")
    condition = {"StringEquals": {"aws:ResourceTag/stage": "prod"}}
    secrets.create_secret(
        Name="tagged-20", SecretString="x", Tags=[{"Key": "Stage", "Value": "dev"}]
    )
    policy = _denying("secretsmanager", condition)
    secrets.put_resource_policy(SecretId="tagged-20", ResourcePolicy=policy)
    tags = [{"Key": "stage", "Value": "qa"}]
    told_so = told(secrets.tag_resource, SecretId="tagged-20", Tags=tags)
    assert told_so == "LocalCloudUnsupportedPolicy"
    assert told(secrets.get_secret_value, SecretId="tagged-20") == ""
    other = [{"Key": "Stage", "Value": "qa"}, {"Key": "team", "Value": "x"}]
    assert told(secrets.tag_resource, SecretId="tagged-20", Tags=other) == ""
    key = kms.create_key(Tags=[{"TagKey": "Stage", "TagValue": "dev"}])["KeyMetadata"]["KeyId"]
    kms.put_key_policy(KeyId=key, Policy=_denying("kms", condition))
    of_key = [{"TagKey": "stage", "TagValue": "qa"}]
    assert told(kms.tag_resource, KeyId=key, Tags=of_key) == "LocalCloudUnsupportedPolicy"
    assert told(kms.describe_key, KeyId=key) == ""
