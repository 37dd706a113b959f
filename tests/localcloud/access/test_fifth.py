"""A fifth attack: tags without their thing, names that are AWS's own, what is in use.

Where a control can be taken away alone, the attack is tried once more without it, and must work.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from moto.cloudtrail.models import CloudTrailBackend
from moto.cloudwatch.models import CloudWatchBackend
from moto.iam.models import IAMBackend
from moto.logs.models import LogsBackend
from moto.s3.models import S3Backend
from moto.scheduler.models import EventBridgeSchedulerBackend
from moto.ssm.models import SimpleSystemManagerBackend
from moto.utilities.tagging_service import TaggingService

from scripts.aws.credentials import Credentials
from scripts.localcloud.rules import table
from tests.localcloud.access.test_fourth import deny
from tests.localcloud.access.test_further import ALARM
from tests.localcloud.access.test_names import fails
from tests.localcloud.clients import Account, statement

FIRST = [{"Key": "who", "Value": "first"}]


@pytest.fixture(scope="module")
def anybody(account: Account) -> Credentials:
    return account.session("anyone", statement("*"))


@pytest.fixture
def without_rules(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Takes the rules of a service's operations away."""

    def take_away(service: str, *operations: str) -> None:
        for operation in operations:
            assert (service, operation) in table.checks(account.cloud.backend)
            monkeypatch.setitem(account.cloud.gateway.checks, (service, operation), lambda _: None)

    return take_away


# Tags


class Kind(NamedTuple):
    """How a kind of thing is made, deleted and asked for its tags; moto's method that ends it."""

    service: str
    make: Callable[..., Any]
    end: Callable[[Any], Any]
    tags: Callable[[Any, str], Any]
    ends: tuple[Any, str]
    tagged: str = "Tags"
    first: Any = FIRST


def bucket_tags(s3: Any) -> Any:
    try:
        return s3.get_bucket_tagging(Bucket="tagged-once")["TagSet"]
    except s3.exceptions.ClientError:
        return []


def make_bucket(s3: Any, **tags: Any) -> None:
    s3.create_bucket(Bucket="tagged-once")
    if tags:
        s3.put_bucket_tagging(Bucket="tagged-once", Tagging={"TagSet": tags["Tags"]})


