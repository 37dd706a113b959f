"""The subject of a token: made of its claims by a template, and read back into its parts.

GitHub Docs, "OpenID Connect reference", "Customizing the token claims"
(actions/reference/security/oidc): a template is an ordered list of claims; the subject is
`name:value` of each, joined by colons. `repo` stands for the repository and carries its immutable
ids where it has them; `context` has no name in front.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT = ("repo", "context")
PULL_REQUEST = "pull_request"
_QUEUE = re.compile(r"refs/heads/gh-readonly-queue/(?P<base>.+)/pr-\d+-[0-9a-f]+")
_KEY = re.compile(r"[A-Za-z0-9_]+")
_REPO = re.compile(r"(?P<owner>[^:/@]+)(?:@(?P<owner_id>\d+))?/(?P<name>[^:/@]+)(?:@(?P<id>\d+))?")


class NoSubject(ValueError):
    """A template names a claim that the token does not have."""


@dataclass(frozen=True)
class Repo:
    """The repository part of a subject; the ids are None in the older form."""

    owner: str
    name: str
    owner_id: str | None = None
    id: str | None = None

    @property
    def immutable(self) -> bool:
        """Whether both ids are there. GitHub sends both or none."""
        return self.owner_id is not None and self.id is not None

    @property
    def names(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        if not self.immutable:
            return self.names
        return f"{self.owner}@{self.owner_id}/{self.name}@{self.id}"


@dataclass(frozen=True)
class Part:
    """One claim of a subject. The value is decoded: a `%3A` of the subject is a colon here."""

    key: str
    value: str


def escaped(value: str) -> str:
    """A value as it stands in a subject, so that it cannot pose as another part."""
    return value.replace(":", "%3A")


def context(claims: Mapping[str, Any], *, encode: bool = True) -> str:
    """The context part: the environment, else `pull_request`, else the ref."""
    own = escaped if encode else str
    if claims.get("environment"):
        return f"environment:{own(claims['environment'])}"
    if claims.get("event_name") == PULL_REQUEST:
        return PULL_REQUEST
    return f"ref:{own(claims['ref'])}"


def render(
    claims: Mapping[str, Any],
    template: Sequence[str] = DEFAULT,
    *,
    immutable: bool,
    encode: bool = True,
) -> str:
    """The subject of a token with these claims.

    `encode` is false for a GitHub Enterprise Server up to 3.18, whose documentation knows no
    encoding of colons. Raises NoSubject where the template names a claim that is not there.
    """
    parts = []
    for key in template:
        if key == "repo":
            parts.append(f"repo:{_repo(claims, immutable)}")
        elif key == "context":
            parts.append(context(claims, encode=encode))
        elif key in claims:
            value = str(claims[key])
            parts.append(f"{key}:{escaped(value) if encode else value}")
        else:
            raise NoSubject(f"the token has no claim {key}")
    return ":".join(parts)


def _repo(claims: Mapping[str, Any], immutable: bool) -> Repo:
    owner, _, name = str(claims["repository"]).partition("/")
    if not immutable:
        return Repo(owner, name)
    return Repo(owner, name, str(claims["repository_owner_id"]), str(claims["repository_id"]))


def parts_of(subject: str) -> tuple[Part, ...] | None:
    """A subject taken apart; None for what no template makes.

    A bare `pull_request` is the context; else the first environment or ref is: a template that
    names the claim in place of the context makes the same text.
    """
    read: list[Part] = []
    pieces = subject.split(":")
    while pieces:
        key = pieces.pop(0)
        bare = key == PULL_REQUEST and all(part.key != "context" for part in read)
        if bare:
            read.append(Part("context", PULL_REQUEST))
        elif not pieces or not _KEY.fullmatch(key):
            return None
        else:
            read.append(Part(key, pieces.pop(0).replace("%3A", ":")))
    if any(part.key == "context" for part in read):
        return tuple(read)
    first = next((at for at, part in enumerate(read) if part.key in ("environment", "ref")), None)
    if first is not None:
        read[first] = Part("context", f"{read[first].key}:{read[first].value}")
    return tuple(read)


def repo_of(subject: str) -> Repo | None:
    """The repository that a subject names; None if it names none."""
    for part in parts_of(subject) or ():
        if part.key == "repo" and (match := _REPO.fullmatch(part.value)):
            return Repo(match["owner"], match["name"], match["owner_id"], match["id"])
    return None


def template_of(subject: str) -> tuple[str, ...] | None:
    """A template that makes this subject; None if none does."""
    parts = parts_of(subject)
    return None if parts is None else tuple(part.key for part in parts)


def queue_base(ref: str) -> str | None:
    """The branch that a merge queue's run is for, by its ref; None for any other ref.

    The event merge_group has no context of its own: its subject is that of the queue's branch.
    """
    match = _QUEUE.fullmatch(ref)
    return None if match is None else match["base"]
