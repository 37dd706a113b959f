"""S3's Block Public Access: what a public policy is, and what it no longer opens."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from scripts.iam.engine.documents import parse_policy
from scripts.localcloud.access import public_access
from tests.localcloud.clients import Account

BUCKET = "blocked-things"
ORGANISATION = {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}


def policy(**more: Any) -> dict[str, Any]:
    one = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
           "Resource": f"arn:aws:s3:::{BUCKET}/*"}  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [one | more]}


@pytest.mark.parametrize(
    ("more", "public"),
    [
        ({}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:root"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": ORGANISATION}, False),
        ({"Condition": {"StringEqualsIfExists": ORGANISATION["StringEquals"]}}, True),
        ({"Condition": {"StringLike": {"aws:PrincipalOrgID": "o-*"}}}, True),
        ({"Condition": {"StringNotEquals": ORGANISATION["StringEquals"]}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}}, False),
        ({"Condition": {"StringEquals": {"aws:Referer": "https://example.org/"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}, True),
    ],
)
def test_what_is_public(more: dict[str, Any], public: bool) -> None:
    found = parse_policy(policy(**more), name="p", kind="resource")
    assert public_access.is_public(found) is public


def open_bucket(account: Account, **settings: bool) -> str:
    """A bucket with an object, these settings, and the address of the object."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(
        Bucket=BUCKET,
        PublicAccessBlockConfiguration={name: settings.get(name, False) for name in names},
    )
    return f"{account.cloud.endpoint}/{BUCKET}/a"


def seen(account: Account, url: str) -> int:
    return requests.get(url, verify=str(account.cloud.ca_bundle), timeout=10).status_code


def test_a_new_bucket_blocks_everything(account: Account) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html"""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="new-and-blocked")
    found = s3.get_public_access_block(Bucket="new-and-blocked")["PublicAccessBlockConfiguration"]
    assert set(found.values()) == {True}
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_policy(Bucket="new-and-blocked", Policy=json.dumps(
            policy(Resource="arn:aws:s3:::new-and-blocked/*")))  # fmt: skip
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert "BlockPublicPolicy" in caught.value.response["Error"]["Message"]


def test_a_public_policy_is_refused_where_it_is_blocked(account: Account) -> None:
    open_bucket(account, BlockPublicPolicy=True)
    s3 = account.client("s3")
    with pytest.raises(ClientError):
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy()))
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy(Condition=ORGANISATION)))


def test_a_public_policy_opens_nothing_where_the_bucket_is_restricted(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = open_bucket(account)
    account.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy()))
    assert seen(account, url) == 200
    open_bucket(account, RestrictPublicBuckets=True)
    assert seen(account, url) == 403
    monkeypatch.setattr(public_access, "restricted", lambda *_: False)
    assert seen(account, url) == 200  # the control is what keeps the stranger out
