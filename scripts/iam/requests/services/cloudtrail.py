"""CloudTrail: trails and their event selectors.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudtrail.html
"""

from __future__ import annotations

from collections.abc import Iterator

from scripts.iam.requests.model import Keys, Need
from scripts.iam.requests.row import (
    VIA_SERVICE,
    Call,
    Row,
    Table,
    Target,
    anywhere,
    arn_of_type,
    checked,
    name_of,
    onto,
    pairs,
    passes,
    resource_tags,
    same,
    service_linked_role,
    service_linked_role_arn,
    tag_keys,
    tagged_with,
    when,
)

_NAME = r"[\w.-]+"


def _existing(call: Call, name: str) -> Target:
    if name.startswith("arn:"):
        arn = arn_of_type(name, "Name", "cloudtrail", f"trail/{_NAME}")
    else:
        arn = call.arn("cloudtrail", f"trail/{name_of(name, 'Name', _NAME)}")
    return Target(arn, resource_tags(call, arn))


def _trail(call: Call) -> Iterator[Target]:
    yield _existing(call, checked(call.get("Name") or call.get("TrailName"), "Name"))


def _new_trail(call: Call) -> Iterator[Target]:
    name = name_of(call.get("Name"), "Name", _NAME)
    yield Target(call.arn("cloudtrail", f"trail/{name}"), {})


def _by_id(call: Call) -> Iterator[Target]:
    names = call.texts("ResourceIdList") or [call.text("ResourceId")]
    for name in names:
        yield _existing(call, name)


def _removed_tags(call: Call) -> Keys:
    return tag_keys(pairs(call.get("TagsList")))


def _organization(call: Call) -> Iterator[Need]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/creating-an-organizational-trail-prepare.html"""
    if call.flag("IsOrganizationTrail"):
        role = service_linked_role_arn(call, "cloudtrail.amazonaws.com")
        yield Need("organizations:ListAWSServiceAccessForOrganization", "*", VIA_SERVICE)
        yield Need("iam:GetRole", role, VIA_SERVICE)
        yield from service_linked_role("cloudtrail.amazonaws.com")(call)


_new_tags = tagged_with("TagsList")
_passes_role = passes("CloudWatchLogsRoleArn", "cloudtrail.amazonaws.com")

TABLE: Table = {
    **anywhere("DescribeTrails ListTrails LookupEvents ListPublicKeys"),
    "CreateTrail": Row(
        _new_trail,
        keys=_new_tags,
        also=(
            when("TagsList", onto("cloudtrail:AddTags", _new_trail, _new_tags)),
            _passes_role,
            _organization,
        ),
    ),
    "UpdateTrail": Row(_trail, also=(_passes_role, _organization)),
    **same(
        "DeleteTrail GetTrail GetTrailStatus GetEventSelectors PutEventSelectors "
        "GetInsightSelectors PutInsightSelectors StartLogging StopLogging",
        Row(_trail),
    ),
    "AddTags": Row(_by_id, keys=_new_tags),
    "RemoveTags": Row(_by_id, keys=_removed_tags),
    "ListTags": Row(_by_id),
}
