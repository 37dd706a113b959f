"""Several denials in one paste: each is explained or named, whatever stands beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations

import pytest

from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reading.s3 import of_s3_alone
from tests.iam.denial import test_callerless
from tests.iam.denial.reading import test_calls

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


ACTION = re.compile(r"(?<![\w:/-])[a-z][a-z0-9-]*:[A-Z]\w+")


def parametrised(*tests: Callable[..., None]) -> list[str]:
    """The words that other tests take, of each of which one denial is known."""
    marks = [mark for one in tests for mark in getattr(one, "pytestmark", ())]
    return [case[0] for mark in marks if mark.name == "parametrize" for case in mark.args[1]]


# Those of services and SDKs that name no caller: each alone is told by other tests.
OTHERS = parametrised(
    test_callerless.test_what_was_refused_is_told_without_a_caller,
    test_calls.test_what_was_called_is_told,
)


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


def refused(text: str) -> set[str]:
    """The actions that are told as refused, each denial's first one."""
    found = read(text)
    causes = [str(cause(one)) for one in found.bare if cause(one) != of_s3_alone(one)]
    first = [one[0] for told in causes if (one := ACTION.search(told))]
    return {*(one.action for one in found.refusals), *first}


@pytest.mark.slow
def test_of_two_denials_of_any_forms_each_is_told() -> None:
    alone = {words: refused(words) for words in dict.fromkeys([*FORMS, *OTHERS])}
    alone = {words: actions for words, actions in alone.items() if actions}
    assert len(alone) >= 35
    for one, two in permutations(alone, 2):
        found = read(f"{one}\n{two}")
        causes = " ".join(str(cause(words)) for words in found.bare)
        both = {*(refusal.action for refusal in found.refusals), *ACTION.findall(causes)}
        assert alone[one] <= both and alone[two] <= both, (one, two)


def test_a_sentence_without_a_reason_ends_where_the_next_error_begins() -> None:
    sentence = SAID.format("dynamodb:GetItem", f"dynamodb:us-east-1:{ACCOUNT}:table/a")
    further = "AccessDenied because no session policy allows the sqs:SendMessage action"
    found = read(f"AccessDeniedException: {sentence}\n{further}")
    [refusal] = found.refusals
    assert (refusal.action, refusal.layer) == ("dynamodb:GetItem", "")
    assert [cause(one) for one in found.bare] == ["no session policy allows sqs:SendMessage"]


def test_a_queues_refusal_beside_anothers_call_names_no_action_that_sqs_lacks() -> None:
    stack = "at com.amazonaws.services.s3.AmazonS3Client.headObject(AmazonS3Client.java:2)"
    assert "sqs:HeadObject" not in told(f"AmazonS3Exception: Access Denied\n  {stack}\n{QUEUE}")


def test_what_stands_before_a_denial_that_names_its_caller_is_named() -> None:
    found = read(f"{QUEUE}\n- or -\n{KEY}")
    assert [one.action for one in found.refusals] == ["kms:GenerateDataKey"]
    [words] = found.bare
    assert "https://sqs.us-east-1.amazonaws.com/ is denied" in words


def test_a_tools_words_before_its_denial_are_no_second_one() -> None:
    assert read(f"upload failed: ./a to s3://box/b\n{KEY}").bare == ()
