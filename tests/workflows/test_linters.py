"""actionlint and zizmor find nothing, and each finds what it is there for."""

import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests import ROOT

PROGRAMS = Path(sysconfig.get_path("scripts"))
BAD = """\
name: bad
on: pull_request_target
jobs:
  bad:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.pull_request.title }}
"""


def program(name: str) -> str:
    """The linter of this environment; `make install-test` installs it, so none missing is fine."""
    path = PROGRAMS / name
    assert path.exists(), f"{name} is missing in {PROGRAMS}: run `make install-test`"
    return str(path)


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run actionlint; with shellcheck it also reads the shell in `run`."""
    # There is no wheel of shellcheck for this one kind of machine.
    without = sys.platform == "linux" and platform.machine() != "x86_64"
    shellcheck = "" if without else program("shellcheck")
    return subprocess.run(
        [program("actionlint"), "-shellcheck", shellcheck, "-pyflakes", ""],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run zizmor with its strictest persona, asking nobody outside."""
    return subprocess.run(
        [
            program("zizmor"), "--offline", "--pedantic", "--no-progress", "--strict-collection",
            "--no-config", "--no-ignores", "--format", "plain", ".github",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A repository with a workflow that has everything wrong."""
    (tmp_path / ".git").mkdir()
    path = tmp_path / ".github/workflows/bad.yml"
    path.parent.mkdir(parents=True)
    path.write_text(BAD)
    return tmp_path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """The project's own files; no folder around them changes what is read."""
    (tmp_path / ".git").mkdir()
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    return tmp_path


def test_actionlint_finds_nothing_in_the_workflows(good: Path) -> None:
    done = actionlint(good)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_zizmor_finds_nothing_in_the_workflows(good: Path) -> None:
    done = zizmor(good)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings" in done.stdout + done.stderr


def test_actionlint_finds_untrusted_text_in_a_shell(bad: Path) -> None:
    done = actionlint(bad)
    assert done.returncode == 1
    assert "is potentially untrusted" in done.stdout


def test_zizmor_finds_injection_and_a_dangerous_trigger(bad: Path) -> None:
    done = zizmor(bad)
    assert done.returncode > 10
    for finding in ("template-injection", "dangerous-triggers", "unpinned-uses", "artipacked"):
        assert finding in done.stdout
