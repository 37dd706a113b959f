"""`kill -9` of anything, at any time: `up` goes on or rebuilds, `down` cleans, without help."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.aws.sealed import client
from scripts.local_run import leftovers
from scripts.local_run.flow import RUN_FILE
from scripts.local_run.roots import bootstrap_stack, platform_stack
from scripts.localcloud.home import administrator
from scripts.stack.binary import find_binary
from tests.e2e.conftest import PROJECT, Home, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.terraform]


def processes(home: Home, word: str) -> list[psutil.Process]:
    """Processes of the run with a word in their command line."""
    found = []
    for process in leftovers.find(home.path):
        with contextlib.suppress(psutil.Error):
            if word in " ".join(process.cmdline()):
                found.append(process)
    return found


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("word", ["launcher.py", "worker.py", "postgres"])
def test_a_killed_part_of_the_server_comes_back_by_itself(home: Home, word: str) -> None:
    address = home.results[-1]["tracking_uri"]
    wait_until(lambda: answers(address), "MLflow before the kill")
    victims = processes(home, word)
    assert victims, f"no process of the run has {word} in its command line"
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    wait_until(lambda: processes(home, word), f"{word} to be started again")
    wait_until(lambda: answers(address), f"MLflow to answer after {word} was killed", 120)


@pytest.mark.parametrize("stage", ["bootstrap", "platform"])
def test_an_up_again_that_is_interrupted_in_an_apply_loses_nothing(home: Home, stage: str) -> None:
    """Cf. `test_after_kill_9_in_any_phase_up_rebuilds_or_goes_on`, where nobody stops Terraform."""
    cloud, lab = run_record(home)["cloud"], home.path / "labs" / "02"
    lab.mkdir(parents=True, exist_ok=True)
    up = home.start_up()
    try:
        wait_until(lambda: run_record(home)["stage"] == stage, f"the apply of {stage}", 120)
        up.send_signal(signal.SIGINT)
        _, told = up.communicate(timeout=180)
    finally:
        up.kill()
    assert up.returncode == 130
    assert "up   (goes on)" in told
    assert run_record(home) == run_record(home) | {"cloud": cloud, "stage": "done"}
    assert lab.exists()
    lab.rmdir()
    lab.parent.rmdir()


def test_a_terminated_instance_is_replaced_and_serves_the_same_models(home: Home) -> None:
    ec2 = home.actors.client("train", "ec2")
    [before] = running(ec2)
    client(home.cloud, administrator(home.path), "ec2").terminate_instances(InstanceIds=[before])
    wait_until(lambda: [found for found in running(ec2) if found != before], "a new instance")
    result = home.up()
    assert result["results"]["predict"]["model_version"]
    assert answers(result["tracking_uri"])


def running(ec2: Any) -> list[str]:
    answer = ec2.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
    )
    return [
        instance["InstanceId"]
        for group in answer["Reservations"]
        for instance in group["Instances"]
    ]


@pytest.mark.last
def test_down_leaves_nothing(home: Home) -> None:
    assert leftovers.find(home.path)
    binary = find_binary(home.path)
    made = 0
    for stack in (platform_stack(home.actors, binary), bootstrap_stack(home.actors, binary)):
        stack.init()
        made += sum(".data." not in f".{address}" for address in stack.resources())
    done = home.keyless("down")
    assert done.returncode == 0, done.stderr[-3000:]
    assert not home.path.exists()
    assert leftovers.find(home.path) == []
    assert f"removed: {made} resources" in done.stdout


@pytest.fixture
def interrupted(fresh_home: Callable[[], Home]) -> Iterator[Home]:
    home = fresh_home()
    yield home
    done = home.keyless("down", "--now")
    assert done.returncode == 0, done.stderr
    assert not home.path.exists()


def applying(home: Home, action: str, stranger: object) -> bool:
    """Whether a cloud other than `stranger` runs, and Terraform has come to `action` in it."""
    with contextlib.suppress(OSError, ValueError):
        if run_record(home).get("cloud") != stranger:
            return f'"{action}"' in (home.path / "decisions.jsonl").read_text()
    return False


def run_record(home: Home) -> dict[str, Any]:
    """What `up` last noted about itself; empty before its first note."""
    try:
        found: dict[str, Any] = json.loads((home.path / RUN_FILE).read_text())
    except OSError:
        return {}
    return found


def kill_up(home: Home, up: subprocess.Popen[str]) -> None:
    del home
    up.kill()


def kill_terraform(home: Home, up: subprocess.Popen[str]) -> None:
    del up
    for process in processes(home, "terraform"):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def kill_cloud(home: Home, up: subprocess.Popen[str]) -> None:
    del up
    os.kill(home.cloud.pid, signal.SIGKILL)


@contextlib.contextmanager
def broken_off(home: Home) -> Iterator[subprocess.Popen[str]]:
    """An `up` that does not come to its end: it must notice, and end by itself."""
    up = home.start_up()
    try:
        yield up
        up.communicate(timeout=60)
        assert up.returncode != 0
    finally:
        up.kill()
        up.communicate()


@pytest.mark.last
@pytest.mark.timeout(1200)
def test_after_kill_9_in_any_phase_up_rebuilds_or_goes_on(interrupted: Home) -> None:
    """Each `up` meets what the kill before it left, and gets as far as its own."""
    stages: list[tuple[str, Callable[[Home, subprocess.Popen[str]], None]]] = [
        ("CreateBucket", kill_up),  # in the apply of bootstrap
        ("CreateDBInstance", kill_up),
        ("CreateDBInstance", kill_terraform),
        ("CreateDBInstance", kill_cloud),
    ]
    for action, kill in stages:
        before = run_record(interrupted).get("cloud")
        with broken_off(interrupted) as up:
            wait_until(functools.partial(applying, interrupted, action, before), action, 180)
            kill(interrupted, up)
    result = interrupted.up()
    assert result["results"]["predict"]["predicted"] > 0

    cloud = run_record(interrupted)["cloud"]
    log = interrupted.path / "logs" / "train.log"
    log.unlink()
    with broken_off(interrupted) as up:
        wait_until(log.exists, "the train step", 180)
        kill_up(interrupted, up)
    assert run_record(interrupted)["stage"] == "steps"
    result = interrupted.up()
    assert result["results"]["predict"]["predicted"] > 0
    assert run_record(interrupted)["cloud"] == cloud, "it was rebuilt; it should have gone on"


def test_nothing_is_written_outside_the_home(home: Home) -> None:
    written = [path for path in home.user.rglob("*") if path.is_file()]
    assert {path.name for path in written} <= {"config", "credentials"}
    assert not [path for path in (PROJECT / "terraform").rglob(".terraform") if newer(path, home)]


def newer(path: Path, home: Home) -> bool:
    """Whether the run, not a developer before it, made this."""
    return path.stat().st_ctime > home.user.stat().st_ctime
