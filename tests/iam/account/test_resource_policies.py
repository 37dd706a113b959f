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
                "QueueUrl": "q", "Attributes": {"Policy": DOCUMENT}, "Account": ACCOUNT,
                "PolicyInJson": DOCUMENT, "DomainStatus": {"AccessPolicies": DOCUMENT},
                "policy": DOCUMENT.replace('"', r'\"'), "Policies": {"one": DOCUMENT},
                }  # fmt: skip

    calls = ("bucket_policy", "key_policy", "resource_policy", "topic_attributes", "queue_url",
             "queue_attributes", "repository_policy", "policy", "rest_api", "email_identity",
             "caller_identity")  # fmt: skip

    def client(service: str, **more: str) -> Any:
        made.append((service, more))
        return SimpleNamespace(describe_domain=answer, **{f"get_{call}": answer for call in calls})

    return client, made


@pytest.mark.parametrize(
    ("service", "name"),
    [("s3", "::b/x"), ("kms", f"{REGIONAL}:key/1"), ("secretsmanager", f"{REGIONAL}:secret:a-Bc"),
     ("sns", f"{REGIONAL}:t"), ("sqs", f"{REGIONAL}:q"), ("ecr", f"{REGIONAL}:repository/a/b"),
     ("lambda", f"{REGIONAL}:function:f:live"), ("dynamodb", f"{REGIONAL}:table/t/index/i"),
     ("dynamodb", f"{REGIONAL}:table/t/stream/2026"), ("kinesis", f"{REGIONAL}:stream/s"),
     ("glue", f"{REGIONAL}:catalog"), ("es", f"{REGIONAL}:domain/d/_bulk"),
     ("execute-api", f"{REGIONAL}:a1b2/test/GET/x"), ("ses", f"{REGIONAL}:identity/a.example")],
)  # fmt: skip
def test_each_kind_is_asked_for_in_its_own_region(service: str, name: str) -> None:
    arn = f"arn:aws:{service}:{name}"
    client, made = answering()
    policy = ResourcePolicies(client, regional=True)
    found = policy(arn)
    assert found is not None
    assert found.statements[0].effect == "Allow"
    asked = {"es": "opensearch", "execute-api": "apigateway", "ses": "sesv2"}.get(service, service)
    assert made[-1] == (asked, {} if service == "s3" else {"region_name": "eu-north-1"})
    assert [one for one, _ in made[:-1]] == ["sts"] * (service in ("es", "glue", "ses"))
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
            f"arn:aws:states:{REGIONAL}:stateMachine:m"]
)  # fmt: skip
def test_other_kinds_are_not_asked_for(arn: str) -> None:
    client, made = answering()
    assert ResourcePolicies(client)(arn) is None
    assert not is_read(arn)
    assert made == []


@pytest.mark.parametrize("name", ["es:{}:domain/d/x", "glue:{}:catalog", "ses:{}:identity/a.io"])
def test_a_name_of_another_account_is_not_taken_for_ones_own(name: str) -> None:
    client, made = answering()
    assert ResourcePolicies(client)(f"arn:aws:{name.format('eu-north-1:999988887777')}") is None
    assert made == [("sts", {})]


def test_below_a_resource_its_own_policy_decides() -> None:
    client, made = answering()
    policy = ResourcePolicies(client)
    for path in ("test/GET/a", "test/POST/b"):
        assert policy(f"arn:aws:execute-api:{REGIONAL}:a1b2/{path}") is not None
    assert len(made) == 1


def test_several_policies_of_an_identity_are_one() -> None:
    two = {"Policies": {"a": DOCUMENT, "b": DOCUMENT}}
    found = ResourcePolicies(
        lambda _: SimpleNamespace(
            get_email_identity=lambda **_: two,
            get_caller_identity=lambda: {"Account": ACCOUNT},
        )
    )(f"arn:aws:ses:{REGIONAL}:identity/a.example")
    assert found is not None
    assert len(found.statements) == 2
