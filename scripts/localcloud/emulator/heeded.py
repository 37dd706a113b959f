"""Parameters that moto drops and clients rely on: here they are heeded, each with AWS's page.

What nothing heeds is refused by its name instead (`scripts/localcloud/rules/unread.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

from moto.cloudtrail.responses import CloudTrailResponse
from moto.cloudwatch.models import CloudWatchBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.tags import TagResponse
from moto.ec2.responses.vpcs import VPCs
from moto.logs.responses import LogsResponse
from moto.rds.models import DBInstance, RDSBackend
from moto.s3.responses import S3Response
from werkzeug.datastructures import Headers


@contextmanager
def parameters() -> Iterator[None]:
    """Heed them while the context lasts."""
    with ExitStack() as stack:
        for owner, method, change in (
            (CloudTrailResponse, "describe_trails", _named_trails),
            (CloudWatchBackend, "put_metric_alarm", _state_of_alarm),
            (DBInstance, "__init__", _insights_of_new),
            (DBInstance, "update", _insights_of_changed),
            (InstanceResponse, "run_instances", _as_many_as_may_be),
            (LogsResponse, "describe_log_groups", _groups_of_pattern),
            (LogsResponse, "describe_subscription_filters", _filters_of_prefix),
            (LogsResponse, "filter_log_events", _events_of_streams),
            (RDSBackend, "restore_db_instance_from_db_snapshot", _restored),
            (RDSBackend, "restore_db_instance_to_point_in_time", _restored),
            (S3Response, "_bucket_response_put", _new_bucket),
            (S3Response, "delete_object", _whatever_is_there),
            (TagResponse, "delete_tags", _all_tags),
            (VPCs, "modify_vpc_endpoint", _private_name),
        ):
            original = getattr(owner, method)
            stack.enter_context(patch.object(owner, method, wraps(original)(change(original))))
        yield


_OF_STATE = ("history", "state_reason", "state_reason_data", "state_updated_timestamp",
             "state_value")  # fmt: skip


def _state_of_alarm(original: Callable[..., Any]) -> Callable[..., Any]:
    """A new alarm knows nothing, and one that is put again keeps its state; moto says OK of both.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """

    def put(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(self.alarms)
        alarm = original(self, *args, **kwargs)
        alarm.state_value = "INSUFFICIENT_DATA"
        if known := before.get(alarm.name):
            for name in _OF_STATE:
                setattr(alarm, name, getattr(known, name))
        return alarm

    return put


def _named_trails(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DescribeTrails.html"""

    def describe(self: Any) -> str:
        answer: str = original(self)
        named = self._get_param("trailNameList")
        trails = json.loads(answer)["trailList"]
        shown = [one for one in trails if not named or {one["Name"], one["TrailARN"]} & {*named}]
        return json.dumps({"trailList": shown})

    return describe


