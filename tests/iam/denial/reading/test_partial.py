"""Resources that a message names by less than an ARN, or by one that is broken."""

from __future__ import annotations

import pytest

from scripts.iam.denial.partial import as_a_policy_names_it, lacks_parts
from scripts.iam.denial.reading.messages import read
from tests.iam.denial.test_reported import ACCOUNT, EVERYTHING, IAM, pasted, told

BATCH = f"arn:aws:batch:us-east-1:{ACCOUNT}:job-definition/x"
SQS = f"arn:aws:sqs:us-east-1:{ACCOUNT}:jobs"
OTHERS = {"Effect": "Allow", "Action": "sns:*", "Resource": "*"}
LOOKED_AT = "the policies as they are now allow it, as far as the message says"


def asked_for(action: str, resource: str) -> str | None:
    [one] = read(
        f"User: {IAM}:user/ci is not authorized to perform: {action} on resource: {resource}"
    ).refusals
    return one.resource


@pytest.mark.parametrize(
    ("action", "name", "named"),
    [
        ("codepipeline:GetPipeline", "mine", f"arn:aws:codepipeline:REGION:{ACCOUNT}:mine ("),
        ("ecr:BatchGetImage", "a/b", f"arn:aws:ecr:REGION:{ACCOUNT}:repository/a/b ("),
        ("ecr:BatchGetImage", "repository/a", f"arn:aws:ecr:REGION:{ACCOUNT}:repository/a ("),
        ("ssm:GetParameter", "/a/b", f"arn:aws:ssm:REGION:{ACCOUNT}:parameter/a/b ("),
        # An alias is no key's ID.
        ("kms:Decrypt", "alias/mine", "arn:aws:kms:REGION:ACCOUNT:key/<KeyId>"),
        # Two variables, and several forms.
        ("cloudformation:DescribeStacks", "mine", "stack/<StackName>/<Id>"),
        ("batch:SubmitJob", "mine", "what the call touches of"),
        ("sqs:SendMessage", "https://sqs.us-east-1.amazonaws.com/1/mine", "ACCOUNT:<QueueName>"),
    ],
)  # fmt: skip
def test_a_name_is_put_into_the_one_form_that_its_arn_has(
    action: str, name: str, named: str
) -> None:
    assert named in as_a_policy_names_it(action, f"{IAM}:user/ci", name)


def test_a_name_alone_tells_what_a_policy_names() -> None:
    found = pasted("codepipeline:GetPipeline on resource: mine", OTHERS)
    assert found.changes == ()
    assert "None of the caller's own policies allows codepipeline:GetPipeline" in told(found)
    assert f"arn:aws:codepipeline:REGION:{ACCOUNT}:mine" in told(found)
    unknown = as_a_policy_names_it("nosuch:Get", f"{IAM}:user/ci", "mine")
    assert unknown == ""


def test_a_secret_is_named_with_its_six_characters_alone() -> None:
    found = pasted("secretsmanager:GetSecretValue on resource: a", OTHERS)
    assert "secret:a-??????" in told(found)
    assert "secret:a (" not in told(found)


@pytest.mark.parametrize(
    ("action", "whole", "place"),
    [
        ("batch:SubmitJob", BATCH, len("arn:aws:b")),
        ("batch:SubmitJob", BATCH, len("arn:aws:batch:us-")),
        ("batch:SubmitJob", BATCH, BATCH.index("definition")),
        ("sqs:SendMessage", SQS, SQS.index("2")),
    ],
)
def test_an_arn_is_joined_where_a_line_breaks_what_the_reference_has(
    action: str, whole: str, place: int
) -> None:
    wrapped = f"{whole[:place]} \n    {whole[place:]} (Service: A; Status Code: 403)"
    assert asked_for(action, wrapped) == whole


@pytest.mark.parametrize(
    ("action", "wrapped"),
    [
        ("batch:SubmitJob", "arn:aws:b\nERROR: the run failed"),
        ("batch:SubmitJob", f"arn:aws:s\nqs:us-east-1:{ACCOUNT}:jobs"),  # another service's
        ("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{ACCOUNT}:\nERROR"),
        ("sqs:SendMessage", f"{SQS}\nERROR"),
        ("nosuch:Get", f"arn:aws:no\nsuch:us-east-1:{ACCOUNT}:jobs"),
    ],
)
def test_what_only_stands_on_the_next_line_is_not_joined(action: str, wrapped: str) -> None:
    first = wrapped.partition("\n")[0]
    assert asked_for(action, wrapped) == first


def test_a_line_that_breaks_an_arn_is_told_as_that() -> None:
    found = pasted("batch:SubmitJob on resource: arn:aws:b\nERROR: the run failed", EVERYTHING)
    assert found.changes == ()
    assert "the message, or a line of it, ends in the middle of the resource" in told(found)
    assert LOOKED_AT in told(found)


def test_an_arn_without_all_its_parts_is_none_and_what_allows_all_is_told() -> None:
    found = pasted("ec2:TerminateInstances on resource: arn:aws:instance/*", EVERYTHING)
    assert found.changes == ()
    assert "parts are missing" in told(found)
    assert LOOKED_AT in told(found)


def test_what_the_sentence_goes_on_behind_was_not_cut() -> None:
    found = pasted("s3:ListBucket on resource: arn:aws:s3:mine with an explicit deny", OTHERS)
    assert "parts are missing" in told(found)


@pytest.mark.parametrize(
    "own",
    [
        {"Effect": "Allow", "Action": "ec2:*", "Resource": "arn:aws:ec2:*:*:instance/*"},
        {"Effect": "Allow", "Action": "ec2:*", "NotResource": "arn:aws:ec2:*:*:instance/i-0"},
        {"Effect": "Deny", "Action": "ec2:*", "Resource": "arn:aws:ec2:*:*:instance/*"},
    ],
)
def test_what_hangs_on_the_arn_is_not_told_as_allowed(own: dict[str, str]) -> None:
    more = (EVERYTHING,) if own["Effect"] == "Deny" else ()
    found = pasted("ec2:TerminateInstances on resource: arn:aws:instance/*", own, *more)
    assert "parts are missing" in told(found)
    assert LOOKED_AT not in told(found)


@pytest.mark.parametrize(
    ("resource", "lacks"),
    [("arn:aws:instance/*", True), ("arn:aws:s3:b/key", True), ("arn:aws:b", False),
     (BATCH, False), ("arn:aws:s3:::b/key", False)],
)  # fmt: skip
def test_parts_are_missing_where_a_name_stands_too_early(resource: str, lacks: bool) -> None:
    assert lacks_parts(resource) is lacks
