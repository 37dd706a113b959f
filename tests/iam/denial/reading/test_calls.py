"""Denials that only an SDK, a tool or a stack tells the call of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.iam.denial.reading import calls
from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reading.unnamed import unnamed
from tests.iam.denial.test_given import run
from tests.iam.denial.test_reported import ACCOUNT

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

FAR = "    at com.example.Deep.call(Deep.java:1)\n" * 40
PHP = (
    'Error executing "PutObject" on "https://box.s3.eu-west-1.amazonaws.com/a/b%20c.png"; AWS HTTP '
    "error: Client error: `PUT https://box.s3.eu-west-1.amazonaws.com/a/b%20c.png` resulted in a "
    "`403 Forbidden` response:\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message>"
)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (PHP, "s3:PutObject on arn:aws:s3:::box/a/b c.png"),
        ("Warning: S3::getObject(): [AccessDenied] Access Denied on line 3", "s3:GetObject on"),
        ("AmazonS3Exception: Access Denied (Service: Amazon S3; Status Code: 403; Error Code: "
         f"AccessDenied; Request ID: 1)\n{FAR}    at com.amazonaws.services.s3.AmazonS3Client."
         "invoke(AmazonS3Client.java:1)\n    at com.amazonaws.services.s3.AmazonS3Client."
         "getObjectMetadata(AmazonS3Client.java:2)", "HeadObject needs s3:GetObject"),
        (f"S3Exception: Access Denied (Service: S3, Status Code: 403, Request ID: 1)\n{FAR}    at "
         "software.amazon.awssdk.services.s3.DefaultS3Client.listObjectsV2(DefaultS3Client.java:1)",
         "needs s3:ListBucket on the bucket itself"),
        ("Amazon.S3.AmazonS3Exception: Access Denied\n   at Amazon.S3.AmazonS3Client."
         "DeleteObjectAsync(DeleteObjectRequest request)", "needs s3:DeleteObject"),
        ("AccessDenied: Access Denied\n    at throwDefaultError (smithy-client/index.js:1)\n    at "
         "de_GetObjectTaggingCommandError (@aws-sdk/client-s3/index.js:2)", "s3:GetObjectTagging"),
        ("S3Exception: Service returned error code 403: Forbidden\n  at aws.sdk.kotlin.services.s3."
         "serde.HeadObjectOperationDeserializerKt.throwHeadObjectError", "needs s3:GetObject"),
        ("in `return_or_raise': Access Denied (AWS::S3::Errors::AccessDenied)\n from client.rb:4:in"
         " `client_request'\n from (eval):3:in `get_bucket_website'", "s3:GetBucketWebsite"),
        ("#<Class:0x3b9>: Access Denied\n return_or_raise at client.rb:375\n put_object at (eval)"
         ":3", "needs s3:PutObject"),
        ("{ [Forbidden: null] message: null, code: 'Forbidden', statusCode: 403 }",
         "S3 refused a call"),
        ("Error refreshing state: AccessDenied: Access Denied\n status code: 403, request id: 1",
         "needs s3:GetObject"),
        ("Error: Failed to get existing workspaces: AccessDenied: Access Denied",
         "needs s3:ListBucket"),
        ("error creating public access block policy for S3 bucket (logs): AccessDenied: Access "
         "Denied", "s3:PutBucketPublicAccessBlock on the bucket itself, arn:aws:s3:::logs"),
        ("CREATE_FAILED - API: s3:PutBucketPolicy Access Denied", "S3 Block Public Access answers"),
        ("AWS::S3::BucketPolicy SitePolicy Resource handler returned message: \"Access Denied "
         "(Service: S3, Status Code: 403, Request ID: 1", "needs s3:PutBucketPolicy"),
        ("upload failed: ./a to s3://box/b/c An error occurred (AccessDenied) when calling the "
         "PutObject operation: Access Denied", "s3:PutObject on arn:aws:s3:::box/b/c"),
        ("ERROR: Access to bucket 'box' was denied\nERROR: S3 error: 403 (AccessDenied): Access "
         "Denied", "S3 refused a call on arn:aws:s3:::box"),
        ("reading EC2 Instance Type (t3.micro): UnauthorizedOperation: You are not authorized to "
         "perform this operation.", "ec2:DescribeInstanceTypes on *"),
        ("UnauthorizedOperation: You are not authorized to perform this operation.\n    at Request."
         "extractError (aws-sdk/lib/services/ec2.js:50:35)", "EC2 refused a call"),
        ("An error occurred (AccessDeniedException) when calling the GetParameter operation: The "
         "ciphertext refers to a customer master key that does not exist",
         "aws ssm describe-parameters"),
    ],
)  # fmt: skip
def test_what_was_called_is_told(words: str, told: str) -> None:
    [bare] = read(words).bare
    assert told in str(cause(bare))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Lambda does not have permission to access the ECR image. Check the ECR permissions.",
         "lambda.amazonaws.com (ecr:BatchGetImage"),
        (f'failed to resolve reference "{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/app/web:1": '
         "unexpected status: 403 Forbidden",
         f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app/web"),
        (f'Error response from daemon: Head "https://{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/v2/a'
         '/manifests/1": no basic auth credentials', "no policy was asked yet"),
        ("current credentials could not be used to assume 'arn:aws:iam::123456789012:role/cdk-x-"
         "deploy-role', but are for the right account. Proceeding anyway.",
         "the CDK may not become arn:aws:iam::123456789012:role/cdk-x-deploy-role"),
        ("AuthFailure: Not authorized for images: [ami-0123]", "the account may not launch ami-01"),
        ("api error AccessDeniedException: KMS key access denied", "kms:Decrypt on the table's"),
        ("InvalidParameterCombination: IAM role provided is not valid", "RDS may not use the role"),
        ("Verify that you have permission to create service linked role.",
         "iam:CreateServiceLinkedRole"),
        ("s3fs_check_service(3879): invalid credentials(host=https://s3.amazonaws.com) - result of "
         "checking service.\ns3fs: Failed to access bucket.", "s3fs lists the bucket"),
        ("ERROR : a.txt: Failed to copy: AccessDenied: Access Denied", "--s3-no-check-bucket"),
    ],
)  # fmt: skip
def test_words_without_a_code_are_denials(words: str, told: str) -> None:
    assert any(told in str(cause(bare)) for bare in read(words).bare)


def test_each_answer_has_the_words_of_its_own_call() -> None:
    words = (
        "Error: error creating S3 bucket ACL for box: AccessDenied: Access Denied status code: 403"
        "\nError: Error putting S3 policy: AccessDenied: Access Denied status code: 403"
    )
    first, second = read(words).bare
    assert "s3:PutBucketAcl" in str(cause(first))
    assert "s3:PutBucketPolicy" in str(cause(second))


def test_the_place_that_a_tool_names_is_judged() -> None:
    refusal = unnamed(read(PHP).bare[0])
    assert refusal is not None
    assert refusal.resource == "arn:aws:s3:::box/a/b c.png"
    assert "s3:PutObjectAcl" in refusal.also


def test_two_places_are_none() -> None:
    refusal = unnamed(
        "copy failed: s3://one/a to s3://two/b An error occurred (AccessDenied) when calling the "
        "CopyObject operation: Access Denied"
    )
    assert refusal is not None
    assert refusal.resource is None


@pytest.mark.parametrize("call", ["CreateStack", "Frobnicate"])
def test_another_services_call_is_not_s3s(call: str) -> None:
    words = f"An error occurred (AccessDenied) when calling the {call} operation: Access Denied"
    assert "S3" not in str(cause(words))


def test_who_asked_is_judged_by_the_call_that_is_named_before() -> None:
    [refusal] = read(
        'Error executing "ChangeResourceRecordSets" on "https://route53.amazonaws.com/2013-04-01/'
        f'hostedzone/Z12/rrset/"; AccessDenied: User: arn:aws:iam::{ACCOUNT}:user/dns is not '
        "authorized to access this resource"
    ).refusals
    assert refusal.principal == f"arn:aws:iam::{ACCOUNT}:user/dns"
    assert refusal.action == "route53:ChangeResourceRecordSets"
    assert refusal.resource == "arn:aws:route53:::hostedzone/Z12"


def test_without_a_call_nothing_is_judged() -> None:
    found = read(f"User: arn:aws:iam::{ACCOUNT}:user/dns is not authorized to access this resource")
    assert found.refusals == ()
    assert len(found.bare) == 1


def test_what_a_template_left_is_shown_as_it_stands() -> None:
    [refusal] = read(
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: sts:AssumeRole on "
        "resource: arn:aws:iam::${AWS::AccountId}:role/cdk"
    ).refusals
    assert refusal.resource == "arn:aws:iam::${AWS::AccountId}:role/cdk"


def test_a_command_tells_what_it_was_on() -> None:
    for words in (
        "$ aws --profile b s3 cp s3://box/a.txt ./a.txt\nfatal error: An error occurred (403) when "
        "calling the HeadObject operation: Forbidden",
        "$ aws s3api head-object --bucket box --key a.txt\nAn error occurred (403) when calling the"
        " HeadObject operation: Forbidden",
    ):
        refusal = unnamed(read(words).bare[0])
        assert refusal is not None
        assert refusal.resource == "arn:aws:s3:::box/a.txt"


def test_a_request_as_it_was_sent_tells_its_function() -> None:
    [words] = read(
        f"POST /2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A{ACCOUNT}%3Afunction%3Aa/"
        "invocations?Qualifier=%24LATEST HTTP/1.1\n\nHTTP/2.0 403 Forbidden\nX-Amzn-Errortype: "
        "AccessDeniedException"
    ).bare
    refusal = unnamed(words)
    assert refusal is not None
    assert refusal.action == "lambda:InvokeFunction"
    assert refusal.resource == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:a:$LATEST"


def test_terraforms_words_without_a_name_tell_the_call() -> None:
    [words] = read(
        "* aws_ebs_volume.a: Error creating EC2 volume: UnauthorizedOperation: You are not "
        "authorized to perform this operation. Encoded authorization failure message: "
    ).bare
    assert "ec2:CreateVolume" in str(cause(words))


def test_whom_a_role_is_passed_to_is_told_by_the_call() -> None:
    sentence = (
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: iam:PassRole on "
        f"resource: arn:aws:iam::{ACCOUNT}:role/task"
    )
    [refusal] = read(f"when calling the RunTask operation: {sentence}").refusals
    assert refusal.known_keys()["iam:PassedToService"] == ("ecs-tasks.amazonaws.com",)
    [refusal] = read(f"{sentence} (Service: AmazonECS; Status Code: 400)").refusals
    assert refusal.asked == "ECS"
    assert "iam:PassedToService" not in refusal.known_keys()


def test_an_account_in_a_variable_of_ones_own_is_hidden() -> None:
    [refusal] = read(
        "User: arn:aws:sts::${ONE}:assumed-role/app/run is not authorized to perform: "
        "ecr:BatchGetImage on resource: arn:aws:ecr:us-west-2:${TWO}:repository/a"
    ).refusals
    assert refusal.resource == "arn:aws:ecr:us-west-2:****:repository/a"


def test_packers_words_tell_the_call_of_ec2() -> None:
    [words] = read(
        "==> amazon-ebs: Error querying AMI: UnauthorizedOperation: You are not authorized to "
        "perform this operation."
    ).bare
    assert "ec2:DescribeImages on *" in str(cause(words))


def test_cloudformations_word_on_s3_is_a_denial() -> None:
    [words] = read(
        "An error occurred (ValidationError) when calling the CreateChangeSet operation: S3 error: "
        "Access Denied"
    ).bare
    assert "s3:GetObject on the template's object" in str(cause(words))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("An error occurred (KMSKeyNotAccessibleFault) when calling the CopyDBSnapshot operation: "
         "The source snapshot KMS key does not exist, is not enabled or you do not have permissions"
         " to access it", "kms:CreateGrant"),
        ("An error occurred (TargetNotConnectedException) when calling the ExecuteCommand "
         "operation: The execute command failed due to an internal error.", "no policy refused it"),
        ("The provided execution role does not have permissions to call ReceiveMessage on SQS",
         "sqs:DeleteMessage, sqs:GetQueueAttributes together"),
        ("boto3.exceptions.S3UploadFailedError: Failed to upload a.txt to box/a.txt: An error "
         "occurred (AccessDenied) when calling the PutObject operation: Access Denied",
         "s3:PutObject on arn:aws:s3:::box/a.txt"),
    ],
)  # fmt: skip
def test_what_else_it_needs_is_told(words: str, told: str) -> None:
    [bare] = read(words).bare
    assert told in str(cause(bare))


@pytest.mark.parametrize(
    ("before", "service"),
    [("API: cloudFormation", "cloudformation"), ("API: lambda:CreateFunction", "lambda"),
     ("An error occurred (AccessDenied) when calling the CreateStack operation:",
      "cloudformation")],
)  # fmt: skip
def test_cloudformation_tells_whom_a_role_is_passed_to(before: str, service: str) -> None:
    [refusal] = read(
        f"{before} User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: "
        f"iam:PassRole on resource: arn:aws:iam::{ACCOUNT}:role/cfn"
    ).refusals
    assert refusal.known_keys()["iam:PassedToService"] == (f"{service}.amazonaws.com",)


CATALOG = f"arn:aws:athena:eu-north-1:{ACCOUNT}:datacatalog/"


def tagging(name: str, call: str = "ListTagsForResource") -> str:
    return (
        f"Error: listing tags for Athena Data Catalog ({CATALOG}{name}): operation error Athena: "
        f"{call}, https response error StatusCode: 400, RequestID: 7b0c{name}-11aa-22bb, api error "
        f"AccessDeniedException: You are not authorized to perform: athena:{call} on the resource. "
        "After your AWS administrator or you have updated your permissions, please try again.\n"
    )


def test_what_a_tool_names_before_its_error_is_what_was_refused(tmp_path: Path) -> None:
    text = tagging("sales") + tagging("parts")
    found = json.loads(run(tmp_path, text, "--json").output)
    assert [one["resource"] for one in found] == [f"{CATALOG}sales", f"{CATALOG}parts"]
    assert [one["changes"][0]["statement"]["Resource"] for one in found] == [
        [f"{CATALOG}sales"], [f"{CATALOG}parts"],
    ]  # fmt: skip
    assert all("athena:ListTagsForResource" in str(cause(one)) for one in read(text).bare)


def test_a_sentence_about_workgroups_is_told_of_their_calls_alone() -> None:
    words = "not authorized to perform: athena:{} on the resource."
    assert "workgroup that the call names" in str(cause(words.format("StartQueryExecution")))
    for call in ("GetDataCatalog", "ListTagsForResource", "GetTableMetadata", "InventedCall"):
        assert "primary" not in str(cause(words.format(call)))


def test_an_arn_that_the_action_is_not_on_is_none_of_it() -> None:
    topic = f"arn:aws:sns:eu-north-1:{ACCOUNT}:alarms"
    [words] = read(tagging("sales").replace(f"{CATALOG}sales", topic)).bare
    refusal = unnamed(words)
    assert refusal is not None and refusal.resource is None
    sentence = f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: sns:Publish"
    tool = f"Error: publishing to SNS Topic ({topic}): operation error SNS: Publish, "
    [told] = read(tool + sentence).refusals
    assert told.resource == topic


@pytest.mark.parametrize(
    ("call", "action"),
    [
        # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        ("Invoke", "lambda:InvokeFunction"),
        # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
        ("ConverseStream", "bedrock:InvokeModelWithResponseStream"),
        ("TransactGetItems", "dynamodb:GetItem"),
        ("PublishBatch", "sns:Publish"),
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketEncryption.html
        ("DeleteBucketEncryption", "s3:PutEncryptionConfiguration"),
        ("ListBucketInventoryConfigurations", "s3:GetInventoryConfiguration"),
    ],
)
def test_a_call_whose_action_has_another_name_is_told_by_that(call: str, action: str) -> None:
    words = f"An error occurred (AccessDenied) when calling the {call} operation: Access Denied"
    [bare] = read(words).bare
    told = str(cause(bare))
    assert f"needs {action}" in told and "several services" not in told


def test_a_call_of_an_api_is_that_apis_alone() -> None:
    from botocore.session import get_session

    session, found = get_session(), dict[str, set[str]]()
    for service in session.get_available_services():
        for operation in session.get_service_model(service).operation_names:
            found.setdefault(operation, set()).add(service)
    for operation in calls._ACTIONS:
        assert len(found[operation]) == 1, operation


def test_a_block_of_a_whole_account_is_no_buckets() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetPublicAccessBlock.html
    [bare] = read(
        "operation error S3 Control: GetPublicAccessBlock, https response error StatusCode: 403, "
        "RequestID: 0c9d0c1e-1111, HostID: abc, api error AccessDenied: Access Denied"
    ).bare
    assert "s3:GetAccountPublicAccessBlock on *" in str(cause(bare))


def test_a_batch_of_messages_needs_the_action_of_one() -> None:
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    [bare] = read(
        "An error occurred (AccessDenied) when calling the SendMessageBatch operation: Access to "
        "the resource https://sqs.us-east-1.amazonaws.com/123456789012/a is denied."
    ).bare
    assert "sqs:SendMessage on its queue" in str(cause(bare))
