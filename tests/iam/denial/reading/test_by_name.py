"""Refusals in nobody's known words: the call is told by AWS's own names of services and calls."""

from __future__ import annotations

import pytest

from scripts.iam.denial.reading import by_name
from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from scripts.iam.reference import service

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

DENIED = "AccessDeniedException: status code: 403, request id: 1"


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (f"Error: error creating Backup Vault (main): {DENIED}", "backup:CreateBackupVault"),
        (f"Error: reading SQS Queue (jobs): {DENIED}", ""),
        (f"Error: listing SQS Queues (jobs): {DENIED}", "sqs:ListQueues"),
        (f"creating Kinesis Firehose Delivery Stream: {DENIED}", "firehose:CreateDeliveryStream"),
        ("error putting S3 Bucket Versioning: AccessDenied: Access Denied",
         "s3:PutBucketVersioning"),
        (f"failed to create Cloudwatch log group: {DENIED}", "logs:CreateLogGroup"),
        (f"table aws_backup_restore_testing_plan: {DENIED}", ""),
        (f"api (aws:apigateway/restApi:RestApi) error creating API Gateway: {DENIED}",
         "apigateway:POST"),
        ("[output:cloudwatch_logs:cloudwatch_logs.0] CreateLogGroup API responded with "
         "error='AccessDeniedException'", "logs:CreateLogGroup"),
        ("for one in ec2.get_all_security_groups(): <Code>UnauthorizedOperation</Code>",
         "ec2:DescribeSecurityGroups"),
        (f"$ aws efs describe-file-systems {DENIED}", "elasticfilesystem:DescribeFileSystems"),
        ("Error: reading EC2 VPC (vpc-7) Attribute (enableDnsSupport): UnauthorizedOperation: You "
         "are not authorized", "ec2:DescribeVpcAttribute"),
        # A program's own names, with no service beside them; and a thing that is another's part.
        (f"in send_command: createTable {DENIED}", ""),
        (f"creating bucket policy notes: {DENIED}", ""),
        ("creating Backup Vault (main): timeout", ""),
    ],
)  # fmt: skip
def test_the_call_is_told_by_names(words: str, action: str) -> None:
    assert by_name.action(words) == action


def test_several_calls_are_told_as_such() -> None:
    told = cause(f"table aws_backup_framework: {DENIED}") or ""
    assert "does not say which call" in told
    assert "backup:DescribeFramework on arn:" in told and "backup:ListFrameworks on *" in told


def test_only_a_call_that_changes_something_hands_something_on() -> None:
    assert "PassRole" not in str(cause(f"ListResourcesForWebACL {DENIED}"))
    assert "PassRole" in str(cause(f"creating Backup Plan (a): {DENIED}"))


def test_names_further_away_count_where_none_is_near() -> None:
    text = f"for one in ec2.get_all_volumes(): {'x ' * 60} <Code>UnauthorizedOperation</Code>"
    assert [cause(one) for one in read(text).bare if "ec2:DescribeVolumes" in str(cause(one))]


@pytest.mark.parametrize("says", ["Macie is not enabled.", "Please complete the setup first."])
def test_words_about_no_right_are_quoted(says: str) -> None:
    told = str(cause(f"Error: AccessDeniedException: {says} (SQLSTATE HV000)"))
    assert says.rstrip(".") in told and "is one that is known here for a right" in told


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("Elastic Load Balancing v2", "elasticloadbalancing"), ("cloudwatch-logs", "logs"),
        ("AmazonIdentityManagement", "iam"), ("SFN", "states"), ("apigatewayv2", "apigateway"),
        ("lb", "elasticloadbalancing"), ("OpenSearch", "es"), ("Volume", ""),
    ],
)  # fmt: skip
def test_names_of_services(name: str, prefix: str) -> None:
    assert service(name) == prefix


def test_what_the_text_itself_says_is_needed_goes_first() -> None:
    told = str(
        cause("creating CloudFront Distribution: AccessDenied: You don't have permission to access "
              "the bucket. You need s3:GetBucketAcl and s3:PutBucketAcl permissions.")
    )  # fmt: skip
    assert "it names s3:GetBucketAcl, s3:PutBucketAcl" in told and "needs each" in told


def test_another_denial_in_front_of_aws_own_sentence_is_one_of_its_own() -> None:
    text = (
        f"creating Backup Vault (a): {DENIED}\nError: creating Lambda: AccessDenied: User: "
        "arn:aws:iam::111122223333:user/a is not authorized to perform: lambda:CreateFunction"
    )
    found = read(text)
    assert len(found.refusals) == 1 and "backup:CreateBackupVault" in str(cause(found.bare[0]))


def test_words_that_are_nobodys_are_a_refusal_of_which_nothing_is_told() -> None:
    (words,) = read("Error: getting list of API resources: Unauthorized").bare
    assert cause(words) is None


def test_of_a_launch_template_the_launch_lacks() -> None:
    told = cause('"API: autoscaling:CreateAutoScalingGroup You are not authorized to use launch '
                 'template: nodes-1"')  # fmt: skip
    assert told and "ec2:RunInstances" in told and "nodes-1" in told


def test_a_call_of_another_service_is_not_taken_for_an_action_of_that_name() -> None:
    assert by_name.action(f"error from ListObjects on box: {DENIED}") == ""
    told = str(cause('err="unexpected error from ListObjects on box: Access Denied"'))
    assert "s3:ListBucket on the bucket itself" in told


