"""Who may send a request at all: signatures, tokens, times, presigned links, forged headers."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.exceptions import ClientError

from scripts.aws.credentials import Credentials
from scripts.localcloud.access.signatures import canonical_query
from scripts.localcloud.cloud import LocalCloud
from tests.localcloud.clients import BUCKET, Account, code_in, fetch, link

pytestmark = pytest.mark.usefixtures("bucket")
# Service, what is sent, and how the service words a refusal.
EVERY_SERVICE = [
    "autoscaling",
    "cloudtrail",
    "cloudwatch",
    "ec2",
    "events",
    "iam",
    "kms",
    "logs",
    "rds",
    "s3",
    "secretsmanager",
    "sns",
    "ssm",
    "sts",
]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoscaling": ("describe_auto_scaling_groups", {}),
    "cloudtrail": ("describe_trails", {}),
    "cloudwatch": ("describe_alarms", {}),
    "ec2": ("describe_vpcs", {}),
    "events": ("list_rules", {}),
    "iam": ("list_roles", {}),
    "kms": ("list_keys", {}),
    "logs": ("describe_log_groups", {}),
    "rds": ("describe_db_instances", {}),
    "s3": ("list_buckets", {}),
    "secretsmanager": ("list_secrets", {}),
    "sns": ("list_topics", {}),
    "ssm": ("describe_parameters", {}),
    "sts": ("get_caller_identity", {}),
}


def call(account: Account, service: str, credentials: Credentials) -> Any:
    name, arguments = CALLS[service]
    return getattr(account.client(service, credentials), name)(**arguments)


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def changed(credentials: Credentials, **values: Any) -> Credentials:
    return Credentials(
        **{
            "access_key_id": credentials.access_key_id,
            "secret_access_key": credentials.secret_access_key,
            "session_token": credentials.session_token,
            **values,
        }
    )


UNKNOWN_KEY = {
    "s3": "InvalidAccessKeyId",
    "ec2": "AuthFailure",
    "json": "UnrecognizedClientException",
    "query": "InvalidClientTokenId",
}
PROTOCOL = {
    "s3": "s3",
    "ec2": "ec2",
    "cloudtrail": "json",
    "cloudwatch": "json",
    "events": "json",
    "kms": "json",
    "logs": "json",
    "secretsmanager": "json",
    "ssm": "json",
}


@pytest.mark.parametrize("service", EVERY_SERVICE)
@pytest.mark.parametrize("key", ["test", "123456789012", "000000000000", "AKIAIOSFODNN7EXAMPLE"])
def test_no_key_is_built_in(account: Account, service: str, key: str) -> None:
    with pytest.raises(ClientError) as refused:
        call(account, service, Credentials(key, key))
    expected = UNKNOWN_KEY[PROTOCOL.get(service, "query")]
    # CloudWatch's CBOR protocol also tells the code of its query protocol.
    assert code_of(refused) in {expected, "InvalidClientTokenId"}


@pytest.mark.parametrize("service", EVERY_SERVICE)
def test_an_unsigned_request_is_refused_by_every_service(account: Account, service: str) -> None:
    name, arguments = CALLS[service]
    with pytest.raises(ClientError) as refused:
        getattr(account.unsigned(service), name)(**arguments)
    codes = {"AccessDenied"} if service == "s3" else {
        "MissingAuthenticationToken", "MissingAuthenticationTokenException"}  # fmt: skip
    assert code_of(refused) in codes


@pytest.mark.parametrize(
    ("service", "operation"),
    [("scheduler", "list_schedules"), ("budgets", "describe_budgets"), ("elbv2", "describe_rules")],
)
def test_services_of_other_protocols_refuse_unsigned_requests_too(
    account: Account, service: str, operation: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(account.unsigned(service), operation)()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 403}


def test_an_empty_key_is_refused(account: Account) -> None:
    answer = requests.get(
        f"{account.cloud.endpoint}/{BUCKET}/b.txt",
        headers={
            "Authorization": "AWS4-HMAC-SHA256 Credential=/20260101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host, Signature=00",
            "x-amz-date": "20260101T000000Z",
        },
        verify=str(account.cloud.ca_bundle),
        timeout=10,
    )
    assert answer.status_code == 403


SIGNATURE = {
    "s3": "SignatureDoesNotMatch",
    "ec2": "AuthFailure",
    "json": "InvalidSignatureException",
    "query": "SignatureDoesNotMatch",
}


@pytest.mark.parametrize("service", EVERY_SERVICE)
def test_a_wrong_secret_is_refused(account: Account, reader: Credentials, service: str) -> None:
    with pytest.raises(ClientError) as refused:
        call(account, service, changed(reader, secret_access_key="wrong"))
    expected = SIGNATURE[PROTOCOL.get(service, "query")]
    assert code_of(refused) in {expected, "SignatureDoesNotMatch"}


@pytest.mark.parametrize("token", [None, "", "foreign", "cut"])
@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("s3", "InvalidToken"),
        ("ec2", "AuthFailure"),
        ("ssm", "UnrecognizedClientException"),
        ("iam", "InvalidClientTokenId"),
    ],
)
def test_a_session_key_needs_its_own_token(
    account: Account, reader: Credentials, service: str, code: str, token: str | None
) -> None:
    if token == "foreign":
        token = account.cloud.administrator.session_token
    elif token == "cut":
        assert reader.session_token is not None
        token = reader.session_token[:-1]
    with pytest.raises(ClientError) as refused:
        call(account, service, changed(reader, session_token=token))
    assert code_of(refused) == code


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("s3", "ExpiredToken"),
        ("ec2", "RequestExpired"),
        ("ssm", "ExpiredTokenException"),
        ("iam", "ExpiredToken"),
    ],
)
def test_an_expired_session_is_refused(
    account: Account, service: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = account.session(f"expired-{service}")
    from scripts.localcloud.access.principals import Session

    real = Session.expired
    later = timedelta(hours=1, seconds=1)
    monkeypatch.setattr(Session, "expired", lambda self, now: real(self, now + later))
    with pytest.raises(ClientError) as refused:
        call(account, service, credentials)
    assert code_of(refused) == code


@pytest.mark.parametrize(
    ("service", "minutes", "code"),
    [
        ("s3", 16, "RequestTimeTooSkewed"),
        ("s3", -16, "RequestTimeTooSkewed"),
        ("iam", 6, "SignatureDoesNotMatch"),
        ("iam", -6, "SignatureDoesNotMatch"),
        ("ec2", 6, "RequestExpired"),
        ("ssm", 6, "InvalidSignatureException"),
    ],
)
def test_a_request_signed_at_another_time_is_refused(
    account: Account,
    clock: Callable[[timedelta], None],
    service: str,
    minutes: int,
    code: str,
) -> None:
    clock(timedelta(minutes=minutes))
    with pytest.raises(ClientError) as refused:
        call(account, service, account.cloud.administrator)
    assert code_of(refused) == code


@pytest.mark.parametrize(("service", "minutes"), [("s3", 14), ("s3", -14), ("iam", 4), ("iam", -4)])
def test_clocks_may_differ_a_little(
    account: Account, clock: Callable[[timedelta], None], service: str, minutes: int
) -> None:
    clock(timedelta(minutes=minutes))
    assert call(account, service, account.cloud.administrator)


def signed(
    account: Account,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    service: str = "s3",
    headers: dict[str, str] | None = None,
    after: Callable[[AWSRequest], None] | None = None,
    credentials: Credentials | None = None,
) -> requests.Response:
    """Send a request signed by hand; `after` changes it behind the signature's back."""
    who = credentials or account.cloud.administrator
    request = AWSRequest(method, account.cloud.endpoint + path, data=body, headers=headers or {})
    keys = BotocoreCredentials(who.access_key_id, who.secret_access_key, who.session_token)
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(keys, service, account.cloud.region).add_auth(request)
    if after is not None:
        after(request)
    return requests.request(
        method,
        str(request.url),
        data=request.data,
        headers=dict(request.headers.items()),
        verify=str(account.cloud.ca_bundle),
        timeout=10,
    )


