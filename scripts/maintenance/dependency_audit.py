"""Asks the advisory database about every locked package.

`python -m scripts.maintenance.dependency_audit`

It needs a network and Python's standard library alone; pip-audit comes from a lock file of its own.
https://pypi.org/project/pip-audit/
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = Path(__file__).with_name("audit-lock.txt")
LOCKS = (
    ROOT / "requirements-run.txt",
    ROOT / "requirements-test.txt",
    ROOT / "requirements-tools.txt",
    ROOT / "scripts" / "server" / "serving-lock.txt",
    ROOT / "scripts" / "server" / "wheelhouse-lock.txt",
    ROOT / "tests" / "iam" / "conformance" / "requirements.txt",
    TOOL,
)
"""Every lock file: what runs, tests, lints, goes to the servers, and audits."""

ENVIRONMENT = ROOT / ".venv-audit"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


def pins(lock: Path) -> set[tuple[str, str]]:
    """Name and version of every package of a lock file, those of other platforms too."""
    found = (_PIN.match(line) for line in lock.read_text().splitlines())
    return {(match[1].lower(), match[2]) for match in found if match}


def rounds(locked: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The pins such that each round names a package once; most are in the first alone."""
    found: list[dict[str, str]] = []
    for name, version in sorted(locked):
        for one in found:
            if name not in one:
                one[name] = version
                break
        else:
            found.append({name: version})
    return found


def command(program: Path, requirements: Path) -> list[str]:
    """pip-audit on pins alone. Strict: a package that could not be asked about is a failure."""
    return [
        str(program), "--requirement", str(requirements), "--no-deps", "--disable-pip", "--strict",
        "--progress-spinner", "off", "--desc", "off",
    ]  # fmt: skip


def audit(program: Path, locks: Sequence[Path] = LOCKS) -> int:
    """Audit every pin of the lock files; 0 if no advisory names one, 1 otherwise."""
    locked = set().union(*(pins(lock) for lock in locks))
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(rounds(locked)):
            requirements = Path(folder) / f"{number}.txt"
            requirements.write_text("".join(f"{name}=={one[name]}\n" for name in one))
            done = subprocess.run(command(program, requirements), check=False)
            failed |= done.returncode != 0
    verdict = "see above" if failed else "no advisory names one"
    print(f"{len(locked)} pins of {len(locks)} lock files: {verdict}")
    return int(failed)


def install(uv: str) -> Path:
    """Install pip-audit from its lock file into an environment of its own; returns its path."""
    subprocess.run([uv, "venv", "--quiet", "--allow-existing", str(ENVIRONMENT)], check=True)
    python = str(ENVIRONMENT / "bin" / "python")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--require-hashes", "--python", python, "-r", str(TOOL)],
        check=True,
    )
    return ENVIRONMENT / "bin" / "pip-audit"


def main(arguments: Sequence[str] | None = None) -> int:
    """Look every locked package up; returns 1 if one has a known vulnerability."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.maintenance.dependency_audit", description=__doc__
    )
    parser.add_argument("--pip-audit", type=Path, help="use this program; install none")
    chosen = parser.parse_args(arguments).pip_audit
    if chosen is not None:
        return audit(chosen)
    own = Path(sys.executable).with_name("uv")
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        print("uv was not found: run `make install`, or install it", file=sys.stderr)
        return 2
    try:
        program = install(uv)
    except subprocess.CalledProcessError as failure:
        print(f"pip-audit could not be installed (exit code {failure.returncode})", file=sys.stderr)
        return 1
    return audit(program)


if __name__ == "__main__":
    sys.exit(main())
