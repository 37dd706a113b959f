"""Denials as AWS words them. The forms are those of AWS's documentation and of its SDKs and tools:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.iam.account.identities import Identities, identities
from scripts.iam.denial.reading.messages import Refusal, read
from scripts.iam.denial.reported import explain_refusal, moved
from scripts.iam.denial.trail import from_trail
from scripts.iam.engine.documents import Policy, parse_policy

ACCOUNT = "111122223333"
IAM = f"arn:aws:iam::{ACCOUNT}"
TRAIN = f"arn:aws:sts::{ACCOUNT}:assumed-role/keyless-dev-train/run-7"


def denied(
    action: str,
    resource: str,
    ending: str = "because no identity-based policy allows the {} action",
) -> str:
    words = f" {ending.format(action)}" if ending else ""
    return f"User: {TRAIN} is not authorized to perform: {action} on resource: {resource}{words}"


def one(text: str) -> Refusal:
    [refusal] = read(text).refusals
    return refusal


@pytest.mark.parametrize(
    ("ending", "layer", "explicit"),
    [
        ("because no identity-based policy allows the {} action", "identity-based policy", False),
        ("because no resource-based policy allows the {} action", "resource-based policy", False),
        ("because no permissions boundary allows the {} action", "permissions boundary", False),
        ("because no session policy allows the {} action", "session policy", False),
        ("because no service control policy allows the {} action", "service control policy", False),
        ("because no VPC endpoint policy allows the {} action", "VPC endpoint policy", False),
        ("with an explicit deny in an identity-based policy", "identity-based policy", True),
        ("with an explicit deny in a resource-based policy", "resource-based policy", True),
        ("with an explicit deny in a service control policy", "service control policy", True),
        ("with an explicit deny in a resource control policy", "resource control policy", True),
        ("", "", False),
    ],
)
def test_every_layer_that_aws_names_is_read(ending: str, layer: str, explicit: bool) -> None:
    found = one(denied("s3:GetObject", '"arn:aws:s3:::bucket/key"', ending))
    assert (found.principal, found.role) == (TRAIN, "keyless-dev-train")
    assert (found.action, found.resource) == ("s3:GetObject", "arn:aws:s3:::bucket/key")
    assert (found.layer, found.explicit) == (layer, explicit)


def test_the_policy_that_denied_is_kept_where_aws_names_it() -> None:
    policy = "arn:aws:organizations::444455556666:policy/o-1/service_control_policy/p-1"
    ending = f"with an explicit deny in a service control policy: {policy}"
    found = one(denied("s3:GetObject", "arn:aws:s3:::bucket/key", ending))
    assert found.policy == policy


@pytest.mark.parametrize(
    ("said", "resource"),
    [
        ("role keyless-dev-train", f"{IAM}:role/keyless-dev-train"),
        ("instance profile keyless-dev-server", f"{IAM}:instance-profile/keyless-dev-server"),
        (f"policy {IAM}:policy/keyless-dev-boundary", f"{IAM}:policy/keyless-dev-boundary"),
        ("*", "*"),
        ('"arn:aws:s3:::bucket/a key with spaces"', "arn:aws:s3:::bucket/a key with spaces"),
        ("arn:aws:ssm:us-east-1::document/x.", "arn:aws:ssm:us-east-1::document/x"),
    ],
)
def test_resources_are_arns_whatever_a_service_calls_them(said: str, resource: str) -> None:
    assert one(denied("iam:GetRole", said)).resource == resource


TERRAFORM = (
    "\x1b[31m╷\x1b[0m\n"
    "\x1b[31m│\x1b[0m \x1b[1mError: \x1b[0mcreating RDS DB Instance (keyless-dev): operation error "
    "RDS: CreateDBInstance, https response error StatusCode: 403, RequestID: "
    "1b0d5c3e-7f00-4ac0-9a2b-2f5c1d3e4a5b, api error AccessDenied: "
    + denied("rds:CreateDBInstance", "arn:aws:rds:us-east-1:111122223333:db:keyless-dev")
    .replace(" is not", "\n│ is not")
    .replace(" because", "\n│ because")
    + "\n│ \n╵\n"
)


def test_terraforms_frame_and_its_line_breaks_are_read() -> None:
    found = one(TERRAFORM)
    assert found.action == "rds:CreateDBInstance"
    assert found.resource == "arn:aws:rds:us-east-1:111122223333:db:keyless-dev"
    assert found.operation == "CreateDBInstance"
    assert found.request_id == "1b0d5c3e-7f00-4ac0-9a2b-2f5c1d3e4a5b"


@pytest.mark.parametrize("prefix", ["", "Apply\tterraform apply\t"])
def test_a_log_of_github_is_read_with_its_times(prefix: str) -> None:
    lines = [f"{prefix}2026-11-28T10:00:00.1234567Z {line}" for line in TERRAFORM.splitlines()]
    assert one("\n".join(lines)) == one(TERRAFORM)


def test_botos_error_is_read_with_its_operation() -> None:
    said = "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the "
    found = one(f"{said}PutObject operation: {denied('s3:PutObject', 'arn:aws:s3:::b/k')}")
    assert found.operation == "PutObject"


def test_equal_denials_are_told_once_and_others_apart() -> None:
    text = "\n".join(
        [TERRAFORM, TERRAFORM, denied("kms:Decrypt", f"arn:aws:kms:x:{ACCOUNT}:key/k")]
    )
    assert [found.action for found in read(text).refusals] == [
        "rds:CreateDBInstance",
        "kms:Decrypt",
    ]


@pytest.mark.parametrize(
    "code", ["(code=AccessDeniedException)", "[AccessDenied]", "(code: 'AccessDenied')"]
)
def test_a_code_in_brackets_is_of_the_denial_before_it(code: str) -> None:
    """aws-samples/aws-bootstrap-kit-examples#34"""
    said = denied("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/a/version", "")
    found = read(f"{said} {code}")
    assert len(found.refusals) == 1
    assert found.bare == ()
    [bare] = read(f"{said} {code}\nput failed (AccessDenied): Access Denied").bare
    assert "put failed" in bare


