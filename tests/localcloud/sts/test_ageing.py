"""Time that passes for sessions: they end, and users' keys do not."""

from __future__ import annotations

import json

import pytest
import requests
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.localcloud.cloud import LocalCloud
from tests.localcloud.clients import Account


def pass_time(cloud: LocalCloud, body: object, key: str | None = None) -> requests.Response:
    return requests.post(
        f"{cloud.endpoint}/_local/time",
        data=json.dumps(body),
        headers={"Authorization": f"Bearer {cloud.issuer.key if key is None else key}"},
        verify=str(cloud.ca_bundle),
        timeout=10,
    )


def test_a_session_ends_and_a_users_key_does_not(cloud: LocalCloud, account: Account) -> None:
    session = account.session("ages")
    iam = account.client("iam")
    iam.create_user(UserName="ageless")
    made = iam.create_access_key(UserName="ageless")["AccessKey"]
    key = Credentials(made["AccessKeyId"], made["SecretAccessKey"])
    assert pass_time(cloud, {"seconds": 3000}).status_code == 200
    account.client("sts", session).get_caller_identity()
    assert pass_time(cloud, {"seconds": 700}).status_code == 200
    with pytest.raises(ClientError) as refused:
        account.client("sts", session).get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "ExpiredToken"
    account.client("sts", key).get_caller_identity()
    account.client("sts", account.assume(account.job_role("later"))).get_caller_identity()


@pytest.mark.parametrize("body", [{}, [], {"seconds": 0}, {"seconds": True}, {"seconds": 1.5}, 7])
def test_only_a_number_of_seconds_is_taken(cloud: LocalCloud, body: object) -> None:
    assert pass_time(cloud, body).status_code == 400


def test_only_the_owner_of_the_cloud_moves_time(cloud: LocalCloud) -> None:
    assert pass_time(cloud, {"seconds": 10}, key="guessed").status_code == 401
    assert pass_time(cloud, {"seconds": 10}, key="").status_code == 401
