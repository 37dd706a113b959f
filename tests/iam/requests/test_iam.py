"""IAM and STS: boundaries, policies, tags, service-linked roles, sessions."""

from __future__ import annotations

from typing import Any

import pytest

from .support import ACCOUNT, FakeAccount, needed, only, pairs_of

IAM = f"arn:aws:iam::{ACCOUNT}:"
ROLE = f"{IAM}role/some-role"
BOUNDARY = f"{IAM}policy/boundary"
POLICY = f"{IAM}policy/some-policy"
TAGS = [{"Key": "Environment", "Value": "dev"}]
BOUND = FakeAccount(
    facts={ROLE: {"permissions_boundary": BOUNDARY}}, resources={ROLE: {"Environment": "dev"}}
)


def test_a_new_role_carries_its_boundary_and_needs_the_right_to_tag() -> None:
    found = needed(
        "iam",
        "CreateRole",
        RoleName="some-role",
        AssumeRolePolicyDocument="{}",
        PermissionsBoundary=BOUNDARY,
        Tags=TAGS,
    )
    assert pairs_of(found) == [("iam:CreateRole", ROLE), ("iam:TagRole", ROLE)]
    assert found[0].context["iam:PermissionsBoundary"] == (BOUNDARY,)
    assert found[0].context["aws:RequestTag/Environment"] == ("dev",)


def test_a_new_role_without_a_boundary_has_no_such_key() -> None:
    [need] = needed("iam", "CreateRole", RoleName="some-role", AssumeRolePolicyDocument="{}")
    assert need.context == {}


def test_a_new_role_is_checked_at_its_path() -> None:
    [need] = needed("iam", "CreateRole", RoleName="a", Path="/team/", AssumeRolePolicyDocument="{}")
    assert need.resource == f"{IAM}role/team/a"


def test_an_existing_role_is_checked_at_its_real_path() -> None:
    account = FakeAccount(facts={ROLE: {"arn": f"{IAM}role/team/some-role"}})
    [need] = needed("iam", "GetRole", account, RoleName="some-role")
    assert need.resource == f"{IAM}role/team/some-role"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("PutRolePolicy", {"PolicyName": "a", "PolicyDocument": "{}"}),
        ("DeleteRolePolicy", {"PolicyName": "a"}),
        ("AttachRolePolicy", {"PolicyArn": POLICY}),
        ("DetachRolePolicy", {"PolicyArn": POLICY}),
        ("DeleteRolePermissionsBoundary", {}),
        ("UpdateAssumeRolePolicy", {"PolicyDocument": "{}"}),
        ("DeleteRole", {}),
    ],
)
def test_changing_a_role_carries_the_boundary_that_it_has(
    operation: str, parameters: dict[str, Any]
) -> None:
    [need] = needed("iam", operation, BOUND, RoleName="some-role", **parameters)
    assert need.context["iam:PermissionsBoundary"] == (BOUNDARY,)
    assert need.context["iam:ResourceTag/Environment"] == ("dev",)


def test_changing_the_boundary_carries_the_new_one() -> None:
    [need] = needed(
        "iam",
        "PutRolePermissionsBoundary",
        BOUND,
        RoleName="some-role",
        PermissionsBoundary=POLICY,
    )
    assert need.context["iam:PermissionsBoundary"] == (POLICY,)


def test_attaching_a_policy_names_the_policy() -> None:
    [need] = needed("iam", "AttachRolePolicy", RoleName="some-role", PolicyArn=POLICY)
    assert (need.resource, need.context["iam:PolicyARN"]) == (ROLE, (POLICY,))


def test_a_role_in_a_profile_is_passed_to_ec2() -> None:
    found = needed("iam", "AddRoleToInstanceProfile", InstanceProfileName="p", RoleName="some-role")
    assert only(found, "iam:PassRole", ROLE).context == {
        "iam:PassedToService": ("ec2.amazonaws.com",)
    }


@pytest.mark.parametrize("url", ["https://idp.example.org/a", "https://idp.example.org/a/"])
def test_an_oidc_provider_is_named_by_its_address(url: str) -> None:
    [need] = needed("iam", "CreateOpenIDConnectProvider", Url=url)
    assert need.resource == f"{IAM}oidc-provider/idp.example.org/a"


def test_a_service_linked_role_names_its_service() -> None:
    [need] = needed("iam", "CreateServiceLinkedRole", AWSServiceName="rds.amazonaws.com")
    assert need.resource == (f"{IAM}role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS")
    assert need.context["iam:AWSServiceName"] == ("rds.amazonaws.com",)


def test_a_wildcard_in_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not a name"):
        needed("iam", "DeleteRole", RoleName="*")


def test_who_am_i_needs_no_permission() -> None:
    assert needed("sts", "GetCallerIdentity") == []


def test_assuming_a_role_with_tags_needs_the_right_to_tag_the_session() -> None:
    found = needed(
        "sts",
        "AssumeRole",
        RoleArn=ROLE,
        RoleSessionName="session",
        ExternalId="external",
        SourceIdentity="someone",
        Tags=TAGS,
        TransitiveTagKeys=["Environment"],
    )
    assert [need.action for need in found] == [
        "sts:AssumeRole",
        "sts:TagSession",
        "sts:SetSourceIdentity",
    ]
    context = found[0].context
    assert context["sts:ExternalId"] == ("external",)
    assert context["sts:RoleSessionName"] == ("session",)
    assert context["sts:TransitiveTagKeys"] == ("Environment",)


def test_a_web_identity_is_checked_on_the_role() -> None:
    [need] = needed(
        "sts", "AssumeRoleWithWebIdentity", RoleArn=ROLE, RoleSessionName="me",
        WebIdentityToken="token",
    )  # fmt: skip
    assert (need.action, need.resource) == ("sts:AssumeRoleWithWebIdentity", ROLE)


@pytest.mark.parametrize("arn", ["*" * 20, "some-role-or-another", f"{IAM}user/someone"])
def test_only_a_role_can_be_assumed(arn: str) -> None:
    with pytest.raises(ValueError, match="not the ARN of a role"):
        needed("sts", "AssumeRole", RoleArn=arn, RoleSessionName="me")
