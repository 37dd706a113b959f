"""VPC with private subnets, a closed default security group and one way out of three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import combinations

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions
from pulumi_aws import cloudwatch, ec2, iam, vpc

from scripts.pulumi_platform.basics import (
    Account,
    allow,
    both,
    check,
    document,
    equals,
    every,
    fits,
    named,
    trust,
)

ANYWHERE = "0.0.0.0/0"
RETENTION = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827} | {
    2192,
    2557,
    2922,
    3288,
    3653,
}
LOG_ACTIONS = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
ENDPOINTS = {
    "logs": LOG_ACTIONS,
    "ssm": ["ssm:GetParameter", "ssm:UpdateInstanceInformation"],
    "ssmmessages": [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ],
}
BUCKET_ACTIONS = [
    "AbortMultipartUpload",
    "DeleteObject",
    "GetBucketLocation",
    "GetObject",
    "GetObjectVersion",
    "ListBucket",
    "ListMultipartUploadParts",
    "PutObject",
]


@dataclass
class FlowLogs:
    """Flow logs to CloudWatch: which traffic, days that they are kept, their role's boundary."""

    enabled: bool = True
    traffic: str = "ALL"
    retention_days: int = 30
    kms_key_arn: str | None = None
    role_boundary_arn: str | None = None


@dataclass
class S3Endpoint:
    """Who may reach which buckets through the S3 gateway endpoint."""

    bucket_names: Sequence[str] = ()
    principal_arns: Sequence[str] = ()


