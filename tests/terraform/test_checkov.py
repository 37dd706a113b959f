"""Static analysis: checkov finds nothing that is not answered in place, with a reason."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.terraform.conftest import PROJECT

# Not part of `make check`: the tool alone takes ten seconds to start.
pytestmark = pytest.mark.slow

CHECKOV = PROJECT / ".venv-tools" / "bin" / "checkov"
SKIP = re.compile(r"#checkov:skip=(\w+)(.*)")
BAD = """
resource "aws_security_group" "open" {
  description = "open"

  ingress {
    description = "SSH"
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_db_instance" "public" {
  #checkov:skip=CKV_AWS_17
  publicly_accessible = true
}
"""


@dataclass(frozen=True)
class Finding:
    """One check of one resource, and the reason it was skipped for."""

    check: str
    resource: str
    reason: str | None = None


@dataclass(frozen=True)
class Report:
    """What checkov says of a folder."""

    resources: int
    passed: int
    failed: list[Finding]
    skipped: list[Finding]


def checkov(folder: Path, *arguments: str) -> Report:
    """Run checkov over a folder of Terraform. Fails, not skips, without the tool.

    Nothing is fetched: neither modules nor policies nor the texts that go with them.
    """
    if not CHECKOV.exists():
        pytest.fail("checkov is not installed: make install-tools")
    names = ("-d", str(folder), "--framework", "terraform", "--compact", "-o", "json")
    done = subprocess.run(
        [str(CHECKOV), *names, "--skip-download", *arguments],
        env=os.environ | {"BC_SKIP_MAPPING": "TRUE"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    found = json.loads(done.stdout)
    results, summary = found["results"], found["summary"]
    assert not summary["parsing_errors"], results["parsing_errors"]
    return Report(
        resources=summary["resource_count"],
        passed=summary["passed"],
        failed=[Finding(each["check_id"], each["resource"]) for each in results["failed_checks"]],
        skipped=[
            Finding(
                each["check_id"], each["resource"], each["check_result"].get("suppress_comment")
            )
            for each in results["skipped_checks"]
        ],
    )


def skips(folder: Path) -> Iterator[tuple[str, str]]:
    """Check and reason of every skip that is written in the code."""
    for path in sorted(folder.rglob("*.tf")):
        for check, rest in SKIP.findall(path.read_text()):
            yield check, rest.removeprefix(":").strip()


def without_reason(folder: Path) -> list[str]:
    """Checks that the code skips without saying why."""
    return [check for check, reason in skips(folder) if len(reason.split()) < 2]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code alone, so that nothing an apply left behind is read."""
    folder = tmp_path_factory.mktemp("checkov") / "terraform"
    left = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfplan", "tests")
    shutil.copytree(PROJECT / "terraform", folder, ignore=left)
    return folder


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_nothing_fails_but_what_is_answered_in_place(code: Path, environment: str) -> None:
    file = code / "platform" / "environments" / f"{environment}.tfvars"
    report = checkov(code, "--var-file", str(file))
    assert report.failed == []
    assert report.resources > 100 and report.passed > 500
    # A skip that no check meets any more answers nothing.
    assert {check for check, _ in skips(code)} == {each.check for each in report.skipped}


def test_every_skip_says_why(code: Path) -> None:
    assert len(list(skips(code))) > 10
    assert without_reason(code) == []


def test_an_open_port_and_a_skip_without_a_reason_are_found(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(BAD)
    report = checkov(tmp_path)
    assert Finding("CKV_AWS_24", "aws_security_group.open") in report.failed
    assert [each.check for each in report.skipped] == ["CKV_AWS_17"]
    assert without_reason(tmp_path) == ["CKV_AWS_17"]
