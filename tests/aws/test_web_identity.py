"""A job's token and a role's credentials, against an issuer and an STS of this test."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import (
    AssumeRoleDenied,
    TokenRefused,
    assume_role_with_web_identity,
    github_token,
    runner_token,
)
from scripts.console import UserError

ROLE = "arn:aws:iam::123456789012:role/keyless-dev-train"
Answer = tuple[int, str, bytes]


@dataclass
class Server:
    """An HTTPS server on loopback whose answers a test writes; it stands for the local cloud."""

    home: Path
    issuer_key: str = "issuer-secret"
    port: int = 0
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[str, str, bytes], Answer] = lambda method, path, body: (404, "", b"")

    @property
    def ca_bundle(self) -> Path:
        return self.home / "ca.pem"

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def self_signed(home: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (home / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (home / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextmanager
def serving(cloud: Server) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            cloud.seen.append((self.command, self.path, dict(self.headers.items()), body))
            status, kind, content = cloud.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = respond  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cloud.ca_bundle, cloud.home / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    cloud.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Server]:
    self_signed(tmp_path)
    made = Server(tmp_path)
    with serving(made):
        yield made


def issuer(cloud: Server) -> Callable[[str, str, bytes], Answer]:
    def answer(method: str, path: str, body: bytes) -> Answer:
        if (method, path) == ("POST", "/_github/jobs"):
            given = {"request_url": f"{cloud.endpoint}/_github/token?job=1", "request_token": "t"}
            return 200, "application/json", json.dumps(given).encode()
        return 200, "application/json", json.dumps({"value": "header.claims.signature"}).encode()

    return answer


def test_a_token_is_fetched_as_a_runner_fetches_it(cloud: Server) -> None:
    cloud.answer = issuer(cloud)
    assert github_token(cloud, {"environment": "dev"}) == "header.claims.signature"

    (method, path, headers, body), (then, url, bearer, _) = cloud.seen
    assert (method, path, json.loads(body)) == ("POST", "/_github/jobs", {"environment": "dev"})
    assert headers["Authorization"] == "Bearer issuer-secret"
    assert then == "GET"
    assert parse_qs(urlsplit(url).query) == {"job": ["1"], "audience": ["sts.amazonaws.com"]}
    assert bearer["Authorization"] == "bearer t"


def test_another_audience_can_be_asked_for(cloud: Server) -> None:
    cloud.answer = issuer(cloud)
    github_token(cloud, audience="https://example.org/a b")
    assert parse_qs(urlsplit(cloud.seen[1][1]).query)["audience"] == ["https://example.org/a b"]


def test_a_proxy_of_the_caller_is_not_asked(cloud: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    cloud.answer = issuer(cloud)
    assert github_token(cloud, {}) == "header.claims.signature"


def test_the_issuers_refusal_is_told_in_its_own_words(cloud: Server) -> None:
    cloud.answer = lambda method, path, body: (403, "text/plain", b"a fork gets no token")
    with pytest.raises(TokenRefused, match=r"403 from 127\.0\.0\.1:.*: a fork gets no token"):
        github_token(cloud, {})


def test_a_server_with_another_certificate_is_not_trusted(cloud: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    self_signed(other)
    cloud.answer = issuer(cloud)
    environment = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{cloud.endpoint}/t",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
    }
    assert runner_token(environment, ca_bundle=cloud.ca_bundle)
    with pytest.raises(UserError, match="CERTIFICATE_VERIFY_FAILED"):
        runner_token(environment, ca_bundle=other / "ca.pem")


@pytest.mark.parametrize(
    "missing", ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
)
def test_outside_a_job_the_missing_permission_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://127.0.0.1:1/")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")
    monkeypatch.delenv(missing)
    with pytest.raises(UserError, match=missing) as raised:
        github_token(None)
    assert "id-token: write" in raised.value.fix


def test_an_issuer_that_does_not_answer_is_named_with_what_fixes_it(
    cloud: Server, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="did not answer") as raised:
        github_token(Server(cloud.home, port=1), {})
    assert raised.value.fix == "keyless doctor"


GRANTED = b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
REFUSED = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
<Type>Sender</Type><Code>AccessDenied</Code>
<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>
<RequestId>1</RequestId></ErrorResponse>"""


def test_a_token_becomes_credentials_by_an_unsigned_request(
    cloud: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPOISON")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "poison")
    cloud.answer = lambda method, path, body: (200, "text/xml", GRANTED)
    credentials = assume_role_with_web_identity(
        cloud.endpoint, cloud.ca_bundle, ROLE, "jwt", "session", 900
    )
    assert credentials == Credentials("ASIA1", "s", "t", datetime(2030, 1, 1, tzinfo=UTC))
    _, _, headers, body = cloud.seen[0]
    assert "Authorization" not in headers
    sent = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    assert sent == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "session",
        "WebIdentityToken": "jwt",
        "DurationSeconds": "900",
    }


def test_a_refusal_carries_the_code_and_message_of_aws(cloud: Server) -> None:
    cloud.answer = lambda method, path, body: (403, "text/xml", REFUSED)
    with pytest.raises(AssumeRoleDenied) as raised:
        assume_role_with_web_identity(cloud.endpoint, cloud.ca_bundle, ROLE, "jwt", "session")
    assert raised.value.code == "AccessDenied"
    assert raised.value.message == "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    assert ROLE in str(raised.value)


def test_credentials_are_named_as_sdks_read_them() -> None:
    assert Credentials("A", "S").environment() == {
        "AWS_ACCESS_KEY_ID": "A",
        "AWS_SECRET_ACCESS_KEY": "S",
    }
    assert Credentials("A", "S", "T").environment()["AWS_SESSION_TOKEN"] == "T"


def test_a_secret_does_not_show_in_a_representation() -> None:
    shown = repr(Credentials("AKIA", "the-secret", "the-token"))
    assert "the-secret" not in shown
    assert "the-token" not in shown
