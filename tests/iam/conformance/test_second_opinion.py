"""The independent evaluator's opinion on every conformance case: no difference is unexplained."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.iam.conformance.loader import load_cases
from tests.iam.conformance.second_opinion import EXPLAINED, Opinion

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opinion() -> Opinion:
    """What the isolated tools' Python says; its packages clash with those of this one."""
    python = ROOT / ".venv-tools" / "bin" / "python"
    if not (python.exists() and any(python.parents[1].glob("lib/*/site-packages/ministack"))):
        pytest.fail("ministack is not installed: make install-tools")
    done = subprocess.run(
        [str(python), "-I", "-c", SEALED, str(ROOT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Opinion(**json.loads(done.stdout.splitlines()[-1]))


# No socket can be opened: an evaluator decides, it asks nobody.
SEALED = """
import dataclasses, json, socket, sys
def closed(*arguments, **options):
    raise OSError("the second opinion opens no connection")
socket.socket.connect = socket.socket.bind = closed
sys.path.insert(0, sys.argv[1])
from tests.iam.conformance.second_opinion import ask
print(json.dumps(dataclasses.asdict(ask())))
"""


def test_every_difference_is_explained(opinion: Opinion) -> None:
    assert opinion.unexplained == []


def test_every_explanation_is_still_needed(opinion: Opinion) -> None:
    assert opinion.needless == []
    assert set(opinion.explained) == set(EXPLAINED)


def test_every_case_is_counted_and_most_are_compared(opinion: Opinion) -> None:
    differing = sum(opinion.explained.values())
    total = opinion.agreed + differing + opinion.not_comparable + opinion.refused_here
    assert total == len(load_cases())
    assert opinion.agreed >= 600
    assert differing < 0.1 * opinion.agreed


def test_the_documentation_gives_these_figures(opinion: Opinion) -> None:
    page = (ROOT / "docs" / "policy-engine.md").read_text()
    differing = sum(opinion.explained.values())
    assert f"It agreed on {opinion.agreed} and differed on {differing}," in page
    section = page[page.index("A second opinion comes from") :]
    rows = re.findall(r"^\| (\d+) \|", section, re.MULTILINE)
    assert sum(map(int, rows)) == differing


def test_the_compared_version_is_pinned_by_hash() -> None:
    lock = (Path(__file__).parent / "requirements.txt").read_text()
    assert re.search(
        r"^ministack==1\.5\.33 \\\n    --hash=sha256:[0-9a-f]{64}$", lock, re.MULTILINE
    )
