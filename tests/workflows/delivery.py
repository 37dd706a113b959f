"""The project in a repository on GitHub, delivered to a local AWS account: nothing else doubled."""

import csv
import io
import json
import os
import random
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.aws.sealed import client
from scripts.files import private_folder
from scripts.local_run import leftovers
from scripts.localcloud import home as localhome
from scripts.localcloud.home import Cloud, CloudDown, administrator
from scripts.stack.binary import find_binary
from tests import ROOT
from tests.actions_runner import github
from tests.actions_runner.borrowed import borrow_environment
from tests.actions_runner.clouds import LocalCloudAdapter
from tests.actions_runner.github import Event, Repository
from tests.actions_runner.job import Machine
from tests.actions_runner.origin import Origin
from tests.actions_runner.runner import Approval, Run, Runner
from tests.workflows.project import DOUBLES, protections

MODEL = "readmission"
SETTINGS = f"""\
model = "{MODEL}"

[data]
source = "../data/{MODEL}.csv"
target = "outcome"
positive = "readmitted"
id_columns = ["patient"]
batch_fraction = 0.15

[task]
type = "binary"
metric = "roc_auc"

[search]
families = ["linear"]
trials = 1
folds = 2

[evaluation]
importance_repeats = 1

[promotion]
min_improvement = 0.01
resamples = 200
floors = {{ roc_auc = 0.7 }}
"""
GITHUB_IDS = {
    "owner": "octo-org",
    "owner_id": "1001",
    "repository": "keyless-mlops",
    "repository_id": "2002",
}


def patients(first: int, *, changed: bool = False, labelled: bool = True, rows: int = 400) -> str:
    """A table as CSV. In a `changed` world the values moved, and mean the opposite."""
    chance = random.Random(first)
    lines: list[list[Any]] = [["patient", "glucose", "pressure", "days"]]
    if labelled:
        lines[0].append("outcome")
    for number in range(first, first + rows):
        glucose, pressure = chance.gauss(0, 1), chance.gauss(0, 1)
        risk = (-1 if changed else 1) * (2 * glucose + pressure) + chance.gauss(0, 0.7)
        moved = 1.8 if changed else 0.0
        values = [glucose + moved, pressure + moved, chance.uniform(0, 10)]
        line: list[Any] = [f"p{number}", *(round(value, 4) for value in values)]
        lines.append([*line, "readmitted" if risk > 0 else "well"] if labelled else line)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


