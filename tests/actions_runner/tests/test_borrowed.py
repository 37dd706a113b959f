"""A checkout of the project runs on a borrowed environment, with its own code."""

from pathlib import Path

import pytest

from tests import ROOT
from tests.actions_runner.borrowed import borrow_environment
from tests.actions_runner.github import push
from tests.actions_runner.job import Machine
from tests.actions_runner.origin import Origin
from tests.actions_runner.runner import Runner
from tests.actions_runner.tests.conftest import job

pytestmark = pytest.mark.slow


def test_a_checkout_installs_nothing_and_runs_its_own_code(origin: Origin, tmp_path: Path) -> None:
    origin.copy_from(ROOT)
    marked = (origin.folder / "scripts/__init__.py").read_text() + "\nMARK = 'from the commit'\n"
    workflow = job(
        """
        - {uses: actions/checkout@v7, with: {persist-credentials: false}}
        - run: make install
        - run: .venv/bin/keyless --version
        - run: .venv/bin/python -c "import scripts; print(scripts.MARK)"
        - run: cd / && "$GITHUB_WORKSPACE/.venv/bin/python" -c "import scripts; print(scripts.MARK)"
        """,
        head="permissions: {contents: read}",
    )
    commit = origin.commit({"scripts/__init__.py": marked, ".github/workflows/w.yml": workflow})
    runner = Runner(origin, tmp_path / "github", machine=Machine(after_checkout=borrow_environment))
    run = runner.run("w.yml", push(commit))
    assert run.result == "success", run["main"].log
    _, install, version, here, elsewhere = run["main"].steps
    assert install.log == ["make: Nothing to be done for 'install'."]
    assert version.log[0].startswith("keyless ")
    assert here.log == elsewhere.log == ["from the commit"]
