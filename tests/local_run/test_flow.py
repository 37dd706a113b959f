"""What `up` decides before it works: one at a time, and whether to go on or rebuild."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.console import Phases, UserError
from scripts.iam.account.decision_log import PROBE_AGENT, Record
from scripts.local_run import leftovers
from scripts.local_run.flow import RUN_FILE, Flow, exclusive
from scripts.local_run.summary import Summary
from scripts.localcloud.home import Cloud


def cloud(home: Path, started: float = 100.0) -> Cloud:
    return Cloud(
        home=home,
        endpoint="https://127.0.0.1:1",
        plain_endpoint="http://127.0.0.1:1",
        ca_bundle=home / "ca.pem",
        region="us-east-1",
        account_id="123456789012",
        pid=1,
        started=started,
        issuer_key="",
    )


@pytest.mark.parametrize(
    ("record", "interrupted"),
    [
        ({"cloud": 100.0, "stage": "done"}, False),
        ({"cloud": 100.0, "stage": "steps"}, False),
        ({"cloud": 100.0, "stage": "platform"}, True),
        ({"cloud": 100.0, "stage": "bootstrap"}, True),
        ({"cloud": 99.0, "stage": "done"}, True),
        (None, True),
    ],
)
def test_only_an_interrupted_apply_means_a_rebuild(
    tmp_path: Path, record: dict[str, object] | None, interrupted: bool
) -> None:
    if record is not None:
        (tmp_path / RUN_FILE).write_text(json.dumps(record))
    assert Flow(tmp_path, Phases())._interrupted(cloud(tmp_path)) is interrupted


@pytest.mark.parametrize(
    ("by_itself", "stage"),
    [
        pytest.param(True, "done", id="Terraform stopped and wrote its state"),
        pytest.param(False, "platform", id="somebody killed Terraform"),
    ],
)
@pytest.mark.parametrize("failure", [KeyboardInterrupt, UserError("no")])
def test_an_apply_that_ends_by_itself_leaves_the_platform_in_no_doubt(
    tmp_path: Path, by_itself: bool, stage: str, failure: BaseException | type[BaseException]
) -> None:
    flow = Flow(tmp_path, Phases())
    flow._note(cloud=100.0, stage="done")
    phase = SimpleNamespace(event=lambda _: None)

    def broken_off(_: object) -> None:
        assert flow._noted()["stage"] == "platform"  # whoever kills us now leaves this
        raise failure

    stack = SimpleNamespace(
        name="platform", init=lambda: None, apply=broken_off, ended_by_itself=by_itself
    )
    with pytest.raises((KeyboardInterrupt, UserError)):
        flow._apply(stack, phase)  # type: ignore[arg-type]
    assert flow._noted()["stage"] == stage


def test_a_second_run_in_the_same_home_is_refused(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(UserError, match="another"), exclusive(tmp_path):
        pass


def test_the_home_is_free_again_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyError), exclusive(tmp_path):
        raise KeyError
    with exclusive(tmp_path):
        pass


@pytest.mark.parametrize("aborted_first", [False, True])
def test_a_failed_apply_ends_the_wait_for_a_server_that_will_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aborted_first: bool
) -> None:
    real = subprocess.Popen

    def waiting(command: list[str], **options: Any) -> subprocess.Popen[str]:
        assert command[-3:] == ["database", "--environment", "dev"]
        return real([sys.executable, "-c", "import time; time.sleep(600)"], **options)

    monkeypatch.setattr(subprocess, "Popen", waiting)
    flow = Flow(tmp_path, Phases())
    flow.actors = SimpleNamespace(marked_environment=lambda *_: dict(os.environ))  # type: ignore[assignment]
    flow._database_role.set()
    if aborted_first:
        flow._abort()
    with ThreadPoolExecutor(max_workers=1) as pool:
        database = pool.submit(flow._create_database)
        deadline = time.monotonic() + 30
        while not flow._beside and time.monotonic() < deadline:
            time.sleep(0.01)
        flow._abort()
        with pytest.raises(UserError, match="database failed"):
            database.result(timeout=30)


def test_wiping_removes_what_is_in_the_home_and_nothing_behind_its_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (home / "file").touch()
    (home / "link").symlink_to(outside)
    leftovers.wipe(home)
    assert list(home.iterdir()) == []
    assert (outside / "kept").exists()


def test_a_new_cloud_leaves_running_labs_alone(tmp_path: Path) -> None:
    lab = tmp_path / leftovers.LABS / "02"
    lab.mkdir(parents=True)
    (lab / "cloud.json").touch()
    (tmp_path / "run.json").touch()
    leftovers.wipe(tmp_path, spare=leftovers.LABS)
    assert list(tmp_path.iterdir()) == [lab.parent]
    assert (lab / "cloud.json").exists()


def decision(role: str, action: str, *, allowed: bool = False, agent: str = "Boto3") -> str:
    record = Record(
        time=0.0, request_id="r", principal="p", role=role, service="s3", operation="Get",
        action=action, resource="*", allowed=allowed, keys={"aws:UserAgent": (agent,)},
    )  # fmt: skip
    return json.dumps(asdict(record))


def test_denials_that_are_no_probes_are_unexpected(tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    earlier = decision("old", "s3:GetObject") + "\n"
    lines = [
        decision("train", "s3:PutObject", allowed=True),
        decision("train", "s3:DeleteObject"),
        decision("predict", "ssm:StartSession", agent=f"Boto3 {PROBE_AGENT}"),
    ]
    log.write_text(earlier + "\n".join(lines) + "\n")
    summary = Summary()
    summary.count_decisions(log, len(earlier))
    assert (summary.allowed, len(summary.denied)) == (1, 2)
    assert dict(summary.unexpected) == {("train", "s3:DeleteObject"): 1}