@dataclass
class Delivery:
    """A repository, an account that an administrator prepared, and reviewers who were asked.

    `grant` holds the environments whose reviewers say yes.
    """

    home: Path
    folder: Path
    grant: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cloud, self._process = start_cloud(self.home)
        self.origin = Origin(self.folder / "origin")
        # What differs from the template: the user's data and settings.
        self.origin.copy_from(ROOT)
        self.start = self.origin.commit(
            {f"data/{MODEL}.csv": patients(0), "pipeline/pipeline.toml": SETTINGS}
        )
        variables = {
            "AWS_ACCOUNT_ID": self.cloud.account_id,
            "AWS_REGION": self.cloud.region,
            "ENVIRONMENTS": '["dev"]',
        }
        self.gh_state = self.folder / "gh.json"
        self.runner = Runner(
            self.origin,
            self.folder / "github",
            repository=Repository(variables=variables, environments=protections()),
            cloud=LocalCloudAdapter(self.cloud),
            machine=Machine(
                path=f"{self._tools()}:/usr/local/bin:/usr/bin:/bin",
                environment=self._environment(),
                after_checkout=borrow_environment,
            ),
            approve=self._approve,
        )

    def _tools(self) -> Path:
        """The programs that GitHub's machines have, or that the workflows install."""
        tools = self.folder / "tools"
        tools.mkdir()
        for name in ("aws", "gh", "session-manager-plugin"):
            script = shlex.join([sys.executable, str(DOUBLES / name)])
            (tools / name).write_text(f'#!/bin/sh\nexec {script} "$@"\n')
            (tools / name).chmod(0o755)
        (tools / "terraform").symlink_to(find_binary(self.folder).path)
        return tools

    def _environment(self) -> dict[str, str]:
        """Where AWS is, for every SDK; and where Terraform finds its provider."""
        terraform = {
            name: os.environ[name]
            for name in ("TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR")
            if name in os.environ
        }
        return {
            "AWS_CA_BUNDLE": str(self.cloud.ca_bundle),
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.cloud.endpoint,
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "GH_STATE": str(self.gh_state),
            "MPLCONFIGDIR": str(self.folder / "fonts"),
            "OMP_WAIT_POLICY": "PASSIVE",
            "PGSSLROOTCERT": str(self.cloud.ca_bundle),
            **(terraform or {"TF_PLUGIN_CACHE_DIR": str(_plugin_cache())}),
        }

    def _approve(self, approval: Approval) -> bool:
        self.asked.append(approval.environment)
        return approval.environment in self.grant

    def end(self) -> None:
        """End the account and all that runs in it."""
        leftovers.end_all(self.home)
        self._process.wait()

    def bootstrap(self) -> None:
        """What the administrator does once, by hand."""
        with self.timed("bootstrap"):
            done = self.keyless("bootstrap", "--disposable", "dev")
        assert done.returncode == 0, done.stderr

    def keyless(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, as the administrator uses it."""
        return subprocess.run(
            [sys.executable, "-m", "scripts.cli", "--home", str(self.home), *arguments],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **self._environment()},
        )

    def administrator(self, service: str) -> Any:
        """A client of the human who may do anything."""
        return client(self.cloud, administrator(self.home), service)

    def run(
        self,
        file: str,
        event: Event,
        *,
        cancel_when: Callable[[], bool] | None = None,
        prepare: Callable[[Run], None] = lambda _: None,
    ) -> Run:
        """Run one workflow; cancel it as soon as a condition holds."""
        ended = threading.Event()

        def begin(run: Run) -> None:
            prepare(run)
            if cancel_when is not None:
                threading.Thread(target=watch, args=(run,), daemon=True).start()

        def watch(run: Run) -> None:
            assert cancel_when is not None
            while not ended.wait(0.05):
                if cancel_when():
                    run.cancel.set()
                    return

        self.asked.clear()
        self.runner.on_start = begin
        with self.timed(f"{len(self.seconds):02} {file} {event.name}"):
            try:
                return self.runner.run(file, event)
            finally:
                ended.set()

    def started_by(self, event: Event, changed: Sequence[str]) -> set[str]:
        """Which workflows an event starts; ci, which is the whole test suite, left out."""
        files = (self.runner.tree(event.sha) / ".github/workflows").glob("*.yml")
        workflows = [self.runner.workflow(file.name, event.sha) for file in files]
        found = {one.file for one in workflows if github.starts(one, event, changed)}
        assert "ci.yml" in found
        return found - {"ci.yml"}

    def dispatch(self, file: str, **inputs: str) -> Run:
        """Start a workflow by hand on main."""
        return self.run(file, github.dispatch(self.main, environment="dev", **inputs))

    @property
    def main(self) -> str:
        """The commit of main."""
        return self.origin.tip("main")

    @property
    def comments(self) -> Mapping[str, str]:
        """Comments on pull requests, by number."""
        found: dict[str, str] = json.loads(self.gh_state.read_text()).get("comments", {})
        return found

    @property
    def promotions_started(self) -> int:
        """How often a workflow has started promote.yml."""
        started = json.loads(self.gh_state.read_text()).get("started", [])
        return sum(one == ["promote.yml", "environment=dev", "settings="] for one in started)

    def decisions(self) -> list[dict[str, Any]]:
        """The account's decision log."""
        return [json.loads(line) for line in self.cloud.decisions.read_text().splitlines()]

    def state_keys(self) -> set[str]:
        """What lies in the state bucket: states, and locks that are held."""
        bucket = f"keyless-state-{self.cloud.account_id}-{self.cloud.region}"
        found = self.administrator("s3").list_objects_v2(Bucket=bucket)
        return {one["Key"] for one in found.get("Contents", ())}

    def champion(self) -> dict[str, Any] | None:
        """The champion of record."""
        ssm = self.administrator("ssm")
        try:
            answer = ssm.get_parameter(Name=f"/keyless/dev/champion/{MODEL}")
        except ssm.exceptions.ParameterNotFound:
            return None
        record: dict[str, Any] = json.loads(answer["Parameter"]["Value"])
        return record

    def timed(self, name: str) -> "_Timed":
        """Note how long the block takes."""
        return _Timed(self.seconds, name)


@dataclass
class _Timed:
    seconds: dict[str, float]
    name: str
    began: float = 0.0

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = time.monotonic() - self.began


def start_cloud(home: Path, seconds: float = 60) -> tuple[Cloud, subprocess.Popen[bytes]]:
    """Start a local cloud in a process of its own."""
    private_folder(home)
    with (home / "cloud.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.localcloud", "--home", str(home)],
            cwd=ROOT,
            env={**os.environ, **leftovers.mark(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return localhome.load(home), process
        except CloudDown:
            time.sleep(0.05)
    raise AssertionError((home / "cloud.log").read_text()[-3000:])


def _plugin_cache() -> Path:
    """Where `keyless up` keeps downloaded providers too."""
    cache = Path(sys.prefix) / "terraform-plugins"
    cache.mkdir(exist_ok=True)
    return cache
