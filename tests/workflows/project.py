"""The project's own workflows on a runner whose commands are doubles: fast, without a cloud."""

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.actions_runner.clouds import TrustCloud
from tests.actions_runner.github import Protection, Repository
from tests.actions_runner.job import Machine
from tests.actions_runner.origin import Origin
from tests.actions_runner.runner import Approval, Run, Runner
from tests.workflows.trusts import ACCOUNT, ROLES, trusts

DOUBLES = Path(__file__).with_name("doubles")


def protections() -> dict[str, Protection]:
    """The environments of dev and prod as `keyless github-setup` makes them."""
    return {
        name: Protection(reviewers=role.reviewers)
        for environment in ("dev", "prod")
        for role in ROLES.values()
        if (name := role.github_environment(environment)) is not None
    }


VARIABLES = {
    "AWS_ACCOUNT_ID": ACCOUNT,
    "AWS_REGION": "us-east-1",
    "ENVIRONMENTS": '["dev", "prod"]',
}
REPOSITORY = Repository(variables=VARIABLES, environments=protections())
RESULTS: dict[str, dict[str, Any]] = {
    "ingest": {
        "step": "ingest",
        "model": "breast-cancer",
        "source": "sklearn:breast_cancer",
        "raw_sha256": "0" * 64,
        "rows": {"train": 410, "holdout": 102},
        "features": 30,
        "keys": {"train": "data/train/part.parquet"},
        "notes": [],
    },
    "train": {
        "step": "train",
        "model": "breast-cancer",
        "model_version": "2",
        "run_id": "4f0c",
        "reused": False,
        "metric": "roc_auc",
        "cv_value": 0.991,
        "parameters": {"family": "linear", "strength": 0.1},
    },
    "promote": {
        "step": "promote",
        "model": "breast-cancer",
        "verdict": "promote",
        "sentence": "better by 0.01",
        "decision_key": "decisions/breast-cancer/changes/000002.json",
        "champion_version": "2",
        "metric": "roc_auc",
        "holdout_value": 0.99,
        "evaluation": {
            "comparison": {
                "metric": "roc_auc",
                "challenger": {"value": 0.99, "low": 0.97, "high": 1.0},
                "champion": {"value": 0.98, "low": 0.96, "high": 0.995},
                "improvement": {"value": 0.01, "low": 0.004, "high": 0.016},
            }
        },
    },
    "predict": {
        "step": "predict",
        "model": "breast-cancer",
        "alias_disagreement": None,
        "overwritten": [],
        "output": "s3://artifacts/predictions/part.parquet",
        "schema_version": 1,
        "model_version": "2",
        "run_id": "4f0c",
        "champion_sequence": 2,
        "input": "data/inputs/sample.parquet",
        "input_sha256": "0" * 64,
        "date": "2026-11-28",
        "rows": 57,
        "predicted": 57,
        "rejected": 0,
        "unseen_categories": {},
        "contract": {},
        "positive": 1,
        "reference": None,
        "manifest": "predictions/_manifests/part.json",
        "predictions": "predictions/part.parquet",
        "rejects": None,
    },
    "monitor": {
        "step": "monitor",
        "model": "breast-cancer",
        "model_version": "2",
        "date": "2026-11-28",
        "retrain": False,
        "performance": None,
        "drift": {
            "inputs": [
                {"column": "mean_radius", "distance": 0.1, "measure": "ks", "drifted": False},
                {"column": "a|b@c", "distance": 0.41, "measure": "ks", "drifted": True},
            ],
            "predictions": [],
        },
    },
    "rollback": {
        "step": "rollback",
        "model": "breast-cancer",
        "champion_version": "1",
        "replaced_version": "2",
        "sequence": 3,
        "reason": "worse in use",
    },
}


@dataclass
class Project:
    """A repository with the project's workflows, its runner, and what the doubles will answer."""

    folder: Path
    settings: Repository = REPOSITORY
    script: dict[str, Any] = field(
        default_factory=lambda: {
            "summary": "# Plan\n1 to add\n",
            "changes": [{"address": "aws_s3_bucket.artifacts", "action": "create"}],
            "digest": "3f9a" * 16,
            "results": {name: {**result} for name, result in RESULTS.items()},
        }
    )
    approved: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.origin = Origin(self.folder / "origin")
        shutil.copytree(ROOT / ".github", self.origin.folder / ".github")
        (self.origin.folder / "terraform").mkdir()
        files = {
            "terraform/main.tf": "# platform\n",
            "scripts/pulumi_platform/Pulumi.yaml": "---\n",
        }
        self.commit = self.origin.commit(files)
        self.cloud = TrustCloud(trusts(self.settings))
        self.double = self.folder / "double.json"
        self.gh_state = self.folder / "gh.json"
        tools = self.folder / "tools"
        tools.mkdir()
        for name in ("gh", "make", "pulumi"):
            shutil.copy2(DOUBLES / name, tools)
        (tools / "terraform").symlink_to("/bin/true")
        # No link: behind one, Python would not find its environment.
        python = tools / "python3"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        self.runner = Runner(
            self.origin,
            self.folder / "github",
            repository=self.settings,
            cloud=self.cloud,
            machine=Machine(
                path=f"{tools}:/usr/local/bin:/usr/bin:/bin",
                environment={
                    "KEYLESS_DOUBLE": str(self.double),
                    "GH_STATE": str(self.gh_state),
                    "PGSSLROOTCERT": "/dev/null",
                },
                after_checkout=self._install,
            ),
            approve=self._approve,
            on_start=self._start,
        )

    def _start(self, _: Run) -> None:
        self.double.write_text(json.dumps(self.script))

    def _install(self, workspace: Path) -> None:
        programs = workspace / ".venv/bin"
        programs.mkdir(parents=True)
        for name in ("keyless", "python"):
            (programs / name).symlink_to(DOUBLES / name)

    def _approve(self, approval: Approval) -> bool:
        self.approved.append(approval.environment)
        return approval.environment not in self.refuse

    @property
    def gh(self) -> dict[str, Any]:
        """What the `gh` double remembers."""
        found: dict[str, Any] = json.loads(self.gh_state.read_text())
        return found

    def sessions(self, run: Run) -> list[str]:
        """Roles that a run's jobs assumed, in order, without the prefix."""
        lines = [line for job in run.jobs.values() for line in job.log.splitlines()]
        return [
            line.rpartition("/keyless-")[2] for line in lines if line.startswith("Assumed arn:")
        ]
