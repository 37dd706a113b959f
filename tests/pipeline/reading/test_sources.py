import http.server
import io
import json
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pipeline.errors import InputError
from pipeline.outputs import Platform
from pipeline.reading import sources
from pipeline.reading.files import DataFile
from pipeline.reading.reader import read_table
from pipeline.settings import without_secrets
from pipeline.step import Workspace
from pipeline.storage import BucketStore
from scripts.localcloud.authority import Authority

pytestmark = pytest.mark.slow

Fetch = Callable[..., bytes]


@pytest.fixture
def fetch(workspace: Workspace, tmp_path: Path) -> Fetch:
    """The bytes of the one file that a source names."""
    (tmp_path / "fetched").mkdir()

    def run(source: str, place: Workspace = workspace) -> bytes:
        return _one(sources.fetch(place, source, tmp_path / "fetched")).path.read_bytes()

    return run


def _one(files: list[DataFile]) -> DataFile:
    (file,) = files
    return file


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "iris", "wine"])
def test_a_data_set_of_scikit_learn_has_its_target_under_the_settings_name(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    files = sources.fetch(workspace, f"sklearn:{name}", tmp_path)
    table = read_table(files, workspace.settings.data.format(), ["diagnosis"])
    assert "diagnosis" in table.schema.names
    if name == "breast_cancer":
        assert set(table["diagnosis"].to_pylist()) == {"malignant", "benign"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sklearn:titanic", "sklearn: has breast_cancer"),
        ("nowhere.csv", "No such file"),
        ("file:///nowhere/data.csv", "No such file"),
        ("package:no_such_package/x.csv", "no installed package 'no_such_package'"),
        ("package:sklearn/nowhere.csv", "has a file 'nowhere.csv'"),
        ("kaggle:owner/dataset", "kaggle:OWNER/DATASET/FILE.csv"),
        ("kaggle:owner/dataset/file.csv", "needs a platform"),
        ("s3://bucket/folder/", "names no single object"),
        ("ftp://host/x.csv", "write a source as a path, https://"),
    ],
)
def test_a_source_that_is_not_there_is_refused(fetch: Fetch, source: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        fetch(source)


def test_a_file_of_an_installed_package_is_a_source(fetch: Fetch) -> None:
    assert fetch("package:sklearn/datasets/data/iris.csv").startswith(b"150,4,setosa")


def test_an_object_in_s3_is_a_source(fetch: Fetch, aws: Platform) -> None:
    bucket = aws.artifact_store.bucket
    boto3.client("s3").put_object(Bucket=bucket, Key="x/y.csv", Body=b"a\n1\n")
    assert fetch(f"s3://{bucket}/x/y.csv") == b"a\n1\n"
    with pytest.raises(InputError, match="does not exist"):
        fetch(f"s3://{bucket}/x/z.csv")


@pytest.mark.parametrize("named", ["data/inputs/june.csv", "s3://bucket/data/inputs/june.csv"])
@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_a_batch_that_is_nowhere_is_refused_as_a_name_that_may_be_wrong(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, code: str
) -> None:
    """S3 denies what is not there to who may not list."""
    client = boto3.client("s3", aws_access_key_id="testing", aws_secret_access_key="testing")

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": code}}, "GetObject")

    monkeypatch.setattr(client, "get_object", refuse)
    monkeypatch.setattr(Workspace, "store", BucketStore("bucket", client))
    said = r"s3://bucket/data/inputs/june\.csv does not exist"
    with pytest.raises(InputError, match=said) as caught:
        sources.fetch_or_stored(workspace, named, tmp_path)
    assert ("no file data/inputs/june.csv here" in str(caught.value)) != named.startswith("s3:")


def test_a_batch_that_is_in_no_folder_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file data/inputs/june\.csv here .* does not exist"):
        sources.fetch_or_stored(workspace, "data/inputs/june.csv", tmp_path)


@pytest.mark.parametrize("named", ["nope.csv", "mine/nope.csv", "/nowhere/nope.csv"])
def test_a_name_that_is_no_file_and_no_key_is_not_asked_of_s3(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """A client that may not be called: what S3 denies would stand in the message, ARN and all."""
    client = boto3.client("s3", aws_access_key_id="testing", aws_secret_access_key="testing")
    monkeypatch.setattr(client, "get_object", lambda **_: pytest.fail("S3 was asked"))
    monkeypatch.setattr(Workspace, "store", BucketStore("bucket", client))
    with pytest.raises(InputError) as caught:
        sources.fetch_or_stored(workspace, named, tmp_path)
    assert str(caught.value) == f"there is no file {named} here or beside the settings"


def test_a_path_is_looked_for_beside_the_settings(workspace: Workspace, fetch: Fetch) -> None:
    beside = workspace.settings_file.with_name("be side.csv")
    beside.write_text("a\n1\n")
    assert fetch("be side.csv") == fetch(f"file://{beside}") == b"a\n1\n"
    assert fetch("be*.csv") == b"a\n1\n"


class _Kaggle:
    """Answers as the Kaggle API does, and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[urllib.request.Request] = []

    def __call__(self, request: urllib.request.Request, **_: Any) -> io.BytesIO:
        self.requests.append(request)
        return io.BytesIO(self.answer)


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch) -> _Kaggle:
    server = _Kaggle(b"a\n1\n")
    monkeypatch.setattr(urllib.request, "urlopen", server)
    return server


def _secret(platform: Platform, value: str) -> Platform:
    arn = boto3.client("secretsmanager").create_secret(Name="kaggle", SecretString=value)["ARN"]
    secrets = platform.secrets.model_copy(update={"third_party_arn": arn})
    return platform.model_copy(update={"secrets": secrets})


def test_the_kaggle_key_comes_from_secrets_manager_alone(
    workspace: Workspace,
    fetch: Fetch,
    aws: Platform,
    kaggle: _Kaggle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "wrong")
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    platform = _secret(aws, json.dumps({"username": "me", "key": "k"}))
    assert (
        fetch("kaggle:owner/dataset/file.csv", replace(workspace, platform=platform)) == b"a\n1\n"
    )
    assert kaggle.requests[0].full_url.endswith("/download/owner/dataset/file.csv")
    assert kaggle.requests[0].get_header("Authorization") == "Basic bWU6aw=="


def test_a_zipped_answer_is_unpacked(
    workspace: Workspace, tmp_path: Path, aws: Platform, kaggle: _Kaggle
) -> None:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("file.csv", "b\n2\n")
    kaggle.answer = buffer.getvalue()
    platform = _secret(aws, json.dumps({"username": "me", "key": "k"}))
    place = replace(workspace, platform=platform)
    files = sources.fetch(place, "kaggle:owner/dataset/file.csv", tmp_path)
    table = read_table(files, place.settings.data.format(), [])
    assert table.to_pylist() == [{"b": "2"}]


@pytest.mark.parametrize("value", ["", "not json", "[]", '{"username": "me"}'])
def test_a_secret_that_is_no_kaggle_key_is_refused_without_showing_it(
    workspace: Workspace, fetch: Fetch, aws: Platform, kaggle: _Kaggle, value: str
) -> None:
    platform = _secret(aws, value or "x")
    with pytest.raises(InputError, match="is no Kaggle key") as caught:
        fetch("kaggle:owner/dataset/file.csv", replace(workspace, platform=platform))
    assert not value or value not in str(caught.value)
    assert kaggle.requests == []


def test_the_kaggle_key_is_not_sent_on_with_a_redirection(
    workspace: Workspace, fetch: Fetch, aws: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(200 if self.path == "/storage" else 302)
            self.send_header("Location", "/storage")
            self.end_headers()
            self.wfile.write(b"a\n1\n")

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - of the base
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(sources, "_KAGGLE_API", f"http://127.0.0.1:{server.server_port}")
        platform = _secret(aws, json.dumps({"username": "me", "key": "k"}))
        found = fetch("kaggle:owner/dataset/file.csv", replace(workspace, platform=platform))
        server.shutdown()
        thread.join()
    assert found == b"a\n1\n"
    assert seen == [("/owner/dataset/file.csv", "Basic bWU6aw=="), ("/storage", None)]


@pytest.fixture
def https_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server on loopback under a certificate authority that exists for this test alone."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "rows.csv").write_text("a\n1\n")
    (tmp_path / "site" / "closed.csv").write_text("c\n3\n")
    (tmp_path / "site" / "my rows é.csv").write_text("b\n2\n")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "site"))

        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "Basic bWU6cEBzcw=="
            if self.path == "/away.csv":
                self.send_response(302)
                self.send_header("Location", "/closed.csv")
                self.end_headers()
            elif self.path == "/closed.csv" and not allowed:
                self.send_error(401)
            else:
                super().do_GET()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - of the base
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", authority.bundle
        server.shutdown()
        thread.join()


def test_an_https_address_is_a_source(
    fetch: Fetch, https_server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bundle = https_server
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert fetch(f"{address}/rows.csv?version=1") == b"a\n1\n"
    assert fetch(f"{address}/my rows é.csv") == fetch(f"{address}/my%20rows%20%C3%A9.csv")
    with pytest.raises(InputError, match=r"nowhere\.csv cannot be downloaded: .*404") as caught:
        fetch(f"{address}/nowhere.csv?token=secret")
    assert "secret" not in str(caught.value)


def test_user_and_password_of_an_address_go_to_its_host_alone(
    fetch: Fetch, https_server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bundle = https_server
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with pytest.raises(InputError, match=r"closed\.csv cannot be downloaded: .*401"):
        fetch(f"{address}/closed.csv")
    known = address.replace("https://", "https://me:p%40ss@")
    assert fetch(f"{known}/closed.csv") == b"c\n3\n"
    # Where it is sent on to may be another host.
    with pytest.raises(InputError, match=r"away\.csv cannot be downloaded: .*401") as caught:
        fetch(f"{known}/away.csv")
    assert "ss@" not in str(caught.value)


@pytest.mark.parametrize("password", ["p/w", "p#w", "p?w", "/w", "p:/w"])
def test_a_password_that_is_not_escaped_is_refused_without_showing_it(
    fetch: Fetch, password: str
) -> None:
    with pytest.raises(InputError, match=r"https://host/x\.csv .* %2F for /") as caught:
        fetch(f"https://me:{password}@host/x.csv")
    assert "w@" not in str(caught.value)
    assert without_secrets(f"http://me:{password}@host/x.csv?sig=1") == "http://host/x.csv"


def test_an_address_without_secrets_stays_as_it_is() -> None:
    for address in ("https://h:8443/@scope/x.csv", "https://[::1]:8443/x", "s3://b/k?x@y"):
        assert without_secrets(address) == address


def test_an_https_address_under_an_unknown_authority_is_refused(
    fetch: Fetch, https_server: tuple[str, Path]
) -> None:
    with pytest.raises(InputError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(f"{https_server[0]}/rows.csv")
