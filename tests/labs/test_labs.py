"""Every lab as a student goes through it, without any network but loopback where that can be."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from scripts.labs.lab import Lab, find, labs
from scripts.labs.operations import Labs
from tests import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.terraform]


@cache
def alone() -> tuple[str, ...]:
    """The command that runs another one in a network of its own; nothing where it cannot."""
    own = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
    command = ("unshare", *own, "--net")
    try:
        done = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return ()
    return command if done.returncode == 0 else ()


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Terraform's provider is on this machine: the one thing that a first start fetches."""
    if "TF_CLI_CONFIG_FILE" in os.environ:
        return
    keyless = [sys.executable, "-m", "scripts.cli", "--home", str(tmp_path_factory.mktemp("first"))]
    for verb in ("start", "reset"):
        subprocess.run([*keyless, "lab", verb, "2"], check=True, capture_output=True, cwd=ROOT)


def test_nothing_leaves_the_machine() -> None:
    """What walks each lab is cut off, and sees that it is; this tells where that cannot be."""
    if not alone():
        pytest.skip("that labs need no network was NOT tested: unshare --net is not possible here")
    here = ["-c", "from tests.labs.walk import cut_off; cut_off()"]
    subprocess.run([*alone(), sys.executable, *here], check=True, cwd=ROOT)


# A walk waits for half of its time, for launch templates and servers, so two go at once: one that
# waits much beside one that computes much.
TOGETHER = ((6, 13), (7, 12), (8, 5), (2, 4), (10, 1), (11, 3, 9))


def test_every_lab_is_walked_once() -> None:
    assert sorted(sum(TOGETHER, ())) == [lab.number for lab in labs()]


@pytest.mark.parametrize(
    "numbers",
    [pytest.param(some, id="+".join(find(str(one)).slug for one in some)) for some in TOGETHER],
)
@pytest.mark.usefixtures("fetched")
def test_labs_are_broken_and_fixed(numbers: tuple[int, ...], tmp_path: Path) -> None:
    chosen = [find(str(number)) for number in numbers]
    alone()  # asked once, and not by each thread
    with ThreadPoolExecutor(len(chosen)) as pool:
        told = list(pool.map(lambda lab: walked(lab, tmp_path / lab.slug), chosen))
    assert not any(told), "\n\n".join(filter(None, told))


def walked(lab: Lab, folder: Path) -> str:
    """Walk a lab in a process of its own; empty if it went well, else what it said."""
    folder.mkdir()
    walk = [sys.executable, "-W", "error", "-m", "tests.labs.walk", lab.slug, str(folder)]
    try:
        done = subprocess.run(
            [*alone(), *walk, *(["--alone"] if alone() else [])],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired as late:
        return f"lab {lab.number}: {late}"
    finally:
        Labs(folder / "home").end_all()  # after a walk that was killed
    said = done.stdout[-4000:] + done.stderr[-8000:]
    return f"lab {lab.number}: {said or done.returncode}" if done.returncode else ""