KINDS = {
    "bucket": Kind(
        "s3", make_bucket, lambda s3: s3.delete_bucket(Bucket="tagged-once"),
        lambda s3, _: bucket_tags(s3), (S3Backend, "delete_bucket"),
    ),
    "log group": Kind(
        "logs", lambda c, **t: c.create_log_group(logGroupName="/once", **t),
        lambda c: c.delete_log_group(logGroupName="/once"),
        lambda c, _: c.list_tags_log_group(logGroupName="/once")["tags"],
        (LogsBackend, "delete_log_group"), "tags", {"who": "first"},
    ),
    "alarm": Kind(
        "cloudwatch", lambda c, **t: c.put_metric_alarm(**{**ALARM, "AlarmName": "once"}, **t),
        lambda c: c.delete_alarms(AlarmNames=["once"]),
        lambda c, arn: c.list_tags_for_resource(ResourceARN=f"{arn}:alarm:once")["Tags"],
        (CloudWatchBackend, "delete_alarms"),
    ),
    "trail": Kind(
        "cloudtrail",
        lambda c, **t: c.create_trail(Name="once", S3BucketName="trails-of-once", **t),
        lambda c: c.delete_trail(Name="once"),
        lambda c, arn: c.list_tags(ResourceIdList=[f"{arn}:trail/once"])["ResourceTagList"][0][
            "TagsList"
        ],
        (CloudTrailBackend, "delete_trail"), "TagsList",
    ),
    "schedule group": Kind(
        "scheduler", lambda c, **t: c.create_schedule_group(Name="once", **t),
        lambda c: c.delete_schedule_group(Name="once"),
        lambda c, arn: c.list_tags_for_resource(ResourceArn=f"{arn}:schedule-group/once")["Tags"],
        (EventBridgeSchedulerBackend, "delete_schedule_group"),
    ),
    **{
        f"parameter, {method}": Kind(
            "ssm", lambda c, **t: c.put_parameter(Name="/once", Value="x", Type="String", **t),
            end,
            lambda c, _: c.list_tags_for_resource(ResourceType="Parameter", ResourceId="/once")[
                "TagList"
            ],
            (SimpleSystemManagerBackend, method),
        )
        for method, end in (
            ("delete_parameter", lambda c: c.delete_parameter(Name="/once")),
            ("delete_parameters", lambda c: c.delete_parameters(Names=["/once"])),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_tags_end_with_what_they_are_of(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kind, cloud = KINDS[name], account.cloud
    client = account.client(kind.service)
    if name == "trail":
        account.client("s3").create_bucket(Bucket="trails-of-once")
    arn = f"arn:aws:{kind.service}:{cloud.region}:{cloud.account_id}"

    def again() -> Any:
        kind.make(client, **{kind.tagged: kind.first})
        assert kind.tags(client, arn)
        kind.end(client)
        kind.make(client)
        found = kind.tags(client, arn)
        kind.end(client)
        return found

    assert not again()
    # As moto has it.
    owner, method = kind.ends
    monkeypatch.setattr(owner, method, inspect.unwrap(getattr(owner, method)))
    assert again()


def test_a_user_keeps_its_tags_and_leaves_a_namesake_none(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = account.client("iam")

    def tags(name: str) -> Any:
        return iam.list_user_tags(UserName=name)["Tags"]

    def renamed(name: str) -> tuple[Any, Any]:
        iam.create_user(UserName=name, Tags=FIRST)
        iam.update_user(UserName=name, NewUserName=f"{name}-later", NewPath="/later/")
        iam.create_user(UserName=name)
        return tags(f"{name}-later"), tags(name)

    assert renamed("tagged") == (FIRST, [])
    monkeypatch.setattr(IAMBackend, "update_user", inspect.unwrap(IAMBackend.update_user))
    assert renamed("loose") == ([], FIRST)


def test_a_copy_has_no_tags_of_what_it_is_written_over(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="copied-over")
    s3.put_object(Bucket="copied-over", Key="plain", Body=b"")

    def over() -> Any:
        s3.put_object(Bucket="copied-over", Key="a", Body=b"", Tagging="who=first")
        s3.copy_object(Bucket="copied-over", Key="a", CopySource="copied-over/plain")
        return s3.get_object_tagging(Bucket="copied-over", Key="a")["TagSet"]

    assert over() == []
    monkeypatch.setattr(TaggingService, "copy_tags", inspect.unwrap(TaggingService.copy_tags))
    assert over() == FIRST


@pytest.mark.parametrize("prefix", ["aws", "iam"])
def test_a_role_is_kept_by_its_tags_from_who_assumes_it(account: Account, prefix: str) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html"""
    root = f"arn:aws:iam::{account.cloud.account_id}:root"
    trust = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}
    roles = {
        value: account.role(
            f"{prefix}-{value}", {"Version": "2012-10-17", "Statement": [trust]},
            Tags=[{"Key": "locked", "Value": value}],
        )
        for value in ("no", "yes")
    }  # fmt: skip
    locked = {"StringEquals": {f"{prefix}:ResourceTag/locked": "yes"}}
    who = account.session(f"by-{prefix}-tag", statement("*"), deny("sts:AssumeRole", locked))
    sts = account.client("sts", who)
    assert sts.assume_role(RoleArn=roles["no"], RoleSessionName="in")
    assert fails(sts.assume_role, RoleArn=roles["yes"], RoleSessionName="in") == "AccessDenied"


# Users, groups and AWS's own roles


def test_a_group_or_user_in_use_is_not_deleted(
    account: Account, anybody: Credentials, without_rules: Callable[..., None]
) -> None:
    """A group that goes takes what it denies its members with it."""
    iam, mine = account.client("iam"), account.client("iam", anybody)
    iam.create_group(GroupName="kept")
    document = json.dumps({"Version": "2012-10-17", "Statement": deny("s3:*")})
    iam.put_group_policy(GroupName="kept", PolicyName="deny", PolicyDocument=document)
    assert fails(mine.delete_group, GroupName="kept") == "DeleteConflict"
    iam.delete_group_policy(GroupName="kept", PolicyName="deny")
    iam.create_user(UserName="in-use")
    key = iam.create_access_key(UserName="in-use")["AccessKey"]["AccessKeyId"]
    assert fails(mine.delete_user, UserName="in-use") == "DeleteConflict"
    iam.delete_access_key(UserName="in-use", AccessKeyId=key)
    iam.add_user_to_group(GroupName="kept", UserName="in-use")
    assert fails(mine.delete_group, GroupName="kept") == "DeleteConflict"
    assert fails(mine.delete_user, UserName="in-use") == "DeleteConflict"
    without_rules("iam", "DeleteGroup")
    mine.delete_group(GroupName="kept")
    mine.delete_user(UserName="in-use")


def test_awss_own_roles_are_not_made_by_others(
    account: Account, anybody: Credentials, without_rules: Callable[..., None]
) -> None:
    iam = account.client("iam", anybody)
    service = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
               "Action": "sts:AssumeRole"}  # fmt: skip
    trust = json.dumps({"Version": "2012-10-17", "Statement": [service]})
    role = {"RoleName": "posing", "AssumeRolePolicyDocument": trust}
    for path in ("/aws-reserved/sso.amazonaws.com/", "/aws-service-role/ec2.amazonaws.com/"):
        assert fails(iam.create_role, Path=path, **role) == "InvalidInput"
    # Whose name is not known here: a Deny by it would be passed over.
    suffixed = {"AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": "x"}
    for asked in ({"AWSServiceName": "ecs.amazonaws.com"}, suffixed):
        assert fails(iam.create_service_linked_role, **asked) == "LocalCloudNotImplemented"
    without_rules("iam", "CreateRole", "CreateServiceLinkedRole")
    assert iam.create_role(Path="/aws-reserved/sso.amazonaws.com/", **role)
    assert iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
