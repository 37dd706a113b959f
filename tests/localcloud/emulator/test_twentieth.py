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

    assert points(1, 7) == "InvalidParameterValue"

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
    for least, most in ((5, 1), (0, 1), (-5, -1)):
        asked = {"MinCount": least, "MaxCount": most}
        assert told(ec2.run_instances, **launch, **asked) == "InvalidParameterValue"
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


TIMES = (
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html, its examples
    ("cron(0 10 * * ? *)", True),
    ("cron(15 12 * * ? *)", True),
    ("cron(0 18 ? * MON-FRI *)", True),
    ("cron(0 8 1 * ? *)", True),
    ("cron(0/10 * ? * MON-FRI *)", True),
    ("cron(0/5 8-17 ? * MON-FRI *)", True),
    ("cron(0 9 ? * 2#1 *)", True),
    ("cron(15 10 ? * 6L 2022-2023)", True),
    ("cron(0 10 L * ? *)", True),
    ("cron(0 10 15W * ? *)", True),
    ("cron(0 0,12 ? JAN-MAR,JUL 1,7 2026,2030)", True),
    # "you must use a ? in the other"; the fields' values
    ("cron(* * * * * *)", False),
    ("cron(0 10 ? * ? *)", False),
    ("cron(61 * * * ? *)", False),
    ("cron(0 24 * * ? *)", False),
    ("cron(0 10 32 * ? *)", False),
    ("cron(0 10 ? 13 MON *)", False),
    ("cron(0 10 ? * 8 *)", False),
    ("cron(0 10 ? * 6#6 *)", False),
    ("cron(0 10 * * ? 1969)", False),
    ("cron(a 10 ? * 1 *)", False),
    ("cron(0/0 10 ? * 1 *)", False),
)


