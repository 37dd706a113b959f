"""A rollout on the local cloud from beginning to end, with made-up requests and outcomes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.model.artifacts import load_model
from pipeline.model.champion import ParameterRecords
from pipeline.outputs import parse_platform
from pipeline.rollouts.policies import Policies
from pipeline.settings import load_settings
from pipeline.storage import BucketStore
from scripts.aws.sealed import client
from scripts.console import UserError
from scripts.files import write_private
from scripts.local_run.actors import Actors
from scripts.local_run.flow import STEP_ENVIRONMENT
from scripts.local_run.traffic import Pool, Traffic, pool
from scripts.localcloud.elb.balancers import FILE
from scripts.localcloud.home import administrator
from scripts.names import job_role, platform_parameter
from scripts.server.idle_set import way_to_idle_set
from scripts.server.sessions import CONNECT_SECONDS, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.model.champion import Champion, PinnedFile
    from pipeline.outputs import Platform, Serving
    from pipeline.rollouts.policy import TrafficPolicy
    from scripts.localcloud.home import Cloud

ROLE = "rollout"
_DEMO = "a demo"
READY_SECONDS = 300
ROWS = 400
# Small steps and short waits: minutes, where a real rollout takes hours.
SETTINGS = """
[rollout]
sticky_header = "X-Unit"

[rollout.guards]
slow_ms = 5000

[rollout.champion_challenger]
min_feedback = 300
hold_seconds = 0

[rollout.canary]
steps = [
  { share = 0.1, hold_seconds = 2, min_requests = 50 },
  { share = 0.5, hold_seconds = 2, min_requests = 100 },
  { share = 1.0, hold_seconds = 40, min_requests = 500 }, # longer than outcomes take to come back
]

[rollout.ab]
effect = 0.2

