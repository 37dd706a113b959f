"""What really encrypts the state: the header of the object that Terraform's backend wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from scripts.names import state_bucket, state_key
from scripts.stack.roots import backend
from tests.terraform.conftest import Terraform

pytestmark = pytest.mark.terraform

REGION = "us-east-1"
ROOT = 'terraform {\n  backend "s3" {}\n}\noutput "made" {\n  value = "something"\n}\n'


def written(terraform: Terraform, account: str, number: str, **more: str) -> dict[str, Any]:
    """Keep the state of a small root in the account's bucket; the head of the object."""
    root = terraform.folder.parent / f"state-{number}"
    root.mkdir()
    (root / "main.tf").write_text(ROOT)
    settings = {
        **backend(number, REGION, state_key("prod")),
        **more,
        "endpoints": {"s3": account},
        "use_path_style": True,
        "skip_requesting_account_id": True,
        "skip_credentials_validation": True,
    }
    (root / "backend_override.tf.json").write_text(
        json.dumps({"terraform": {"backend": {"s3": settings}}})
    )
    for command in (("init", "-input=false"), ("apply", "-auto-approve", "-input=false")):
        done = terraform.run(str(Path("..") / root.name), *command)
        assert done.code == 0, done.text
    found = s3(account).head_object(Bucket=state_bucket(number, REGION), Key=state_key("prod"))
    return dict(found)


def s3(account: str) -> Any:
    return boto3.Session("testing", "testing", region_name=REGION).client(
        "s3", endpoint_url=account
    )


@pytest.fixture
def key(account: str) -> str:
    kms = boto3.Session("testing", "testing", region_name=REGION).client(
        "kms", endpoint_url=account
    )
    return str(kms.create_key()["KeyMetadata"]["Arn"])


def make_bucket(account: str, number: str, rule: dict[str, str]) -> None:
    """A state bucket as bootstrap makes it, as far as its encryption goes."""
    name = state_bucket(number, REGION)
    s3(account).create_bucket(Bucket=name)
    s3(account).put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
    )


def test_a_state_key_that_is_set_encrypts_the_state(
    terraform: Terraform, account: str, key: str
) -> None:
    make_bucket(account, "111111111111", {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key})
    head = written(terraform, account, "111111111111")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)


def test_a_backend_that_asks_for_encryption_itself_would_leave_the_key_out(
    terraform: Terraform, account: str, key: str
) -> None:
    make_bucket(account, "222222222222", {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key})
    head = written(terraform, account, "222222222222", encrypt="true")
    assert head["ServerSideEncryption"] == "AES256"


def test_without_a_key_the_state_has_s3s_own(terraform: Terraform, account: str) -> None:
    make_bucket(account, "333333333333", {"SSEAlgorithm": "AES256"})
    assert written(terraform, account, "333333333333")["ServerSideEncryption"] == "AES256"