@dataclass
class NetworkArgs:
    """Arguments of Network; terraform/modules/network/README.md says what each is."""

    name: str
    availability_zones: Sequence[str] | None = None
    cidr_block: str = "10.40.0.0/16"
    egress: str = "public_ip"
    flow_logs: FlowLogs = field(default_factory=FlowLogs)
    instance_types: Sequence[str] = ()
    interface_endpoints: Mapping[str, Sequence[str]] = field(default_factory=lambda: ENDPOINTS)
    nat_gateway_per_zone: bool = False
    private_subnet_cidrs: Sequence[str] | None = None
    public_subnet_cidrs: Sequence[str] | None = None
    reserved_cidrs: Sequence[str] = ()
    s3_endpoint: S3Endpoint = field(default_factory=S3Endpoint)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ArgumentError for what AWS would refuse, and for ranges that cannot be peered."""
        zones = self.availability_zones
        check(
            zones is None or (len(set(zones)) == len(zones) and len(zones) >= 2),
            "availability_zones must name at least two different zones, for example "
            '["us-east-1a", "us-east-1b"]: a database subnet group needs two.',
        )
        check(zones is None or len(zones) <= 6, "availability_zones must name at most six zones.")
        check(
            is_network(self.cidr_block),
            'cidr_block must be an IPv4 network such as "10.40.0.0/16", with no host bits set.',
        )
        check(
            16 <= IPv4Network(self.cidr_block).prefixlen <= 24,
            "cidr_block must be between /16 (AWS's largest VPC) and /24 (four /28 subnets and room "
            "to spare).",
        )
        check(
            self.egress in ("public_ip", "endpoints", "nat"),
            'egress must be "public_ip", "endpoints" or "nat"; `keyless cost` shows what each '
            "costs.",
        )
        check(
            self.flow_logs.traffic in ("ALL", "ACCEPT", "REJECT"),
            'flow_logs.traffic must be "ALL", "ACCEPT" or "REJECT".',
        )
        check(
            self.flow_logs.retention_days in RETENTION,
            "flow_logs.retention_days must be a period CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, "
            "90, 120, 150, 180, 365, 400, 545, 731 and so on.",
        )
        check(
            every(
                lambda actions: (
                    actions and every(lambda one: fits("[a-z0-9-]+:[A-Za-z]+", one), actions)
                ),
                self.interface_endpoints,
            ),
            "interface_endpoints must list whole actions for each service, for example logs = "
            '["logs:PutLogEvents"]: no wildcard, no empty list.',
        )
        check(
            fits(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", self.name),
            "name must be 3 to 32 lower-case letters, digits and hyphens, starting with a letter, "
            'for example "keyless-dev".',
        )
        self._check_ranges()

    def _check_ranges(self) -> None:
        endpoint = self.s3_endpoint
        check(
            every(is_network, self.private_subnet_cidrs or ()),
            'private_subnet_cidrs must be IPv4 networks such as "10.40.0.0/20", with no host bits '
            "set.",
        )
        check(
            every(is_network, self.public_subnet_cidrs or ()),
            'public_subnet_cidrs must be IPv4 networks such as "10.40.128.0/20", with no host bits '
            "set.",
        )
        check(
            every(lambda cidr: is_network(cidr, strict=False), self.reserved_cidrs),
            'reserved_cidrs must be IPv4 networks such as "10.0.0.0/16".',
        )
        check(
            bool(endpoint.bucket_names) == bool(endpoint.principal_arns),
            "s3_endpoint needs both bucket_names and principal_arns, or neither: a bucket without "
            "principals is of no use, and the reverse.",
        )
        check(
            every(
                lambda name: fits(r"[^*?]*", name),
                [*endpoint.bucket_names, *endpoint.principal_arns],
            ),
            "s3_endpoint takes exact bucket names and role ARNs: no wildcard.",
        )


def is_network(cidr: str, *, strict: bool = True) -> bool:
    """Whether a text is an IPv4 range; a strict one has no host bits set."""
    try:
        return "/" in cidr and bool(IPv4Network(cidr, strict=strict))
    except ValueError:
        return False


@dataclass
class _Subnet:
    """A subnet by its number, not by its zone: which zone a number got is decided once."""

    number: int
    zone: str
    cidr: str


class Network(pulumi.ComponentResource):
    """The VPC; `server_subnet_ids` are public with egress "public_ip", private otherwise."""

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        """Make the network. Raises ArgumentError for ranges that overlap or lie outside."""
        super().__init__("keyless:platform:Network", name, None, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        zones = list(args.availability_zones or self._fitting_zones()[:2])
        private, public = self._subnets(zones)
        self._vpc = ec2.Vpc(
            f"{name}-main",
            cidr_block=args.cidr_block,
            # The endpoints' private names need it; nothing else does.
            enable_dns_hostnames=args.egress == "endpoints",
            enable_dns_support=True,
            tags=named(args.tags, args.name),
            # Another VPC would take everything along, and stop half-way at the database.
            opts=ResourceOptions(parent=self, ignore_changes=["cidr_block"]),
        )
        # Nothing uses it; without rules, nothing can by mistake.
        ec2.DefaultSecurityGroup(
            f"{name}-closed",
            vpc_id=self._vpc.id,
            tags=named(args.tags, f"{args.name}-default-closed"),
            opts=ResourceOptions(parent=self),
        )
        self._private = {one.number: self._subnet("private", one) for one in private}
        self._tables = {number: self._private_table(number) for number in self._private}
        self._public = {one.number: self._subnet("public", one) for one in public}
        public_tables = self._internet() if public else []
        self.s3_prefix_list_id = self._s3_endpoint(public_tables)
        self.endpoint_security_group_id = self._interface_endpoints()
        self.flow_log_group_name = self._flow_logs() if args.flow_logs.enabled else None
        self.vpc_id = self._vpc.id
        self.private_subnet_ids = [subnet.id for subnet in self._private.values()]
        self.public_subnet_ids = [subnet.id for subnet in self._public.values()]
        outside = args.egress == "public_ip"
        self.server_subnet_ids = self.public_subnet_ids if outside else self.private_subnet_ids
        self.register_outputs(
            {
                "availability_zones": zones,
                "endpoint_security_group_id": self.endpoint_security_group_id,
                "flow_log_group_name": self.flow_log_group_name,
                "private_subnet_ids": self.private_subnet_ids,
                "public_subnet_ids": self.public_subnet_ids,
                "s3_prefix_list_id": self.s3_prefix_list_id,
                "server_subnet_ids": self.server_subnet_ids,
                "vpc_id": self.vpc_id,
            }
        )

    def _fitting_zones(self) -> list[str]:
        """Zones with every type: use1-az3, for one, has no t4g. Local Zones have no RDS."""
        asked = pulumi.InvokeOptions(parent=self)
        zones = sorted(
            aws.get_availability_zones(
                state="available",
                filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
                opts=asked,
            ).names
        )
        if self._args.instance_types:
            offered = ec2.get_instance_type_offerings(
                location_type="availability-zone",
                filters=[{"name": "instance-type", "values": list(self._args.instance_types)}],
                opts=asked,
            )
            pairs = set(zip(offered.instance_types, offered.locations, strict=True))
            # A type that EC2 does not know says nothing about zones.
            known = set(offered.instance_types)
            zones = [zone for zone in zones if all((kind, zone) in pairs for kind in known)]
        return zones

    def _subnets(self, zones: list[str]) -> tuple[list[_Subnet], list[_Subnet]]:
        args, sixteenths = self._args, list(IPv4Network(self._args.cidr_block).subnets(4))
        sorts = " with " + " and ".join(args.instance_types) if args.instance_types else ""
        check(
            len(zones) >= 2,
            f"The region has fewer than two zones{sorts}; choose another region or type, or name "
            "two zones in availability_zones.",
        )
        count = len(zones)
        private = list(args.private_subnet_cidrs or map(str, sixteenths[:count]))
        public = list(args.public_subnet_cidrs or map(str, sixteenths[8 : 8 + count]))
        if args.egress == "endpoints":
            public = []
        check(
            len(private) == count and len(public) in (0, count),
            "private_subnet_cidrs and public_subnet_cidrs need one range for each of the "
            f"{count} zones.",
        )
        self._check_overlaps([*private, *public])

        def numbered(cidrs: list[str]) -> list[_Subnet]:
            # Without public ranges there are fewer of them than zones.
            pairs = zip(zones, cidrs, strict=False)
            return [_Subnet(at, zone, cidr) for at, (zone, cidr) in enumerate(pairs, 1)]

        return numbered(private), numbered(public)

    def _check_overlaps(self, cidrs: list[str]) -> None:
        args, whole = self._args, IPv4Network(self._args.cidr_block)
        networks = [IPv4Network(cidr) for cidr in cidrs]
        overlapping = [f"{a} and {b}" for a, b in combinations(networks, 2) if a.overlaps(b)]
        check(
            not overlapping,
            f"Subnets overlap: {'; '.join(overlapping)}. Give each a range of its own, or leave "
            "private_subnet_cidrs and public_subnet_cidrs out.",
        )
        outside = [str(each) for each in networks if not each.subnet_of(whole)]
        check(
            not outside,
            f"Subnets lie outside cidr_block {whole}: {', '.join(outside)}. Choose ranges inside "
            "it.",
        )
        taken = [
            each for each in args.reserved_cidrs if IPv4Network(each, strict=False).overlaps(whole)
        ]
        check(
            not taken,
            f"cidr_block {whole} overlaps reserved_cidrs {', '.join(taken)}. Choose a free range.",
        )

    def _subnet(self, kind: str, subnet: _Subnet) -> ec2.Subnet:
        return ec2.Subnet(
            f"{self._name}-{kind}-{subnet.number}",
            vpc_id=self._vpc.id,
            availability_zone=subnet.zone,
            cidr_block=subnet.cidr,
            map_public_ip_on_launch=False,
            tags=named(self._args.tags, f"{self._args.name}-{kind}-{subnet.number}"),
            # A zone that appears later moves nothing; AWS changes no range.
            opts=ResourceOptions(parent=self, ignore_changes=["availability_zone", "cidr_block"]),
        )

    def _private_table(self, number: int) -> ec2.RouteTable:
        table = ec2.RouteTable(
            f"{self._name}-private-{number}",
            vpc_id=self._vpc.id,
            tags=named(self._args.tags, f"{self._args.name}-private-{number}"),
            opts=ResourceOptions(parent=self),
        )
        ec2.RouteTableAssociation(
            f"{self._name}-private-{number}",
            route_table_id=table.id,
            subnet_id=self._private[number].id,
            opts=ResourceOptions(parent=self),
        )
        return table

    def _internet(self) -> list[ec2.RouteTable]:
        """What egress "public_ip" and "nat" need."""
        name, args = self._name, self._args
        gateway = ec2.InternetGateway(
            f"{name}-main",
            vpc_id=self._vpc.id,
            tags=named(args.tags, args.name),
            opts=ResourceOptions(parent=self),
        )
        table = ec2.RouteTable(
            f"{name}-public",
            vpc_id=self._vpc.id,
            tags=named(args.tags, f"{args.name}-public"),
            opts=ResourceOptions(parent=self),
        )
        ec2.Route(
            f"{name}-internet",
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=ResourceOptions(parent=self),
        )
        for number, subnet in self._public.items():
            ec2.RouteTableAssociation(
                f"{name}-public-{number}",
                route_table_id=table.id,
                subnet_id=subnet.id,
                opts=ResourceOptions(parent=self),
            )
        if args.egress == "nat":
            self._nat(gateway)
        return [table]

    def _nat(self, internet: ec2.InternetGateway) -> None:
        name, args = self._name, self._args
        count = len(self._public) if args.nat_gateway_per_zone else 1
        gateways = {}
        for number in list(self._public)[:count]:
            address = ec2.Eip(
                f"{name}-nat-{number}",
                domain="vpc",
                tags=named(args.tags, f"{args.name}-nat-{number}"),
                opts=ResourceOptions(parent=self, depends_on=[internet]),
            )
            gateways[number] = ec2.NatGateway(
                f"{name}-main-{number}",
                allocation_id=address.id,
                subnet_id=self._public[number].id,
                tags=named(args.tags, f"{args.name}-{number}"),
                opts=ResourceOptions(parent=self),
            )
        for number, table in self._tables.items():
            ec2.Route(
                f"{name}-nat-{number}",
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=gateways[number if args.nat_gateway_per_zone else min(gateways)].id,
                opts=ResourceOptions(parent=self),
            )

    def _s3_endpoint(self, public_tables: list[ec2.RouteTable]) -> pulumi.Output[str]:
        args, account = self._args, self._account
        buckets = [account.bucket(name) for name in args.s3_endpoint.bucket_names]
        tables = [*self._tables.values(), *public_tables]
        return ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self._vpc.id,
            service_name=f"com.amazonaws.{account.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            policy=document(
                # Amazon Linux 2023 installs from S3, unsigned.
                # https://docs.aws.amazon.com/linux/al2023/ug/managing-repos-os-updates.html
                allow(
                    "AnyoneReadsAmazonLinuxRepositories",
                    ["s3:GetObject"],
                    [account.bucket(f"al2023-repos-{account.region}-de612dc2/*")],
                    principal="*",
                ),
                allow(
                    "OurRolesUseOurBuckets",
                    [f"s3:{action}" for action in BUCKET_ACTIONS],
                    [arn for bucket in buckets for arn in (bucket, f"{bucket}/*")],
                    principal="*",  # an endpoint policy names principals through conditions
                    when=both(
                        {"ArnEquals": {"aws:PrincipalArn": list(args.s3_endpoint.principal_arns)}},
                        account.ours,
                    ),
                )
                if buckets
                else None,
            ),
            tags=named(args.tags, f"{args.name}-s3"),
            opts=ResourceOptions(parent=self),
        ).prefix_list_id

    def _interface_endpoints(self) -> pulumi.Output[str] | None:
        name, args, account = self._name, self._args, self._account
        if args.egress != "endpoints" or not args.interface_endpoints:
            return None
        group = ec2.SecurityGroup(
            f"{name}-endpoints",
            name=f"{args.name}-endpoints",
            description="Interface endpoints: HTTPS from inside the VPC",
            vpc_id=self._vpc.id,
            tags=named(args.tags, f"{args.name}-endpoints"),
            opts=ResourceOptions(parent=self),
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-endpoints",
            security_group_id=group.id,
            description="HTTPS from inside the VPC",
            cidr_ipv4=args.cidr_block,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            tags=named(args.tags, f"{args.name}-endpoints"),
            opts=ResourceOptions(parent=self),
        )
        for service, actions in args.interface_endpoints.items():
            ec2.VpcEndpoint(
                f"{name}-interface-{service}",
                vpc_id=self._vpc.id,
                service_name=f"com.amazonaws.{account.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in self._private.values()],
                security_group_ids=[group.id],
                policy=document(
                    allow(
                        "ThisAccountUsesNamedActions",
                        actions,
                        ["*"],  # which resources is for each role's own policy
                        principal="*",
                        when=equals("aws:PrincipalAccount", account.id),
                    )
                ),
                tags=named(args.tags, f"{args.name}-{service}"),
                opts=ResourceOptions(parent=self),
            )
        return group.id

    def _flow_logs(self) -> pulumi.Output[str]:
        """Who talked to whom, for the day that someone asks."""
        name, args, account, logs = self._name, self._args, self._account, self._args.flow_logs
        group_name = f"/{args.name}/flow-logs"
        group = cloudwatch.LogGroup(
            f"{name}-flow-logs",
            name=group_name,
            retention_in_days=logs.retention_days,
            kms_key_id=logs.kms_key_arn,
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )
        role = iam.Role(
            f"{name}-flow-logs",
            name=f"{args.name}-flow-logs",
            description="Delivers the VPC's flow logs",
            assume_role_policy=trust(
                "FlowLogsOfThisAccount",
                "vpc-flow-logs.amazonaws.com",
                equals("aws:SourceAccount", account.id),
            ),
            permissions_boundary=logs.role_boundary_arn,
            tags=args.tags,
            opts=ResourceOptions(parent=self),
        )
        # Without DescribeLogGroups the flow log's status is "Access error" and nothing arrives.
        # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        written = [account.arn("logs", f"log-group:{group_name}:*")]
        iam.RolePolicy(
            f"{name}-flow-logs",
            name="write",
            role=role.name,
            policy=document(
                allow("FindTheLogGroup", ["logs:DescribeLogGroups"], ["*"], when=account.here),
                allow("WriteFlowLogs", LOG_ACTIONS, written),
            ),
            opts=ResourceOptions(parent=self),
        )
        ec2.FlowLog(
            f"{name}-vpc",
            vpc_id=self._vpc.id,
            traffic_type=logs.traffic,
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=600,
            tags=named(args.tags, args.name),
            opts=ResourceOptions(parent=self),
        )
        return group.name
