"""What is told on weak evidence, which is told as such, or not at all.

The messages are of public reports, with names of our own.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reading.unnamed import unnamed
from tests.iam.denial.test_given import ACCOUNT, run

USER = f"arn:aws:iam::{ACCOUNT}:user/ci"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        # rclone/rclone#4689: the store was Backblaze's
        ("ERROR : a.txt: Failed to copy: AccessDenied: not entitled\n\tstatus code: 403", False),
        ("rclone: a.txt: Failed to copy: AccessDenied: Access Denied\n\tstatus code: 403", True),
    ],
)
def test_a_tool_is_told_of_only_where_the_text_names_it(words: str, named: bool) -> None:
    told = cause(words) or ""
    assert told.startswith("rclone was refused" if named else "if these words are rclone's: ")
    assert "refused by S3" not in told


def test_of_words_without_their_service_it_is_not_a_fact_that_no_policy_refused(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, '403 {"message": "Forbidden"}')
    assert "It may be that no policy of IAM refused this" in done.output
    assert "if these words are API Gateway's: " in done.output


def test_prose_of_a_tool_proposes_no_change(tmp_path: Path) -> None:
    words = "Unable to upload object report.csv to S3 bucket acme-models: Access Denied"
    done = run(tmp_path, words)
    assert done.exit_code == 2
    assert "fit PutObject, which needs s3:PutObject" in done.output


def test_a_head_gets_no_reason() -> None:
    """treeverse/dvc#5130: the keys were not good."""
    words = "An error occurred (403) when calling the HeadObject operation: Forbidden"
    assert "where the keys are not good" in (cause(words) or "")


@pytest.mark.parametrize("address", ["https://sqs.us-east-2.amazonaws.com/"])
def test_an_address_without_a_queue_tells_no_queue(address: str) -> None:
    """bigluck/sqs-queue-parallel#14"""
    told = cause(f"message: 'Access to the resource {address} is denied.', code: 'AccessDenied'")
    assert told and "names no queue" in told
    assert "sns" not in told.lower()


def test_a_call_of_sqs_is_told_by_the_stack() -> None:
    """island-is/island.is#7812"""
    words = (
        "AccessDenied: Access to the resource https://sqs.eu-west-1.amazonaws.com/ is denied.\n"
        "    at deserializeAws_queryCreateQueueCommandError (/webapp/main.js:55:43)"
    )
    assert "sqs:CreateQueue" in (cause(read(words).bare[0]) or "")


def test_what_was_sent_is_the_call() -> None:
    """treeverse/lakeFS#2192: the Java SDK names the request's class."""
    words = (
        "AmazonS3Exception: Access Denied; request: GET https://site-7.s3.amazonaws.com {} "
        "aws-sdk-java/1.11.655 com.amazonaws.services.s3.model.ListObjectsV2Request; Request ID: "
        "RKRB2HGS490PHEEN (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)"
    )
    assert "needs s3:ListBucket" in (cause(words) or "")


def test_words_that_name_nothing_are_not_said_to(tmp_path: Path) -> None:
    """boto/botocore#2624"""
    words = (
        "An error occurred (AccessDeniedException) when calling the "
        "GetTemporaryGlueTableCredentials operation: Access is denied."
    )
    told = run(tmp_path, words).output
    assert "lakeformation:GetTemporaryGlueTableCredentials" in told
    assert "what it names there" not in told


def test_of_a_list_of_rights_none_is_said_to_be_the_one() -> None:
    words = "Missing permissions:\n - ec2:DescribeSnapshots\n - kms:ListKeys\n - s3:GetBucketPolicy"
    assert unnamed(words) is None
    assert "[OK]" not in words
    checked = "IAM permissions check failed\n[FAIL] iam:PassRole\n[OK] ec2:DescribeInstances"
    assert "ec2:DescribeInstances" not in (cause(read(checked).bare[0]) or "")


def test_a_decoded_message_without_its_action_is_called_cut(tmp_path: Path) -> None:
    words = (
        '{"DecodedMessage": "{\\"allowed\\":false,\\"explicitDeny\\":false,'
        '\\"matchedStatements\\":{\\"items\\":[]},\\"context\\":{\\"principal\\":'
        f'{{\\"arn\\":\\"{USER}\\"}},'
    )
    told = run(tmp_path, words).output
    assert "breaks off before its action" in told
    assert USER in told
    assert "an Allow is lacking" in told


