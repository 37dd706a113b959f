"""What is filled into AWS's forms of ARNs by the whole of a text, and by the refusal itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.iam.denial.test_given import ACCOUNT, explained, run

NO_NAME = "AccessDenied. User doesn't have permission to call ssm:GetParameters"
BEDROCK = "User: arn:aws:iam::...:user/x is not authorized to perform: bedrock:InvokeModel"
TAKEN = "by other words of the text, taken for this call's"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        # https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/using-govcloud-arns.html
        (f"# cdk deploy in AWS GovCloud\n{NO_NAME}", "arn:aws-us-gov:ssm:REGION:ACCOUNT:parameter"),
        (f"aws --region cn-north-1 ...\n{NO_NAME}", "arn:aws-cn:ssm:cn-north-1:ACCOUNT:parameter"),
        (f'provider "aws" {{ region = "eu-west-3" }}\n{NO_NAME}', "arn:aws:ssm:eu-west-3:ACCOUNT:"),
        (f"in eu-west-3 and eu-west-1\n{NO_NAME}", "arn:aws:ssm:REGION:ACCOUNT:parameter"),
        # https://docs.aws.amazon.com/bedrock/latest/userguide/security_iam_id-based-policy-examples.html
        (f"client('bedrock', region_name='us-east-1')\nmodelId='anthropic.claude-v2:1'\n{BEDROCK}",
         "names arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1 ("),
        # https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
        (f"region us-east-1\nmodelId: 'us.anthropic.claude-v2:1'\n{BEDROCK}",
         "names arn:aws:bedrock:*::foundation-model/anthropic.claude-v2:1 and "
         "arn:aws:bedrock:us-east-1:ACCOUNT:inference-profile/us.anthropic.claude-v2:1 ("),
        ("TableName: 'orders', region: 'eu-west-1'\n"
         "ddb failed: AccessDeniedException: not authorized to perform: dynamodb:PutItem",
         "arn:aws:dynamodb:eu-west-1:ACCOUNT:table/orders"),
        ("aws kms --table-name a --table-name b us-east-1\n"
         "ddb failed: AccessDeniedException: not authorized to perform: dynamodb:PutItem",
         "arn:aws:dynamodb:us-east-1:ACCOUNT:table/<TableName>"),
    ],
)  # fmt: skip
def test_the_place_is_by_the_whole_text(tmp_path: Path, words: str, told: str) -> None:
    output = " ".join(run(tmp_path, words).output.split())
    assert told in output
    assert (TAKEN in output) is ("REGION:ACCOUNT" not in told or "aws-us-gov" in told)


def test_what_the_refusal_tells_goes_before_the_text(tmp_path: Path) -> None:
    words = (
        f"region us-west-2\nUser: arn:aws-cn:iam::{ACCOUNT}:user/x is not authorized to perform: "
        "batch:SubmitJob on resource: arn:aws-cn:batch:cn-north-1:111122223333:job-definition/a"
    )
    [note] = [one for one in explained(run(tmp_path, words, "--json"))["notes"] if "further" in one]
    assert "arn:aws-cn:batch:cn-north-1:111122223333:job-queue/<JobQueueName>" in note
    assert TAKEN not in note


# https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/how-iam.html
def test_a_bare_name_stands_before_what_aws_adds_to_it(tmp_path: Path) -> None:
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/pi is not authorized to perform: "
        "kinesisvideo:DescribeStream on resource: Cam"
    )
    notes = str(explained(run(tmp_path, words, "--json"))["notes"])
    assert f"arn:aws:kinesisvideo:REGION:{ACCOUNT}:stream/Cam/<CreationTime>" in notes


def test_an_encoded_part_further_down_is_found(tmp_path: Path) -> None:
    words = (
        "launching instances, creating fleet UnauthorizedOperation: You are not authorized to "
        "perform this operation. Encoded authorization failure message\n\nIn a comment:\n"
        f"{'0l-KPWQJ8q5z3YatP3Ybgb5lf0di' * 10}\n"
    )
    output = " ".join(run(tmp_path, words).output.split())
    assert "The message is encoded" in output
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    assert "ec2:CreateFleet on arn:aws:ec2:REGION:ACCOUNT:fleet/*" in output


# https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
def test_tags_of_what_is_being_made_have_no_arn_yet(tmp_path: Path) -> None:
    words = (
        f"Error: creating KMS Key: AccessDeniedException: User: arn:aws:iam::{ACCOUNT}:user/x is "
        "not authorized to perform: kms:TagResource because no identity-based policy allows the "
        "kms:TagResource action"
    )
    notes = str(explained(run(tmp_path, words, "--json"))["notes"])
    assert "aws:RequestTag" in notes
    assert "the key's policy decides" not in notes
    output = " ".join(run(tmp_path, (
        "Error: creating KMS Key: AccessDeniedException: An error occurred (AccessDeniedException) "
        "when calling the CreateKey operation: You don't have the kms:TagResource permission that "
        "is required to add tags during key creation."
    )).output.split())  # fmt: skip
    assert "the caller lacks kms:TagResource" in output
    assert "kms:CreateKey" not in output


def test_what_guzzle_left_of_a_sentence_names_the_caller(tmp_path: Path) -> None:
    words = (
        'Error executing "Scan" on "https://dynamodb.eu-west-1.amazonaws.com"; AWS HTTP error: '
        '`POST` resulted in a `400 Bad Request` response: {"__type":"#AccessDeniedException",'
        f'"Message":"User: arn:aws:iam::{ACCOUNT}:user/abc is not a (truncated...)'
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["principal"] == f"arn:aws:iam::{ACCOUNT}:user/abc"
    assert found["action"] == "dynamodb:Scan"


def test_a_policy_in_the_text_is_told_and_not_judged(tmp_path: Path) -> None:
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: sqs:SendMessage on "
        f'resource: arn:aws:sqs:eu-west-1:{ACCOUNT}:q\n{{"Effect": "Allow", "Action": "sqs:*"}}'
    )
    assert "the text holds a policy" in str(explained(run(tmp_path, words, "--json"))["notes"])


# https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
@pytest.mark.parametrize(
    ("call", "told"), [("ListAccounts", True), ("DescribeOrganization", False)]
)
def test_organizations_answers_few_accounts(tmp_path: Path, call: str, told: bool) -> None:
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: organizations:{call}"
    )
    notes = str(explained(run(tmp_path, words, "--json"))["notes"])
    assert ("management account" in notes) is told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        # https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html
        ("my-role' is not authorized to create managed-rule.  (Service: AWSStepFunctions; Error "
         "Code: AccessDeniedException)", "with my-role: that role needs events:PutTargets"),
        # https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
        ("https://x.dkr.ecr.eu-west-1.amazonaws.com/v2/a/manifests/1: non-successful response "
         '(status=401 body="Not Authorized\\n")', "ecr:GetAuthorizationToken on *"),
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsglue.html
        ("Query failed with state: FAILED, reason: Insufficient permissions to execute the query. "
         "User is not authorized to create partitions on Glue catalog .", "glue:CreatePartition"),
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
        ("ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
         "retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 "
         "time(s): AccessDeniedException: User: ....", "needs ssm:GetParameters on the parameter"),
        ("AccessDeniedException: User: xyz is not authorized to perform: logs:DescribeLogStreams",
         "(the words call it xyz)"),
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
        ("An error occurred (KMS.AccessDeniedException) when calling the SendMessage operation: "
         "null (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException)",
         "and to send or publish kms:GenerateDataKey"),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
        ('"RoleArn": "arn:aws:iam::${aws:accountId}:role/Runs"\nUser: xxx is not authorized to '
         "perform: iam:PassRole on resource: yyy because no identity-based policy allows the "
         "iam:PassRole action", ":role/Runs (the one role that is handed on, never *), limited by "
         "iam:PassedToService"),
    ],
)  # fmt: skip
def test_what_services_and_their_users_say_is_read(tmp_path: Path, words: str, told: str) -> None:
    assert told in " ".join(run(tmp_path, words).output.split())


@pytest.mark.parametrize(
    ("end", "told"),
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
        ("Lambda with an explicit deny", "iam:PermissionsBoundary"),
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
        ("stack-Lambda-OF9ZZQG4GM65", "anew for each stack"),
    ],
)
def test_of_a_role_that_is_made_its_request_and_name_are_told(
    tmp_path: Path, end: str, told: str
) -> None:
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: iam:CreateRole on "
        f"resource: arn:aws:iam::{ACCOUNT}:role/{end}"
    )
    assert told in str(explained(run(tmp_path, words, "--json"))["notes"])


# https://docs.aws.amazon.com/codepipeline/latest/userguide/security_iam_troubleshoot.html
def test_a_pages_heading_is_no_second_denial(tmp_path: Path) -> None:
    words = (
        "I'm not authorized to perform iam:PassRole\nIf you receive an error that you're not "
        "authorized to perform the iam:PassRole action, your policies must be updated.\n"
        f"User: arn:aws:iam::{ACCOUNT}:user/marymajor is not authorized to perform: iam:PassRole\n"
    )
    done = run(tmp_path, words)
    assert done.exit_code == 0
    assert "not explained" not in done.output


# https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
@pytest.mark.parametrize(("name", "end"), [("data-cat", "-??????"), ("datacat-a1B2c3", "")])
def test_a_secret_is_allowed_with_what_its_arn_ends_in(tmp_path: Path, name: str, end: str) -> None:
    arn = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:{name}"
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: "
        f"secretsmanager:GetSecretValue on resource: {arn} because no identity-based policy allows"
    )
    [change] = explained(run(tmp_path, words, "--json"))["changes"]
    assert change["statement"]["Resource"] == [f"{arn}{end}"]


@pytest.mark.parametrize(
    ("asked", "resource"),
    [
        # https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
        (
            "iam:GetRole on resource: role AWSReservedSSO_Viewer_1111",
            f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_Viewer_1111",
        ),
        ("s3:CreateBucket on resource\n```\nIt would", "(the message names none)"),
    ],
)
def test_what_was_asked_for_is_as_policies_name_it(
    tmp_path: Path, asked: str, resource: str
) -> None:
    words = f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: {asked}"
    assert explained(run(tmp_path, words, "--json"))["resource"] == resource


# https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
def test_what_is_said_about_a_decoded_message_is_no_second_denial(tmp_path: Path) -> None:
    words = (
        '{"DecodedMessage": "{\\"allowed\\":false,\\"explicitDeny\\":false,\\"context\\":{'
        f'\\"principal\\":{{\\"arn\\":\\"arn:aws:iam::{ACCOUNT}:user/x\\"}},'
        '\\"action\\":\\"iam:PassRole\\",\\"resource\\":\\"arn:aws:iam::'
        f'{ACCOUNT}:role/r\\",\\"conditions\\":{{\\"items\\":[]}}}}}}"}}\nThe user does not have '
        "permission to perform the iam:PassRole action on the role."
    )
    done = run(tmp_path, words)
    assert f"arn:aws:iam::{ACCOUNT}:role/r" in done.output
    assert "not explained" not in done.output


# Terraform's words without a call: of the page nothing but the error is one.
def test_a_title_that_tells_nothing_is_no_denial(tmp_path: Path) -> None:
    words = (
        "# Improve Error: AccessDenied: Access Denied reporting\n\nI encountered the following "
        "AccessDenied error that is not helpful.\n\nError: AccessDenied: Access Denied\n        "
        "status code: 403, request id: 37F, host id: Qo\n\nBased on the logs it is in s3.\n"
    )
    output = run(tmp_path, words).output
    assert "not explained" not in output
    assert output.count("a call was refused") + output.count("refused a call") == 1


def test_a_sentence_that_is_cut_behind_no_tells_that_an_allow_lacks(tmp_path: Path) -> None:
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: kms:GetKeyPolicy"
        f" on resource: arn:aws:kms:eu-west-1:{ACCOUNT}:key/1 because no"
    )
    assert "no policy allows" in run(tmp_path, words).output


# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
def test_of_an_event_without_its_head_who_called_is_read(tmp_path: Path) -> None:
    words = (
        f'{{"userIdentity": {{"arn": "arn:aws:sts::{ACCOUNT}:assumed-role/r/s"'
        '}, "eventTime": "2021-12-04T15:09:20Z", "eventSource": "s3.amazonaws.com", "eventName": '
        '"ListBuckets", "errorCode": "AccessDenied", "errorMessage": "Access Denied"}'
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["principal"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"
    assert found["action"] == "s3:ListAllMyBuckets"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        # https://docs.aws.amazon.com/eks/latest/userguide/view-kubernetes-resources.html
        ("eks:AccessKubernetesApi", "an access entry"),
        # https://docs.aws.amazon.com/lake-formation/latest/dg/access-control-underlying-data.html
        ("lakeformation:GetDataAccess", "grant-permissions"),
        # https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
        ("sqs:SendMessage because no VPC endpoint policy allows the sqs:SendMessage action",
         "describe-vpc-endpoints"),
    ],
)  # fmt: skip
def test_what_lies_beside_the_callers_policies_is_told(
    tmp_path: Path, asked: str, told: str
) -> None:
    words = f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: {asked}"
    assert told in str(explained(run(tmp_path, words, "--json"))["notes"])
