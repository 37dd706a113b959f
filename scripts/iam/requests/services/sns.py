"""SNS: topics, subscriptions, messages.

Resource types and keys: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    Call,
    Row,
    Table,
    Target,
    Targets,
    anywhere,
    arn_of_type,
    checked,
    keys_from,
    name_of,
    onto,
    pairs,
    pass_role,
    request_tags,
    resource_tags,
    same,
    tag_keys,
    when,
)
from scripts.iam.requests.services import kms


def _topic(parameter: str) -> Targets:
    """The topic of a topic's or a subscription's ARN: subscriptions are no resource type."""

    def found(call: Call) -> Iterator[Target]:
        name = call.get(parameter) or call.get("TargetArn")
        found = arn_of_type(name, parameter, "sns", r"[\w.-]+(?::[\w-]+)?")
        arn = ":".join(found.split(":")[:6])
        yield Target(arn, resource_tags(call, arn))

    return found


def _new_topic(call: Call) -> Iterator[Target]:
    yield Target(call.arn("sns", name_of(call.get("Name"), "Name", r"[\w.-]+")), {})


def _tags(call: Call) -> Keys:
    return request_tags(pairs(call.get("Tags")))


def _encrypts(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"""
    for target in _topic("TopicArn")(call):
        key = call.facts(target.arn).get("kms_key")
        context = {"aws:sns:topicArn": target.arn}
        actions = ("kms:GenerateDataKey", "kms:Decrypt")
        yield from kms.behind(call, "sns", key, actions, context)


def _attributes_roles(call: Call) -> Iterator[Need]:
    """The roles with which SNS logs what became of its messages, and hands them to Firehose.

    https://docs.aws.amazon.com/sns/latest/dg/topics-attrib.html
    https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
    """
    given: Mapping[str, Any] = call.get("Attributes") or {}
    if call.get("AttributeName"):
        given = {call.text("AttributeName"): call.get("AttributeValue")}
    for name, role in given.items():
        if name.endswith(("FeedbackRoleArn", "SubscriptionRoleArn")) and role:
            yield pass_role(checked(role, name), "sns.amazonaws.com")


_by_topic = Row(_topic("TopicArn"))
_by_subscription = Row(_topic("SubscriptionArn"))

TABLE: Table = {
    **anywhere("ListTopics ListSubscriptions"),
    "CreateTopic": Row(
        _new_topic,
        keys=_tags,
        also=(when("Tags", onto("sns:TagResource", _new_topic, _tags)), _attributes_roles),
    ),
    **same(
        "ConfirmSubscription DeleteTopic GetTopicAttributes ListSubscriptionsByTopic",
        _by_topic,
    ),
    "SetTopicAttributes": Row(_topic("TopicArn"), also=(_attributes_roles,)),
    **same("GetSubscriptionAttributes Unsubscribe", _by_subscription),
    "SetSubscriptionAttributes": Row(_topic("SubscriptionArn"), also=(_attributes_roles,)),
    "ListTagsForResource": Row(_topic("ResourceArn")),
    "Subscribe": Row(
        _topic("TopicArn"),
        keys=keys_from(Protocol="sns:Protocol", Endpoint="sns:Endpoint"),
        also=(_attributes_roles,),
    ),
    "Publish": Row(_topic("TopicArn"), also=(_encrypts,)),
    "TagResource": Row(_topic("ResourceArn"), keys=_tags),
    "UntagResource": Row(_topic("ResourceArn"), keys=lambda call: tag_keys(call.texts("TagKeys"))),
}
