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
