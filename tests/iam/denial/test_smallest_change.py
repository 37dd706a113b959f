"""Public reports of denials: no change opens more than was asked, nothing unknown is a fact."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.iam.account.identities import identities
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reported import explain_refusal
from scripts.iam.denial.words import considered, decision
from scripts.iam.engine import Considered, Failure
from tests.iam.denial.test_reported import (
    ACCOUNT,
    EVERYTHING,
    IAM,
    KEY,
    document,
    explained,
    pasted,
    told,
)

OTHER = "444455556666"
NO_MFA: dict[str, Any] = {
    "Sid": "NeedsMfa", "Effect": "Deny", "NotAction": "sts:GetSessionToken", "Resource": "*",
    "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        # hashicorp/terraform#4115
        ({"Action": "s3:*", "Resource": "arn:aws:s3:::b"},
         's3:GetObject on resource: "arn:aws:s3:::b/prod"'),
        # awsdocs/amazon-ecr-user-guide#19
        ({"Action": "ecr:*", "Resource": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mine"},
         "ecr:GetAuthorizationToken on resource: *"),
        # anomalyco/sst#1400
        ({"Action": ["dynamodb:Query", "dynamodb:DeleteItem"],
          "Resource": f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/t"},
         f"dynamodb:Query on resource: arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/t/index/by"),
        # zed-industries/zed#53960
        ({"Action": "bedrock:InvokeModel*", "Resource": "arn:aws:bedrock:*::foundation-model/*"},
         "bedrock:InvokeModelWithResponseStream on resource: "
         f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:inference-profile/eu.model"),
    ],
)  # fmt: skip
def test_of_a_statement_with_more_actions_nothing_is_widened(
    statement: dict[str, Any], words: str
) -> None:
    action, _, resource = words.partition(" on resource: ")
    found = pasted(f"{words} because no identity-based policy allows the {action} action",
                   {"Effect": "Allow", **statement})  # fmt: skip
    [change] = found.changes
    assert found.proved
    assert change.statement == {
        "Effect": "Allow", "Action": [action], "Resource": [resource.strip('"')]
    }  # fmt: skip


def test_an_added_statement_keeps_the_conditions_that_held() -> None:
    guarded = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:DeleteBucket"],
               "Resource": "arn:aws:s3:::b", "Condition": {
                   "StringLike": {"s3:prefix": "mine/*"},
                   "StringEquals": {"aws:ResourceAccount": ACCOUNT}}}  # fmt: skip
    found = explained("s3:ListBucket", "arn:aws:s3:::b", guarded, keys={"s3:prefix": ("env:/",)})
    [change] = found.changes
    assert found.proved
    assert change.statement == {
        "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::b"],
        "Condition": {"StringLike": {"s3:prefix": ["env:/"]},
                      "StringEquals": {"aws:ResourceAccount": [ACCOUNT]}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("deny", "words", "key"),
    [
        # aws/aws-cdk#27622, cloud-custodian/cloud-custodian#4736
        (NO_MFA, "lambda:GetFunction on resource: "
         f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "aws:MultiFactorAuthPresent"),
        ({"Effect": "Deny", "Action": "s3:*", "Resource": "*",
          "Condition": {"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}},
         's3:GetObject on resource: "arn:aws:s3:::b/k"', "aws:RequestedRegion"),
        # moby/moby#34185
        ({"Effect": "Deny", "Action": "s3:*", "Resource": "*",
          "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}},
         's3:GetObject on resource: "arn:aws:s3:::b/k"', "aws:SourceVpce"),
    ],
)  # fmt: skip
def test_no_statement_says_that_a_key_is_absent_which_no_message_carries(
    deny: dict[str, Any], words: str, key: str
) -> None:
    found = pasted(f"{words} with an explicit deny in an identity-based policy", EVERYTHING, deny)
    assert found.changes == ()
    assert found.explanation is not None
    lines = considered(found.explanation.considered, everything=True)
    assert not any("the request has no" in line for line in (*lines, *found.notes))
    assert any(f"applies: {key} is what it denies" in line for line in lines)


def test_a_deny_that_is_nowhere_may_be_the_organizations() -> None:
    """ministryofjustice/aws-root-account#977: the older sentence, and an SCP decided."""
    found = pasted(f"iam:PassRole on resource: {IAM}:role/chat with an explicit deny", EVERYTHING)
    assert found.changes == ()
    assert "the organization's (SCP, RCP)" in told(found)


