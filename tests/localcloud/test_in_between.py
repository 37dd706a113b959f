"""What changes between the moments in which a request is looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.iam.requests import Need
from tests.localcloud.clients import Account, statement

LIST = Need("s3:ListBucket", "arn:aws:s3:::waiting")


def test_a_user_that_is_gone_by_the_decision_has_no_right_of_its_namesake(
    account: Account,
) -> None:
    """A request waits for others between the look at its key and the decision."""
    iam, s3 = account.client("iam"), account.client("s3")

    def make(policy: dict[str, Any] | None = None) -> Any:
        user = iam.create_user(UserName="waiting")["User"]
        if policy:
            document = json.dumps({"Version": "2012-10-17", "Statement": policy})
            iam.put_user_policy(UserName="waiting", PolicyName="p", PolicyDocument=document)
        return user

    user = make()
    s3.create_bucket(Bucket="waiting")
    key = iam.create_access_key(UserName="waiting")["AccessKey"]["AccessKeyId"]
    caller = account.cloud.identify(key, None).caller

    def allowed() -> bool:
        return account.cloud.authorize(caller, LIST).allowed

    assert not allowed()
    iam.delete_access_key(UserName="waiting", AccessKeyId=key)
    iam.delete_user(UserName="waiting")
    make(statement("s3:*"))
    assert not allowed()
    named = statement("s3:*", "arn:aws:s3:::waiting", Principal={"AWS": user["Arn"]})
    policy = json.dumps({"Version": "2012-10-17", "Statement": named})
    s3.put_bucket_policy(Bucket="waiting", Policy=policy)
    assert not allowed()
    again = iam.create_access_key(UserName="waiting")["AccessKey"]["AccessKeyId"]
    caller = account.cloud.identify(again, None).caller
    assert allowed()


def test_an_upload_that_is_ended_meanwhile_is_no_upload(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="parts")
    named = {"Bucket": "parts", "Key": "k"}
    named["UploadId"] = s3.create_multipart_upload(**named)["UploadId"]
    tag = s3.upload_part(**named, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    s3.abort_multipart_upload(**named)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        s3.complete_multipart_upload(**named, MultipartUpload=parts)
