"""A lab from start to reset, as a program: `python -m tests.labs.walk SLUG FOLDER`.

A program of its own can be run where there is no network but loopback. It imports nothing of
pytest: its assertions are told by a traceback.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.console import UserError
from scripts.labs import connection
from scripts.labs.lab import ATTACK_POINTS, FIX_POINTS, Lab, find
from scripts.labs.operations import Labs
from scripts.local_run import leftovers
from tests.labs.attempts import ATTEMPTS, Attempt

STRANGER = "repo:nobody@1/nothing@2:ref:refs/heads/main"
SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41
OUTSIDE = ("192.0.2.1", 443)
"""An address of documentation: whoever has a route tries, who has none is told at once."""


def cut_off() -> None:
    """Bring up loopback, the one interface of a new network namespace; nothing else leads out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh14s", b"lo", UP_AND_RUNNING, b""))
    try:
        socket.create_connection(OUTSIDE, 2)
    except OSError as failure:
        assert "unreachable" in str(failure), failure
    else:
        raise AssertionError("the outside is there")


def walk(lab: Lab, folder: Path) -> None:
    """Attack, an untouched check, a broken edit, wrong and right fixes, the end."""
    mine = Labs(folder / "home")
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

        refuse_wrong_files(mine, lab, run.folder)
        for attempt in (one for one in ATTEMPTS if one.lab == lab.number):
            tried(mine, lab, attempt, run.folder)
        assert not mine.progress().of(lab).fixed or any(
            one.right for one in ATTEMPTS if one.lab == lab.number
        )
        for name in lab.fixes:
            write_fix(lab, name, run.folder)
            verdict = mine.check(lab)
            assert [one for one in verdict.outcomes if not one.good] == [], name
        assert mine.progress().of(lab).points == ATTACK_POINTS + FIX_POINTS

        backup = mine.reset(lab)
        assert backup is not None
        last = list(lab.fixes.values())[-1]
        assert (backup / "main.tf").read_text() == (last / "main.tf").read_text()
    finally:
        mine.end_all()
    assert not (folder / "home").exists()
    assert leftovers.find(mine.cloud_home(lab)) == []


def refuse_wrong_files(mine: Labs, lab: Lab, folder: Path) -> None:
    """A broken edit is kept and told; roles that nobody may assume are no fix."""
    terraform = folder / "main.tf"
    terraform.write_text("resource {")
    try:
        mine.check(lab)
    except UserError as told:
        assert "does not take your files" in told.what
        assert told.exit_code == 2
    else:
        raise AssertionError("a broken edit was checked")
    assert terraform.read_text() == "resource {"

    write_fix(lab, next(iter(lab.fixes)), folder)
    terraform.write_text(closed(terraform.read_text()))
    assert not all(one.good for one in mine.check(lab).outcomes if one.kind == "need")


def tried(mine: Labs, lab: Lab, attempt: Attempt, folder: Path) -> None:
    """A fix that a student tries is judged as it should be."""
    write_fix(lab, attempt.base, folder)
    attempt.write(folder)
    try:
        verdict = mine.check(lab)
    except UserError as refused:
        said, solved = str(refused), False
    else:
        said = "\n".join(
            f"{one.kind}: {one.what}: {one.result} {one.detail}"
            for one in verdict.outcomes
            if not one.good
        )
        solved = verdict.solved
    assert solved == attempt.right, f"{attempt.name}: {said or 'accepted'}"
    assert attempt.says in said, f"{attempt.name}: {said}"


def closed(text: str) -> str:
    """A fix with roles that nobody may assume: safe, and of no use."""
    shut, count = re.subn(r'"repo:acme@[^"]*"', f'"{STRANGER}"', text)
    if not count:
        shut, count = re.subn(r'"ec2\.amazonaws\.com"', '"lambda.amazonaws.com"', text)
    assert count
    return shut


def write_fix(lab: Lab, name: str, folder: Path) -> None:
    """Write a whole fix as the student would: over the files of the vulnerable variant."""
    for source in (lab.setup, *([lab.fixes[name]] if name != "setup" else [])):
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


if __name__ == "__main__":
    if sys.argv[3:] == ["--alone"]:
        cut_off()
    walk(find(sys.argv[1]), Path(sys.argv[2]))
