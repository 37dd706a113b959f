"""Policies of resources: where each is asked for, and what is not known where it is not told."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.iam.account.resource_policies import ResourcePolicies, is_read

ACCOUNT = "111122223333"
DOCUMENT = json.dumps(
    {"Version": "2012-10-17",
     "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}
)  # fmt: skip
REGIONAL = f"eu-north-1:{ACCOUNT}"


def answering(code: str = "") -> tuple[Any, list[tuple[str, dict[str, str]]]]:
    """A client of every service, which answers or fails, and what it was made for."""
    made: list[tuple[str, dict[str, str]]] = []

    def answer(**given: str) -> dict[str, Any]:
        if code:
            raise ClientError({"Error": {"Code": code, "Message": code}}, "Get")
        return {"Policy": DOCUMENT, "ResourcePolicy": DOCUMENT, "policyText": DOCUMENT,
                "QueueUrl": "q", "Attributes": {"Policy": DOCUMENT}}  # fmt: skip

    calls = ("bucket_policy", "key_policy", "resource_policy", "topic_attributes", "queue_url",
             "queue_attributes", "repository_policy", "policy")  # fmt: skip

    def client(service: str, **more: str) -> Any:
        made.append((service, more))
        return SimpleNamespace(**{f"get_{call}": answer for call in calls})

    return client, made


@pytest.mark.parametrize(
    ("service", "name"),
    [("s3", "::b/x"), ("kms", f"{REGIONAL}:key/1"), ("secretsmanager", f"{REGIONAL}:secret:a-Bc"),
     ("sns", f"{REGIONAL}:t"), ("sqs", f"{REGIONAL}:q"), ("ecr", f"{REGIONAL}:repository/a/b"),
     ("lambda", f"{REGIONAL}:function:f:live")],
)  # fmt: skip
def test_each_kind_is_asked_for_in_its_own_region(service: str, name: str) -> None:
    arn = f"arn:aws:{service}:{name}"
    client, made = answering()
    policy = ResourcePolicies(client, regional=True)
    found = policy(arn)
    assert found is not None
    assert found.statements[0].effect == "Allow"
    assert made == [(service, {} if service == "s3" else {"region_name": "eu-north-1"})]
    assert policy.unknown(arn) == ""


@pytest.mark.parametrize(
    ("code", "known"),
    [("NoSuchBucketPolicy", ""), ("NoSuchBucket", "it is not in the account and region"),
     ("AccessDenied", "could not be read (AccessDenied)"),
     ("MethodNotAllowed", "could not be read (MethodNotAllowed)")],
)  # fmt: skip
def test_no_policy_no_bucket_and_no_answer_are_told_apart(code: str, known: str) -> None:
    client, _ = answering(code)
    policy = ResourcePolicies(client)
    assert policy("arn:aws:s3:::b/x") is None
    assert policy("arn:aws:s3:::b/y") is None
    assert known in policy.unknown("arn:aws:s3:::b/y")
    assert bool(policy.unknown("arn:aws:s3:::b/y")) is bool(known)


def test_a_function_without_a_policy_is_not_gone() -> None:
    client, _ = answering("ResourceNotFoundException")
    policy = ResourcePolicies(client)
    function, secret = (
        f"arn:aws:lambda:{REGIONAL}:function:f",
        f"arn:aws:secretsmanager:{REGIONAL}:secret:a",
    )
    assert policy(function) is None
    assert policy(secret) is None
    assert policy.unknown(function) == ""
    assert "it is not in the account" in policy.unknown(secret)


@pytest.mark.parametrize(
    "arn", ["*", f"arn:aws:kms:{REGIONAL}:alias/a", f"arn:aws:lambda:{REGIONAL}:layer:l:1",
            f"arn:aws:dynamodb:{REGIONAL}:table/t"]
)  # fmt: skip
def test_other_kinds_are_not_asked_for(arn: str) -> None:
    client, made = answering()
    assert ResourcePolicies(client)(arn) is None
    assert not is_read(arn)
    assert made == []
