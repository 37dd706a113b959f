"""The pipeline's roles, each with only what its step does and for one exact GitHub environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi import ResourceOptions

from scripts.pulumi_platform.basics import (
    Account,
    ArgumentError,
    Conditions,
    Statement,
    Text,
    allow,
    both,
    check,
    document,
    equals,
    every,
    fits,
)
from scripts.pulumi_platform.components.github_role import (
    GithubRepository,
    GithubRole,
    GithubRoleArgs,
)

ACCESS_CHECK: Conditions = {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}}
NAMESPACE = r"(?!AWS/)[A-Za-z0-9._/#-]+"
PREFIX = r"[A-Za-z0-9_-][A-Za-z0-9_/-]*/"


@dataclass
class Storage:
    """Prefixes of the bucket, by name, that a role may list, read, read by version, and write."""

    list: Sequence[str] = ()
    read: Sequence[str] = ()
    versions: Sequence[str] = ()
    write: Sequence[str] = ()


@dataclass
class WorkloadRole:
    """One role of terraform/roles.yaml."""

    context: str
    policies: Sequence[str] = ()
    session: str | None = None
    storage: Storage | None = None


@dataclass
class RoleArtifacts:
    """The artifact bucket, its key, and its prefixes, each with its slash."""

    bucket_name: str
    prefixes: Mapping[str, str]
    kms_key_arn: str | None = None


@dataclass
class RoleDatabase:
    """The database, and the key of its master secret (None: Secrets Manager's own)."""

    identifier: str
    kms_key_arn: str | None = None


@dataclass
class RoleServer:
    """What a tunnel goes to."""

    session_documents: Mapping[str, str]
    role_tag: str = "mlflow"


@dataclass
class Serving:
    """The model servers whose traffic a role with the policy "rollout" moves."""

    autoscaling_group_names: Sequence[str]
    balancer_name: str
    session_document: str
    ssl_policy: str
    role_tag: str = "serve"


@dataclass
class ThirdPartySecret:
    """A data provider's key, by its whole ARN, and what encrypts it."""

    arn: Text
    kms_key_arn: str | None = None


@dataclass
class WorkloadRolesArgs:
    """Arguments of WorkloadRoles; terraform/modules/workload_roles/README.md explains them."""

    artifacts: RoleArtifacts
    champion_parameter_prefix: str
    database: RoleDatabase
    environment: str
    github: GithubRepository
    metrics_namespace: str
    name: str
    platform_parameter_name: str
    provider_arn: str
    roles: Mapping[str, WorkloadRole]
    server: RoleServer
    job_workflow_refs: Mapping[str, str] = field(default_factory=dict)
    permissions_boundary_arn: str | None = None
    ref: str = "refs/heads/main"
    serving: Serving | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    third_party_secret: ThirdPartySecret | None = None

    def __post_init__(self) -> None:
        """Raise ArgumentError for roles that could do each other's work."""
        roles, prefixes = list(self.roles.values()), list(self.artifacts.prefixes.values())
        check(
            every(lambda prefix: fits(PREFIX, prefix), prefixes),
            "artifacts.prefixes must each end with a slash and not begin with one, for example "
            '"data/train/".',
        )
        check(
            len(set(prefixes)) == len(prefixes)
            and not any(one != two and one.startswith(two) for one in prefixes for two in prefixes),
            "artifacts.prefixes must not contain one another, or a role that may write one could "
            "write the other.",
        )
        check(
            fits(r"/[A-Za-z0-9_./-]+/", self.champion_parameter_prefix),
            "champion_parameter_prefix must begin and end with a slash, for example "
            '"/keyless/dev/champion/".',
        )
        check(
            fits(r"[a-z][a-z0-9]{1,11}", self.environment),
            "environment must be 2 to 12 lower-case letters and digits, starting with a letter, "
            'for example "dev".',
        )
        check(
            self.job_workflow_refs.keys() <= self.roles.keys(),
            "job_workflow_refs takes names of roles as keys: "
            + ", ".join(sorted(self.roles))
            + ".",
        )
        check(
            fits(NAMESPACE, self.metrics_namespace),
            'metrics_namespace must be a namespace of your own such as "Keyless/dev", not one of '
            "AWS's.",
        )
        check(
            fits(r"[a-z][a-z0-9-]{1,46}[a-z0-9]", self.name),
            "name must be 3 to 48 lower-case letters, digits and hyphens, for example "
            '"keyless-dev".',
        )
        check(
            every(lambda role: role.context.startswith("environment:{environment}"), roles),
            'Each role\'s context must begin with "environment:{environment}", for example '
            '"environment:{environment}-train": the pipeline\'s roles are for jobs of one GitHub '
            "environment.",
        )
        check(
            len({role.context for role in roles}) == len(roles),
            "Each role needs a context of its own; two with the same one could be exchanged for "
            "each other.",
        )
        check(
            self.serving is not None or every(lambda role: "rollout" not in role.policies, roles),
            'The policy "rollout" needs serving: it names the load balancer and the groups that it '
            "may change.",
        )


class WorkloadRoles(pulumi.ComponentResource):
    """A GithubRole for each step. A role names the policies that it gets."""

    def __init__(
        self, name: str, args: WorkloadRolesArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make the roles."""
        super().__init__("keyless:platform:WorkloadRoles", name, None, opts)
        self._args, self._account = args, Account.of(self)
        # Known before the roles are.
        self.role_arns = {
            role: self._account.iam(f"role/{args.name}-{role}") for role in args.roles
        }
        self.subjects = {}
        for role, given in args.roles.items():
            made = GithubRole(
                f"{name}-role-{role}",
                GithubRoleArgs(
                    name=f"{args.name}-{role}",
                    context=given.context.replace("{environment}", args.environment),
                    github=args.github,
                    job_workflow_ref=args.job_workflow_refs.get(role),
                    permissions_boundary_arn=args.permissions_boundary_arn,
                    policies=self._policies(given),
                    provider_arn=args.provider_arn,
                    ref=args.ref,
                    tags=args.tags,
                ),
                ResourceOptions(parent=self),
            )
            self.subjects[role] = made.subject
        self.register_outputs({"role_arns": self.role_arns, "subjects": self.subjects})

    def _policies(self, role: WorkloadRole) -> dict[str, Text]:
        # Without a third-party secret there is no policy to read it.
        has_secret = self._args.third_party_secret is not None
        policies: dict[str, Text] = {
            name: document(*self._topic(name))
            for name in role.policies
            if name != "third-party-secret" or has_secret
        }
        if role.storage is not None:
            policies["storage"] = document(*self._storage(role.storage))
        if role.session is not None:
            policies["tunnel"] = document(*self._tunnel(role.session))
        return policies

    def _topic(self, name: str) -> list[Statement]:
        """The statements of a policy that roles.yaml names."""
        args, account = self._args, self._account
        champions = account.arn("ssm", f"parameter{args.champion_parameter_prefix}*")
        contract = account.arn("ssm", f"parameter{args.platform_parameter_name}")
        read = ["ssm:GetParameter"]
        match name:
            case "champion-read":
                return [allow("ReadTheChampionOfRecord", read, [champions])]
            case "champion-write":
                write = [*read, "ssm:GetParameterHistory", "ssm:PutParameter"]
                return [allow("KeepTheChampionOfRecord", write, [champions])]
            case "contract":
                return [allow("ReadTheContract", read, [contract])]
            case "database":
                return self._database()
            case "metrics":
                return [
                    allow(
                        "PublishInOneNamespace",
                        ["cloudwatch:PutMetricData"],
                        ["*"],  # scoped by namespace, not by resource
                        when=equals("cloudwatch:namespace", args.metrics_namespace),
                    )
                ]
            case "rollout" if args.serving is not None:
                return self._rollout(args.serving)
            case "third-party-secret" if args.third_party_secret is not None:
                secret = args.third_party_secret
                read_secret = ["secretsmanager:GetSecretValue"]
                return [
                    *self._secrets_key(secret.kms_key_arn),
                    allow("ReadTheOneThirdPartySecret", read_secret, [secret.arn]),
                ]
        raise ArgumentError(f"There is no policy {name!r}; see _topic in {__name__}.")

    def _storage(self, storage: Storage) -> list[Statement]:
        """Only a bucket of this account: a stranger may have registered its name first."""
        artifacts, account = self._args.artifacts, self._account
        bucket = account.bucket(artifacts.bucket_name)
        statements = [
            allow(
                sid,
                [action],
                [f"{bucket}/{artifacts.prefixes[name]}*" for name in names],
                when=account.ours,
            )
            for sid, action, names in (
                ("ReadItsInputs", "s3:GetObject", storage.read),
                ("ReadRecordedVersions", "s3:GetObjectVersion", storage.versions),
                ("WriteItsOutputs", "s3:PutObject", storage.write),
            )
            if names
        ]
        # Only who looks for files lists them. Without this right, a missing file answers 403.
        if storage.list:
            prefixes = [f"{artifacts.prefixes[name]}*" for name in storage.list]
            statements.append(
                allow(
                    "ListItsPrefixes",
                    ["s3:ListBucket"],
                    [bucket],
                    when=both(account.ours, {"StringLike": {"s3:prefix": prefixes}}),
                )
            )
        if artifacts.kms_key_arn:
            statements.append(
                allow(
                    "UseTheArtifactKeyThroughS3",
                    ["kms:Decrypt", "kms:GenerateDataKey"],
                    [artifacts.kms_key_arn],
                    when=equals("kms:ViaService", account.endpoint("s3")),
                )
            )
        return statements

    def _session(self, sids: tuple[str, str], document_name: str, role_tag: str) -> list[Statement]:
        """Open one document on the instances of this environment.

        SessionDocumentAccessCheck: without it, StartSession without a document opens a shell.
        https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-sessiondocumentaccesscheck.html
        """
        start = ["ssm:StartSession"]
        tagged = both(
            ACCESS_CHECK,
            equals("ssm:resourceTag/Environment", self._args.environment),
            equals("ssm:resourceTag/Role", role_tag),
        )
        opened = [self._account.arn("ssm", f"document/{document_name}")]
        return [
            allow(sids[0], start, opened, when=ACCESS_CHECK),
            allow(sids[1], start, [self._account.arn("ec2", "instance/*")], when=tagged),
        ]

    def _tunnel(self, session: str) -> list[Statement]:
        server = self._args.server
        return [
            # ec2:DescribeInstances and all of ssmmessages have no resource type.
            allow("FindTheInstance", ["ec2:DescribeInstances"], ["*"]),
            *self._session(
                ("OpenOneDocument", "OnTheServerOfThisEnvironment"),
                server.session_documents[session],
                server.role_tag,
            ),
            # session-manager-plugin signs the data channel since 1.2.764.0; without this
            # StartSession succeeds and the tunnel fails with 403.
            allow("OpenTheDataChannel", ["ssmmessages:OpenDataChannel"], ["*"]),
            # A session's id begins with its name, which another role may use too; AWS tags it with
            # the caller's own id.
            allow(
                "EndAndResumeItsOwnSessions",
                ["ssm:ResumeSession", "ssm:TerminateSession"],
                [self._account.arn("ssm", "session/*")],
                when=equals("ssm:resourceTag/aws:ssmmessages:session-id", "${aws:userid}"),
            ),
        ]

    def _secrets_key(self, kms_key_arn: str | None) -> list[Statement]:
        """Nothing where Secrets Manager's own key encrypts the secret."""
        if kms_key_arn is None:
            return []
        through = equals("kms:ViaService", self._account.endpoint("secretsmanager"))
        return [allow("UseTheSecretsKey", ["kms:Decrypt"], [kms_key_arn], when=through)]

    def _database(self) -> list[Statement]:
        account, identifier = self._account, self._args.database.identifier
        database = account.arn("rds", f"db:{identifier}")
        snapshots = account.arn("rds", f"snapshot:{identifier}-schema-*")
        return [
            *self._secrets_key(self._args.database.kms_key_arn),
            allow("FindTheDatabase", ["rds:DescribeDBInstances"], [database]),
            allow(
                "KeepASnapshotBeforeAnUpgradeOfTheSchema",
                ["rds:CreateDBSnapshot"],
                [database, snapshots],
            ),
            # RDS gives a snapshot the tags of its database, in the caller's name.
            allow("TagTheSnapshot", ["rds:AddTagsToResource"], [snapshots]),
            allow("AwaitTheSnapshot", ["rds:DescribeDBSnapshots"], [snapshots]),
            # RDS names the secret by an id that is not known before the database is; its tag is.
            allow(
                "ReadTheMasterSecret",
                ["secretsmanager:GetSecretValue"],
                [account.arn("secretsmanager", "secret:rds!db-*")],
                when=equals("secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn", database),
            ),
        ]

    def _rollout(self, serving: Serving) -> list[Statement]:
        """It reads what was counted, switches the traffic, and fills the idle set."""
        account = self._account
        listing = [
            "autoscaling:DescribeAutoScalingGroups",
            "cloudwatch:GetMetricData",
            "elasticloadbalancing:DescribeListeners",
        ]
        kept = ["LaunchConfigurationName", "LaunchTemplateVersionSpecified"]
        kept += ["MaxSize", "VPCZoneIdentifiers"]
        return [
            allow("LookAtTheRollout", listing, ["*"], when=account.here),
            # The weights alone: neither plain HTTP nor an older TLS. Both keys are absent where
            # they stay.
            allow(
                "SwitchTheTraffic",
                ["elasticloadbalancing:ModifyListener"],
                [account.arn("elasticloadbalancing", f"listener/app/{serving.balancer_name}/*")],
                when={
                    "ForAnyValue:StringEqualsIfExists": {
                        "elasticloadbalancing:ListenerProtocol": "HTTPS",
                        "elasticloadbalancing:SecurityPolicy": serving.ssl_policy,
                    }
                },
            ),
            # Sizes alone: not what is launched, nor where, nor more than is allowed here.
            allow(
                "SizeTheSets",
                ["autoscaling:UpdateAutoScalingGroup"],
                [
                    account.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{group}")
                    for group in serving.autoscaling_group_names
                ],
                when={"Null": {f"autoscaling:{key}": "true" for key in kept}},
            ),
            # The idle set gets no traffic, so its check goes through a session to one server.
            *self._session(
                ("OpenTheModelServersPort", "OnTheModelServersOfThisEnvironment"),
                serving.session_document,
                serving.role_tag,
            ),
        ]
