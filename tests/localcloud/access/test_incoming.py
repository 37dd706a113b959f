"""One request, one meaning: what is authorised is what moto carries out."""

import gzip
import io
import json
from dataclasses import replace
from typing import Any

import pytest
import requests
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from scripts.aws.credentials import Credentials
from scripts.iam.requests import Reading, rebuilt
from scripts.iam.requests import read as understand
from scripts.iam.requests.wire.rebuild import Rebuilt
from scripts.localcloud.access.context import Connection
from scripts.localcloud.access.errors import Refusal
from scripts.localcloud.access.incoming import Incoming, canonical
from scripts.localcloud.emulator import emulator, patches
from tests.localcloud.clients import Account, statement

JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module", autouse=True)
def things(account: Account) -> None:
    ssm = account.client("ssm")
    ssm.put_parameter(Name="/public", Value="shown", Type="String")
    ssm.put_parameter(Name="/secret", Value="hidden", Type="String")
    for name in ("public-things", "secret-things"):
        account.client("s3").create_bucket(Bucket=name)
        account.client("s3").put_object(Bucket=name, Key="key", Body=name.encode())


@pytest.fixture(scope="module")
def reader(account: Account) -> Credentials:
    return account.session(
        "public-reader",
        statement(["ssm:GetParameter", "ssm:PutParameter"], "arn:aws:ssm:*:*:parameter/public"),
        statement("s3:GetObject", "arn:aws:s3:::public-things/*"),
        statement("iam:ListRoles"),
    )


def send(
    account: Account,
    credentials: Credentials,
    body: bytes,
    headers: dict[str, str],
    *,
    path: str = "/",
    method: str = "POST",
    service: str = "ssm",
) -> requests.Response:
    """Send any request, signed with everything that is in it."""
    request = AWSRequest(method, account.cloud.endpoint + path, data=body, headers=headers)
    keys = BotocoreCredentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(keys, service, account.cloud.region).add_auth(request)
    return requests.request(
        method,
        str(request.url),
        data=body,
        headers=dict(request.headers.items()),
        verify=str(account.cloud.ca_bundle),
        timeout=10,
    )


def get_parameter(**headers: str) -> dict[str, str]:
    return {"X-Amz-Target": "AmazonSSM.GetParameter", "Content-Type": JSON, **headers}


PLAIN = json.dumps({"Name": "/public"}).encode()


def write_public(account: Account, credentials: Credentials, hidden: str) -> requests.Response:
    """Write to /public, with other parameters hidden in the text of the request."""
    body = {"Name": "/public", "Value": "shown", "Overwrite": True, "Description": hidden}
    headers = {"X-Amz-Target": "AmazonSSM.PutParameter", "Content-Type": JSON}
    return send(account, credentials, json.dumps(body).encode(), headers)


def values(account: Account) -> list[str]:
    ssm = account.client("ssm")
    return [ssm.get_parameter(Name=n)["Parameter"]["Value"] for n in ("/public", "/secret")]


def test_a_parameter_in_the_json_text_does_not_override_the_authorised_one(
    account: Account, reader: Credentials
) -> None:
    assert write_public(account, reader, "&Name=/secret&").ok
    assert values(account) == ["shown", "hidden"]


def test_an_operation_in_the_json_text_is_not_carried_out(
    account: Account, reader: Credentials
) -> None:
    assert write_public(account, reader, "&Action=DeleteParameter&").ok
    assert values(account) == ["shown", "hidden"]


