"""One self-healing EC2 instance that runs MLflow on its loopback, without an inbound path."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions
from pulumi_aws import autoscaling, ec2, ssm

from scripts.pulumi_platform.basics import (
    Account,
    Text,
    allow,
    both,
    check,
    document,
    equals,
    every,
    fits,
    named,
)
from scripts.pulumi_platform.components.metadata_store import WorkingHours
from scripts.pulumi_platform.instances import (
    MODULES,
    ROOM,
    Egress,
    Launch,
    ServerLogs,
    ServerRole,
    Volume,
    agent_policy,
    anywhere,
    check_server,
    compact,
    group_tags,
    log_agent,
    log_group,
    make_ways_out,
    packed,
    session_document,
    user_data,
    write_log,
)

FILES = MODULES / "mlflow_server" / "files"
PIECES = 8  # of the code's parameters, so that a preview does not change with the size


@dataclass
class ServerArtifacts:
    """The artifact bucket, its key, and the prefixes of models and of the wheelhouse."""

    bucket_name: str
    kms_key_arn: str | None = None
    models_prefix: str = "mlflow/"
    wheelhouse_prefix: str = "wheelhouse/"


@dataclass
class ServerDatabase:
    """What the server connects to."""

    identifier: str
    port: int = 5432
    user: str = "mlflow"


@dataclass
class PermissionSet:
    """MLflow's port for a set, and the roles that may open a session to it."""

    port: int
    roles: Sequence[str] = ()


@dataclass
class Watchdog:
    """Seconds before an instance is judged and between probes; failures until it is replaced."""

    grace_seconds: int = 900
    interval_seconds: int = 30
    failures: int = 5


def default_sets() -> dict[str, PermissionSet]:
    """The sets of files/server/permissions.toml, a port each."""
    names = ("read", "train", "promote", "operate")
    return {name: PermissionSet(5000 + index) for index, name in enumerate(names)}


@dataclass
class MlflowServerArgs:
    """Arguments of MlflowServer; terraform/modules/mlflow_server/README.md explains them."""

    artifacts: ServerArtifacts
    database: ServerDatabase
    database_resource_id: Text
    environment: str
    name: str
    platform_parameter_name: str
    subnet_ids: Sequence[Text]
    vpc_id: Text
    ami_id: str | None = None
    artifact_access: str = "direct"
    associate_public_ip_address: bool = False
    code_parameter_prefix: str | None = None
    cpu_credits: str = "standard"
    egress: Egress = field(default_factory=anywhere)
    instance_type: str = "t4g.small"
    logs: ServerLogs = field(default_factory=ServerLogs)
    parking: WorkingHours | None = None
    permission_sets: Mapping[str, PermissionSet] = field(default_factory=default_sets)
    permissions_boundary_arn: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    volume: Volume = field(default_factory=Volume)
    watchdog: Watchdog = field(default_factory=Watchdog)
    workers: int = 2

    def __post_init__(self) -> None:
        """Raise ArgumentError for a server that would not start, or would see too much."""
        check_server(self.ami_id, self.artifact_access, self.environment)
        self._check_names()
        self._check_instance()

    def _check_names(self) -> None:
        check(
            every(
                lambda prefix: fits(ROOM, prefix),
                (self.artifacts.models_prefix, self.artifacts.wheelhouse_prefix),
            ),
            "artifacts.models_prefix and wheelhouse_prefix must end with a slash and not begin "
            'with one, for example "mlflow/".',
        )
        check(
            fits(r"(/[A-Za-z0-9_.-]+)+", self.code_parameter_prefix),
            "code_parameter_prefix begins with a slash and ends without one.",
        )
        check(
            fits(r"[a-z](-?[a-z0-9])*", self.database.identifier)
            and fits(r"[a-z_][a-z0-9_]*", self.database.user),
            'database.identifier must be an RDS identifier such as "keyless-dev", and '
            'database.user a PostgreSQL role such as "mlflow": no wildcard.',
        )
        check(
            fits(r"[^*?]*", self.database_resource_id),
            'database_resource_id must be one id such as "db-ABCDEFGHIJKL01234": a wildcard would '
            "let the server into every database of the account.",
        )
        check(
            fits(r"[a-z][a-z0-9-]{1,46}[a-z0-9]", self.name),
            "name must be 3 to 48 lower-case letters, digits and hyphens, for example "
            '"keyless-dev".',
        )
        check(
            fits(r"/[A-Za-z0-9_./-]+", self.platform_parameter_name),
            "platform_parameter_name must be a whole parameter name such as "
            '"/keyless/dev/platform".',
        )

    def _check_instance(self) -> None:
        self.egress.check()
        if self.parking is not None:
            self.parking.check()
        check(
            self.cpu_credits in ("standard", "unlimited"),
            'cpu_credits must be "standard" or "unlimited".',
        )
        check(
            fits(r"[a-z]+[0-9]+g[a-z]*\.[a-z0-9]+", self.instance_type),
            'instance_type must be a Graviton type such as "t4g.small": image and wheelhouse are '
            "for arm64.",
        )
        check(
            not self.instance_type.endswith((".nano", ".micro")),
            'instance_type must have at least 2 GiB of memory, for example "t4g.small": the '
            "operating system and two workers do not fit less.",
        )
        ports = [one.port for one in self.permission_sets.values()]
        check(
            len(set(ports)) == len(ports)
            and every(lambda port: 1024 <= port <= 65535 and port == int(port), ports)
            and "read" in self.permission_sets,
            'permission_sets needs "read", and for each set a port of its own, 1024 to 65535.',
        )
        check(len(self.subnet_ids) > 0, "subnet_ids must name at least one subnet.")
        check(
            self.volume.size_gib >= 8,
            "volume.size_gib must be at least 8: Amazon Linux and MLflow's dependencies need that "
            "much.",
        )
        watchdog = self.watchdog
        check(
            watchdog.grace_seconds >= 300
            and watchdog.interval_seconds >= 5
            and watchdog.failures >= 2,
            "watchdog needs grace_seconds >= 300 (installation takes minutes), interval_seconds >= "
            "5 and failures >= 2: less replaces healthy instances.",
        )
        check(
            1 <= self.workers <= 7,
            "workers must be 1 to 7: each needs six connections, and all together stay below 44 "
            "(files/server/worker.py).",
        )


