"""The roles of the local run: each assumed with the GitHub token of the one job that may."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.aws.sealed import client, sealed_environment
from scripts.aws.web_identity import assume_role_with_web_identity, github_token, job_environment
from scripts.iam.account.decision_log import PROBE_AGENT
from scripts.local_run import leftovers
from scripts.localcloud.home import Cloud
from scripts.names import job_role, role_arn

MARGIN = timedelta(minutes=10)
"""A session that ends sooner than this is renewed before it is handed to a step."""


@dataclass(frozen=True)
class Repository:
    """The GitHub repository whose jobs the local run plays."""

    owner: str = "octo-org"
    owner_id: str = "1001"
    name: str = "keyless-mlops"
    id: str = "2002"

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def as_variable(self) -> dict[str, str]:
        """Terraform's variable `github`."""
        return {
            "owner": self.owner,
            "owner_id": self.owner_id,
            "repository": self.name,
            "repository_id": self.id,
        }


@dataclass
class Actors:
    """Assumes roles through the local issuer and builds the environment of what runs under them."""

    cloud: Cloud
    environment: str
    project: Path
    repository: Repository = field(default_factory=Repository)
    _sessions: dict[str, Credentials] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def role_arn(self, role: str) -> str:
        """The ARN that Terraform gives the role."""
        return role_arn(self.cloud.account_id, self.environment, role)

    def job(self, role: str) -> dict[str, Any]:
        """The GitHub job that may assume `role`, as the issuer wants it described.

        Raises UserError (exit code 2) for a role that no job assumes.
        """
        wanted = job_role(role)
        pull_request = wanted.context == "pull_request"
        job: dict[str, Any] = {
            "repository": self.repository.full_name,
            "repository_id": self.repository.id,
            "repository_owner_id": self.repository.owner_id,
            "ref": "refs/pull/7/merge" if pull_request else "refs/heads/main",
            "event_name": "pull_request" if pull_request else "push",
            "actor": "octocat",
            "actor_id": "583231",
            "sha": self.commit,
        }
        if name := wanted.github_environment(self.environment):
            job["environment"] = name
        return job

    @property
    def commit(self) -> str:
        """The commit checked out in the project, or zeros outside a repository."""
        done = subprocess.run(
            ["git", "-C", str(self.project), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else "0" * 40

    def credentials(self, role: str) -> Credentials:
        """A session of the role with some time left. Raises AssumeRoleDenied."""
        with self._lock:
            known = self._sessions.get(role)
        if known and known.expiration and known.expiration - datetime.now(UTC) > MARGIN:
            return known
        fresh = self.assume(self.role_arn(role), self.job(role), session_name=role)
        with self._lock:
            self._sessions[role] = fresh
        return fresh

    def assume(
        self, role_arn: str, job: Mapping[str, Any], *, session_name: str, probe: bool = False
    ) -> Credentials:
        """Mint the job's token and exchange it. Raises AssumeRoleDenied or TokenRefused.

        A `probe` is marked in the decision log as a request that shows no need of a right.
        """
        return assume_role_with_web_identity(
            self.cloud.endpoint,
            self.cloud.ca_bundle,
            role_arn,
            github_token(self.cloud, job),
            session_name,
            user_agent=PROBE_AGENT if probe else None,
        )

    def client(self, role: str, service: str, *, probe: bool = False) -> Any:
        """A client of the role. What a `probe` sends is marked as one in the decision log."""
        marked = {"user_agent_extra": PROBE_AGENT} if probe else {}
        return client(self.cloud, self.credentials(role), service, **marked)

    def process_environment(
        self, role: str, extra: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The whole environment of a process that runs under the role, as on a GitHub runner."""
        job = self.job(role)
        runner = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": job["actor"],
            "GITHUB_REF": job["ref"],
            "GITHUB_REPOSITORY": job["repository"],
            "GITHUB_RUN_ID": "1",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": job["sha"],
            "KEYLESS_ENVIRONMENT": self.environment,
            **job_environment(self.cloud, job),
        }
        return self.marked_environment(self.credentials(role), runner | dict(extra or {}))

    def marked_environment(
        self, credentials: Credentials | None, extra: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """A sealed environment whose processes `keyless down` can find."""
        mark = leftovers.mark(self.cloud.home)
        return sealed_environment(self.cloud, credentials, mark | dict(extra or {}))
