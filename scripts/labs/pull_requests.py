"""What the lab's GitHub runs for a pull request: the workflows of the student's folder, for real.

It knows as much of GitHub Actions as the labs need; what it does not know it names, and runs no
job. https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import AssumeRoleDenied, TokenRefused, job_environment, runner_token
from scripts.console import UserError
from scripts.labs import connection
from scripts.labs.github import STUDENT, job_of
from scripts.labs.lab import Lab, Repository
from scripts.labs.running import LabRun

WORKFLOWS = Path(".github", "workflows")
EVENTS = ("pull_request", "pull_request_target")
_OF_THE_LAB = frozenset(
    {"given", ".aws", "env.sh", "README.md", ".terraform", ".terraform.lock.hcl", ".written.json"}
)
_EXPRESSION = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")
# Values of `with.ref` that check out what the pull request brings.
_HEAD = re.compile(
    r"github\.event\.pull_request\.head|github\.head_ref|refs/pull/|github\.event\.number"
)
_BASE = re.compile(r"github\.base_ref|github\.event\.pull_request\.base\.(ref|sha)")
# Conditions by which a job runs for branches of the repository alone.
_SAME = "github.event.pull_request.head.repo.full_name == github.repository"
_OWN_BRANCHES = frozenset(
    {
        _SAME,
        "github.repository == github.event.pull_request.head.repo.full_name",
        "github.event.pull_request.head.repo.fork == false",
        "!github.event.pull_request.head.repo.fork",
    }
)
# Filters of an event that every pull request of the lab passes.
_MET = {"branches": {"main", "*", "**"}, "types": {"opened", "synchronize"}}
STEP_SECONDS = 60


@dataclass(frozen=True)
class PullRequest:
    """A pull request to `base` with changed files. `fork` None: a branch of `base` itself.

    `approved`: a reviewer lets its jobs into protected environments.
    """

    base: str
    files: Mapping[str, bytes]
    fork: str | None = None
    approved: bool = False


@dataclass(frozen=True)
class JobRun:
    """How a job went; its log is as public as the repository."""

    name: str
    status: Literal["success", "failure", "waiting", "skipped"]
    log: str


def fork_of(lab: Lab) -> tuple[str, str]:
    """The lab's repository, and the student's fork of it. Raises UserError (exit code 2)."""
    for fork in lab.repositories:
        if fork.owner == STUDENT:
            for base in lab.repositories:
                if base is not fork and base.name.partition("/")[2] == fork.name.partition("/")[2]:
                    return base.name, fork.name
    raise UserError(
        f"You have no fork in lab {lab.number}",
        why="this lab has no public repository",
        fix="keyless lab pull-request 4 FOLDER",
        exit_code=2,
    )


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by their names in the repository. Raises UserError (exit code 2)."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".git" not in path.parts
    }
    if not found:
        raise UserError(f"{folder} has no file", why="a pull request changes one", exit_code=2)
    return found


def run_workflows(run: LabRun, opened: PullRequest) -> list[JobRun]:
    """Run every job that the pull request starts. Raises UserError."""
    jobs = []
    for path in _workflow_files(run.folder):
        for event in EVENTS:
            # pull_request takes the workflow from the pull request, pull_request_target from main.
            name = (WORKFLOWS / path.name).as_posix()
            brought = opened.files.get(name) if event == "pull_request" else None
            workflow = _parse(path, path.read_bytes() if brought is None else brought)
            if event in _events(path, workflow):
                for job, described in workflow["jobs"].items():
                    one = _Job(
                        run, opened, event, path.stem, workflow, f"{path.stem}/{job}", described
                    )
                    jobs.append(one.run())
    return jobs


@dataclass(frozen=True)
class _Job:
    run_: LabRun
    opened: PullRequest
    event: str
    workflow_name: str
    workflow: Mapping[str, Any]
    name: str
    described: Mapping[str, Any]

    def run(self) -> JobRun:
        """Run the job's steps one by one, until one fails."""
        if not self._wanted():
            return JobRun(self.name, "skipped", "its condition is not met\n")
        if self._environment in self._base.protected and not self.opened.approved:
            text = f"waits for an approval of environment {self._environment}\n"
            return JobRun(self.name, "waiting", text)
        log: list[str] = []
        variables = self._variables(log)
        with tempfile.TemporaryDirectory(prefix="keyless-lab-job-") as folder:
            for step in self.described.get("steps", ()):
                try:
                    done = self._step(step, Path(folder), variables, log)
                except (AssumeRoleDenied, TokenRefused) as refused:
                    log.append(f"{refused} {refused.why or ''}")
                    done = False
                if not done:
                    return JobRun(self.name, "failure", "\n".join(log) + "\n")
        return JobRun(self.name, "success", "\n".join(log) + "\n")

    @property
    def _base(self) -> Repository:
        found = self.run_.github.repository(self.opened.base)
        if found is None:
            raise UserError(f"The lab's GitHub has no repository {self.opened.base}", exit_code=2)
        return found

    @property
    def _environment(self) -> str | None:
        found = self.described.get("environment")
        name = found.get("name") if isinstance(found, Mapping) else found
        return None if name is None else str(name)

    @property
    def _may_ask_for_tokens(self) -> bool:
        granted = self.described.get("permissions", self.workflow.get("permissions"))
        return granted == "write-all" or (
            isinstance(granted, Mapping) and granted.get("id-token") == "write"
        )

    def _wanted(self) -> bool:
        condition = self.described.get("if")
        if condition is None:
            return True
        text = " ".join(_EXPRESSION.sub(r"\1", str(condition)).split())
        if text not in _OWN_BRANCHES:
            raise _unknown(self.name, f"if: {condition}", f"if: {_SAME}")
        return self.opened.fork is None

    def _variables(self, log: list[str]) -> dict[str, str]:
        """The job's environment, with a way to tokens if GitHub gives it one."""
        made = connection.environment(self.run_)
        for name in ("KEYLESS_HOME", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            made.pop(name, None)
        if self._may_ask_for_tokens:
            try:
                made |= job_environment(self.run_.cloud, self._token_of())
            except TokenRefused as refused:
                log.append(f"no id-token: {refused.why}")
        return made

    def _token_of(self) -> dict[str, Any]:
        described = job_of(self._base) | {
            "event_name": self.event,
            "workflow": self.workflow_name,
            "base_ref": "main",
            "head_ref": "change",
            "head_repository": self.opened.fork or self.opened.base,
        }
        if self.event == "pull_request":
            described["ref"] = "refs/pull/7/merge"
        if self.opened.fork is not None:
            described |= {"actor": STUDENT, "actor_id": "6666"}
        return described | ({"environment": self._environment} if self._environment else {})

    def _step(
        self, step: Mapping[str, Any], folder: Path, variables: dict[str, str], log: list[str]
    ) -> bool:
        if "if" in step:
            raise _unknown(self.name, f"if: {step['if']} of a step", "a condition of the whole job")
        if "run" in step:
            return self._command(step, folder, variables, log)
        action = str(step.get("uses", "")).partition("@")[0]
        given = {key: str(value) for key, value in (step.get("with") or {}).items()}
        if action == "actions/checkout":
            self._check_out(given, folder)
            log.append(f"checked out {'the pull request' if self._head(given) else 'main'}")
        elif action == "aws-actions/configure-aws-credentials":
            self._configure(given, variables)
            log.append(f"has a session of {variables['ROLE']}")
        else:
            wanted = "actions/checkout, aws-actions/configure-aws-credentials, or run"
            raise _unknown(self.name, f"uses: {step.get('uses')}", wanted)
        return True

    def _command(
        self, step: Mapping[str, Any], folder: Path, variables: dict[str, str], log: list[str]
    ) -> bool:
        own = {**(self.workflow.get("env") or {}), **(self.described.get("env") or {})}
        own |= step.get("env") or {}
        values = {name: self._expand(str(value)) for name, value in own.items()}
        try:
            done = subprocess.run(
                ["bash", "-e", "-c", self._expand(str(step["run"]))],
                cwd=folder, env=variables | values, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                timeout=STEP_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            log.append(f"the step did not end within {STEP_SECONDS} s")
            return False
        log.append(done.stdout.rstrip())
        return done.returncode == 0

    def _head(self, given: Mapping[str, str]) -> bool:
        """Whether a checkout takes what the pull request brings."""
        ref = given.get("ref", "")
        if _HEAD.search(ref + given.get("repository", "")):
            return True
        if ref and ref not in ("main", "refs/heads/main") and not _BASE.search(ref):
            raise _unknown(self.name, f"ref: {ref}", "main, or the head of the pull request")
        return not ref and self.event == "pull_request"

    def _check_out(self, given: Mapping[str, str], folder: Path) -> None:
        shutil.copytree(
            self.run_.folder,
            folder,
            dirs_exist_ok=True,
            ignore=lambda where, names: (
                _OF_THE_LAB.intersection(names) if Path(where) == self.run_.folder else set()
            ),
        )
        if self._head(given):
            for name, content in self.opened.files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                path.chmod(0o755)

    def _configure(self, given: Mapping[str, str], variables: dict[str, str]) -> None:
        token = _token(variables, self.run_.cloud.ca_bundle)
        role = self._expand(given.get("role-to-assume", "")).rpartition("/")[2]
        session: Credentials = self.run_.assume(role, token)
        variables.update(session.environment() | {"ROLE": role})

    def _expand(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            if found[1] == "vars.ACCOUNT":
                return self.run_.account_id
            raise _unknown(self.name, found[0], "${{ vars.ACCOUNT }}")

        return _EXPRESSION.sub(value, text)


def _token(variables: Mapping[str, str], ca_bundle: Path) -> str:
    """The job's token. Raises TokenRefused if GitHub gave the job no way to one."""
    try:
        return runner_token(variables, ca_bundle=ca_bundle)
    except TokenRefused:
        raise
    except UserError as missing:
        raise TokenRefused("The job gets no token", why=missing.why) from None


def _workflow_files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / WORKFLOWS).glob("*.y*ml") if path.is_file())


def _parse(path: Path, content: bytes) -> dict[Any, Any]:
    """A workflow. Raises UserError (exit code 2) if it is none."""
    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{path} is not YAML", why=why, exit_code=2) from None
    jobs = found.get("jobs") if isinstance(found, dict) else None
    if not isinstance(jobs, dict) or not all(isinstance(job, dict) for job in jobs.values()):
        raise UserError(f"{path} is no workflow", why="it has no `jobs`", exit_code=2)
    return dict(found)


def _events(path: Path, workflow: Mapping[Any, Any]) -> set[str]:
    """Names of the events that start the workflow. YAML 1.1 reads the key `on` as true.

    Raises UserError for a filter that may leave this pull request out.
    """
    on = workflow.get("on", workflow.get(True))
    if isinstance(on, Mapping):
        for event in EVENTS:
            for name, wanted in (on.get(event) or {}).items():
                values = {wanted} if isinstance(wanted, str) else {str(one) for one in wanted}
                if not values & _MET.get(name, set()):
                    raise _unknown(path.name, f"{event}: {name}: {wanted}", "branches: [main]")
    return {on} if isinstance(on, str) else {str(one) for one in on or ()}


def _unknown(job: str, what: str, known: str) -> UserError:
    return UserError(
        f"The lab's GitHub does not know `{what}` of the job {job}",
        why=f"it knows {known}",
        fix="write it so, or read what is in the lab's workflow",
        exit_code=2,
    )
