"""prod and those who work in it, for the tests that go from bootstrap to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.account import image
from scripts.aws.credentials import Credentials
from scripts.aws.sealed import client
from scripts.local_run.actors import Actors
from scripts.localcloud.home import Cloud, administrator
from tests.e2e.conftest import PROJECT, Home
from tests.e2e.inventory import standing


@dataclass
class Prod:
    """An AWS account and those who work in it, each with credentials and a machine of their own.

    `keyless` is used as on AWS: by the caller's credentials in the environment.
    """

    home: Home
    cloud: Cloud
    actors: Actors
    printed: list[str] = field(default_factory=list)
    seconds: list[tuple[str, float]] = field(default_factory=list)

    def credentials(self, who: str) -> Credentials:
        """The administrator's session, or that of a role of prod through its GitHub job."""
        if who == "administrator":
            return administrator(self.home.path)
        return self.actors.credentials(who)

    def client(self, who: str, service: str) -> Any:
        return client(self.cloud, self.credentials(who), service)

    def admin(self, service: str) -> Any:
        return self.client("administrator", service)

    def machine(self, who: str) -> Path:
        """The administrator's laptop, or the runner of the delivery jobs."""
        return self.home.user / ("laptop" if who == "administrator" else "runner")

    def keyless(
        self, who: str, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `keyless ARGUMENTS` as `who`; `variables` are Terraform's, as TF_VAR_*."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "TF_VAR_", "XDG_", "GITHUB_"))
        }
        environment = kept | self.credentials(who).environment()
        environment |= {f"TF_VAR_{name}": value for name, value in variables.items()}
        environment |= {
            "AWS_CA_BUNDLE": str(self.cloud.ca_bundle),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.cloud.endpoint,
            "AWS_REGION": self.cloud.region,
            "HOME": str(self.home.user),
            "KEYLESS_AWS": "1",
            "KEYLESS_ENVIRONMENT": "prod",
            "KEYLESS_GITHUB": "octo-org@1001/keyless-mlops@2002",
            "TF_VAR_image": json.dumps(image.newest(self.admin, self.cloud.region).variable()),
        }
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "scripts.cli", "--home", str(self.machine(who)), *arguments],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        self.printed += [done.stdout, done.stderr]
        command = f"{who}: keyless {' '.join(arguments)}"
        self.seconds.append((command, time.monotonic() - started))
        return done

    def well(self, who: str, *arguments: str, **variables: str) -> str:
        """The same, having seen it succeed; returns its standard output."""
        done = self.keyless(who, *arguments, **variables)
        assert done.returncode == 0, f"{done.stderr[-6000:]}\n{self.home.log_tail()}"
        return done.stdout

    def plan(self, who: str = "plan-main", **variables: str) -> dict[str, Any]:
        """Plan; returns the changes by address."""
        changes = self.home.user / "changes.json"
        self.well(who, "plan", "--changes", str(changes), **variables)
        return {change["address"]: change for change in json.loads(changes.read_text())}

    def standing(self) -> set[tuple[str, str]]:
        return standing(self.admin, self.cloud.account_id)

    def bucket(self, kind: str) -> str:
        name = "keyless-state" if kind == "state" else f"keyless-prod-{kind}"
        return f"{name}-{self.cloud.account_id}-{self.cloud.region}"

    def versions(self, kind: str) -> list[dict[str, Any]]:
        """Versions and delete markers of a bucket."""
        pages = self.admin("s3").get_paginator("list_object_versions")
        return [
            version
            for page in pages.paginate(Bucket=self.bucket(kind))
            for part in ("Versions", "DeleteMarkers")
            for version in page.get(part, ())
        ]

    def denied(self) -> list[dict[str, Any]]:
        return [entry for entry in self.home.decisions() if not entry["allowed"]]

    def database(self) -> dict[str, Any]:
        [found] = self.admin("rds").describe_db_instances()["DBInstances"]
        return dict(found)
