"""The key that encrypts one environment's data: made by whoever bootstraps the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import kms

from scripts.pulumi_platform.basics import (
    KEY_ARN,
    Account,
    Text,
    allow,
    check,
    document,
    fits,
)

ADMINISTRATION = [
    "CancelKeyDeletion",
    "CreateAlias",
    "CreateGrant",
    "Decrypt",
    "DeleteAlias",
    "DescribeKey",
    "DisableKey",
    "DisableKeyRotation",
    "EnableKey",
    "EnableKeyRotation",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "ListAliases",
    "ListGrants",
    "ListKeyPolicies",
    "ListKeyRotations",
    "ListResourceTags",
    "PutKeyPolicy",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
    "RevokeGrant",
    "RotateKeyOnDemand",
    "ScheduleKeyDeletion",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateKeyDescription",
]
LOGS = [
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
]


@dataclass
class EnvironmentKeyArgs:
    """Arguments of EnvironmentKey; terraform/modules/environment_key/README.md explains them."""

    name: str
    existing_arn: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ArgumentError for an alias, and for a name that IAM would not take."""
        check(
            fits(KEY_ARN, self.existing_arn),
            "existing_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an "
            "alias: an alias can be moved to another key.",
        )
        check(
            fits(r"[a-z][a-z0-9-]{1,46}[a-z0-9]", self.name),
            "name must be 3 to 48 lower-case letters, digits and hyphens, for example "
            '"keyless-prod".',
        )


class EnvironmentKey(pulumi.ComponentResource):
    """A key, or the alias of one that is there. Its policy hands it to the account's IAM."""

    def __init__(
        self, name: str, args: EnvironmentKeyArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make the key unless there is one."""
        super().__init__("keyless:platform:EnvironmentKey", name, None, opts)
        self._args, self._account = args, Account.of(self)
        self.arn: Text
        if args.existing_arn is None:
            self.arn = kms.Key(
                f"{name}-data",
                description=f"Data of {args.name}",
                deletion_window_in_days=30,
                enable_key_rotation=True,  # what is encrypted stays readable, the ARN the same
                policy=self._policy(),
                tags=args.tags,
                # Whoever deletes the key deletes the database, its snapshots and every object.
                opts=ResourceOptions(parent=self, protect=True),
            ).arn
        else:
            self.arn = args.existing_arn
        # How the platform finds the key. What its roles may do with it names the ARN, so an alias
        # that is moved gives nothing.
        alias = kms.Alias(
            f"{name}-data",
            name=f"alias/{args.name}",
            target_key_id=self.arn,
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"alias": alias.name, "arn": self.arn})

    def _policy(self) -> pulumi.Output[str]:
        account = self._account
        groups = [f"/{self._args.name}/*", f"/aws/rds/instance/{self._args.name}/*"]
        this_key = ["*"]  # in a key's policy, * is this key
        return document(
            allow(
                "IamOfThisAccountDecides",
                [f"kms:{action}" for action in ADMINISTRATION],
                this_key,
                principal={"AWS": [account.iam("root")]},
            ),
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
            allow(
                "LogsOfThisEnvironment",
                [f"kms:{action}" for action in LOGS],
                this_key,
                principal={"Service": [account.endpoint("logs")]},
                when={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": [
                            account.arn("logs", f"log-group:{group}") for group in groups
                        ]
                    }
                },
            ),
            # IfExists: a service that does not say for whom it publishes would otherwise publish
            # nothing, and no alarm would ever be heard.
            allow(
                "AlertsOfThisAccount",
                ["kms:Decrypt", "kms:GenerateDataKey"],
                this_key,
                principal={"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]},
                when={"StringEqualsIfExists": {"aws:SourceAccount": account.id}},
            ),
        )
