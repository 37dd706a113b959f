"""User data: what of a cloud-config counts here, and how its units are read."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath

import pytest

from scripts.localcloud.ec2.user_data import UserData, UserDataError, parse
from tests.localcloud.server_platform import encoded, settings, user_data

UNIT = """\
# a comment
[Unit]
Environment=NOT=this

[Service]
Environment=A=1 "B=two words"
Environment=A=2
EnvironmentFile=-/etc/keyless/extra
ExecStart=-/opt/keyless/venv/bin/python \\
  /usr/local/lib/x.py
Restart=on-failure
RestartSec=5s
RuntimeDirectory=x
"""


def config(unit: str = UNIT, command: str = "[systemctl, enable, --now, x.service]") -> str:
    body = unit.replace("\n", "\n      ")
    return encoded(
        "#cloud-config\nwrite_files:\n  - path: /etc/systemd/system/x.service\n"
        f"    content: |\n      {body}\nruncmd:\n  - {command}\n"
    )


def test_the_modules_user_data_enables_its_services() -> None:
    data = parse(encoded(user_data(settings())))
    assert [service.name for service in data.services] == [
        "keyless-install.service",
        "keyless-logs.service",
        "keyless-mlflow.service",
        "keyless-watchdog.service",
    ]


def test_plain_user_data_is_read_too() -> None:
    text = user_data(settings())
    assert parse(base64.b64encode(text.encode()).decode()) == parse(encoded(text))


def test_a_unit_is_read_as_systemd_reads_it() -> None:
    (service,) = parse(config()).services
    assert service.command == ("/opt/keyless/venv/bin/python", "/usr/local/lib/x.py")
    assert service.environment == {"A": "2", "B": "two words"}
    assert service.environment_files == ("-/etc/keyless/extra",)
    assert (service.restart, service.restart_seconds) == ("on-failure", 5.0)
    assert service.runtime_directory == "x"


@pytest.mark.parametrize(
    "command", ["[systemctl, start, y.service]", "[systemctl, enable, x.service]", "echo hello"]
)
def test_a_unit_that_nothing_enables_does_not_run(command: str) -> None:
    assert parse(config(command=command)).services == ()


@pytest.mark.parametrize("text", ["", "#!/bin/sh\necho hello\n"])
def test_what_is_no_cloud_config_installs_nothing(text: str) -> None:
    assert parse(encoded(text)) == UserData()


def test_a_compressed_file_is_unpacked() -> None:
    content = encoded("print('hello')\n")
    text = f"#cloud-config\nwrite_files:\n  - {{path: /a, encoding: gz+b64, content: {content}}}\n"
    assert parse(encoded(text)).file("/a") == b"print('hello')\n"


@pytest.mark.parametrize("path", ["relative", "/etc/../../outside"])
def test_a_file_outside_the_instance_is_refused(path: str) -> None:
    with pytest.raises(UserDataError, match="absolute"):
        parse(encoded(f"#cloud-config\nwrite_files:\n  - {{path: {path}, content: x}}\n"))


@pytest.mark.parametrize("data", ["not base64!", base64.b64encode(b"\x1f\x8bbroken").decode()])
def test_user_data_that_cannot_be_decoded_is_named(data: str) -> None:
    with pytest.raises(UserDataError, match="decoded"):
        parse(data)


def test_broken_yaml_is_named() -> None:
    with pytest.raises(UserDataError, match="YAML"):
        parse(encoded("#cloud-config\nwrite_files: [\n"))


def test_permissions_are_kept() -> None:
    data = parse(encoded(user_data(settings())))
    modes = {file.path: file.mode for file in data.files}
    assert modes[PurePosixPath("/usr/local/lib/keyless/install.sh")] == 0o755
