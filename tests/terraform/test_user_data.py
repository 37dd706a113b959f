"""The user data as cloud-init takes it, and the installation that it starts, run twice."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import ROOT
from tests.localcloud.server_platform import FILES, encoded, settings, user_data
from tests.terraform.conftest import PROJECT, Plan

LARGEST = 16 * 1024  # bytes before base64; EC2 User Guide, "Run commands at launch"
SERVING = ROOT / "terraform/modules/model_server/files"
TEMPLATE = "module.mlflow_server.aws_launch_template.server"
SERVING_TEMPLATE = 'module.model_server[0].aws_launch_template.serve["blue"]'
TOOLS = PROJECT / ".venv-tools" / "bin" / "python"

# --- template --------------------------------------------------------------------------------


def test_user_data_fits_the_limit_with_room_to_grow() -> None:
    size = len(encoded(user_data(settings(), logs_json="x" * 1000))) * 3 // 4
    assert size < LARGEST / 2


def test_the_template_renders_to_a_cloud_config() -> None:
    text = user_data(settings())
    assert text.startswith("#cloud-config\n")
    written = {entry["path"]: entry["content"] for entry in yaml.safe_load(text)["write_files"]}
    assert json.loads(written["/etc/keyless/server.json"]) == settings()
    for name in ("launcher.py", "watchdog.py", "install.sh"):
        assert written[f"/usr/local/lib/keyless/{name}"].rstrip() == (
            (FILES / name).read_text().rstrip()
        )


@pytest.mark.parametrize("files", [FILES, SERVING])
def test_logs_are_rotated_by_their_size_many_times_a_day(files: Path) -> None:
    """logrotate(8): `maxsize` counts when logrotate runs, daily by its timer, and with `dateext`,
    which Amazon Linux sets, a second file of one day is "skipped"."""
    text = (files / "user-data.yaml.tftpl").read_text()
    assert re.search(r"/var/log/keyless/\*\.log \{[^}]*maxsize 50M[^}]*nodateext", text)
    assert "logrotate.timer.d/keyless.conf" in text and "OnCalendar=minutely" in text
    assert "[systemctl, restart, logrotate.timer]" in text


@pytest.mark.parametrize("logs", ["", '{"logs": {}}'])
def test_the_agents_configuration_is_written_only_where_logs_are_shipped(logs: str) -> None:
    written = yaml.safe_load(user_data(settings(), logs_json=logs))["write_files"]
    found = [e["content"] for e in written if e["path"] == "/etc/keyless/cloudwatch-agent.json"]
    assert found == ([logs] if logs else [])


@pytest.mark.parametrize("files", [FILES, SERVING])
def test_every_variable_that_the_template_names_is_documented_in_it(files: Path) -> None:
    text = (files / "user-data.yaml.tftpl").read_text()
    used = set(re.findall(r"\$\{\w+\((?:6, )?(\w+)\)\}", text))
    documented = set(re.findall(r"^#   (\w+) ", text, re.MULTILINE))
    assert used == documented


# --- cloud-init ------------------------------------------------------------------------------

# The types are made from cloud-init's own schema: one for each of its modules that is used here.
TYPED = """\
from cloud_init_models import CcRuncmd, CcWriteFiles


class UserData(CcWriteFiles, CcRuncmd): ...