def test_a_quote_left_open_hides_no_deny(tmp_path: Path) -> None:
    """deepfence/ThreatMapper#1427"""
    words = (
        f"AccessDeniedException: User: {USER} is not authorized to perform: eks:ListClusters on "
        f'resource: arn:aws:eks:us-east-1:{ACCOUNT}:cluster/" with an explicit deny'
    )
    assert read(words).refusals[0].explicit
    assert "smallest change" not in run(tmp_path, words).output


def test_what_ends_a_sentence_is_no_part_of_a_name() -> None:
    """aws-samples/lambda-refarch-imagerecognition#268"""
    words = (
        f"[InvalidResourceException('Magick', 'User: {USER} is not authorized to perform: "
        "serverlessrepo:CreateCloudFormationTemplate on resource: "
        f"arn:aws:serverlessrepo:us-east-1:{ACCOUNT}:applications/layer')]"
    )
    resource = read(words).refusals[0].resource
    assert resource == f"arn:aws:serverlessrepo:us-east-1:{ACCOUNT}:applications/layer"


def test_a_misspelt_transform_of_a_hidden_account_is_told(tmp_path: Path) -> None:
    """aws/serverless-application-model#186"""
    words = (
        "User: arn:aws:iam::xxxxxxx:user/ci is not authorized to perform: "
        "cloudformation:CreateChangeSet on resource: "
        "arn:aws:cloudformation:us-east-1:aw:transform/Serverless-2016-10-31"
    )
    told = run(tmp_path, words).output
    assert "the template is misspelt" in told
    assert "two accounts" not in told


def test_glues_catalog_is_told_where_the_action_is_on_more(tmp_path: Path) -> None:
    """dacort/metabase-athena-driver#105"""
    where = f"arn:aws:glue:eu-west-1:{ACCOUNT}:catalog"
    lacking = "User: {} is not authorized to perform: {} on resource: {}"
    one = run(tmp_path, lacking.format(USER, "glue:GetCatalogImportStatus", where)).output
    more = run(tmp_path, lacking.format(USER, "glue:GetTable", where)).output
    assert "what leads to a thing" not in one
    assert "what leads to a thing" in more


def test_unknown_words_are_quoted_with_their_sentence(tmp_path: Path) -> None:
    """terraform-aws-modules/terraform-aws-eventbridge#134"""
    words = (
        '{"error": {"message": "Target invocation failed with error from States. Not allowed to '
        'invoke it.", "httpStatusCode": 400, "awsService": "states", "requestId": "*", '
        '"exceptionType": "AccessDenied"}}'
    )
    assert "Target invocation failed with error from States" in run(tmp_path, words).output


@pytest.mark.parametrize(
    ("words", "times"),
    [("AException[", 3000), ("AException[a[b] ", 3000), ("AException[AccessDenied ", 300)],
)
def test_what_repeats_is_read_in_time_that_grows_with_it(words: str, times: int) -> None:
    begun = time.process_time()
    read(words * times)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("says", "names"),
    [
        # localstack/localstack#6329
        ("Access to the specified resource is denied", False),
        ("Not allowed to use the key arn:aws:kms:eu-west-1:111122223333:key/k", True),
    ],
)
def test_a_services_words_are_said_to_name_what_they_name(says: str, names: bool) -> None:
    words = f"operation error DynamoDB: GetItem, api error AccessDeniedException: {says}."
    assert ("what it names there" in (cause(words) or "")) is names


def test_a_bucket_that_is_named_before_a_refusal_is_told(tmp_path: Path) -> None:
    """s3tools/s3cmd#762"""
    words = (
        "Access to bucket 'acme-models' was denied\n"
        "ERROR: S3 error: 403 (AccessDenied): Access Denied"
    )
    assert "on arn:aws:s3:::acme-models or what is in it" in run(tmp_path, words).output


def test_a_call_that_several_services_have_is_told_as_such() -> None:
    """Hassassistant/Haaska#3: Lambda's, with None for its words."""
    words = (
        "An error occurred (AccessDeniedException) when calling the CreateFunction operation: None"
    )
    told = cause(words) or ""
    assert "lambda:CreateFunction" in told
    assert "cloudfront:CreateFunction" in told
    assert "several services have one of that name" in told


def test_the_verb_beside_a_refusal_is_the_nearest_before_it() -> None:
    """pulumi/pulumi-aws#907: a summary above the failure is no verb of what was refused."""
    words = (
        "error: update failed proxy (aws:apigateway:x:API$aws:apigateway/restApi:RestApi) "
        "error: Error creating API Gateway: AccessDeniedException: status code: 403"
    )
    assert "apigateway:POST on arn:aws:apigateway:REGION::/restapis;" in (cause(words) or "")


