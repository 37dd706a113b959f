"""The instance metadata service: version 2, one role, and credentials that stay fresh."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import boto3
import pytest

from scripts.aws.credentials import Credentials
from scripts.localcloud.ec2.metadata import Identity, Metadata

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
IDENTITY = Identity(
    instance_id="i-0123456789abcdef0",
    image_id="ami-1",
    instance_type="t4g.small",
    account_id="123456789012",
    region="us-east-1",
    zone="us-east-1a",
    tags={"Environment": "dev", "Role": "mlflow"},
    user_data=b"#cloud-config\n",
    role_name="keyless-dev-server",
    profile_arn="arn:aws:iam::123456789012:instance-profile/keyless-dev-server",
)


class Issuer:
    """Makes numbered credentials that last as long as told."""

    def __init__(self) -> None:
        self.made = 0
        self.deliveries: list[str] = []
        self.lifetime = timedelta(hours=6)

    def __call__(self, delivery: str) -> Credentials:
        self.made += 1
        self.deliveries.append(delivery)
        return Credentials(f"ASIA{self.made}", "secret", "token", datetime.now(UTC) + self.lifetime)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def metadata(issuer: Issuer) -> Iterator[Metadata]:
    service = Metadata(IDENTITY, issuer)
    yield service
    service.stop()


def call(
    service: Metadata, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, str]:
    request = urllib.request.Request(
        f"{service.endpoint}/latest/{path}", method=method, headers=headers or {}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def token(service: Metadata, seconds: str = "60") -> dict[str, str]:
    status, text = call(service, "api/token", "PUT", {TTL: seconds})
    assert status == 200
    return {TOKEN: text}


def test_an_endpoint_that_is_switched_off_tells_nothing_and_gives_no_token(issuer: Issuer) -> None:
    service = Metadata(replace(IDENTITY, enabled=False), issuer)
    try:
        assert call(service, "meta-data/instance-id")[0] == 403
        assert call(service, "api/token", "PUT", {TTL: "60"})[0] == 403
    finally:
        service.stop()


def test_a_request_without_a_token_is_refused(metadata: Metadata) -> None:
    assert call(metadata, "meta-data/instance-id") == (401, "")


def test_version_1_answers_where_the_instance_allows_it(issuer: Issuer) -> None:
    """The control of the test above is `http_tokens = required`: without it, no token is needed."""
    service = Metadata(replace(IDENTITY, tokens_required=False), issuer)
    try:
        role = "meta-data/iam/security-credentials/keyless-dev-server"
        assert json.loads(call(service, role)[1])["AccessKeyId"] == "ASIA1"
        # The sessions tell the versions apart: a policy may refuse those of version 1.
        assert json.loads(call(service, role, headers=token(service))[1])["AccessKeyId"] == "ASIA2"
        assert json.loads(call(service, role)[1])["AccessKeyId"] == "ASIA1"
        assert issuer.deliveries == ["1.0", "2.0"]
    finally:
        service.stop()


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "1e3", "sixty"])
def test_a_token_lives_between_a_second_and_six_hours(metadata: Metadata, ttl: str) -> None:
    assert call(metadata, "api/token", "PUT", {TTL: ttl})[0] == 400


def test_a_forwarded_request_gets_no_token(metadata: Metadata) -> None:
    headers = {TTL: "60", "X-Forwarded-For": "10.0.0.1"}
    assert call(metadata, "api/token", "PUT", headers)[0] == 403


def test_a_token_of_another_instance_is_refused(metadata: Metadata, issuer: Issuer) -> None:
    other = Metadata(replace(IDENTITY, instance_id="i-other"), issuer)
    try:
        assert call(metadata, "meta-data/instance-id", headers=token(other))[0] == 401
    finally:
        other.stop()


def test_a_token_ends_with_its_lifetime(metadata: Metadata) -> None:
    headers = token(metadata, "60")
    with patch("scripts.localcloud.ec2.metadata._now", return_value=float("inf")):
        assert call(metadata, "meta-data/instance-id", headers=headers)[0] == 401


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/ami-id", "ami-1"),
        ("meta-data/placement/region", "us-east-1"),
        ("meta-data/placement/availability-zone", "us-east-1a"),
        ("meta-data/iam/security-credentials/", "keyless-dev-server"),
        ("meta-data/tags/instance/", "Environment\nRole"),
        ("meta-data/tags/instance/Role", "mlflow"),
        ("user-data", "#cloud-config\n"),
    ],
)
def test_an_instance_learns_what_it_is(metadata: Metadata, path: str, answer: str) -> None:
    assert call(metadata, path, headers=token(metadata)) == (200, answer)


def test_the_identity_document_names_instance_and_account(metadata: Metadata) -> None:
    path = "dynamic/instance-identity/document"
    document = json.loads(call(metadata, path, headers=token(metadata))[1])
    assert (document["instanceId"], document["accountId"]) == (
        "i-0123456789abcdef0",
        "123456789012",
    )


@pytest.mark.parametrize(
    "path",
    ["meta-data/iam/security-credentials/keyless-dev-apply", "meta-data/nothing", "../etc/passwd"],
)
def test_what_is_not_there_is_not_found(metadata: Metadata, path: str) -> None:
    assert call(metadata, path, headers=token(metadata))[0] == 404


def test_an_instance_without_a_profile_has_no_credentials(issuer: Issuer) -> None:
    service = Metadata(replace(IDENTITY, role_name=None, profile_arn=None), issuer)
    try:
        path = "meta-data/iam/security-credentials/"
        assert call(service, path, headers=token(service))[0] == 404
    finally:
        service.stop()


def test_credentials_are_kept_until_they_near_their_end(metadata: Metadata, issuer: Issuer) -> None:
    path = "meta-data/iam/security-credentials/keyless-dev-server"

    def key() -> str:
        return str(json.loads(call(metadata, path, headers=token(metadata))[1])["AccessKeyId"])

    issuer.lifetime = timedelta(minutes=4)
    assert key() == "ASIA1"
    issuer.lifetime = timedelta(hours=6)
    assert key() == "ASIA2"
    assert key() == "ASIA2"


def test_boto3_finds_the_role_by_itself(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint)
    found = boto3.Session().get_credentials()
    assert found is not None
    assert (found.method, found.access_key) == ("iam-role", "ASIA1")


def test_a_put_in_the_body_of_a_forwarded_request_gets_no_token(metadata: Metadata) -> None:
    hidden = f"PUT /latest/api/token HTTP/1.1\r\nHost: a\r\n{TTL}: 60\r\n\r\n".encode()
    head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nConnection: close\r\n"
    sent = f"{head}Content-Length: {len(hidden)}\r\n\r\n".encode() + hidden
    with socket.create_connection(("127.0.0.1", metadata.port), timeout=10) as client:
        client.sendall(sent)
        found = b""
        while part := client.recv(4096):
            found += part
    assert found.count(b"HTTP/1.1") == 1
    assert b" 401 " in found


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", ["1.0", "2009-04-04", "latest"]),
        ("/latest", ["dynamic", "meta-data", "user-data"]),
        ("/latest/meta-data/", ["ami-id", "iam/", "instance-id", "placement/", "tags/"]),
        ("/latest/meta-data", ["ami-id", "iam/", "instance-id", "placement/", "tags/"]),
        ("/2009-04-04/meta-data/placement/", ["availability-zone", "region"]),
        ("/latest/meta-data/iam/security-credentials/", ["keyless-dev-server"]),
    ],
)
def test_a_directory_lists_what_is_in_it(metadata: Metadata, path: str, names: list[str]) -> None:
    found = metadata.read(path)
    assert found is not None
    assert set(names) <= set(found.decode().split("\n"))


def test_dated_paths_and_heads_are_answered(metadata: Metadata) -> None:
    headers = token(metadata)
    assert call(metadata, "meta-data/instance-id", "HEAD", headers) == (200, "")
    assert metadata.read("/2021-07-15/meta-data/instance-id") == IDENTITY.instance_id.encode()
    assert metadata.read("/2021-07-16/meta-data/instance-id") is None


def test_a_silent_client_holds_up_nobody(metadata: Metadata) -> None:
    silent = [socket.create_connection(("127.0.0.1", metadata.port)) for _ in range(20)]
    assert call(metadata, "meta-data/instance-id", headers=token(metadata))[0] == 200
    for client in silent:
        client.close()


def test_a_role_that_cannot_be_assumed_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refused(_: str) -> Credentials:
        raise PermissionError("sts:AssumeRole is denied")

    service = Metadata(IDENTITY, refused)
    try:
        path = "meta-data/iam/security-credentials/keyless-dev-server"
        assert call(service, path, headers=token(service))[0] == 404
    finally:
        service.stop()
    assert "sts:AssumeRole is denied" in caplog.text


def test_a_session_that_is_over_before_its_time_is_not_handed_out(issuer: Issuer) -> None:
    over: set[str] = set()
    service = Metadata(IDENTITY, issuer, lambda found: found.access_key_id in over)
    assert service.role_credentials("2.0").access_key_id == "ASIA1"
    assert service.role_credentials("2.0").access_key_id == "ASIA1"
    over.add("ASIA1")
    assert service.role_credentials("2.0").access_key_id == "ASIA2"
    service.stop()


def test_tokens_that_have_ended_are_not_kept(issuer: Issuer) -> None:
    service = Metadata(IDENTITY, issuer)
    with patch("scripts.localcloud.ec2.metadata._now", return_value=0.0):
        for _ in range(3):
            service.new_token(1)
    lasting = service.new_token(60)
    assert list(service._tokens) == [lasting]
    service.stop()
