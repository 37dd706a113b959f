"""What tests do to the account of a local cloud: clients, roles, sessions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import requests
from botocore import UNSIGNED
from botocore.config import Config

from scripts.aws.credentials import Credentials
from scripts.localcloud.cloud import LocalCloud
from scripts.localcloud.sts.issuer import Job, subject

AUDIENCE = "sts.amazonaws.com"
BUCKET = "signed-things"
GITHUB = "token.actions.githubusercontent.com"
# One session, so that botocore reads each service's model once.
_SESSION: Any = boto3.Session()


@dataclass(frozen=True)
class Account:
    """What a test does to the account, as its administrator."""

    cloud: LocalCloud
    # Making a client costs more than most calls.
    _clients: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str, credentials: Credentials | None = None, **config: Any) -> Any:
        """A boto3 client; without credentials it is the administrator's."""
        who = credentials or self.cloud.administrator
        key = (service, who, *sorted(config.items()))
        if key not in self._clients:
            self._clients[key] = self._new_client(service, who, config)
        return self._clients[key]

    def _new_client(self, service: str, who: Credentials, config: dict[str, Any]) -> Any:
        return _SESSION.client(
            service,
            endpoint_url=self.cloud.endpoint,
            region_name=self.cloud.region,
            verify=str(self.cloud.ca_bundle),
            aws_access_key_id=who.access_key_id,
            aws_secret_access_key=who.secret_access_key,
            aws_session_token=who.session_token,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def unsigned(self, service: str) -> Any:
        """A client that does not sign."""
        key = (service, None)
        if key not in self._clients:
            self._clients[key] = self._new_unsigned_client(service)
        return self._clients[key]

    def _new_unsigned_client(self, service: str) -> Any:
        return _SESSION.client(
            service,
            endpoint_url=self.cloud.endpoint,
            region_name=self.cloud.region,
            verify=str(self.cloud.ca_bundle),
            # The server's own validation is under test, not boto3's.
            config=Config(
                signature_version=UNSIGNED,
                retries={"total_max_attempts": 1},
                parameter_validation=False,
            ),
        )

    @property
    def provider(self) -> str:
        """ARN of GitHub's provider in this account."""
        return f"arn:aws:iam::{self.cloud.account_id}:oidc-provider/{GITHUB}"

    def trust(self, claims: Mapping[str, Any], operator: str = "StringEquals") -> dict[str, Any]:
        """A trust policy that tests GitHub's claims."""
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": self.provider},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {
                        operator: {f"{GITHUB}:{name}": value for name, value in claims.items()}
                    },
                }
            ],
        }

    def role(self, name: str, trust: Mapping[str, Any], **options: Any) -> str:
        """Create a role; returns its ARN."""
        created = self.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), **options
        )
        return str(created["Role"]["Arn"])

    def allow(self, role: str, *statements: Mapping[str, Any], name: str = "inline") -> None:
        """Give a role an inline policy."""
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        self.client("iam").put_role_policy(
            RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document)
        )

    def job_role(self, name: str, job: Job | None = None, **options: Any) -> str:
        """A role that one exact GitHub context may assume."""
        claims = {"aud": AUDIENCE, "sub": subject(job or Job())}
        return self.role(name, self.trust(claims), **options)

    def assume(self, role_arn: str, job: Job | None = None, **options: Any) -> Credentials:
        """Assume a role with a token of `job`."""
        token = self.cloud.issuer.mint(job or Job())
        answer = self.unsigned("sts").assume_role_with_web_identity(
            **{
                "RoleArn": role_arn,
                "RoleSessionName": "test",
                "WebIdentityToken": token,
                **options,
            }
        )
        return Credentials.from_sts(answer)

    def session(self, name: str, *statements: Mapping[str, Any], **options: Any) -> Credentials:
        """A session of a new role with these permissions."""
        arn = self.job_role(name, **options)
        if statements:
            self.allow(name, *statements)
        return self.assume(arn)


def statement(
    actions: str | list[str], resources: str | list[str] = "*", **more: Any
) -> dict[str, Any]:
    """An Allow statement."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def link(account: Account, credentials: Credentials, **options: Any) -> str:
    """A presigned link to the object `b.txt` of the bucket `BUCKET`, or what `options` say."""
    client = account.client("s3", credentials, signature_version="s3v4")
    url: str = client.generate_presigned_url(
        options.pop("method", "get_object"),
        Params={"Bucket": BUCKET, "Key": "b.txt", **options.pop("params", {})},
        ExpiresIn=options.pop("expires", 60),
    )
    return url


def fetch(account: Account, url: str, method: str = "GET", **options: Any) -> requests.Response:
    """Follow a link without any credentials."""
    return requests.request(method, url, verify=str(account.cloud.ca_bundle), timeout=10, **options)


def code_in(answer: requests.Response) -> str:
    """The code of an error in XML."""
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]