def test_a_place_that_prose_names_may_be_a_prefix() -> None:
    """velero-io/velero#2457: the repository's prefix, not the object that was read."""
    words = (
        "unable to open config file: Stat: Access Denied. Is there a repository at the following "
        "location? s3:s3-us-east-1.amazonaws.com/acme-backups/restic/jobs"
    )
    assert "arn:aws:s3:::acme-backups/restic/jobs or what is below it" in (cause(words) or "")


def test_words_without_the_name_of_serverless_are_told_as_perhaps_its() -> None:
    told = cause('{"status":403,"error":{"reason":"403 Forbidden","type":"Forbidden"}}') or ""
    assert told.startswith("if these words are OpenSearch Serverless's: ")


def test_words_about_permissions_are_a_denial(tmp_path: Path) -> None:
    """aws-solutions/automated-data-analytics-on-aws#67"""
    words = (
        "CREATE_FAILED : You don't have the permissions that are required to do this on Logging."
    )
    told = run(tmp_path, words).output
    assert "no denial" not in told
    assert "permissions that are required" in told


def test_a_status_without_its_code_may_be_of_wrong_keys() -> None:
    """duckdb/dbt-duckdb#14"""
    words = 'Unable to connect to URL "s3://acme-data/example.parquet": 403 (Forbidden)'
    assert "keys that are wrong" in (cause(words) or "")
    assert "keys that are wrong" not in (cause("S3 bucket acme-data: Access Denied") or "")


def test_a_service_linked_role_that_may_not_be_made_is_told() -> None:
    """silvermine/serverless-plugin-cloudfront-lambda-edge#51"""
    words = (
        "The user is not authorized to create or assume a service linked role. (Service: "
        "AmazonCloudFront; Status Code: 403; Error Code: AccessDenied)"
    )
    assert "iam:CreateServiceLinkedRole" in (cause(words) or "")


def test_a_code_in_prose_is_no_services_answer() -> None:
    [bare] = read(
        "trying to perform org-level actions, but getting AccessDenied or UnauthorizedOperation "
        "errors"
    ).bare
    assert "EC2" not in str(cause(bare))


def test_what_may_be_touched_besides_is_told_of_an_action_in_a_list() -> None:
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html
    [bare] = read("it needs organizations:AttachPolicy, a permission that is missing").bare
    told = str(cause(bare))
    assert ":policy/o-" in told and "touches of" in told and ":ou/o-" in told


def test_a_kind_with_a_blank_is_the_one_that_the_reference_has() -> None:
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisfirehose.html
    [refusal] = read(
        "User: arn:aws:iam::123456789012:user/a is not authorized to perform: firehose:PutRecord "
        "on resource: arn:aws:firehose:us-east-1:123456789012:delivery streams/b"
    ).refusals
    assert refusal.resource == "arn:aws:firehose:us-east-1:123456789012:deliverystream/b"


def test_a_copy_of_the_cli_is_two_calls() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    [bare] = read(
        "copy failed: s3://a-bucket/key to s3://b-bucket/key\n"
        "A client error (AccessDenied) occurred: Access Denied"
    ).bare
    told = str(cause(bare))
    assert "s3:PutObject on the new object, arn:aws:s3:::b-bucket/key" in told
    assert "arn:aws:s3:::a-bucket/key" in told


def test_a_programs_own_line_names_a_call_and_no_bucket() -> None:
    # https://github.com/gilt/s3-sftp-bridge/issues/13
    [bare] = read(
        "return awsS3.copyObjectAsync({ Bucket: record.s3.bucket.name, Key: record.s3.object.key })"
        "\nAccessDenied: Access Denied\n"
        "at Request.extractError (/var/runtime/node_modules/aws-sdk/lib/services/s3.js:539:35)"
    ).bare
    told = str(cause(bare))
    assert "CopyObject needs" in told and "record" not in told


@pytest.mark.parametrize(
    "words",
    [
        # https://developers.cloudflare.com/r2/api/s3/api/
        "AccessDenied: Access Denied, host: https://a.r2.cloudflarestorage.com/logs",
        "S3 Error: https://s3.wasabisys.com: AccessDenied: Access Denied. (upload: backups/db.sql)",
        # https://docs.ceph.com/en/latest/radosgw/s3/commons/
        "<Error><Code>AccessDenied</Code><BucketName>logs</BucketName>"
        "<RequestId>tx00000000000000000002b-005c1e6d1f-1a2b-default</RequestId>"
        "<HostId>1a2b-default-default</HostId></Error> Access Denied",
        "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied "
        "endpoint_url=https://minio.internal:9000",
    ],
)
def test_a_store_that_is_not_awss_is_told(words: str) -> None:
    [bare] = read(words).bare
    told = str(cause(bare))
    assert "if the request went to that store" in told
    assert "S3 refused" not in told and "CloudFront" not in told


