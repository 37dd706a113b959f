"""What people say about a denial beside it: titles, questions, headings of a page.

The texts are of public reports (aws-samples and eksctl-io among them), with names of our own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from scripts.iam.denial.reading.named import by_an_allow
from scripts.iam.denial.reading.unnamed import unnamed
from tests.iam.denial.test_given import ACCOUNT, run

USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
ASKED = f"arn:aws:eks:eu-north-1:{ACCOUNT}:cluster/lab"
SAID = f"User: {USER} is not authorized to perform: eks:DescribeCluster on resource: {ASKED}"


@pytest.mark.parametrize(
    "words",
    [
        "AccessDeniedException in Lambda\n\nI get this all the time, and have no idea why:\n",
        "But I get 'AccessDenied Exception' when I run the following command.\n\n",
        "The message says I'm not authorized to perform 'eks: DescribeCluster'.\n\n",
        "If you receive an error that you're not authorized to perform the eks:DescribeCluster "
        "action, your policies must be updated.\n\n",
        "AccessDeniedException when calling the DescribeCluster : denied\n\n",
        "The agent sleeps with AccessDeniedException\n\nI have **the role** on the instance:\n",
        "Error: 403 AccessDenied \N{EM DASH} When a cluster is out of reach\n\n",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_talk_is_no_second_denial(words: str, first: bool) -> None:
    parts = [words, f"{SAID}. "]
    found = read(("b " * 300).join(parts if first else parts[::-1]))
    assert [one.action for one in found.refusals] == ["eks:DescribeCluster"]
    assert found.bare == ()


def test_talk_of_another_action_is_told() -> None:
    found = read(f"How to fix: not authorized to perform the sqs:SendMessage action\n\n{SAID}")
    assert [str(cause(one)) for one in found.bare if "sqs:SendMessage" in str(cause(one))]


def test_talk_alone_is_read() -> None:
    found = read("AccessDeniedException when I call get_queue_attributes of sqs")
    assert len(found.bare) == 1


def test_of_a_heading_and_its_error_the_error_is_told(tmp_path: Path) -> None:
    words = (
        "AWS Guide: 'UnauthorizedOperation' EC2 failures\nUnauthorizedOperation is EC2's way of "
        "saying no."
        + " b"
        * 300
        + "\nAn error occurred (UnauthorizedOperation) when calling the RunInstances "
        "operation: You are not authorized to perform this operation."
    )
    told = run(tmp_path, words).output
    assert "ec2:RunInstances" in told
    assert "EC2 refused a call" not in told


def test_a_deny_that_the_text_speaks_of_is_told() -> None:
    """starschema/starsnow_request#3: roles may be made with a boundary alone."""
    [words] = read("iam:CreateRole fails with an explicit deny, so permission is missing").bare
    assert "no Allow lifts that" in str(cause(words))


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        # The account is masked, and the colon behind it is gone.
        (
            "User: arn:aws:iam::xxxxxxxxxxxuser/me is not authorized to perform: "
            "dynamodb:DescribeTable on resource: arn:aws:dynamodb:us-west-2:8xxxxxxx4table/blog-1",
            "arn:aws:dynamodb:us-west-2:***:table/blog-1",
        ),
        # A page lost a blank.
        (
            f"User: {USER} is not authorized to perform: ce:GetWidgeton resource:my-widget",
            "my-widget",
        ),
        (
            f"User: {USER} is not authorized to perform: s3:PutObject on resource: "
            "arn:aws:s3:::box-7/*Principal does not have rights",
            "arn:aws:s3:::box-7/*",
        ),
    ],
)
def test_what_was_lost_where_it_was_copied_is_put_back(text: str, resource: str) -> None:
    [refusal] = read(text).refusals
    assert refusal.resource == resource
    assert refusal.principal.endswith((":user/me", ":user/ann"))
    assert refusal.action in ("dynamodb:DescribeTable", "ce:GetWidget", "s3:PutObject")


