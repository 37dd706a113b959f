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
     ("You are not authorized to perform: lambda:GetLayerVersion.", "add-layer-version-permission"),
     (f"An error occurred (AccessDeniedException) when calling the CreateComponentVersion "
      f"operation: User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: null",
      "null in place of the action")],
)  # fmt: skip
def test_what_was_refused_is_told_without_a_caller(tmp_path: Path, words: str, why: str) -> None:
    done = run(tmp_path, words)
    assert done.exit_code == 2
    assert why in " ".join(done.output.split())


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
        f"User: {SESSION} is not authorized to perform: translate:TranslateText because no "
        "identity-based policy allows the translate:TranslateText action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert any("lists no resource" in note for note in found["notes"])
