"""A job's role assumed once more, and the callers for whom that is not possible."""

from __future__ import annotations

import os
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from scripts.aws import renewal
from scripts.aws.renewal import Caller

RUNNER = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://issuer.example/token",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer",
}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a process under a role's session, as a job's step finds it."""
    with mock_aws():
        issued = boto3.client("sts", region_name="us-east-1").assume_role(
            RoleArn="arn:aws:iam::123456789012:role/keyless-dev-train", RoleSessionName="train-7"
        )["Credentials"]
        for name, key in (
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "SessionToken"),
        ):
            monkeypatch.setenv(name, issued[key])  # type: ignore[literal-required]
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_CA_BUNDLE", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        yield dict(os.environ)


def test_a_job_assumes_its_own_role_again_and_everything_has_the_new_keys(
    session: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []

    def token(environment: dict[str, str], *, ca_bundle: object) -> str:
        asked.append(environment)
        return "token"

    monkeypatch.setattr(renewal, "runner_token", token)
    caller = Caller.from_environment(session | RUNNER, "us-east-1")
    assert asked == []
    before = caller.environment["AWS_ACCESS_KEY_ID"]
    assert caller.renew()
    assert caller.environment["AWS_ACCESS_KEY_ID"] != before
    identity = caller.client("sts").get_caller_identity()["Arn"]
    assert identity == "arn:aws:sts::123456789012:assumed-role/keyless-dev-train/train-7"
    used = caller.client("sts")._request_signer._credentials.access_key
    assert used == caller.environment["AWS_ACCESS_KEY_ID"]


@pytest.mark.parametrize("missing", list(RUNNER))
def test_outside_of_a_job_nothing_is_renewed(session: dict[str, str], missing: str) -> None:
    runner = {name: value for name, value in RUNNER.items() if name != missing}
    caller = Caller.from_environment(session | runner, "us-east-1")
    assert not caller.renew()
    assert caller.environment["AWS_REGION"] == "us-east-1"
