"""Several denials in one paste: each is explained or named, whatever stands beside it."""

from __future__ import annotations

from itertools import permutations

import pytest

from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read

ACCOUNT = "123456789012"
SAID = (
    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/MyRole/session is not authorized to perform: "
    f"{{0}} on resource: arn:aws:{{1}}"
)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-access-denied.html
QUEUE = (
    "An error occurred (AccessDenied) when calling the SendMessage operation: Access to the "
    "resource https://sqs.us-east-1.amazonaws.com/ is denied."
)
KEY = (
    "An error occurred (KMS.AccessDeniedException) when calling the SendMessage operation: "
    f"{SAID.format('kms:GenerateDataKey', f'kms:us-east-1:{ACCOUNT}:key/1')} with an explicit deny."
)
# A denial of each form, and the action that it tells.
FORMS = {
    QUEUE: "sqs:SendMessage",
    KEY: "kms:GenerateDataKey",
    "AccessDeniedException: "
    + SAID.format("dynamodb:GetItem", f"dynamodb:us-east-1:{ACCOUNT}:table/a"):
        "dynamodb:GetItem",
    "Error: creating EventBridge Scheduler Schedule (a): operation error Scheduler: "
    "CreateSchedule, https response error StatusCode: 403, RequestID: "
    "bae15e8c-3f7a-4e14-9c1a-cd900ae14b37, api error AccessDeniedException: "
    + SAID.format("scheduler:CreateSchedule", f"scheduler:eu-west-2:{ACCOUNT}:schedule/default/a")
    + " because no identity-based policy allows the scheduler:CreateSchedule action":
        "scheduler:CreateSchedule",
    "InvalidRequestException: Failed to create service linked role: AWSServiceRoleForAmazonEKS due "
    "to missing permissions for 'iam:CreateServiceLinkedRole'": "iam:CreateServiceLinkedRole",
    "upload failed: ./a to s3://box/b/c An error occurred (AccessDenied) when calling the "
    "PutObject operation: Access Denied": "s3:PutObject",
    "An error occurred (AccessDenied) when calling the ListBuckets operation: Access Denied":
        "s3:ListAllMyBuckets",
    "An error occurred (AccessDeniedException) when calling the GetSecretValue operation: Access "
    "to KMS is not allowed": "kms:Decrypt",
}  # fmt: skip


def told(text: str) -> str:
    found = read(text)
    causes = (str(cause(one)) for one in found.bare)
    return " ".join([*(one.action for one in found.refusals), *causes, *found.bare])


@pytest.mark.slow
@pytest.mark.parametrize("between", ["\n", "\n\n", "\n- or -\n"])
def test_of_two_denials_both_are_told(between: str) -> None:
    for one, two in permutations(FORMS, 2):
        both = told(f"{one}{between}{two}")
        assert FORMS[one] in both and FORMS[two] in both, (one, two)


def test_what_stands_before_a_denial_that_names_its_caller_is_named() -> None:
    found = read(f"{QUEUE}\n- or -\n{KEY}")
    assert [one.action for one in found.refusals] == ["kms:GenerateDataKey"]
    [words] = found.bare
    assert "https://sqs.us-east-1.amazonaws.com/ is denied" in words


def test_a_tools_words_before_its_denial_are_no_second_one() -> None:
    assert read(f"upload failed: ./a to s3://box/b\n{KEY}").bare == ()
