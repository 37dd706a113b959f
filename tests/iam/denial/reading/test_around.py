"""What the text around a denial tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.iam.denial.test_given import ACCOUNT, SESSION, explained, run

ROLE = f"arn:aws:iam::{ACCOUNT}:role/Other"
ASSUME = "AccessDenied: User is not authorized to perform sts:AssumeRole"
OIDC = "Error: Could not assume role with OIDC: Not authorized to perform "
LINKED = (
    f"User: {SESSION} is not authorized to perform: iam:CreateServiceLinkedRole on resource: "
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ipam.amazonaws.com/AWSServiceRoleForIPAM"
)
QUEUES = "SqsException: Access to the resource https://sqs.eu-west-1.amazonaws.com/ is denied"
SQS = "SqsClient sqs = SqsClient.create();\n"
INVOKE = f"User: {SESSION} is not authorized to perform: bedrock-agentcore:InvokeAgentRuntime"
RUNTIME = f"arn:aws:bedrock-agentcore:us-west-2:{ACCOUNT}:runtime"


# https://docs.aws.amazon.com/cli/latest/reference/sts/assume-role.html
@pytest.mark.parametrize(
    "named",
    [f"aws sts assume-role --role-arn {ROLE} --role-session-name x",
     f"[profile other]\nrole_arn = {ROLE}", f'sts.assume_role(RoleArn="{ROLE}")',
     f'"Action": "sts:AssumeRole",\n"Resource": ["{ROLE}"]', f"role-to-assume: {ROLE}"],
)  # fmt: skip
def test_a_role_to_become_is_not_who_called(tmp_path: Path, named: str) -> None:
    output = " ".join(run(tmp_path, f"{ASSUME}\n\nI ran this\n\n{named}\n").output.split())
    assert "may be who called" not in output
    assert f"{ROLE} is the role to become" in output


def test_who_became_a_role_may_call_with_it(tmp_path: Path) -> None:
    words = f"S3Exception: Access Denied (403)\n\n[profile other]\nrole_arn = {ROLE}\n"
    assert "is the role to become" not in run(tmp_path, words).output


# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html, on eventual consistency
@pytest.mark.parametrize(
    ("beside", "late"),
    [("the IAM permission may not have propagated", True),
     ("IAM is eventually consistent", True), ("A second apply succeeds.", True),
     ("Retrying it works.", True), ("A second apply never works.", False),
     ("tag propagation is on: propagate_at_launch", False),
     ("an eventually consistent read of the table", False)],
)  # fmt: skip
def test_a_right_just_written_may_not_count_yet(tmp_path: Path, beside: str, late: bool) -> None:
    notes = explained(run(tmp_path, f"{beside}\n\n{LINKED}\n", "--json"))["notes"]
    assert any("wait and make the call again" in one for one in notes) is late


# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
@pytest.mark.parametrize(
    ("code", "told"),
    [(f"{SQS}var all = sqs.listQueues(request);", "sqs:ListQueues"),
     (f"{SQS}sqs.createQueue(a);\nsqs.listQueues(b); // fails here", "sqs:ListQueues"),
     ("sqs = boto3.client('sqs')\nsqs.create_queue(QueueName='a')", "sqs:CreateQueue"),
     (f"{SQS}sqs.createQueue(a);\nsqs.listQueues(b);", ""), (f"{SQS}sqs.close();", "")],
)  # fmt: skip
def test_the_line_that_fails_tells_the_call(tmp_path: Path, code: str, told: str) -> None:
    output = " ".join(
        run(tmp_path, f"{QUEUES}\n\nThe code:\n\n{'-' * 300}\n\n{code}\n").output.split()
    )
    assert (f"fit a call that needs {told}." in output) is bool(told)


# https://github.com/aws-actions/configure-aws-credentials/blob/main/src/index.ts
@pytest.mark.parametrize(
    ("job", "github"),
    [("permissions:\n  id-token: write", True), ("permissions:\n  contents: read", False)],
)
def test_a_job_signs_in_with_githubs_token(tmp_path: Path, job: str, github: bool) -> None:
    words = f"{OIDC}sts:AssumeRoleWithWebIdentity\n\nmy runner is on EKS\n\n{job}\n"
    output = " ".join(run(tmp_path, words).output.split())
    assert ("signs in with GitHub's own token" in output) is github


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrockagentcore.html
@pytest.mark.parametrize(
    ("beside", "told"),
    [(f'"Resource": "{RUNTIME}/Agent-Nf5"', f"{RUNTIME}/Agent-Nf5"),
     (f"{RUNTIME}/Agent-Nf5 and {RUNTIME}/*.", f"{RUNTIME}/Agent-Nf5"),
     (f"{RUNTIME}/Agent-Nf5 or {RUNTIME}/Other-1", f"{RUNTIME}/<RuntimeId>"),
     (f"{RUNTIME}/Agent-*", f"{RUNTIME}/<RuntimeId>"),
     ("arn:aws:bedrock-agentcore:us-west-2:999988887777:runtime/Theirs-1", ":runtime/<RuntimeId>")],
)  # fmt: skip
def test_the_only_one_of_its_kind_is_what_was_called(
    tmp_path: Path, beside: str, told: str
) -> None:
    notes = explained(run(tmp_path, f"{INVOKE}\n\n{beside}\n", "--json"))["notes"]
    assert any(f"{told}," in one for one in notes)