def test_moto_would_take_the_parameter_in_the_text_of_the_clients_own_request(
    account: Account, reader: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason why moto gets a request that is written anew."""

    def as_the_client_sent_it(reading: Reading, _: object = None) -> Rebuilt:
        request = reading.request
        headers = {"x-amz-target": request.headers["x-amz-target"], "content-type": JSON}
        return Rebuilt("POST", "/", (), headers, request.body)

    with monkeypatch.context() as patched:
        patched.setattr(emulator, "rebuilt", as_the_client_sent_it)
        assert write_public(account, reader, "&Name=/secret&").ok
    assert values(account) == ["shown", "shown"]
    account.client("ssm").put_parameter(
        Name="/secret", Value="hidden", Type="String", Overwrite=True
    )


def test_an_operation_that_moto_reads_otherwise_is_refused(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = account.cloud.emulator._environ

    def marked_otherwise(*arguments: Any) -> dict[str, Any]:
        return {**real(*arguments), patches.OPERATION: "GetParameter"}

    monkeypatch.setattr(account.cloud.emulator, "_environ", marked_otherwise)
    refused = write_public(account, account.cloud.administrator, "")
    assert refused.json()["__type"] == "LocalCloudAmbiguousRequest"


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/?Action=DeleteParameter", get_parameter(), PLAIN),
        ("/", {**get_parameter(), "Content-Type": FORM}, b"Action=DeleteParameter"),
        ("/?Action=ListRoles", {"Content-Type": FORM}, b"Action=ListUsers&Version=2010-05-08"),
        ("/", {"Content-Type": FORM}, b"Action=ListRoles&Action=ListUsers&Version=2010-05-08"),
        ("/", {**get_parameter(), "Content-Encoding": "br"}, PLAIN),
        ("/", {**get_parameter(), "Content-Encoding": "gzip"}, b"not gzip"),
    ],
    ids=["address and target", "form and target", "address and form", "twice", "br", "bad gzip"],
)
def test_a_request_with_two_readings_is_refused(
    account: Account, path: str, headers: dict[str, str], body: bytes
) -> None:
    service = "ssm" if "X-Amz-Target" in headers else "iam"
    answer = send(account, account.cloud.administrator, body, headers, path=path, service=service)
    assert answer.status_code == 400


def test_a_compressed_body_is_authorised_by_its_content(
    account: Account, reader: Credentials
) -> None:
    headers = get_parameter(**{"Content-Encoding": "gzip"})
    shown = send(account, reader, gzip.compress(PLAIN), headers)
    assert shown.json()["Parameter"]["Value"] == "shown"
    secret = gzip.compress(json.dumps({"Name": "/secret"}).encode())
    assert send(account, reader, secret, headers).status_code == 400


def read(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Any:
    incoming = Incoming(method, target, headers, body, Connection("127.0.0.1", secure=True))
    return canonical(incoming, body, {}, "iam", "us-east-1", "123456789012")


def test_the_parameters_of_the_signature_are_not_the_services() -> None:
    signed = "/?Action=ListRoles&X-Amz-Signature=0&X-Amz-Expires=60&X-Amz-Security-Token=t"
    assert read("GET", signed, {}).query == (("Action", "ListRoles"),)


def test_a_header_sent_as_a_parameter_counts_as_header() -> None:
    request = read("PUT", "/?x-amz-acl=public-read", {})
    assert request.headers["x-amz-acl"] == "public-read"
    assert request.query == ()
    with pytest.raises(Refusal):
        read("PUT", "/?x-amz-acl=public-read", {"x-amz-acl": "private"})


@pytest.mark.parametrize(
    ("bucket", "path"),
    [("secret-things", "/public-things/key"), ("public-things", "/secret-things/key")],
)
def test_a_bucket_in_the_host_name_is_refused(
    account: Account, reader: Credentials, bucket: str, path: str
) -> None:
    host = {"Host": f"{bucket}.s3.amazonaws.com"}
    answer = send(account, reader, b"", host, path=path, method="GET", service="s3")
    assert answer.status_code == 400
    assert "LocalCloudVirtualHost" in answer.text


def test_moto_would_take_the_bucket_from_the_host_name(account: Account) -> None:
    """The reason why the gateway does not hand on the name that the client used."""
    request = replace(read("GET", "/public-things/key", {}), service="s3")
    cloud = account.cloud.emulator
    reading = understand(request)
    environ = cloud._environ(rebuilt(reading), reading, "AKIA")
    environ |= {"HTTP_HOST": "secret-things.s3.amazonaws.com", "RAW_URI": "/key"}
    environ["PATH_INFO"] = "/key"
    body = io.BytesIO()
    for part in cloud._application(request)(environ, lambda *_: None):
        body.write(part)
    assert body.getvalue() == b"secret-things"


@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/data.json", "/latest/meta-data/"])
def test_motos_own_addresses_are_closed_even_to_the_administrator(
    account: Account, path: str
) -> None:
    answer = send(account, account.cloud.administrator, b"", {}, path=path, method="GET",
                  service="s3")  # fmt: skip
    assert answer.status_code == 403
    assert "LocalCloudReservedPath" in answer.text


def test_an_account_of_the_clients_choice_is_ignored(account: Account) -> None:
    answer = send(
        account,
        account.cloud.administrator,
        b"Action=ListRoles&Version=2010-05-08",
        {"Content-Type": FORM, "x-moto-account-id": "123456789012"},
        service="iam",
    )
    assert f"arn:aws:iam::{account.cloud.account_id}:role/public-reader" in answer.text
