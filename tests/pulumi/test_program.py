"""The program by Pulumi's own judges: its types, and its command where that is on PATH.

No package registry ships the command (docs/pulumi.md says what was tried), so most machines skip
the preview: what Pulumi's engine makes of the program is then not tried.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pulumi.conftest import STACKS, stack, tools_python
from tests.terraform.conftest import PROJECT, environment

pytestmark = pytest.mark.terraform

SETTINGS = Path(__file__).with_name("mypy.ini")


def settings(folder: Path) -> Path:
    """mypy's settings, without the 200 services of pulumi-aws that the program does not import.

    Its package names them all for type checkers, and to read them takes mypy most of its time.
    """
    program = "".join(path.read_text() for path in STACKS.rglob("*.py"))
    imported = re.findall(r"^from pulumi_aws import (.+)$", program, re.MULTILINE)
    used = {name.strip() for each in imported for name in each.split(",")}
    (package,) = tools_python().parents[1].glob("lib/python3*/site-packages/pulumi_aws")
    services = {path.parent.name for path in package.glob("*/__init__.py")}
    assert len(used & services) == len(used)
    unused = ",".join(f"pulumi_aws.{each}.*" for each in sorted(services - used - {"config"}))
    written = folder / "mypy.ini"
    written.write_text(f"{SETTINGS.read_text()}[mypy-{unused}]\nfollow_imports = skip\n")
    return written


def checked(*what: str, using: Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """Run mypy with the tools' packages; its cache stays, since pulumi-aws takes long."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--python-executable", str(tools_python())),
            *("--config-file", str(using), "--cache-dir", str(PROJECT / ".mypy_cache/pulumi")),
            *what,
        ],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def test_the_program_has_no_error_by_pulumis_own_types(tmp_path: Path) -> None:
    using = settings(tmp_path)
    done = checked("-p", "scripts.pulumi_platform", using=using)
    assert done.returncode == 0, done.stdout + done.stderr
    # The same check finds an argument that pulumi-aws does not have.
    (tmp_path / "wrong.py").write_text(
        'from pulumi_aws import ec2\n\nec2.Vpc("main", cidr_blocks="10.40.0.0/16")\n'
    )
    done = checked("wrong.py", using=using, cwd=tmp_path)
    assert done.returncode == 1
    assert "wrong.py:3: error: No overload variant of" in done.stdout


def test_a_preview_of_dev_creates_everything_and_fails_nowhere(
    account: str, tmp_path: Path
) -> None:
    command = shutil.which("pulumi")
    if command is None:
        pytest.skip("pulumi is not on PATH: no preview was run (docs/pulumi.md, What is not tried)")
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns(".terraform", "__pycache__", "*.tfstate*")
    for folder in ("scripts", "terraform"):
        shutil.copytree(PROJECT / folder, project / folder, ignore=ignored)
    program = project / STACKS.relative_to(PROJECT)
    project_file = yaml.safe_load((program / "Pulumi.yaml").read_text())
    project_file["runtime"]["options"]["virtualenv"] = str(tools_python().parents[1])
    (program / "Pulumi.yaml").write_text(yaml.safe_dump(project_file))
    (program / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": stack("dev")}))
    (tmp_path / "state").mkdir()
    variables = environment(account) | {
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_HOME": os.environ.get("PULUMI_HOME", str(Path.home() / ".pulumi")),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [command, *words, "--non-interactive"],
            cwd=program,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("stack", "init", "dev")
    previewed = json.loads(run("preview", "--stack", "dev", "--json"))
    assert previewed["changeSummary"].keys() == {"create"}
    assert previewed["changeSummary"]["create"] > 100
