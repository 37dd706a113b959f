"""GitHub's OIDC issuer: jobs ask for tokens here as a runner does, under a local key."""

import base64
import hmac
import json
import secrets
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scripts.github import issuers, subjects
from scripts.localcloud.access.errors import Answer
from scripts.names import GITHUB_ISSUER

PREFIX = "/_github/"
# GitHub's tokens are good for five minutes, and for ten minutes before they were made.
LIFETIME = 300
BACKDATED = 600
LARGEST_JOB = 64 * 1024


class Job(BaseModel):
    """The context of a GitHub Actions job, as its token's claims show it.

    `ref` is a full ref (`refs/heads/main`). `head_repository` is the repository that a pull
    request comes from, None for the repository itself. `subject_format` is "immutable" for
    repositories made, renamed or moved since 15 July 2026, "names" for older ones.
    `subject_template` is the repository's or organisation's customised subject, an ordered list of
    claims; `issuer` an enterprise's own address, GHE.com's or a server's; `properties` are the
    repository's custom properties.
    https://docs.github.com/en/actions/reference/security/oidc
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str = Field("octo-org/keyless-mlops", pattern=r"^[\w.-]+/[\w.-]+$")
    repository_id: str = "2002"
    repository_owner_id: str = "1001"
    repository_visibility: Literal["public", "private", "internal"] = "private"
    ref: str = Field("refs/heads/main", pattern=r"^refs/(heads|tags|pull)/.+$")
    sha: str = "0" * 40
    environment: str | None = None
    event_name: str = "push"
    base_ref: str = ""
    head_ref: str = ""
    head_repository: str | None = None
    actor: str = "octocat"
    actor_id: str = "3003"
    workflow: str = "platform"
    workflow_ref: str | None = None
    workflow_sha: str | None = None
    job_workflow_ref: str | None = None
    job_workflow_sha: str | None = None
    run_id: str = Field(default_factory=lambda: str(secrets.randbelow(10**10)))
    run_number: str = "1"
    run_attempt: str = "1"
    check_run_id: str = Field(default_factory=lambda: str(secrets.randbelow(10**10)))
    runner_environment: Literal["github-hosted", "self-hosted"] = "github-hosted"
    enterprise: str | None = None
    enterprise_id: str | None = None
    subject_format: Literal["immutable", "names"] = "immutable"
    subject_template: tuple[str, ...] = subjects.DEFAULT
    issuer: str = GITHUB_ISSUER
    properties: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_subject(self) -> "Job":
        if not self.issuer.startswith("https://") or self.github is None:
            raise ValueError(f"{self.issuer} is no issuer of GitHub's")
        if len(set(self.subject_template)) != len(self.subject_template):
            raise ValueError("subject_template names a claim twice")
        if not self.subject_template:
            raise ValueError("subject_template is empty")
        subject(self)
        return self

    @property
    def github(self) -> issuers.Issuer | None:
        """The GitHub that issues the job's tokens."""
        return issuers.issuer_of(self.issuer.removeprefix("https://"))

    @property
    def repository_owner(self) -> str:
        """The owner's name."""
        return self.repository.partition("/")[0]

    @property
    def from_fork(self) -> bool:
        """Whether the job runs for a pull request from another repository."""
        return (
            self.event_name == "pull_request"
            and self.head_repository is not None
            and self.head_repository != self.repository
        )


def subject(job: Job) -> str:
    """The `sub` claim of a job.

    https://docs.github.com/en/actions/reference/security/oidc
    """
    ids = job.subject_format == "immutable" and job.github is not None and job.github.sends_ids
    return subjects.render(_facts(job), job.subject_template, immutable=ids)


def claims(job: Job, audience: str, now: int) -> dict[str, Any]:
    """All claims of a job's token; `now` is in epoch seconds."""
    return {
        "iss": job.issuer,
        "sub": subject(job),
        "aud": audience,
        "iat": now,
        "nbf": now - BACKDATED,
        "exp": now + LIFETIME,
        "jti": str(uuid.uuid4()),
        **_facts(job),
    }


def _facts(job: Job) -> dict[str, Any]:
    """The claims that say what runs where."""
    workflow_ref = (
        job.workflow_ref or f"{job.repository}/.github/workflows/{job.workflow}.yml@{job.ref}"
    )
    result: dict[str, Any] = {
        "actor": job.actor,
        "actor_id": job.actor_id,
        "base_ref": job.base_ref,
        "check_run_id": job.check_run_id,
        "event_name": job.event_name,
        "head_ref": job.head_ref,
        "job_workflow_ref": job.job_workflow_ref or workflow_ref,
        "job_workflow_sha": job.job_workflow_sha or job.sha,
        "ref": job.ref,
        "ref_protected": "true" if job.ref == "refs/heads/main" else "false",
        "ref_type": "tag" if job.ref.startswith("refs/tags/") else "branch",
        "repository": job.repository,
        "repository_id": job.repository_id,
        "repository_owner": job.repository_owner,
        "repository_owner_id": job.repository_owner_id,
        "repository_visibility": job.repository_visibility,
        "run_attempt": job.run_attempt,
        "run_id": job.run_id,
        "run_number": job.run_number,
        "runner_environment": job.runner_environment,
        "sha": job.sha,
        "workflow": job.workflow,
        "workflow_ref": workflow_ref,
        "workflow_sha": job.workflow_sha or job.sha,
        **{f"repo_property_{name}": value for name, value in job.properties.items()},
    }
    enterprise = job.enterprise
    if enterprise is None and job.github is not None and job.github.kind == "enterprise":
        enterprise = job.github.name
    optional = {
        "environment": job.environment,
        "enterprise": enterprise,
        "enterprise_id": job.enterprise_id,
    }
    return result | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True)
