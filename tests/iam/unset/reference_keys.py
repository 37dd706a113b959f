"""Condition keys of AWS's reference that no row sets: `python -m tests.iam.unset.reference_keys`
writes them for the gateway, which refuses a policy that reads one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import Any

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
    ("ec2:associatepublicipaddress", "ec2:RunInstances", "the sample names an interface"),
    ("ec2:subnet", "ec2:RunInstances", "the sample names an interface"),
    ("ec2:*id", "ec2:Create*", "what is being made has no id yet"),
    ("autoscaling:instancetypes", "*", "the sample starts from an instance"),
    ("autoscaling:launchtemplateversionspecified", "*", "the sample starts from an instance"),
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


def _set_keys() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for service, operation in rows():
        for every in (False, True):
            for need in sample(service, operation, every=every, account=Whole()):
                found[need.action].update(need.context)
    return found


def _of_reference(action: str) -> set[str]:
    service, _, name = action.partition(":")
    if not DATA.actions.action_exists(service, name):
        return set()
    details = DATA.actions.get_action_details(service, name)
    return set(details["conditionKeys"]).union(
        *(kind["conditionKeys"] for kind in details["resourceTypes"])
    )


def _plain(template: str) -> str:
    """`ec2:Attribute/${AttributeName}` without its end."""
    return re.split(r"\$\{|<key>|tag-key$", template)[0].lower()


def _excused(action: str, template: str) -> bool:
    return any(
        fnmatchcase(template.lower(), pattern) and fnmatchcase(action, actions)
        for pattern, actions, _ in ABSENT
    )


def table() -> dict[str, list[str]]:
    """Action -> keys that AWS sets for it and no row does, without those whose absence is true."""
    prefixes = {service.prefix for service in SERVICES.values()}
    found = {}
    for action, keys in sorted(_set_keys().items()):
        if action.partition(":")[0] not in prefixes:
            continue
        left = {
            _plain(template)
            for template in _of_reference(action)
            if not any(matches(key, {template}) for key in keys) and not _excused(action, template)
        }
        if left:
            found[action] = sorted(left)
    return found


def render() -> str:
    """The file's content."""
    lines = (f" {json.dumps(action)}: {json.dumps(keys)}" for action, keys in table().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(render())
