"""Refusals of S3, STS, EC2, ECR, CloudFormation and tools in words of their own."""

from __future__ import annotations

import pytest

from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reading.named import by_an_allow
from scripts.iam.denial.reading.unnamed import unnamed
from tests.iam.denial.test_reported import ACCOUNT

ECR = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("<Code>AccessDenied</Code><Message>Request has expired</Message>", "URL has expired"),
        ("<Code>AccessDenied</Code><Message>There were headers present in the request which were "
         "not signed</Message>", "for its signature"),
        ('<Code>AccessDenied</Code><Message>Invalid according to Policy: Policy Condition failed: '
         '["eq", "$key", "a"]</Message>', "by the POST policy"),
        ("(AccessDenied) when calling the CreateMultipartUpload operation: Anonymous users cannot "
         "initiate multipart uploads.", "was not signed"),
        ("(AllAccessDisabled) when calling the PutObject operation: All access to this object has "
         "been disabled", "disabled all access"),
        ("(InvalidObjectState) when calling the GetObject operation: The operation is not valid "
         "for the object's storage class", "is archived"),
        ("(AccessDenied) when calling the DeleteObject operation: Mfa Authentication must be used "
         "for this request", "MFA Delete"),
        ("(AccessDenied) when calling the DeleteObject operation: Access Denied because object "
         "protected by object lock.", "Object Lock keeps"),
        ("(AccessDenied) when calling the AssumeRole operation: Roles may not be assumed by root "
         "accounts.", "root user cannot"),
        ("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
         "longer than the role allows"),
        ("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
         "chaining", "lasts an hour at most"),
        ("(AccessDenied) when calling the GetSessionToken operation: Cannot call GetSessionToken "
         "with session credentials", "own access key alone"),
        ("(AccessDenied) when calling the AssumeRole operation: MultiFactorAuthentication failed "
         "with invalid MFA one time pass code.", "the MFA code was refused"),
        ("The instance 'i-0' may not be terminated. Modify its 'disableApiTermination' instance "
         "attribute", "protected against termination"),
        ("Value (a) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile "
         "name", "a role is not its profile"),
        ("denied: Your authorization token has expired. Reauthenticate and try again.",
         "registry's token has expired"),
        ("Action denied by stack policy: Statement [#1] does not allow [Update:Replace] for "
         "resource [Db]", "own stack policy refused"),
        ("The following hook(s) failed: [My::Own::Hook]", "hook refused the resource (My::Own::H"),
        ("Requires capabilities : [CAPABILITY_NAMED_IAM]", "--capabilities CAPABILITY_NAMED_IAM"),
        ("Cannot perform the operation on the protected role 'AWSServiceRoleForX' - this role is "
         "only modifiable by AWS", "is AWS's own to edit"),
        (f"Need to perform AWS calls for account {ACCOUNT}, but no credentials have been "
         "configured", f"no credentials for account {ACCOUNT},"),
        ("(TargetNotConnected) when calling the StartSession operation: i-0 is not connected.",
         "agent is not connected"),
        ("KMS access was denied. KMS Exception: UnrecognizedClientExceptionKMS Message: The "
         "security token included in the request is invalid.", "made again under the same name"),
        ("(ClientException) when calling the RegisterTaskDefinition operation: Role is not valid",
         "let in ecs-tasks.amazonaws.com"),
        (f"Role arn:aws:iam::{ACCOUNT}:role/cfn is invalid or cannot be assumed",
         f"cannot become arn:aws:iam::{ACCOUNT}:role/cfn:"),
        ("Did not have IAM permissions to process tags on AWS::IAM::Role resource.",
         "stack's tags on AWS::IAM::Role"),
        ("Access denied for operation 'AWS::SQS::Queue'.", "--type-name AWS::SQS::Queue"),
        ("Bucket named 'cdk-x' exists, but we dont have access to it.", "CDK may not use cdk-x"),
        ("Could not assume role in target account using current credentials (which are for account "
         "1)", "trust the account that asks"),
        ("Secrets Manager cannot invoke the specified Lambda function.", "secretsmanager.amazon"),
        ("mysql -h db.rds.amazonaws.com ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.1'"
         " (using password: YES)", "what app signed in with"),
        (f"unexpected status from PUT request to https://{ECR}/v2/app/manifests/1: 403 Forbidden",
         "ecr:PutImage"),
        (f"arn:aws:iam::{ACCOUNT}:role/x is not authorized to perform AssumeRole on role "
         f"arn:aws:iam::{ACCOUNT}:role/y (Service", f"asked to become arn:aws:iam::{ACCOUNT}:"),
        ("error creating Lambda Function (1): AccessDeniedException: \tstatus code: 403",
         "needs lambda:CreateFunction"),
        ("'403': UnknownError at throwDefaultError (x.js:1) at de_HeadBucketCommandError",
         "HeadBucket needs s3:ListBucket"),
        ('unhandled error (AccessDenied): Error { code: "AccessDenied", message: "Access Denied", '
         's3_extended_request_id: "b" }', "S3 refused a call"),
        ('File "/usr/lib/s3fs/core.py", line 113 raise err PermissionError: '
         "Forbidden", "S3 refused a call"),
        ("HTTP Error: HTTP GET error on 'https://box.s3.amazonaws.com/a.csv' (HTTP 403)",
         "S3 refused a call on arn:aws:s3:::box/a.csv"),
        ("failed with error: Given key ID is not accessible. You must have DescribeKey permissions",
         "kms:DescribeKey"),
        ("Your access has been denied by EC2, please make sure your request credentials have "
         "permission to DescribeSubnets for subnet-0. EC2 Error Code: UnauthorizedOperation.",
         "needs ec2:DescribeSubnets on *"),
        ("Your access has been denied by EC2, please make sure your function execution role have "
         "permission to CreateNetworkInterface.", "the role needs ec2:CreateNetworkInterface"),
        ("eval: *terraform.EvalRefresh, err: module.a.aws_eip.ip: UnauthorizedOperation: You are "
         "not authorized to perform this operation.", "was reading aws_eip.ip"),
        ("AccessDeniedException: The ciphertext references a key that either does not exist or you "
         "do not have access to.", "kms:Decrypt"),
    ],
)  # fmt: skip
def test_what_a_service_or_tool_refused_is_told(words: str, told: str) -> None:
    assert any(told in str(cause(bare)) for bare in read(words).bare)