def test_a_schedule_has_times_that_there_are(account: Account) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html: of Lambda, Step
    Functions and EventBridge "the input must be a well-formed JSON. For all other target types, a
    JSON is not required."
    """
    scheduler, events = account.client("scheduler"), account.client("events")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = account.role("schedules-20", trust)

    def schedule(expression: str, service: str = "sqs", **more: str) -> str:
        arn = f"arn:aws:{service}:us-east-1:{account.cloud.account_id}:x"
        asked: dict[str, Any] = {
            "Name": f"of-{time.monotonic_ns()}",
            "ScheduleExpression": expression,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": arn, "RoleArn": role, **more},
        }
        return told(scheduler.create_schedule, **asked)

    for expression, good in TIMES:
        code = "" if good else "ValidationException"
        assert schedule(expression) == code, expression
        assert told(events.put_rule, Name="of-20", ScheduleExpression=expression) == code
    assert schedule("at(2028-02-29T10:00:00)") == ""
    assert schedule("at(2027-02-29T10:00:00)") == "ValidationException"
    assert schedule("at(2027-02-28T24:00:00)") == "ValidationException"
    hourly = "rate(1 hour)"
    assert schedule(hourly, "lambda", Input="{") == "ValidationException"
    assert [schedule(hourly, "sqs", Input="{"), schedule(hourly, "lambda", Input="{}")] == ["", ""]


def test_what_is_sent_has_a_size_and_says_something(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
    https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    logs, topics, s3 = (account.client(name) for name in ("logs", "sns", "s3"))
    stream = {"logGroupName": "of-20", "logStreamName": "s"}
    logs.create_log_group(logGroupName="of-20")
    logs.create_log_stream(**stream)
    now = int(time.time() * 1000)
    for span, size, code in (
        (now, 1, "InvalidParameterException"),
        (86_400_001, 1, "InvalidParameterException"),
        (86_400_000, 1, ""),
        (0, 524_288, "InvalidParameterException"),
        (0, 524_200, ""),
    ):
        events = [{"timestamp": at, "message": "x" * size} for at in (now - span, now)]
        assert told(logs.put_log_events, **stream, logEvents=events) == code, (span, size)
    topic = topics.create_topic(Name="of-20")["TopicArn"]
    wrong = "InvalidParameter"
    for message, code in (
        ({"Message": ""}, wrong),
        ({"Message": "x", "MessageStructure": "json"}, wrong),
        ({"Message": "{}", "MessageStructure": "json"}, wrong),
        ({"Message": '{"default": "x"}', "MessageStructure": "json"}, ""),
        ({"Message": "x", "Subject": "a\nb"}, wrong),
        ({"Message": "x", "Subject": " b"}, wrong),
        ({"Message": "x", "Subject": "Drift: 3 features"}, ""),
    ):
        assert told(topics.publish, TopicArn=topic, **message) == code, message
    s3.create_bucket(Bucket="sent-20")
    for size, code in ((2047, ""), (2048, "MetadataTooLarge")):
        of_object = {"Bucket": "sent-20", "Key": "k", "Metadata": {"a": "x" * size}}
        assert told(s3.put_object, **of_object) == code
        assert told(s3.create_multipart_upload, **of_object) == code
    tags = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]
    put = s3.put_bucket_tagging
    assert told(put, Bucket="sent-20", Tagging={"TagSet": tags}) == "BadRequest"
    assert told(put, Bucket="sent-20", Tagging={"TagSet": tags[:50]}) == ""


def test_a_provider_a_password_and_a_budget_have_what_they_may_have(account: Account) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateNotification.html
    """
    iam, secrets, budgets = (account.client(n) for n in ("iam", "secretsmanager", "budgets"))
    ids = [f"c{n}" for n in range(100)]
    made = iam.create_open_id_connect_provider(Url="https://many.example.com", ClientIDList=ids)
    arn = {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}
    add = iam.add_client_id_to_open_id_connect_provider
    assert told(add, **arn, ClientID="one-more") == "LimitExceeded"
    assert told(add, **arn, ClientID="c7") == ""
    thumbprints = [f"{n:040x}" for n in range(6)]
    update = iam.update_open_id_connect_provider_thumbprint
    assert told(update, **arn, ThumbprintList=thumbprints) == "InvalidInput"
    assert told(update, **arn, ThumbprintList=thumbprints[:5]) == ""
    nothing = {
        f"Exclude{kind}": True for kind in ("Lowercase", "Uppercase", "Numbers", "Punctuation")
    }
    for asked, code in (
        (nothing, "InvalidParameterException"),
        ({"ExcludeCharacters": "0123456789"}, "InvalidParameterException"),
        ({"ExcludeNumbers": True, "ExcludePunctuation": True}, ""),
    ):
        assert told(secrets.get_random_password, **asked) == code, asked
    of_account = {"AccountId": account.cloud.account_id}
    budget = {"BudgetName": "of-20", "BudgetType": "COST", "TimeUnit": "MONTHLY"}
    for amount, code in (
        ("abc", "InvalidParameterException"), ("NaN", "InvalidParameterException"), ("10", "")
    ):  # fmt: skip
        limit = {"Amount": amount, "Unit": "USD"}
        assert (
            told(budgets.create_budget, **of_account, Budget={**budget, "BudgetLimit": limit})
            == code
        )
    notification = {
        "NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0
    }  # fmt: skip
    of_budget = {**of_account, "BudgetName": "of-20", "Notification": notification}
    subscribers = [{"SubscriptionType": "EMAIL", "Address": "a@example.com"}]
    create, delete = budgets.create_notification, budgets.delete_notification
    assert told(delete, **of_budget) == "NotFoundException"
    assert told(create, **of_budget, Subscribers=subscribers) == ""
    assert told(create, **of_budget, Subscribers=subscribers) == "DuplicateRecordException"
    assert told(delete, **of_budget) == ""


def test_volumes_trails_and_listeners_are_such_as_there_are(account: Account) -> None:
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html
    https://github.com/awslabs/fargatecli/issues/104
    """
    ec2, trails, elb = (account.client(name) for name in ("ec2", "cloudtrail", "elbv2"))
    zone = {"AvailabilityZone": "us-east-1a"}
    assert told(ec2.create_volume, **zone, Size=2**40) == "InvalidParameterValue"
    account.client("s3").create_bucket(Bucket="trails-20")
    for name in ("my-trail-", "192.168.5.4", "my--trail", "-trail"):
        code = told(trails.create_trail, Name=name, S3BucketName="trails-20")
        assert code == "InvalidTrailNameException", name
    assert told(trails.create_trail, Name="my_trail-2.a", S3BucketName="trails-20") == ""
    subnets = ec2.describe_subnets()["Subnets"]
    balancer = elb.create_load_balancer(Name="of-20", Subnets=[s["SubnetId"] for s in subnets[:2]])
    [made] = balancer["LoadBalancers"]
    group = elb.create_target_group(
        Name="of-20", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"]
    )
    [targets] = group["TargetGroups"]
    listener: dict[str, Any] = {
        "LoadBalancerArn": made["LoadBalancerArn"],
        "Protocol": "HTTP",
        "Port": 80,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": targets["TargetGroupArn"]}],
    }
    with_policy = {**listener, "SslPolicy": "ELBSecurityPolicy-2016-08"}
    assert told(elb.create_listener, **with_policy) == "ValidationError"
    assert told(elb.create_listener, **listener) == ""
