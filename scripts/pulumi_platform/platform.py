"""One environment of the platform, out of the components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
from pulumi import ResourceOptions
from pulumi_aws import kms, secretsmanager, ssm

from scripts.pulumi_platform.basics import Account, check, check_tags, fits, load
from scripts.pulumi_platform.bootstrap import ISSUER, check_partition, read_roles
from scripts.pulumi_platform.components.artifact_store import (
    AccessLogs,
    ArtifactStore,
    ArtifactStoreArgs,
    LifecycleRules,
)
from scripts.pulumi_platform.components.github_role import GithubRepository
from scripts.pulumi_platform.components.metadata_store import (
    Backup,
    DatabaseStorage,
    MetadataStore,
    MetadataStoreArgs,
    Monitoring,
    Parameter,
    WorkingHours,
)
from scripts.pulumi_platform.components.mlflow_server import (
    MlflowServer,
    MlflowServerArgs,
    PermissionSet,
    ServerArtifacts,
    ServerDatabase,
    Watchdog,
)
from scripts.pulumi_platform.components.model_server import (
    Capacity,
    Clients,
    ModelServer,
    ModelServerArgs,
    ServeArtifacts,
)
from scripts.pulumi_platform.components.network import (
    ANYWHERE,
    ENDPOINTS,
    FlowLogs,
    Network,
    NetworkArgs,
    S3Endpoint,
)
from scripts.pulumi_platform.components.observability import (
    Budget,
    Observability,
    ObservabilityArgs,
    WatchedDatabase,
    WatchedPipeline,
)
from scripts.pulumi_platform.components.workload_roles import (
    RoleArtifacts,
    RoleDatabase,
    RoleServer,
    ThirdPartySecret,
    WorkloadRole,
    WorkloadRoles,
    WorkloadRolesArgs,
)
from scripts.pulumi_platform.instances import Egress, Peer, ServerLogs, Volume

PREFIXES = {
    "contracts": "data/contracts/",
    "decisions": "decisions/",
    "holdout": "data/holdout/",
    "inputs": "data/inputs/",
    "models": "mlflow/",
    "predictions": "predictions/",
    "raw": "data/raw/",
    "references": "references/",
    "reports": "reports/",
    "rollouts": "rollouts/",
    "train": "data/train/",
    "wheelhouse": "wheelhouse/",
}
SETS = ("read", "train", "promote", "operate")


@dataclass
class ArtifactSettings:
    """The artifact bucket; see ArtifactStore."""

    access_logs: AccessLogs = field(default_factory=AccessLogs)
    force_destroy: bool = False
    version_deleter_arns: Sequence[str] = ()
    lifecycle_rules: LifecycleRules = field(default_factory=LifecycleRules)


@dataclass
class DatabaseSettings:
    """The database; see MetadataStore."""

    apply_immediately: bool = False
    backup: Backup = field(default_factory=Backup)
    deletion_protection: bool = True
    engine_version: str = "17"
    instance_class: str = "db.t4g.micro"
    log_retention_days: int = 30
    maintenance_window: str = "sun:03:30-sun:04:30"
    monitoring: Monitoring = field(default_factory=Monitoring)
    multi_az: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    storage: DatabaseStorage = field(default_factory=DatabaseStorage)


@dataclass
class Image:
    """Amazon Linux image of the servers, an id of one region."""

    id: str
    region: str
    released: str | None = None


@dataclass
class ModelServerSettings:
    """Servers that answer with one model; see ModelServer."""

    certificate_arn: str
    model: str
    capacity: Capacity = field(default_factory=Capacity)
    clients: Clients = field(default_factory=Clients)
    cpu_credits: str = "unlimited"
    deletion_protection: bool = False
    instance_type: str = "t4g.small"
    logs: ServerLogs = field(default_factory=ServerLogs)
    trusted_types: Sequence[str] = ()
    volume: Volume = field(default_factory=Volume)


@dataclass
class NetworkSettings:
    """The VPC; see Network."""

    availability_zones: Sequence[str] | None = None
    cidr_block: str = "10.40.0.0/16"
    flow_logs: FlowLogs = field(default_factory=FlowLogs)
    nat_gateway_per_zone: bool = False
    private_subnet_cidrs: Sequence[str] | None = None
    public_subnet_cidrs: Sequence[str] | None = None
    reserved_cidrs: Sequence[str] = ()


@dataclass
class DatabaseThresholds:
    """When the database alarms."""

    free_storage_gib: float = 4
    cpu_percent: float = 80
    maximum_connections: int = 60


@dataclass
class ObservabilitySettings:
    """Alarms, budget and dashboard; see Observability."""

    alert_emails: Sequence[str] = ()
    budget: Budget | None = None
    dashboard_enabled: bool = True
    database: DatabaseThresholds = field(default_factory=DatabaseThresholds)
    pipeline: WatchedPipeline = field(
        default_factory=lambda: WatchedPipeline(models=["breast-cancer"])
    )

    def __post_init__(self) -> None:
        """Watch the kit's own model unless other models are named."""
        if not self.pipeline.models:
            self.pipeline = replace(self.pipeline, models=["breast-cancer"])