def test_a_name_is_no_resource_of_a_policy() -> None:
    """external-secrets/external-secrets#2685"""
    reads = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
             "Resource": f"arn:aws:secretsmanager:eu-west-1:{OTHER}:secret:app/*"}  # fmt: skip
    found = pasted("secretsmanager:GetSecretValue on resource: app/test because no identity-based "
                   "policy allows the secretsmanager:GetSecretValue action", reads)  # fmt: skip
    assert found.changes == ()
    assert "names the resource app/test without its ARN" in told(found)
    assert found.explanation is not None
    [line] = considered(found.explanation.considered, everything=False)
    assert line.endswith("the message names no whole ARN")


def test_statements_about_other_actions_are_only_counted() -> None:
    failure = Failure("Action", ("s3:PutObject",), ("s3:GetObject",))
    other = Considered("p", "identity", "s", "Allow", (failure,))
    assert considered((other,), everything=False) == ["1 statement, none about this action"]
    near = Considered("p", "identity", "s", "Allow", ())
    assert considered((near, other, other), False)[1] == "and 2 statements about other actions"


@pytest.mark.parametrize(
    ("action", "resource", "element"),
    [
        # aws-samples/cdk-assume-role-credential-plugin#49
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:eu-west-1:{OTHER}:secret:s-abcdef",
            "Resource",
        ),
        # phillbaker/terraform-provider-elasticsearch#346: a trust policy has no Resource
        ("sts:AssumeRole", f"arn:aws:iam::{OTHER}:role/deploy", None),
    ],
)
def test_what_another_account_says_is_not_known(
    action: str, resource: str, element: str | None
) -> None:
    own = {"Effect": "Allow", "Action": action, "Resource": resource}
    found = pasted(f"{action} on resource: {resource}", own)
    [change] = found.changes
    whose = "resource's" if element else "role's trust"
    assert change.policy == f"the {whose} policy in account {OTHER}"
    assert f"account {OTHER}'s: a policy of its own must allow it, too, and was not looked at" in (
        told(found)
    )
    assert change.statement is not None
    assert set(change.statement) - {"Effect", "Action", "Principal"} == (
        {element} if element else set()
    )


