"""The escalation search against accounts with a known weakness, and against repaired ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.iam.escalation import inventory, paths, read_designed, search, undesigned
from scripts.iam.escalation.designed import modelled_steps
from scripts.iam.escalation.search import Path as Way
from tests import parse_yaml

ACCOUNT = "111122223333"
IAM = f"arn:aws:iam::{ACCOUNT}"
WEAK, STRONG, OTHER = (f"{IAM}:role/{name}" for name in ("weak", "strong", "other"))
TABLE = parse_yaml(
    (Path(__file__).parent / "weak.yaml")
    .read_text()
    .replace("$A", ACCOUNT)
    .replace("$WEAK", WEAK)
    .replace("$STRONG", STRONG)
)
NAMES = [case["name"] for case in TABLE]
NOBODY = {"Federated": f"{IAM}:oidc-provider/token.actions.githubusercontent.com"}


def document(allow: Sequence[Sequence[Any]]) -> dict[str, Any]:
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        | ({"Condition": condition[0]} if condition else {})
        for action, resource, *condition in allow
    ]
    # A policy needs a statement.
    statements = statements or [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}]
    return {"Version": "2012-10-17", "Statement": statements}


def role(name: str, allow: Sequence[Sequence[Any]], trust: Mapping[str, str]) -> dict[str, Any]:
    action = "sts:AssumeRoleWithWebIdentity" if "Federated" in trust else "sts:AssumeRole"
    statement = {"Effect": "Allow", "Principal": trust, "Action": action}
    return {
        "Arn": f"{IAM}:role/{name}",
        "RoleName": name,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "RolePolicyList": [{"PolicyName": "inline", "PolicyDocument": document(allow)}],
    }


def managed(name: str, allow: Sequence[Sequence[Any]], versions: int = 1) -> dict[str, Any]:
    return {
        "Arn": f"{IAM}:policy/{name}",
        "PolicyVersionList": [
            {"IsDefaultVersion": index == 0, "Document": document(allow)}
            for index in range(versions)
        ],
    }


def account(case: Mapping[str, Any], allow: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The account of a row, with these rights for the role `weak`."""
    weak = role("weak", allow, NOBODY)
    strong = role("strong", case.get("strong", [["s3:*", "*"]]), case.get("trust", NOBODY))
    if case.get("profile"):
        strong["InstanceProfileList"] = [{"Arn": f"{IAM}:instance-profile/strong"}]
    policies = []
    if "managed" in case:
        weak["RolePolicyList"] = []
        weak["AttachedManagedPolicies"] = [{"PolicyArn": f"{IAM}:policy/weak"}]
        policies.append(managed("weak", allow, case.get("versions", 1)))
    if "boundary" in case:
        weak["PermissionsBoundary"] = {"PermissionsBoundaryArn": f"{IAM}:policy/boundary"}
        policies.append(managed("boundary", case["boundary"]))
    users = [{"Arn": f"{IAM}:user/root-like", "UserName": "root-like"}] if "user" in case else []
    roles = [weak, strong, role("other", [], NOBODY)]
    holder = {"strong": STRONG, "other": OTHER}.get(str(case.get("instances")), "")
    return {
        "account": ACCOUNT,
        "iam": {"RoleDetailList": roles, "UserDetailList": users, "Policies": policies},
        "instances": [{"arn": f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1", "role": holder}]
        if holder
        else [],
        "functions": [{"arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "role": STRONG}]
        if case.get("functions")
        else [],
        "templates": [
            {"arn": f"arn:aws:ec2:us-east-1:{ACCOUNT}:launch-template/lt-1", "role": STRONG}
        ]
        if case.get("templates")
        else [],
        "secrets": [
            {
                "arn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:key-AbCdEf",
                "policy": opened(case.get("secret")),
            }
        ],
        "states": [{"arn": "arn:aws:s3:::states/prod.tfstate"}],
        "security_groups": [{"arn": f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/sg-1"}],
        "keys": [
            {
                "arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1",
                "policy": opened(
                    {"Action": "kms:*", "Principal": {"AWS": f"{IAM}:root"}}, case.get("key")
                ),
            }
        ],
    }


def opened(*statements: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A resource's policy, if there is any statement for it."""
    written = [{"Effect": "Allow", "Resource": "*", **one} for one in statements if one]
    return {"Version": "2012-10-17", "Statement": written} if written else None


def found(description: Mapping[str, Any], start: str = WEAK) -> dict[str, Way]:
    whole = inventory(description)
    return {path.end: path for path in paths(whole, whole.members.members[start])}


@pytest.mark.parametrize("case", TABLE, ids=NAMES)
def test_the_known_path_of_a_weak_account_is_found(case: dict[str, Any]) -> None:
    ways = found(account(case, case["allow"]))
    assert case["end"] in ways, list(ways)
    assert [step.rule for step in ways[case["end"]].steps] == case["path"]
    assert all(step.detail for step in ways[case["end"]].steps)


@pytest.mark.parametrize(
    "case", [case for case in TABLE if case["allow"]], ids=lambda case: case["name"]
)
def test_without_any_one_of_its_rights_the_path_is_gone(case: dict[str, Any]) -> None:
    for index in range(len(case["allow"])):
        rest = [] if "gives" in case else case["allow"][:index] + case["allow"][index + 1 :]
        assert case["end"] not in found(account(case, rest))


def test_there_are_enough_weak_accounts_and_every_step_is_among_them() -> None:
    assert len(TABLE) >= 15
    taken = {rule for case in TABLE for rule in case["path"]} | {"write-group-policy", "join-group"}
    assert taken == set(modelled_steps())


@pytest.mark.parametrize(
    ("action", "rule"),
    [("iam:PutGroupPolicy", "write-group-policy"), ("iam:AddUserToGroup", "join-group")],
)
def test_a_user_that_may_change_groups_is_an_administrator(action: str, rule: str) -> None:
    description = account({}, [])
    description["iam"]["UserDetailList"] = [
        {
            "Arn": f"{IAM}:user/u",
            "UserName": "u",
            "GroupList": ["g"],
            "UserPolicyList": [{"PolicyName": "p", "PolicyDocument": document([[action, "*"]])}],
        }
    ]
    ways = found(description, f"{IAM}:user/u")
    assert [step.rule for step in ways["administrator"].steps] == [rule]


STRICT = {"StringEquals": {"iam:PermissionsBoundary": f"{IAM}:policy/boundary"}}
TAGGED = {"StringEquals": {"ssm:resourceTag/Environment": "dev"}}
LABELLED = {"StringEquals": {"aws:ResourceTag/Environment": "dev"}}
PASSED = {"StringEquals": {"iam:PassedToService": "rds.amazonaws.com"}}


@pytest.mark.parametrize(
    ("case", "allow"),
    [
        ({}, [["iam:CreateRole", "*", STRICT], ["iam:PutRolePolicy", "*", STRICT]]),
        ({}, [["iam:UpdateAssumeRolePolicy", "*", STRICT]]),
        ({"instances": "strong"}, [["ssm:StartSession", "*", TAGGED]]),
        (
            {"trust": {"Service": "lambda.amazonaws.com"}},
            [["iam:PassRole", "*", PASSED], ["lambda:CreateFunction", "*"]],
        ),
        ({"boundary": [["s3:GetBucketLocation", "*"]]}, [["iam:PutRolePolicy", "*"]]),
        ({}, [["kms:CreateGrant", "*", {"StringEquals": {"kms:ViaService": "rds.x"}}]]),
        ({}, [["kms:CreateGrant", "*", {"Bool": {"kms:GrantIsForAWSResource": "true"}}]]),
        ({"key": {"Action": "kms:PutKeyPolicy", "Principal": {"AWS": OTHER}}}, []),
        ({"functions": True}, [["lambda:UpdateFunctionCode", "*", LABELLED]]),
        ({}, [["secretsmanager:GetSecretValue", "*",
               {"StringEquals": {"secretsmanager:ResourceTag/Team": "a"}}]]),
    ],
    ids=["boundary on new roles", "boundary on trust", "tag", "service", "own boundary",
         "through a service", "for a service", "another role's key", "tag of the function",
         "tag of the secret"],
)  # fmt: skip
def test_a_control_that_holds_leaves_no_path(case: dict[str, Any], allow: list[Any]) -> None:
    assert found(account(case, allow)) == {}


def test_an_administrator_has_nothing_to_win() -> None:
    description = account({"strong": []}, [["*", "*"]])
    assert search(inventory(description)) == []


def test_only_designed_steps_are_excused() -> None:
    text = json.dumps(account({"strong": []}, TABLE[2]["allow"])).replace(
        "role/weak", "role/keyless-a-apply"
    )
    text = text.replace("role/strong", "role/keyless-a-train")
    designed = read_designed()
    assert undesigned(search(inventory(json.loads(text))), designed) != []
    description = json.loads(text)
    description["iam"]["RoleDetailList"].pop()
    assert undesigned(search(inventory(description)), designed) == []


def test_every_modelled_step_and_designed_entry_says_why_or_where() -> None:
    for name, step in modelled_steps().items():
        assert step["needs"], name
        assert step["page"], name
        assert step["wins"] in ("identity", "administrator", "boundary", "asset")
    for entry in read_designed():
        assert entry.why
        assert set(entry.rules) <= set(modelled_steps())
