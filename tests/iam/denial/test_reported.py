"""Denials of public reports, made again with names of our own."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.iam.account.decision_log import Record
from scripts.iam.account.identities import identities
from scripts.iam.denial.denials import Denial, explain_denial
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reported import explain_refusal
from scripts.iam.engine.documents import parse_policy
from scripts.iam.engine.evaluation import Reason

ACCOUNT = "111122223333"
IAM = f"arn:aws:iam::{ACCOUNT}"
BUCKET = "arn:aws:s3:::b"
EVERYTHING: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def explained(
    action: str, resource: str, *own: dict[str, Any],
    keys: dict[str, tuple[str, ...]] | None = None, bucket: dict[str, Any] | None = None,
    boundary: dict[str, Any] | None = None, reason: Reason = Reason.NO_IDENTITY_ALLOW,
) -> Denial:  # fmt: skip
    role: dict[str, Any] = {
        "Arn": f"{IAM}:role/app",
        "RoleName": "app",
        "AssumeRolePolicyDocument": document(
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
             "Action": "sts:AssumeRole"}
        ),
        "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": document(*own)}],
    }  # fmt: skip
    policies = []
    if boundary is not None:
        arn = f"{IAM}:policy/boundary"
        role["PermissionsBoundary"] = {"PermissionsBoundaryArn": arn}
        versions = [{"IsDefaultVersion": True, "Document": document(boundary)}]
        policies.append({"Arn": arn, "PolicyVersionList": versions})
    record = Record(
        time=0.0,
        request_id="r",
        principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run",
        role="app",
        service=action.partition(":")[0],
        operation=action.partition(":")[2],
        action=action,
        resource=resource,
        reason=str(reason),
        keys={
            "aws:PrincipalArn": (f"{IAM}:role/app",),
            "aws:ResourceAccount": (ACCOUNT,),
            **(keys or {}),
        },
    )
    of_bucket = bucket and parse_policy(document(bucket), name="bucket", kind="resource")
    members = identities({"RoleDetailList": [role], "Policies": policies})
    return explain_denial(record, members, lambda _: of_bucket or None)


def told(found: Denial) -> str:
    return " / ".join(found.notes)


def test_an_object_with_an_acl_needs_the_right_to_put_one() -> None:
    """aws/aws-cli#813"""
    put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{BUCKET}/x/*"}
    found = explained("s3:PutObjectAcl", f"{BUCKET}/x/a", put)
    [change] = found.changes
    assert found.proved
    assert change.statement is not None
    assert change.statement["Action"] == ["s3:PutObjectAcl"]


def test_a_deny_that_excepts_others_is_for_its_author_to_change() -> None:
    """ministryofjustice/analytical-platform#10695"""
    deny = {
        "Sid": "DenyListing", "Effect": "Deny", "Principal": "*", "Action": "s3:ListBucket",
        "Resource": BUCKET,
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": f"{IAM}:role/analyst"}},
    }  # fmt: skip
    found = explained("s3:ListBucket", BUCKET, EVERYTHING, bucket=deny,
                      reason=Reason.EXPLICIT_DENY)  # fmt: skip
    assert found.changes == ()
    assert "because aws:PrincipalArn is" in told(found)
    assert "the caller is not among them" in told(found)


def test_a_session_policy_is_told_though_the_log_does_not_keep_it() -> None:
    """lakekeeper/lakekeeper#1795"""
    found = explained("s3:ListBucket", BUCKET, EVERYTHING, keys={"s3:prefix": ("a/b",)},
                      reason=Reason.NO_SESSION_ALLOW)  # fmt: skip
    assert "a session policy decided" in told(found)


def test_an_empty_value_is_shown_as_one() -> None:
    """bji/libs3#111"""
    wanted = {"StringEquals": {"s3:prefix": ["", "home/"], "s3:delimiter": ["/"]}}
    root = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET, "Condition": wanted}
    found = explained("s3:ListBucket", BUCKET, root, keys={"s3:delimiter": ("/",)})
    assert found.changes == ()
    assert 's3:prefix to be "" or home/' in told(found)


@pytest.mark.parametrize(
    ("action", "resource", "granted"),
    [
        # maxbanton/cwh#83
        ("logs:DescribeLogGroups", f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group::log-stream:",
         f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:mine:*"),
        # aws/aws-cdk#11851
        ("rds-db:connect", f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser:db-ABC/app",
         f"arn:aws:rds:eu-west-1:{ACCOUNT}:db:mine"),
        # aws/aws-cdk#12411
        ("secretsmanager:GetSecretValue",
         f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:mine-AbCdEf",
         f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:mine"),
    ],
)  # fmt: skip
def test_the_resource_that_aws_asks_for_is_added(action: str, resource: str, granted: str) -> None:
    found = explained(action, resource, {"Effect": "Allow", "Action": action, "Resource": granted})
    [change] = found.changes
    assert found.proved
    assert change.statement is not None
    assert change.statement["Resource"] == [granted, resource]


def test_reading_by_path_is_a_right_of_its_own() -> None:
    """TerraConstructs/base#133"""
    name = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/a/b"
    reads = {"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParameters"],
             "Resource": name}  # fmt: skip
    [change] = explained("ssm:GetParametersByPath", name, reads).changes
    assert change.statement is not None
    assert change.statement["Action"] == ["ssm:GetParametersByPath"]


def test_a_boundary_that_is_demanded_is_what_the_call_should_carry() -> None:
    """aws-solutions/quota-monitor-for-aws#86"""
    demand = {
        "Sid": "Bounded", "Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*",
        "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": f"{IAM}:policy/company"}},
    }  # fmt: skip
    found = explained("iam:CreateRole", f"{IAM}:role/new", EVERYTHING, demand,
                      reason=Reason.EXPLICIT_DENY)  # fmt: skip
    [change] = found.changes
    assert (change.policy, change.statement, found.proved) == ("the request", None, True)
    assert f"the permissions boundary {IAM}:policy/company" in change.edit


def test_the_guard_of_a_boundary_is_never_widened() -> None:
    """nebari-dev/nebari#2152"""
    guard = {
        "Effect": "Allow", "Action": "iam:CreateRole", "Resource": "*",
        "Condition": {"StringEquals": {"iam:PermissionsBoundary": f"{IAM}:policy/ours"}},
    }  # fmt: skip
    found = explained("iam:CreateRole", f"{IAM}:role/new", EVERYTHING, boundary=guard,
                      keys={"iam:PermissionsBoundary": (f"{IAM}:policy/other",)},
                      reason=Reason.NO_BOUNDARY_ALLOW)  # fmt: skip
    assert found.changes == ()
    assert "let the request carry the wanted value" in told(found)


TAGS = {
    "Sid": "Tagged", "Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*",
    "Condition": {"Null": {"aws:RequestTag/Name": "true"}},
}  # fmt: skip


def test_tags_are_demanded_of_what_the_call_makes() -> None:
    """hashicorp/terraform#17412"""
    found = explained("ec2:RunInstances", f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/*", EVERYTHING,
                      TAGS, reason=Reason.EXPLICIT_DENY)  # fmt: skip
    [change] = found.changes
    assert found.proved
    assert "tag what the call makes: Name=" in change.edit


def test_no_request_carries_a_tag_on_what_is_there_already() -> None:
    """hashicorp/terraform#17412, ansible-collections/amazon.aws#1843"""
    found = explained("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-0a", EVERYTHING, TAGS,
                      reason=Reason.EXPLICIT_DENY)  # fmt: skip
    assert found.changes == ()
    assert "may limit its Resource to what the call makes" in told(found)
    vpc = f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/vpc-0a"
    allow = {
        "Effect": "Allow", "Action": "ec2:CreateSecurityGroup",
        "Resource": [vpc, f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/*"],
        "Condition": {"StringEquals": {"aws:RequestTag/By": "me"}},
    }  # fmt: skip
    found = explained("ec2:CreateSecurityGroup", vpc, allow)
    assert found.changes == ()
    assert "in a statement without this condition" in told(found)


def test_a_keys_policy_lets_the_role_in() -> None:
    """4dn-dcic/tibanna#402"""
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11112222-3333-4444-5555-666677778888"
    admins = {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:role/admin"}, "Action": "kms:*",
              "Resource": "*"}  # fmt: skip
    found = explained("kms:Decrypt", key, EVERYTHING, bucket=admins,
                      reason=Reason.NO_RESOURCE_ALLOW)  # fmt: skip
    [change] = found.changes
    assert (change.kind, found.proved) == ("resource", True)
    assert change.statement is not None
    assert change.statement["Principal"] == {"AWS": [f"{IAM}:role/app"]}


# As AWS told them, in the words of the log


def pasted(words: str, *own: dict[str, Any], of_resource: dict[str, Any] | None = None) -> Denial:
    """What is said of a message by the policies of the user who met it."""
    policies = [{"PolicyName": "own", "PolicyDocument": document(*own)}]
    user = {"UserName": "ci", "Arn": f"{IAM}:user/ci", "UserPolicyList": policies}
    [refusal] = read(f"User: {IAM}:user/ci is not authorized to perform: {words}").refusals
    policy = of_resource and parse_policy(document(of_resource), name="key", kind="resource")
    members = identities({"RoleDetailList": [], "Policies": [], "UserDetailList": [user]})
    return explain_refusal(refusal, members, lambda _: policy or None)


KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11112222-3333-4444-5555-666677778888"


def test_a_key_that_leaves_it_to_the_account_is_told_as_such() -> None:
    """jbrt/ec2cryptomatic#26: AWS names the key's policy, and the user's lacked the right."""
    root = {"Effect": "Allow", "Principal": {"AWS": f"{IAM}:root"}, "Action": "kms:*",
            "Resource": "*"}  # fmt: skip
    volumes = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    words = f"kms:DescribeKey on resource: {KEY} because no resource-based policy allows the "
    found = pasted(f"{words}kms:DescribeKey action.", volumes, of_resource=root)
    [change] = found.changes
    assert (change.kind, found.proved) == ("identity", True)
    assert "leaves it to the account's own policies" in told(found)


@pytest.mark.parametrize(
    ("statement", "words", "key"),
    [
        # aws/aws-cli#5592
        ({"NotAction": "iam:EnableMFADevice",
          "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}},
         f"iam:ListRoles on resource: {IAM}:role/", "aws:MultiFactorAuthPresent"),
        # aws/chalice#1716, starschema/starsnow_request#3
        ({"Action": "iam:CreateRole",
          "Condition": {"StringNotLike": {"iam:PermissionsBoundary": f"{IAM}:policy/ours-*"}}},
         f"iam:CreateRole on resource: {IAM}:role/new", "iam:PermissionsBoundary"),
    ],
)  # fmt: skip
def test_the_older_sentence_of_a_deny_tells_no_values(
    statement: dict[str, Any], words: str, key: str
) -> None:
    deny = {"Sid": "Guard", "Effect": "Deny", "Resource": "*", **statement}
    found = pasted(f"{words} with an explicit deny", EVERYTHING, deny)
    assert found.changes == ()
    assert f"denies it only with {key}" in told(found)
    assert "or without the key" in told(found)
    assert "the request has no" not in told(found)


@pytest.mark.parametrize(
    ("conditions", "without"),
    [
        # aws/copilot-cli#5329
        ({"StringNotEqualsIfExists": {"s3:x-amz-acl": "private"},
          "Null": {"s3:x-amz-acl": "false"}}, False),
        ({"StringNotEquals": {"s3:x-amz-acl": "private"}, "Null": {"s3:x-amz-acl": "true"}}, True),
        ({"StringNotEquals": {"s3:x-amz-acl": "private"}}, True),
        ({"ForAllValues:StringEquals": {"s3:x-amz-acl": "private"}}, True),
        ({"ForAnyValue:StringNotEquals": {"s3:x-amz-acl": "private"}}, False),
    ],
)  # fmt: skip
def test_a_condition_holds_without_the_key_where_all_of_the_keys_conditions_do(
    conditions: dict[str, Any], without: bool
) -> None:
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": conditions}
    words = "s3:PutObject on resource: arn:aws:s3:::bucket/x with an explicit deny"
    found = pasted(words, EVERYTHING, deny)
    assert "denies it only with s3:x-amz-acl" in told(found)
    assert ("or without the key" in told(found)) is without


def test_a_placeholder_that_nobody_filled_in_is_the_requests_fault() -> None:
    """corymhall/cdk-diff-action#62."""
    role = "arn:aws:iam::${AWS::AccountId}:role/lookup-${AWS::Region}"
    found = pasted(f"sts:AssumeRole on resource: {role}", EVERYTHING)
    assert found.changes == ()
    assert "nobody filled in, and the request is to be put right, no policy" in told(found)


def test_what_a_message_does_not_carry_is_not_what_failed() -> None:
    """alphagov/govuk-infrastructure#2439: the role was another one."""
    passes = {"Sid": "Pass", "Effect": "Allow", "Action": "iam:PassRole",
              "Resource": f"{IAM}:role/chat-one", "Condition": {
                  "StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}}  # fmt: skip
    words = f"iam:PassRole on resource: {IAM}:role/chat-two because no identity-based policy "
    found = pasted(f"{words}allows the iam:PassRole action", passes)
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Resource"] == [f"{IAM}:role/chat-one", f"{IAM}:role/chat-two"]
    assert "does not say what iam:PassedToService was; bedrock.amazonaws.com is assumed" in told(
        found
    )


def test_a_path_is_part_of_a_roles_name() -> None:
    """jtblin/kube2iam#224"""
    passes = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": f"{IAM}:role/Glue-*"}
    [change] = pasted(f"iam:PassRole on resource: {IAM}:role/service-role/Glue-x", passes).changes
    assert change.statement is not None
    assert change.statement["Resource"][-1] == f"{IAM}:role/service-role/Glue-x"


def test_a_deny_on_a_value_that_is_not_reported() -> None:
    """aws/aws-nitro-enclaves-sdk-c#157"""
    image = {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "ab"}}
    deny = {"Sid": "Enclave", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt",
            "Resource": "*", "Condition": image}  # fmt: skip
    words = f"kms:Decrypt on resource: {KEY} with an explicit deny in a resource-based policy"
    found = pasted(words, EVERYTHING, of_resource=deny)
    assert found.changes == ()
    assert "this one alone can be it: statement Enclave of key" in told(found)
    assert "does not apply to a request with kms:RecipientAttestation:ImageSha384 ab" in told(found)


def test_the_action_that_is_lacking_may_be_another_than_the_calls() -> None:
    """ministryofjustice/modernisation-platform#12326: a call that needs a second action."""
    where = f"arn:aws:ec2:eu-west-2:{ACCOUNT}:vpc-endpoint/*"
    words = (
        f"ec2:CreateVpcEndpoint on resource: {where} because no identity-based policy allows the "
    )
    found = pasted(f"{words}vpce:AllowMultiRegion action.",
                   {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"})  # fmt: skip
    [change] = found.changes
    assert found.proved
    assert change.statement == {
        "Effect": "Allow", "Action": ["vpce:AllowMultiRegion"], "Resource": [where]
    }  # fmt: skip