def test_the_service_of_a_linked_role_stands_in_its_arn() -> None:
    """kubernetes-sigs/aws-load-balancer-controller#1961"""
    elb = {"Sid": "Elb", "Effect": "Allow", "Action": "iam:CreateServiceLinkedRole",
           "Resource": "*", "Condition": {"StringEquals": {
               "iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}}}  # fmt: skip
    role = f"{IAM}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    found = pasted(f"iam:CreateServiceLinkedRole on resource: {role} because no identity-based "
                   "policy allows the iam:CreateServiceLinkedRole action", elb)  # fmt: skip
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Condition"]["StringEquals"]["iam:AWSServiceName"][-1] == (
        "autoscaling.amazonaws.com"
    )


@pytest.mark.parametrize(
    ("action", "resource", "limit"),
    [
        # aws-samples/amazon-cloudwatch-auto-alarms#47
        ("iam:CreateServiceLinkedRole",
         f"{IAM}:role/aws-service-role/events.amazonaws.com/AWSServiceRoleForCloudWatchEvents",
         "iam:AWSServiceName"),
        # ministryofjustice/modernisation-platform#3516
        ("kms:CreateGrant", KEY, "kms:GrantIsForAWSResource"),
    ],
)  # fmt: skip
def test_a_warning_names_the_key_that_limits_this_action(
    action: str, resource: str, limit: str
) -> None:
    found = pasted(f"{action} on resource: {resource} because no identity-based policy allows the "
                   f"{action} action", {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
                   of_resource={"Effect": "Allow", "Principal": {"AWS": f"{IAM}:root"},
                                "Action": "kms:*", "Resource": "*"})  # fmt: skip
    [change] = found.changes
    [warning] = change.warnings
    assert (limit in warning) is (limit not in str(change.statement))


def test_a_session_policy_is_the_sessions() -> None:
    found = pasted('s3:ListBucket on resource: "arn:aws:s3:::b" because no session policy allows '
                   "the s3:ListBucket action", EVERYTHING)  # fmt: skip
    assert found.changes == ()
    assert "given when the session was made and kept nowhere" in told(found)


def test_the_whole_of_a_lambdas_log_stream_is_read() -> None:
    """aws-solutions/aws-crr-monitor#8"""
    stream = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/f:log-stream:2019/12/16/[$LATEST]9f"
    [refusal] = read(
        f"User: {IAM}:user/ci is not authorized to perform: logs:CreateLogStream on resource: "
        f"{stream}"
    ).refusals
    assert refusal.resource == stream
    puts = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}
    [change] = pasted(f"logs:CreateLogStream on resource: {stream}", puts).changes
    assert change.statement is not None
    assert change.statement["Resource"] == [stream.partition("2019")[0] + "*"]


@pytest.mark.parametrize(
    "tail",
    [
        "",  # the message alone
        ")",  # aws-solutions/instance-scheduler-on-aws#219
        "]",  # MitocGroup/deep-framework#118
        "`",
        " because no identity-based policy allows the lambda:InvokeFunction action (Service: "
        "AWSLambda; Status Code: 403; Error Code: AccessDeniedException; Request ID: c0c4199a-20fa"
        "; Proxy: null)",  # awslabs/aws-deployment-framework#460
        " because no identity-based policy allows the lambda:InvokeFunction action (Service: Lambda"
        ', Status Code: 403)" (RequestToken: 7, HandlerErrorCode: AccessDenied)',  # aws-cdk#27067
    ],
)
def test_what_stands_behind_a_resource_is_not_part_of_it(tail: str) -> None:
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    found = read(f"User: {IAM}:user/ci is not authorized to perform: lambda:InvokeFunction on "
                 f"resource: {function}{tail}")  # fmt: skip
    [refusal] = found.refusals
    assert refusal.resource == function
    assert found.bare == ()


def test_a_resource_that_a_terminal_cut_is_the_whole_one() -> None:
    """kubernetes-sigs/aws-fsx-csi-driver#214"""
    everything = {"Effect": "Allow", "Action": "fsx:*", "Resource": "*"}
    cut = "fsx:TagResource on resource: arn:aws:fsx:us-west-\n2:012345678901:file-system/*"
    assert pasted(cut, everything) == pasted(cut.replace("\n", ""), everything)
    found = pasted(cut.partition("\n")[0], everything)
    assert found.changes == ()
    assert "in the middle of the resource (arn:aws:fsx:us-west-)" in told(found)


def test_a_service_is_a_caller_too() -> None:
    """awslabs/aws-automated-incident-response-and-forensics#13"""
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    [refusal] = read(
        "User: sns.amazonaws.com is not authorized to perform: lambda:InvokeFunction on resource: "
        f"{function} because no resource-based policy allows the lambda:InvokeFunction action"
    ).refusals
    nobody = identities({"RoleDetailList": [], "Policies": [], "UserDetailList": []})
    found = explain_refusal(refusal, nobody, lambda _: None)
    [change] = found.changes
    assert change.statement is not None
    assert change.statement["Principal"] == {"Service": ["sns.amazonaws.com"]}
    assert "a service is allowed by the policy of what it asks for" in told(found)


@pytest.mark.parametrize(
    ("trusted", "opened"),
    [
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/main/alice",
         f"arn:aws:sts::{ACCOUNT}:assumed-role/main/bob"),
        (f"{IAM}:role/another", f"{IAM}:role/main"),
    ],
)  # fmt: skip
def test_where_a_trust_tells_sessions_apart_no_other_session_is_let_in(
    trusted: str, opened: str
) -> None:
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    service = {"Principal": {"Service": "ec2.amazonaws.com"}}
    roles = [
        {"RoleName": name, "Arn": f"{IAM}:role/{name}", "RolePolicyList": [
            {"PolicyName": "own", "PolicyDocument": document({**assume, "Resource": "*"})}],
         "AssumeRolePolicyDocument": document({**assume, **principal})}
        for name, principal in (("main", service), ("target", {"Principal": {"AWS": trusted}}))
    ]  # fmt: skip
    [refusal] = read(
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/main/bob is not authorized to perform: "
        f"sts:AssumeRole on resource: {IAM}:role/target"
    ).refusals
    members = identities({"RoleDetailList": roles, "Policies": [], "UserDetailList": []})
    [change] = explain_refusal(refusal, members, lambda _: None).changes
    assert change.statement is not None
    assert change.statement["Principal"] == {"AWS": [opened]}


