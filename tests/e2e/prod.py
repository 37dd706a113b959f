"""prod and those who work in it, for the tests that go from bootstrap to nothing."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.aws.sealed import client
from scripts.local_run.actors import Actors
from scripts.localcloud.home import Cloud, administrator
from scripts.stack.binary import find_binary
from tests.e2e.conftest import PROJECT, Home
from tests.e2e.inventory import standing
from tests.workflows.project import DOUBLES

CHECKED_OUT = ("pipeline", "scripts", "terraform")
ASK_FIRST = {"apply", "bootstrap", "database", "destroy"}
"""Verbs that ask a person before they change an account."""


@dataclass
class Prod:
    """An AWS account and those who work in it, each with credentials and a machine of their own.

    `keyless` is used as on AWS: by the caller's credentials in the environment, without the local
    issuer, and in a checkout in which it may pin images.
    """

    home: Home
    cloud: Cloud
    actors: Actors
    printed: list[str] = field(default_factory=list)
    seconds: list[tuple[str, float]] = field(default_factory=list)
    typed: set[str] = field(default_factory=set)
    """Commands of the docs that a person has run."""

    @cached_property
    def devs(self) -> Actors:
        """The roles of dev, in the same account."""
        return Actors(self.cloud, "dev", PROJECT)

    @property
    def project(self) -> Path:
        """The checkout, made when it is first asked for."""
        folder = self.home.user / "keyless-mlops"
        if not folder.exists():
            skipped = shutil.ignore_patterns(".terraform", "__pycache__", "*.image.tfvars.json")
            for name in CHECKED_OUT:
                shutil.copytree(PROJECT / name, folder / name, ignore=skipped)
            for path in PROJECT.iterdir():
                if path.is_file():
                    shutil.copy(path, folder)
        return folder

    @property
    def programs(self) -> Path:
        """A folder for PATH with doubles of the AWS CLI and its session plugin."""
        folder = self.home.user / "bin"
        folder.mkdir(exist_ok=True)
        for name in ("aws", "session-manager-plugin"):
            script = folder / name
            if not script.exists():
                words = shlex.join([sys.executable, str(DOUBLES / name)])
                script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
                script.chmod(0o755)
        return folder

    def credentials(self, who: str) -> Credentials:
        """The administrator's session, or that of a role through its GitHub job.

        `train` is prod's role, `dev:train` dev's.
        """
        if who == "administrator":
            return administrator(self.home.path)
        if who.startswith("dev:"):
            return self.devs.credentials(who.removeprefix("dev:"))
        return self.actors.credentials(who)

    def sign_in_again(self) -> None:
        """Forget the roles' sessions: they end with a role, also where it is made once more."""
        self.actors = Actors(self.cloud, "prod", PROJECT)
        self.devs = Actors(self.cloud, "dev", PROJECT)

    def client(self, who: str, service: str) -> Any:
        return client(self.cloud, self.credentials(who), service)

    def admin(self, service: str) -> Any:
        return self.client("administrator", service)

    def machine(self, who: str) -> Path:
        """The administrator's laptop, or the runner of the delivery jobs."""
        return self.home.user / ("laptop" if who == "administrator" else "runner")

    def keyless(
        self, who: str, *arguments: str, typed: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `keyless ARGUMENTS` as `who`; `variables` are Terraform's, as TF_VAR_*.

        `typed` goes to standard input, which is empty without it.
        """
        environment = self.environment(who)
        environment |= {f"TF_VAR_{name}": value for name, value in variables.items()}
        command = [sys.executable, "-m", "scripts.cli", "--home", str(self.machine(who))]
        told = f"{who}: keyless {' '.join(arguments)}"
        return self._run(told, [*command, *arguments], environment, typed)

    def environment(self, who: str) -> dict[str, str]:
        """The environment of a shell after somebody signed in, with the programs of a machine."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "TF_VAR_", "XDG_", "GITHUB_"))
        }
        return {
            **kept,
            **self.credentials(who).environment(),
            "AWS_CA_BUNDLE": str(self.cloud.ca_bundle),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.cloud.endpoint,
            "AWS_DEFAULT_REGION": self.cloud.region,
            "AWS_REGION": self.cloud.region,
            "HOME": str(self.home.user),
            "KEYLESS_AWS": "1",
            "KEYLESS_ENVIRONMENT": "prod",
            "KEYLESS_GITHUB": "octo-org@1001/keyless-mlops@2002",
            "PATH": f"{self.programs}:{os.environ['PATH']}",
        }

    def _run(
        self, told: str, command: list[str], environment: dict[str, str], typed: str | None
    ) -> subprocess.CompletedProcess[str]:
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.project,
            env=environment,
            input=typed or "",
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        self.printed += [done.stdout, done.stderr]
        self.seconds.append((told, time.monotonic() - started))
        return done

    def well(self, who: str, *arguments: str, **variables: str) -> str:
        """The same, having seen it succeed; returns its standard output."""
        done = self.keyless(who, *arguments, **variables)
        assert done.returncode == 0, f"{done.stderr[-6000:]}\n{self.home.log_tail()}"
        return done.stdout

    def person(
        self,
        command: str,
        *more: str,
        typed: str | None = None,
        codes: Collection[int] = (0,),
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the docs have it, as a person; `more` is what a person would add."""
        words = shlex.split(command)[1:]
        words += ["--yes"] if words[0] in ASK_FIRST and "--yes" not in words else []
        done = self.keyless("administrator", *words, *more, typed=typed, **variables)
        assert done.returncode in codes, f"{done.stderr[-6000:]}\n{self.home.log_tail()}"
        self.typed.add(command)
        return done

    def terraform(self, command: str) -> None:
        """Run a command of Terraform as the docs have it, as a person, who answers "yes"."""
        binary = find_binary(self.machine("administrator")).path
        words = [binary, *shlex.split(command)[1:]]
        done = self._run(command, words, self.environment("administrator"), "yes\n")
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        self.typed.add(command)

    def plan(
        self, who: str = "plan-main", environment: str = "prod", **variables: str
    ) -> dict[str, Any]:
        """Plan; returns the changes by address."""
        changes = self.home.user / f"{environment}-changes.json"
        self.well(who, "plan", "-e", environment, "--changes", str(changes), **variables)
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
        rds = self.admin("rds")
        [found] = rds.describe_db_instances(DBInstanceIdentifier="keyless-prod")["DBInstances"]
        return dict(found)

    def vpc(self) -> str:
        """The id of prod's network."""
        ours = {"Name": "tag:Environment", "Values": ["prod"]}
        [found] = self.admin("ec2").describe_vpcs(Filters=[ours])["Vpcs"]
        return str(found["VpcId"])

    def servers(self, environment: str) -> list[dict[str, Any]]:
        """The instances of an environment that run or will."""
        filters = [
            {"Name": "tag:Environment", "Values": [environment]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        groups = self.admin("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance for group in groups for instance in group["Instances"]]