class Runner:
    """What GitHub gives the runner of a job that may ask for tokens."""

    request_url: str
    request_token: str


class Issuer:
    """Mints tokens for jobs and publishes the keys to verify them.

    `key` authorises whoever may start jobs; on GitHub that is GitHub.
    """

    def __init__(self, endpoint: str, key: str | None = None) -> None:
        self.endpoint = endpoint
        self.key = key or secrets.token_urlsafe(32)
        self._private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_id = secrets.token_hex(20)
        self._jobs: dict[str, tuple[str, Job]] = {}
        self._lock = threading.Lock()

    def signing_keys(self, issuer: str) -> Mapping[str, rsa.RSAPublicKey]:
        """The public keys of `issuer` by key id; empty for any issuer but GitHub's.

        One key stands for github.com, its enterprises, GHE.com and servers: it is in `iss`, which
        is signed, that they differ.
        """
        known = issuer.startswith("https://") and issuers.issuer_of(issuer.removeprefix("https://"))
        return {self.key_id: self._private_key.public_key()} if known else {}

    def start_job(self, job: Job) -> Runner:
        """Start a job that may ask for tokens.

        Raises PermissionError for a pull request from a fork: GitHub gives such a job no
        `id-token: write`.
        """
        if job.from_fork:
            raise PermissionError(
                "a pull request from a fork gets no `id-token: write`, so it gets no token"
            )
        job_id, token = str(uuid.uuid4()), secrets.token_urlsafe(32)
        with self._lock:
            self._jobs[job_id] = (token, job)
        return Runner(f"{self.endpoint}{PREFIX}token/{job_id}?api-version=2.0", token)

    def mint(
        self, job: Job, audience: str = "sts.amazonaws.com", **overrides: Any
    ) -> str:  # fmt: skip
        """Sign a token for a job; `overrides` replace claims, None removes one (for tests)."""
        content = claims(job, audience, int(time.time())) | overrides
        content = {name: value for name, value in content.items() if value is not None}
        return self.sign(content)

    def sign(self, content: Mapping[str, Any]) -> str:
        """Sign arbitrary claims with the issuer's key."""
        headers = {"kid": self.key_id, "x5t": self.key_id}
        return jwt.encode(dict(content), self._private_key, algorithm="RS256", headers=headers)

    def handle(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:  # fmt: skip
        """Answer a request below `/_github/`."""
        route = path.removeprefix(PREFIX)
        if method == "GET" and route == ".well-known/openid-configuration":
            return _json(200, self._discovery())
        if method == "GET" and route == ".well-known/jwks":
            return _json(200, {"keys": [self._public_jwk()]})
        bearer = _bearer(headers)
        if method == "POST" and route == "jobs":
            return self._post_job(bearer, body)
        if method == "GET" and route.startswith("token/"):
            return self._get_token(route.removeprefix("token/"), bearer, query)
        return _json(404, {"message": "Not Found"})

    def _post_job(self, bearer: str, body: bytes) -> Answer:
        if not hmac.compare_digest(bearer.encode(), self.key.encode()):
            return _json(401, {"message": "Bad credentials"})
        if len(body) > LARGEST_JOB:
            return _json(413, {"message": "The job is too large"})
        try:
            runner = self.start_job(Job.model_validate_json(body or b"{}"))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'job'}: {problem['msg']}"
                for problem in error.errors()
            )
            return _json(422, {"message": f"The job is not valid: {problems}"})
        except PermissionError as error:
            return _json(403, {"message": str(error)})
        return _json(
            201, {"request_url": runner.request_url, "request_token": runner.request_token}
        )

    def _get_token(self, job_id: str, bearer: str, query: Mapping[str, str]) -> Answer:
        token, job = self._jobs.get(job_id, ("", None))
        if job is None or not hmac.compare_digest(bearer.encode(), token.encode()):
            return _json(401, {"message": "Bad credentials"})
        audience = query.get("audience") or f"https://github.com/{job.repository_owner}"
        return _json(200, {"count": 1, "value": self.mint(job, audience)})

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": GITHUB_ISSUER,
            "jwks_uri": f"{self.endpoint}{PREFIX}.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "claims_supported": sorted({*claims(Job(), "", 0), "environment", "enterprise"}),
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        }

    def _public_jwk(self) -> dict[str, str]:
        numbers = self._private_key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.key_id,
            "n": _base64url(numbers.n),
            "e": _base64url(numbers.e),
        }


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _base64url(number: int) -> str:
    content = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _json(status: int, content: Mapping[str, Any]) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())
