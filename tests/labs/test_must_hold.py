"""Students on one machine do not meet, and nothing stays behind."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.aws.web_identity import AssumeRoleDenied
from scripts.labs import connection, page
from scripts.labs.lab import find
from scripts.labs.operations import Labs
from scripts.local_run import leftovers

pytestmark = [pytest.mark.slow, pytest.mark.terraform]

KEYLESS = Path(sys.executable).with_name("keyless")
LAB = find("2")
START_SECONDS, RESET_SECONDS = 20, 5
"""Of processor time: the machine that tests may be busy with others."""


def keyless(home: Path, *words: str) -> str:
    done = subprocess.run(
        [str(KEYLESS), "--home", str(home), "lab", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def spent() -> float:
    """Processor seconds of all commands that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def class_of_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Labs]]:
    """Three students who start the same lab at once, each in a home of his own."""
    root = tmp_path_factory.mktemp("class")
    students = [Labs(root / name / "home") for name in ("ada", "grace", "edsger")]
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda one: keyless(one.home, "start", str(LAB.number)), students))
        yield students
    finally:
        for one in students:
            one.end_all()


def test_three_students_have_clouds_pages_and_keys_of_their_own(class_of_three: list[Labs]) -> None:
    runs = [one.running(LAB) for one in class_of_three]
    for what in ("endpoint", "plain_endpoint", "issuer_key", "pid"):
        assert len({getattr(run.cloud, what) for run in runs}) == 3
    pages = [json.loads((run.home / page.FILE).read_bytes())["address"] for run in runs]
    assert len(set(pages)) == 3


def test_one_students_token_and_flag_are_nothing_to_another(class_of_three: list[Labs]) -> None:
    ada, grace, _ = (one.running(LAB) for one in class_of_three)
    token = ada.github.token_for_student("acme-labs/x")
    assert ada.assume("lab-deploy", token).access_key_id
    with pytest.raises(AssumeRoleDenied):
        grace.assume("lab-deploy", token)
    done = ada.run([sys.executable, str(LAB.attack)], connection.environment(ada))
    flag = ada.find_flag(done.stdout)
    assert flag is not None
    assert not class_of_three[1].flag(LAB, flag)
    assert class_of_three[0].flag(LAB, flag)


def test_a_student_who_resets_ends_nobody_elses_lab_and_leaves_nothing(
    class_of_three: list[Labs],
) -> None:
    ada, grace, edsger = class_of_three
    keyless(grace.home, "hint", "2")
    before = spent()
    told = keyless(grace.home, "reset", "--all")
    assert spent() - before < RESET_SECONDS
    assert "kept in" in told  # a hint was taken: points are no rubbish
    assert leftovers.find(grace.cloud_home(LAB)) == []
    assert not grace.home.exists()
    for other in (ada, edsger):
        run = other.running(LAB)
        assert run.administrator("sts").get_caller_identity()["Account"] == run.account_id


def test_a_lab_starts_and_resets_quickly_once_one_was_started(class_of_three: list[Labs]) -> None:
    ada = class_of_three[0]
    before = spent()
    keyless(ada.home, "reset", "2")
    middle = spent()
    keyless(ada.home, "start", "3")
    end = spent()
    keyless(ada.home, "reset", "3")
    assert middle - before < RESET_SECONDS
    assert end - middle < START_SECONDS


def listening(process: psutil.Process) -> set[str]:
    """The addresses on which a process listens."""
    found: list[Any] = process.net_connections(kind="inet")
    return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}


def test_what_a_lab_runs_listens_on_loopback_alone(class_of_three: list[Labs]) -> None:
    edsger = class_of_three[2]
    processes = leftovers.find(edsger.cloud_home(LAB))
    assert len(processes) >= 2
    heard = set().union(*map(listening, processes))
    assert heard
    assert all(re.match(r"127\.|::1$", address) for address in heard)
