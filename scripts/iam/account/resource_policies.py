"""Policies of resources, asked of a running account by an administrator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scripts.iam.engine.documents import Policy, parse_policy

Client = Callable[..., Any]  # service name, and region_name if asked for -> boto3 client

# What the name in an ARN begins with, of the services whose policies are asked for.
_READ = {
    "dynamodb": "table/",
    "ecr": "repository/",
    "es": "domain/",
    "execute-api": "",
    "glue": "",
    "kinesis": "stream/",
    "kms": "key/",
    "lambda": "function:",
    "s3": "",
    "secretsmanager": "secret:",
    "ses": "identity/",
    "sns": "",
    "sqs": "",
}
# Of these the policy belongs to the beginning of what is asked for, up to the first or second /:
# an API's path, a domain's index, a table's. A table's stream has a policy of its own.
_ABOVE = {"dynamodb": 2, "es": 2, "execute-api": 1, "ses": 2}
_STREAM = "/stream/"
# Asked for by a name that another account may use, too.
_BY_NAME = ("es", "glue", "ses")
_NO_POLICY = (
    "EntityNotFoundException",  # Glue's: the catalog has none
    "NoSuchBucketPolicy",
    "PolicyNotFoundException",
    "RepositoryPolicyNotFoundException",
)
# Lambda says the same of a function without a policy and of none: that is no policy, too.
_GONE = (
    "NoSuchBucket",
    "NotFound",
    "NotFoundException",
    "RepositoryNotFoundException",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
)


@dataclass
class ResourcePolicies:
    """Finds the resource-based policy of an ARN; asks once for each.

    `regional`: whether the client is made for the ARN's own region.
    """

    client: Client
    regional: bool = False
    _unknown: dict[str, str] = field(default_factory=dict)
    _known: dict[str, Policy | None] = field(default_factory=dict)

    def __call__(self, arn: str) -> Policy | None:
        """The policy of what the ARN names, or of what it belongs to; None if there is none."""
        owner = _owner(arn)
        if owner not in self._known:
            self._known[owner] = self._ask(owner)
        return self._known[owner]

    def unknown(self, arn: str) -> str:
        """Why nothing is known of the policy of what an ARN names, if so, once it was asked for."""
        return self._unknown.get(_owner(arn), "")

    def _ask(self, arn: str) -> Policy | None:
        from botocore.exceptions import ClientError

        if not is_read(arn):
            return None
        try:
            document = self._document(arn)
        except ClientError as failure:
            code = failure.response["Error"]["Code"]
            if code in _GONE and not arn.startswith("arn:aws:lambda:"):
                place = "the account and region that were looked at"
                self._unknown[arn] = f"it is not in {place}"
                if ":execute-api:" in arn:
                    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-vs-rest.html
                    self._unknown[arn] = (
                        f"{place} have no such REST API; an HTTP or WebSocket API has no policy"
                    )
            elif code not in (*_NO_POLICY, *_GONE):
                self._unknown[arn] = f"its policy could not be read ({code})"
            return None
        if not document:
            return None
        text = document if isinstance(document, str) else json.dumps(document)
        return parse_policy(text, name=arn, kind="resource")

    @cached_property
    def _account(self) -> str:
        return str(self.client("sts").get_caller_identity()["Account"])

    def _document(self, arn: str) -> Any:
        _, _, service, region, account, name = arn.split(":", 5)
        further = {"region_name": region} if region and self.regional else {}
        if service in _BY_NAME and account != self._account:
            return None  # those of another account are said not to be looked at
        client = self.client(_CLIENTS.get(service, service), **further)
        return _DOCUMENTS[service](client, arn, name.removeprefix(_READ[service]), account)


def _of_queue(client: Any, _arn: str, name: str, account: str) -> Any:
    url = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    return answer.get("Attributes", {}).get("Policy")


def _of_api(client: Any, _arn: str, api: str, _account: str) -> Any:
    # The answer is escaped once more than JSON asks for.
    return client.get_rest_api(restApiId=api).get("policy", "").replace('\\"', '"')


def _of_identity(client: Any, _arn: str, name: str, _account: str) -> Any:
    found = client.get_email_identity(EmailIdentity=name).get("Policies", {})
    statements: list[Any] = []
    for document in map(json.loads, found.values()):
        written = document["Statement"]
        statements += written if isinstance(written, list) else [written]
    return {"Version": "2012-10-17", "Statement": statements} if statements else None


# How the client tells the policy of an ARN, or of the name in it in an account.
_DOCUMENTS: dict[str, Callable[[Any, str, str, str], Any]] = {
    "dynamodb": lambda client, arn, *_: client.get_resource_policy(ResourceArn=arn)["Policy"],
    "ecr": lambda client, _, name, account: client.get_repository_policy(
        registryId=account, repositoryName=name
    )["policyText"],
    "es": lambda client, _, name, __: client.describe_domain(DomainName=name)["DomainStatus"].get(
        "AccessPolicies"
    ),
    "execute-api": _of_api,
    "glue": lambda client, *_: client.get_resource_policy()["PolicyInJson"],
    "kinesis": lambda client, arn, *_: client.get_resource_policy(ResourceARN=arn)["Policy"],
    "kms": lambda client, arn, *_: client.get_key_policy(KeyId=arn, PolicyName="default")["Policy"],
    "lambda": lambda client, arn, *_: client.get_policy(FunctionName=arn)["Policy"],
    "s3": lambda client, _, name, __: client.get_bucket_policy(Bucket=name)["Policy"],
    "secretsmanager": lambda client, arn, *_: client.get_resource_policy(SecretId=arn).get(
        "ResourcePolicy"
    ),
    "ses": _of_identity,
    "sns": lambda client, arn, *_: client.get_topic_attributes(TopicArn=arn)["Attributes"].get(
        "Policy"
    ),
    "sqs": _of_queue,
}
_CLIENTS = {"es": "opensearch", "execute-api": "apigateway", "ses": "sesv2"}


def is_read(arn: str) -> bool:
    """Whether the policy of what an ARN names is one of those that are asked for."""
    parts = arn.split(":", 5)
    return len(parts) == 6 and parts[2] in _READ and parts[5].startswith(_READ[parts[2]])


def _owner(arn: str) -> str:
    """The resource that has the policy: an object's bucket, an API, a domain."""
    if ":s3:::" in arn:
        return arn.partition("/")[0]
    service = [*arn.split(":", 3), "", ""][2]
    if service in _ABOVE and _STREAM not in arn:
        return "/".join(arn.split("/")[: _ABOVE[service]])
    return arn
