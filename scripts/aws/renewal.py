"""A GitHub job's role, assumed once more when the job's own session is over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.aws.web_identity import assume_role_with_web_identity, runner_token

if TYPE_CHECKING:
    from scripts.aws.credentials import Credentials

RUNNER = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
SESSION_ARN = re.compile(r"arn:([a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/([^/]+)")


@dataclass
class Caller:
    """Who the caller is to AWS: the variables for a child process, and boto3 clients.

    Both find credentials as every AWS tool does. Where those of a GitHub job are over, `renew`
    assumes the job's role once more with a new token, and both have the new ones.
    """

    environment: dict[str, str]
    region: str
    _role: tuple[str, str] | None = None
    _renewed: Credentials | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], region: str) -> Caller:
        """Remember which role this is while AWS still answers; outside of a job there is none."""
        caller = cls({**environ, "AWS_REGION": region}, region)
        if all(name in environ for name in RUNNER) and "AWS_SESSION_TOKEN" in environ:
            found = SESSION_ARN.fullmatch(caller.client("sts").get_caller_identity()["Arn"])
            if found:
                partition, account, role, name = found.groups()
                caller._role = (f"arn:{partition}:iam::{account}:role/{role}", name)
        return caller

    def client(self, service: str) -> Any:
        """Make a boto3 client with the present credentials."""
        import boto3

        keys = self._renewed
        session = (
            boto3.Session(region_name=self.region)
            if keys is None
            else boto3.Session(
                keys.access_key_id, keys.secret_access_key, keys.session_token, self.region
            )
        )
        return session.client(service)  # type: ignore[call-overload]

    def renew(self) -> bool:
        """Assume the job's role again; False where this is no job.

        Raises UserError where GitHub or STS refuses.
        """
        if self._role is None:
            return False
        role_arn, name = self._role
        endpoint = self.environment.get(
            "AWS_ENDPOINT_URL_STS", self.environment.get("AWS_ENDPOINT_URL")
        )
        bundle = self.environment.get("AWS_CA_BUNDLE")
        ca_bundle = Path(bundle) if bundle else None
        # The issuer's certificate is GitHub's, except where a local cloud plays it.
        token = runner_token(self.environment, ca_bundle=ca_bundle if endpoint else None)
        self._renewed = assume_role_with_web_identity(endpoint, ca_bundle, role_arn, token, name)
        self.environment.update(self._renewed.environment())
        return True
