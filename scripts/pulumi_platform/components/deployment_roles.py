"""One environment's permissions boundaries and the roles that plan and apply it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import iam

from scripts.pulumi_platform.basics import (
    KEY_ARN,
    Account,
    Statement,
    Text,
    allow,
    check,
    deny,
    document,
    equals,
    every,
    fits,
    size_checked,
)
from scripts.pulumi_platform.components import deployment_apply, deployment_read
from scripts.pulumi_platform.components.deployment_scope import Scope, actions_of
from scripts.pulumi_platform.components.github_role import (
    GithubRepository,
    GithubRole,
    GithubRoleArgs,
)

LIMIT = 6144
# What RDS and Secrets Manager do in the caller's name with the keys that AWS manages.
MANAGED_KEY_ACTIONS = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]


@dataclass
class PlatformRole:
    """One role of terraform/roles.yaml: who makes it, who may assume it, its policies."""

    root: str
    context: str | None = None
    needs: str | None = None
    policies: Sequence[str] = ()
    service: str | None = None


@dataclass
class State:
    """Where the environment's state is, Terraform's and Pulumi's, and the key that encrypts it."""

    bucket_name: str
    key: str
    kms_key_arn: str | None = None
    pulumi_prefix: str | None = None


@dataclass
class DeploymentRolesArgs:
    """Arguments of DeploymentRoles; terraform/modules/deployment_roles/README.md explains them."""

    environment: str
    github: GithubRepository
    provider_arn: str
    roles: Mapping[str, PlatformRole]
    state: State
    allow_data_deletion: bool = False
    kms_key_arn: Text | None = None
    model_servers: bool = False

    def __post_init__(self) -> None:
        """Raise ArgumentError for roles that nobody or too many could assume."""
        roles = list(self.roles.values())
        check(
            fits(r"[a-z][a-z0-9]{1,11}", self.environment),
            "environment must be 2 to 12 lower-case letters and digits, starting with a letter, "
            'for example "dev".',
        )
        check(
            fits(KEY_ARN, self.kms_key_arn),
            "kms_key_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an "
            "alias: an alias can be moved to another key.",
        )
        check(
            every(lambda role: role.root in ("bootstrap", "platform"), roles),
            'Each role\'s root must be "bootstrap" or "platform".',
        )
        check(
            every(lambda role: (role.context is None) != (role.service is None), roles),
            "Each role needs a context (GitHub's jobs assume it) or a service (an AWS service "
            "does), and not both.",
        )

    def scope(self, account: Account) -> Scope:
        """The ARNs that the policies name; roles of parts that are off are not among them."""
        needed = {None, "model_server"} if self.model_servers else {None}
        made = {
            name: role
            for name, role in self.roles.items()
            if role.needs in needed and role.root == "platform"
        }
        return Scope(
            account=account,
            environment=self.environment,
            state_bucket=self.state.bucket_name,
            state_key=self.state.key,
            state_kms_key_arn=self.state.kms_key_arn,
            pulumi_prefix=self.state.pulumi_prefix,
            kms_key_arn=self.kms_key_arn,
            allow_data_deletion=self.allow_data_deletion,
            platform_role_names=list(made),
            services={name: role.service for name, role in made.items() if role.service},
        )