given: UserData = """


def complaints(config: Any, folder: Path) -> list[str]:
    """What cloud-init's schema has against a cloud-config."""
    if not TOOLS.exists():
        pytest.fail("the isolated tools are not installed: make install-tools")
    file = folder / "given.py"
    file.write_text(f"{TYPED}{config!r}\n")
    options = ("--config-file=", "--follow-untyped-imports", "--no-error-summary")
    mypy = [sys.executable, "-m", "mypy", *options, "--cache-dir", str(folder / "cache")]
    done = subprocess.run(
        [*mypy, "--python-executable", str(TOOLS), str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not done.stderr, done.stderr
    # The types say what a file may have; that it has a path is the schema's too.
    return [line.split("error: ")[-1] for line in done.stdout.splitlines()] + [
        "a file without a path" for entry in config.get("write_files", ()) if "path" not in entry
    ]


def planned(plan: Plan, template: str = TEMPLATE) -> str:
    packed = base64.b64decode(plan.after[template]["user_data"])
    assert len(packed) < LARGEST
    return gzip.decompress(packed).decode()


@pytest.mark.terraform
@pytest.mark.parametrize(
    ("name", "template"), [("dev", TEMPLATE), ("prod", TEMPLATE), ("serving", SERVING_TEMPLATE)]
)
def test_cloud_init_takes_the_user_data(
    request: pytest.FixtureRequest, name: str, template: str, tmp_path: Path
) -> None:
    text = planned(request.getfixturevalue(name), template)
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    assert set(config) == {"write_files", "runcmd"} and len(config["write_files"]) > 5
    assert complaints(config, tmp_path) == []


@pytest.mark.slow
def test_what_cloud_init_would_not_take_is_found(tmp_path: Path) -> None:
    config = yaml.safe_load(user_data(settings()))
    config["write_files"][0] = {"content": "{}", "permission": "0600"}
    config["write_files"][1]["permissions"] = 644
    config["runcmd"] = "systemctl daemon-reload"
    config["packages_update"] = True
    found = "\n".join(complaints(config, tmp_path))
    for words in (
        'Extra key "permission"',
        'Extra key "packages_update"',
        'item "runcmd" has type',
        'item "permissions" has type "str"',
        "a file without a path",
    ):
        assert words in found


@pytest.mark.terraform
def test_the_template_renders_as_terraform_renders_it(dev: Plan) -> None:
    """What other tests render without Terraform is what an instance gets."""
    text = planned(dev)
    written = {entry["path"]: entry["content"] for entry in yaml.safe_load(text)["write_files"]}
    ours = user_data(
        json.loads(written["/etc/keyless/server.json"]),
        logs_json=written["/etc/keyless/cloudwatch-agent.json"],
    )
    assert {
        entry["path"]: entry["content"] for entry in yaml.safe_load(ours)["write_files"]
    }.keys() == written.keys()
    scripts = [path for path in written if path.startswith("/usr/local/lib/keyless/")]
    assert len(scripts) == 3
    for path in scripts:
        assert written[path].rstrip() == (FILES / Path(path).name).read_text().rstrip()


# --- units -----------------------------------------------------------------------------------

# Amazon Linux 2023 has 252 too; a machine without systemd cannot ask it.
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSED = 1.6  # of 10; the tool calls everything up to 5 fine


def unit(name: str, folder: Path, files: Path = FILES, **changes: str) -> Path:
    """A unit whose program exists here, with some of its text changed."""
    text = (files / f"keyless-{name}.service").read_text()
    text = re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", text, flags=re.MULTILINE)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / f"keyless-{name}.service"
    path.write_text(text)
    return path


def analyze(*arguments: str) -> str:
    assert ANALYZE is not None
    done = subprocess.run(
        [ANALYZE, *arguments],
        env={"PATH": os.environ["PATH"], "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def exposure(path: Path) -> float:
    text = analyze("security", "--offline=true", "--no-pager", str(path))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", text)
    assert found, text
    return float(found[1])


@pytest.mark.slow
@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd on this machine")
@pytest.mark.parametrize(
    ("files", "names"),
    [(FILES, ["install", "logs", "mlflow", "watchdog"]), (SERVING, ["install", "logs", "serve"])],
)
def test_systemd_reads_every_line_of_the_units(
    files: Path, names: list[str], tmp_path: Path
) -> None:
    for name in names:
        unit(name, tmp_path, files)
    for path in sorted(tmp_path.iterdir()):
        assert analyze("verify", "--man=no", str(path)) == ""
    mistaken = unit("watchdog", tmp_path, ProtectSystem="ProtectedSystem")
    assert "'ProtectedSystem'" in analyze("verify", "--man=no", str(mistaken))


@pytest.mark.slow
@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd on this machine")
@pytest.mark.parametrize(
    ("name", "files"),
    [("mlflow", FILES), ("watchdog", FILES), ("serve", SERVING)],
    ids=["mlflow", "watchdog", "serve"],
)
def test_systemd_finds_the_services_confined(name: str, files: Path, tmp_path: Path) -> None:
    assert exposure(unit(name, tmp_path, files)) <= MOST_EXPOSED
    loose = {"DynamicUser=yes": "User=root", "User=keyless": "# ", "NoNewPrivileges=yes": ""}
    assert exposure(unit(name, tmp_path, files, **loose)) > MOST_EXPOSED


# --- installation ----------------------------------------------------------------------------

# Each stands for a program of the instance and writes down how it was called.
DOUBLES = {
    "dnf": "exit 0",
    "sleep": 'rm -f "$ROOT/broken"',
    "aws": """\
for last; do from=$to; to=$last; done
[ ! -e "$ROOT/broken" ] || exit 1
case $from in */wheels/) mkdir -p "$to"; touch "$to/mlflow.whl" ;; *) touch "$to" ;; esac""",
    "python3.12": """\
mkdir -p "$3/bin"
printf '#!/bin/bash\\necho "pip $*" >> "$ROOT/calls"\\n' > "$3/bin/python"
chmod +x "$3/bin/python\"""",
}


class Box:
    """A root folder with doubles of the instance's programs, in which the script is run."""

    def __init__(self, root: Path, files: Path, settings_name: str) -> None:
        self.root, self.settings = root, root / "etc/keyless" / settings_name
        programs = root / "programs"
        programs.mkdir()
        for name, body in DOUBLES.items():
            path = programs / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >> "$ROOT/calls"\n{body}\n')
            path.chmod(0o755)
        for folder in ("opt", "etc/keyless"):
            (root / folder).mkdir(parents=True)
        self.settings.write_text(json.dumps(settings()))
        text = (files / "install.sh").read_text()
        (root / "install.sh").write_text(
            text.replace("/opt/", f"{root}/opt/").replace("/etc/", f"{root}/etc/")
        )
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ROOT": str(root),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script once, with nothing called so far."""
        bash = shutil.which("bash")
        assert bash is not None
        (self.root / "calls").write_text("")
        return subprocess.run(
            [
                bash,
                str(self.root / "install.sh"),
                str(self.settings),
                *arguments,
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        """What the last run called."""
        return (self.root / "calls").read_text().splitlines()

    def install(self) -> list[str]:
        """Run the script to its end; the calls that it made."""
        done = self.run()
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("install: done\n")
        return self.calls

    def installed(self) -> set[str]:
        return {path.name for path in (self.root / "opt").iterdir()}


@pytest.fixture(
    params=[(FILES, "server.json"), (SERVING, "serving.json")], ids=["mlflow", "models"]
)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    return Box(tmp_path, *request.param)


@pytest.mark.slow
def test_a_second_run_of_the_installation_changes_nothing(box: Box) -> None:
    first = box.install()
    called = [line.split()[0] for line in first if not line.endswith("rds-ca.pem")]
    assert called == ["dnf", "aws", "aws", "python3.12", "pip"]
    assert "--no-index" in first[-1] and "--require-hashes" in first[-1]
    made = (box.root / "opt/keyless").stat().st_ino
    assert box.install() == []
    assert (box.root / "opt/keyless").stat().st_ino == made
    assert box.installed() == {"keyless"}


@pytest.mark.slow
def test_an_installation_that_breaks_off_leaves_nothing_and_is_tried_again(box: Box) -> None:
    (box.root / "broken").touch()
    calls = [line.split()[0] for line in box.install()]
    assert calls[:3] == ["dnf", "aws", "sleep"]
    assert calls[-1] == "pip"
    assert box.installed() == {"keyless"}


@pytest.mark.slow
def test_what_is_not_whole_is_made_anew(box: Box) -> None:
    (box.root / "opt/keyless/venv/bin").mkdir(parents=True)
    assert [line.split()[0] for line in box.install()][-1] == "pip"
    assert (box.root / "opt/keyless/requirements.txt").exists()
    assert not (box.root / "opt/keyless/wheels").exists()


def agent(box: Box, ends: str = "exit 0") -> None:
    """A log agent that is installed, and how its start ends."""
    (box.root / "etc/keyless/cloudwatch-agent.json").write_text("{}")
    program = box.root / "opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/bash\necho "agent $*" >> "$ROOT/calls"\n{ends}\n')
    program.chmod(0o755)


def test_logs_are_shipped_by_a_unit_of_their_own(box: Box) -> None:
    agent(box)
    done = box.run("logs")
    assert (done.returncode, done.stdout) == (0, "logs: done\n")
    assert [call.split()[:3] for call in box.calls] == [["agent", "-a", "fetch-config"]]


@pytest.mark.slow
def test_a_log_agent_that_fails_keeps_nobody_from_the_server(box: Box) -> None:
    agent(box, "exit 1")
    assert box.install()[-1].startswith("pip")
    # systemd tries again, since the unit says Restart=on-failure.
    assert box.run("logs").returncode != 0


@pytest.mark.parametrize("files", [FILES, SERVING], ids=["mlflow", "models"])
@pytest.mark.parametrize("name", ["install", "logs"])
def test_an_installation_that_fails_is_tried_again_for_ever(name: str, files: Path) -> None:
    lines = (files / f"keyless-{name}.service").read_text().splitlines()
    # Allowed for oneshot since systemd 244; Amazon Linux 2023 has 252.
    assert {"Type=oneshot", "Restart=on-failure", "StartLimitIntervalSec=0"} <= set(lines)


@pytest.mark.parametrize(
    ("name", "files"),
    [("mlflow", FILES), ("watchdog", FILES), ("serve", SERVING)],
    ids=["mlflow", "watchdog", "serve"],
)
def test_an_installation_that_failed_once_does_not_end_what_waits_for_it(
    name: str, files: Path
) -> None:
    text = (files / f"keyless-{name}.service").read_text()
    assert "After=keyless-install.service" in text
    assert "Requires=" not in text