def test_a_sentence_cut_behind_its_caller_tells_the_caller(tmp_path: Path) -> None:
    """raster-foundry/raster-foundry#1229 and hashicorp/terraform#15369"""
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/staging/i-0ba52d"
    [refusal] = read(
        "`An error occurred (AccessDeniedException) when calling the DescribeJobDefinitions "
        f"operation: User: {session} is not authorized to perform`\n\nSee: the log"
    ).refusals
    assert (refusal.principal, refusal.action) == (session, "batch:DescribeJobDefinitions")
    told = run(
        tmp_path,
        "aws_elastictranscoder_pipeline.hls: Error creating Elastic Transcoder Pipeline: "
        f"AccessDeniedException: User: {USER} is not authorized to access this resource",
    ).output
    assert USER in " ".join(told.split())
    assert "No caller" not in told


def test_a_sentence_that_the_texts_end_cuts_is_the_one_before_it() -> None:
    said = SAID.replace("cluster/lab", "cluster/lab-27a9ec06")
    [refusal] = read(f"{said} because no identity-based policy allows the {'x'} action\n"
                     f'{{"stack":"AccessDenied: {SAID}').refusals  # fmt: skip
    assert refusal.resource == f"{ASKED}-27a9ec06"


def test_what_a_tool_names_before_a_sentence_that_is_cut_is_what_was_asked_for() -> None:
    """binbashar/le-tf-infra-aws#869"""
    arn = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:/slack/costs-m8z5y2"
    [refusal] = read(
        f"Error: reading Secrets Manager Secret ({arn}): AccessDeniedException: User: {USER} is "
        f"not authorized to perform: secretsmanager:DescribeSecret on resource: {arn[:40]}"
    ).refusals
    assert refusal.resource == arn


def test_masks_of_two_lengths_are_one_denial() -> None:
    """aws/aws-cdk#6060"""
    said = SAID.replace("cluster/lab", "cluster/{}")
    assert len(read(f"{said.format('xxxxxxx')}\n{said.format('xxxxxx')} at Object.a").refusals) == 1


def test_the_object_that_a_line_names_beside_its_bucket_is_what_was_asked_for() -> None:
    """wazuh/wazuh-indexer#239"""
    refusal = unnamed(
        "[ERROR] Failed to read S3 object sample.txt from bucket site-7-raw: An error occurred "
        "(AccessDenied) when calling the GetObject operation: Access Denied"
    )
    assert refusal is not None
    assert refusal.resource == "arn:aws:s3:::site-7-raw/sample.txt"


def test_a_client_tells_whose_call_it_is() -> None:
    """aws/aws-lambda-dotnet#728"""
    words = (
        "GetObjectAsync: Access Denied\nusing (AmazonS3Client s3Client = new AmazonS3Client(a, b))"
    )
    [found] = read(words).bare
    assert "s3:GetObject" in str(cause(found))


def test_what_is_told_of_a_callers_partition_is_in_that_partition(tmp_path: Path) -> None:
    """AWS's page on CloudTrail (China)"""
    words = f"User: {USER.replace('aws', 'aws-cn')} is not authorized to perform: iam:PassRole"
    assert "names arn:aws-cn:iam::ACCOUNT:role/" in run(tmp_path, words).output


