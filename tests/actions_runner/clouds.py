"""Where the runner's jobs get tokens and sessions: the local cloud, or trust policies alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.aws import web_identity
from scripts.aws.credentials import Credentials
from scripts.aws.web_identity import AssumeRoleDenied
from scripts.github.trust import WEB_IDENTITY, judge
from scripts.iam.engine.documents import Policy
from scripts.localcloud.sts.issuer import Job, claims


def may_assume(role_arn: str, trust: Policy, token: Mapping[str, Any]) -> bool:
    """Whether a token with these claims may assume the role, by AWS's condition keys alone."""
    return judge(role_arn, trust, token).allowed


@dataclass
class TrustCloud:
    """Roles that are nothing but their trust policies. Tokens are claims, unsigned."""

    trusts: Mapping[str, Policy] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    _jobs: list[Job] = field(default_factory=list)

    def start_job(self, job: Mapping[str, Any]) -> Mapping[str, str]:
        """Register the job. Raises PermissionError for a fork's pull request."""
        described = Job.model_validate(dict(job))
        if described.from_fork:
            raise PermissionError("a fork's pull request gets no token")
        self._jobs.append(described)
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"https://issuer.invalid/?job={len(self._jobs) - 1}",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer",
        }

    def token(self, environment: Mapping[str, str], audience: str) -> str:
        """The job's claims as JSON."""
        number = environment["ACTIONS_ID_TOKEN_REQUEST_URL"].rpartition("=")[2]
        return json.dumps(claims(self._jobs[int(number)], audience, 0))

    def assume_role(
        self, role_arn: str, token: str, session_name: str, duration: int
    ) -> Credentials:
        """Decide by the role's trust policy. Raises AssumeRoleDenied."""
        trust = self.trusts.get(role_arn)
        if trust is None or not may_assume(role_arn, trust, json.loads(token)):
            message = f"Not authorized to perform {WEB_IDENTITY}"
            raise AssumeRoleDenied(role_arn, "AccessDenied", message)
        self.assumed.append(role_arn)
        return Credentials(f"ASIA-{role_arn}", "secret-key", "session-token")

    def account(self, credentials: Credentials) -> str:
        """The account in the role's ARN."""
        return credentials.access_key_id.split(":")[4]


@dataclass(frozen=True)
class LocalCloudAdapter:
    """The local cloud: its issuer over HTTPS, its STS, its trust policies."""

    cloud: web_identity.Issuing

    def start_job(self, job: Mapping[str, Any]) -> Mapping[str, str]:
        """Start the job at the local issuer. Raises PermissionError for a fork's pull request."""
        try:
            return web_identity.job_environment(self.cloud, job)
        except web_identity.TokenRefused as refused:
            raise PermissionError(refused.why) from None

    def token(self, environment: Mapping[str, str], audience: str) -> str:
        """Ask the local issuer as a step does."""
        return web_identity.runner_token(
            environment, audience=audience, ca_bundle=self.cloud.ca_bundle
        )

    def assume_role(
        self, role_arn: str, token: str, session_name: str, duration: int
    ) -> Credentials:
        """Ask the local STS. Raises AssumeRoleDenied."""
        return web_identity.assume_role_with_web_identity(
            self.cloud.endpoint, self.cloud.ca_bundle, role_arn, token, session_name, duration
        )

    def account(self, credentials: Credentials) -> str:
        """Ask the local STS who the session is."""
        import boto3

        answer = boto3.client(
            "sts",
            endpoint_url=self.cloud.endpoint,
            verify=str(Path(self.cloud.ca_bundle)),
            region_name="us-east-1",
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
        ).get_caller_identity()
        return str(answer["Account"])
