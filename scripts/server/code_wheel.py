"""A package of this repository as a wheel, so that an instance checks it as it checks any other.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAME = "keyless-pipeline"
_SUFFIXES = (".csv", ".py", ".toml")
# Before it, a zip file knows no time: the same code is the same wheel, whenever it is built.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Wheel:
    """A written wheel; its version follows from the code in it."""

    path: Path
    version: str


def write(package: Path, folder: Path) -> Wheel:
    """Write a package's wheel into a folder. It asks for no other package: the lock names them."""
    files = dict(_files(package))
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    version = f"0+g{digest.hexdigest()[:16]}"
    stem = f"{NAME.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n".encode()
    )
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: keyless\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = [
        f"{name},sha256={_encoded(content)},{len(content)}" for name, content in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # the mode above is read as Unix's
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return Wheel(path, version)


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Code and its data alone, and what begins with a dot never: a secret may lie beside it."""
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package.parent)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and path.suffix in _SUFFIXES and not hidden:
            yield name.as_posix(), path.read_bytes()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