@pytest.mark.parametrize(
    ("words", "action", "resource"),
    [
        ("When reading information for key 'a/b' in bucket 'box': AWS Error ACCESS_DENIED during "
         "HeadObject operation: No response body.", "s3:GetObject", "arn:aws:s3:::box/a/b"),
        ('Unable to access object "p/s" in S3 bucket "box": operation error S3: HeadObject, https '
         "response error StatusCode: 403, RequestID: A", "s3:GetObject", "arn:aws:s3:::box/p/s"),
        ('Unable to list objects in S3 bucket "box" with prefix "env:/": operation error S3: '
         "ListObjectsV2, https response error StatusCode: 403", "s3:ListBucket",
         "arn:aws:s3:::box"),
        ("java.nio.file.AccessDeniedException: s3a://box/t: innerMkdirs on s3a://box/t: com."
         "amazonaws.services.s3.model.AmazonS3Exception: Access Denied (Service: Amazon S3; Status "
         "Code: 403;", "s3:PutObject", "arn:aws:s3:::box/t/"),
        ("AccessDeniedException: s3a://box/t: open s3a://box/t at 0 on s3a://box/t: com.amazonaws."
         "services.s3.model.AmazonS3Exception: Access Denied (Service: Amazon S3; Status Code: "
         "403;", "s3:GetObject", "arn:aws:s3:::box/t"),
        ("Create S3 bucket with retry states-1 returned an error: AccessDenied: Access Denied "
         "status code: 403, request id: A", "s3:CreateBucket", "arn:aws:s3:::states-1"),
        ("Error loading state: AccessDenied: Access Denied status code: 403, request id: A, host "
         "id: B [aws-sdk-go] DEBUG: Response s3/ListObjects Details: ---[ RESPONSE ]--- HTTP/1.1 "
         "403 Forbidden", "s3:ListBucket", None),
        ("DEBUG: Response ec2/DescribeImages Details:\n---[ RESPONSE ]---\nHTTP/1.1 403 Forbidden",
         "ec2:DescribeImages", None),
    ],
)  # fmt: skip
def test_a_tool_tells_action_and_place(words: str, action: str, resource: str | None) -> None:
    refusal = unnamed(read(words).bare[0])
    assert refusal is not None
    assert (refusal.action, refusal.resource) == (action, resource)


@pytest.mark.parametrize(
    ("words", "resource"),
    [
        ('to perform: s3:PutObject on resource: "arn:aws:s3:::box/a/b', "arn:aws:s3:::box/a/b"),
        ("to perform\n: s3:PutObject on resource: arn:aws:s3:::box/a", "arn:aws:s3:::box/a"),
    ],
)
def test_a_broken_line_and_an_open_quote_hide_nothing(words: str, resource: str) -> None:
    (refusal,) = read(f"User: arn:aws:iam::{ACCOUNT}:user/a is not authorized {words}").refusals
    assert (refusal.action, refusal.resource) == ("s3:PutObject", resource)


# https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
@pytest.mark.parametrize(
    ("words", "needs"),
    [
        (
            "Error response from daemon: Get https://public.ecr.aws/v2/: denied: Not Authorized",
            "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on *",
        ),
        (
            "Error response from daemon: login attempt to https://public.ecr.aws/v2/ failed with "
            "status: 403 Forbidden",
            "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on *",
        ),
        (
            f'Error response from daemon: Get "https://{ECR}/v2/": denied: Not Authorized',
            "ecr:GetAuthorizationToken on *",
        ),
        (
            f"Error response from daemon: login attempt to https://{ECR}/v2/ failed with status: "
            "400 Bad Request",
            "ecr:GetAuthorizationToken on *",
        ),
    ],
)
def test_a_registry_that_refuses_a_sign_in_wants_a_token(words: str, needs: str) -> None:
    (told,) = map(cause, read(words).bare)
    assert "is no token of" in str(told)
    assert needs in str(told)


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
def test_a_log_groups_arn_ends_in_a_star_in_policies() -> None:
    assert by_an_allow("logs:DescribeLogStreams").endswith(":log-group:<LogGroupName>:*")


# https://docs.aws.amazon.com/bedrock/latest/userguide/security_iam_id-based-policy-examples.html
def test_of_many_kinds_the_usual_ones_are_named() -> None:
    assert "::foundation-model/" in by_an_allow("bedrock:InvokeModel")
