"""What an instance's user data installs: its files and the systemd services that it enables."""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

_UNIT_FOLDER = PurePosixPath("/etc/systemd/system")
# A boolean of systemd, a number of seconds, or words such as "5min 20s" (not used here).
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s?")


class UserDataError(ValueError):
    """The user data is not a cloud-config that can be run here; the message names what."""


@dataclass(frozen=True)
class File:
    """One entry of `write_files`."""

    path: PurePosixPath
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Service:
    """The part of a systemd service unit that is followed here."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    environment_files: tuple[str, ...]
    runtime_directory: str | None
    restart: str
    restart_seconds: float
    output: str | None = None
    """The file that its output is appended to."""


@dataclass(frozen=True)
class UserData:
    """A parsed cloud-config."""

    files: tuple[File, ...] = ()
    services: tuple[Service, ...] = field(default=())

    def file(self, path: str) -> bytes | None:
        """The content of a file, None if it is not written."""
        return next((f.content for f in self.files if f.path == PurePosixPath(path)), None)


def parse(encoded: str | bytes | None) -> UserData:
    """Read user data as EC2 keeps it: base64, perhaps compressed.

    Of a cloud-config, `write_files` and the services that `runcmd` enables count; other commands
    install packages, which the local cloud's own environment stands for. Anything else that is
    not a cloud-config has no effect, as with cloud-init. Raises UserDataError.
    """
    text = _decode(encoded)
    if not text.startswith("#cloud-config"):
        return UserData()
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UserDataError(f"user data is not YAML: {error}") from None
    files = tuple(_file(entry) for entry in config.get("write_files", ()))
    enabled = _enabled(config.get("runcmd", ()))
    services = tuple(
        _service(file.path.name, file.content.decode())
        for file in files
        if file.path.parent == _UNIT_FOLDER and file.path.name in enabled
    )
    return UserData(files, services)


def _decode(encoded: str | bytes | None) -> str:
    try:
        raw = base64.b64decode(encoded or b"", validate=True)
        return (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()
    except (binascii.Error, OSError, EOFError, UnicodeDecodeError) as error:
        raise UserDataError(f"user data cannot be decoded: {error}") from None


def _file(entry: Mapping[str, Any]) -> File:
    # https://docs.cloud-init.io/en/latest/reference/modules.html#write-files
    content: bytes = str(entry.get("content", "")).encode()
    encoding = str(entry.get("encoding", "text/plain"))
    if encoding in ("b64", "base64") or encoding.endswith(("+b64", "+base64")):
        content = base64.b64decode(content)
    if encoding.startswith("gz"):
        content = gzip.decompress(content)
    path = PurePosixPath(str(entry["path"]))
    if not path.is_absolute() or ".." in path.parts:
        raise UserDataError(f"write_files: {path} is not an absolute path")
    return File(path, content, int(str(entry.get("permissions", "0644")), 8))


def _enabled(commands: Any) -> set[str]:
    enabled: set[str] = set()
    for command in commands:
        words = shlex.split(command) if isinstance(command, str) else [str(w) for w in command]
        if words[:1] == ["systemctl"] and "enable" in words and "--now" in words:
            enabled.update(word for word in words if word.endswith(".service"))
    return enabled


def _service(name: str, text: str) -> Service:
    settings = _section(text, "Service")
    (command,) = settings.get("ExecStart", [""])[-1:]
    environment: dict[str, str] = {}
    for line in settings.get("Environment", ()):
        environment.update(word.partition("=")[::2] for word in shlex.split(line))
    return Service(
        name=name,
        command=tuple(shlex.split(command.lstrip("-@+!:"))),
        environment=environment,
        environment_files=tuple(settings.get("EnvironmentFile", ())),
        runtime_directory=settings.get("RuntimeDirectory", [None])[-1],
        restart=str(settings.get("Restart", ["no"])[-1]),
        restart_seconds=_seconds(str(settings.get("RestartSec", ["0.1"])[-1])),
        output=str(settings.get("StandardOutput", [""])[-1]).removeprefix("append:") or None,
    )


def _section(text: str, wanted: str) -> dict[str, list[Any]]:
    """One section of a unit file; a setting that is given several times has several values."""
    settings: dict[str, list[Any]] = {}
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped.strip("[]")
        elif stripped and stripped[0] not in "#;" and section == wanted:
            name, _, value = stripped.partition("=")
            settings.setdefault(name.strip(), []).append(value.strip())
    return settings


def _seconds(text: str) -> float:
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise UserDataError(f"write RestartSec in seconds, not {text!r}")
    return float(match[1])