@pytest.mark.parametrize(
    "text",
    [
        "Error creating LB Listener: AccessDenied: Access denied to certificate 'arn:aws:acm:eu-"
        "west-1:111122223333:certificate/1' status code: 403, request id: 1",
        "An error occurred (ValidationException) when calling the CreateTrainingJob operation: "
        "Access denied for repository: spark in registry ID: 444455556666.",
    ],
)
def test_what_the_service_says_stands_beside_the_call(text: str) -> None:
    assert 'The service says: "Access denied ' in str(cause(read(text).bare[0]))


def test_a_verb_that_ends_in_e() -> None:
    text = f"error enabling Service Catalog AWS Organizations Access: {DENIED}"
    assert by_name.action(text) == "servicecatalog:EnableAWSOrganizationsAccess"


def test_of_a_chain_of_calls_the_last_counts() -> None:
    refused = "UnauthorizedOperation: You are not authorized to perform this operation."
    chain = "failed to create new vpc: failed to set vpc attributes: "
    assert by_name.action(chain + refused) == "ec2:ModifyVpcAttribute"
    assert by_name.action(f"failed to create new vpc: failed to put vpc wishes: {refused}") == ""


def test_what_is_no_code_of_aws_is_read_by_its_place() -> None:
    (words,) = read("with errorsAccess denied trying to read 's3://box/a.sh'").bare
    assert "S3 refused a call on arn:aws:s3:::box/a.sh" in str(cause(words))


@pytest.mark.parametrize(
    ("text", "action"),
    [
        # Of the services with an action of that name one has a public API with the call.
        (f"when calling the PutRecords operation: {DENIED}", "kinesis:PutRecords"),
        ("403 Client Error: Forbidden for url: https://monitoring.eu-west-1.amazonaws.com/?Action="
         "PutMetricData&Metric", "cloudwatch:PutMetricData"),
        ("Error calling S3 getObject: AccessDenied: Access Denied", "s3:GetObject"),
    ],
)  # fmt: skip
def test_one_service_has_the_call(text: str, action: str) -> None:
    assert action in str(cause(read(text).bare[0]))


def test_two_lines_one_behind_the_other_keep_their_places() -> None:
    copied = read(
        "download failed: s3://box/a to - An error occurred (403) when calling the HeadObject "
        "operation: Forbidden\n  upload failed: ./b to s3://box/b An error occurred (AccessDenied) "
        "when calling the PutObject operation: Access Denied"
    )
    told = [str(cause(one)) for one in copied.bare]
    assert "s3:GetObject on arn:aws:s3:::box/a" in told[0]
    assert "s3:PutObject on arn:aws:s3:::box/b" in told[1]


def test_what_stands_behind_a_refusal_is_the_next_ones() -> None:
    refused = "UnauthorizedOperation: You are not authorized to perform this operation."
    text = f"data.aws_ami.a: {refused}\n data.aws_b.c: Error fetching Availability Zones: {refused}"
    first, second = (str(cause(one)) for one in read(text).bare)
    assert "EC2 refused a call" in first and "ec2:DescribeAvailabilityZones on *" in second


def test_the_first_sdk_for_python_writes_calls_in_small_letters() -> None:
    text = (
        'bucket = connection.get_bucket(a)\n  File "dist-packages/boto/s3/connection.py", line 5\n'
        "    return self.head_bucket(a)\n"
        "boto.exception.S3ResponseError: S3ResponseError: 403 Forbidden"
    )
    assert "s3:ListBucket" in str(cause(read(text).bare[0]))


def test_the_same_refusal_is_told_once() -> None:
    text = (
        "Unable to send: User arn:aws:iam: is not authorized to perform 'ses:SendRawEmail' on "
        "resource (code AccessDeniedException)."
    )
    assert len(read(text).bare) == 1
    assert len(read("in ec2.get_all_volumes(): <Code>UnauthorizedOperation</Code><Message>You are "
                    "not authorized to perform this operation.</Message>").bare) == 1  # fmt: skip


def test_a_line_before_a_further_refusal_is_that_ones() -> None:
    text = (
        "Skipping IoT1ClickProjects.listProjects AccessDeniedException\n"
        "Skipping EMRcontainers.listVirtualClusters AccessDeniedException"
    )
    assert by_name.actions(text) == ()


def test_of_several_kinds_of_resources_none_is_said_to_be_enough() -> None:
    text = "error creating RouteTable: UnauthorizedOperation: You are not authorized to do this."
    assert "vpc/<VpcId> or both" in str(cause(read(text).bare[0]))


def test_a_services_words_end_where_its_fields_begin() -> None:
    text = (
        "error creating QuickSight Data Source: AccessDeniedException: Insufficient permission to "
        "access the manifest file\n{\n  RespMetadata: {\n    StatusCode: 401"
    )
    assert 'says: "Insufficient permission to access the manifest file"' in str(
        cause(read(text).bare[0])
    )


def test_one_common_word_is_no_thing_of_a_service() -> None:
    assert by_name.actions("Failed to complete #create action: [You are not authorized]") == ()


def test_a_pair_of_service_and_call_is_read() -> None:
    text = "Making api call: (glue, get_job_runs): Response: {'Error': {'Code': 'AccessDenied'}}"
    assert by_name.actions(text) == ("glue:GetJobRuns",)
