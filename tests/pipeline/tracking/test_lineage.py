import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jwt
import pytest

from pipeline.tracking import lineage


def _repository(path: Path) -> str:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = ["git", "-C", str(path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (path / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "-m", "x")
    commit = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "--detach", commit)
    return commit


def test_the_commit_is_found_in_a_detached_checkout(tmp_path: Path) -> None:
    assert lineage.git_commit({}, tmp_path) is None
    commit = _repository(tmp_path)
    assert lineage.git_commit({}, tmp_path) == commit


def test_without_a_repository_the_runner_tells_the_commit(tmp_path: Path) -> None:
    assert lineage.git_commit({"GITHUB_SHA": "abc"}, tmp_path) == "abc"


def test_a_change_that_was_not_committed_is_reported(tmp_path: Path) -> None:
    assert lineage.git_dirty(tmp_path) is None
    _repository(tmp_path)
    assert lineage.git_dirty(tmp_path) is False
    (tmp_path / "file").write_text("2")
    assert lineage.git_dirty(tmp_path) is True


def test_the_digest_of_the_code_follows_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = lineage.code_sha256(tmp_path)
    (tmp_path / "b.py").write_text("")
    second = lineage.code_sha256(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert len({first, second, lineage.code_sha256(tmp_path)}) == 2


def test_a_model_is_pinned_as_the_lock_file_pins_it(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        "numpy==1.0 ; python_full_version < '3'\n"
        "numpy==9.9 ; python_full_version >= '3' \\\n    --hash=sha256:00\n"
        "mlflow==8.8 \\\n    --hash=sha256:00\n    # via something\n"
    )
    pins = lineage.pip_requirements(lock)
    assert "numpy==9.9" in pins
    assert "mlflow==8.8" in pins
    assert len(pins) == len(lineage.MODEL_LIBRARIES)
    assert all("==" in pin for pin in pins)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """GitHub's token endpoint; the answer is what it was asked."""
    asked: list[str] = []
    token = jwt.encode({"sub": "repo:o/r:ref:refs/heads/main", "actor": "octocat"}, "k" * 32)

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            body = json.dumps({"value": token}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/token?api-version=2"
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", address)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer-of-the-job")
    lineage.oidc_claims.cache_clear()
    yield asked
    lineage.oidc_claims.cache_clear()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_subject_is_read_from_a_token_that_aws_would_not_accept(runner: list[str]) -> None:
    tags = lineage.identity_tags({})
    assert tags == {
        "keyless.oidc_subject": "repo:o/r:ref:refs/heads/main",
        "keyless.actor": "octocat",
    }
    assert runner == ["/token?api-version=2&audience=keyless-lineage bearer bearer-of-the-job"]


def test_a_subject_that_the_runner_names_comes_first(runner: list[str]) -> None:
    tags = lineage.identity_tags({"KEYLESS_OIDC_SUBJECT": "repo:o/r:environment:dev"})
    assert tags["keyless.oidc_subject"] == "repo:o/r:environment:dev"


def test_outside_of_github_there_is_no_subject() -> None:
    lineage.oidc_claims.cache_clear()
    assert lineage.identity_tags({}) == {}