@dataclass
class ServerSettings:
    """The MLflow server; see MlflowServer."""

    cpu_credits: str = "standard"
    instance_type: str = "t4g.small"
    logs: ServerLogs = field(default_factory=ServerLogs)
    port: int = 5000
    volume: Volume = field(default_factory=Volume)
    watchdog: Watchdog = field(default_factory=Watchdog)
    workers: int = 2


@dataclass
class PlatformArgs:
    """Arguments of Platform: the variables of terraform/platform, whose README explains them."""

    environment: str
    github: GithubRepository
    artifact_access: str = "direct"
    artifact_store: ArtifactSettings = field(default_factory=ArtifactSettings)
    customer_managed_key: bool = False
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    egress: str = "public_ip"
    image: Image | None = None
    job_workflow_refs: Mapping[str, str] = field(default_factory=dict)
    model_server: ModelServerSettings | None = None
    network: NetworkSettings = field(default_factory=NetworkSettings)
    observability: ObservabilitySettings = field(default_factory=ObservabilitySettings)
    park: bool = False
    server: ServerSettings = field(default_factory=ServerSettings)
    tags: Mapping[str, str] = field(default_factory=dict)
    teardown: bool = False
    working_hours: WorkingHours = field(default_factory=WorkingHours)

    def __post_init__(self) -> None:
        """Raise ArgumentError for a prod that could lose its data."""
        prod, database = self.environment == "prod", self.database
        check(
            self.artifact_access in ("direct", "proxied"),
            'artifact_access must be "direct" or "proxied".',
        )
        check(
            not prod or self.customer_managed_key,
            "prod must keep customer_managed_key = true: without it new objects, logs and secrets "
            "would no longer be encrypted with the environment's key.",
        )
        check(
            not prod or (database.deletion_protection and database.backup.final_snapshot),
            "prod must keep database.deletion_protection = true and database.backup.final_snapshot "
            "= true. To tear prod down on purpose, apply once with teardown = true, then destroy.",
        )
        check(
            self.egress in ("public_ip", "endpoints", "nat"),
            'egress must be "public_ip", "endpoints" or "nat"; `keyless cost` shows what each '
            "costs.",
        )
        check(
            fits(r"[a-z][a-z0-9]{1,11}", self.environment),
            "environment must be 2 to 12 lower-case letters and digits, starting with a letter, "
            'for example "dev".',
        )
        check(
            not (self.park and database.multi_az),
            "park must be false with database.multi_az = true: what may be off at night needs no "
            "standby.",
        )
        check_tags(
            self.tags,
            ("Environment", "Project", "Role", "Name"),
            "tags cannot hold Environment, Project, Role or Name, nor one key in two spellings of "
            "upper and lower case: roles are scoped by the first, clients find the server by the "
            "third, and the kit sets all four.",
        )


