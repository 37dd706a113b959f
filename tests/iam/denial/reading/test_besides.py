"""What is needed besides what the message names, and errors within another service's log."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.iam.reference import besides, is_of
from tests.iam.denial.test_further_layers import told
from tests.iam.denial.test_given import ACCOUNT, SESSION, explained, policy, run

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

TOPIC = f"arn:aws:sns:eu-north-1:{ACCOUNT}:readings"
QUEUE = f"arn:aws:sqs:eu-north-1:{ACCOUNT}:readings-in"


def refused(action: str, resource: str) -> str:
    return (
        f"User: {SESSION} is not authorized to perform: {action} on resource: {resource} because "
        f"no identity-based policy allows the {action} action"
    )


@pytest.mark.parametrize(
    ("action", "resource", "further"),
    [
        ("batch:SubmitJob", f"arn:aws:batch:eu-north-1:{ACCOUNT}:job-definition/fit:4",
         ":job-queue/<JobQueueName>"),
        ("batch:SubmitJob", f"arn:aws:batch:eu-north-1:{ACCOUNT}:job-queue/fit",
         ":job-definition/<JobDefinitionName>"),
        ("ec2:RunInstances", f"arn:aws:ec2:eu-north-1:{ACCOUNT}:subnet/subnet-07",
         ":security-group/<SecurityGroupId>"),
        ("dynamodb:Query", f"arn:aws:dynamodb:eu-north-1:{ACCOUNT}:table/readings", "/index/"),
    ],
)  # fmt: skip
def test_further_resources_of_the_reference_are_told(
    tmp_path: Path, action: str, resource: str, further: str
) -> None:
    found = explained(run(tmp_path, refused(action, resource), "--json"))
    [note] = [note for note in found["notes"] if "further ones" in note]
    assert further in note
    assert not any(is_of(form, resource) for form in re.findall(r"arn:[^\s,;]+", note))


def test_alternatives_are_none(tmp_path: Path) -> None:
    found = explained(run(tmp_path, refused("s3:PutObject", "arn:aws:s3:::site-7/a"), "--json"))
    assert not told(found, "further ones")
    assert besides("s3:PutObject") == ((), ())
    assert is_of("arn:aws:ec2:REGION::image/<ImageId>", "arn:aws-cn:ec2:cn-north-1::image/ami-7")


def test_a_call_that_passes_a_role_needs_that_right_too(tmp_path: Path) -> None:
    arn = f"arn:aws:ecs:eu-north-1:{ACCOUNT}:task-definition/migrate:3"
    found = explained(run(tmp_path, refused("ecs:RunTask", arn), "--json"))
    assert told(found, "iam:PassedToService ecs-tasks.amazonaws.com")
    arn = f"arn:aws:cloudfront::{ACCOUNT}:function/redirect"
    found = explained(run(tmp_path, refused("cloudfront:CreateFunction", arn), "--json"))
    assert not told(found, "iam:PassedToService")


# AWS's reference has iam:PassRole beside these, Glue's guide beside its jobs.
@pytest.mark.parametrize(
    ("action", "resource", "to"),
    [
        ("scheduler:CreateSchedule", "scheduler:eu-west-2:{}:schedule/default/a",
         "iam:PassedToService scheduler.amazonaws.com"),
        ("pipes:CreatePipe", "pipes:eu-west-2:{}:pipe/a",
         "iam:PassedToService pipes.amazonaws.com"),
        ("glue:CreateJob", "glue:eu-west-2:{}:job/a", "iam:PassedToService glue.amazonaws.com"),
        ("rds:CreateDBProxy", "rds:eu-west-2:{}:db-proxy:a", "for the service that takes it"),
    ],
)  # fmt: skip
def test_what_the_reference_has_passrole_beside_tells_it(
    tmp_path: Path, action: str, resource: str, to: str
) -> None:
    words = refused(action, f"arn:aws:{resource.format(ACCOUNT)}")
    assert told(explained(run(tmp_path, words, "--json")), to)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"ErrorCode": "KMS.AccessDeniedException", "ErrorMessage": "null (Service: AWSKMS; "
          "Status Code: 400; Error Code: AccessDeniedException)"},
         "that key's policy has to allow sns.amazonaws.com kms:GenerateDataKey* and kms:Decrypt"),
        ({"ErrorCode": "AccessDenied", "ErrorMessage": "Access to the resource "
          f"https://sqs.eu-north-1.amazonaws.com/{ACCOUNT}/readings-in is denied."},
         f"the queue's policy has to allow sns.amazonaws.com sqs:SendMessage on {QUEUE}"),
    ],
)  # fmt: skip
def test_the_log_of_a_topics_deliveries_tells_who_was_refused(
    tmp_path: Path, answer: dict[str, str], told: str
) -> None:
    log = {"notification": {"messageId": "7", "topicArn": TOPIC}, "delivery": {
        "destination": QUEUE, "providerResponse": json.dumps(answer), "statusCode": 403},
        "status": "FAILURE"}  # fmt: skip
    for text in (json.dumps(log), json.dumps(log, indent=2)):
        done = run(tmp_path, text)
        assert done.exit_code == 2
        assert told in done.output and f"aws:SourceArn {TOPIC}" in done.output
        assert "which call" not in done.output


def test_a_service_that_is_named_alone_is_told(tmp_path: Path) -> None:
    words = (
        "job 7 failed: null (Service: AWSGlue; Status Code: 400; Error Code: AccessDeniedException)"
    )
    done = run(tmp_path, words)
    assert "the service whose actions begin with glue:" in done.output


def test_words_beside_an_encoded_message_tell_the_call(tmp_path: Path) -> None:
    words = (
        "could not create volume: operation error EC2: CreateVolume, https response error "
        "StatusCode: 403, api error UnauthorizedOperation: You are not authorized to perform this "
        f"operation. Encoded authorization failure message: {'aB3_' * 12}"
    )
    done = run(tmp_path, words)
    assert "the call that was refused needs ec2:CreateVolume" in done.output
    reads = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(reads)))
    assert found["action"] == "ec2:CreateVolume"
    assert told(found, "None of the caller's own policies allows ec2:CreateVolume")


def test_a_resources_policy_lets_in_a_caller_that_is_not_named(tmp_path: Path) -> None:
    words = (
        f"not authorized to perform: sqs:SendMessage on resource: {QUEUE} because no "
        "resource-based policy allows the sqs:SendMessage action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert not found["changes"]
    assert told(found, "an Allow of sqs:SendMessage whose Principal is the caller")


@pytest.mark.parametrize(
    ("caller", "owner", "hides_two"),
    [
        ("4711xxxx", "xx", False),
        ("4711xxxxxxxx", "xxxxxxxxxxxx", False),
        ("XXXX", "4711XXXX", False),
        ("4711xxxxxxxx", "0815xxxxxxxx", True),
        ("4711xx", "0815xxxxx", True),
        ("<prod account>", "<shared account>", True),
    ],
)
def test_two_masks_are_two_accounts_only_where_they_cannot_be_one(
    tmp_path: Path, caller: str, owner: str, hides_two: bool
) -> None:
    words = (
        f"User: arn:aws:iam::{caller}:user/signer is not authorized to perform: kms:Sign on "
        f"resource: arn:aws:kms:eu-north-1:{owner}:key/0a because no identity-based policy allows "
        "the kms:Sign action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert ("OTHER_ACCOUNT" in found["resource"]) is hides_two
    assert [change["kind"] for change in found["changes"]] == ["identity"]
    assert told(found, "as one account; what is another's") is not hides_two


def test_a_key_whose_policy_is_not_given_leaves_it_to_the_account(tmp_path: Path) -> None:
    key = f"arn:aws:kms:eu-north-1:{ACCOUNT}:key/0a"
    found = explained(run(tmp_path, refused("kms:Decrypt", key), "--json"))
    [change] = found["changes"]
    assert (change["kind"], change["statement"]["Resource"]) == ("identity", [key])
    assert told(found, "taken to leave it to those of its account")
    assert not found["proved"] and not found["considered"]
    closed = policy(
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/admin"},
         "Action": "kms:*", "Resource": "*"}
    )  # fmt: skip
    found = explained(run(tmp_path, refused("kms:Decrypt", key), "--json", resource_policy=closed))
    assert not told(found, "taken to leave it")


@pytest.mark.parametrize(
    "words",
    [
        "[ValidationError]: AccessDenied. User doesn't have permission to call ssm:GetParameters",
        "CREATE_FAILED API: sqs:CreateQueue You are not authorized to perform this operation.",
    ],
)  # fmt: skip
def test_cloudformation_asks_as_the_stacks_role(tmp_path: Path, words: str) -> None:
    assert "as the stack's service role if it has one" in run(tmp_path, words).output
    everything = policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
    found = explained(run(tmp_path, words, "--json", policy=everything))
    assert told(found, "as the stack's service role if it has one")
    assert not told(found, "get-caller-identity")


def test_an_arn_of_another_form_than_the_references_is_told(tmp_path: Path) -> None:
    path = f"arn:aws:eks:eu-north-1:{ACCOUNT}:/clusters/lab/addons/coredns"
    found = explained(run(tmp_path, refused("eks:DescribeAddon", path), "--json"))
    assert told(found, ":addon/<ClusterName>/<AddonName>/<UUID>")
    whole = f"arn:aws:eks:eu-north-1:{ACCOUNT}:addon/lab/coredns/0a"
    found = explained(run(tmp_path, refused("eks:DescribeAddon", whole), "--json"))
    assert not told(found, "other ARNs")


def test_words_of_a_refusal_alone_keep_their_store(tmp_path: Path) -> None:
    words = (
        'level=warn msg="cannot reach the object store" err="blocks: request failed: Access Denied"'
        f"\nstorage:\n  backend: s3\n  note: {'x' * 150}\n  endpoint: s3.eu-north-1.amazonaws.com\n"
    )
    assert "S3 refused a call" in run(tmp_path, words).output


def test_a_call_that_its_tool_names_is_no_guess(tmp_path: Path) -> None:
    words = (
        "[2025/02/03] [error] [output:kinesis_firehose:kinesis_firehose.1] PutRecordBatch API "
        "responded with error='AccessDeniedException'"
    )
    assert "the call that was refused needs firehose:PutRecordBatch" in run(tmp_path, words).output


def test_what_repeats_a_request_is_told_once(tmp_path: Path) -> None:
    words = (
        "AccessDeniedException: s3a://site-7/a.csv: getFileStatus on s3a://site-7/a.csv: "
        "AmazonS3Exception: Forbidden; request: HEAD; Request ID: ABCDEFGHIJ12, Extended Request "
        f"ID: x, host: {'y' * 400} (Service: Amazon S3; Status Code: 403; Error Code: 403 "
        "Forbidden; Request ID: ABCDEFGHIJ12), S3 Extended Request ID: x:403 Forbidden"
    )
    told = run(tmp_path, words).output
    assert "s3:GetObject on arn:aws:s3:::site-7/a.csv" in told
    assert "neither its caller nor an action is named" not in told


def test_what_repeats_a_request_and_tells_less_is_left_out(tmp_path: Path) -> None:
    further = "aB3cD4eF5gH6iJ7kL8mN9oP0qR1sT2uV3wx="
    words = (
        "Error : java.nio.file.AccessDeniedException: s3a://lake-of-site-7/folder/numbers-07.csv: "
        "getFileStatus on s3a://lake-of-site-7/folder/numbers-07.csv: "
        "com.amazonaws.services.s3.model.AmazonS3Exception: Forbidden; request: HEAD "
        "https://lake-of-site-7.s3.eu-west-1.amazonaws.com folder/numbers-07.csv {} Hadoop 3.3.1, "
        "aws-sdk-java/1.12.1 Linux/5.4.0 com.amazonaws.services.s3.model.GetObjectMetadataRequest; "
        f"Request ID: ABCDEFGHIJ123456, Extended Request ID: {further}, Cloud Provider: AWS, "
        "Instance ID: i-0123456789abcdef0 (Service: Amazon S3; Status Code: 403; Error Code: 403 "
        f"Forbidden; Request ID: ABCDEFGHIJ123456; S3 Extended Request ID: {further}), S3 Extended "
        f"Request ID: {further}:403 Forbidden\n"
        "\tat lake.org.apache.hadoop.fs.s3a.S3AUtils.translateException(S3AUtils.java:248)\n"
        "\tat lake.org.apache.hadoop.fs.s3a.S3AFileSystem.s3GetFileStatus(S3AFileSystem.java:32)"
    )
    told = run(tmp_path, words).output
    assert "s3:GetObject on arn:aws:s3:::lake-of-site-7/folder/numbers-07.csv" in told
    assert "not explained" not in told


def test_a_loggers_line_of_a_call_is_a_refusal(tmp_path: Path) -> None:
    words = "[10:11:12] [AWS s3 403 0.4s 0 retries] getBucketLocation({ Bucket: 'site-7' })"
    assert "needs s3:GetBucketLocation" in run(tmp_path, words).output


def test_a_ciphertext_that_is_no_objects_is_not_told_as_one(tmp_path: Path) -> None:
    words = (
        "AccessDeniedException: The ciphertext refers to a customer master key that does not "
        "exist, does not exist in this region, or you are not allowed to access."
    )
    assert "SSEKMSKeyId" not in run(tmp_path, f"env: {words}").output
    assert "SSEKMSKeyId" in run(tmp_path, f"An error (GetObject of s3://site-7/a): {words}").output


def test_a_sentence_of_sqs_that_breaks_off_is_told_as_such(tmp_path: Path) -> None:
    told = run(tmp_path, "poll failed { AccessDenied: Access to the resource").output
    assert "break off" in told and "known here for a right" not in told


def test_a_request_to_a_domain_is_for_what_lies_below_it(tmp_path: Path) -> None:
    words = "User: anonymous is not authorized to perform: es:ESHttpGet"
    found = explained(run(tmp_path, words, "--json"))
    assert told(found, ":domain/<DomainName>/*")


def test_the_end_of_a_sentence_is_no_refusal_of_its_own(tmp_path: Path) -> None:
    words = (
        'CREATE_FAILED "User: XXXX is not authorized to perform: eks:CreateNodegroup on resource: '
        "XXXXcluster/lab (Service: AmazonEKS; Status Code: 403; Error Code: AccessDeniedException; "
        'Request ID: 7)"'
    )
    assert "not explained" not in run(tmp_path, words).output


def test_a_value_that_nobody_filled_in_is_told(tmp_path: Path) -> None:
    words = (
        "An error occurred (KMSKeyNotAccessibleFault) when calling the CopyDBSnapshot operation: "
        "Specified KMS key [{}] does not exist, is not enabled or you do not have permissions to "
        "access it."
    )
    assert "None stands where a name belongs" in run(tmp_path, words.format("None")).output
    assert "belongs" not in run(tmp_path, words.format("0a1b")).output


def test_an_instance_of_its_own_is_no_clusters_node(tmp_path: Path) -> None:
    said = refused("ec2messages:GetMessages", "*")
    for role, is_node in (("lab-NodeInstanceRole", True), ("kops-proxy-role", False)):
        session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/i-0a1b2c"
        found = explained(run(tmp_path, said.replace(SESSION, session), "--json"))
        assert told(found, "may be that of a cluster's nodes") is is_node


def test_many_kinds_are_no_further_ones(tmp_path: Path) -> None:
    profile = f"arn:aws:bedrock:eu-north-1:{ACCOUNT}:inference-profile/eu.some-model-v1:0"
    found = explained(run(tmp_path, refused("bedrock:InvokeModel", profile), "--json"))
    assert not told(found, "further ones")


def test_a_resource_without_a_name_is_none_of_an_action_without_one(tmp_path: Path) -> None:
    words = refused("sqs:ListQueues", f"arn:aws:sqs:eu-north-1:{ACCOUNT}:")
    found = explained(run(tmp_path, words, "--json"))
    assert found["changes"][0]["statement"]["Resource"] == ["*"]
    assert not told(found, "is no ARN of AWS's form")


def test_policies_that_nobody_gave_allow_nothing(tmp_path: Path) -> None:
    words = refused("glue:GetUserDefinedFunctions", "arn:myCatalog").replace("identity", "resource")
    found = explained(run(tmp_path, words, "--json"))
    assert not told(found, "the policies as they are now allow it")


def test_a_session_that_is_named_as_iams_is_stss(tmp_path: Path) -> None:
    words = refused("kms:Decrypt", f"arn:aws:kms:eu-north-1:{ACCOUNT}:key/0a").replace(
        SESSION, f"arn:aws:iam::{ACCOUNT}:assumed-role/reader/run"
    )
    found = explained(run(tmp_path, words.replace("identity", "resource"), "--json"))
    assert found["changes"][0]["statement"]["Principal"] == {
        "AWS": [f"arn:aws:iam::{ACCOUNT}:role/reader"]
    }


def test_what_the_organization_refused_is_named(tmp_path: Path) -> None:
    model = "arn:aws:bedrock:eu-north-1::foundation-model/some-model-v1"
    scp = "arn:aws:organizations::111122223333:policy/o-a/service_control_policy/p-b"
    told = run(
        tmp_path,
        f"AccessDenied: not authorized to perform: bedrock:InvokeModel on resource: {model}"
        f" with an explicit deny in a service control policy: {scp}",
    ).output
    assert f"bedrock:InvokeModel on {model} was refused: the service control policy ({scp})" in told
    told = run(
        tmp_path,
        "operation error EC2: AllocateAddress, https response error StatusCode: 403, api error "
        "UnauthorizedOperation: You are not authorized to perform this operation with an explicit "
        "deny in a service control policy",
    ).output
    assert "ec2:AllocateAddress was refused: the service control policy decided" in told


def test_an_action_that_is_crossed_out_is_none(tmp_path: Path) -> None:
    arn = f"arn:aws:lambda:eu-north-1:{ACCOUNT}:function:f"
    assert "hides the action" in run(tmp_path, refused("lambda:xxxxxxxxxx", arn)).output


def test_a_role_that_may_be_let_in_by_its_trust_policy_alone(tmp_path: Path) -> None:
    words = refused("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/reader").partition(" because")[
        0
    ]
    found = explained(run(tmp_path, words, "--json"))
    assert told(found, "in one account a trust policy that names the caller's role or user is eno")


def test_a_role_without_an_account_was_asked_for_so(tmp_path: Path) -> None:
    words = refused("sts:AssumeRole", "arn:aws:iam:::role/reader").partition(" because")[0]
    found = explained(run(tmp_path, words, "--json"))
    assert told(found, "has no account") and not found["changes"]
    hidden = explained(run(tmp_path, words.replace(ACCOUNT, ""), "--json"))
    assert not told(hidden, "has no account")


def test_a_level_behind_an_arn_is_no_part_of_it(tmp_path: Path) -> None:
    arn = f"arn:aws:sqs:eu-north-1:{ACCOUNT}:jobs"
    words = f"{refused('sqs:SendMessage', arn).partition(' because')[0]}[ERROR] ClientError"
    assert explained(run(tmp_path, words, "--json"))["resource"] == arn


def test_a_functions_environment_is_decrypted_by_its_role(tmp_path: Path) -> None:
    words = (
        "KMSAccessDeniedException: Lambda was unable to decrypt the environment variables because "
        "KMS access was denied."
    )
    assert "with its execution role" in run(tmp_path, words).output


def test_a_call_that_needs_no_right_is_none_that_lacks_one(tmp_path: Path) -> None:
    words = (
        "error calling sts:GetCallerIdentity: operation error STS: GetCallerIdentity\n\n"
        "Error: AccessDenied: Access Denied"
    )
    told = run(tmp_path, words).output
    assert "needs sts:GetCallerIdentity" not in told and "whether it was that one" in told


def test_a_services_own_words_tell_more_than_a_calls_name(tmp_path: Path) -> None:
    words = (
        "aws organizations attach-policy --policy-id p-1 --target-id r-1 -> AccessDeniedException: "
        "You don't have permissions to access this resource."
    )
    assert "AWS Organizations answers so" in run(tmp_path, words).output


ROOM = "com.example.Archive: [nightly] could not be kept"
FRAMES = " at com.example.Store.keep(Store.java:41) at com.example.Store.run(Store.java:9) at"


@pytest.mark.parametrize(
    ("nested", "meant"),
    [
        (f"ArchiveException[{ROOM}]; nested: AmazonS3Exception[Access Denied]; ", "S3 refused a"),
        ("KeepException[[node-3][a:b]]; nested: UploadException[part [7]; nested: "
         "AmazonS3Exception[Access Denied]]", "S3 refused a"),
        ("Caused by: AmazonS3Exception: Access Denied", "S3 refused a"),
        ("IOException[x]; nested: AmazonSQSException[Access Denied]", "begin with sqs:"),
        ("IOException[x]; nested: AWSLambdaException[Access Denied]", "begin with lambda:"),
    ],
)  # fmt: skip
def test_an_error_within_another_names_its_service(tmp_path: Path, nested: str, meant: str) -> None:
    told = run(tmp_path, f"{nested}\n[WARN ] failed:{FRAMES}").output
    assert meant in told
    assert "Store.java" not in told


def test_lines_of_a_stack_are_not_quoted(tmp_path: Path) -> None:
    told = run(tmp_path, f"keeping it was forbidden by somebody{FRAMES}").output
    assert "forbidden by somebody …" in told
    assert "Store" not in told and not re.search(r"\bat$", told, re.MULTILINE)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("table/_orders of today_", "table/<orders_of_today>"),
        ("table/{orders table}", "table/<orders_table>"),
        ("table/${orders table}/index/[the index]", "table/<orders_table>/index/<the_index>"),
        ("table/<orders table>", "table/<orders_table>"),
        ("table/orders_of_today", "table/orders_of_today"),
        ("table/orders of today", "table/orders of today"),
    ],
)
@pytest.mark.parametrize("who", [SESSION, "_whoever it was_"])
def test_a_name_with_blanks_is_not_cut(
    tmp_path: Path, who: str, written: str, read_as: str
) -> None:
    arn = f"arn:aws:dynamodb:eu-north-1:{ACCOUNT}:"
    words = (
        f"User: {who} is not authorized to perform: dynamodb:Query on resource: {arn}{written} "
        "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: AccessDeniedException)"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["resource"] == f"{arn}{read_as}"
    assert bool(told(found, "put in what the message hides")) is ("<" in read_as)


@pytest.mark.parametrize("deny", ["", " with an explicit deny"])
def test_an_api_reads_no_signature_unless_its_method_does(tmp_path: Path, deny: str) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-create-attach.html"""
    words = (
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
        f"arn:aws:execute-api:eu-north-1:{ACCOUNT}:q1w2e3/live/GET/parts{deny}"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert told(found, "every method needs the authorization AWS_IAM")
    assert told(found, "an API's policy that does not allow it") is (not deny)
    assert not told(found, "does not tell whether")
    signs = explained(run(tmp_path, words.replace("execute-api:Invoke", "es:ESHttpGet"), "--json"))
    assert not told(signs, "AWS_IAM")
