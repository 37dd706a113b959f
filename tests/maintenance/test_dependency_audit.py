"""The dependency audit covers every lock file and every pin, and takes no silence for a yes.

The advisory database itself is asked by .github/workflows/audit.yml: that needs a network.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.maintenance.dependency_audit import (
    LOCKS,
    ROOT,
    TOOL,
    audit,
    command,
    main,
    pins,
    rounds,
)
from tests.actions_runner.definitions import load_workflow


def double(folder: Path, *, vulnerable: str = "") -> tuple[Path, Path]:
    """A pip-audit that keeps what it is asked, and knows one bad package."""
    asked, program = folder / "asked", folder / "pip-audit"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        "text = pathlib.Path(sys.argv[sys.argv.index('--requirement') + 1]).read_text()\n"
        f"pathlib.Path({str(asked)!r}).open('a').write(text)\n"
        f"sys.exit({vulnerable!r} in text.split() if {vulnerable!r} else 0)\n"
    )
    program.chmod(0o700)
    return program, asked


def test_every_lock_file_of_the_repository_is_audited() -> None:
    tracked = subprocess.run(
        ["git", "grep", "-l", "-e", "--hash=sha256:", "--", "*.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {ROOT / name for name in tracked} <= set(LOCKS)
    assert {"requirements-run.txt", "requirements-test.txt", "requirements-tools.txt"} <= {
        lock.name for lock in LOCKS
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_is_read_and_has_a_hash(lock: Path) -> None:
    text = lock.read_text()
    found = pins(lock)
    lines = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert len(found) == len(lines)
    for block in re.split(r"\n(?=\S)", text):
        assert block.startswith("#") or "--hash=sha256:" in block, block[:80]


def test_every_pin_is_asked_about_those_of_other_platforms_too(tmp_path: Path) -> None:
    program, asked = double(tmp_path)
    assert audit(program) == 0
    everything = set().union(*map(pins, LOCKS))
    assert set(asked.read_text().split()) == {f"{name}=={one}" for name, one in everything}


def test_one_vulnerable_package_in_any_lock_file_fails_the_audit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("good==1.0 \\\n    --hash=sha256:00\nbad[extra]==2.0 ; os_name == 'nt' \\\n")
    program, _ = double(tmp_path, vulnerable="bad==2.0")
    assert audit(program, [lock]) == 1
    assert "2 pins of 1 lock files: see above" in capfd.readouterr().out


def test_a_package_that_cannot_be_asked_about_is_a_failure(tmp_path: Path) -> None:
    # Without --strict pip-audit skips what its service does not know, and ends with 0.
    assert "--strict" in command(tmp_path / "pip-audit", tmp_path / "r.txt")


def test_two_versions_of_a_package_go_into_two_rounds() -> None:
    assert rounds([("a", "1"), ("b", "1"), ("a", "2")]) == [{"a": "1", "b": "1"}, {"a": "2"}]


def test_pip_audit_itself_is_locked() -> None:
    assert any(name == "pip-audit" for name, _ in pins(TOOL))


def test_without_uv_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main([]) == 2
    assert "make install" in capsys.readouterr().err


def test_the_workflow_audits_every_week_and_whenever_a_lock_file_changes() -> None:
    workflow = load_workflow(ROOT / ".github/workflows/audit.yml")
    assert workflow.on["schedule"]["schedule"]
    [job] = workflow.jobs.values()
    assert [step.run for step in job.steps if step.run] == [
        "python3 -m scripts.maintenance.dependency_audit"
    ]
    patterns = workflow.on["pull_request"]["paths"]
    for lock in LOCKS:
        name = lock.relative_to(ROOT).as_posix()
        assert any(Path(name).match(pattern) for pattern in patterns), name