def test_a_body_exchanged_after_signing_is_refused(account: Account) -> None:
    def exchange(request: AWSRequest) -> None:
        request.data = b"other"

    refused = signed(account, "PUT", f"/{BUCKET}/c", b"first", after=exchange)
    assert (refused.status_code, code_in(refused)) == (400, "XAmzContentSHA256Mismatch")


def test_a_form_exchanged_after_signing_is_refused(account: Account) -> None:
    def exchange(request: AWSRequest) -> None:
        request.data = b"Action=DeleteRole&RoleName=reader&Version=2010-05-08"

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = signed(account, "POST", "/", b"Action=ListRoles&Version=2010-05-08", service="iam",
                     headers=form, after=exchange)  # fmt: skip
    assert (refused.status_code, code_in(refused)) == (403, "SignatureDoesNotMatch")


def test_s3_wants_to_know_the_hash_of_the_body(account: Account) -> None:
    def forget(request: AWSRequest) -> None:
        del request.headers["X-Amz-Content-SHA256"]

    refused = signed(account, "PUT", f"/{BUCKET}/c", b"x", after=forget)
    assert (refused.status_code, code_in(refused)) == (400, "InvalidRequest")


def test_an_unsigned_payload_is_for_s3_alone(account: Account) -> None:
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD",
               "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip
    refused = signed(account, "POST", "/", b"Action=ListRoles&Version=2010-05-08", service="iam",
                     headers=headers)  # fmt: skip
    assert refused.status_code == 403


