"""Every lab as a student goes through it: attack, a fix that breaks, each right fix, the end."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.console import UserError
from scripts.labs import connection
from scripts.labs.lab import ATTACK_POINTS, FIX_POINTS, Lab, labs
from scripts.labs.operations import Labs
from scripts.local_run import leftovers

pytestmark = [pytest.mark.slow, pytest.mark.terraform]

STRANGER = "repo:nobody@1/nothing@2:ref:refs/heads/main"


def closed(text: str) -> str:
    """A fix with roles that nobody may assume: safe, and of no use."""
    shut, count = re.subn(r'"repo:acme@[^"]*"', f'"{STRANGER}"', text)
    if not count:
        shut, count = re.subn(r'"ec2\.amazonaws\.com"', '"lambda.amazonaws.com"', text)
    assert count
    return shut


@pytest.mark.parametrize("lab", [pytest.param(lab, id=lab.slug) for lab in labs()])
def test_a_lab_is_broken_and_fixed(lab: Lab, tmp_path: Path) -> None:
    mine = Labs(tmp_path / "home")
    try:
        assert "is ready" in started(mine, lab)
        run, fresh = mine.start(lab)
        assert not fresh

        found = attack(run)
        assert not mine.flag(lab, "FLAG{guessed}")
        assert mine.flag(lab, found)
        untouched = mine.check(lab)
        assert not untouched.solved
        assert untouched.outcomes[0].result == "works"
        assert "FLAG{" + lab.slug not in str(untouched.outcomes)

        terraform = run.folder / "main.tf"
        terraform.write_text("resource {")
        with pytest.raises(UserError, match="does not take your files"):
            mine.check(lab)
        assert terraform.read_text() == "resource {"

        write_fix(lab, next(iter(lab.fixes)), run.folder)
        terraform.write_text(closed(terraform.read_text()))
        needs = [one.good for one in mine.check(lab).outcomes if one.kind == "need"]
        assert not all(needs)

        for name in lab.fixes:
            write_fix(lab, name, run.folder)
            verdict = mine.check(lab)
            assert [one for one in verdict.outcomes if not one.good] == [], name
        assert mine.progress().of(lab).points == ATTACK_POINTS + FIX_POINTS

        backup = mine.reset(lab)
        assert backup is not None
        assert (backup / "main.tf").read_text() == terraform_of(lab)
    finally:
        mine.end_all()
    assert not (tmp_path / "home").exists()
    assert leftovers.find(mine.cloud_home(lab)) == []


def write_fix(lab: Lab, name: str, folder: Path) -> None:
    """Write a whole fix as the student would: over the files of the vulnerable variant."""
    for source in (lab.setup, lab.fixes[name]):
        shutil.copytree(source, folder, dirs_exist_ok=True)


def started(mine: Labs, lab: Lab) -> str:
    """Start a lab by a command of its own: its cloud outlives the process that starts it."""
    keyless = Path(sys.executable).with_name("keyless")
    done = subprocess.run(
        [str(keyless), "--home", str(mine.home), "lab", "start", str(lab.number)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def attack(run: Any) -> str:
    """What attack.py prints, run as the student runs it."""
    done = run.run([sys.executable, str(run.lab.attack)], connection.environment(run))
    assert done.returncode == 0, done.stderr
    flag = run.find_flag(done.stdout)
    assert flag is not None, done.stdout
    return str(flag)


def terraform_of(lab: Lab) -> str:
    """The fix that was checked last."""
    return list(lab.fixes.values())[-1].joinpath("main.tf").read_text()