def _keep_insights(database: Any, given: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html"""
    for name, shown in (
        ("enable_performance_insights", "performance_insights_enabled"),
        ("performance_insights_kms_key_id", "performance_insights_kms_key_id"),
        ("performance_insights_retention_period", "performance_insights_retention_period"),
    ):
        if given.get(name) is not None:
            setattr(database, shown, given[name])


def _insights_of_new(original: Callable[..., Any]) -> Callable[..., Any]:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.performance_insights_enabled = False
        _keep_insights(self, kwargs)

    return init


def _insights_of_changed(original: Callable[..., Any]) -> Callable[..., Any]:
    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _keep_insights(self, kwargs)

    return update


# What a restore does not take over from its source.
_OFF = dict.fromkeys(
    ("copy_tags_to_snapshot", "deletion_protection", "enable_iam_database_authentication",
     "multi_az"), False
)  # fmt: skip
_DEFAULT = frozenset({"db_parameter_group_name", "vpc_security_group_ids"})


def _restored(original: Callable[..., Any]) -> Callable[..., Any]:
    """Moto takes over what is on in the source, and drops each word that it is to be off.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceToPointInTime.html
    """

    def restore(self: Any, *names: Any) -> Any:
        given, create = names[-1], self.create_db_instance
        said = _OFF | {name: value for name, value in given.items() if isinstance(value, int)}

        def made(taken_over: dict[str, Any]) -> Any:
            kept = taken_over.keys() - (_DEFAULT - {name for name in given if given[name]})
            return create({name: taken_over[name] for name in kept} | said)

        with patch.object(self, "create_db_instance", made):
            return original(self, *names)

    return restore


def _as_many_as_may_be(original: Callable[..., Any]) -> Callable[..., Any]:
    """AWS launches as many as it can, which is the largest number; moto the least.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """

    def run(self: Any) -> Any:
        self.params["MinCount"] = self._get_param("MaxCount")
        return original(self)

    return run


def _groups_of_pattern(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html"""

    def describe(self: Any) -> str:
        answer = json.loads(original(self))
        pattern = self._get_param("logGroupNamePattern") or ""
        found = [one for one in answer["logGroups"] if pattern in one["logGroupName"]]
        return json.dumps({**answer, "logGroups": found})

    return describe


def _events_of_streams(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html"""

    def filtered(self: Any) -> str:
        prefix = self._get_param("logStreamNamePrefix") or ""
        answer = json.loads(original(self))
        for shown in ("events", "searchedLogStreams"):
            found = [one for one in answer[shown] if one["logStreamName"].startswith(prefix)]
            answer[shown] = found
        return json.dumps(answer)

    return filtered


def _new_bucket(original: Callable[..., Any]) -> Callable[..., Any]:
    """A new bucket gets its tags; one that is made again stays as it is, but for its ACL.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    """
    kept = ("object_lock_enabled", "versioning_status", "ownership_rule")

    def put(self: Any, request: Any, name: str, query: Any) -> Any:
        before = None if query else self.backend.buckets.get(name)
        as_it_was = {one: getattr(before, one) for one in kept} if before else {}
        answer = original(self, request, name, query)
        if before is not None:
            vars(before).update(as_it_was)
        if not query and before is None and self.body:
            # Written from what was read of the request; a tag is its key, then its value.
            tags = ElementTree.fromstring(self.body).find("{*}Tags")  # noqa: S314
            given = dict(
                [part.text or "" for part in sorted(tag, key=lambda part: part.tag)]
                for tag in ([] if tags is None else tags)
            )
            if given:
                self.backend.put_bucket_tagging(name, given)
        return answer

    return put


def _filters_of_prefix(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeSubscriptionFilters.html"""

    def describe(self: Any) -> str:
        prefix = self._get_param("filterNamePrefix") or ""
        found = json.loads(original(self))["subscriptionFilters"]
        return json.dumps(
            {"subscriptionFilters": [f for f in found if f["filterName"].startswith(prefix)]}
        )

    return describe


def _all_tags(original: Callable[..., Any]) -> Callable[..., Any]:
    """Without tags the call takes them all away, but for AWS's own.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
    """

    def delete(self: Any) -> Any:
        answer = original(self)
        for resource in () if self._get_param("Tags") else self._get_param("Resources"):
            tags = [key for key in self.ec2_backend.tags[resource] if not key.startswith("aws:")]
            self.ec2_backend.delete_tags([resource], dict.fromkeys(tags))
        return answer

    return delete


def _private_name(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcEndpoint.html"""

    def modify(self: Any) -> Any:
        answer = original(self)
        if (private := self._get_param("PrivateDnsEnabled")) is not None:
            endpoint = self.ec2_backend.vpc_end_points[self._get_param("VpcEndpointId")]
            endpoint.private_dns_enabled = private
        return answer

    return modify


def _whatever_is_there(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html"""

    def delete(self: Any) -> Any:
        if self.headers.get("If-Match") == "*":
            found = self.backend.get_object(self.bucket_name, self.parse_key_name())
            if etag := getattr(found, "etag", None):
                self.headers = Headers({**self.headers, "If-Match": etag})
        return original(self)

    return delete