def test_what_names_nobody_is_kept_and_not_guessed() -> None:
    for text in (
        "An error occurred (AccessDenied) when calling the GetObject operation: Access Denied",
        "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity",
    ):
        found = read(text)
        assert found.refusals == ()
        assert len(found.bare) >= 1
    assert read("all is well").bare == ()


def test_an_encoded_message_is_told_from_a_readable_one() -> None:
    code = "aB3_" * 20
    encoded = f"Encoded authorization failure message: {code}"
    alone = f"UnauthorizedOperation: You are not authorized to perform this operation. {encoded}"
    assert read(alone).encoded == (code,)
    both = denied("ec2:RunInstances", f"arn:aws:ec2:x:{ACCOUNT}:instance/*") + f". {encoded}"
    assert (len(read(both).refusals), read(both).encoded) == (1, ())


def test_a_decoded_message_brings_its_keys() -> None:
    message = {
        "allowed": False,
        "explicitDeny": False,
        "context": {
            "principal": {"id": "AROA:run", "arn": TRAIN},
            "action": "ec2:RunInstances",
            "resource": f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/*",
            "conditions": {
                "items": [{"key": "ec2:Region", "values": {"items": [{"value": "us-east-1"}]}}]
            },
        },
    }
    found = one(json.dumps({"DecodedMessage": json.dumps(message)}))
    assert found.action == "ec2:RunInstances"
    assert found.keys == {"ec2:Region": ("us-east-1",)}
    assert one(json.dumps(message)) == found


# --- explained ---------------------------------------------------------------------------------


def statement(action: str, resource: str, sid: str, **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource} | more


def roles(*statements: dict[str, Any]) -> Identities:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
             "Action": "sts:AssumeRole"}  # fmt: skip
    return identities(
        {
            "RoleDetailList": [
                {
                    "Arn": f"{IAM}:role/keyless-dev-train",
                    "RoleName": "keyless-dev-train",
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                    "RolePolicyList": [{"PolicyName": "storage", "PolicyDocument": document}],
                }
            ]
        }
    )


SOMETHING = statement("s3:ListBucket", "arn:aws:s3:::b", "List")


def no_policy(arn: str) -> Policy | None:
    del arn
    return None


def test_what_no_statement_covers_is_answered_with_a_proved_change() -> None:
    members = roles(statement("s3:GetObject", "arn:aws:s3:::b/train/*", "ReadTraining"))
    found = explain_refusal(
        one(denied("s3:GetObject", '"arn:aws:s3:::b/holdout/x"')), members, no_policy
    )
    assert found.proved
    assert "add arn:aws:s3:::b/holdout/x to its resources" in found.changes[0].edit


def test_a_condition_on_what_the_message_does_not_carry_is_named_and_not_widened() -> None:
    own = {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}
    members = roles(statement("s3:GetObject", "arn:aws:s3:::b/*", "Read", Condition=own))
    found = explain_refusal(one(denied("s3:GetObject", "arn:aws:s3:::b/x")), members, no_policy)
    assert found.changes == ()
    [note] = found.notes
    assert f"only with aws:ResourceAccount (StringEquals) {ACCOUNT}" in note
    assert "does not carry" in note
    assert found.explanation is not None
    [failure] = found.explanation.considered[0].failures
    assert failure.unsupported is not None
    assert "the message does not say what it was" in failure.unsupported


def test_a_condition_on_what_the_arn_tells_is_decided() -> None:
    region = {"StringEquals": {"aws:RequestedRegion": "eu-central-1"}}
    members = roles(statement("rds:*", "*", "Here", Condition=region))
    resource = f"arn:aws:rds:us-east-1:{ACCOUNT}:db:x"
    found = explain_refusal(one(denied("rds:DeleteDBInstance", resource)), members, no_policy)
    assert found.explanation is not None
    [failure] = found.explanation.considered[0].failures
    assert failure.actual == ("us-east-1",)


def test_policies_that_allow_it_today_are_said_to() -> None:
    members = roles(statement("s3:GetObject", "arn:aws:s3:::b/*", "Read"))
    found = explain_refusal(one(denied("s3:GetObject", "arn:aws:s3:::b/x")), members, no_policy)
    assert found.changes == ()
    assert "as they are now allow it" in found.notes[0]


def test_where_engine_and_aws_disagree_no_change_is_proposed() -> None:
    members = roles(statement("s3:GetObject", "arn:aws:s3:::b/train/*", "Read"))
    ending = "with an explicit deny in a resource-based policy"
    found = explain_refusal(
        one(denied("s3:GetObject", "arn:aws:s3:::b/x", ending)), members, no_policy
    )
    assert found.changes == ()
    assert "AWS says: explicit deny" in found.notes[0]


def test_a_deny_of_the_resource_is_found_where_its_policy_is_known() -> None:
    document = {"Version": "2012-10-17", "Statement": [
        {"Sid": "KeepOut", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::b/x"}]}  # fmt: skip
    policy = parse_policy(document, name="arn:aws:s3:::b", kind="resource")
    members = roles(statement("s3:GetObject", "*", "Read"))
    ending = "with an explicit deny in a resource-based policy"
    found = explain_refusal(
        one(denied("s3:GetObject", "arn:aws:s3:::b/x", ending)), members, lambda _: policy
    )
    assert any("KeepOut" in note for note in found.notes)


@pytest.mark.parametrize(
    ("layer", "words"),
    [("service control policy", "organization"), ("VPC endpoint policy", "endpoints.tf")],
)
def test_what_another_hand_decides_is_not_answered_with_a_policy_of_ours(
    layer: str, words: str
) -> None:
    ending = f"with an explicit deny in a {layer}"
    found = explain_refusal(
        one(denied("s3:GetObject", "arn:aws:s3:::b/x", ending)), roles(SOMETHING), no_policy
    )
    assert found.changes == ()
    assert words in found.notes[0]


def test_a_role_that_is_not_there_is_said_to_be_missing() -> None:
    text = denied("s3:GetObject", "arn:aws:s3:::b/x").replace("-train", "-retired")
    found = explain_refusal(one(text), roles(SOMETHING), no_policy)
    assert found.notes == ("the account that was looked at has no role keyless-dev-retired",)


def test_a_message_without_a_resource_gets_no_change() -> None:
    text = f"User: {TRAIN} is not authorized to perform: s3:GetObject"
    members = roles(statement("s3:PutObject", "*", "Write"))
    found = explain_refusal(one(text), members, no_policy)
    assert found.changes == ()
    assert "names no resource" in found.notes[0]


@pytest.mark.parametrize(
    "hidden",
    ["1234567", "1111111111111", "XXXXXXXXXXXX", "xxxx1234", "<account>", "<my account id>",
     "[redacted]", "[account id]", "{accountid}", "ACCOUNT_ID", "****", "AAAAAAAAAAA", "REDACTED",
     "********3333"],
)  # fmt: skip
def test_whatever_stands_in_the_place_of_an_account_hides_it(hidden: str) -> None:
    words = denied("lambda:GetFunction", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f")
    found = one(words.replace(ACCOUNT, hidden))
    assert found.account == "***"
    assert found.role == "keyless-dev-train"
    assert moved(found, ACCOUNT) == one(words)


@pytest.mark.parametrize(
    "resource",
    ["arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:s3:::b-1.x/a:1:c",
     "arn:aws:apigateway:eu-west-1::/restapis/1:2:3", "arn:aws:logs:eu-west-1:999988887777:a:12:b"],
)  # fmt: skip
def test_what_is_no_place_of_an_account_stays(resource: str) -> None:
    assert one(denied("iam:GetPolicy", resource)).resource == resource


@pytest.mark.parametrize("region", ["region", "<region>", "REDACTED"])
def test_a_region_that_is_none_is_masked_too(region: str) -> None:
    """aws/aws-cdk#12179"""
    found = one(denied("logs:CreateLogStream", f"arn:aws:logs:{region}:<account>:log-group:a:b"))
    assert found.resource == "arn:aws:logs:***:***:log-group:a:b"
    assert moved(found, ACCOUNT).arn is None


def test_the_words_of_a_bare_denial_are_whole() -> None:
    """external-secrets/external-secrets#390"""
    text = (
        f"{'abcdefghi ' * 9}AccessDeniedException: Access to KMS is not allowed{' klmnopqrs' * 30}"
    )
    [found] = read(text).bare
    assert set(found.split()) <= set(text.split())
    assert "Access to KMS is not allowed" in found


def test_each_denial_has_its_own_request_and_operation() -> None:
    """aws/amazon-sagemaker-examples#363"""
    first = denied("ecr:CreateRepository", "*", "")
    second = denied("ecr:InitiateLayerUpload", f"arn:aws:ecr:us-west-2:{ACCOUNT}:repository/a", "")
    behind = ", status code: 400, request id: {}"
    calling = "when calling the CreateRepository operation: "
    said = f"{calling}{first}{behind.format('a' * 12)} denied: {second}{behind.format('b' * 12)}"
    assert [(one.operation, one.request_id) for one in read(said).refusals] == [
        ("CreateRepository", "a" * 12), ("", "b" * 12)
    ]  # fmt: skip
    before = "operation error ECR: {}, RequestID: {}, api error AccessDenied: "
    said = f"{first} and {before.format('InitiateLayerUpload', 'c' * 12)}{second}"
    assert [(one.operation, one.request_id) for one in read(said).refusals] == [
        ("", ""), ("InitiateLayerUpload", "c" * 12)
    ]  # fmt: skip


def test_what_is_quoted_is_read() -> None:
    """aws-samples/aws-serverless-batch-architecture#1: SES's own words."""
    resource = f"arn:aws:ses:us-west-1:{ACCOUNT}:identity/me@example.com"
    found = one(
        f"User `{TRAIN}' is not authorized to perform `ses:SendEmail' on resource `{resource}'"
    )
    assert (found.principal, found.action, found.resource) == (TRAIN, "ses:SendEmail", resource)


@pytest.mark.parametrize(
    "behind",
    ['", "code": "AccessDeniedException", "time": 1', '"}, "errorType": "AccessDeniedException"',
     '","__type":"AccessDeniedException"', " (code=AccessDenied)"],
)  # fmt: skip
def test_a_code_behind_the_sentence_is_no_second_denial(behind: str) -> None:
    """FormidableLabs/aws-lambda-serverless-reference#31"""
    words = denied("states:StartExecution", f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:F")
    assert read(f'{{"message": "{words}{behind}').bare == ()
    assert read(f"{words}\nAccessDenied: Access Denied").bare


@pytest.mark.parametrize(
    "words",
    [
        # ASFHyP3/hyp3#2283, aws-samples/siem-on-amazon-opensearch-service#471
        "execute-api:Invoke on resource: arn:aws:execute-api:us-west-2:********3333:a/api/GET/",
        "es:ESHttpGet because no resource-based policy allows the es:ESHttpGet action",
    ],
)
def test_an_anonymous_caller_is_shown_as_such(words: str) -> None:
    asked = moved(one(f"User: anonymous is not authorized to perform: {words}"), ACCOUNT)
    found = explain_refusal(asked, roles(SOMETHING), no_policy)
    assert found.record.principal == "anonymous"
    assert found.changes == ()
    assert any("AWS counts the request as anonymous" in note for note in found.notes)
    assert not any("paste it with" in note for note in found.notes)


def test_a_denial_is_moved_to_the_account_whose_policies_are_looked_at() -> None:
    there = moved(one(denied("iam:GetRole", "role keyless-dev-train")), "999988887777")
    assert there.resource == "arn:aws:iam::999988887777:role/keyless-dev-train"
    assert there.role == "keyless-dev-train"


def event(name: str, role: str, **more: Any) -> str:
    content = {
        "eventTime": "2026-11-28T10:00:00Z",
        "eventSource": "rds.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "terraform",
        "requestID": f"request-of-{name}",
        "userIdentity": {
            "arn": TRAIN,
            "sessionContext": {"sessionIssuer": {"userName": role}},
        },
    }
    return json.dumps(content | more)


def test_cloudtrails_denials_of_our_roles_are_read_with_their_keys() -> None:
    said = denied("rds:CreateDBInstance", f"arn:aws:rds:us-east-1:{ACCOUNT}:db:x")
    found = from_trail(
        [
            event("CreateDBInstance", "keyless-dev-apply", errorCode="AccessDenied",
                  errorMessage=said),
            event("CreateDBInstance", "somebody", errorCode="AccessDenied", errorMessage=said),
            event("DescribeDBInstances", "keyless-dev-apply"),
            event("CreateTags", "keyless-dev-apply", errorCode="Client.UnauthorizedOperation",
                  errorMessage="You are not authorized to perform this operation."),
        ],
        "keyless-dev-",
    )  # fmt: skip
    [refusal] = found.refusals
    assert (refusal.operation, refusal.request_id) == (
        "CreateDBInstance",
        "request-of-CreateDBInstance",
    )
    assert refusal.known_keys()["aws:SourceIp"] == ("198.51.100.7",)
    [bare] = found.bare
    assert "CreateTags" in bare


@pytest.mark.parametrize(
    ("text", "action", "resource"),
    [
        # aws-amplify/amplify-backend#2092
        ("iam:PutRolePo\nlicy on resource: role cdk because no identity-based policy allows the "
         "iam:PutRolePolicy action", "iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/cdk"),
        (f"iam:GetRole on resource: arn:aws:iam::{ACCOUNT}:role/a-long-na\nme because no identity-"
         "based policy allows the iam:GetRole action", "iam:GetRole",
         f"arn:aws:iam::{ACCOUNT}:role/a-long-name"),
        # kubernetes-sigs/aws-fsx-csi-driver#214
        (f"fsx:TagResource on resource: arn:aws:fsx:us-west-\n2:{ACCOUNT}:file-system/* because no "
         "identity-based policy allows the fsx:TagResource action", "fsx:TagResource",
         f"arn:aws:fsx:us-west-2:{ACCOUNT}:file-system/*"),
        # what stands behind an action need not be a part of it
        ("iam:GetRole once more", "iam:GetRole", None),
        ("nosuch:Thing on it", "nosuch:Thing", None),
    ],
)  # fmt: skip
def test_what_a_terminal_broke_is_put_together(
    text: str, action: str, resource: str | None
) -> None:
    caller = f"arn:aws:iam::{ACCOUNT}:user/ci"
    [refusal] = read(f"User: {caller} is not authorized to perform: {text}").refusals
    assert (refusal.action, refusal.resource) == (action, resource)


def test_a_terminals_frame_is_no_part_of_the_message() -> None:
    """anthropics/claude-code#541"""
    text = """\
│   API Error: 403 {"Message":"User: arn:aws:sts::xxx:assumed-role/dev is    │
│   not authorized to perform: bedrock:InvokeModel on resource:              │
│   arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.a            │
│   because no session policy allows the bedrock:InvokeModel action"}        │
"""
    found = one(text)
    assert (found.role, found.layer) == ("dev", "session policy")


def test_what_an_sdk_prints_behind_its_stack_is_of_the_same_denial() -> None:
    """anomalyco/sst#3006"""
    text = denied("s3:GetObject", "arn:aws:s3:::b/x") + (
        f"{'    at async file:///var/task/index.mjs:818:24 ' * 20}{{\n  '$metadata': {{\n"
        "    httpStatusCode: 403,\n    requestId: '586c9a5f-b3aa-4111-9222-333344445555',\n  },\n"
        "  Type: 'Sender',\n  Code: 'AccessDenied'\n}"
    )
    found = read(text)
    assert len(found.refusals) == 1
    assert found.bare == ()


@pytest.mark.parametrize(
    "resource",
    [
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsiamidentitycenter.html
        "arn:aws:sso:::permissionSet/ssoins-0123456789abcdef/ps-0123456789abcdef",
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonpersonalize.html
        "arn:aws:personalize:::recipe/aws-user-personalization",
        "arn:aws:s3:::box",
    ],
)
def test_an_arn_that_never_has_a_place_hides_none(resource: str) -> None:
    [refusal] = read(
        "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: s3:GetObject on "
        f"resource: {resource}"
    ).refusals
    assert refusal.resource == refusal.arn == resource
