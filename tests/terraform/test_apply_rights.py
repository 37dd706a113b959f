"""What the role that applies may and may not do, decided by the policy engine."""

import re

import pytest

from scripts.iam.engine.documents import parse_policy
from scripts.iam.engine.evaluation import PolicySet, Principal, Request, evaluate
from tests.terraform.rendered import Document

pytestmark = pytest.mark.terraform

ACCOUNT = "123456789012"


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
    number = re.search(r"artifacts-(\d{12})-", policies["keyless-dev-boundary"].text)
    assert number
    role = f"arn:aws:iam::{number[1]}:role/keyless-dev-apply"
    principal = Principal(
        arn=f"arn:aws:sts::{number[1]}:assumed-role/keyless-dev-apply/job",
        account=number[1],
        kind="assumed-role",
        role_arn=role,
    )
    keys = {"aws:ResourceAccount": (number[1],)}
    keys |= {name: (value,) for name, value in context.items()}
    request = Request(principal, action, resource.replace(ACCOUNT, number[1]), keys)
    policy_set = PolicySet(identity=tuple(parts), boundary=(boundary,), resource_required=False)
    return evaluate(request, policy_set).allowed


IAM = f"arn:aws:iam::{ACCOUNT}"
KEYS = f"arn:aws:kms:us-east-1:{ACCOUNT}:key"
BALANCING = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}"
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
        # AWS's least privileges for making a database, and an account's first load balancer
        ("ec2:DescribeAccountAttributes", "*", {"aws:RequestedRegion": "us-east-1"}),
        ("ec2:DeleteVpc", f"{EC2}:vpc/vpc-1", {"aws:ResourceTag/Environment": "dev"}),
        (
            "iam:PassRole",
            f"{IAM}:role/keyless-dev-server",
            {"iam:PassedToService": "ec2.amazonaws.com"},
        ),
        (
            "elasticloadbalancing:CreateLoadBalancer",
            f"{BALANCING}:loadbalancer/app/keyless-dev-serve/*",
            {"elasticloadbalancing:Scheme": "internal", "aws:RequestTag/Environment": "dev"},
        ),
    ],
)
def test_apply_may(
    documents: list[Document], action: str, resource: str, context: dict[str, str]
) -> None:
    assert _apply_may(documents, action, resource, **context)


@pytest.mark.parametrize(
    ("of_gateway", "of_vpc", "may"),
    [
        ("dev", "dev", True),
        (None, "dev", True),  # made a moment ago: EC2 does not know its tags yet
        ("prod", "dev", False),
        ("dev", None, False),
        (None, "prod", False),
    ],
)
def test_apply_attaches_its_own_gateway_as_soon_as_it_was_made(
    documents: list[Document], of_gateway: str | None, of_vpc: str | None, may: bool
) -> None:
    """EC2 asks for both. The provider asks again where a gateway is not found, not when denied."""
    tags = {f"{EC2}:internet-gateway/igw-1": of_gateway, f"{EC2}:vpc/vpc-1": of_vpc}
    allowed = [
        _apply_may(
            documents,
            "ec2:AttachInternetGateway",
            resource,
            **({"aws:ResourceTag/Environment": tag} if tag else {}),
        )
        for resource, tag in tags.items()
    ]
    assert all(allowed) == may


def test_apply_ends_associations_of_its_own_addresses_and_of_none(
    documents: list[Document],
) -> None:
    """The provider ends that of a NAT gateway's address when the gateway has ended it already."""
    action, address = "ec2:DisassociateAddress", f"{EC2}:elastic-ip/eipalloc-1"
    known, tag = {"ec2:AllocationId": "eipalloc-1"}, "aws:ResourceTag/Environment"
    assert _apply_may(documents, action, f"{EC2}:elastic-ip/*")
    assert _apply_may(documents, action, address, **known, **{tag: "dev"})
    assert not _apply_may(documents, action, address, **known)
    assert not _apply_may(documents, action, address, **known, **{tag: "prod"})


def test_a_strangers_bucket_of_our_name_gets_no_state(documents: list[Document]) -> None:
    state = f"arn:aws:s3:::keyless-state-{ACCOUNT}-us-east-1/dev/platform.tfstate"
    for action in ("s3:GetObject", "s3:PutObject"):
        assert _apply_may(documents, action, state)
        assert not _apply_may(documents, action, state, **{"aws:ResourceAccount": "999999999999"})


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
        ("kms:CreateKey", "*", {"aws:RequestTag/Environment": "dev"}),
        ("kms:PutKeyPolicy", f"{KEYS}/our-own", {"aws:ResourceTag/Environment": "dev"}),
        ("kms:ScheduleKeyDeletion", f"{KEYS}/our-own", {"aws:ResourceTag/Environment": "dev"}),
        ("kms:TagResource", f"{KEYS}/untagged", {"aws:RequestTag/Environment": "dev"}),
        ("kms:Decrypt", f"{KEYS}/another", {"kms:ViaService": "rds.us-east-1.amazonaws.com"}),
        ("ec2:RunInstances", f"{EC2}:instance/*", {}),
        (
            "elasticloadbalancing:CreateLoadBalancer",
            f"{BALANCING}:loadbalancer/app/keyless-dev-serve/*",
            {
                "elasticloadbalancing:Scheme": "internet-facing",
                "aws:RequestTag/Environment": "dev",
            },
        ),
        (
            "elasticloadbalancing:CreateListener",
            f"{BALANCING}:loadbalancer/app/keyless-dev-serve/1",
            {"elasticloadbalancing:ListenerProtocol": "HTTP"},
        ),
        (
            "elasticloadbalancing:ModifyListener",
            f"{BALANCING}:listener/app/keyless-prod-serve/1/2",
            {},
        ),
    ],
)
def test_apply_may_not(
    documents: list[Document], action: str, resource: str, context: dict[str, str]
) -> None:
    assert not _apply_may(documents, action, resource, **context)