def test_a_registry_that_took_no_token_was_refused_by_no_policy(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html"""
    words = (
        "error: GET https://redacted.dkr.ecr.us-west-2.amazonaws.com/v2/nginx/manifests/latest: "
        "unexpected status code 401 Unauthorized: Not Authorized"
    )
    assert "no token that the registry takes" in " ".join(run(tmp_path, words).output.split())


def test_a_layer_may_be_another_accounts(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/permissions-layer-cross-account.html"""
    words = (
        "User: arn:aws:sts::xxxxx:assumed-role/admin/ann is not authorized to perform: "
        f"lambda:GetLayerVersion on resource: arn:aws:lambda:us-east-1:{ACCOUNT}:layer:sdk:1"
    )
    assert "add-layer-version-permission" in run(tmp_path, words).output


def test_a_word_that_ends_a_sentence_is_no_bucket() -> None:
    """tech-reader.blog: "You check the bucket policy. You have full permissions." """
    words = (
        "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied\n\n"
        "You check the bucket policy. You have full permissions."
    )
    refusal = unnamed(read(words).bare[0])
    assert refusal is not None
    assert refusal.resource is None


def test_a_name_that_is_elided_in_brackets_is_hidden() -> None:
    """aws-amplify/amplify-js#4597"""
    refusal = unnamed(
        "`(...)is not authorized to perform: dynamodb:GetItem on resource: "
        f"arn:aws:dynamodb:us-west-2:{ACCOUNT}:table/User(...)`"
    )
    assert refusal is not None
    assert str(refusal.resource).endswith("table/User\N{HORIZONTAL ELLIPSIS}")


def test_a_service_whose_error_it_is_was_the_one_that_refused() -> None:
    """prestodb/presto#12286"""
    words = (
        "Query 7 failed: Access denied (Service: AWSSecurityTokenService; Status Code: 403; Error "
        "Code: AccessDenied; Request ID: eaf68f55-2571-11e9-83d4-b5f2a4710d4e)"
    )
    assert "whether it was that one" not in str(cause(read(words).bare[0]))


def test_what_needs_no_resource_is_allowed_on_all() -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazontranslate.html"""
    assert by_an_allow("translate:TranslateText").endswith(
        "or * where the call touches none of these"
    )
    assert "*" not in by_an_allow("athena:StartQueryExecution")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        # hashicorp/terraform#11270
        (
            f'The role "arn:aws:iam::{ACCOUNT}:role/a" cannot be assumed. There are a number of '
            "possible causes",
            "the role's trust policy has to let the caller in",
        ),
        # aws-samples/amazon-translate-video-subtitles-captions-translation#4
        (
            "An error occurred (NotAuthorizedException) when calling the StartTextTranslationJob "
            "operation: Your account is not authorized to make this call.",
            "AWS speaks of the account and names no policy",
        ),
        # dstackai/dstack#1618
        (
            "An error occurred (AuthFailure.ServiceLinkedRoleCreationNotPermitted) when calling "
            "the RunInstances operation: The provided credentials do not have permission to "
            "create the service-linked role for EC2 Spot Instances.",
            "iam:CreateServiceLinkedRole",
        ),
        # apache/superset#21945
        (
            'message="Insufficient Lake Formation permission(s) on app$partitions (Service: '
            'AWSGlue; Status Code: 400; Error Code: AccessDeniedException; Proxy: null)"',
            "on app$partitions",
        ),
    ],
)
def test_words_of_tools_and_services_are_told(tmp_path: Path, words: str, told: str) -> None:
    assert told in " ".join(run(tmp_path, words).output.split())


def test_a_roles_sessions_are_refused_once() -> None:
    """external-secrets/kubernetes-external-secrets#419"""
    said = SAID.replace(USER, f"arn:aws:sts::{ACCOUNT}:assumed-role/nodes/{{}}")
    assert len(read(f"{said.format('i-{instanceId}')}\n{said.format('i-0cee')}").refusals) == 1


def test_actions_that_a_page_names_are_told_beside_a_heading(tmp_path: Path) -> None:
    """errorreference.com: EC2AccessDeniedException"""
    words = (
        "EC2AccessDeniedException\nAWS EC2AccessDeniedException means Lambda needs additional "
        "permissions to configure VPC settings." + " and so on" * 60 + "\nGrant required EC2 "
        "permissions for VPC networking (`ec2:CreateNetworkInterface`)."
    )
    assert "ec2:CreateNetworkInterface" in run(tmp_path, words).output


def test_a_bucket_that_terraform_names_in_brackets_is_told(tmp_path: Path) -> None:
    """2i2c-org/infrastructure#2951"""
    words = (
        "Error: reading Amazon S3 (Simple Storage) Bucket (site-7-scratch): Forbidden: Forbidden\n"
        "       status code: 403, request id: DB0CXZJFGC5MW0EJ, host id: ARsqBYTVF3"
    )
    told = " ".join(run(tmp_path, words).output.split())
    assert "s3:ListBucket on the bucket itself, arn:aws:s3:::site-7-scratch" in told


def test_a_callers_arn_that_a_page_breaks_in_three_is_whole() -> None:
    """AWS's page on CodePipeline, as a copy of it has it"""
    broken = USER.replace("aws:iam", "aws\n:iam").replace(":user", "\n:user")
    [refusal] = read(f"User:\n{broken}\nis not authorized to perform: iam:PassRole").refusals
    assert refusal.principal == USER


def test_a_sentence_that_the_text_cuts_in_its_caller_is_told_as_such(tmp_path: Path) -> None:
    """raster-foundry/raster-foundry#1592"""
    words = (
        "An error occurred (AccessDeniedException) when calling the AddJobFlowSteps operation: "
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/StagingContainerInstancePr"
    )
    told = " ".join(run(tmp_path, words).output.split())
    assert "paste it whole" in told and "elasticmapreduce:AddJobFlowSteps" in told
    assert "the words around are not read" not in told


def test_a_title_takes_nothing_of_the_error_below_it() -> None:
    """linden.consulting: "KMS AccessDeniedException: Fixing Key Policy and Grant ..." """
    grant = SAID.replace("eks:DescribeCluster", "kms:CreateGrant")
    found = read(
        "KMS AccessDeniedException: Fixing Key Policy and Grant Misconfigurations\n8 min read\nYou "
        "are moving to a new account and S3 reads start failing with this error:\nAn error "
        "occurred (AccessDeniedException) when calling the Decrypt operation:\nThe ciphertext "
        "refers to a customer master key that does not exist, does not\nexist in this region, or "
        f"you are not allowed to access.\nOr perhaps your copy fails with:\n{grant}"
    )
    assert [one.action for one in found.refusals] == ["kms:CreateGrant"]
    [words] = found.bare
    assert str(cause(words)).startswith("KMS refused to decrypt")


def test_what_follows_a_topics_log_is_no_delivery() -> None:
    """linden.consulting, on a topic of SNS and on a function below it"""
    found = read(
        '{"notification": {"topicArn": "arn:aws:sns:us-east-1:123456789012:orders"}, "delivery": '
        '{"statusCode": 403, "providerResponse": "{\\"ErrorCode\\":\\"KMS.AccessDeniedException\\",'
        '\\"ErrorMessage\\":\\"User: arn:aws:iam::123456789012:root is not authorized to perform: '
        'kms:GenerateDataKey on resource: arn:aws:kms:us-east-1:123456789012:key/abc\\"}"}}\n\n'
        "Or your function fails when polling:\n[ERROR] KMSAccessDeniedException: The ciphertext "
        "refers to a customer master key that does not exist, does not exist in this region, or "
        "you are not allowed to access."
    )
    assert [one.principal for one in found.refusals] == ["sns.amazonaws.com"]
    assert not [one for one in found.bare if "SNS delivers" in one]


def test_iams_short_names_are_told_as_arns() -> None:
    """jjongsma/grunt-eb-deploy#8"""
    words = "User: user/jackson is not authorized to perform: iam:GetUser on resource: user/jackson"
    [refusal] = read(f"AccessDenied: {words}").refusals
    assert refusal.principal.endswith(":user/jackson")
    assert str(refusal.resource).endswith(":user/jackson")


def test_a_store_is_named_of_what_s3_says_alone() -> None:
    """smithfarm/ceph-auto-aws#37"""
    words = (
        "/home/ubuntu/ceph_app/a.py <Code>UnauthorizedOperation</Code><Message>You are not "
        "authorized to perform this operation.</Message>"
    )
    assert "that store" not in str(cause(read(words).bare[0]))


def test_a_sentence_whose_caller_a_line_breaks_is_told_once() -> None:
    """kubernetes-sigs/cluster-api-provider-aws#3361"""
    caller = (
        f"arn:aws:sts::{ACCOUNT}:assumed-role/nodes.clu\nster-api.sigs.k8s.io/i-00b1697e6df160fe9"
    )
    found = read(
        "The agent lacks `ssm:ListAssociations` and `ec2messages:GetMessages`:\n```\n"
        f"ERROR error details - GetMessages Error: AccessDeniedException: User: {caller} is not "
        f"authorized to perform: ec2messages:GetMessages on resource: arn:aws:ssm:eu-west-1:"
        f"{ACCOUNT}:* because no identity-based policy allows the ec2messages:GetMessages action\n"
        "        status code: 400, request id: ac99246a-9656-4c6f-ac5d-4e40b3b617fe\n\n"
        f"ERROR error details - AccessDeniedException: User: {caller} is not authorized to "
        "perform: ssm:ListIns"
    )
    assert [one.action for one in found.refusals] == ["ec2messages:GetMessages", "ssm:ListIns"]
    assert found.bare == ()


def test_a_semicolon_within_an_action_is_a_pages() -> None:
    """AWS's page on Amplify"""
    words = f"User: {USER} is not authorized to perform: amplifybackend;:RemoveAllBackends on"
    [refusal] = read(f"{words} resource: example-amplify-app").refusals
    assert refusal.action == "amplifybackend:RemoveAllBackends"
