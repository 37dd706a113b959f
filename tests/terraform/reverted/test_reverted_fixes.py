"""Each fix of what AWS, GitHub or time asks for, taken back in a copy: a test goes red.

The local cloud once let every one of these faults pass. What no test misses could be lost again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests import ROOT
from tests.terraform.conftest import Terraform

FIXES = yaml.safe_load(Path(__file__).with_name("fixes.yaml").read_text())
COPIED = (".github", "docs", "pipeline", "scripts", "terraform", "tests")


@dataclass(frozen=True)
class Fix:
    """One entry of fixes.yaml."""

    fix: str
    kind: str
    file: str
    take: str
    put: str
    says: str
    run: str = ""
    test: str = ""

    def revert(self, folder: Path) -> None:
        """Take the fix back in a copy."""
        file = folder / self.file
        text = file.read_text()
        assert text.count(self.take) == 1, f"{self.file} must hold once: {self.take}"
        file.write_text(text.replace(self.take, self.put))


def fixes(given: Iterable[Mapping[str, str]]) -> list[Fix]:
    return [Fix(**one) for one in given]


MODULES = {name: fixes(given) for name, given in FIXES["modules"].items()}
TESTS = fixes(FIXES["tests"])


def _named(fix: Fix) -> tuple[str, str]:
    """File and name of the test that misses a fix."""
    file, _, name = fix.test.partition("::")
    return file, name


def test_each_fix_and_the_test_that_misses_it_still_stand() -> None:
    # Quick, so that who moves code learns it before the tests below, which take minutes.
    stand = [
        *(
            (f"terraform/modules/{module}/{one.file}", one.take)
            for module, many in MODULES.items()
            for one in many
        ),
        *((one.file, one.take) for one in TESTS),
        *((file, f"def {name.partition('[')[0]}(") for file, name in map(_named, TESTS)),
    ]
    lost = [f"{file}: {text}" for file, text in stand if (ROOT / file).read_text().count(text) != 1]
    assert lost == []


@pytest.mark.slow
@pytest.mark.terraform
@pytest.mark.parametrize("module", MODULES)
def test_the_modules_own_tests_miss_each_fix_that_is_taken_back(
    terraform: Terraform, tmp_path: Path, module: str
) -> None:
    folder = tmp_path / "terraform"
    skipped = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl")
    shutil.copytree(ROOT / "terraform" / "modules", folder / "modules", ignore=skipped)
    for fix in MODULES[module]:
        fix.revert(folder / "modules" / module)
    for file in (folder / "modules" / module / "tests").iterdir():
        file.write_text(only(file.read_text(), {fix.run for fix in MODULES[module]}))
    copy = Terraform(folder, terraform.binary, terraform.environment)
    copy.init(f"modules/{module}", "-backend=false")
    done = copy.run(f"modules/{module}", "test")
    said = re.sub(r"[\s│]+", " ", done.text)
    failed = set(re.findall(r'run "(\w+)"\.\.\. fail', done.text))
    assert failed == {fix.run for fix in MODULES[module]}, done.text
    assert [fix.fix for fix in MODULES[module] if fix.says not in said] == [], done.text


def only(text: str, runs: Collection[str]) -> str:
    """A file of module tests without the other runs: each takes seconds."""
    return re.sub(
        r'(?ms)^run "(\w+)" \{\n.*?^\}\n',
        lambda found: found[0] if found[1] in runs else "",
        text,
    )


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name of each test that failed without the fixes -> what it said."""
    folder = tmp_path_factory.mktemp("reverted")
    skipped = shutil.ignore_patterns(".terraform", "__pycache__", "*.pyc", ".mypy_cache")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    for fix in TESTS:
        fix.revert(folder)
    report = folder / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "-m", "", "--tb=short"]
    # Plans first: what uses moto in process afterwards empties the account that they look into.
    tests = sorted(
        {fix.test for fix in TESTS},
        key=lambda test: ("test_resource_policies" not in test, "terraform/" not in test, test),
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    # 4 would be a test that is not there any more, and nothing would have run.
    assert done.returncode == 1, done.stdout
    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}": "".join(
            f"{failure.get('message')}\n{failure.text}" for failure in case.findall("failure")
        )
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest's own
        if case.find("failure") is not None
    }


@pytest.mark.slow
@pytest.mark.terraform
@pytest.mark.parametrize("fix", [pytest.param(one, id=one.fix) for one in TESTS])
def test_a_test_misses_a_fix_that_is_taken_back(red: dict[str, str], fix: Fix) -> None:
    said = [
        text for name, text in red.items() if name == fix.test or name.startswith(f"{fix.test}[")
    ]
    assert any(fix.says in text for text in said), "\n".join(red)


def test_every_kind_of_fault_has_a_fix_here() -> None:
    kinds = Counter(
        fix.kind for fix in [*TESTS, *(one for many in MODULES.values() for one in many)]
    )
    assert set(kinds) >= {
        "dependent actions", "both ends of a session", "keys", "normalised answers", "people",
        "time", "names and places", "provider 6", "accounts differ", "denials",
    }  # fmt: skip
