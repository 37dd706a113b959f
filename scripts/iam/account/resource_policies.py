"""Policies of resources, asked of a running account by an administrator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scripts.iam.engine.documents import Policy, parse_policy

Client = Callable[..., Any]  # service name, and region_name if asked for -> boto3 client

# What the name in an ARN begins with, of the services whose policies are asked for.
_READ = {
    "ecr": "repository/",
    "kms": "key/",
    "lambda": "function:",
    "s3": "",
    "secretsmanager": "secret:",
    "sns": "",
    "sqs": "",
}
_NO_POLICY = ("NoSuchBucketPolicy", "RepositoryPolicyNotFoundException")
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
                self._unknown[arn] = "it is not in the account and region that were looked at"
            elif code not in (*_NO_POLICY, *_GONE):
                self._unknown[arn] = f"its policy could not be read ({code})"
            return None
        if not document:
            return None
        text = document if isinstance(document, str) else json.dumps(document)
        return parse_policy(text, name=arn, kind="resource")

    def _document(self, arn: str) -> Any:
        _, _, service, region, account, name = arn.split(":", 5)
        further = {"region_name": region} if region and self.regional else {}
        client = self.client(service, **further)
        if service == "s3":
            return client.get_bucket_policy(Bucket=name)["Policy"]
        if service == "kms":
            return client.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]
        if service == "secretsmanager":
            return client.get_resource_policy(SecretId=arn).get("ResourcePolicy")
        if service == "sns":
            return client.get_topic_attributes(TopicArn=arn)["Attributes"].get("Policy")
        if service == "ecr":
            repository = name.removeprefix("repository/")
            answer = client.get_repository_policy(registryId=account, repositoryName=repository)
            return answer["policyText"]
        if service == "lambda":
            return client.get_policy(FunctionName=arn)["Policy"]
        url = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        return answer.get("Attributes", {}).get("Policy")


def is_read(arn: str) -> bool:
    """Whether the policy of what an ARN names is one of those that are asked for."""
    parts = arn.split(":", 5)
    return len(parts) == 6 and parts[2] in _READ and parts[5].startswith(_READ[parts[2]])


def _owner(arn: str) -> str:
    """The resource that has the policy: an object's bucket."""
    return arn.partition("/")[0] if ":s3:::" in arn else arn
