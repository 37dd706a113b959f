"""What is told of messages that name no caller, no action or a name that changes with each try."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.iam.denial.test_given import ACCOUNT, SESSION, explained, policy, run

CIPHERTEXT = (
    "An error occurred (AccessDenied) when calling the GetObject operation: The ciphertext refers "
    "to a customer master key that does not exist, does not exist in this region, or you are not "
    "allowed to access."
)


@pytest.mark.parametrize(
    ("words", "why"),
    [(CIPHERTEXT, "kms:Decrypt"),
     ("KMS Message: User: <arn here> is not authorized to perform: kms:Decrypt on resource:\n"
      "<arn here> because no identity-based policy allows the kms:Decrypt action",
      "no identity-based policy allows kms:Decrypt"),
     ("User: arn:<redacted> is not authorized to perform: iam:CreateServiceLinkedRole on resource: "
      "arn:<redacted>:role/aws-service-role/a because no identity-based policy allows the "
      "iam:CreateServiceLinkedRole action", "with iam:AWSServiceName"),
     ("You are not authorized to perform: lambda:GetLayerVersion.", "add-layer-version-permission"),
     (f"An error occurred (AccessDeniedException) when calling the CreateComponentVersion "
      f"operation: User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: null",
      "null in place of the action")],
)  # fmt: skip
def test_what_was_refused_is_told_without_a_caller(tmp_path: Path, words: str, why: str) -> None:
    done = run(tmp_path, words)
    assert done.exit_code == 2
    assert why in " ".join(done.output.split())


def test_of_two_calls_that_a_stack_made_both_are_told(tmp_path: Path) -> None:
    words = (
        'VPC: CREATE_FAILED "API: ec2:DescribeVpcs You are not authorized to perform this '
        'operation."\nEIP: CREATE_FAILED "API: ec2:describeAddresses You are not authorized to '
        'perform this operation."'
    )
    done = run(tmp_path, words)
    assert "DescribeVpcs" in done.output
    assert "escribeAddresses" in done.output


def test_hadoop_tells_its_object_by_a_url(tmp_path: Path) -> None:
    words = (
        "java.nio.file.AccessDeniedException: s3a://box/a/b.csv: getFileStatus on "
        "s3a://box/a/b.csv: com.amazonaws.services.s3.model.AmazonS3Exception: Forbidden"
    )
    output = " ".join(run(tmp_path, words).output.split())
    assert "s3:GetObject on arn:aws:s3:::box/a/b.csv" in output
    assert "s3:ListBucket on arn:aws:s3:::box" in output


def test_a_name_behind_stars_is_one_to_put_in(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: route53:ChangeResourceRecordSets on "
        "resource: arn:aws:route53:::hostedzone/*** because no identity-based policy allows the "
        "route53:ChangeResourceRecordSets action"
    )
    found = explained(run(tmp_path, words, "--json"))
    [change] = found["changes"]
    assert change["statement"]["Resource"] == ["arn:aws:route53:::hostedzone/<hidden>"]
    assert any("put in what the message hides" in note for note in found["notes"])


def test_a_ciphertext_without_caller_is_judged_by_the_policies_given(tmp_path: Path) -> None:
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    found = explained(run(tmp_path, CIPHERTEXT, "--json", policy=policy(reads)))
    assert found["action"] == "kms:Decrypt"


def test_a_secret_to_be_made_is_named_without_its_random_ending(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: secretsmanager:CreateSecret on resource: "
        f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:site-GJe9zJ"
    )
    [change] = explained(run(tmp_path, words, "--json"))["changes"]
    assert change["statement"]["Resource"] == [
        f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:site-??????"
    ]


def test_the_class_of_an_error_behind_a_colon_is_no_part_of_a_name(tmp_path: Path) -> None:
    function = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
    words = f"User: {SESSION} is not authorized to perform: lambda:InvokeFunction on resource: "
    found = explained(run(tmp_path, f"{words}{function}: ClientError\nTraceback", "--json"))
    assert found["resource"] == function


def test_of_a_layer_its_owner_is_told_to_let_the_caller_in(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: lambda:GetLayerVersion on resource: "
        "arn:aws:lambda:eu-west-1:999988887777:layer:sharp:3 because no resource-based policy "
        "allows the lambda:GetLayerVersion action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert any("add-layer-version-permission" in note for note in found["notes"])


def test_of_a_service_that_is_not_known_the_action_is_told(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: nosuch:GetThing because no "
        "identity-based policy allows the nosuch:GetThing action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert any("lists no resource" in note for note in found["notes"])


def test_of_glue_all_that_leads_to_a_table_is_told(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: glue:GetTable on resource: "
        f"arn:aws:glue:eu-west-1:{ACCOUNT}:database/d because no identity-based policy allows the "
        "glue:GetTable action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert any("the catalog, its database and the table" in note for note in found["notes"])


@pytest.mark.parametrize("asked", ["my-example-widget", "arn:aws:s3:::b/x"])
def test_a_blank_that_lacks_behind_a_colon_hides_no_resource(tmp_path: Path, asked: str) -> None:
    """https://docs.aws.amazon.com/acm/latest/userguide/security_iam_troubleshoot.html"""
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/mateojackson is not authorized to perform:"
        f"s3:GetObject\non resource:{asked}"
    )
    assert explained(run(tmp_path, words, "--json"))["resource"] == asked


def test_an_action_that_aws_does_not_have_is_told_to_be_none(tmp_path: Path) -> None:
    """The same page calls acm:GetWidget fictional."""
    words = f"User: arn:aws:iam::{ACCOUNT}:user/mateojackson is not authorized to perform: "
    widget = run(tmp_path, f"{words}acm:GetWidget on resource: my-example-widget").output
    assert "has no action acm:GetWidget" in widget
    assert "as of 20" in widget
    certificate = f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate/a"
    own = run(tmp_path, f"{words}acm:GetCertificate on resource: {certificate}").output
    assert "has no action" not in own