[rollout.blue_green]
replayed = 50
bake_seconds = 40 # as above
min_requests = 500
"""


@dataclass(frozen=True)
class Played:
    """How it ended, how many requests were answered, and what came of each that was not."""

    phase: str
    why: str
    requests: int
    failures: list[str]


class Demo:
    """Plays rollouts in one environment of a local cloud with model servers."""

    def __init__(self, cloud: Cloud, environment: str, project: Path) -> None:
        self._cloud, self._environment, self._project = cloud, environment, project
        self._actors = Actors(cloud, environment, project)
        self._folder = cloud.home / "rollout"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._own_run = self._folder / "challenger-run"

    def play(self, strategy: str, challenger: Literal["good", "bad"], page: Path) -> Played:
        """Find a challenger, start the rollout, send traffic until the controller has ended it."""
        settings = self._settings()
        address = self._await_servers()
        self._end_what_is_left(settings)
        found = self._challenger(settings)
        why = f"{_DEMO} with a {challenger} challenger"
        self._verb(settings, "start", "--strategy", strategy, "--why", why, *found)
        policy = self._policy()
        assert policy is not None
        write_private(self._own_run, policy.challenger.run_id.encode())
        rows = self._pool(settings, policy)
        with (
            Traffic(address, self._cloud.ca_bundle, rows, truth=challenger) as traffic,
            way_to_idle_set(self._client, self._serving) as idle,
        ):
            self._verb(settings, "watch", "--every", "1", "--page", str(page), "--idle", idle)
        ended = self._policy()
        assert ended is not None
        return Played(ended.phase, ended.why, traffic.answered, traffic.failures)

    # what there is

    @cached_property
    def _platform(self) -> Platform:
        ssm = client(self._cloud, administrator(self._cloud.home), "ssm")
        name = platform_parameter(self._environment)
        value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        return parse_platform(value, origin=f"the SSM parameter {name}")

    @property
    def _serving(self) -> Serving:
        found = self._platform.serving
        if found is None:
            raise UserError(
                "The local cloud has no model servers", fix="keyless up --model-servers"
            )
        return found

    def _client(self, service: str) -> Any:
        return self._actors.client(ROLE, service)

    @cached_property
    def _store(self) -> BucketStore:
        s3 = client(self._cloud, administrator(self._cloud.home), "s3")
        return BucketStore(self._platform.artifact_store.bucket, s3)

    def _policies(self) -> Policies:
        prefix = f"{self._platform.artifact_store.prefixes.rollouts}{self._serving.model}"
        return Policies(self._store, prefix)

    def _policy(self) -> TrafficPolicy | None:
        seen = self._policies().read()
        return seen.policy if seen else None

    def _await_servers(self) -> str:
        """The load balancer's address on this machine, once a server behind it is ready."""
        import requests

        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            ports = _ports(self._cloud.home / FILE).get(self._serving.address, {})
            if port := ports.get("443"):
                address = f"https://127.0.0.1:{port}"
                try:
                    answer = requests.get(
                        f"{address}/ready", verify=str(self._cloud.ca_bundle), timeout=10
                    )
                    if answer.status_code == 200:
                        return address
                except requests.RequestException:
                    pass
            time.sleep(0.2)
        raise UserError(
            "No model server is ready",
            why=f"none behind {self._serving.address} answered within {READY_SECONDS} s",
            fix=f"read the logs in {self._cloud.home}/instances",
        )

    # settings

    def _settings(self) -> Path:
        """The project's settings with a short rollout."""
        own = self._project / "pipeline" / "pipeline.toml"
        text = own.read_text(encoding="utf-8")
        file = self._folder / "pipeline.toml"
        write_private(file, (text + SETTINGS).encode())
        return file

    def _challenger(self, settings: Path) -> list[str]:
        """Options of `start`: the challenger of the last demo, or none after one was trained."""
        last, champion = self._policy(), self._champion()
        own = self._own_run.read_text() if self._own_run.exists() else None
        if (
            last is not None
            and last.challenger.run_id == own
            and last.champion_sequence == champion.sequence
        ):
            return ["--challenger", last.challenger.model_version]
        self._step("train", ["--settings", str(self._trained(settings, champion))], "train")
        return []

    def _champion(self) -> Champion:
        parameters = self._platform.parameters
        ssm = client(self._cloud, administrator(self._cloud.home), "ssm")
        records = ParameterRecords(f"{parameters.champion_prefix}{self._serving.model}", ssm)
        champion = records.read()[0]
        if champion is None:
            raise UserError("There is no champion to compare with", fix="keyless up")
        return champion

    def _trained(self, settings: Path, champion: Champion) -> Path:
        """Settings by which the challenger is of another family than the champion."""
        model, _ = load_model(self._store, champion.files, self._types(settings))
        kind = type(model.steps[-1][1]).__name__
        family = "linear" if "Forest" in kind or "Boosting" in kind else "random_forest"
        lines = [
            f'families = ["{family}"]'
            if line.startswith("families")
            else "trials = 1"
            if line.startswith("trials")
            else line
            for line in settings.read_text(encoding="utf-8").splitlines()
        ]
        file = self._folder / "challenger.toml"
        write_private(file, "\n".join(lines).encode())
        return file

    def _types(self, settings: Path) -> list[str]:
        from pipeline.model import families

        return [*families.trusted_types(), *load_settings(settings).serialization.trusted_types]

    def _pool(self, settings: Path, policy: TrafficPolicy) -> Pool:
        """Rows about which both models often differ, with what each says of them."""
        types = self._types(settings)
        old, facts = load_model(self._store, self._champion().files, types)
        files: Mapping[str, PinnedFile] = policy.challenger.files
        new, _ = load_model(self._store, files, types)
        return pool(old, new, facts.contract, ROWS)

    # steps, each by its own role

    def _end_what_is_left(self, settings: Path) -> None:
        """Of a demo that was killed. Raises UserError while somebody's rollout is under way."""
        policy = self._policy()
        if policy is None or not policy.live:
            return
        versions = self._policies().history()
        own = [one for one in versions if one.experiment == policy.experiment] or [policy]
        if not min(own, key=lambda one: one.version).why.startswith(_DEMO):
            raise UserError(
                f"A rollout is under way: {policy.strategy.kind}, version {policy.version}",
                why="a demo would end it",
                fix='keyless rollout abort --why "...", or wait until it has ended',
            )
        self._verb(settings, "abort", "--why", "another demo begins")

    def _verb(self, settings: Path, *arguments: str) -> None:
        verb, *rest = arguments
        self._step("rollouts", [verb, "--settings", str(settings), *rest], ROLE)

    def _step(self, module: str, arguments: list[str], role: str) -> None:
        with self._session(role) as tracking:
            environment = self._actors.process_environment(
                role,
                {
                    **STEP_ENVIRONMENT,
                    "KEYLESS_PLATFORM": self._platform.model_dump_json(),
                    "MLFLOW_TRACKING_URI": tracking,
                },
            )
            command = [sys.executable, "-m", f"pipeline.{module}", *arguments]
            done = subprocess.run(command, cwd=self._project, env=environment, check=False)
        if done.returncode != 0:
            raise UserError(f"{module} {' '.join(arguments[:1])} failed: see above")

    @contextmanager
    def _session(self, role: str) -> Iterator[str]:
        document = self._platform.sessions.documents[job_role(role).session or ""]
        with open_session(
            lambda name: self._actors.client(role, name),
            document,
            self._platform.mlflow.instance_tags,
            wait_seconds=CONNECT_SECONDS,
        ) as session:
            yield f"http://{session.host}:{session.port}"


def _ports(file: Path) -> Mapping[str, Mapping[str, int]]:
    try:
        found: Mapping[str, Mapping[str, int]] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found