class DeploymentRoles(pulumi.ComponentResource):
    """The boundaries, the policies and the roles. Dev's apply cannot touch prod."""

    def __init__(
        self, name: str, args: DeploymentRolesArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make them. Raises ArgumentError for a policy that IAM would refuse as too long."""
        super().__init__("keyless:platform:DeploymentRoles", name, None, opts)
        self._name, self._args = name, args
        self._scope = scope = args.scope(Account.of(self))
        self._tags = {"Environment": args.environment}
        read = {
            "read-region": deployment_read.region(scope),
            "read-named": deployment_read.named(scope),
        }
        apply = {
            "apply-compute": deployment_apply.compute(scope),
            "apply-data": deployment_apply.data(scope),
            "apply-identity": deployment_apply.identity(scope),
            "apply-network": deployment_apply.network(scope),
            "apply-operation": deployment_apply.operation(scope),
        }
        if args.model_servers:
            read["read-serving"] = deployment_read.serving(scope)
            apply["apply-serving"] = deployment_apply.serving(scope)
        self.boundary_arn = self._policy(
            "boundary",
            "boundary",
            f"Permissions boundary of every role that the platform of {scope.prefix} makes",
            self._boundary(),
            "The boundary is over IAM's 6,144 characters.",
        )
        deploy_boundary = self._policy(
            "deploy-boundary",
            "deploy-boundary",
            f"Permissions boundary of the roles that plan and apply {scope.prefix}",
            self._deploy_boundary([*read.values(), *apply.values()]),
            "The deploy boundary is over IAM's 6,144 characters.",
        )
        groups = {
            "read": self._policies(
                "read",
                f"Read the configuration of {scope.prefix}: no secret value, no object data",
                read,
            ),
            "apply": self._policies(
                "apply", f"Create and change the platform of {scope.prefix}", apply
            ),
        }
        self.roles = {
            role: self._role(role, given, deploy_boundary, groups)
            for role, given in args.roles.items()
            if given.root == "bootstrap"
        }
        self.role_arns = {role: made.arn for role, made in self.roles.items()}
        self.role_subjects = {role: made.subject for role, made in self.roles.items()}
        self.register_outputs(
            {
                "boundary_arn": self.boundary_arn,
                "role_arns": self.role_arns,
                "role_subjects": self.role_subjects,
            }
        )

    def _role(
        self,
        role: str,
        given: PlatformRole,
        boundary_arn: Text,
        groups: Mapping[str, Mapping[str, Text]],
    ) -> GithubRole:
        """A pull request's plan is information only: it runs the pull request's code."""
        context = given.context or ""
        return GithubRole(
            f"{self._name}-role-{role}",
            GithubRoleArgs(
                name=f"{self._scope.prefix}-{role}",
                context=context.replace("{environment}", self._args.environment),
                github=self._args.github,
                permissions_boundary_arn=boundary_arn,
                policy_arns={
                    name: arn for group in given.policies for name, arn in groups[group].items()
                },
                provider_arn=self._args.provider_arn,
                ref=None if context == "pull_request" else "refs/heads/main",
                tags=self._tags,
            ),
            ResourceOptions(parent=self),
        )

    def _policies(
        self, group: str, description: str, policies: Mapping[str, list[Statement]]
    ) -> dict[str, Text]:
        return {
            name: self._policy(
                f"{group}-{name}",
                name,
                description,
                statements,
                f"Policy {name} is over IAM's 6,144 characters; split it by topic.",
            )
            for name, statements in policies.items()
        }

    def _policy(
        self, resource: str, name: str, description: str, statements: list[Statement], message: str
    ) -> pulumi.Output[str]:
        return iam.Policy(
            f"{self._name}-{resource}",
            name=f"{self._scope.prefix}-{name}",
            description=description,
            policy=size_checked(document(*statements), LIMIT, message),
            tags=self._tags,
            opts=ResourceOptions(parent=self),
        ).arn

    def _boundary(self) -> list[Statement]:
        """The most that a role of the platform can ever do. It grants nothing by itself."""
        scope, account = self._scope, self._scope.account
        sessions = equals("ssm:resourceTag/aws:ssmmessages:session-id", "${aws:userid}")
        key_services = ("s3", "secretsmanager")
        return [
            *(deployment_apply.serving_boundary(scope) if self._args.model_servers else []),
            allow(
                "Objects",
                actions_of(
                    "s3",
                    "AbortMultipartUpload DeleteObject GetObject GetObjectVersion "
                    "ListMultipartUploadParts PutObject",
                ),
                [f"{scope.artifacts}/*"],
            ),
            allow("Bucket", ["s3:ListBucket"], [scope.artifacts]),
            allow(
                "Parameters",
                actions_of("ssm", "GetParameter GetParameterHistory PutParameter"),
                [scope.ssm(f"parameter/keyless/{scope.environment}/*")],
            ),
            allow("SessionDocuments", ["ssm:StartSession"], [scope.documents]),
            allow(
                "SessionsOnThisEnvironment",
                ["ssm:StartSession"],
                [scope.ec2("instance")],
                when=equals("ssm:resourceTag/Environment", scope.environment),
            ),
            allow(
                "OwnSessions",
                ["ssm:ResumeSession", "ssm:TerminateSession"],
                [scope.ssm("session/*")],
                when=sessions,
            ),
            allow("SessionAgent", ["ssm:UpdateInstanceInformation"], [scope.ec2("instance")]),
            allow(
                "WithoutResourceTypes",
                [
                    "ec2:DescribeInstances",
                    "logs:DescribeLogGroups",
                    *actions_of(
                        "ssmmessages",
                        "CreateControlChannel CreateDataChannel OpenControlChannel OpenDataChannel",
                    ),
                ],
                ["*"],
            ),
            allow(
                "Database",
                actions_of("rds", "DescribeDBInstances StartDBInstance StopDBInstance"),
                [scope.database],
            ),
            allow(
                "SnapshotsBeforeUpgrades",
                actions_of("rds", "AddTagsToResource CreateDBSnapshot DescribeDBSnapshots"),
                [scope.database, scope.rds(f"snapshot:{scope.prefix}-schema-*")],
            ),
            # RDS chooses the id; which one is for the role's own policy.
            allow("DatabaseUser", ["rds-db:connect"], [account.arn("rds-db", "dbuser:*/mlflow")]),
            allow(
                "MasterSecret",
                ["secretsmanager:GetSecretValue"],
                [scope.managed_secrets],
                when=equals(
                    "secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn", scope.database
                ),
            ),
            allow("ThirdPartySecret", ["secretsmanager:GetSecretValue"], [scope.third_party]),
            *scope.with_key(
                "KeyThroughServices",
                "Decrypt GenerateDataKey",
                equals("kms:ViaService", *(account.endpoint(one) for one in key_services)),
            ),
            allow(
                "Logs",
                actions_of("logs", "CreateLogStream DescribeLogStreams PutLogEvents"),
                [account.arn("logs", f"log-group:/{scope.prefix}/*:*")],
            ),
            allow(
                "EnhancedMonitoring",
                actions_of(
                    "logs",
                    "CreateLogGroup CreateLogStream DescribeLogStreams GetLogEvents PutLogEvents "
                    "PutRetentionPolicy",
                ),
                [account.arn("logs", "log-group:RDS*")],
            ),
            allow("Health", ["autoscaling:SetInstanceHealth"], [scope.group("mlflow")]),
            allow(
                "Metrics",
                ["cloudwatch:PutMetricData"],
                ["*"],  # scoped by namespace, not by resource
                when=equals("cloudwatch:namespace", f"Keyless/{scope.environment}"),
            ),
        ]

    def _deploy_boundary(self, policies: list[list[Statement]]) -> list[Statement]:
        """Even with AdministratorAccess these roles could not turn on themselves or another's.

        "ec2:CreateVpc" becomes "ec2:Create*": listing every action would not fit a policy. KMS's
        few are written out, since kms:Create* and kms:Put* decide who owns a key.
        """
        scope = self._scope
        verbs = [
            action
            if action.startswith("kms:")
            else re.sub(r"^([a-z0-9-]+:[A-Z][a-z0-9]+).*", r"\1*", action)
            for statements in policies
            for statement in statements
            for action in statement["Action"]
        ]
        deployed = list(dict.fromkeys([*MANAGED_KEY_ACTIONS, *verbs]))
        own = [
            scope.account.iam(f"role/{scope.prefix}-{name}")
            for name, role in self._args.roles.items()
            if role.root == "bootstrap"
        ]
        return [
            # A boundary grants nothing; the roles' own policies name resources.
            allow("WhatTerraformDoesByVerb", deployed, ["*"]),
            deny(
                "NeverItself",
                actions_of(
                    "iam",
                    "AttachRolePolicy DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy "
                    "DetachRolePolicy PutRolePermissionsBoundary PutRolePolicy TagRole UntagRole "
                    "UpdateAssumeRolePolicy UpdateRole",
                ),
                own,
            ),
            deny(
                "NeverTheBoundaries",
                actions_of(
                    "iam",
                    "CreatePolicyVersion DeletePolicy DeletePolicyVersion SetDefaultPolicyVersion "
                    "TagPolicy UntagPolicy",
                ),
                [scope.account.iam(f"policy/{scope.prefix}-*")],
            ),
            deny(
                "NeverAnotherEnvironment",
                # The tags of a role do not tell reliably who may pass it.
                [action for action in deployed if action != "iam:Pass*"],
                ["*"],
                when={
                    "Null": {"aws:ResourceTag/Environment": "false"},
                    "StringNotEquals": {"aws:ResourceTag/Environment": scope.environment},
                },
            ),
            {
                **deny("NeverAnotherEnvironmentsRole", ["iam:PassRole"], []),
                "NotResource": [scope.account.iam(f"role/{scope.prefix}-*")],
            },
        ]
