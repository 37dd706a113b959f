"""The smallest change goes round no other statement's condition, in whatever order they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.iam.account.identities import identities
from scripts.iam.denial.denials import Denial, explain_denial
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reported import explain_refusal
from tests.iam.denial.test_reported import ACCOUNT, IAM, document, explained, told

EC2 = f"arn:aws:ec2:*:{ACCOUNT}"
INSTANCE = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*"
LARGE: dict[str, tuple[str, ...]] = {"ec2:InstanceType": ("m5.4xlarge",)}
RUN: dict[str, Any] = {
    "Sid": "Run", "Effect": "Allow", "Action": "ec2:RunInstances",
    "Resource": ["arn:aws:ec2:*::image/*", f"{EC2}:subnet/*", f"{EC2}:volume/*"],
}  # fmt: skip
SMALL: dict[str, Any] = {
    "Sid": "Inst", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": f"{EC2}:instance/*",
    "Condition": {"StringEquals": {"ec2:InstanceType": "t4g.small"}},
}  # fmt: skip
POOL: tuple[dict[str, Any], ...] = (
    RUN,
    SMALL,
    {"Sid": "Tagged", "Effect": "Allow", "Action": "ec2:*", "Resource": "*",
     "Condition": {"StringEquals": {"aws:RequestTag/team": "ml"}}},
    {"Sid": "Here", "Effect": "Allow", "Action": "ec2:RunInstances",
     "Resource": f"{EC2}:instance/i",
     "Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}},
    {"Sid": "Other", "Effect": "Allow", "Action": "ec2:RunInstances",
     "Resource": f"{EC2}:volume/v"},
    {"Sid": "Read", "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
    {"Sid": "NoTag", "Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*",
     "Condition": {"Null": {"aws:RequestTag/owner": "true"}}},
    {"Sid": "NotLarge", "Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*",
     "Condition": {"StringLike": {"ec2:InstanceType": "m5*"}}},
)  # fmt: skip


@pytest.mark.parametrize("own", [(RUN, SMALL), (SMALL, RUN)])
def test_the_statement_that_fits_but_for_its_condition_is_the_one(own: Any) -> None:
    found = explained("ec2:RunInstances", INSTANCE, *own, keys=LARGE)
    [change] = found.changes
    assert found.proved
    assert "in statement Inst" in change.edit
    assert "let the request carry the wanted value" in change.edit


def test_two_conditions_that_fail_are_kept_as_conditions() -> None:
    both = SMALL | {"Condition": {"StringEquals": {
        "ec2:InstanceType": "t4g.small", "ec2:Tenancy": "default"}}}  # fmt: skip
    found = explained("ec2:RunInstances", INSTANCE, RUN, both,
                      keys=LARGE | {"ec2:Tenancy": ("host",)})  # fmt: skip
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Condition"]["StringEquals"] == {
        "ec2:InstanceType": ["t4g.small", "m5.4xlarge"], "ec2:Tenancy": ["default", "host"]
    }  # fmt: skip


def test_what_goes_round_a_condition_of_awss_own_policy_says_so() -> None:
    arn = "arn:aws:iam::aws:policy/Small"
    role = {
        "Arn": f"{IAM}:role/app", "RoleName": "app",
        "AssumeRolePolicyDocument": document({
            "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole"}),
        "AttachedManagedPolicies": [{"PolicyName": "Small", "PolicyArn": arn}],
    }  # fmt: skip
    of_aws = {"Arn": arn, "PolicyVersionList": [
        {"IsDefaultVersion": True, "Document": document(SMALL)}]}  # fmt: skip
    members = identities({"RoleDetailList": [role], "Policies": [of_aws]})
    record = explained("ec2:RunInstances", INSTANCE, RUN, keys=LARGE).record
    [change] = explain_denial(record, members, lambda _: None).changes
    assert any(f"goes round statement Inst of {arn}" in one for one in change.warnings)


def _by(*policies: list[dict[str, Any]]) -> Denial:
    """The same request by policies that a user has, named by what they hold."""
    names = [f"own-{'-'.join(sorted(one['Sid'] for one in each))}" for each in policies]
    user = {"UserName": "ci", "Arn": f"{IAM}:user/ci", "UserPolicyList": [
        {"PolicyName": name, "PolicyDocument": document(*each)}
        for name, each in zip(names, policies, strict=True)]}  # fmt: skip
    items = [{"key": key, "values": {"items": [{"value": value} for value in values]}}
             for key, values in LARGE.items()]  # fmt: skip
    decoded = {"explicitDeny": False, "context": {
        "principal": {"arn": f"{IAM}:user/ci"}, "action": "ec2:RunInstances",
        "resource": INSTANCE, "conditions": {"items": items}}}  # fmt: skip
    [refusal] = read(json.dumps(decoded)).refusals
    members = identities({"RoleDetailList": [], "Policies": [], "UserDetailList": [user]})
    return explain_refusal(refusal, members, lambda _: None)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(range(len(POOL))), unique=True, min_size=2), st.data())
def test_the_answer_does_not_hang_on_the_order(numbers: list[int], data: Any) -> None:
    own = [POOL[number] for number in numbers]
    half = len(own) // 2
    first, second = own[:half], own[half:]
    shuffled = [data.draw(st.permutations(each)) for each in (first, second)]
    one, other = _by(first, second), _by(*data.draw(st.permutations(shuffled)))
    assert one.changes == other.changes
    assert sorted(one.notes) == sorted(other.notes)


@pytest.mark.parametrize(
    ("pattern", "action", "resource", "mistake"),
    [
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
        ("arn:aws:ec2:*::image/*", "ec2:RunInstances", INSTANCE, ""),
        ("arn:aws:ec2:*::volume/*", "ec2:RunInstances", INSTANCE, "account"),
        ("arn:aws:s3:::b", "s3:ListBucket", f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/a", ""),
        ("arn:aws:ssm:*::document/AWS-Run*", "ssm:SendCommand",
         f"arn:aws:ssm:eu-west-1:{ACCOUNT}:document/own", ""),
        ("arn:aws:sqs:::jobs", "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:other",
         "region and account"),
    ],
)  # fmt: skip
def test_an_arn_leaves_out_only_what_its_own_kind_has(
    pattern: str, action: str, resource: str, mistake: str
) -> None:
    found = explained(action, resource, {"Effect": "Allow", "Action": action, "Resource": pattern})
    assert ("which leaves out" in told(found)) is bool(mistake)
    assert f"leaves out {mistake}" in told(found) or not mistake
