"""Two sets of model servers, blue and green, behind one internal load balancer with TLS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions
from pulumi_aws import autoscaling, ec2, lb, vpc

from scripts.pulumi_platform.basics import (
    NAME_OF_CHOICE,
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
from scripts.pulumi_platform.components.network import ANYWHERE, is_network
from scripts.pulumi_platform.components.workload_roles import NAMESPACE, Serving
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
    session_document,
    user_data,
    write_log,
)

FILES = MODULES / "model_server" / "files"
SETS = ("blue", "green")
SSL_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


@dataclass
class ServeArtifacts:
    """The artifact bucket, its key, and its prefixes by name, each with its slash."""

    bucket_name: str
    prefixes: Mapping[str, str]
    kms_key_arn: str | None = None


@dataclass
class Capacity:
    """Instances of the set that answers, and the CPU load that scaling keeps."""

    minimum: int = 1
    maximum: int = 4
    cpu_percent: float = 60


@dataclass
class Clients:
    """Who may reach the load balancer, by a name of your choice. Nobody by default."""

    cidrs: Mapping[str, str] = field(default_factory=dict)
    security_group_ids: Mapping[str, Text] = field(default_factory=dict)


@dataclass
class ModelServerArgs:
    """Arguments of ModelServer; terraform/modules/model_server/README.md explains them."""

    artifacts: ServeArtifacts
    balancer_subnet_ids: Sequence[Text]
    certificate_arn: str
    champion_parameter_prefix: str
    environment: str
    metrics_namespace: str
    model: str
    name: str
    platform_parameter_name: str
    subnet_ids: Sequence[Text]
    vpc_id: Text
    ami_id: str | None = None
    artifact_access: str = "direct"
    associate_public_ip_address: bool = False
    capacity: Capacity = field(default_factory=Capacity)
    clients: Clients = field(default_factory=Clients)
    cpu_credits: str = "unlimited"
    deletion_protection: bool = False
    egress: Egress = field(default_factory=anywhere)
    instance_type: str = "t4g.small"
    logs: ServerLogs = field(default_factory=ServerLogs)
    permissions_boundary_arn: str | None = None
    port: int = 8080
    tags: Mapping[str, str] = field(default_factory=dict)
    trusted_types: Sequence[str] = ()
    volume: Volume = field(default_factory=Volume)

    def __post_init__(self) -> None:
        """Raise ArgumentError for servers that would not start, or would see too much."""
        check_server(self.ami_id, self.artifact_access, self.environment)
        self._check_names()
        self._check_instances()

    def _check_names(self) -> None:
        check(
            every(lambda prefix: fits(ROOM, prefix), self.artifacts.prefixes),
            "artifacts.prefixes must each end with a slash and not begin with one, for example "
            '"predictions/".',
        )
        check(
            fits(
                r"arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+",
                self.certificate_arn,
            ),
            "certificate_arn must be the ARN of an ACM certificate of this region, "
            "arn:aws:acm:REGION:ACCOUNT:certificate/ID.",
        )
        check(
            fits(r"/[A-Za-z0-9_./-]+/", self.champion_parameter_prefix),
            "champion_parameter_prefix must begin and end with a slash, for example "
            '"/keyless/dev/champion/".',
        )
        check(
            fits(NAMESPACE, self.metrics_namespace),
            'metrics_namespace must be a namespace of your own such as "Keyless/dev", not one of '
            "AWS's.",
        )
        check(
            fits(r"[a-z0-9][a-z0-9-]{0,62}", self.model),
            'model must be a model\'s name such as "breast-cancer": no wildcard, no slash.',
        )
        check(
            fits(r"[a-z][a-z0-9-]{1,18}[a-z0-9]", self.name),
            "name must be 3 to 20 lower-case letters, digits and hyphens, for example "
            '"keyless-dev": a target group\'s name has 32 characters at most.',
        )
        check(
            fits(r"/[A-Za-z0-9_./-]+", self.platform_parameter_name),
            "platform_parameter_name must be a whole parameter name such as "
            '"/keyless/dev/platform".',
        )

    def _check_instances(self) -> None:
        capacity = self.capacity
        self.egress.check()
        check(
            len(self.balancer_subnet_ids) >= 2,
            "balancer_subnet_ids must name subnets in at least two zones: an Application Load "
            "Balancer needs them.",
        )
        check(
            1 <= capacity.minimum <= capacity.maximum and 10 <= capacity.cpu_percent <= 90,
            "capacity needs minimum >= 1, maximum >= minimum, and cpu_percent from 10 to 90.",
        )
        check(
            every(
                lambda cidr: is_network(cidr, strict=False) and cidr != ANYWHERE,
                self.clients.cidrs,
            ),
            'clients.cidrs must be IPv4 networks such as "10.40.0.0/16", and not the whole '
            "internet: the servers know no login.",
        )
        check(
            all(
                fits(NAME_OF_CHOICE, name)
                for name in (*self.clients.cidrs, *self.clients.security_group_ids)
            ),
            "clients must be named in at most 64 letters, digits, blanks and ._:/@+=-, since EC2 "
            "takes nothing else in descriptions and tags.",
        )
        check(
            self.cpu_credits in ("standard", "unlimited"),
            'cpu_credits must be "standard" or "unlimited".',
        )
        check(
            fits(r"[a-z]+[0-9]+g[a-z]*\.[a-z0-9]+", self.instance_type)
            and not self.instance_type.endswith(".nano"),
            "instance_type must be a Graviton type with at least 1 GiB of memory, such as "
            '"t4g.small": image and packages are for arm64.',
        )
        check(
            1024 <= self.port <= 65535 and self.port == int(self.port),
            "port must be from 1024 to 65535: the server runs without the right to lower ones.",
        )
        check(len(self.subnet_ids) > 0, "subnet_ids must name at least one subnet.")
        check(
            self.volume.size_gib >= 8,
            "volume.size_gib must be at least 8: Amazon Linux and the packages need that much.",
        )


class ModelServer(pulumi.ComponentResource):
    """The servers. The rollout's controller moves the weights and fills the idle set."""

    def __init__(
        self, name: str, args: ModelServerArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Make load balancer and both sets."""
        super().__init__("keyless:platform:ModelServer", name, None, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        self._groups = {each: f"{args.name}-serve-{each}" for each in SETS}
        self._log_group = f"/{args.name}/serve"
        self._wheelhouse = f"{args.artifacts.prefixes['wheelhouse']}serving/"
        self.instance_tags = {"Environment": args.environment, "Role": "serve"}
        self.session_document = f"{args.name}-serve-session"
        self.port = args.port
        self.role_arn = self._account.iam(f"role/{args.name}-serve")
        self.balancer = Serving(
            autoscaling_group_names=list(self._groups.values()),
            balancer_name=f"{args.name}-serve",
            session_document=self.session_document,
            ssl_policy=SSL_POLICY,
            role_tag=self.instance_tags["Role"],
        )
        self.log_group_name = log_group(
            self, f"{name}-serve", self._log_group, args.logs, args.tags
        )
        self._front, self._instances = self._security_groups()
        targets = {each: self._target_group(each) for each in SETS}
        balancer = self._balancer()
        self.address = balancer.dns_name
        self.listener_arn = self._listener(balancer, targets).arn
        profile = self._role().make(self, name, "serve")
        for each in SETS:
            self._set(each, targets[each], profile.arn)
        self.sets = {
            each: {
                "autoscaling_group_name": self._groups[each],
                "target_group_arn": targets[each].arn,
            }
            for each in SETS
        }
        # The way to one server for the check of an idle set: its port, and nothing else.
        session_document(
            self,
            f"{name}-serve",
            self.session_document,
            f"Port forwarding to a model server of {args.name}",
            args.port,
            args.tags,
        )
        self.register_outputs(
            {"address": self.address, "listener_arn": self.listener_arn, "sets": self.sets}
        )

    def _security_groups(self) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup]:
        args = self._args

        def group(label: str, suffix: str, description: str) -> ec2.SecurityGroup:
            return ec2.SecurityGroup(
                f"{self._name}-{label}",
                name=f"{args.name}-{suffix}",
                description=description,
                vpc_id=args.vpc_id,
                tags=named(args.tags, f"{args.name}-{suffix}"),
                opts=ResourceOptions(parent=self),
            )

        front = group(
            "balancer",
            "serve-balancer",
            "Load balancer of the model servers: from the clients, to the servers",
        )
        instances = group(
            "instances", "serve", "Model servers: from the load balancer alone, few ways out"
        )
        for client, cidr in args.clients.cidrs.items():
            self._way_in(
                f"clients-{client}",
                front,
                f"from-{client}",
                f"HTTPS from {client}",
                443,
                cidr_ipv4=cidr,
            )
        for client, peer in args.clients.security_group_ids.items():
            self._way_in(
                f"client-groups-{client}",
                front,
                f"from-{client}",
                f"HTTPS from {client}",
                443,
                referenced_security_group_id=peer,
            )
        self._way_in(
            "instances",
            instances,
            "from-balancer",
            "From the load balancer",
            args.port,
            referenced_security_group_id=front.id,
        )
        vpc.SecurityGroupEgressRule(
            f"{self._name}-balancer",
            security_group_id=front.id,
            description="To the model servers",
            referenced_security_group_id=instances.id,
            ip_protocol="tcp",
            from_port=args.port,
            to_port=args.port,
            tags=named(args.tags, f"{args.name}-serve-balancer-to-servers"),
            opts=ResourceOptions(parent=self),
        )
        make_ways_out(self, self._name, instances.id, args.egress, f"{args.name}-serve", args.tags)
        return front, instances

    def _way_in(
        self,
        resource: str,
        group: ec2.SecurityGroup,
        tag: str,
        description: str,
        port: int,
        **source: Any,
    ) -> None:
        vpc.SecurityGroupIngressRule(
            f"{self._name}-{resource}",
            security_group_id=group.id,
            description=description,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            tags=named(self._args.tags, f"{self._args.name}-serve-{tag}"),
            opts=ResourceOptions(parent=self),
            **source,
        )

    def _balancer(self) -> lb.LoadBalancer:
        args = self._args
        return lb.LoadBalancer(
            f"{self._name}-serve",
            name=self.balancer.balancer_name,
            internal=True,
            load_balancer_type="application",
            subnets=args.balancer_subnet_ids,
            security_groups=[self._front.id],
            drop_invalid_header_fields=True,
            enable_deletion_protection=args.deletion_protection,
            idle_timeout=60,
            tags=named(args.tags, f"{args.name}-serve"),
            opts=ResourceOptions(parent=self),
        )

    def _target_group(self, each: str) -> lb.TargetGroup:
        args = self._args
        return lb.TargetGroup(
            f"{self._name}-serve-{each}",
            name=self._groups[each],
            port=args.port,
            protocol="HTTP",  # inside the VPC; the load balancer ends the clients' TLS
            vpc_id=args.vpc_id,
            deregistration_delay=30,  # the server ends its requests within that
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check={
                "path": "/ready",
                "matcher": "200",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            tags=named(args.tags, self._groups[each]),
            opts=ResourceOptions(parent=self),
        )

    def _listener(
        self, balancer: lb.LoadBalancer, targets: Mapping[str, lb.TargetGroup]
    ) -> lb.Listener:
        weights = {"blue": 100, "green": 0}
        return lb.Listener(
            f"{self._name}-serve",
            load_balancer_arn=balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=SSL_POLICY,
            certificate_arn=self._args.certificate_arn,
            default_actions=[
                {
                    "type": "forward",
                    "forward": {
                        "target_groups": [
                            {"arn": targets[each].arn, "weight": weights[each]} for each in SETS
                        ]
                    },
                }
            ],
            tags=named(self._args.tags, f"{self._args.name}-serve"),
            # Rollouts switch the weights; who may do that is the rollout role alone.
            opts=ResourceOptions(parent=self, ignore_changes=["default_actions"]),
        )

    def _set(self, each: str, target: lb.TargetGroup, profile_arn: Text) -> None:
        name, args, group_name = self._name, self._args, self._groups[each]
        default = aws.get_default_tags(opts=pulumi.InvokeOptions(parent=self)).tags
        tags = {**default, **args.tags, **self.instance_tags, "Name": group_name, "Set": each}
        template = Launch(
            name=group_name,
            description=f"Model server of {args.name}, {each} set",
            ami_id=args.ami_id,
            instance_type=args.instance_type,
            user_data=self._user_data(each),
            profile_arn=profile_arn,
            public_ip=args.associate_public_ip_address,
            group_id=self._instances.id,
            volume=args.volume,
            instance_tags=tags,
            tags=args.tags,
            # Scaling looks at the CPU: an instance held at its baseline would never look busy.
            cpu_credits=args.cpu_credits if args.instance_type.startswith("t") else None,
        ).make(self, f"{name}-serve-{each}")
        least = args.capacity.minimum if each == "blue" else 0
        group = autoscaling.Group(
            f"{name}-serve-{each}",
            name=group_name,
            desired_capacity=least,
            min_size=least,
            max_size=args.capacity.maximum,
            target_group_arns=[target.arn],
            vpc_zone_identifiers=args.subnet_ids,
            health_check_type="ELB",
            health_check_grace_period=600,  # installation takes minutes
            wait_for_capacity_timeout="0",  # the packages come after the first update
            enabled_metrics=["GroupInServiceInstances"],
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            # New ones first, so that no request meets a smaller set.
            instance_refresh={
                "strategy": "Rolling",
                "preferences": {
                    "instance_warmup": "120",
                    "min_healthy_percentage": 100,
                    "max_healthy_percentage": 200,
                },
            },
            tags=group_tags(tags),
            # The rollout's controller fills the idle set, and scaling follows the load.
            opts=ResourceOptions(parent=self, ignore_changes=["desired_capacity", "min_size"]),
        )
        autoscaling.Policy(
            f"{name}-load-{each}",
            name=group_name,
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration={
                "target_value": args.capacity.cpu_percent,
                "predefined_metric_specification": {
                    "predefined_metric_type": "ASGAverageCPUUtilization"
                },
            },
            opts=ResourceOptions(parent=self),
        )

    def _user_data(self, each: str) -> str:
        args, region = self._args, self._account.region
        settings = {
            "environment": args.environment,
            "region": region,
            "model": args.model,
            "set": each,
            "port": args.port,
            "trusted_types": list(args.trusted_types),
            "wheelhouse": f"s3://{args.artifacts.bucket_name}/{self._wheelhouse.rstrip('/')}",
        }
        streams = {"cloud-init": "/var/log/cloud-init-output.log"}
        streams |= {one: f"/var/log/keyless/{one}.log" for one in ("install", "serve")}
        return user_data(
            "model_server",
            {
                "settings_json": compact(settings),
                "install": (FILES / "install.sh").read_text(),
                "install_service": (FILES / "keyless-install.service").read_text(),
                "logs_service": (FILES / "keyless-logs.service").read_text(),
                "serve_service": (FILES / "keyless-serve.service").read_text(),
                "logs_json": log_agent(region, self._log_group, streams)
                if args.logs.enabled
                else "",
            },
        )

    def _role(self) -> ServerRole:
        args = self._args
        return ServerRole(
            f"{args.name}-serve",
            f"Model servers of {args.name}",
            args.permissions_boundary_arn,
            args.tags,
            {
                "serve": ("serve", self._serve_policy()),
                "agent": ("ssm-agent", agent_policy(self._account)),
            },
        )

    def _serve_policy(self) -> pulumi.Output[str]:
        """Read one model and its policy, put predictions and metrics. Nothing else."""
        args, account = self._args, self._account
        bucket = account.bucket(args.artifacts.bucket_name)
        prefixes = {key: f"{each}{args.model}" for key, each in args.artifacts.prefixes.items()}
        parameter = account.arn("ssm", "parameter")
        key = args.artifacts.kms_key_arn
        return document(
            allow(
                "ReadTheContractAndTheChampionOfRecord",
                ["ssm:GetParameter"],
                [
                    f"{parameter}{args.platform_parameter_name}",
                    f"{parameter}{args.champion_parameter_prefix}{args.model}",
                ],
            ),
            # By version: what the champion's record or the policy names, never what came last.
            allow(
                "ReadOneModelByVersion",
                ["s3:GetObjectVersion"],
                [f"{bucket}/{prefixes['models']}/*"],
                when=account.ours,
            ),
            # With proxied artifacts the pinned copies lie beside the decisions.
            allow(
                "ReadPinnedCopies",
                ["s3:GetObject"],
                [f"{bucket}/{prefixes['decisions']}/files/*"],
                when=account.ours,
            )
            if args.artifact_access == "proxied"
            else None,
            allow(
                "ReadItsPolicyAndPackages",
                ["s3:GetObject"],
                [f"{bucket}/{prefixes['rollouts']}/policy.json", f"{bucket}/{self._wheelhouse}*"],
                when=account.ours,
            ),
            # Without it, a policy that is not there yet would answer 403 in place of 404.
            allow(
                "FindItsPolicyAndPackages",
                ["s3:ListBucket"],
                [bucket],
                when=both(
                    account.ours,
                    {
                        "StringLike": {
                            "s3:prefix": [f"{prefixes['rollouts']}/*", f"{self._wheelhouse}*"]
                        }
                    },
                ),
            ),
            allow(
                "PutPredictionsAndFeedback",
                ["s3:PutObject"],
                [f"{bucket}/{prefixes['predictions']}/*"],
                when=account.ours,
            ),
            allow(
                "UseTheArtifactKeyThroughS3",
                ["kms:Decrypt", "kms:GenerateDataKey"],
                [key],
                when=equals("kms:ViaService", account.endpoint("s3")),
            )
            if key
            else None,
            allow(
                "CountInOneNamespace",
                ["cloudwatch:PutMetricData"],
                ["*"],  # scoped by namespace, not by resource
                when=equals("cloudwatch:namespace", args.metrics_namespace),
            ),
            write_log(account, self._log_group) if args.logs.enabled else None,
        )
