"""Denials that name no caller, and those that are cut: what they still tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.iam.account.identities import identities
from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reading.unnamed import unnamed
from scripts.iam.denial.reported import explain_refusal
from tests.iam.denial.test_given import run
from tests.iam.denial.test_reported import ACCOUNT, pasted

EKS = (
    "InvalidRequestException: Failed to create service linked role: AWSServiceRoleForAmazonEKS due "
    "to missing permissions for 'iam:CreateServiceLinkedRole'"
)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (EKS, "the caller lacks iam:CreateServiceLinkedRole"),
        ('CREATE_FAILED: "API: ec2:CreateVpc You are not authorized to perform this operation."',
         "ec2:CreateVpc was refused"),
        ("ValidationError: AccessDenied. User doesn't have permission to call ssm:GetParameters",
         "ssm:GetParameters was refused"),
        (f"User with accountId: {ACCOUNT} is not authorized to perform codestar:CreateProject",
         f"codestar:CreateProject was refused to a caller of account {ACCOUNT}"),
        ("AccessDenied because no session policy allows the sqs:SendMessage action",
         "no session policy allows sqs:SendMessage"),
        ("An error occurred (AccessDeniedException) when calling the GetSecretValue operation: "
         "Access to KMS is not allowed", "kms:Decrypt on that key"),
        ("An error occurred (AccessDenied) when calling the ListObjectsV2 operation: Access Denied",
         "needs s3:ListBucket on the bucket itself"),
        ('{"ErrorCode":"AccessDenied","ErrorMessage":"Access to the resource '
         f'https://sqs.us-west-2.amazonaws.com/{ACCOUNT}/orders is denied."}}',
         f"its queue arn:aws:sqs:us-west-2:{ACCOUNT}:orders"),
        ("An error occurred (AccessDenied) when calling the CreateQueue operation: Access to the "
         "resource https://eu-west-1.queue.amazonaws.com/ is denied.", "refused sqs:CreateQueue;"),
        ("AccessDeniedException: User: [...] is not authorized to perform: lambda:CreateFunction "
         "[...] with an explicit deny in an identity-based policy: arn:aws:iam::123456789012:policy"
         "/student`",
         "by a statement in an identity-based policy: arn:aws:iam::123456789012:policy/student"),
        ("An error occurred (403) when calling the HeadObject operation: Forbidden",
         "needs s3:GetObject on the objects"),
        ('{"errorMessage": "Access Denied", "errorType": "AccessDenied", "stackTrace": '
         '["Request.extractError (/var/runtime/node_modules/aws-sdk/lib/services/s3.js:5:3)"]}',
         "the caller is its role, unless"),
        ("operation error S3: PutObject, https response error StatusCode: 403, RequestID: AB12",
         "needs s3:PutObject on the objects"),
        ("An error occurred (AccessDeniedException) when calling the InvokeModel operation: Your "
         "account is not authorized to invoke this API operation.", "AWS speaks of the account"),
        ("An error occurred (AccessDeniedException) when calling the ListFoundationModels "
         "operation: Your account is not authorized to invoke this API operation.",
         "where the call names a model"),
        ("not authorized to perform: kinesis:DescribeStreamConsumer on resource:",
         "kinesis:DescribeStreamConsumer was refused to a caller"),
    ],
)  # fmt: skip
def test_what_was_refused_is_told_without_a_caller(words: str, told: str) -> None:
    found = read(words)
    assert found.refusals == ()
    assert told in str(cause(found.bare[0]))


def test_words_that_name_no_action_tell_nothing() -> None:
    assert cause("An error occurred (AccessDenied): no") is None


def test_a_sentence_whose_beginning_is_left_out_names_what_was_asked_for() -> None:
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:AddressesChanged"
    found = read(
        f"not authorized to perform: SNS:ListTagsForResource on resource: {topic} because no "
        "resource-based policy allows the SNS:ListTagsForResource action"
    )
    told = unnamed(found.bare[0])
    assert told is not None
    assert (told.action, told.resource, told.layer) == (
        "sns:ListTagsForResource", topic, "resource-based policy",
    )  # fmt: skip


@pytest.mark.parametrize("cut", ["s3:GetObj…", "s3:GetObj..."])
def test_an_action_that_is_cut_is_not_taken_for_a_whole_one(cut: str) -> None:
    found = read(f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: {cut}")
    assert found.refusals == ()
    assert len(found.bare) == 1
    assert cause(found.bare[0]) is None


def test_a_code_behind_what_lambda_says_of_kms_is_no_second_denial() -> None:
    found = read(
        '{"cause": "KMS Exception: AccessDeniedExceptionKMS Message: User: '
        f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run is not authorized to perform: kms:Decrypt on "
        f"resource: arn:aws:kms:us-east-1:{ACCOUNT}:key/1 because no resource-based policy allows "
        'the kms:Decrypt action (Service: Lambda, Status Code: 502, Request ID: 0d1f6f7c-aaaa)", '
        '"error": "Lambda.KMSAccessDeniedException"}'
    )
    assert len(found.refusals) == 1
    assert found.bare == ()


def test_another_denial_behind_one_is_told() -> None:
    found = read(
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: sqs:SendMessage "
        "(Service: Sqs, Status Code: 403), then another call ended in AccessDenied"
    )
    assert len(found.refusals) == 1
    assert len(found.bare) == 1


@pytest.mark.parametrize(("name", "reserved"), [("aws/a", True), ("SSM-a", True), ("a/aws", False)])
def test_a_name_that_ssm_keeps_for_itself_is_no_matter_of_policies(
    name: str, reserved: bool
) -> None:
    found = pasted(
        f"ssm:PutParameter on resource: arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/{name} with an "
        "explicit deny",
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    )
    assert any("cannot begin with aws or ssm" in note for note in found.notes) is reserved


def test_a_domain_alone_does_not_take_requests_of_data() -> None:
    domain = f"arn:aws:es:eu-west-1:{ACCOUNT}:domain/logs"
    found = pasted(
        "es:ESHttpPost because no identity-based policy allows the es:ESHttpPost action",
        {"Effect": "Allow", "Action": "es:ESHttp*", "Resource": domain},
    )
    assert found.changes == ()
    assert any(f"named by {domain}/*" in note for note in found.notes)


def test_that_nothing_allows_an_action_is_told_without_a_resource() -> None:
    reads = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}
    deletes = reads | {
        "Action": "dynamodb:DeleteItem",
        "Resource": f"arn:aws:dynamodb:*:{ACCOUNT}:table/a",
    }
    for own, nothing in ((reads, True), (deletes, False)):
        found = pasted("dynamodb:DeleteItem", own)
        assert (
            any("allows dynamodb:DeleteItem on anything" in one for one in found.notes) is nothing
        )


def test_an_anonymous_caller_has_no_policies_of_its_own() -> None:
    [refusal] = read("User: anonymous is not authorized to perform: es:ESHttpPost").refusals
    found = explain_refusal(refusal, identities({"RoleDetailList": []}), lambda _: None)
    assert not any("own policies" in note for note in found.notes)


def test_a_resource_below_the_domain_needs_no_hint() -> None:
    domain = f"arn:aws:es:eu-west-1:{ACCOUNT}:domain/logs/*"
    found = pasted(
        "es:ESHttpPost because no identity-based policy allows the es:ESHttpPost action",
        {"Effect": "Allow", "Action": "es:ESHttp*", "Resource": domain},
    )
    assert any(f"allows es:ESHttpPost on {domain}" in note for note in found.notes)
    assert not any("go below" in note for note in found.notes)


def test_a_boundarys_deny_asks_for_the_boundary(tmp_path: Path) -> None:
    """CrowdStrike/terraform-aws-cloud-registration#106"""
    result = run(
        tmp_path,
        "User: ... is not authorized to perform: iam:CreateRole on resource: ...\n"
        "with an explicit deny in a permissions boundary: ...",
    )
    said = " ".join(result.output.split())
    assert result.exit_code == 2
    assert "--boundary FILE the permissions boundary that decided" in said
    assert "no Allow lifts it" in said
