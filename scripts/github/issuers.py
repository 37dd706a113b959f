"""GitHub's token issuers: which OIDC provider stands for which GitHub, and which claims AWS shows.

Issuers: GitHub Docs, "OpenID Connect reference" (actions/reference/security/oidc). Claims: AWS
service authorization reference of STS, condition keys of AssumeRoleWithWebIdentity, and IAM User
Guide, "Available keys for AWS OIDC federation" (reference_policies_iam-condition-keys).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scripts.names import GITHUB_HOST

AUDIENCE = "sts.amazonaws.com"

Kind = Literal["github.com", "enterprise", "ghe.com", "server"]

# AWS evaluates these of a token of GitHub's, whichever of its own hosts issued it.
GITHUB_CLAIMS = (
    "actor",
    "actor_id",
    "aud",
    "enterprise_id",
    "environment",
    "job_workflow_ref",
    "ref",
    "repository",
    "repository_id",
    "repository_owner_id",
    "sub",
    "workflow",
)
# And these of any other provider, a GitHub Enterprise Server among them.
OTHER_CLAIMS = ("amr", "aud", "email", "oaud", "sub")
# Of whichever provider, these stay with the session; the others count at its beginning alone.
_OF_SESSION = ("amr", "aud", "sub")

_SLUG = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ENTERPRISE = re.compile(rf"{re.escape(GITHUB_HOST)}/({_SLUG})")
_GHE_COM = re.compile(rf"token\.actions\.({_SLUG})\.ghe\.com(?:/({_SLUG}))?")
# GitHub's own hosts have no such path.
_SERVER = re.compile(
    r"(?!(?:.+\.)?(?:ghe|githubusercontent|github)\.com/)([A-Za-z0-9.-]+(?::\d+)?)/_services/token"
)
# AWS lists the keys of these too; GitHub documents no token of theirs.
_LISTED = re.compile(rf"github\.com/enterprises/{_SLUG}")


@dataclass(frozen=True)
class Issuer:
    """One GitHub that issues tokens.

    `provider` is the issuer without `https://`: the end of the OIDC provider's ARN in AWS and the
    beginning of its condition keys. `name` is the enterprise's slug, the subdomain of ghe.com or
    the server's host, "" for github.com.
    """

    provider: str
    kind: Kind
    name: str = ""

    @property
    def url(self) -> str:
        """The `iss` claim."""
        return f"https://{self.provider}"

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that a trust policy can compare."""
        return evaluated_claims(self.provider)

    @property
    def sends_ids(self) -> bool:
        """Whether a subject may carry immutable ids. GitHub Enterprise Server never sends them."""
        return self.kind != "server"

    @property
    def anybody(self) -> str:
        """Whom a policy admits that admits every token of this issuer."""
        return {
            "github.com": "any GitHub user, with a workflow in a repository of their own",
            "enterprise": f"everybody who can run a workflow in the enterprise {self.name}",
            "ghe.com": f"everybody who can run a workflow on {self.name}.ghe.com",
            "server": f"everybody who can run a workflow on the server {self.name}",
        }[self.kind]

    @property
    def gh_api(self) -> str:
        """The command that asks this GitHub's API."""
        host = {"ghe.com": f"{self.name}.ghe.com", "server": self.name}.get(self.kind)
        return "gh api" if host is None else f"gh api --hostname {host}"


GITHUB = Issuer(GITHUB_HOST, "github.com")


def issuer_of(provider: str) -> Issuer | None:
    """The GitHub that a provider's address (`HOST` or `HOST/PATH`) stands for; None if it is none.

    `HOST/_services/token` is taken for a GitHub Enterprise Server. Other products use that path
    too, so whoever reports on one should say that it was taken for one.
    """
    if provider == GITHUB_HOST:
        return GITHUB
    if match := _ENTERPRISE.fullmatch(provider):
        return Issuer(provider, "enterprise", match[1])
    if match := _GHE_COM.fullmatch(provider):
        return Issuer(provider, "ghe.com", match[1])
    if match := _SERVER.fullmatch(provider):
        return Issuer(provider, "server", match[1])
    return None


def evaluated_claims(provider: str) -> tuple[str, ...]:
    """The claims of a provider's tokens that AWS shows to a trust policy."""
    known = issuer_of(provider)
    if (known is not None and known.kind != "server") or _LISTED.fullmatch(provider):
        return GITHUB_CLAIMS
    return OTHER_CLAIMS


def provider_of(claims: Mapping[str, Any]) -> str:
    """The provider that a token is from, as its ARN ends; github.com's where it has no `iss`."""
    return str(claims.get("iss") or GITHUB.url).removeprefix("https://")


def audience_of(claims: Mapping[str, Any]) -> str | None:
    """The audience that counts: of several the authorised party, else the first; None if none."""
    sent = claims.get("aud")
    several = sent if isinstance(sent, list) else [sent]
    chosen = claims.get("azp", several[0]) if len(several) > 1 else next(iter(several), None)
    return chosen if isinstance(chosen, str) else None


def condition_keys(provider: str, claims: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The condition keys of a request with this token: the claims that AWS shows, as text.

    A claim that is absent or empty is an absent key.
    """
    shown = {**claims, "aud": audience_of(claims)}
    return {
        f"{provider}:{name}": (str(shown[name]),)
        for name in evaluated_claims(provider)
        if isinstance(shown.get(name), str | int) and shown[name] != ""
    }


def session_keys(provider: str, claims: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The condition keys of a token that each request of its session has too.

    IAM User Guide, "Available keys for AWS OIDC federation", column "Available in session".
    """
    kept = {f"{provider}:{name}" for name in _OF_SESSION}
    return {key: value for key, value in condition_keys(provider, claims).items() if key in kept}
