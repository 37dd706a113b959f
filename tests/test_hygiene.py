"""The repository's hygiene: no secret in any commit, and a bill of materials of what is installed.

The tools live in the isolated tools environment (`make install-tools`); without them these fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.maintenance.dependency_audit import LOCKS, pins
from tests import ROOT

pytestmark = pytest.mark.slow


def tool(name: str) -> str:
    """The path of a tool. Fails, not skips: a check that does not run protects nothing."""
    for folder in (ROOT / ".venv-tools" / "bin", Path(sys.prefix) / "bin"):
        if (folder / name).exists():
            return str(folder / name)
    pytest.fail(f"{name} is not installed: make install-tools")


def scan(kind: str, target: Path) -> subprocess.CompletedProcess[str]:
    """Scan for secrets; ends with 1 if there are any. Values never reach the output.

    Passwords of test doubles are of medium confidence at most.
    """
    return subprocess.run(
        [tool("betterleaks"), kind, str(target), "--confidence", "high", "--no-banner",
         "--no-color", "--redact"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip


def test_no_commit_holds_a_secret() -> None:
    done = scan("git", ROOT)
    assert done.returncode == 0, done.stdout


def test_a_secret_that_is_planted_is_found(tmp_path: Path) -> None:
    # Put together here, so that this file itself holds none.
    key = "AKIA" + "Q7RTW3NXH6KLVZ2B"
    secret = "q8Zr2mPvT4xKcW9nLb7J" + "dYfH3sGuEaQ1oRiXtNkV"
    text = f'aws_access_key_id = {key}\naws_secret_access_key = "{secret}"\n'
    (tmp_path / "config").write_text(text)
    done = scan("fs", tmp_path)
    assert done.returncode == 1
    assert secret not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_bill_of_materials_names_every_locked_package(lock: Path, tmp_path: Path) -> None:
    output = tmp_path / "sbom.json"
    subprocess.run(
        [tool("cyclonedx-py"), "requirements", str(lock), "--of", "JSON", "-o", str(output)],
        capture_output=True,
        timeout=300,
        check=True,
    )
    bill = json.loads(output.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    named = {(part["name"].lower(), part["version"]) for part in bill["components"]}
    assert pins(lock) <= named
