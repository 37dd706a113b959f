"""What GitHub says of a repository, and what every token subject of it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scripts.console import UserError
from scripts.github.api import Gh


@dataclass(frozen=True)
class Facts:
    """What GitHub says of a repository. `plan` is None where the login may not see it."""

    name: str
    id: str
    owner_id: str
    private: bool
    default_branch: str
    plan: str | None
    subject_format: str
    secrets: tuple[str, ...]

    @property
    def terraform(self) -> dict[str, str]:
        """The `github` variable of terraform/bootstrap and terraform/platform."""
        owner, _, repository = self.name.partition("/")
        return {
            "owner": owner,
            "owner_id": self.owner_id,
            "repository": repository,
            "repository_id": self.id,
            "subject_format": self.subject_format,
        }


def read_facts(gh: Gh, name: str) -> Facts:
    """Read a repository. Raises UserError where its settings rule the trust policies out."""
    repository = gh.get(f"repos/{name}")
    full_name = str(repository["full_name"])
    if full_name != name and full_name.lower() != name.lower():
        raise UserError(
            f"{name} is called {full_name} now",
            why="GitHub redirects the old name; tokens carry the new one",
            fix=f"keyless github-setup --repository {full_name}",
            exit_code=2,
        )
    subject = gh.get(f"repos/{full_name}/actions/oidc/customization/sub")
    facts = Facts(
        name=full_name,
        id=str(repository["id"]),
        owner_id=str(repository["owner"]["id"]),
        private=bool(repository["private"]),
        default_branch=str(repository["default_branch"]),
        plan=_plan(gh, repository["owner"]),
        subject_format=_format(subject),
        secrets=_secrets(gh, full_name),
    )
    _check_subject(facts, subject)
    return facts


def _format(subject: Mapping[str, Any]) -> str:
    """The form of the subject: by the prefix that GitHub announces, else by the setting.

    A repository may send ids although `use_immutable_subject` is false.
    """
    prefix = subject.get("sub_claim_prefix")
    ids = "@" in prefix if isinstance(prefix, str) else bool(subject.get("use_immutable_subject"))
    return "immutable" if ids else "names"


def subject_prefix(facts: Facts) -> str:
    """What every subject of the repository begins with."""
    if facts.subject_format == "names":
        return f"repo:{facts.name}"
    owner, _, short = facts.name.partition("/")
    return f"repo:{owner}@{facts.owner_id}/{short}@{facts.id}"


def _check_subject(facts: Facts, subject: Mapping[str, Any]) -> None:
    path = f"repos/{facts.name}/actions/oidc/customization/sub"
    reset = f"gh api --method PUT {path} -F use_default=true"
    if not subject.get("use_default", True):
        keys = ", ".join(subject.get("include_claim_keys", ())) or "its organisation's template"
        raise UserError(
            "The repository's token subject is a customised one",
            why=f"it is made of {keys}; the platform's roles expect GitHub's default",
            fix=reset,
        )
    announced = subject.get("sub_claim_prefix")
    if announced is not None and announced != subject_prefix(facts):
        raise UserError(
            "The token subject has a form that this version does not know",
            why=f"GitHub announces {announced}; known is {subject_prefix(facts)}",
        )


def _plan(gh: Gh, owner: Mapping[str, Any]) -> str | None:
    path = f"orgs/{owner['login']}" if owner.get("type") == "Organization" else "user"
    found = gh.find(path) or {}
    if path == "user" and found.get("login") != owner["login"]:
        return None
    name = (found.get("plan") or {}).get("name")
    return None if name is None else str(name)


def _secrets(gh: Gh, name: str) -> tuple[str, ...]:
    found = gh.find(f"repos/{name}/actions/secrets?per_page=100") or {}
    return tuple(str(secret["name"]) for secret in found.get("secrets", ()))
