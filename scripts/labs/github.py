"""The lab's GitHub: who owns which repository, and which tokens its jobs get.

https://docs.github.com/en/actions/reference/security/oidc
"""

from __future__ import annotations

import json
import secrets
import ssl
import urllib.request
from collections.abc import Callable
from typing import Any

from scripts.aws.web_identity import AUDIENCE, github_token
from scripts.console import UserError
from scripts.labs.lab import Lab, Repository
from scripts.localcloud.home import Cloud
from scripts.localcloud.sts.ageing import PATH as TIME_PATH

STUDENT = "mallory"


class NotYours(UserError):
    """GitHub would not run this job for the student."""


class GitHub:
    """Mints tokens of jobs. `registered` keeps ids of names that the student registered."""

    def __init__(
        self, lab: Lab, cloud: Cloud, registered: dict[str, str], save: Callable[[], None]
    ) -> None:
        self._lab = lab
        self._cloud = cloud
        self._registered = registered
        self._save = save

    def repository(self, name: str) -> Repository | None:
        """A repository that the lab knows."""
        return next((one for one in self._lab.repositories if one.name == name), None)

    def mint(self, name: str, *, audience: str = AUDIENCE, **job: Any) -> str:
        """The token of a job in a repository that the lab knows, whoever may start it."""
        found = self.repository(name)
        assert found is not None
        return self._token(found, audience, job)

    def token_for_student(self, name: str, *, audience: str = AUDIENCE, **job: Any) -> str:
        """The token of a job that the student may start.

        A name that is free is registered for the student, with ids of its own. Raises NotYours.
        """
        found = self.repository(name)
        if found is None:
            found = self._register(name)
        if not found.writable:
            raise NotYours(
                f"GitHub runs no job of yours in {name}",
                why=f"{STUDENT} may not push there",
                fix="name a repository that you may push to, or register one",
            )
        if job.get("environment") in found.protected:
            raise NotYours(
                f"GitHub holds the job for an approval of environment {job['environment']!r}",
                why=f"{STUDENT} is no reviewer, and nobody approves it",
                fix="run a job that needs no approval",
            )
        return self._token(found, audience, {"actor": STUDENT, "actor_id": "6666", **job})

    def stranger(self, name: str) -> Repository:
        """A repository of that name which somebody registered anew: same names, other ids."""
        return Repository(name, self._id(f"stranger {name}"), self._id("stranger owner"), True)

    def mint_for(self, repository: Repository, *, audience: str = AUDIENCE, **job: Any) -> str:
        """The token of a job in any repository."""
        return self._token(repository, audience, job)

    def pass_time(self, seconds: int) -> None:
        """Make every session of the account older."""
        request = urllib.request.Request(
            f"{self._cloud.endpoint}{TIME_PATH}",
            data=json.dumps({"seconds": seconds}).encode(),
            headers={"Authorization": f"Bearer {self._cloud.issuer_key}"},
            method="POST",
        )
        context = ssl.create_default_context(cafile=str(self._cloud.ca_bundle))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=30):
            pass

    def _token(self, repository: Repository, audience: str, job: dict[str, Any]) -> str:
        return github_token(self._cloud, job_of(repository) | job, audience=audience)

    def _register(self, name: str) -> Repository:
        owner, slash, rest = name.partition("/")
        if not slash or not owner or not rest:
            raise NotYours(f"{name!r} is no repository", why="write OWNER/NAME", exit_code=2)
        taken = {*self._lab.owners, *(one.owner for one in self._lab.repositories)}
        if owner.lower() in {one.lower() for one in taken}:
            raise NotYours(
                f"You may not make {name}",
                why=f"the name {owner} is taken, and you are no member who may make repositories",
                fix="register a name that is free",
            )
        return Repository(name, self._id(name), self._id(owner), writable=True)

    def _id(self, name: str) -> str:
        """The id that GitHub gives a new account or repository: never one that was used."""
        if name not in self._registered:
            self._registered[name] = str(9_000_000 + secrets.randbelow(900_000_000))
            self._save()
        return self._registered[name]


def job_of(repository: Repository) -> dict[str, Any]:
    """A job on the default branch, as the issuer wants it described."""
    return {
        "repository": repository.name,
        "repository_id": repository.id,
        "repository_owner_id": repository.owner_id,
        "ref": "refs/heads/main",
        "event_name": "push",
        "actor": "octocat",
        "actor_id": "583231",
    }
