"""GitHub's OIDC token in, AWS credentials out: how a job becomes a role."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from scripts.aws.credentials import Credentials
from scripts.console import UserError

AUDIENCE = "sts.amazonaws.com"
TIMEOUT_SECONDS = 30


class TokenRefused(UserError):
    """The issuer answered, and minted no token."""


class AssumeRoleDenied(UserError):
    """STS refused AssumeRoleWithWebIdentity: `code`, `message` and `request_id` are AWS's own."""

    def __init__(self, role_arn: str, code: str, message: str, request_id: str = "") -> None:
        super().__init__(
            f"The token may not assume {role_arn}",
            why=f"{code}: {message}",
            fix="keyless token   (shows the token's claims beside each role's trust policy)",
        )
        self.role_arn = role_arn
        self.code = code
        self.message = message
        self.request_id = request_id


class Issuing(Protocol):
    """A local cloud whose issuer may be asked: `scripts.localcloud.home.Cloud` is one."""

    @property
    def endpoint(self) -> str:
        """The address of the issuer and of STS."""

    @property
    def ca_bundle(self) -> Path:
        """The certificate authority of that address."""

    @property
    def issuer_key(self) -> str:
        """What lets this machine start jobs at the issuer."""


class JobModel(Protocol):
    """A pydantic model of a GitHub job, as `scripts.localcloud.sts.issuer.Job`."""

    def model_dump_json(self) -> str:
        """The job as JSON."""


def github_token(
    cloud: Issuing | None,
    job: Mapping[str, Any] | JobModel | None = None,
    *,
    audience: str = AUDIENCE,
) -> str:
    """Get the OIDC token of a GitHub job.

    With a local cloud, `job` describes the job and its issuer mints the token; without one
    (`cloud=None`) this process must be a step of a real job with `permissions: id-token: write`.

    Raises `TokenRefused` if the issuer says no and `UserError` if there is no issuer to ask.
    https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
    """
    if cloud is None:
        return runner_token(os.environ, audience=audience)
    return runner_token(job_environment(cloud, job), audience=audience, ca_bundle=cloud.ca_bundle)


def job_environment(
    cloud: Issuing, job: Mapping[str, Any] | JobModel | None = None
) -> dict[str, str]:
    """Start a job at the local issuer; return the two variables that GitHub gives its runner."""
    body = _json_of(job)
    answer = _call(
        urllib.request.Request(
            f"{cloud.endpoint}/_github/jobs",
            data=body,
            headers={
                "Authorization": f"Bearer {cloud.issuer_key}",
                "Content-Type": "application/json",
            },
            method="POST",
        ),
        cloud.ca_bundle,
    )
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": answer["request_url"],
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": answer["request_token"],
    }


def runner_token(
    environment: Mapping[str, str], *, audience: str = AUDIENCE, ca_bundle: Path | None = None
) -> str:
    """Ask for a token as a step of a job does, from the runner's two variables."""
    try:
        url = environment["ACTIONS_ID_TOKEN_REQUEST_URL"]
        bearer = environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    except KeyError as missing:
        raise UserError(
            "There is no GitHub token to be had here",
            why=f"{missing.args[0]} is not set, so this is not a step of a job that may ask",
            fix="permissions: {id-token: write}   (in the workflow's job)",
        ) from None
    separator = "&" if urllib.parse.urlsplit(url).query else "?"
    request = urllib.request.Request(
        f"{url}{separator}audience={urllib.parse.quote(audience, safe='')}",
        headers={"Authorization": f"bearer {bearer}", "Accept": "application/json"},
    )
    return str(_call(request, ca_bundle)["value"])


def assume_role_with_web_identity(
    endpoint: str | None,
    ca_bundle: Path | None,
    role_arn: str,
    token: str,
    session_name: str,
    duration: int = 3600,
    *,
    user_agent: str | None = None,
) -> Credentials:
    """Exchange a GitHub token for a role's session of `duration` seconds.

    The request is unsigned and takes nothing from the environment or `~/.aws`. `endpoint=None`
    is AWS itself.

    Raises `AssumeRoleDenied` with AWS's code and message.
    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from scripts.aws.sealed import unsigned_client

    sts = unsigned_client(
        "sts", endpoint=endpoint, ca_bundle=ca_bundle, user_agent_extra=user_agent
    )
    try:
        response = sts.assume_role_with_web_identity(
            RoleArn=role_arn,
            RoleSessionName=session_name,
            WebIdentityToken=token,
            DurationSeconds=duration,
        )
    except ClientError as refusal:
        error, about = refusal.response["Error"], refusal.response.get("ResponseMetadata", {})
        raise AssumeRoleDenied(
            role_arn, error["Code"], error["Message"], about.get("RequestId", "")
        ) from None
    except BotoCoreError as failure:
        raise UserError(
            "STS could not be asked for credentials", why=str(failure), fix="keyless doctor"
        ) from failure
    return Credentials.from_sts(response)


def _json_of(job: Mapping[str, Any] | JobModel | None) -> bytes:
    if job is None:
        return b"{}"
    if isinstance(job, Mapping):
        return json.dumps(dict(job)).encode()
    return job.model_dump_json().encode()


def _call(request: urllib.request.Request, ca_bundle: Path | None) -> dict[str, Any]:
    """Call the issuer and read its JSON; the local one is never reached through a proxy."""
    if ca_bundle is None:
        opener = urllib.request.build_opener()
    else:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca_bundle))),
        )
    host = urllib.parse.urlsplit(request.full_url).netloc
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as refusal:
        with refusal:
            why = f"{refusal.code} from {host}: {_message(refusal.read())}"
        raise TokenRefused(
            "GitHub's issuer minted no token",
            why=why,
            # 422: the job as described cannot exist, so the description is what is wrong.
            exit_code=2 if refusal.code == 422 else 1,
        ) from None
    except OSError as failure:
        raise UserError(
            "GitHub's issuer did not answer", why=f"{host}: {failure}", fix="keyless doctor"
        ) from None


def _message(body: bytes) -> str:
    text = body.decode(errors="replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return text