def test_where_a_condition_is_open_the_policies_are_not_said_to_differ() -> None:
    """boto/boto3#2957"""
    current = {"Sid": "Current", "Effect": "Allow", "Principal": {"AWS": f"{IAM}:user/ci"},
               "Action": "secretsmanager:GetSecretValue", "Resource": "*", "Condition": {
                   "ForAnyValue:StringEquals": {
                       "secretsmanager:VersionStage": "AWSCURRENT"}}}  # fmt: skip
    found = pasted("secretsmanager:GetSecretValue on resource: "
                   f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:s-abcdef because no "
                   "resource-based policy allows the secretsmanager:GetSecretValue action",
                   {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
                   of_resource=current)  # fmt: skip
    [note] = found.notes
    assert "allows it only with secretsmanager:VersionStage" in note


def test_a_role_is_known_without_its_sessions_name() -> None:
    """buildkite/elastic-ci-stack-for-aws#166"""
    words = (f"User: arn:aws:sts::{ACCOUNT}:assumed-role/app is not authorized to perform: "
             "ecr:GetAuthorizationToken on resource: *")  # fmt: skip
    [refusal] = read(words).refusals
    assert refusal.role == "app"


def test_a_decoded_message_has_every_key() -> None:
    """aws/aws-cli#8538: what is not in it, the request did not have."""
    tags = [{"key": "aws:RequestTag/project", "values": {"items": [{"value": "moon"}]}}]
    decoded = {"allowed": False, "explicitDeny": True, "context": {
        "principal": {"id": "A:i", "arn": f"{IAM}:user/ci"}, "action": "ec2:CreateVolume",
        "resource": f"arn:aws:ec2:us-east-1:{ACCOUNT}:volume/*",
        "conditions": {"items": tags}}}  # fmt: skip
    [refusal] = read(json.dumps({"DecodedMessage": json.dumps(decoded)})).refusals
    deny = {"Sid": "Owned", "Effect": "Deny", "Action": "ec2:CreateVolume", "Resource": "*",
            "Condition": {"Null": {"aws:RequestTag/owner": "true"}}}  # fmt: skip
    own = [{"PolicyName": "own", "PolicyDocument": document(EVERYTHING, deny)}]
    user = {"UserName": "ci", "Arn": f"{IAM}:user/ci", "UserPolicyList": own}
    members = identities({"RoleDetailList": [], "Policies": [], "UserDetailList": [user]})
    found = explain_refusal(refusal, members, lambda _: None)
    [change] = found.changes
    assert found.proved
    assert change.edit == "tag what the call makes: owner=a value"
    assert found.explanation is not None
    lines = considered(found.explanation.considered, everything=True)
    assert any("applies: the request has no aws:RequestTag/owner" in line for line in lines)


def test_everything_of_a_service_is_not_added_to_a_statement() -> None:
    """aws-solutions/aws-control-tower-customizations#208"""
    everything = f"arn:aws:ssm:eu-central-1:{ACCOUNT}:*"
    reads = {"Effect": "Allow", "Action": "ssm:GetParameter",
             "Resource": f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/x"}  # fmt: skip
    found = pasted(f"ssm:GetParameter on resource: {everything} because no identity-based policy "
                   "allows the ssm:GetParameter action", reads)  # fmt: skip
    assert found.changes == ()
    assert any("has no valid name" in note for note in found.notes)


def test_what_decided_is_not_stated_where_the_message_does_not_say() -> None:
    short = f"iam:GetRole on resource: {IAM}:role/x"
    reads = {"Effect": "Allow", "Action": "iam:ListRoles", "Resource": "*"}
    assert decision(pasted(short, reads).record) == "the message does not say by what"
    long = f"{short} because no identity-based policy allows the iam:GetRole action"
    assert decision(pasted(long, reads).record) == "no identity-based policy allows"
