"""GitHub's REST API through the user's own `gh`, which holds the login."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.console import UserError

# The version whose answers carry `use_immutable_subject` and `sub_claim_prefix`.
API_VERSION = "2026-03-10"
LOGIN = "gh auth login --scopes repo,read:org"


class GitHubError(UserError):
    """GitHub refused a request: its status and its own words."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        fix = "log in as an administrator of the repository: " + LOGIN
        super().__init__(
            f"GitHub refused {method} {path}",
            why=f"{status}: {message}",
            fix=fix if status in (401, 403, 404) else "",
        )
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Gh:
    """Calls `gh api`. `program` is the executable; its environment is the caller's."""

    program: str = "gh"

    def check(self) -> None:
        """Raise UserError unless `gh` is there and logged in."""
        if shutil.which(self.program) is None:
            raise UserError(
                "GitHub's command line is needed and was not found",
                fix=f"install gh (https://cli.github.com), then: {LOGIN}",
            )
        done = self._run(["auth", "status"])
        if done.returncode != 0:
            raise UserError("gh is not logged in", why=done.stderr.strip(), fix=LOGIN)

    def repository(self) -> str:
        """`owner/name` of the repository in the current folder. Raises UserError."""
        done = self._run(["repo", "view", "--json", "nameWithOwner", "--jq", ".nameWithOwner"])
        if done.returncode != 0 or not done.stdout.strip():
            raise UserError(
                "This folder belongs to no repository on GitHub",
                why=done.stderr.strip(),
                fix="keyless github-setup --repository OWNER/NAME",
                exit_code=2,
            )
        return done.stdout.strip()

    def get(self, path: str) -> Any:
        """Read. Raises GitHubError."""
        return self.call("GET", path)

    def find(self, path: str) -> Any:
        """Read; None for what does not exist. Raises GitHubError."""
        try:
            return self.get(path)
        except GitHubError as error:
            if error.status == 404:
                return None
            raise

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request; returns the decoded answer, None if it has no body."""
        command = ["api", "--method", method, "-H", f"X-GitHub-Api-Version: {API_VERSION}", path]
        if body is not None:
            command += ["--input", "-"]
        done = self._run(command, None if body is None else json.dumps(body))
        if done.returncode != 0:
            raise _error(method, path, done)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def _run(
        self, arguments: list[str], text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
        )


def _error(method: str, path: str, done: subprocess.CompletedProcess[str]) -> UserError:
    status = re.search(r"\(HTTP (\d{3})\)", done.stderr)
    if status is None:
        return UserError("GitHub could not be asked", why=done.stderr.strip(), fix="keyless doctor")
    try:
        message = str(json.loads(done.stdout)["message"])
    except (ValueError, KeyError, TypeError):
        message = done.stderr.strip()
    return GitHubError(method, path, int(status[1]), message)
