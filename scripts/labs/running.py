"""One started lab: its cloud, its files, and what a check does in it."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.aws.credentials import Credentials
from scripts.aws.sealed import client, sealed_environment
from scripts.aws.web_identity import assume_role_with_web_identity
from scripts.console import UserError
from scripts.files import locked, private_folder, write_private
from scripts.labs.github import GitHub
from scripts.labs.lab import Lab
from scripts.labs.workspace import Workspace
from scripts.local_run import leftovers
from scripts.localcloud.home import Cloud, administrator

RECORD = "lab.json"
"""Marks a home as a lab's; holds what the lab has to remember, and flags as digests only."""
STATE = "lab.tfstate"
"""Terraform's state of what is deployed."""
GIVEN = Path("given")
"""Where the lab puts what the attacker has found."""
PROFILES = Path(".aws") / "credentials"
ATTACKER = "attacker"
"""In the lab's home: what the lab gave, as attack.py finds it, whatever became of the student's."""
LOCK = "record.lock"


@dataclass
class Record:
    """What a started lab remembers. `kept` is the lab's own."""

    lab: str
    started: str
    flags: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    registered: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, dict[str, str]] = field(default_factory=dict)
    ready: bool = False

    @classmethod
    def new(cls, lab: Lab) -> Record:
        """The record of a lab that starts now."""
        return cls(lab.slug, datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def load(cls, home: Path) -> Record:
        """Read it. Raises OSError, ValueError or TypeError where there is none."""
        return cls(**json.loads((home / RECORD).read_bytes()))


@dataclass
class LabRun:
    """A started lab. `outputs` are those of the Terraform that was applied last."""

    lab: Lab
    cloud: Cloud
    workspace: Workspace
    record: Record
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The state directory of the lab's cloud."""
        return self.cloud.home

    @property
    def folder(self) -> Path:
        """The student's folder."""
        return self.workspace.folder(self.lab)

    @property
    def account_id(self) -> str:
        """The lab's AWS account."""
        return self.cloud.account_id

    @cached_property
    def github(self) -> GitHub:
        """The lab's GitHub."""
        return GitHub(self.lab, self.cloud, self.record.registered, self._note)

    def save(self) -> None:
        """Write the record. What another command of this start noted meanwhile stays in it."""
        with locked(self.home / LOCK):
            self._take_in()
            write_private(self.home / RECORD, json.dumps(vars(self.record), indent=2))

    def _note(self) -> None:
        """Write flags and registered names alone: a check in another terminal owns the rest."""
        with locked(self.home / LOCK):
            self._take_in()
            with suppress(OSError, ValueError, TypeError):
                found = Record.load(self.home)
                found.flags, found.registered = self.record.flags, self.record.registered
                write_private(self.home / RECORD, json.dumps(vars(found), indent=2))

    def _take_in(self) -> None:
        """Take in flags and names that another command of this start has written meanwhile."""
        with suppress(OSError, ValueError, TypeError):
            found = Record.load(self.home)
            self.record.flags[:] = dict.fromkeys([*found.flags, *self.record.flags])
            self.record.registered |= found.registered

    def applied_outputs(self) -> dict[str, Any]:
        """The outputs of the Terraform that was applied last."""
        outputs = json.loads((self.home / STATE).read_bytes())["outputs"]
        return {name: output["value"] for name, output in outputs.items()}

    def managed(self, kind: str, attribute: str) -> set[str]:
        """An attribute of every resource of a type that Terraform made of the deployed files."""
        resources = json.loads((self.home / STATE).read_bytes())["resources"]
        return {
            str(instance["attributes"][attribute])
            for resource in resources
            if resource["type"] == kind and resource["mode"] == "managed"
            for instance in resource["instances"]
        }

    # flags and what the attacker finds

    def new_flag(self) -> str:
        """Make a flag that `is_flag` knows from now on; only its digest is kept."""
        flag = f"FLAG{{{self.lab.slug}-{secrets.token_hex(8)}}}"
        self.record.flags.append(_digest(flag))
        self._note()
        return flag

    def is_flag(self, text: str) -> bool:
        """Whether a text is one of this start's flags."""
        self._take_in()
        return _digest(text.strip()) in self.record.flags

    def find_flag(self, text: str) -> str | None:
        """The first right flag in a text."""
        for part in text.split("FLAG{")[1:]:
            flag = f"FLAG{{{part.partition('}')[0]}}}"
            if self.is_flag(flag):
                return flag
        return None

    def give(self, name: str, content: str) -> Path:
        """Put a file where the student finds it, in `given/`."""
        return self._hand_out(GIVEN / name, content)

    def _hand_out(self, name: Path, content: str) -> Path:
        copy = self.attacker / name
        private_folder(copy.parent)
        write_private(copy, content)
        return self.workspace.write(self.lab, name, content.encode(), private=True)

    @property
    def attacker(self) -> Path:
        """Where attack.py works: with what the lab gave, and nothing that the student wrote."""
        return private_folder(self.home / ATTACKER)

    def give_profile(self, name: str, credentials: Credentials) -> None:
        """Give the student a named profile for the AWS command line and SDKs."""
        self.record.profiles[name] = credentials.environment()
        self.save()
        text = "".join(
            f"[{profile}]\n" + "".join(f"{key.lower()} = {value}\n" for key, value in keys.items())
            for profile, keys in self.record.profiles.items()
        )
        self._hand_out(PROFILES, text)

    # acting in the account

    @cached_property
    def _clients(self) -> dict[tuple[str, str | None], Any]:
        return {}

    def client(self, credentials: Credentials, service: str, **config: Any) -> Any:
        """A client with somebody's credentials; it asks once."""
        options = {"retries": {"total_max_attempts": 1}} | config
        return client(self.cloud, credentials, service, **options)

    def administrator(self, service: str) -> Any:
        """A client of the account's administrator."""
        key = (service, None)
        if key not in self._clients:
            self._clients[key] = self.client(administrator(self.home), service)
        return self._clients[key]

    def role_arn(self, name: str) -> str:
        """The ARN of a role of the account."""
        return f"arn:aws:iam::{self.account_id}:role/{name}"

    def assume(self, role: str, token: str, session_name: str = "job") -> Credentials:
        """Exchange a GitHub token for a session of the role. Raises AssumeRoleDenied."""
        return assume_role_with_web_identity(
            self.cloud.endpoint, self.cloud.ca_bundle, self.role_arn(role), token, session_name
        )

    def job_session(self, role: str, repository: str, **job: Any) -> Credentials:
        """A session of a role for a job of the organisation's own. Raises AssumeRoleDenied."""
        return self.assume(role, self.github.mint(repository, **job))

    def later(self, hours: float) -> None:
        """Let time pass for every session."""
        self.github.pass_time(round(hours * 3600))

    # running things as the student or the attacker does

    def environment(
        self, credentials: Credentials | None = None, extra: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The environment of a process in the lab: nothing of the caller's account gets in."""
        mark = leftovers.mark(self.home)
        return sealed_environment(self.cloud, credentials, mark | dict(extra or {}))

    def run(
        self,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        *,
        folder: Path | None = None,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the lab to its end. Raises UserError if it takes too long."""
        try:
            return subprocess.run(
                command,
                cwd=folder or self.folder,
                env=dict(environment or self.environment()),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UserError(
                f"{' '.join(command)} did not end within {seconds:.0f} s",
                fix=f"look for an endless loop in {folder or self.folder}",
            ) from None
        except OSError as error:
            raise UserError(f"{command[0]} cannot be run", why=str(error)) from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