class Platform(pulumi.ComponentResource):
    """Everything of one environment; `contract` is what pipeline and servers need to know."""

    def __init__(self, name: str, args: PlatformArgs, opts: ResourceOptions | None = None) -> None:
        """Make the platform. Bootstrap must have prepared the environment."""
        super().__init__("keyless:platform:Platform", name, None, opts)
        self._args, self._account = args, Account.of(self)
        check_partition(self._account.partition)
        check(
            args.image is None or args.image.region == self._account.region,
            f"The image is one of {args.image.region if args.image else ''}, and this is "
            f"{self._account.region}: run keyless image --aws -e {args.environment}.",
        )
        self._prefix = f"keyless-{args.environment}"
        self._boundary_arn = self._account.iam(f"policy/{self._prefix}-boundary")
        self._names = {
            "platform": f"/keyless/{args.environment}/platform",
            "champion": f"/keyless/{args.environment}/champion/",
            "server": f"/keyless/{args.environment}/server",
            "metrics": f"Keyless/{args.environment}",
        }
        self._key_arn = self._key()
        # By name: the network is made before the components that make the roles.
        self._serve_arns = [self._role_arn("serve")] if args.model_server else []
        self._store = self._artifact_store()
        self._net = self._network()
        self._database = self._metadata_store()
        self._server = self._mlflow_server()
        self._database.admit("server", self._server.security_group_id)
        self._serving = self._model_server(args.model_server) if args.model_server else None
        self._secret = self._third_party_secret()
        self._roles = self._workload_roles()
        self._observability()
        self.contract = self._contract()
        self._parameter()
        self.exports: dict[str, Any] = {"platform": self.contract}
        self.register_outputs(self.exports)

    def _role_arn(self, name: str) -> str:
        return self._account.iam(f"role/{self._prefix}-{name}")

    def _key(self) -> str | None:
        """The environment's own key, which bootstrap made: without one, keyless bootstrap."""
        if not self._args.customer_managed_key:
            return None
        asked = pulumi.InvokeOptions(parent=self)
        key_arn: str = kms.get_alias(name=f"alias/{self._prefix}", opts=asked).target_key_arn
        return key_arn

    def _artifact_store(self) -> ArtifactStore:
        given = self._args.artifact_store
        # A person is none of the roles that trust GitHub: whoever signs in through IAM Identity
        # Center can take down what is disposable, and what is being torn down.
        people = self._account.iam("role/aws-reserved/sso.amazonaws.com/*")
        deleters = [people] if self._args.teardown else []
        if given.force_destroy:
            deleters = [self._role_arn("apply"), people]
        return ArtifactStore(
            "artifact-store",
            ArtifactStoreArgs(
                name=self._prefix,
                access_logs=given.access_logs,
                force_destroy=given.force_destroy,
                kms_key_arn=self._key_arn,
                lifecycle_rules=given.lifecycle_rules,
                version_deleter_arns=[*given.version_deleter_arns, *deleters],
            ),
            ResourceOptions(parent=self),
        )

    def _network(self) -> Network:
        args, given = self._args, self._args.network
        database_type = args.database.instance_class.removeprefix("db.")
        # What the servers call when there is no route to the internet.
        endpoints: dict[str, Sequence[str]] = {
            "autoscaling": ["autoscaling:SetInstanceHealth"],
            "ssm": ENDPOINTS["ssm"],
            "ssmmessages": ENDPOINTS["ssmmessages"],
        }
        if args.server.logs.enabled or args.model_server:
            endpoints["logs"] = ENDPOINTS["logs"]
        if args.model_server:
            endpoints["monitoring"] = ["cloudwatch:PutMetricData"]
        return Network(
            "network",
            NetworkArgs(
                name=self._prefix,
                availability_zones=given.availability_zones,
                cidr_block=given.cidr_block,
                egress=args.egress,
                instance_types=list(dict.fromkeys([args.server.instance_type, database_type])),
                flow_logs=replace(
                    given.flow_logs,
                    kms_key_arn=self._key_arn,
                    role_boundary_arn=self._boundary_arn,
                ),
                interface_endpoints=endpoints,
                nat_gateway_per_zone=given.nat_gateway_per_zone,
                private_subnet_cidrs=given.private_subnet_cidrs,
                public_subnet_cidrs=given.public_subnet_cidrs,
                reserved_cidrs=given.reserved_cidrs,
                s3_endpoint=S3Endpoint(
                    [self._store.bucket_name], [self._role_arn("server"), *self._serve_arns]
                ),
            ),
            ResourceOptions(parent=self),
        )

    def _egress(self) -> Egress:
        """Where a server may connect to, beside what is its own."""
        if self._args.egress != "endpoints":
            return Egress(https_cidrs={"anywhere": ANYWHERE})
        group_id = self._net.endpoint_security_group_id
        assert group_id is not None, "endpoints have a security group"
        return Egress(
            security_groups={"endpoints": Peer(group_id, 443)},
            prefix_lists={"s3": Peer(self._net.s3_prefix_list_id, 443)},
        )

    def _metadata_store(self) -> MetadataStore:
        args, given = self._args, self._args.database
        parking = replace(args.working_hours, role_boundary_arn=self._boundary_arn)
        return MetadataStore(
            "metadata-store",
            MetadataStoreArgs(
                name=self._prefix,
                apply_immediately=given.apply_immediately,
                backup=given.backup,
                deletion_protection=given.deletion_protection and not args.teardown,
                engine_version=given.engine_version,
                instance_class=given.instance_class,
                kms_key_arn=self._key_arn,
                log_retention_days=given.log_retention_days,
                maintenance_window=given.maintenance_window,
                monitoring=replace(given.monitoring, role_boundary_arn=self._boundary_arn),
                multi_az=given.multi_az,
                parameters=given.parameters,
                parking=parking if args.park else None,
                storage=given.storage,
                subnet_ids=self._net.private_subnet_ids,
                vpc_id=self._net.vpc_id,
            ),
            ResourceOptions(parent=self),
        )

    def _permission_sets(self) -> dict[str, PermissionSet]:
        """A port each, and for its refusals who may open a session to it.

        People sign in through SSO, so no role of this list is theirs.
        """
        roles, people = (
            read_roles(),
            {"read": ["an administrator"], "operate": ["an administrator"]},
        )
        return {
            each: PermissionSet(
                self._args.server.port + index,
                [
                    *(
                        f"{self._prefix}-{role}"
                        for role, given in sorted(roles.items())
                        if given.get("session") == each
                    ),
                    *people.get(each, []),
                ],
            )
            for index, each in enumerate(SETS)
        }

    def _mlflow_server(self) -> MlflowServer:
        args, given, egress = self._args, self._args.server, self._egress()
        database = Peer(self._database.security_group_id, 5432)
        return MlflowServer(
            "mlflow-server",
            MlflowServerArgs(
                name=self._prefix,
                environment=args.environment,
                ami_id=args.image.id if args.image else None,
                artifact_access=args.artifact_access,
                artifacts=ServerArtifacts(
                    self._store.bucket_name,
                    self._key_arn,
                    PREFIXES["models"],
                    PREFIXES["wheelhouse"],
                ),
                associate_public_ip_address=args.egress == "public_ip",
                cpu_credits=given.cpu_credits,
                database=ServerDatabase(self._prefix),
                database_resource_id=self._database.resource_id,
                egress=replace(
                    egress, security_groups={"database": database, **egress.security_groups}
                ),
                instance_type=given.instance_type,
                logs=replace(given.logs, kms_key_arn=self._key_arn),
                parking=args.working_hours if args.park else None,
                permissions_boundary_arn=self._boundary_arn,
                platform_parameter_name=self._names["platform"],
                code_parameter_prefix=self._names["server"],
                permission_sets=self._permission_sets(),
                subnet_ids=self._net.server_subnet_ids,
                volume=given.volume,
                vpc_id=self._net.vpc_id,
                watchdog=given.watchdog,
                workers=given.workers,
            ),
            ResourceOptions(parent=self),
        )

    def _model_server(self, given: ModelServerSettings) -> ModelServer:
        """Off by default: a load balancer and an instance cost money."""
        args = self._args
        return ModelServer(
            "model-server",
            ModelServerArgs(
                name=self._prefix,
                environment=args.environment,
                ami_id=args.image.id if args.image else None,
                artifact_access=args.artifact_access,
                artifacts=ServeArtifacts(self._store.bucket_name, PREFIXES, self._key_arn),
                associate_public_ip_address=args.egress == "public_ip",
                balancer_subnet_ids=self._net.private_subnet_ids,
                capacity=given.capacity,
                certificate_arn=given.certificate_arn,
                champion_parameter_prefix=self._names["champion"],
                clients=given.clients,
                cpu_credits=given.cpu_credits,
                deletion_protection=given.deletion_protection and not args.teardown,
                egress=self._egress(),
                instance_type=given.instance_type,
                logs=replace(given.logs, kms_key_arn=self._key_arn),
                metrics_namespace=self._names["metrics"],
                model=given.model,
                permissions_boundary_arn=self._boundary_arn,
                platform_parameter_name=self._names["platform"],
                subnet_ids=self._net.server_subnet_ids,
                trusted_types=given.trusted_types,
                volume=given.volume,
                vpc_id=self._net.vpc_id,
            ),
            ResourceOptions(parent=self),
        )

    def _third_party_secret(self) -> secretsmanager.Secret:
        """For a data provider's key. An administrator puts the value; Pulumi never has it."""
        return secretsmanager.Secret(
            "third-party",
            name=f"{self._prefix}-third-party",
            description="Key of a data provider, read by ingest alone",
            kms_key_id=self._key_arn,
            # A disposable environment is made again under the same names.
            recovery_window_in_days=0 if self._args.artifact_store.force_destroy else 30,
            opts=ResourceOptions(parent=self),
        )

    def _workload_roles(self) -> WorkloadRoles:
        args, known = self._args, ("context", "policies", "session", "storage")
        roles = {
            name: load(WorkloadRole, {key: given[key] for key in known if key in given})
            for name, given in read_roles().items()
            if given["root"] == "platform"
            and "context" in given
            and (args.model_server or given.get("needs") != "model_server")
        }
        prefixes = {name: each for name, each in PREFIXES.items() if name != "wheelhouse"}
        return WorkloadRoles(
            "workload-roles",
            WorkloadRolesArgs(
                name=self._prefix,
                artifacts=RoleArtifacts(self._store.bucket_name, prefixes, self._key_arn),
                champion_parameter_prefix=self._names["champion"],
                database=RoleDatabase(self._prefix, self._key_arn),
                environment=args.environment,
                github=args.github,
                job_workflow_refs=args.job_workflow_refs,
                metrics_namespace=self._names["metrics"],
                permissions_boundary_arn=self._boundary_arn,
                platform_parameter_name=self._names["platform"],
                provider_arn=self._account.iam(f"oidc-provider/{ISSUER}"),
                roles=roles,
                server=RoleServer(self._server.session_documents),
                serving=self._serving.balancer if self._serving else None,
                third_party_secret=ThirdPartySecret(self._secret.arn, self._key_arn),
            ),
            ResourceOptions(parent=self),
        )

    def _observability(self) -> None:
        args, given = self._args, self._args.observability
        # Rejected traffic alone may be none for hours.
        always = args.network.flow_logs.traffic == "ALL"
        Observability(
            "observability",
            ObservabilityArgs(
                name=self._prefix,
                alert_emails=given.alert_emails,
                autoscaling_group_name=self._server.autoscaling_group_name,
                budget=given.budget,
                dashboard_enabled=given.dashboard_enabled,
                database=WatchedDatabase(self._prefix, **vars(given.database)),
                environment=args.environment,
                flow_log_group_name=self._net.flow_log_group_name if always else None,
                kms_key_arn=self._key_arn,
                metrics_namespace=self._names["metrics"],
                parked=args.park,
                pipeline=given.pipeline,
                server_log_group_name=self._server.log_group_name,
            ),
            ResourceOptions(parent=self),
        )

    def _contract(self) -> dict[str, Any]:
        """What Python needs to know of this environment: one object. No secret."""
        args, server, database = self._args, self._server, self._database
        roles = {
            name: self._role_arn(name)
            for name, given in read_roles().items()
            if given["root"] == "bootstrap"
        }
        roles["server"] = server.role_arn
        if self._serving:
            roles["serve"] = self._serving.role_arn
        contract: dict[str, Any] = {
            "schema_version": 1,
            "environment": args.environment,
            "region": self._account.region,
            "account_id": self._account.id,
            "prefix": self._prefix,
            "artifact_store": {
                "bucket": self._store.bucket_name,
                "kms_key_arn": self._key_arn,
                "prefixes": PREFIXES,
            },
            "database": {
                "identifier": self._prefix,
                "address": database.address,
                "port": 5432,
                "name": "mlflow",
                "user": "mlflow",
                "resource_id": database.resource_id,
                "master_secret_arn": database.master_secret_arn,
            },
            "mlflow": {
                "autoscaling_group_name": server.autoscaling_group_name,
                "ports": {each: one.port for each, one in self._permission_sets().items()},
                "artifact_root": server.artifact_root,
                "artifact_access": args.artifact_access,
                "instance_tags": server.instance_tags,
            },
            "sessions": {"documents": server.session_documents},
            "roles": {**roles, **self._roles.role_arns},
            "parameters": {
                "platform": self._names["platform"],
                "champion_prefix": self._names["champion"],
            },
            "secrets": {"third_party_arn": self._secret.arn},
            "metrics_namespace": self._names["metrics"],
            "github": vars(args.github),
        }
        # Only where there are model servers, so that an older reader takes the contract without.
        if self._serving:
            serving = self._serving
            contract["serving"] = {
                "model": args.model_server.model if args.model_server else None,
                "address": serving.address,
                "listener_arn": serving.listener_arn,
                "port": serving.port,
                "session_document": serving.session_document,
                "instance_tags": serving.instance_tags,
                **serving.sets,
            }
        return contract

    def _parameter(self) -> None:
        def checked(text: str) -> str:
            check(
                len(text) <= 4096,
                "The contract is over a standard parameter's 4 kB; shorten names, or set tier = "
                '"Advanced".',
            )
            return text

        ssm.Parameter(
            "platform",
            name=self._names["platform"],
            description=f"What pipeline and server need to know of {self._prefix}",
            type="String",
            value=pulumi.Output.json_dumps(self.contract, separators=(",", ":")).apply(checked),
            opts=ResourceOptions(parent=self),
        )
