import http.server
import io
import json
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest

from pipeline.data import sources
from pipeline.data.sources import load_raw, read_frame
from pipeline.errors import InputError
from pipeline.outputs import Platform
from pipeline.step import Workspace
from scripts.localcloud.authority import Authority


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "iris", "wine"])
def test_a_data_set_of_scikit_learn_has_its_target_under_the_settings_name(
    workspace: Workspace, name: str
) -> None:
    raw = load_raw(workspace, f"sklearn:{name}")
    assert "diagnosis" in read_frame(raw, source=name).columns


def test_classes_are_spelled_out(workspace: Workspace) -> None:
    frame = read_frame(load_raw(workspace, "sklearn:breast_cancer"), source="test")
    assert set(frame["diagnosis"]) == {"malignant", "benign"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sklearn:titanic", "sklearn: has breast_cancer"),
        ("nowhere.csv", "No such file"),
        ("data.xlsx", "ends in .csv or .parquet"),
        ("package:no_such_package/x.csv", "no installed package 'no_such_package'"),
        ("package:sklearn/nowhere.csv", "has a file 'nowhere.csv'"),
        ("kaggle:owner/dataset", "kaggle:OWNER/DATASET/FILE.csv"),
        ("kaggle:owner/dataset/file.csv", "needs a platform"),
    ],
)
def test_a_source_that_is_not_there_is_refused(
    workspace: Workspace, source: str, message: str
) -> None:
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        load_raw(workspace, source)


def test_a_file_of_an_installed_package_is_a_source(workspace: Workspace) -> None:
    raw = load_raw(workspace, "package:sklearn/datasets/data/iris.csv")
    assert raw.data.startswith(b"150,4,setosa")


def test_an_object_in_s3_is_a_source(workspace: Workspace, aws: Platform) -> None:
    boto3.client("s3").put_object(Bucket=aws.artifact_store.bucket, Key="x/y.csv", Body=b"a\n1\n")
    raw = load_raw(workspace, f"s3://{aws.artifact_store.bucket}/x/y.csv")
    assert raw.data == b"a\n1\n"


def test_parquet_is_read_and_anything_else_by_that_name_refused(workspace: Workspace) -> None:
    buffer = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(buffer)
    path = workspace.settings_file.with_name("x.parquet")
    path.write_bytes(buffer.getvalue())
    assert read_frame(load_raw(workspace, str(path)), source="x")["a"].tolist() == [1]
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="x is not Parquet"):
        read_frame(load_raw(workspace, str(path)), source="x")


def test_a_path_is_looked_for_beside_the_settings(workspace: Workspace) -> None:
    workspace.settings_file.with_name("beside.csv").write_text("a\n1\n")
    assert load_raw(workspace, "beside.csv").data == b"a\n1\n"


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
    workspace: Workspace, aws: Platform, kaggle: _Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "wrong")
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    platform = _secret(aws, json.dumps({"username": "me", "key": "k"}))
    raw = load_raw(replace(workspace, platform=platform), "kaggle:owner/dataset/file.csv")
    assert raw.data == b"a\n1\n"
    assert kaggle.requests[0].full_url.endswith("/download/owner/dataset/file.csv")
    assert kaggle.requests[0].get_header("Authorization") == "Basic bWU6aw=="


def test_a_zipped_answer_is_unpacked(workspace: Workspace, aws: Platform, kaggle: _Kaggle) -> None:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("file.csv", "b\n2\n")
    kaggle.answer = buffer.getvalue()
    platform = _secret(aws, json.dumps({"username": "me", "key": "k"}))
    raw = load_raw(replace(workspace, platform=platform), "kaggle:owner/dataset/file.csv")
    assert raw.data == b"b\n2\n"


@pytest.mark.parametrize("value", ["", "not json", "[]", '{"username": "me"}'])
def test_a_secret_that_is_no_kaggle_key_is_refused_without_showing_it(
    workspace: Workspace, aws: Platform, kaggle: _Kaggle, value: str
) -> None:
    platform = _secret(aws, value or "x")
    with pytest.raises(InputError, match="is no Kaggle key") as caught:
        load_raw(replace(workspace, platform=platform), "kaggle:owner/dataset/file.csv")
    assert not value or value not in str(caught.value)
    assert kaggle.requests == []


def test_the_kaggle_key_is_not_sent_on_with_a_redirection(
    workspace: Workspace, aws: Platform, monkeypatch: pytest.MonkeyPatch
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
        raw = load_raw(replace(workspace, platform=platform), "kaggle:owner/dataset/file.csv")
        server.shutdown()
        thread.join()
    assert raw.data == b"a\n1\n"
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

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "site"))

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
    workspace: Workspace, https_server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bundle = https_server
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    raw = load_raw(workspace, f"{address}/rows.csv?version=1")
    assert (raw.data, raw.kind) == (b"a\n1\n", "csv")
    with pytest.raises(InputError, match=r"nowhere\.csv cannot be downloaded: .*404"):
        load_raw(workspace, f"{address}/nowhere.csv")


def test_an_https_address_under_an_unknown_authority_is_refused(
    workspace: Workspace, https_server: tuple[str, Path]
) -> None:
    with pytest.raises(InputError, match="CERTIFICATE_VERIFY_FAILED"):
        load_raw(workspace, f"{https_server[0]}/rows.csv")