class MlflowServer(pulumi.ComponentResource):
    """The server. All names are known before it is, so that nothing here waits for the database."""

    def __init__(
        self, name: str, args: MlflowServerArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make the server and the ways to it."""
        super().__init__("keyless:platform:MlflowServer", name, None, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        bucket = f"s3://{args.artifacts.bucket_name}"
        self.autoscaling_group_name = f"{args.name}-mlflow"
        self.artifact_root = f"{bucket}/{args.artifacts.models_prefix.rstrip('/')}"
        self.instance_tags = {"Environment": args.environment, "Role": "mlflow"}
        self.role_arn = self._account.iam(f"role/{args.name}-server")
        self.session_documents = {
            "database": f"{args.name}-database-session",
            **{each: f"{args.name}-mlflow-{each}-session" for each in args.permission_sets},
        }
        self._log_group = f"/{args.name}/mlflow"
        self.log_group_name = log_group(
            self, f"{name}-server", self._log_group, args.logs, args.tags
        )
        group = ec2.SecurityGroup(
            f"{name}-server",
            name=f"{args.name}-mlflow",
            description="MLflow server: no way in, few ways out",
            vpc_id=args.vpc_id,
            tags=named(args.tags, f"{args.name}-mlflow"),
            opts=ResourceOptions(parent=self),
        )
        self.security_group_id = group.id
        make_ways_out(self, name, group.id, args.egress, f"{args.name}-mlflow", args.tags)
        self._documents()
        self._group(self._template())
        self.register_outputs(
            {
                "artifact_root": self.artifact_root,
                "autoscaling_group_name": self.autoscaling_group_name,
                "instance_tags": self.instance_tags,
                "log_group_name": self.log_group_name,
                "role_arn": self.role_arn,
                "security_group_id": self.security_group_id,
                "session_documents": self.session_documents,
            }
        )

    def _code(self) -> tuple[dict[str, Any], list[ssm.Parameter]]:
        """Where the instance finds its code, and the parameters that hold it.

        User data has no room for what serves MLflow; the launcher fetches it and checks its digest,
        which is also in the names, so that an instance finds the code of its own launch template.
        """
        files = [
            path for suffix in ("py", "toml") for path in (FILES / "server").glob(f"*.{suffix}")
        ]
        code = compact({path.name: path.read_text() for path in files})
        text, digest = packed(code), hashlib.sha256(code.encode()).hexdigest()
        size = math.ceil(len(text) / PIECES)
        check(
            size <= 4096,
            "files/server is over eight standard parameters of 4 kB; raise the number of pieces.",
        )
        names = [f"{self._code_prefix}/{digest[:12]}/{index}" for index in range(PIECES)]
        parameters = [
            ssm.Parameter(
                f"{self._name}-code-{parameter}",
                name=parameter,
                description=f"A piece of what serves MLflow of {self._args.name}",
                type="String",
                value=text[index * size : (index + 1) * size],
                tags=self._args.tags,
                opts=ResourceOptions(parent=self),
            )
            for index, parameter in enumerate(names)
        ]
        return {"parameters": names, "sha256": digest}, parameters

    @property
    def _code_prefix(self) -> str:
        return self._args.code_parameter_prefix or f"/{self._args.name}/server"

    def _template(self) -> ec2.LaunchTemplate:
        args, account = self._args, self._account
        sets = re.findall(
            r"(?m)^\[sets\.([a-z]+)\]", (FILES / "server" / "permissions.toml").read_text()
        )
        check(
            set(args.permission_sets) == set(sets),
            "permission_sets names other sets than files/server/permissions.toml.",
        )
        code, parameters = self._code()
        wheelhouse = args.artifacts.wheelhouse_prefix.rstrip("/")
        settings = {
            "environment": args.environment,
            "region": account.region,
            "platform_parameter": args.platform_parameter_name,
            "permission_sets": {key: asdict(one) for key, one in args.permission_sets.items()},
            "workers": args.workers,
            "code": code,
            "artifact_root": self.artifact_root,
            "artifact_access": args.artifact_access,
            "wheelhouse": f"s3://{args.artifacts.bucket_name}/{wheelhouse}",
            "watchdog": asdict(args.watchdog),
        }
        streams = {"cloud-init": "/var/log/cloud-init-output.log"}
        streams |= {one: f"/var/log/keyless/{one}.log" for one in ("install", "mlflow", "watchdog")}
        services = ("install", "logs", "mlflow", "watchdog")
        data = user_data(
            "mlflow_server",
            {
                "settings_json": compact(settings),
                "launcher": (FILES / "launcher.py").read_text(),
                "watchdog": (FILES / "watchdog.py").read_text(),
                "install": (FILES / "install.sh").read_text(),
                **{
                    f"{one}_service": (FILES / f"keyless-{one}.service").read_text()
                    for one in services
                },
                "logs_json": log_agent(account.region, self._log_group, streams)
                if args.logs.enabled
                else "",
            },
        )
        return Launch(
            name=self.autoscaling_group_name,
            description=f"MLflow server of {args.name}",
            ami_id=args.ami_id,
            instance_type=args.instance_type,
            user_data=data,
            profile_arn=self._role().make(self, self._name, "server").arn,
            public_ip=args.associate_public_ip_address,
            group_id=self.security_group_id,
            volume=args.volume,
            instance_tags=self._launch_tags,
            tags=args.tags,
            # A burstable instance begins in unlimited mode: a busy loop would be billed for ever.
            cpu_credits=args.cpu_credits if args.instance_type.startswith("t") else None,
        ).make(self, f"{self._name}-server", parameters)

    @property
    def _launch_tags(self) -> dict[str, str]:
        default = aws.get_default_tags(opts=pulumi.InvokeOptions(parent=self)).tags
        tags = {**default, **self._args.tags, **self.instance_tags}
        return named(tags, self.autoscaling_group_name)

    def _group(self, template: ec2.LaunchTemplate) -> None:
        name, args = self._name, self._args
        group = autoscaling.Group(
            f"{name}-server",
            name=self.autoscaling_group_name,
            desired_capacity=1,
            min_size=1 if args.parking is None else 0,
            max_size=1,
            vpc_zone_identifiers=args.subnet_ids,
            # EC2's checks do not see a dead MLflow; the watchdog on the box reports it.
            health_check_type="EC2",
            health_check_grace_period=300,
            wait_for_capacity_timeout="0",  # `keyless` waits for MLflow itself
            enabled_metrics=["GroupInServiceInstances"],
            launch_template={
                "id": template.id,
                "version": template.latest_version.apply(str),
            },
            # A new version replaces the one instance: down first, so that two releases never share
            # a schema.
            instance_refresh={
                "strategy": "Rolling",
                "preferences": {"instance_warmup": "60", "min_healthy_percentage": 0},
            },
            tags=group_tags(self._launch_tags),
            opts=ResourceOptions(
                parent=self, ignore_changes=["desired_capacity"]
            ),  # the schedule's
        )
        if args.parking is None:
            return
        for what, capacity, time in (
            ("start", 1, args.parking.start),
            ("stop", 0, args.parking.stop),
        ):
            minute, hour = args.parking.cron(time)
            autoscaling.Schedule(
                f"{name}-parking-{what}",
                scheduled_action_name=what,
                autoscaling_group_name=group.name,
                recurrence=f"{minute} {hour} * * {args.parking.days}",
                time_zone=args.parking.time_zone,
                desired_capacity=capacity,
                min_size=-1,  # unchanged
                max_size=-1,
                opts=ResourceOptions(parent=self),
            )

    def _role(self) -> ServerRole:
        args, account = self._args, self._account
        user_arn = pulumi.Output.concat(
            account.arn("rds-db", "dbuser:"), args.database_resource_id, "/", args.database.user
        )
        return ServerRole(
            f"{args.name}-server",
            f"MLflow server of {args.name}",
            args.permissions_boundary_arn,
            args.tags,
            {
                "server": ("server", self._server_policy()),
                "agent": ("ssm-agent", agent_policy(account)),
                # Alone, since this one waits for the database.
                "database": (
                    "database",
                    document(allow("ConnectAsOneUser", ["rds-db:connect"], [user_arn])),
                ),
            },
        )

    def _server_policy(self) -> pulumi.Output[str]:
        """Read its contract, its packages and artifacts, write its log."""
        args, account, artifacts = self._args, self._account, self._args.artifacts
        bucket, proxied = account.bucket(artifacts.bucket_name), args.artifact_access == "proxied"
        read = ["ssm:GetParameter"]
        prefixes = [f"{artifacts.wheelhouse_prefix}*", f"{artifacts.models_prefix}*"]
        group = f"autoScalingGroup:*:autoScalingGroupName/{self.autoscaling_group_name}"
        writing = ("AbortMultipartUpload", "DeleteObject", "ListMultipartUploadParts", "PutObject")
        contract = account.arn("ssm", f"parameter{args.platform_parameter_name}")
        code = account.arn("ssm", f"parameter{self._code_prefix}/*")
        return document(
            allow("ReadTheContract", read, [contract]),
            allow("ReadItsCode", read, [code]),
            allow(
                "ReadPackagesAndArtifacts",
                ["s3:GetObject"],
                [f"{bucket}/{prefix}" for prefix in prefixes],
                when=account.ours,
            ),
            allow(
                "ListPackagesAndArtifacts",
                ["s3:ListBucket"],
                [bucket],
                when=both(account.ours, {"StringLike": {"s3:prefix": prefixes}}),
            ),
            allow(
                "WriteArtifactsForClients",
                [f"s3:{action}" for action in writing],
                [f"{bucket}/{artifacts.models_prefix}*"],
                when=account.ours,
            )
            if proxied
            else None,
            allow(
                "UseTheArtifactKeyThroughS3",
                ["kms:Decrypt", "kms:GenerateDataKey"] if proxied else ["kms:Decrypt"],
                [artifacts.kms_key_arn],
                when=equals("kms:ViaService", account.endpoint("s3")),
            )
            if artifacts.kms_key_arn
            else None,
            write_log(account, self._log_group) if args.logs.enabled else None,
            allow(
                "ReportItsHealth",
                ["autoscaling:SetInstanceHealth"],
                [account.arn("autoscaling", group)],
            ),
        )

    def _documents(self) -> None:
        """One port is one permission set: who may open which document may do what in MLflow."""
        name, args, account = self._name, self._args, self._account
        for each, given in args.permission_sets.items():
            session_document(
                self,
                f"{name}-mlflow-{each}",
                self.session_documents[each],
                f"Port forwarding to MLflow of {args.name}, permission set {each}",
                given.port,
                args.tags,
            )
        # The address is a parameter because the document is made while the database is; the pattern
        # leaves one host, and the instance's security group lets it reach no other database.
        suffix = account.dns_suffix.replace(".", r"\.")
        host = rf"^{args.database.identifier}\.[a-z0-9]+\.{account.region}\.rds\.{suffix}$"
        session_document(
            self,
            f"{name}-database",
            self.session_documents["database"],
            f"Port forwarding to the database of {args.name}",
            args.database.port,
            args.tags,
            {"type": "String", "description": "Address of the database", "allowedPattern": host},
        )
