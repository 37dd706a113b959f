"""Policies of resources, asked of a running account by an administrator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scripts.iam.engine.documents import Policy, parse_policy

Client = Callable[[str], Any]  # service name -> boto3 client


@dataclass
class ResourcePolicies:
    """Finds the resource-based policy of an ARN; asks once for each."""

    client: Client
    unreadable: list[str] = field(default_factory=list)
    """ARNs whose policy the client may not read: whether they have one is not known."""
    _known: dict[str, Policy | None] = field(default_factory=dict)

    def __call__(self, arn: str) -> Policy | None:
        """The policy of what the ARN names, or of what it belongs to; None if there is none."""
        owner = _owner(arn)
        if owner not in self._known:
            self._known[owner] = self._ask(owner)
        return self._known[owner]

    def _ask(self, arn: str) -> Policy | None:
        from botocore.exceptions import ClientError

        parts = arn.split(":", 5)
        try:
            document = self._document(parts[2], arn, parts[-1]) if len(parts) == 6 else None
        except ClientError as failure:
            if failure.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
                self.unreadable.append(arn)
            return None  # there is none, or the resource is gone
        return parse_policy(document, name=arn, kind="resource") if document else None

    def _document(self, service: str, arn: str, name: str) -> str | None:
        if service == "s3":
            return str(self.client("s3").get_bucket_policy(Bucket=name)["Policy"])
        if service == "kms" and name.startswith("key/"):
            answer = self.client("kms").get_key_policy(KeyId=arn, PolicyName="default")
            return str(answer["Policy"])
        if service == "secretsmanager":
            answer = self.client("secretsmanager").get_resource_policy(SecretId=arn)
            policy = answer.get("ResourcePolicy")
            return None if policy is None else str(policy)
        if service == "sns":
            answer = self.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
            policy = answer.get("Policy")
            return policy if isinstance(policy, str) else json.dumps(policy) if policy else None
        return None


def is_read(arn: str) -> bool:
    """Whether the policy of what an ARN names is one of those that are asked for."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[2] not in ("s3", "kms", "secretsmanager", "sns"):
        return False
    return parts[2] != "kms" or parts[5].startswith("key/")


def _owner(arn: str) -> str:
    """The resource that has the policy: an object's bucket."""
    return arn.partition("/")[0] if ":s3:::" in arn else arn
