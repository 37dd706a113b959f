"""Writes platform.json: the platform's roles and policies as Terraform rendered them.

    keyless up && python -m tests.iam.ledger.snapshot .keyless

tests/e2e/test_least_privilege.py holds the file to what a run renders today.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.aws.sealed import client
from scripts.iam.account.identities import authorization_details
from scripts.localcloud.home import administrator, load

FILE = Path(__file__).with_name("platform.json")
ACCOUNT = "471835269042"
# AWS chooses these, so each run has others.
CHOSEN = (
    (re.compile(r"dbuser:db-[A-Z0-9]+/"), "dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/"),
    (re.compile(r"third-party-[A-Za-z0-9]{6}\""), 'third-party-AbCdEf"'),
)


def read(home: Path) -> dict[str, Any]:
    """The roles and policies of a running local cloud, in the file's form."""
    cloud = load(home)
    details = authorization_details(client(cloud, administrator(home), "iam"))
    return normalised(details, cloud.account_id)


def normalised(details: Mapping[str, Any], account: str) -> dict[str, Any]:
    """Only what decides, in one order, without what differs from run to run."""
    found = {
        "Policies": sorted(map(_policy, details["Policies"]), key=lambda one: str(one["Arn"])),
        "RoleDetailList": sorted(
            (_role(one) for one in details["RoleDetailList"]
             if one["RoleName"].startswith("keyless-")),
            key=lambda one: str(one["RoleName"]),
        ),
    }  # fmt: skip
    text = json.dumps(found, sort_keys=True).replace(account, ACCOUNT)
    for chosen, fixed in CHOSEN:
        text = chosen.sub(fixed, text)
    rendered: dict[str, Any] = json.loads(text)
    return rendered


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    versions = [
        {"IsDefaultVersion": True, "Document": version["Document"]}
        for version in policy["PolicyVersionList"]
        if version["IsDefaultVersion"]
    ]
    return {"Arn": policy["Arn"], "PolicyVersionList": versions}


def _role(role: Mapping[str, Any]) -> dict[str, Any]:
    boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
    return {
        "Arn": role["Arn"],
        "RoleName": role["RoleName"],
        "AssumeRolePolicyDocument": role["AssumeRolePolicyDocument"],
        "AttachedManagedPolicies": sorted(
            ({"PolicyArn": one["PolicyArn"]} for one in role["AttachedManagedPolicies"]),
            key=lambda one: str(one["PolicyArn"]),
        ),
        "InstanceProfileList": [{"Arn": one["Arn"]} for one in role["InstanceProfileList"]],
        "PermissionsBoundary": {"PermissionsBoundaryArn": boundary},
        "RolePolicyList": sorted(role["RolePolicyList"], key=lambda one: str(one["PolicyName"])),
        "Tags": sorted(role["Tags"], key=lambda one: str(one["Key"])),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(read(Path(sys.argv[1]).absolute()), sort_keys=True) + "\n")