def test_a_right_of_anothers_cloud_is_told_as_one() -> None:
    # https://cloud.google.com/storage/docs/access-control/iam-permissions
    [bare] = read(
        "(gsutil) AccessDeniedException: 403 me@example.com does not have storage.objects.list "
        "access to the Google Cloud Storage bucket."
    ).bare
    assert "Google Cloud's IAM" in str(cause(bare))


def test_what_swift_prints_is_no_throttling_and_its_caller_has_no_account() -> None:
    # https://github.com/aws-amplify/amplify-swift/issues/3284
    found = read(
        'accessDeniedException(_statusCode: Optional(http_status_400), _message: Optional("User: '
        "arn:aws:sts::assumed-role/unauthRole/CognitoIdentityCredentials is not authorized to "
        "perform: rekognition:DetectText because no identity-based policy allows the "
        'rekognition:DetectText action"), _retryable: false, _isThrottling: false, _type: '
        'ClientRuntime.ErrorType.client, message: Optional("User: unauthRole/Cog'
    )
    [refusal] = found.refusals
    assert (refusal.role, refusal.action) == ("unauthRole", "rekognition:DetectText")
    assert not any("too many requests" in str(cause(one)) for one in found.bare)


def test_a_second_message_has_nothing_of_the_sentence_before_it() -> None:
    role = "arn:aws:iam::222222222222:role/target-role"
    found = read(
        "User: arn:aws:iam::111111111111:user/a is not authorized to perform: sts:AssumeRole on "
        f"resource: {role}\nAccessDenied: Not authorized to perform sts:AssumeRole"
    )
    [words] = found.bare
    assert role not in words and "names neither caller nor role" in str(cause(words))


def test_the_token_of_a_kubeconfig_is_stss() -> None:
    # https://github.com/kubernetes-sigs/aws-iam-authenticator
    [bare] = read("could not get token: AccessDenied: Access denied\n\tstatus code: 403").bare
    assert "sts:AssumeRole" in str(cause(bare))


WHO = "User: arn:aws:sts::112233445566:assumed-role/a/b is not authorized to perform: "


@pytest.mark.parametrize(
    ("words", "layer", "explicit"),
    [
        # KMS's word for a key that it does not name, with a reason behind it.
        (f"{WHO}kms:GenerateDataKey\non this resource\nbecause no identity-based policy allows the "
         "kms:GenerateDataKey action", "identity-based policy", False),
        (f"{WHO}bedrock:InvokeModel ... with an explicit deny\nin an identity-based policy: "
         "arn:aws:iam::112233445566:policy/a", "identity-based policy", True),
        (f"{WHO}wafv2:AssociateWebACL on resource: arn:aws:wafv2:us-east-1:1:regional/webacl/a/b "
         "because noresource-based policy allows the wafv2:AssociateWebACL action",
         "resource-based policy", False),
    ],
)  # fmt: skip
def test_the_reason_is_told_whatever_stands_before_it(
    words: str, layer: str, explicit: bool
) -> None:
    found = read(words)
    [refusal] = found.refusals
    assert (refusal.layer, refusal.explicit, found.bare) == (layer, explicit, ())


CONVERSE = "An error occurred (AccessDeniedException) when calling the Converse operation:"


@pytest.mark.parametrize(
    "says",
    [
        "anthropic.claude-sonnet-5 is not available for this account. You can explore other models",
        "Your account does not have an agreement to this model.",
        "You don't have access to the model with the specified model ID.",
    ],
)
def test_a_model_that_the_account_has_not_is_no_policys(says: str) -> None:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html
    [bare] = read(f"{CONVERSE}\n{says}").bare
    assert "names no policy" in str(cause(bare))


def test_marketplaces_rights_are_told_where_the_words_name_none() -> None:
    [bare] = read(
        f"{CONVERSE} Model access is denied due to IAM user or service role is not authorized to "
        "perform the required AWS Marketplace actions (NOT_AUTHORIZED)"
    ).bare
    told = str(cause(bare))
    assert "aws-marketplace:Subscribe" in told and "NOT_AUTHORIZED" not in told
