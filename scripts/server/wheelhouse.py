"""The servers' packages: their lock files, folders of wheels, and their upload."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.files import private_folder, write_whole
from scripts.names import RDS_CERTIFICATES
from scripts.server import code_wheel

PYTHON = "3.12"
"""What files/install.sh of either server installs from Amazon Linux 2023."""
# Amazon Linux 2023 has glibc 2.34; wheels for any older one run there.
# https://docs.aws.amazon.com/linux/al2023/ug/glibc-gcc-and-binutils.html
GLIBC = range(17, 35)
CERTIFICATES = "rds-ca.pem"
ARCHITECTURES = ("aarch64", "x86_64")
# Long enough for a slow download, short enough not to look hung.
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class House:
    """What one kind of server installs; all packages follow from `packages`.

    `folder` is where it lies below the bucket's wheelhouse prefix.
    """

    name: str
    lock: Path
    packages: tuple[str, ...]
    folder: str = ""
    certificates: bool = False
    code: Path | None = None


MLFLOW = House(
    "MLflow server",
    Path(__file__).with_name("wheelhouse-lock.txt"),
    # What files/launcher.py and files/server/ import or name.
    ("boto3", "httptools", "mlflow", "psycopg2-binary", "uvicorn"),
    certificates=True,
)
SERVING = House(
    "model servers",
    Path(__file__).with_name("serving-lock.txt"),
    # What pipeline/serving and its models' processes import; MLflow is not among it.
    (
        *("boto3", "click", "fastapi", "httptools", "joblib", "numpy", "orjson", "pandas"),
        *("prometheus-client", "pyarrow", "pydantic", "scikit-learn", "scipy", "skops"),
        *("threadpoolctl", "typing-extensions", "uvicorn", "uvloop"),
    ),
    folder="serving/",
    code=Path(__file__).parents[2] / "pipeline",
)
HOUSES = (MLFLOW, SERVING)


@dataclass(frozen=True)
class Pin:
    """One line of a lock file: name, version, environment marker, and hashes (`sha256:...`)."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Target:
    """The machine that is to install: architecture, and Python as `3.12`."""

    architecture: str
    python: str = PYTHON

    @property
    def tag(self) -> str:
        """Short name, for a folder."""
        return f"cp{self.python.replace('.', '')}-{self.architecture}"

    def marker_environment(self) -> dict[str, str]:
        """What environment markers see there.

        https://packaging.python.org/en/latest/specifications/dependency-specifiers/
        """
        return {
            "extra": "",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.architecture,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def pip_options(self) -> list[str]:
        """Options by which pip chooses wheels for that machine rather than for this one."""
        platforms = [f"manylinux_2_{minor}_{self.architecture}" for minor in reversed(GLIBC)]
        platforms += [f"manylinux2014_{self.architecture}"]
        short = self.python.replace(".", "")
        return [
            *(f"--platform={platform}" for platform in platforms),
            f"--python-version={self.python}",
            "--implementation=cp",
            *(f"--abi={abi}" for abi in (f"cp{short}", "abi3", "none")),
            "--only-binary=:all:",
        ]


def read_lock(path: Path) -> list[Pin]:
    """Every pin of a lock file that pip or uv wrote with hashes. Raises UserError."""
    if not path.exists():
        raise UserError(f"{path} is missing", fix="keyless wheelhouse --lock")
    pins = []
    for entry in re.split(r"\n(?=\S)", path.read_text().strip()):
        head, *rest = entry.replace("\\\n", "\n").splitlines()
        spec, _, marker = head.partition(";")
        name, _, version = spec.strip().partition("==")
        hashes = tuple(line.strip().removeprefix("--hash=") for line in rest)
        if not version or not hashes or not all(one.startswith("sha256:") for one in hashes):
            raise UserError(
                f"{path.name}: {head.strip()!r} has no version or no SHA-256 hashes",
                fix="keyless wheelhouse --lock",
                exit_code=2,
            )
        pins.append(Pin(name, version, marker.strip(), hashes))
    return pins


def for_target(pins: Sequence[Pin], target: Target) -> list[Pin]:
    """The pins whose markers hold on the target; pip itself asks the machine that it runs on."""
    from packaging.markers import Marker

    environment = target.marker_environment()
    return [pin for pin in pins if not pin.marker or Marker(pin.marker).evaluate(environment)]


def lock(project: Path, house: House) -> None:
    """Resolve a house's packages within the run lock, for every platform, without addresses.

    Raises UserError with uv's words.
    """
    command = [str(Path(sys.prefix, "bin", "uv")), "pip", "compile", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet"]
    command += ["--no-emit-index-url", "--no-annotate", "-"]
    command += ["--constraint", str(project / "requirements-run.txt")]
    done = subprocess.run(
        command,
        input="\n".join(house.packages),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        raise UserError("the lock file could not be resolved", why=done.stderr.strip())
    write_whole(house.lock, done.stdout)


def build(
    house: House, target: Target, folder: Path, ca: Path | None, tell: Callable[[str], None]
) -> list[Path]:
    """Fill `folder` with what files/install.sh takes; returns its files, requirements.txt last.

    The folder holds `wheels/`, the MLflow server's also `rds-ca.pem`, and a `requirements.txt`
    with exactly the hashes of these wheels. It appears whole or stays as it was. Raises UserError.
    """
    pins = for_target(read_lock(house.lock), target)
    stage = private_folder(folder.parent) / f".{folder.name}.new"
    shutil.rmtree(stage, ignore_errors=True)
    try:
        (stage / "wheels").mkdir(parents=True)
        if house.certificates:
            (stage / CERTIFICATES).write_bytes(certificates(ca, tell))
        wanted = stage / "wanted.txt"
        wanted.write_text("".join(_requirement(pin, pin.hashes) for pin in pins))
        _download(target, wanted, stage / "wheels", folder / "wheels", tell)
        wanted.unlink()
        if house.code is not None:
            code = code_wheel.write(house.code, stage / "wheels")
            pins.append(Pin(code_wheel.NAME, code.version, "", (f"sha256:{_digest(code.path)}",)))
        hashes = {f"sha256:{_digest(wheel)}" for wheel in (stage / "wheels").iterdir()}
        lines = [_requirement(pin, [one for one in pin.hashes if one in hashes]) for pin in pins]
        (stage / "requirements.txt").write_text("".join(lines))
        shutil.rmtree(folder, ignore_errors=True)
        stage.replace(folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return contents(folder)


def contents(folder: Path) -> list[Path]:
    """The files of a wheelhouse in the order in which they may be uploaded.

    The instance takes requirements.txt as the sign that everything else is there.
    """
    certificates = folder / CERTIFICATES
    return [
        *sorted((folder / "wheels").iterdir()),
        *([certificates] if certificates.is_file() else []),
        folder / "requirements.txt",
    ]


def _requirement(pin: Pin, hashes: Sequence[str]) -> str:
    return " \\\n    ".join([str(pin), *(f"--hash={one}" for one in hashes)]) + "\n"


def _download(
    target: Target, wanted: Path, wheels: Path, earlier: Path, tell: Callable[[str], None]
) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    command += [*target.pip_options(), "--dest", str(wheels), "--requirement", str(wanted)]
    if earlier.is_dir():
        command += ["--find-links", str(earlier)]
    errors: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(("Collecting", "Downloading", "  Downloading", "Saved")):
                tell(line)
            elif "ERROR" in line:
                errors.append(line.strip())
    if process.returncode != 0:
        raise UserError(
            f"the wheels for {target.tag} could not be downloaded",
            why="\n".join(errors[-5:]) or f"pip ended with {process.returncode}",
            fix="connect to the package index that pip is set to, and run it again",
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def certificates(file: Path | None, tell: Callable[[str], None]) -> bytes:
    """RDS's certificate authorities, from a file or from AWS.

    Raises UserError if they cannot be had, or are not certificates of authorities.
    """
    fix = f"curl --output global-bundle.pem {RDS_CERTIFICATES}, then --ca global-bundle.pem"
    if file is not None:
        content, origin = file.read_bytes(), str(file)
    else:
        tell(f"downloading {RDS_CERTIFICATES}")
        origin = RDS_CERTIFICATES
        try:
            with urllib.request.urlopen(RDS_CERTIFICATES, timeout=_TIMEOUT_SECONDS) as answer:
                content = answer.read()
        except OSError as failure:
            why = f"{RDS_CERTIFICATES}: {failure}"
            raise UserError(
                "RDS's certificates could not be downloaded", why=why, fix=fix
            ) from None
    if not _are_authorities(content):
        raise UserError(
            f"{origin} does not hold certificates of authorities",
            why="the server would then refuse its database, or trust a stranger",
            fix=fix,
            exit_code=2,
        )
    return bytes(content)


def _are_authorities(content: bytes) -> bool:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(content)
        return bool(found) and all(
            one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for one in found
        )
    except (ValueError, x509.ExtensionNotFound):
        return False


def upload(s3: Any, bucket: str, prefix: str, folder: Path, tell: Callable[[str], None]) -> int:
    """Put a wheelhouse under `prefix` of the bucket; returns how many files were sent.

    A wheel that is there with the same name and size stays: its name is its version, and the
    instance checks every hash.
    """
    there = dict(_objects(s3, bucket, f"{prefix}wheels/"))
    sent = 0
    for path in contents(folder):
        key = f"{prefix}{path.relative_to(folder).as_posix()}"
        if there.get(key) == path.stat().st_size:
            continue
        tell(key)
        with path.open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        sent += 1
    return sent


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", ()):
            yield found["Key"], found["Size"]
