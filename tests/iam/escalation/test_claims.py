"""The fault that this platform once had: its apply role could claim any key by tagging it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from scripts.iam.escalation import inventory, paths

ACCOUNT = "111122223333"
IAM = f"arn:aws:iam::{ACCOUNT}"
APPLY = f"{IAM}:role/keyless-dev-apply"
KEYS = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*"
KEY, PRODS = KEYS.replace("*", "somebodys"), KEYS.replace("*", "prods")
OURS = KEYS.replace("*", "ours")

# What of apply's rights was about keys, and the limits in its boundary, before bootstrap made the
# environment's key.
AS_THEY_WERE = f"""
own:
  - {{Effect: Allow, Action: "kms:CreateKey", Resource: "*",
      Condition: {{StringEquals: {{"aws:RequestTag/Environment": dev}}}}}}
  - {{Effect: Allow, Action: "kms:TagResource", Resource: "{KEYS}",
      Condition: {{StringEquals: {{"aws:RequestTag/Environment": dev}}}}}}
  - {{Effect: Allow, Action: ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"], Resource: "{KEYS}",
      Condition: {{StringEquals: {{"aws:ResourceTag/Environment": dev}}}}}}
boundary:
  - {{Effect: Allow, Action: ["kms:Create*", "kms:Tag*", "kms:Put*", "kms:Schedule*"],
      Resource: "*"}}
  - {{Effect: Deny, Action: ["kms:Create*", "kms:Tag*", "kms:Put*", "kms:Schedule*"],
      Resource: "*", Condition: {{"Null": {{"aws:ResourceTag/Environment": "false"}},
      StringNotEquals: {{"aws:ResourceTag/Environment": dev}}}}}}
"""


def document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def account(own: list[dict[str, Any]], boundary: list[dict[str, Any]]) -> dict[str, Any]:
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"{IAM}:oidc-provider/token.actions.githubusercontent.com"},
        "Action": "sts:AssumeRoleWithWebIdentity",
    }
    delegates = document(
        [{"Effect": "Allow", "Principal": {"AWS": f"{IAM}:root"}, "Action": "kms:*",
          "Resource": "*"}]
    )  # fmt: skip
    limits = f"{IAM}:policy/keyless-dev-deploy-boundary"
    return {
        "account": ACCOUNT,
        "iam": {
            "RoleDetailList": [
                {
                    "Arn": APPLY,
                    "RoleName": "keyless-dev-apply",
                    "AssumeRolePolicyDocument": document([trust]),
                    "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": document(own)}],
                    "PermissionsBoundary": {"PermissionsBoundaryArn": limits},
                }
            ],
            "Policies": [
                {
                    "Arn": limits,
                    "PolicyVersionList": [
                        {"IsDefaultVersion": True, "Document": document(boundary)}
                    ],
                }
            ],
        },
        "keys": [
            {"arn": KEY, "policy": delegates},
            {"arn": PRODS, "policy": delegates, "tags": {"Environment": "prod"}},
            {"arn": OURS, "policy": delegates, "tags": {"Environment": "dev"}},
        ],
    }


def found(**parts: list[dict[str, Any]]) -> dict[str, str]:
    """What apply reaches: the end of each path, and its steps."""
    whole = inventory(account(**parts))
    ways = paths(whole, whole.members.members[APPLY])
    return {way.end: " > ".join(step.rule for step in way.steps) for way in ways}


def test_the_key_fault_is_found_in_the_policies_as_they_were() -> None:
    was = yaml.safe_load(AS_THEY_WERE)
    assert found(**was) == {f"opens {KEY}": "claim-by-tag", f"opens {OURS}": "open-key"}


def test_the_path_says_with_which_tag() -> None:
    whole = inventory(account(**yaml.safe_load(AS_THEY_WERE)))
    [way] = [one for one in paths(whole, whole.members.members[APPLY]) if KEY in one.end]
    assert way.steps[0].detail == (
        f"kms:TagResource with Environment=dev on {KEY}, then kms:PutKeyPolicy on {KEY}"
    )


@pytest.mark.parametrize("action", ["kms:TagResource", "kms:PutKeyPolicy"])
def test_without_either_right_no_key_is_claimed(action: str) -> None:
    was = yaml.safe_load(AS_THEY_WERE)
    was["own"] = [one for one in was["own"] if action not in one["Action"]]
    assert f"opens {KEY}" not in found(**was)


def test_a_key_that_is_named_by_its_arn_is_the_only_one() -> None:
    use = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:DescribeKey"], "Resource": OURS}
    was = yaml.safe_load(AS_THEY_WERE)
    assert found(own=[use], boundary=[*was["boundary"], {**use, "Resource": "*"}]) == {}


@pytest.mark.parametrize(
    ("operator", "claims"), [("StringNotEquals", True), ("StringNotEqualsIgnoreCase", False)]
)
def test_forbidding_a_tags_name_forbids_it_in_every_case_or_not_at_all(
    operator: str, claims: bool
) -> None:
    """aws:ResourceTag/Environment is true of a tag `environment` as well."""
    was = yaml.safe_load(AS_THEY_WERE)
    was["own"][1]["Condition"] = {
        f"ForAllValues:{operator}": {"aws:TagKeys": ["Environment"]},
        "Null": {"aws:TagKeys": "false"},
    }
    assert (f"opens {KEY}" in found(**was)) == claims