@pytest.mark.parametrize("name", ["a b+c", "ü/ö", "a%2Fb", "x=1&y=2", "tilde~star*'()", ".hidden"])
def test_keys_with_special_characters_are_signed_as_sdks_sign_them(
    account: Account, name: str
) -> None:
    s3 = account.client("s3")
    s3.put_object(Bucket=BUCKET, Key=name, Body=name.encode())
    assert s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() == name.encode()
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=name)["Contents"]
    assert [entry["Key"] for entry in listed] == [name]
    assert fetch(account, link(account, account.cloud.administrator, params={"Key": name})).ok


def test_the_query_is_signed_in_order_without_its_signature() -> None:
    query = "b=2&X-Amz-Signature=00&a=x%20y&a=%2F&c"
    assert canonical_query(query) == "a=%2F&a=x%20y&b=2&c="


def deny_without_tls(account: Account, name: str) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    }
    account.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


FORGED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Ssl": "on",
    "Forwarded": "proto=https",
    "X-Url-Scheme": "https",
}


@pytest.mark.parametrize("header", [None, *FORGED])
def test_plain_http_cannot_pose_as_tls(account: Account, header: str | None) -> None:
    name = f"tls-only-{(header or 'none').lower()}"
    account.client("s3").create_bucket(Bucket=name)
    account.client("s3").put_object(Bucket=name, Key="k", Body=b"v")
    plain = Account(_Plain(account.cloud))  # type: ignore[arg-type]
    assert plain.client("s3").get_object(Bucket=name, Key="k")["Body"].read() == b"v"
    deny_without_tls(account, name)
    url = plain.client("s3", signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": name, "Key": "k"}
    )
    refused = requests.get(url, headers={header: FORGED[header]} if header else {}, timeout=10)
    assert (refused.status_code, code_in(refused)) == (403, "AccessDenied")
    assert "explicit deny in a resource-based policy" in refused.text
    assert account.client("s3").get_object(Bucket=name, Key="k")["Body"].read() == b"v"


class _Plain:
    """The cloud as a client without TLS sees it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.endpoint = cloud.plain_endpoint
        self.region = cloud.region
        self.ca_bundle = cloud.ca_bundle
        self.administrator = cloud.administrator


def test_a_silent_connection_holds_nobody_up(account: Account) -> None:
    import socket

    port = urlsplit(account.cloud.endpoint).port
    with socket.create_connection(("127.0.0.1", port)):
        began = datetime.now(UTC)
        call(account, "sts", account.cloud.administrator)
        assert datetime.now(UTC) - began < timedelta(seconds=5)


def test_a_large_body_arrives_whole_in_reasonable_time(account: Account) -> None:
    body = bytes(range(256)) * 4096 * 20
    s3 = account.client("s3")
    s3.put_object(Bucket=BUCKET, Key="large", Body=body)
    received = s3.get_object(Bucket=BUCKET, Key="large")["Body"].read()
    assert hashlib.sha256(received).digest() == hashlib.sha256(body).digest()


def test_a_client_that_waits_for_100_continue_gets_it(account: Account) -> None:
    import ssl
    from http.client import HTTPSConnection

    url = link(account, account.cloud.administrator, method="put_object")
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=str(account.cloud.ca_bundle))
    connection = HTTPSConnection("127.0.0.1", parts.port, context=context, timeout=10)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}", skip_accept_encoding=True)
    connection.putheader("Content-Length", "5")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    first = connection.sock.recv(1024)
    assert first.startswith(b"HTTP/1.1 100 Continue")
    connection.send(b"hello")
    assert connection.getresponse().status == 200
    connection.close()
