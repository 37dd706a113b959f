"""Condition keys of AWS's reference that no row sets: `python -m tests.iam.unset.reference_keys`
writes them for the gateway, which refuses a policy that reads one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from scripts.iam.requests import Need
from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.unset import FILE
from tests.iam.requests.samples import Rich, rows, sample
from tests.iam.requests.support import KEY
from tests.iam.requests.test_service_authorization_reference import DATA, matches

# Keys (patterns, in lower case), for which actions, and why their absence is AWS's answer too.
ABSENT: list[tuple[str, str, str]] = [
    ("aws:*", "*", "a call that carries no tags, or makes what has none yet"),
    ("*tag/*", "*", "the same under the service's own name; what exists shows its tags"),
    (
        "s3:existingobjecttag/*",
        "*",
        "the sample's version has no tags; test_s3.py has one that has",
    ),
    ("*", "sts:*", "STS decides itself, by a token's claims or by what it refuses by name"),
    ("kms:recipientattestation:*", "*", "nothing runs in an enclave"),
    ("kms:requestalias", "*", "the sample names the key by its ARN"),
    ("kms:viaservice", "*", "a call of the caller's own"),
    ("s3:accessgrants*", "*", "there are no access grants"),
    ("s3:accesspoint*", "*", "there are no access points"),
    ("s3:dataaccesspoint*", "*", "there are no access points"),
    ("s3:x-amz-*", "s3:BypassGovernanceRetention", "a deletion has no such header"),
    ("s3:requestobjecttag*", "s3:BypassGovernanceRetention", "a deletion sets no tags"),
    ("s3:resourceaccount", "*", "the gateway sets it on each call"),
    ("s3:tlsversion", "*", "the gateway sets it on each call"),
    ("s3:signature*", "*", "the gateway sets it on each call"),
    ("s3:authtype", "*", "the gateway sets it on each call"),
    ("s3:x-amz-content-sha256", "*", "the gateway sets it on each call"),
    ("ec2:sourceinstancearn", "*", "an instance's session has it"),
    ("autoscaling:instancetypes", "*", "the sample starts from an instance"),
    ("autoscaling:launchtemplateversionspecified", "*", "the sample starts from an instance"),
]
# Keys that some calls of the action have, and why a call that does not say them has none on AWS.
UNSAID: list[tuple[str, str, str]] = [
    ("autoscaling:*", "autoscaling:*", "a parameter that was not given"),
    ("cloudwatch:alarmactions", "*", "an alarm without actions"),
    ("ec2:attribute/", "ec2:Modify*", "another attribute is changed"),
    ("ec2:createaction", "ec2:CreateTags", "what is tagged exists"),
    ("ec2:instanceprofile", "ec2:RunInstances", "a launch without a profile"),
    ("ec2:launchtemplate", "ec2:RunInstances", "a launch without a template"),
    ("elasticloadbalancing:createaction", "*:AddTags", "what is tagged exists"),
    # "Allowed in the request", says the reference of both; what is not named stays.
    ("elasticloadbalancing:listenerprotocol", "*:ModifyListener", "a parameter that was not given"),
    ("elasticloadbalancing:securitypolicy", "*:ModifyListener", "a parameter that was not given"),
    ("iam:permissionsboundary", "iam:*", "a principal without a boundary"),
    ("kms:encryptioncontext*", "*", "a call of the caller's own, without a context"),
    ("kms:grantconstrainttype", "*", "a grant without constraints"),
    ("kms:retiringprincipal", "*", "a grant that nobody retires"),
    ("s3:*", "s3:*", "a header, or a part of the address, that was not sent"),
    ("secretsmanager:addreplicaregions", "*", "a secret without replicas"),
    ("secretsmanager:forceoverwritereplicasecret", "*", "a secret without replicas"),
    ("secretsmanager:description", "*", "a parameter that was not given"),
    ("secretsmanager:kmskey*", "*", "a parameter that was not given"),
    ("secretsmanager:rotationlambdaarn", "*", "a parameter that was not given"),
    ("secretsmanager:secretid", "*:ValidateResourcePolicy", "a parameter that was not given"),
    ("secretsmanager:secretid", "*:TagResource", "what is tagged is being made"),
    ("secretsmanager:versionid", "*", "a parameter that was not given"),
    ("sns:endpoint", "*", "a parameter that was not given"),
    ("ssm:policies", "*", "a parameter that was not given"),
]
# The same of what is being made: its name ends in a star.
NEW: list[tuple[str, str, str]] = [
    ("ec2:*id", "ec2:*", "what is being made has no id yet"),
]


class Whole(Rich):
    """An account that tells everything it could of what exists."""

    def describe(self, arn: str) -> dict[str, Any] | None:
        known = super().describe(arn)
        more = {"database": "x", "storage_encrypted": True, "storage_size": 20, "usage": "x",
                "origin": "x", "multi_region": False, "aliases": ["alias/a"],
                "instance_profile": "arn:x", "instance_type": "t3.micro",
                "allocation": "eipalloc-0a", "instance": "i-0a", "route_table": "rtb-0a",
                "subnet": "subnet-0a"}  # fmt: skip
        return known and {**known, **more}

    def key_arn(self, id_or_alias: str) -> str | None:
        return KEY


def needs_of_samples() -> Iterator[Need]:
    """What each mapped call needs, with the fewest and with all parameters."""
    for service, operation in rows():
        for every in (False, True):
            yield from sample(service, operation, every=every, account=Whole())


def _set_keys() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for need in needs_of_samples():
        found[need.action].update(need.context)
    return found


@cache
def _of_reference(action: str) -> dict[str, set[str]]:
    """Pattern of a resource's name -> the keys that AWS has for the action on it; `*` for those
    that it has on each."""
    service, _, name = action.partition(":")
    if not DATA.actions.action_exists(service, name):
        return {}
    details = DATA.actions.get_action_details(service, name)
    found = defaultdict(set, {"*": set(details["conditionKeys"])})
    for kind in details["resourceTypes"]:
        arn = DATA.resources.get_resource_type_details(service, kind["name"])["arn"]
        pattern = re.sub(r"\$\{\w+\}", "*", arn).split(":", 5)[5]
        found[pattern] |= set(kind["conditionKeys"])
    return found


def _plain(template: str) -> str:
    """`ec2:Attribute/${AttributeName}` without its end."""
    return re.split(r"\$\{|<key>|tag-key$", template)[0].lower()


def _excused(action: str, template: str, excuses: list[tuple[str, str, str]] = ABSENT) -> bool:
    return any(
        fnmatchcase(template.lower(), pattern) and fnmatchcase(action, actions)
        for pattern, actions, _ in excuses
    )


def _left(need: Need, template: str, set_by_others: set[str]) -> bool:
    """Whether a need lacks a key that AWS sets, so that a policy that reads it cannot be judged."""
    if any(matches(key, {template}) for key in (*need.context, *need.unknown)):
        return False
    excuses = [*ABSENT, *(NEW if need.resource.endswith("*") else [])]
    if any(matches(key, {template}) for key in set_by_others):
        excuses += UNSAID
    return not _excused(need.action, _plain(template), excuses)


def _unset(action: str, template: str, set_by_others: set[str]) -> bool:
    known = any(matches(key, {template}) for key in set_by_others)
    return not known and not _excused(action, _plain(template))


def table() -> dict[str, dict[str, list[str]]]:
    """Action -> kind of resource -> keys that AWS sets and some call here does not have."""
    prefixes = {service.prefix for service in SERVICES.values()}
    set_keys = _set_keys()
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for need in needs_of_samples():
        if need.action.partition(":")[0] not in prefixes:
            continue
        for kind, templates in _of_reference(need.action).items():
            if fnmatchcase(need.resource.split(":", 5)[-1], kind):
                found[need.action][kind] |= {
                    _plain(t) for t in templates if _left(need, t, set_keys[need.action])
                }
    for action, kinds in found.items():  # what a call concerns, and no row asks for
        for kind, templates in _of_reference(action).items():
            if kind not in kinds:
                kinds["*"] |= {_plain(t) for t in templates if _unset(action, t, set_keys[action])}
    return {
        action: {kind: sorted(keys) for kind, keys in sorted(kinds.items()) if keys}
        for action, kinds in sorted(found.items())
        if any(kinds.values())
    }


def render() -> str:
    """The file's content."""
    lines = (f" {json.dumps(action)}: {json.dumps(keys)}" for action, keys in table().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(render())