@pytest.mark.parametrize(
    ("says", "action"),
    [
        # bbc/sqs-consumer#225; its call is https://docs.aws.amazon.com/AWSSimpleQueueService/
        # latest/APIReference/API_ReceiveMessage.html
        ("SQS receive message failed: {}", "sqs:ReceiveMessage"),
        ("Failed to send message to the queue: {}", "sqs:SendMessage"),
        ("error while deleting message from it: {}", "sqs:DeleteMessage"),
    ],
)
@pytest.mark.parametrize("queue", ["", f"{ACCOUNT}/orders"])
def test_of_a_queue_the_call_that_a_tools_words_fit_is_told(
    tmp_path: Path, says: str, action: str, queue: str
) -> None:
    words = f"Access to the resource https://sqs.eu-west-1.amazonaws.com/{queue} is denied."
    output = " ".join(run(tmp_path, says.format(words)).output.split())
    assert f"fit a call that needs {action}" in output
    assert "No caller's ARN is read" in output
    assert action not in run(tmp_path, words).output.replace("(sqs:SendMessage for sns", "")


@pytest.mark.parametrize(
    "says",
    [
        "An error occurred (AccessDenied) when calling the ReceiveMessage operation: ",
        "SQS receive message failed: ",
    ],
)
def test_the_queue_in_an_address_is_what_was_asked_for(tmp_path: Path, says: str) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html"""
    address = f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/orders"
    words = f"{says}Access to the resource {address} is denied."
    sends = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(sends)))
    queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"
    assert found["resource"] == queue
    [change] = found["changes"]
    assert change["statement"]["Action"] == ["sqs:ReceiveMessage"]
    assert change["statement"]["Resource"] == [queue]


def test_an_arn_in_words_of_another_language_is_not_told_to_be_missing(tmp_path: Path) -> None:
    """AWS re:Post, iam-explicit-deny-errors, in Japanese."""
    user = f"arn:aws:iam::{ACCOUNT}:user/tester"
    denied = "\u660e\u793a\u7684\u306a\u62d2\u5426"
    may_not = "\u306f\u5b9f\u884c\u3059\u308b\u6a29\u9650\u304c\u3042\u308a\u307e\u305b\u3093"
    words = (
        "\u30a8\u30e9\u30fc: RunInstances \u30aa\u30da\u30ec\u30fc\u30b7\u30e7\u30f3 "
        f"(AccessDenied) \u3057\u307e\u3057\u305f: \u30e6\u30fc\u30b6\u30fc: {user} {may_not}: "
        "\u30ea\u30bd\u30fc\u30b9\u306e ec2:RunInstances: \u30ed\u30fc\u30eb TestReadOnly "
        f"({denied})"
    )
    done = run(tmp_path, words)
    output = " ".join(done.output.split())
    assert done.exit_code == 2
    assert f"{user} stands in what was pasted, and may be who called" in output
    assert "names no caller" not in output


def test_what_was_asked_for_is_not_taken_for_a_caller(tmp_path: Path) -> None:
    words = (
        "The IAM Entity is not authorized to perform API action on resource: "
        f"arn:aws:iam::{ACCOUNT}:role/Admin with an explicit deny in a service control policy"
    )
    assert "stands in what was pasted" not in run(tmp_path, words).output


SUBMITS = f"User: {SESSION} is not authorized to perform: batch:SubmitJob on resource: "
DEFINITION = f"arn:aws:batch:us-east-2:{ACCOUNT}:job-definition/"


def test_of_a_kind_without_a_name_the_request_is_to_be_looked_at(tmp_path: Path) -> None:
    """JuliaCloud/AWS.jl#617; a job needs its definition and its queue allowed:
    https://docs.aws.amazon.com/batch/latest/userguide/iam-example-restrict-job-queue.html"""
    title = '"not authorized to perform: batch:SubmitJob on resource"\n\n'
    done = run(tmp_path, f"{title}{'It works from the CLI. ' * 30}\n{SUBMITS}{DEFINITION}")
    output = " ".join(done.output.split())
    assert "the request is to be put right first" in output
    assert "job-definition/<JobDefinitionName>" in output
    assert "job-queue/<JobQueueName>" in output
    assert "has other ARNs" not in output
    assert "smallest change" not in output
    assert "not explained" not in output


@pytest.mark.parametrize(
    ("action", "arn"),
    [
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: a key has a length
        ("s3:GetObject", "arn:aws:s3:::bucket/"),
        ("route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/"),
    ],
)
def test_an_allow_of_what_has_no_name_is_not_proposed(
    tmp_path: Path, action: str, arn: str
) -> None:
    words = f"User: {SESSION} is not authorized to perform: {action} on resource: {arn}"
    found = explained(run(tmp_path, words, "--json"))
    assert found["changes"] == []
    assert f"{arn} has nothing in the place of its name" in found["notes"][0]


def test_of_a_definition_with_a_name_the_queue_is_told_beside_the_change(tmp_path: Path) -> None:
    found = explained(run(tmp_path, f"{SUBMITS}{DEFINITION}train:3", "--json"))
    [change] = found["changes"]
    assert change["statement"]["Resource"] == [f"{DEFINITION}train:3"]
    assert any("job-queue/<JobQueueName>" in note for note in found["notes"])


def test_a_list_and_a_path_of_all_have_no_name_to_put_right(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html"""
    root = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/"
    words = f"User: {SESSION} is not authorized to perform: ssm:GetParametersByPath on resource: "
    [change] = explained(run(tmp_path, f"{words}{root}", "--json"))["changes"]
    assert change["statement"]["Resource"] == [root]
