"""The keys that AWS manages (aws/rds, aws/s3, ...): which there are, and their policies.

Nobody can change such a policy. It lets every principal of the account use the key, but only
through its service, and lets IAM policies of the account allow to read the key's metadata.
https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-key
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ALIAS = "alias/aws/"
_USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")
_READ = ("kms:Describe*", "kms:Get*", "kms:List*")


@dataclass(frozen=True)
class ManagedKey:
    """One key that AWS manages: its alias is aws/`name`.

    `via` is the service in kms:ViaService; `use` are the actions that everyone has through it;
    `anywhere` are those of them that the policy allows through the service in any region.
    """

    name: str
    title: str
    via: str
    version: int
    use: tuple[str, ...]
    anywhere: tuple[str, ...] = ()
    read: tuple[str, ...] = _READ

    def policy(self, account: str, region: str) -> dict[str, Any]:
        """The key's policy in an account and region."""
        return {
            "Version": "2012-10-17",
            "Id": f"auto-{self.name}-{self.version}",
            "Statement": list(self._statements(account, region)),
        }

    def _statements(self, account: str, region: str) -> Iterator[dict[str, Any]]:
        through = f"Allow access through {self.title} for all principals in the account that are"
        caller = {"kms:CallerAccount": account}
        whom = {"Sid": f"{through} authorized to use {self.title}", "Effect": "Allow"}
        everyone = {"Principal": {"AWS": "*"}, "Resource": "*"}
        via = {"StringEquals": {**caller, "kms:ViaService": f"{self.via}.{region}.amazonaws.com"}}
        yield {**whom, **everyone, "Action": list(self.use), "Condition": via}
        if self.anywhere:
            wide = {"kms:ViaService": f"{self.via}.*.amazonaws.com"}
            condition = {"StringEquals": caller, "StringLike": wide}
            yield {**whom, **everyone, "Action": list(self.anywhere), "Condition": condition}
        yield {
            "Sid": "Allow direct access to key metadata to the account",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": list(self.read),
            "Resource": "*",
        }


_GRANTS = ("kms:CreateGrant", *_USE)
_REVOKE = (*_READ, "kms:RevokeGrant")
# The policies of aws/rds, aws/s3, aws/secretsmanager and aws/ssm as accounts show them. The others
# follow the pattern that the page above describes.
KEYS = {
    key.name: key
    for key in (
        ManagedKey("ebs", "EBS", "ec2", 2, _GRANTS, read=_REVOKE),
        ManagedKey("lambda", "AWS Lambda", "lambda", 1, _GRANTS, read=_REVOKE),
        ManagedKey("rds", "RDS", "rds", 2, (*_GRANTS, "kms:ListGrants"), read=_REVOKE),
        ManagedKey("s3", "S3", "s3", 2, _USE),
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
        ManagedKey(
            "secretsmanager",
            "AWS Secrets Manager",
            "secretsmanager",
            2,
            tuple(action for action in _GRANTS if action != "kms:GenerateDataKey*"),
            anywhere=("kms:GenerateDataKey*",),
            read=_REVOKE,
        ),
        ManagedKey("sns", "SNS", "sns", 1, _GRANTS, read=_REVOKE),
        ManagedKey("sqs", "SQS", "sqs", 1, _GRANTS, read=_REVOKE),
        ManagedKey("ssm", "SSM", "ssm", 1, _USE),
    )
}
